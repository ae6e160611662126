//! The journal: what was decided, in order, each entry bound to the one before it. An append is the commit.
//!
//! `journal.jsonl` holds one JSON object a line, keys in this order:
//!
//! ```text
//! {"number":7,"at":"2026-11-20T12:00:00Z","prev":"<SHA-256 of line 6>","event":{…},"check":"<16 hex digits>"}
//! ```
//!
//! `prev` is the SHA-256 of the former line without its LF (64 zeros for the first); `check` the first 16 hexadecimal digits
//! of the SHA-256 of the line's text before `,"check"`. So a bit that flips in any line is found, in the last one, too.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chantal_contract::Digest;
use jiff::Timestamp;

use super::{Catalog, Event, FORMAT, SiteName, StoreError, file::Output, lock};

mod line;
mod scan;
mod weave;
pub use line::Entry;
pub(super) use line::Line;
pub(super) use scan::Scan;
pub(super) use weave::weave;

/// What the journal's file is called.
pub(super) const FILE: &str = "journal.jsonl";

/// The journal of a store.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    lock: PathBuf,
    catalog: Arc<Catalog>,
}

/// Where an entry stands in the file, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// Its number; 0 before the first.
    pub number: u64,
    /// The SHA-256 of its line without the LF.
    pub hash: Digest,
    /// Where its line begins, in bytes.
    pub start: u64,
    /// Where the next line begins, in bytes.
    pub end: u64,
}

impl Tail {
    /// Stands before the first entry.
    pub(super) const NONE: Self = Self { number: 0, hash: Digest::from_bytes([0; 32]), start: 0, end: 0 };
}

/// What a whole and unbroken journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalReport {
    /// Its entries.
    pub entries: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its last line.
    pub head: Digest,
    /// When its last entry was made.
    pub last: Option<Timestamp>,
}

/// Where a store's journal lies.
pub(super) fn path(root: &Path) -> PathBuf {
    root.join(FILE)
}

/// Which file serialises appends.
pub(super) fn lock_path(root: &Path) -> PathBuf {
    root.join("locks/journal")
}

/// Returns the text of a new store's journal.
pub(super) fn first(site: &SiteName, at: Timestamp) -> Result<String, StoreError> {
    let event = Event::Init { site: site.clone(), format: FORMAT };
    Ok(format!("{}\n", Line::new(1, at, Tail::NONE.hash, event)?.text()))
}

impl Journal {
    pub(super) fn new(root: &Path, catalog: Arc<Catalog>) -> Self {
        Self { path: path(root), lock: lock_path(root), catalog }
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an entry and waits until it is durable; returns its number.
    ///
    /// When this returns an error nothing was appended.
    pub fn append(&self, event: Event, at: Timestamp) -> Result<u64, StoreError> {
        let turn = lock::wait(&self.lock)?;
        let tail = self.catalog.settle(&turn)?;
        let line = Line::new(tail.number + 1, at, tail.hash, event)?;
        let mut out = Output::append(&self.path)?;
        let written = out.put(format!("{}\n", line.text()).as_bytes()).and_then(|()| out.sync());
        if let Err(error) = written {
            out.truncate(tail.end).and_then(|()| out.sync())?;
            return Err(error);
        }
        let next = line.after(&tail);
        // The entry is committed. If the catalog cannot take it now, its next reader replays it.
        let _ = self.catalog.apply(&[(line, next)]);
        Ok(next.number)
    }

    /// Reads all entries in order, checking each against the one before it.
    pub fn read(&self) -> impl Iterator<Item = Result<Entry, StoreError>> + use<> {
        let (scan, failed) = match Scan::open(&self.path) {
            Ok(scan) => (Some(scan), None),
            Err(error) => (None, Some(Err(error))),
        };
        let entries = scan.into_iter().flatten().map(|found| found.map(|(line, _)| line.into_entry()));
        failed.into_iter().chain(entries)
    }

    /// Returns the number of the entry whose line has this hash; none where no entry has it.
    pub fn find(&self, head: &Digest) -> Result<Option<u64>, StoreError> {
        let _turn = lock::wait(&self.lock)?;
        for found in Scan::open(&self.path)? {
            let (_, tail) = found?;
            if tail.hash == *head {
                return Ok(Some(tail.number));
            }
        }
        Ok(None)
    }

    /// Checks every entry against the one before it.
    pub fn verify(&self) -> Result<JournalReport, StoreError> {
        let _turn = lock::wait(&self.lock)?;
        let mut report = JournalReport { entries: 0, bytes: 0, head: Tail::NONE.hash, last: None };
        for found in Scan::open(&self.path)? {
            let (line, tail) = found?;
            let last = Some(line.into_entry().at);
            report = JournalReport { entries: tail.number, bytes: tail.end, head: tail.hash, last };
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests;
