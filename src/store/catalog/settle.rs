//! Makes catalog and journal agree.
//!
//! The catalog keeps every line that it applied, with its hash and place. So it can tell whether it is behind (replay the
//! rest), another store's or restored from elsewhere (replay all), or whether the journal lost its tail, which it then
//! gives back: what was committed once stays committed, and no sequence is ever lowered.

use std::{fs::File, sync::PoisonError};

use super::{Catalog, apply};
use crate::store::{
    StoreError,
    file::{self, Output},
    journal::{Line, Scan, Tail},
    lock,
};

/// What had to be mended to make catalog and journal agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// The catalog's file was no catalog and was put aside as `catalog.sqlite.damaged`.
    pub put_aside: bool,
    /// The whole journal was replayed, because the catalog was missing or not of this journal.
    pub replayed: bool,
    /// So many bytes of an append that a crash had cut short were removed from the journal's end.
    pub torn: u64,
    /// The journal had lost its last entries; so many were written back from the catalog's copy.
    pub regrown: u64,
}

/// Entries at the journal's end that are looked at whenever a store is opened.
const LOOKED_AT: u32 = 16;
/// Entries that are applied in one transaction.
const PORTION: usize = 256;

impl Catalog {
    /// Brings the catalog up to the journal, if it is not.
    pub(in crate::store) fn refresh(&self) -> Result<(), StoreError> {
        let length = std::fs::metadata(&self.journal).map_err(|e| StoreError::io(&self.journal, e))?.len();
        match self.applied() {
            Ok(Some(tail)) if tail.end == length => return Ok(()),
            Err(error) if !is_damaged(&error) => return Err(error),
            // behind, empty or damaged: settling finds out
            _ => {}
        }
        let turn = lock::wait(&self.lock)?;
        self.settle(&turn).map(drop)
    }

    /// Holds the journal's last entries against what was applied; looks at all of them, and mends, where they differ.
    ///
    /// One query and a short read an entry, under a millisecond; damage further back is `audit verify`'s to find.
    pub(in crate::store) fn expect_tail(&self) -> Result<(), StoreError> {
        let last: Vec<Tail> = self.raw(|db| {
            db.prepare_cached("SELECT number, hash, start, end FROM entry ORDER BY number DESC LIMIT ?")?
                .query_map([LOOKED_AT], |row| {
                    let hash: String = row.get(1)?;
                    let hash = hash.parse().map_err(|_| rusqlite::Error::InvalidQuery)?;
                    Ok(Tail { number: row.get(0)?, hash, start: row.get(2)?, end: row.get(3)? })
                })?
                .collect()
        })?;
        for tail in &last {
            if !self.stands_at(tail)? {
                let turn = lock::wait(&self.lock)?;
                for found in Scan::open(&self.journal)? {
                    found?;
                }
                // the journal is whole, and another one than the catalog knows
                return self.settle(&turn).map(drop);
            }
        }
        Ok(())
    }

    /// Brings the catalog up to the journal under the journal's lock, and returns the last entry.
    pub(in crate::store) fn settle(&self, _turn: &File) -> Result<Tail, StoreError> {
        match self.try_settle() {
            Err(error) if is_damaged(&error) => {
                self.start_over()?;
                self.try_settle()
            }
            other => other,
        }
    }

    fn try_settle(&self) -> Result<Tail, StoreError> {
        let length = match std::fs::metadata(&self.journal) {
            Ok(found) => found.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::damaged(&self.journal, "the whole", "it is missing"));
            }
            Err(e) => return Err(StoreError::io(&self.journal, e)),
        };
        let Some(applied) = self.applied()? else {
            if length > 0 {
                self.note(|s| s.replayed = true);
            }
            return self.replay(Tail::NONE, apply::Former::Forgotten);
        };
        if applied.end <= length && self.stands_at(&applied)? {
            return if applied.end == length {
                Ok(applied)
            } else {
                self.replay(applied, apply::Former::Kept)
            };
        }
        self.reconcile()
    }

    /// Tells whether the journal holds, where the catalog says, the line that was applied last.
    fn stands_at(&self, tail: &Tail) -> Result<bool, StoreError> {
        let opened = file::open(&self.journal)?;
        let Ok(length) = usize::try_from(tail.end.saturating_sub(tail.start)) else { return Ok(false) };
        let mut bytes = file::read_at(&opened, &self.journal, tail.start, length)?;
        Ok(bytes.pop() == Some(b'\n') && chantal_contract::Digest::of(&bytes) == tail.hash)
    }

    /// Applies what stands in the journal after `from`, cutting off a torn tail.
    fn replay(&self, from: Tail, mut former: apply::Former) -> Result<Tail, StoreError> {
        let mut scan = Scan::after(&self.journal, from)?;
        let (mut last, mut portion) = (from, Vec::new());
        loop {
            let found = scan.next().transpose()?;
            let ended = found.is_none();
            if let Some((line, tail)) = found {
                last = tail;
                portion.push((line, tail));
            }
            if ended || portion.len() >= PORTION {
                match former {
                    apply::Former::Forgotten => self.apply_anew(&portion)?,
                    apply::Former::Kept => self.apply(&portion)?,
                }
                former = apply::Former::Kept;
                portion.clear();
            }
            if ended {
                break;
            }
        }
        if let Some(torn) = scan.torn() {
            let mut out = Output::append(&self.journal)?;
            let length = out.at();
            out.truncate(torn.keep)?;
            out.sync()?;
            self.note(|s| s.torn += length.saturating_sub(torn.keep));
        }
        Ok(last)
    }

    /// Finds out which of the two, journal or catalog, has lost something.
    fn reconcile(&self) -> Result<Tail, StoreError> {
        let mut last = Tail::NONE;
        for found in Scan::open(&self.journal)? {
            last = found?.1;
        }
        let lost = if self.knows(&last)? { self.lines_after(last.number)? } else { Vec::new() };
        if lost.is_empty() {
            self.note(|s| s.replayed = true);
            return self.replay(Tail::NONE, apply::Former::Forgotten);
        }
        let mut out = Output::append(&self.journal)?;
        out.truncate(last.end)?;
        let mut tail = last;
        let mut text = String::new();
        for line in &lost {
            if line.prev() != tail.hash {
                let why = "its copy of the journal is broken";
                return Err(StoreError::damaged(&self.path, format!("entry {}", tail.number + 1), why));
            }
            tail = line.after(&tail);
            text.push_str(line.text());
            text.push('\n');
        }
        out.put(text.as_bytes())?;
        out.sync()?;
        self.note(|s| s.regrown += lost.len() as u64);
        Ok(tail)
    }

    /// Tells whether the catalog has applied exactly this entry; it knows the place before the first one.
    fn knows(&self, tail: &Tail) -> Result<bool, StoreError> {
        if tail.number == 0 {
            return Ok(true);
        }
        self.raw(|db| {
            db.query_row(
                "SELECT EXISTS (SELECT 1 FROM entry WHERE number = ? AND hash = ?)",
                rusqlite::params![tail.number, tail.hash.hex()],
                |row| row.get(0),
            )
        })
    }

    /// Returns the catalog's copy of the journal's lines after an entry; those that are damaged are left out.
    pub(in crate::store) fn lines_after(&self, number: u64) -> Result<Vec<Line>, StoreError> {
        let texts: Vec<String> = self.raw(|db| {
            db.prepare_cached("SELECT line FROM entry WHERE number > ? ORDER BY number")?
                .query_map([number], |row| row.get(0))?
                .collect()
        })?;
        Ok(texts.iter().filter_map(|text| Line::parse(text).ok()).collect())
    }

    fn note(&self, change: impl FnOnce(&mut Settlement)) {
        change(&mut self.settlement.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Tells whether the catalog's file is no catalog.
fn is_damaged(error: &StoreError) -> bool {
    matches!(error, StoreError::Catalog { source, .. } if super::is_damage(source))
}
