//! The files of a state: what comes and goes, what has other bytes than before, and what belongs to no package.

use std::collections::{BTreeMap, BTreeSet};

use chantal_bundle::index::review::{FileKind, ListedFile, Side};
use chantal_contract::manifest;

use crate::report::review::{StateReview, UNUSUAL, Unusual};

/// What is known of the files of one state.
#[derive(Default)]
pub(super) struct Files {
    /// The last line of the delta, with whether it was added.
    last: (bool, String),
    /// Payloads that have other bytes than before, by path: the digests before and now.
    payloads: BTreeMap<String, (String, String)>,
    /// The digests before and now of packages that are named as replaced.
    replaced: BTreeSet<(String, String)>,
    /// The last file of no package.
    last_listed: Option<(Side, ListedFile)>,
    unusual: Vec<Unusual>,
    /// How many of these are of each kind: much of one keeps out nothing of another.
    kinds: BTreeMap<usize, usize>,
    /// Unusual files beyond those that are remembered.
    omitted: u64,
}

/// A `file` line of a manifest.
struct FileLine<'a> {
    path: &'a str,
    sha256: &'a str,
    bytes: u64,
    payload: bool,
}

impl<'a> FileLine<'a> {
    /// Reads a line; none for one that lists no bytes.
    fn read(line: &'a str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').take(6).collect();
        let ["file", path, sha256, size, role] = *fields.as_slice() else { return None };
        Some(Self { path, sha256, bytes: size.parse().ok()?, payload: role == "payload" })
    }
}

impl Files {
    /// Takes a line of the delta: counts files that come and go, and finds payloads that have other bytes under their path.
    pub fn edit(&mut self, state: &mut StateReview, added: bool, line: &str) {
        let Some(file) = FileLine::read(line) else { return };
        if added {
            state.files_in += 1;
            state.bytes_in = state.bytes_in.saturating_add(file.bytes);
        } else {
            state.files_out += 1;
        }
        let before = std::mem::replace(&mut self.last, (added, line.to_owned()));
        if before.0 == added || manifest::subject(&before.1) != manifest::subject(line) {
            return;
        }
        // the same path stands on both sides: it changes, and does not go
        state.files_out = state.files_out.saturating_sub(1);
        let Some(other) = FileLine::read(&before.1) else { return };
        let (old, new) = if added { (other, file) } else { (file, other) };
        if !state.current || old.sha256 == new.sha256 || !(old.payload || new.payload) {
            return;
        }
        if self.payloads.len() < UNUSUAL {
            self.payloads.insert(new.path.into(), (old.sha256.into(), new.sha256.into()));
        } else {
            self.omitted += 1;
        }
    }

    /// Takes a package that is named as replaced, by its digests before and now.
    pub fn replaced(&mut self, old: &str, new: &str) {
        if self.replaced.len() < UNUSUAL {
            self.replaced.insert((old.to_owned(), new.to_owned()));
        }
    }

    /// Takes a file of no package.
    pub fn listed(&mut self, state: &mut StateReview, side: Side, file: &ListedFile) {
        let path = file.path.as_str();
        // it is named by what it is
        self.payloads.remove(path);
        let (repository, path) = (state.repository.clone(), path.to_owned());
        if side == Side::New && file.kind == FileKind::Stray {
            state.files_stray += 1;
        }
        if state.current {
            let before = self.last_listed.replace((side, file.clone()));
            let replaced = before.is_some_and(|(other, before)| {
                other != side && before.path == file.path && before.measured != file.measured
            });
            match (file.kind, side) {
                (FileKind::Stray, Side::New) => {
                    self.remember(Unusual::StrayFile { repository: repository.clone(), path: path.clone() });
                }
                (FileKind::Unread, Side::New) => {
                    return self.remember(Unusual::UnreadFile { repository, path });
                }
                (FileKind::Unread, _) => return,
                _ => {}
            }
            if replaced {
                self.remember(Unusual::FileReplaced { repository, path });
            }
        }
    }

    fn remember(&mut self, unusual: Unusual) {
        let of_kind = self.kinds.entry(unusual.lot().rank).or_default();
        if *of_kind < UNUSUAL {
            *of_kind += 1;
            self.unusual.push(unusual);
        } else {
            self.omitted += 1;
        }
    }

    /// Ends the state: returns what is unusual about its files, and how many more there are.
    pub fn end(mut self, repository: &str) -> (Vec<Unusual>, u64) {
        for (path, digests) in std::mem::take(&mut self.payloads) {
            // a package's own file, and the package is named already by its version
            if !self.replaced.contains(&digests) {
                self.remember(Unusual::FileReplaced { repository: repository.to_owned(), path });
            }
        }
        (self.unusual, self.omitted)
    }
}
