//! Writes an index.

use std::{
    io::{self, Write},
    num::NonZeroU32,
};

use chantal_contract::{Digest, Measured, Name, limits::RECORD_BYTES};

use super::line::{IndexLine, Order};
use super::{IndexError, LEVEL, LINE_BYTES, MAGIC, Member, ReviewLine, Totals, VERSION, VolumeEntry};
use crate::delta::Edit;

/// Writes an index, compressed, in the order that its grammar asks for; equal calls write equal bytes.
pub struct Writer<W: Write> {
    out: zstd::stream::write::Encoder<'static, W>,
    order: Order,
    last: String,
    lines: u64,
    open_size: u64,
}

impl<W: Write> Writer<W> {
    /// Begins an index of volumes whose cells have `cell` bytes.
    pub fn new(out: W, cell: NonZeroU32) -> Result<Self, IndexError> {
        let mut out = zstd::stream::write::Encoder::new(out, LEVEL)?;
        out.include_checksum(false)?;
        out.include_contentsize(false)?;
        let mut writer = Self { out, order: Order::new(cell), last: String::new(), lines: 0, open_size: 0 };
        writer.emit(&[MAGIC.as_bytes(), b"\t", VERSION.to_string().as_bytes(), b"\n"])?;
        Ok(writer)
    }

    /// Announces the delta of a snapshot's manifest.
    pub fn state(
        &mut self,
        repository: &Name,
        manifest: Digest,
        base: Option<Digest>,
    ) -> Result<(), IndexError> {
        self.line(&IndexLine::State { repository: repository.clone(), manifest, base })
    }

    /// Announces the delta of the evidence list of the state before.
    pub fn evidence(&mut self, list: Digest, base: Option<Digest>) -> Result<(), IndexError> {
        self.line(&IndexLine::Evidence { list, base })
    }

    /// Writes the first line of the list that the announced delta builds.
    pub fn first(&mut self, line: &str) -> Result<(), IndexError> {
        self.order.first().map_err(|why| self.form(why))?;
        self.last.clear();
        self.marked(b"=", line)
    }

    /// Writes a step of the announced delta.
    pub fn edit(&mut self, edit: Edit<'_>) -> Result<(), IndexError> {
        let (mark, line): (&[u8], _) = match edit {
            Edit::Removed(line) => (b"-", line),
            Edit::Added(line) => (b"+", line),
        };
        self.order.edit(&self.last, line).map_err(|why| self.form(why))?;
        self.last.clear();
        self.last.push_str(line);
        self.marked(mark, line)
    }

    /// Writes a line of what the state changes; each state has at least the first.
    pub fn review(&mut self, line: &ReviewLine) -> Result<(), IndexError> {
        let text = line.encode();
        if text.len() > LINE_BYTES {
            return Err(self.form("it is longer than 64 KiB"));
        }
        self.order.line(&IndexLine::Review(line.clone())).map_err(|why| self.form(why))?;
        self.emit(&[text.as_bytes(), b"\n"])
    }

    /// Writes a record; records rise by digest.
    pub fn record(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        let size = bytes.len() as u64;
        if bytes.len() > RECORD_BYTES {
            return Err(IndexError::Record { line: self.lines + 1, size });
        }
        self.line(&IndexLine::Record(Measured { sha256: Digest::of(bytes), size }))?;
        self.emit(&[bytes, b"\n"])
    }

    /// Describes a volume and its cells; its members follow.
    pub fn volume(&mut self, volume: VolumeEntry, cells: &[Digest]) -> Result<(), IndexError> {
        self.line(&IndexLine::Volume(volume))?;
        cells.iter().try_for_each(|cell| self.line(&IndexLine::Cell(*cell)))
    }

    /// Describes the next member of the volume.
    pub fn member(&mut self, member: &Member) -> Result<(), IndexError> {
        self.line(&IndexLine::Member(*member))
    }

    /// Ends the index and returns what it was written to, its size before compression, and what it held.
    pub fn finish(mut self) -> Result<(W, u64, Totals), IndexError> {
        let totals = self.order.totals();
        self.line(&IndexLine::End(totals))?;
        Ok((self.out.finish()?, self.open_size, totals))
    }

    fn line(&mut self, line: &IndexLine) -> Result<(), IndexError> {
        self.order.line(line).map_err(|why| self.form(why))?;
        self.emit(&[line.encode().as_bytes(), b"\n"])
    }

    fn marked(&mut self, mark: &[u8], line: &str) -> Result<(), IndexError> {
        if line.len() >= LINE_BYTES {
            return Err(self.form("it is longer than 64 KiB"));
        }
        if line.contains(['\n', '\r']) {
            return Err(self.form("it holds a line break"));
        }
        self.emit(&[mark, line.as_bytes(), b"\n"])
    }

    fn emit(&mut self, parts: &[&[u8]]) -> Result<(), IndexError> {
        for part in parts {
            self.out.write_all(part)?;
            self.open_size += part.len() as u64;
        }
        self.lines += 1;
        Ok(())
    }

    fn form(&self, why: &'static str) -> IndexError {
        IndexError::Form { line: self.lines + 1, why }
    }
}

impl<W: Write> Writer<W> {
    /// Hands compressed bytes on as far as the encoder has them; for progress, never needed.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
