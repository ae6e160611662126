//! What differs between two sorted lists of lines, written and read.

use std::{
    cmp::Ordering,
    io::{self, BufRead, BufReader, Read, Write},
    path::PathBuf,
};

use super::{Blame, Frame};
use crate::store::StoreError;

/// Inserted bytes that are gathered before a step is written.
const INSERT: usize = 64 << 10;
/// Inserted bytes that a step may announce.
const INSERT_LIMIT: u64 = 1 << 20;

/// Writes a manifest as steps over another one's bytes.
pub(super) struct Difference {
    base: Box<dyn BufRead + Send>,
    out: Frame,
    /// The base's current line with its LF; empty at its end.
    theirs: Vec<u8>,
    /// The part of our current line that has come.
    ours: Vec<u8>,
    first: bool,
    step: Step,
    total: u64,
    inserted: u64,
}

#[derive(Default)]
struct Step {
    copy: u64,
    skip: u64,
    insert: Vec<u8>,
}

impl Difference {
    pub(super) fn new(base: Box<dyn BufRead + Send>, out: Frame) -> Self {
        Self {
            base,
            out,
            theirs: Vec::new(),
            ours: Vec::new(),
            first: true,
            step: Step::default(),
            total: 0,
            inserted: 0,
        }
    }

    fn advance(&mut self) -> io::Result<()> {
        self.theirs.clear();
        self.base.read_until(b'\n', &mut self.theirs).map(drop)
    }

    /// Takes a whole line with its LF.
    fn line(&mut self, ours: &[u8]) -> io::Result<()> {
        self.total += ours.len() as u64;
        if self.first {
            self.first = false;
            self.advance()?;
            if self.theirs != ours {
                self.step.skip += self.theirs.len() as u64;
                self.insert(ours)?;
                return self.advance();
            }
            return self.copy();
        }
        loop {
            let order = if self.theirs.is_empty() { Ordering::Greater } else { by_text(&self.theirs, ours) };
            match order {
                Ordering::Less => {
                    self.step.skip += self.theirs.len() as u64;
                    self.advance()?;
                }
                Ordering::Equal => return self.copy(),
                Ordering::Greater => return self.insert(ours),
            }
        }
    }

    fn copy(&mut self) -> io::Result<()> {
        if self.step.skip > 0 || !self.step.insert.is_empty() {
            self.emit()?;
        }
        self.step.copy += self.theirs.len() as u64;
        self.advance()
    }

    fn insert(&mut self, ours: &[u8]) -> io::Result<()> {
        self.inserted += ours.len() as u64;
        self.step.insert.extend_from_slice(ours);
        if self.step.insert.len() >= INSERT { self.emit() } else { Ok(()) }
    }

    fn emit(&mut self) -> io::Result<()> {
        for number in [self.step.copy, self.step.skip, self.step.insert.len() as u64] {
            let mut rest = number;
            while rest >= 0x80 {
                self.out.write_all(&[(rest & 0x7f) as u8 | 0x80])?;
                rest >>= 7;
            }
            self.out.write_all(&[(rest & 0x7f) as u8])?;
        }
        self.out.write_all(&self.step.insert)?;
        self.step.copy = 0;
        self.step.skip = 0;
        self.step.insert.clear();
        Ok(())
    }

    /// Ends the steps; tells whether at most `percent` of the bytes had to be inserted.
    pub(super) fn finish(mut self, percent: u64) -> Result<bool, StoreError> {
        let path = self.out.path().to_path_buf();
        self.emit().map_err(|e| StoreError::io(&path, e))?;
        self.out.finish()?;
        Ok(self.inserted.saturating_mul(100) <= self.total.saturating_mul(percent))
    }
}
impl Write for Difference {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ours.extend_from_slice(bytes);
        while let Some(end) = self.ours.iter().position(|b| *b == b'\n') {
            let rest = self.ours.split_off(end + 1);
            let line = std::mem::replace(&mut self.ours, rest);
            self.line(&line)?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Orders lines as manifests do: by their bytes without the LF.
fn by_text(a: &[u8], b: &[u8]) -> Ordering {
    let text = |line: &[u8]| line.len().saturating_sub(1);
    a.get(..text(a)).cmp(&b.get(..text(b)))
}

/// Reads a manifest through the steps over another one's bytes; passes the other's slices on as they are.
pub(super) struct Layer {
    base: Box<dyn BufRead + Send>,
    steps: BufReader<Blame>,
    path: PathBuf,
    copy: u64,
    insert: Vec<u8>,
    /// Bytes of `insert` that were read.
    at: usize,
    /// A step's skip and insert that follow its copy.
    then: Option<(u64, u64)>,
    ended: bool,
}

impl Layer {
    pub(super) fn new(base: Box<dyn BufRead + Send>, steps: BufReader<Blame>, path: PathBuf) -> Self {
        Self { base, steps, path, copy: 0, insert: Vec::new(), at: 0, then: None, ended: false }
    }

    fn damaged(&self, why: &str) -> io::Error {
        StoreError::damaged(&self.path, "the steps", why).into_io()
    }

    /// Reads a number; none at the very end of the steps.
    fn number(&mut self) -> io::Result<Option<u64>> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            if self.steps.read(&mut byte)? == 0 {
                return if shift == 0 { Ok(None) } else { Err(self.damaged("a number is cut")) };
            }
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(Some(value));
            }
        }
        Err(self.damaged("a number is too long"))
    }

    /// Goes on until there is something to read, or the end.
    fn proceed(&mut self) -> io::Result<()> {
        while !self.ended && self.copy == 0 && self.at == self.insert.len() {
            if let Some((skip, insert)) = self.then.take() {
                self.skip(skip)?;
                let length = usize::try_from(insert).map_err(|_| self.damaged("a step is too long"))?;
                self.insert.resize(length, 0);
                self.at = 0;
                self.steps.read_exact(&mut self.insert)?;
                continue;
            }
            let Some(copy) = self.number()? else {
                self.ended = true;
                return Ok(());
            };
            let (Some(skip), Some(insert)) = (self.number()?, self.number()?) else {
                return Err(self.damaged("a step is cut"));
            };
            if insert > INSERT_LIMIT {
                return Err(self.damaged("a step inserts too much"));
            }
            self.copy = copy;
            self.then = Some((skip, insert));
        }
        Ok(())
    }

    fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0 {
            let n = self.base.fill_buf()?.len();
            if n == 0 {
                return Err(self.damaged("it skips past the end of its base"));
            }
            let n = n.min(usize::try_from(bytes).unwrap_or(n));
            self.base.consume(n);
            bytes -= n as u64;
        }
        Ok(())
    }
}
impl BufRead for Layer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.proceed()?;
        if self.copy == 0 {
            return Ok(self.insert.get(self.at..).unwrap_or_default());
        }
        let path = &self.path;
        let bytes = self.base.fill_buf()?;
        if bytes.is_empty() {
            return Err(
                StoreError::damaged(path, "the steps", "it copies past the end of its base").into_io()
            );
        }
        let most = usize::try_from(self.copy).unwrap_or(usize::MAX);
        Ok(bytes.get(..most).unwrap_or(bytes))
    }

    fn consume(&mut self, amount: usize) {
        if self.copy > 0 {
            self.copy = self.copy.saturating_sub(amount as u64);
            self.base.consume(amount);
        } else {
            self.at = (self.at + amount).min(self.insert.len());
        }
    }
}
impl Read for Layer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let n = bytes.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        self.consume(n);
        Ok(n)
    }
}
