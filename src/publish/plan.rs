//! What a tree is to hold: the lay-out's wishes, gathered, sorted and checked before anything is touched.

use std::{
    collections::{BTreeMap, HashSet},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use chantal_contract::{Digest, Measured, RepoPath, Role, Tree, TreeError};

use super::outcome::PublishError;
use crate::store::Address;

/// Where a file's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In the pool; a payload may be linked.
    Pool(Role),
    /// In the spool, from this offset on.
    Spool(u64),
}

/// One file of a tree: about 100 bytes and its path.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub path: RepoPath,
    pub measured: Measured,
    pub source: Source,
}

/// All files of a tree, sorted by path.
pub(super) struct Plan {
    pub entries: Vec<Entry>,
    pub spool: Spool,
}

/// Bytes that a lay-out made, in one file without a name that vanishes with the process.
pub(super) struct Spool {
    file: std::fs::File,
    dir: PathBuf,
    end: u64,
}

impl Spool {
    fn push(&mut self, bytes: &[u8]) -> Result<u64, TreeError> {
        let at = self.end;
        self.file.write_all(bytes).map_err(|source| self.fault(source))?;
        self.end += bytes.len() as u64;
        Ok(at)
    }

    /// Returns a reader of the bytes that stand at an offset.
    pub fn open(&self, at: u64, size: u64) -> std::io::Result<impl Read + '_> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        Ok(file.take(size))
    }

    fn fault(&self, source: std::io::Error) -> TreeError {
        TreeError::Io { path: self.dir.display().to_string(), source }
    }
}

/// Gathers what a lay-out places and writes.
pub(super) struct Planner {
    plan: Plan,
}

impl Planner {
    /// Begins an empty plan whose spool lies in `dir`.
    pub fn new(dir: &Path) -> Result<Self, TreeError> {
        let file = tempfile::tempfile_in(dir)
            .map_err(|source| TreeError::Io { path: dir.display().to_string(), source })?;
        Ok(Self { plan: Plan { entries: Vec::new(), spool: Spool { file, dir: dir.into(), end: 0 } } })
    }

    /// Sums up how many files there are and what they weigh, each blob once.
    pub fn weight(&self) -> (u64, u64) {
        let entries = &self.plan.entries;
        let blobs: BTreeMap<Digest, u64> =
            entries.iter().map(|e| (e.measured.sha256, e.measured.size)).collect();
        (entries.len() as u64, blobs.values().sum())
    }

    /// Adds a file of our own, in place of whatever the repository has under that name; returns the paths that it left out,
    /// sorted.
    ///
    /// Clients take keys and rules from these files, so that nothing which an index of upstream's names may stand for them.
    /// Only after the lay-out is done.
    pub fn write_beside(&mut self, path: &RepoPath, bytes: &[u8]) -> Result<Vec<RepoPath>, TreeError> {
        let ours = path.as_str();
        let in_its_place = |e: &Entry| {
            let theirs = e.path.as_str();
            let tail = theirs.strip_prefix(ours);
            tail.is_some_and(|t| t.is_empty() || t.starts_with('/')) || parents(ours).any(|dir| dir == theirs)
        };
        let mut left: Vec<RepoPath> =
            self.plan.entries.extract_if(.., |e| in_its_place(e)).map(|e| e.path).collect();
        left.sort_unstable();
        left.dedup();
        self.write(path, bytes)?;
        Ok(left)
    }

    /// Ends the plan: sorts, and refuses two different files of one path and a file that is a directory, too.
    pub fn finish(self) -> Result<Plan, TreeError> {
        let mut plan = self.plan;
        plan.entries.sort_by(|a, b| a.path.cmp(&b.path));
        let mut twice = None;
        plan.entries.dedup_by(|later, kept| {
            let same = later.path == kept.path;
            if same && later.measured != kept.measured {
                twice = Some(kept.path.clone());
            }
            same
        });
        if let Some(path) = twice {
            return Err(TreeError::Twice(path));
        }
        let directories: HashSet<&str> = plan.entries.iter().flat_map(|e| parents(e.path.as_str())).collect();
        let both = plan.entries.iter().find(|e| directories.contains(e.path.as_str()));
        match both.map(|e| e.path.clone()) {
            Some(path) => Err(TreeError::FileAndDirectory(path)),
            None => Ok(plan),
        }
    }
}

/// Tells why a tree cannot stand at `target` among all `places`, its own among them.
pub(super) fn in_the_way(
    target: &str,
    address: &Address,
    places: &[(String, Address)],
) -> Option<PublishError> {
    places.iter().find_map(|(place, other)| {
        let inside =
            |inner: &str, outer: &str| PublishError::Inside { inner: inner.into(), outer: outer.into() };
        if place == target {
            let (first, second) = if address < other { (address, other) } else { (other, address) };
            let same =
                PublishError::Same { target: target.into(), first: first.clone(), second: second.clone() };
            (address != other).then_some(same)
        } else if parents(target).any(|outer| outer == place) {
            Some(inside(target, place))
        } else {
            parents(place).any(|outer| outer == target).then(|| inside(place, target))
        }
    })
}

/// Returns every directory that a path lies in, the nearest first.
pub(super) fn parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(path.rsplit_once('/').map(|(head, _)| head), |p| {
        p.rsplit_once('/').map(|(head, _)| head)
    })
}

impl Tree for Planner {
    fn place(&mut self, path: &RepoPath, blob: Measured, role: Role) -> Result<(), TreeError> {
        self.plan.entries.push(Entry { path: path.clone(), measured: blob, source: Source::Pool(role) });
        Ok(())
    }

    fn write(&mut self, path: &RepoPath, bytes: &[u8]) -> Result<(), TreeError> {
        let at = self.plan.spool.push(bytes)?;
        let measured = Measured { sha256: Digest::of(bytes), size: bytes.len() as u64 };
        self.plan.entries.push(Entry { path: path.clone(), measured, source: Source::Spool(at) });
        Ok(())
    }
}
