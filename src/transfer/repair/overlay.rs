//! A file of a medium with repaired shards laid over it.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use chantal_bundle::parity::SHARD;

use crate::transfer::TransferError;

const SHARD_BYTES: u64 = SHARD as u64;

/// A file's bytes: of what was staged, and of the first copy on a medium where nothing was.
pub(in crate::transfer) struct Overlay {
    copies: Vec<File>,
    /// Nameless, with holes: it takes the space of what was repaired.
    staged: File,
    tmp: PathBuf,
    marks: Mutex<Vec<u64>>,
    size: u64,
}

impl Overlay {
    /// Lays nothing over a file of `size` bytes yet; without a copy all of it is missing.
    pub fn new(tmp: &Path, copies: Vec<File>, size: u64) -> Result<Self, TransferError> {
        let staged = tempfile::tempfile_in(tmp).map_err(|e| TransferError::io(tmp, e))?;
        Ok(Self { copies, staged, tmp: tmp.into(), marks: Mutex::new(Vec::new()), size })
    }

    /// Returns how many copies lie below.
    pub fn copies(&self) -> usize {
        self.copies.len()
    }

    /// Lays bytes over the file; they begin at a shard and end at one, or at the file's end.
    pub fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), TransferError> {
        self.staged.write_all_at(bytes, offset).map_err(|e| TransferError::io(&self.tmp, e))?;
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        for shard in offset / SHARD_BYTES..(offset + bytes.len() as u64).div_ceil(SHARD_BYTES) {
            let word = usize::try_from(shard / 64).unwrap_or(usize::MAX);
            if marks.len() <= word {
                marks.resize(word + 1, 0);
            }
            if let Some(word) = marks.get_mut(word) {
                *word |= 1 << (shard % 64);
            }
        }
        Ok(())
    }

    fn is_staged(marks: &[u64], shard: u64) -> bool {
        let word = usize::try_from(shard / 64).ok().and_then(|n| marks.get(n));
        word.is_some_and(|word| word & (1 << (shard % 64)) != 0)
    }

    /// Reads some bytes from `offset` on; none at the end.
    pub fn read(&self, offset: u64, room: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX).min(room.len());
        let (staged, end) = {
            let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            let mut shard = offset / SHARD_BYTES;
            let staged = Self::is_staged(&marks, shard);
            let last = (offset + left as u64).div_ceil(SHARD_BYTES);
            while shard < last && Self::is_staged(&marks, shard) == staged {
                shard += 1;
            }
            (staged, shard * SHARD_BYTES)
        };
        let length = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(left);
        let room = room.get_mut(..length).unwrap_or_default();
        if room.is_empty() {
            return Ok(0);
        }
        match self.copies.first() {
            _ if staged => self.staged.read_at(room, offset),
            Some(file) => file.read_at(room, offset),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no copy of it is at hand")),
        }
    }

    /// Fills `room` from byte `offset` on.
    pub fn fill(&self, offset: u64, room: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while let Some(rest) = room.get_mut(filled..).filter(|r| !r.is_empty()) {
            match self.read(offset + filled as u64, rest) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills `room` from one of the copies.
    pub fn fill_from(&self, copy: usize, offset: u64, room: &mut [u8]) -> io::Result<()> {
        let file = self.copies.get(copy).ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(room, offset)
    }
}

/// A file that was repaired as far as could be; it can be read any number of times.
#[derive(Clone)]
pub(in crate::transfer) struct Mended {
    overlay: Arc<Overlay>,
    at: u64,
}

impl Mended {
    /// Begins at the first byte.
    pub fn new(overlay: Overlay) -> Self {
        Self { overlay: Arc::new(overlay), at: 0 }
    }
}

impl Read for Mended {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        // All of it could be read once: a drive that failed now is asked again.
        let n = self.overlay.read(self.at, room).or_else(|_| self.overlay.read(self.at, room))?;
        self.at += n as u64;
        Ok(n)
    }
}
