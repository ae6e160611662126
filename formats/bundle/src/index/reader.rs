//! Reads an index.

use std::{
    io::{self, BufRead, BufReader, Read},
    num::NonZeroU32,
};

use chantal_contract::{Digest, Name, limits::RECORD_BYTES};

use super::line::{IndexLine, Order};
use super::review::ReviewLine;
use super::{IndexError, Item, LINE_BYTES, MAGIC, VERSION, WINDOW_LOG};
use crate::frame::FrameReader;

/// Reads an index item by item; memory does not grow with it.
///
/// The caller has checked the compressed bytes against the digest in a signed manifest. Nothing but the one form is accepted.
pub struct Reader<R: BufRead> {
    input: BufReader<io::Take<FrameReader<R>>>,
    order: Order,
    /// The line that was read last, without its LF.
    line: String,
    /// The line of a delta before that one, with its mark.
    last: String,
    repository: Option<Name>,
    review: Option<ReviewLine>,
    record: Vec<u8>,
    lines: u64,
    left: u64,
}

impl<R: BufRead> Reader<R> {
    /// Begins to read an index that has `open_size` bytes after decompression and describes cells of `cell` bytes.
    pub fn new(input: R, open_size: u64, cell: NonZeroU32) -> Result<Self, IndexError> {
        let opened = FrameReader::new(input, WINDOW_LOG, u64::MAX)?;
        // One byte more than promised is enough to see that there is more.
        let input = BufReader::with_capacity(128 << 10, opened.take(open_size.saturating_add(1)));
        let mut reader = Self {
            input,
            order: Order::new(cell),
            line: String::new(),
            last: String::new(),
            repository: None,
            review: None,
            record: Vec::new(),
            lines: 0,
            left: open_size,
        };
        reader.fill()?;
        match reader.line.split_once('\t') {
            Some((MAGIC, version)) if version == VERSION.to_string() => Ok(reader),
            Some((MAGIC, version)) => {
                Err(IndexError::Version(version.chars().take(20).flat_map(char::escape_debug).collect()))
            }
            _ => Err(reader.form("it does not begin with chantal-index")),
        }
    }

    /// Returns the next item; none after the end.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, IndexError> {
        if self.order.ended() {
            return Ok(None);
        }
        std::mem::swap(&mut self.last, &mut self.line);
        self.fill()?;
        if self.order.in_delta() && self.line.starts_with(['=', '-', '+']) {
            return self.delta_line().map(Some);
        }
        let parsed = if self.order.in_review() && self.line.starts_with(['=', '-', '+']) {
            ReviewLine::parse_package(&self.line).map(IndexLine::Review)
        } else {
            IndexLine::parse(&self.line)
        };
        let parsed = parsed.map_err(|why| self.form(why))?;
        self.order.line(&parsed).map_err(|why| self.form(why))?;
        Ok(Some(match parsed {
            IndexLine::State { repository, manifest, base } => {
                Item::State { repository: self.repository.insert(repository), manifest, base }
            }
            IndexLine::Evidence { list, base } => Item::Evidence { list, base },
            IndexLine::Review(line) => Item::Review(self.review.insert(line)),
            IndexLine::Record(record) => {
                self.read_record(record.size)?;
                if Digest::of(&self.record) != record.sha256 {
                    return Err(self.form("a record is not what its digest says"));
                }
                Item::Record { digest: record.sha256, bytes: &self.record }
            }
            IndexLine::Volume(volume) => Item::Volume(volume),
            IndexLine::Cell(cell) => Item::Cell(cell),
            IndexLine::Member(member) => Item::Member(member),
            IndexLine::End(totals) => {
                self.expect_end()?;
                Item::End(totals)
            }
        }))
    }

    fn delta_line(&mut self) -> Result<Item<'_>, IndexError> {
        let mut chars = self.line.chars();
        let mark = chars.next();
        let text = chars.as_str();
        if mark == Some('=') {
            self.order.first().map_err(|why| IndexError::Form { line: self.lines, why })?;
            return Ok(Item::First(text));
        }
        // Before the first step stands the first line, which is no part of the order.
        let last =
            if self.last.starts_with(['-', '+']) { self.last.get(1..).unwrap_or_default() } else { "" };
        self.order.edit(last, text).map_err(|why| IndexError::Form { line: self.lines, why })?;
        Ok(if mark == Some('-') { Item::Removed(text) } else { Item::Added(text) })
    }

    fn read_record(&mut self, size: u64) -> Result<(), IndexError> {
        self.lines += 1;
        let line = self.lines;
        let length = usize::try_from(size).ok().filter(|s| *s <= RECORD_BYTES);
        let length = length.ok_or(IndexError::Record { line, size })?;
        self.take_off(size.saturating_add(1))?;
        self.record.clear();
        self.record.resize(length, 0);
        self.input.read_exact(&mut self.record).map_err(cut)?;
        let mut lf = [0];
        self.input.read_exact(&mut lf).map_err(cut)?;
        if lf == *b"\n" { Ok(()) } else { Err(self.form("no line feed follows a record")) }
    }

    fn fill(&mut self) -> Result<(), IndexError> {
        self.lines += 1;
        let mut bytes = std::mem::take(&mut self.line).into_bytes();
        bytes.clear();
        let n = (&mut self.input).take(LINE_BYTES as u64 + 1).read_until(b'\n', &mut bytes)?;
        self.take_off(n as u64)?;
        match bytes.pop() {
            None => return Err(self.form("it ends without an end line")),
            Some(b'\n') => {}
            Some(_) => return Err(self.form("it has no line feed within 64 KiB")),
        }
        if bytes.contains(&b'\r') {
            return Err(self.form("it holds a carriage return"));
        }
        self.line = String::from_utf8(bytes).map_err(|_| self.form("it is not UTF-8"))?;
        Ok(())
    }

    fn take_off(&mut self, bytes: u64) -> Result<(), IndexError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| self.form("it is longer than promised"))?;
        Ok(())
    }

    fn expect_end(&mut self) -> Result<(), IndexError> {
        let mut more = [0];
        if self.left != 0 {
            return Err(self.form("it is shorter than promised"));
        }
        if self.input.read(&mut more)? != 0 {
            return Err(self.form("something follows its end"));
        }
        Ok(())
    }

    fn form(&self, why: &'static str) -> IndexError {
        IndexError::Form { line: self.lines, why }
    }
}

fn cut(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it ends within a record"),
        _ => error,
    }
}
