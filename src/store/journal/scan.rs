//! Reads a journal line by line and checks the chain.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{Line, Tail, line::Fault};
use crate::store::{StoreError, file};

/// Bytes of one line that are read at most.
const LINE_BYTES: u64 = 64 << 20;

/// Iterates over the lines of a journal, each with where it stands; ends after the first error.
pub(in crate::store) struct Scan {
    path: PathBuf,
    input: BufReader<File>,
    tail: Tail,
    torn: Option<Torn>,
    ended: bool,
}

/// An append that was cut short by a crash: it never was a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Torn {
    /// Where the whole lines end, in bytes.
    pub keep: u64,
}

impl Scan {
    /// Begins at the first line.
    pub(in crate::store) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::after(path, Tail::NONE)
    }

    /// Begins after a line that is known to be good.
    pub(in crate::store) fn after(path: &Path, tail: Tail) -> Result<Self, StoreError> {
        let mut opened = file::open(path)?;
        opened.seek(SeekFrom::Start(tail.end)).map_err(|e| StoreError::io(path, e))?;
        Ok(Self { path: path.into(), input: BufReader::new(opened), tail, torn: None, ended: false })
    }

    /// Tells, after the end, whether a torn line was found there.
    pub(in crate::store) fn torn(&self) -> Option<Torn> {
        self.torn
    }

    fn step(&mut self) -> Result<Option<(Line, Tail)>, StoreError> {
        let mut bytes = Vec::new();
        self.input
            .by_ref()
            .take(LINE_BYTES)
            .read_until(b'\n', &mut bytes)
            .map_err(|e| StoreError::io(&self.path, e))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let number = self.tail.number + 1;
        let damaged = |why: &str| Fault::Damaged(why.into()).at(&self.path, number);
        let whole = bytes.pop_if(|last| *last == b'\n').is_some();
        let last = self.input.fill_buf().map_err(|e| StoreError::io(&self.path, e))?.is_empty();
        // An append that a crash cut short lacks its end, or holds zeros where a block never reached the medium.
        if last && (!whole || bytes.contains(&0)) {
            self.torn = Some(Torn { keep: self.tail.end });
            return Ok(None);
        }
        let text = String::from_utf8(bytes).map_err(|_| damaged("it is not UTF-8"))?;
        let line = Line::parse(&text).map_err(|fault| fault.at(&self.path, number))?;
        if line.entry().number != number {
            return Err(damaged(&format!("it is numbered {}", line.entry().number)));
        }
        if line.prev() != self.tail.hash {
            return Err(damaged("it does not follow the line before it"));
        }
        self.tail = line.after(&self.tail);
        Ok(Some((line, self.tail)))
    }
}
impl Iterator for Scan {
    type Item = Result<(Line, Tail), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let found = self.step().transpose();
        self.ended = !matches!(found, Some(Ok(_)));
        found
    }
}
