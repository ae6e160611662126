//! The files of one state: what each of them is to its packages.

use std::cell::Cell;

use chantal_bundle::index::review::{FileKind, ListedFile};
use chantal_contract::{Digest, Entry, FormatError, Line, Measured, Mode, RepoPath, State as _};

use crate::{
    store::{Holding, Snapshot, StoreError},
    transfer::{TransferError, lines::LineSorter},
};

/// What became known of a file, the later of two counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    /// Nothing: no index and no package names it.
    Stray,
    /// An index lists it, and it belongs to no package.
    Listed,
    /// It was read, or belongs to a package that is told.
    Told,
    /// It was opened, tells clients of packages, and was not read.
    Unread,
}

/// A file, by the beginning of the SHA-256 of its path.
struct Noted {
    path: [u8; 16],
    measured: Measured,
    known: Cell<Known>,
}

/// The files of a state, rising by their paths' digests: 64 bytes each, where a table of hashes takes thrice as much while it grows.
pub(super) struct Files(Vec<Noted>);

fn short(path: &RepoPath) -> [u8; 16] {
    let digest = Digest::of(path.as_str().as_bytes());
    let (head, _) = digest.as_bytes().split_at(16);
    head.try_into().unwrap_or_default()
}

impl Files {
    /// Takes the `file` lines of a state; refuses a mirror that says by lines of its own what its indexes say.
    pub fn of<E: From<StoreError> + From<FormatError>>(holding: &Holding<'_>) -> Result<Self, E> {
        let mut files = Vec::new();
        let snapshot = holding.snapshot();
        let mirror = snapshot.header().mode == Mode::Mirror;
        snapshot.each_line::<E>(&mut |line| {
            match line {
                Line::File { path, entry: Entry::Present { measured, .. } } => {
                    files.push(Noted {
                        path: short(path),
                        measured: *measured,
                        known: Cell::new(Known::Stray),
                    });
                }
                Line::Doc { .. } | Line::Pkg { .. } if mirror => {
                    let why =
                        "a mirror lists packages and documents in its indexes, not in lines of its manifest";
                    return Err(FormatError::Option { option: "mode".into(), why: why.into() }.into());
                }
                Line::File { entry: Entry::Absent, .. } | Line::Doc { .. } | Line::Pkg { .. } => {}
            }
            Ok(())
        })?;
        files.sort_unstable_by_key(|file| file.path);
        Ok(Self(files))
    }

    fn find(&self, path: &RepoPath) -> Option<&Noted> {
        let at = self.0.binary_search_by_key(&short(path), |file| file.path).ok()?;
        self.0.get(at)
    }

    /// Returns a file's digest and size; none where the state has none at that path.
    pub fn get(&self, path: &RepoPath) -> Option<Measured> {
        self.find(path).map(|file| file.measured)
    }

    /// Notes what is known of a file, where the state has it, and returns its digest and size.
    pub fn note(&self, path: &RepoPath, known: Known) -> Option<Measured> {
        let file = self.find(path)?;
        file.known.set(file.known.get().max(known));
        Some(file.measured)
    }

    /// Notes that a file goes by another name, too, if it has the same bytes there.
    pub fn alias(&self, path: &RepoPath, target: &RepoPath) {
        if self.get(target).is_none_or(|of| self.get(path) == Some(of)) {
            self.note(path, Known::Told);
        }
    }

    /// Puts the files that belong to no package and were not read into `lines`.
    pub fn rest(&self, snapshot: &Snapshot, lines: &mut LineSorter) -> Result<(), TransferError> {
        if self.0.iter().all(|file| file.known.get() == Known::Told) {
            return Ok(());
        }
        snapshot.each_line::<TransferError>(&mut |line| {
            let Line::File { path, entry: Entry::Present { measured, .. } } = line else { return Ok(()) };
            let kind = match self.find(path).map(|file| file.known.get()) {
                Some(Known::Told) => return Ok(()),
                Some(Known::Listed) => FileKind::Listed,
                Some(Known::Unread) => FileKind::Unread,
                Some(Known::Stray) | None => FileKind::Stray,
            };
            lines.push(&ListedFile { path: path.clone(), kind, measured: *measured }.encode())
        })
    }
}
