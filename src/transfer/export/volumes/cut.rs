//! Cuts a volume into its cells.

use std::{
    io::{self, Write},
    mem,
    num::NonZeroU32,
    sync::mpsc::{Receiver, SyncSender},
};

use chantal_bundle::VolumeNumber;
use chantal_contract::Digest;

use super::{Cut, Flow};

/// Takes a volume's bytes, hashes them cell by cell, and hands whole cells on.
pub struct Cutter {
    cell: usize,
    current: Vec<u8>,
    cells: Vec<Digest>,
    out: SyncSender<Flow<Cut>>,
    /// Cells that were used: allocating them anew costs more than filling them.
    spare: Receiver<Vec<u8>>,
}

impl Cutter {
    /// Cuts cells of `cell` bytes.
    pub fn new(cell: NonZeroU32, out: SyncSender<Flow<Cut>>, spare: Receiver<Vec<u8>>) -> Self {
        Self { cell: cell.get() as usize, current: Vec::new(), cells: Vec::new(), out, spare }
    }

    /// Returns how many bytes the current volume has.
    pub fn size(&self) -> u64 {
        self.cells.len() as u64 * self.cell as u64 + self.current.len() as u64
    }

    /// Ends the current volume.
    pub fn end(&mut self, number: VolumeNumber) -> io::Result<()> {
        if !self.current.is_empty() {
            self.hand_over()?;
        }
        let cells = mem::take(&mut self.cells);
        self.send(Flow::End(Cut { number, cells }))
    }

    fn hand_over(&mut self) -> io::Result<()> {
        self.cells.push(Digest::of(&self.current));
        let mut next = self.spare.try_recv().unwrap_or_default();
        next.clear();
        let cell = mem::replace(&mut self.current, next);
        self.send(Flow::Cell(cell))
    }

    fn send(&self, flow: Flow<Cut>) -> io::Result<()> {
        // Why the next thread ended is known there.
        self.out.send(flow).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (now, _) = bytes.split_at(bytes.len().min(self.cell - self.current.len()));
        self.current.reserve_exact(self.cell - self.current.len());
        self.current.extend_from_slice(now);
        if self.current.len() == self.cell {
            self.hand_over()?;
        }
        Ok(now.len())
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
                let digests = loop {
                    match cells.recv().unwrap() {
                        Flow::Cell(cell) => seen.push(cell),
                        Flow::End(cut) => break cut.cells,
                    }
                };
                assert_eq!(seen, bytes[..length].chunks(16).map(<[u8]>::to_vec).collect::<Vec<_>>());
                assert_eq!(digests, seen.iter().map(|cell| Digest::of(cell)).collect::<Vec<_>>());
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
