//! Files past the page cache: what is written to a medium, or read back from it, is not wanted in memory.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;

/// What addresses, offsets and lengths must be a multiple of: the size of the largest block that is common.
const ALIGNED: usize = 4096;

/// Opens a file past the page cache; not every file system can.
pub(super) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.custom_flags(i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0)).open(path)
}

/// Tells whether bytes of this length can go past the page cache, to this offset.
pub(super) fn fits(length: usize, at: u64) -> bool {
    length.is_multiple_of(ALIGNED) && at.is_multiple_of(ALIGNED as u64)
}

/// Bytes at an address that a file past the page cache takes.
pub(super) struct Room {
    bytes: Vec<u8>,
    begin: usize,
    size: usize,
}

impl Room {
    /// Makes room for `size` bytes.
    pub fn new(size: usize) -> Self {
        let bytes = vec![0; size + ALIGNED];
        let begin = bytes.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        Self { bytes, begin, size }
    }

    /// Returns all of it.
    pub fn all(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.begin..self.begin + self.size).unwrap_or_default()
    }

    /// Returns its first bytes.
    pub fn first(&self, length: usize) -> &[u8] {
        self.bytes.get(self.begin..self.begin + length.min(self.size)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_where_it_must_be_and_as_large_as_asked_for() {
        for size in [1, 16, ALIGNED - 1, ALIGNED, 1 << 20] {
            let mut room = Room::new(size);
            assert_eq!(room.all().len(), size);
            assert!(room.all().as_ptr().addr().is_multiple_of(ALIGNED));
            room.all().fill(7);
            // it may be handed on, and stays where it is
            let moved = Box::new(room);
            assert!(moved.first(size).as_ptr().addr().is_multiple_of(ALIGNED));
            assert_eq!(moved.first(size), vec![7; size]);
        }
        assert!(fits(1 << 20, 3 << 20) && !fits(1 << 20, 513) && !fits(513, 0));
    }
}
