//! Cuts a volume into its cells, and hashes both.

use std::{
    io::{self, Write},
    mem,
    num::NonZeroU32,
    sync::mpsc::{Receiver, SyncSender},
};

use chantal_bundle::{VolumeNumber, index::VolumeEntry};
use chantal_contract::{Digest, Measured};
use sha2::{Digest as _, Sha256};

use super::{Done, Flow};
use crate::transfer::export::direct::Room;

/// Bytes that one hash takes before the other does: a block of SHA-256. So short, that the processor works on both at once.
const TURN: usize = 64;

/// A cell, or as much of it as there is.
pub struct Cell {
    room: Room,
    filled: usize,
}

impl Cell {
    /// Returns its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.room.first(self.filled)
    }
}

/// Takes a volume's bytes, hashes them whole and cell by cell, and hands whole cells on.
pub struct Cutter {
    size: usize,
    current: Cell,
    cells: Vec<Digest>,
    volume: Sha256,
    out: SyncSender<Flow>,
    /// Cells that were used: allocating them anew costs more than filling them.
    spare: Receiver<Cell>,
}

impl Cutter {
    /// Cuts cells of `cell` bytes.
    pub fn new(cell: NonZeroU32, out: SyncSender<Flow>, spare: Receiver<Cell>) -> Self {
        let size = cell.get() as usize;
        let current = Cell { room: Room::new(size), filled: 0 };
        Self { size, current, cells: Vec::new(), volume: Sha256::new(), out, spare }
    }

    /// Returns how many bytes the current volume has.
    pub fn size(&self) -> u64 {
        self.cells.len() as u64 * self.size as u64 + self.current.filled as u64
    }

    /// Ends the current volume.
    pub fn end(&mut self, number: VolumeNumber) -> io::Result<()> {
        let size = self.size();
        if self.current.filled > 0 {
            self.hand_over()?;
        }
        let cells = mem::take(&mut self.cells);
        let sha256 = Digest::from_bytes(self.volume.finalize_reset().into());
        let entry = VolumeEntry { number, measured: Measured { sha256, size } };
        self.send(Flow::End(Done { entry, cells }))
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let mut hash = Sha256::new();
        for turn in self.current.bytes().chunks(TURN) {
            hash.update(turn);
            self.volume.update(turn);
        }
        self.cells.push(Digest::from_bytes(hash.finalize().into()));
        let room = self.spare.try_recv().map_or_else(|_| Room::new(self.size), |used| used.room);
        let cell = mem::replace(&mut self.current, Cell { room, filled: 0 });
        self.send(Flow::Cell(cell))
    }

    fn send(&self, flow: Flow) -> io::Result<()> {
        // Why the next thread ended is known there.
        self.out.send(flow).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Cell { room, filled } = &mut self.current;
        let n = room.all().get_mut(*filled..).unwrap_or_default().write(bytes)?;
        *filled += n;
        if *filled == self.size {
            self.hand_over()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};

    use super::*;

    #[test]
    fn cells_are_whole_in_order_and_hashed_and_each_volume_begins_anew() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in [0, 1, 15, 16, 17, 32, 250] {
            let (out, cells) = sync_channel(100);
            let (_, spare) = channel();
            let mut cutter = Cutter::new(NonZeroU32::new(16).unwrap(), out, spare);
            for volume in 1..=2 {
                // In pieces that meet no boundary.
                for piece in bytes[..length].chunks(7) {
                    cutter.write_all(piece).unwrap();
                }
                assert_eq!(cutter.size(), length as u64);
                cutter.end(VolumeNumber::new(volume).unwrap()).unwrap();
                let mut seen = Vec::new();
                let done = loop {
                    match cells.recv().unwrap() {
                        Flow::Cell(cell) => seen.push(cell.bytes().to_vec()),
                        Flow::End(done) => break done,
                    }
                };
                let whole = Measured { sha256: Digest::of(&bytes[..length]), size: length as u64 };
                assert_eq!((u64::from(done.entry.number.get()), done.entry.measured), (volume, whole));
                assert_eq!(seen, bytes[..length].chunks(16).map(<[u8]>::to_vec).collect::<Vec<_>>());
                assert_eq!(done.cells, seen.iter().map(|cell| Digest::of(cell)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn nobody_behind_is_an_error_and_no_wait() {
        let (out, cells) = sync_channel(1);
        drop(cells);
        let mut cutter = Cutter::new(NonZeroU32::new(4).unwrap(), out, channel().1);
        assert_eq!(cutter.write_all(b"12345").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
