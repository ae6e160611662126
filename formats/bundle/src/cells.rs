//! Cells: pieces of a volume of fixed size, each with its SHA-256 in the index (specification §8).

use std::{
    io::{self, BufRead, Read},
    num::NonZeroU32,
};

use chantal_contract::Digest;

use crate::name::VolumeNumber;

/// How a volume's file differs from what the index says of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// The bytes of a cell are others.
    #[error(
        "volume {volume} is damaged or altered: the {length} bytes from byte {offset} on are not what was signed"
    )]
    Mismatch {
        /// Which volume.
        volume: VolumeNumber,
        /// Where the cell begins, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        length: u64,
    },
    /// The file ends too early.
    #[error("volume {volume} is cut: it ends at byte {found} of {size}")]
    Cut {
        /// Which volume.
        volume: VolumeNumber,
        /// Where it ends.
        found: u64,
        /// What size was signed.
        size: u64,
    },
    /// Something follows the end.
    #[error("volume {volume} is longer than the {size} bytes that were signed")]
    TooLong {
        /// Which volume.
        volume: VolumeNumber,
        /// What size was signed.
        size: u64,
    },
}

impl CellError {
    /// Finds the cell error that a reader's error stands for, if it is one.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}
impl From<CellError> for io::Error {
    fn from(error: CellError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// What the index says of a volume's bytes.
#[derive(Clone, Debug)]
pub struct CellList {
    /// Which volume.
    pub volume: VolumeNumber,
    /// The volume's size in bytes.
    pub size: u64,
    /// The size of a cell in bytes.
    pub cell: NonZeroU32,
    /// A digest for every cell.
    pub cells: Vec<Digest>,
}

/// Reads a volume and hands out only bytes of cells that were checked.
///
/// Its errors hold a [`CellError`] where the bytes are wrong; [`CellError::of`] finds it.
pub struct CheckedCells<R> {
    input: R,
    list: CellList,
    next: usize,
    /// Room for a cell; what was checked of it and not handed out yet lies from `at` to `end`.
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl<R: Read> CheckedCells<R> {
    /// Begins at the first byte of a volume's file.
    pub fn new(input: R, list: CellList) -> Self {
        Self { input, list, next: 0, buffer: Vec::new(), at: 0, end: 0 }
    }

    /// Reads and checks the next cell whole and returns it; empty at the end of the volume, where nothing may follow.
    ///
    /// A damaged cell is an error once; the one after it can be read then, so that all damage is found in one pass.
    pub fn next_cell(&mut self) -> io::Result<&[u8]> {
        (self.at, self.end) = (0, 0);
        let CellList { volume, size, cell, ref cells } = self.list;
        let offset = self.next as u64 * u64::from(cell.get());
        let length = size.saturating_sub(offset).min(u64::from(cell.get()));
        let Some(expected) = cells.get(self.next).copied().filter(|_| length > 0) else {
            return self.expect_end().map(|()| &[][..]);
        };
        self.next += 1;
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        if self.buffer.len() < whole {
            self.buffer.resize(whole, 0);
        }
        let room = self.buffer.get_mut(..whole).unwrap_or_default();
        let filled = fill(&mut self.input, room)?;
        if filled < whole {
            self.next = cells.len();
            return Err(CellError::Cut { volume, found: offset + filled as u64, size }.into());
        }
        if Digest::of(room) != expected {
            return Err(CellError::Mismatch { volume, offset, length }.into());
        }
        self.end = whole;
        Ok(room)
    }

    fn expect_end(&mut self) -> io::Result<()> {
        let CellList { volume, size, .. } = self.list;
        let mut more = [0];
        loop {
            match self.input.read(&mut more) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(CellError::TooLong { volume, size }.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads until `room` is full or the input ends; returns how many bytes came.
fn fill(input: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|r| !r.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl<R: Read> BufRead for CheckedCells<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.end {
            self.next_cell()?;
        }
        Ok(self.buffer.get(self.at..self.end).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.end);
    }
}
impl<R: Read> Read for CheckedCells<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: NonZeroU32 = NonZeroU32::new(8).unwrap();

    fn list(bytes: &[u8]) -> CellList {
        let cells = bytes.chunks(8).map(Digest::of).collect();
        CellList { volume: VolumeNumber::FIRST, size: bytes.len() as u64, cell: CELL, cells }
    }

    fn read(bytes: &[u8], list: CellList) -> (Vec<u8>, Option<CellError>) {
        let mut out = Vec::new();
        let error = CheckedCells::new(bytes, list).read_to_end(&mut out).err();
        (out, error.map(|e| CellError::of(&e).unwrap().clone()))
    }

    #[test]
    fn hands_out_what_was_hashed() {
        for length in [0, 1, 7, 8, 9, 16, 25] {
            let bytes: Vec<u8> = (0..length).collect();
            let list = list(&bytes);
            assert_eq!(list.cells.len(), bytes.len().div_ceil(8));
            assert_eq!(read(&bytes, list), (bytes, None));
        }
    }

    #[test]
    fn hands_out_no_byte_of_a_cell_that_is_wrong() {
        let bytes: Vec<u8> = (0..25).collect();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                let (out, error) = read(&bad, list(&bytes));
                assert_eq!(out, bytes[..at / 8 * 8], "byte {at}");
                let offset = at as u64 / 8 * 8;
                let length = 8.min(25 - offset);
                assert_eq!(error, Some(CellError::Mismatch { volume: VolumeNumber::FIRST, offset, length }));
            }
            let (out, error) = read(&bytes[..at], list(&bytes));
            assert_eq!(out, bytes[..at / 8 * 8], "cut at {at}");
            let found = at as u64;
            assert_eq!(error, Some(CellError::Cut { volume: VolumeNumber::FIRST, found, size: 25 }));
        }
        let longer = [&*bytes, b"x"].concat();
        let too_long = CellError::TooLong { volume: VolumeNumber::FIRST, size: 25 };
        assert_eq!(read(&longer, list(&bytes)), (bytes.clone(), Some(too_long)));
    }

    #[test]
    fn finds_all_damage_in_one_pass() {
        let bytes: Vec<u8> = (0..40).collect();
        let mut bad = bytes.clone();
        bad[0] ^= 1;
        bad[30] ^= 1;
        let mut cells = CheckedCells::new(&*bad, list(&bytes));
        let mut verdicts = Vec::new();
        loop {
            match cells.next_cell() {
                Ok([]) => break,
                other => verdicts.push(other.is_ok()),
            }
        }
        assert_eq!(verdicts, [false, true, true, false, true]);
    }
}
