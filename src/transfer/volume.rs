//! A volume that is being read: one thread checks cells and opens frames, the caller takes members.

use std::{
    cmp::Ordering,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread,
};

use chantal_bundle::{
    VolumeNumber,
    cells::{CellError, CellList, CheckedCells},
    frame::Frames,
    index::Member,
    volume::{UnpackError, Unpacker},
};

use super::{TransferError, medium, repair::Mended};
use crate::store::StoreError;

/// Bytes of one piece that passes between the threads.
const PIECE: usize = 256 << 10;
/// Pieces that may wait.
const WAITING: usize = 32;

/// Where a volume is read from.
#[derive(Clone)]
pub(super) enum VolumeSource<'a> {
    /// A file on a medium.
    File(&'a Path),
    /// What a repair made.
    Mended(Mended),
}

/// A volume that is being read in the order of its index.
pub(super) struct OpenVolume {
    path: PathBuf,
    number: VolumeNumber,
    unpacker: Unpacker<Pieces>,
}

impl OpenVolume {
    /// Opens a volume's file; nothing of it is seen but checked cells.
    pub fn begin(source: &VolumeSource<'_>, list: CellList) -> Result<Self, TransferError> {
        let (path, input): (PathBuf, Box<dyn Read + Send>) = match source {
            VolumeSource::File(path) => (path.into(), Box::new(open(path, &list)?)),
            VolumeSource::Mended(mended) => (list.volume.file_name().into(), Box::new(mended.clone())),
        };
        let number = list.volume;
        let (pieces, received) = sync_channel(WAITING);
        let (recycle, spare) = channel();
        thread::spawn(move || {
            if let Err(error) = feed(CheckedCells::new(input, list), &pieces, &spare) {
                // Nobody listens when the caller gave the volume up.
                let _ = pieces.send(Err(error));
            }
        });
        let unpacker = Unpacker::new(Pieces { received, recycle, piece: Vec::new(), at: 0 });
        Ok(Self { path, number, unpacker })
    }

    /// Returns which volume it is.
    pub fn number(&self) -> VolumeNumber {
        self.number
    }

    /// Steps to the next member, which must be this one.
    pub fn step(&mut self, expected: &Member) -> Result<(), TransferError> {
        let next = self.unpacker.next_member().map_err(|e| self.unpack(e))?;
        if next == Some((expected.name(), expected.content().size)) {
            return Ok(());
        }
        let found = next.map_or_else(|| "its end".into(), |(name, size)| format!("{name} of {size} bytes"));
        let expected = format!("{} of {} bytes", expected.name(), expected.content().size);
        Err(TransferError::Member { path: self.path.clone(), expected, found })
    }

    /// Reads of the current member.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, TransferError> {
        self.unpacker.read(out).map_err(|e| self.unpack(e.into()))
    }

    /// Reads to the end, where nothing may follow.
    pub fn finish(mut self) -> Result<(), TransferError> {
        match self.unpacker.next_member() {
            Ok(None) => Ok(()),
            Ok(Some((name, _))) => {
                let (expected, found) = ("its end".into(), name.to_string());
                Err(TransferError::Member { path: self.path, expected, found })
            }
            Err(error) => Err(self.unpack(error)),
        }
    }

    /// Says that a member's bytes are not what the index says; other faults are of the store.
    pub fn altered(&self, error: StoreError) -> TransferError {
        match error {
            StoreError::Mismatch { mismatch } => TransferError::Altered { path: self.path.clone(), mismatch },
            other => other.into(),
        }
    }

    fn unpack(&self, error: UnpackError) -> TransferError {
        let path = self.path.clone();
        match error {
            UnpackError::Io(error) => match CellError::of(&error) {
                Some(cell) => TransferError::Cell { path, source: cell.clone() },
                None => TransferError::Volume { path, source: UnpackError::Io(error) },
            },
            source => TransferError::Volume { path, source },
        }
    }
}

/// Opens a file whose size must be what was signed: seen at once and not after hours, and the same on every run, however much of
/// it was taken before.
fn open(path: &Path, list: &CellList) -> Result<File, TransferError> {
    let file = medium::open(path)?;
    let (volume, size) = (list.volume, list.size);
    let found = file.metadata().map_err(|e| TransferError::io(path, e))?.len();
    let source = match found.cmp(&size) {
        Ordering::Equal => return Ok(file),
        Ordering::Less => CellError::Cut { volume, found, size },
        Ordering::Greater => CellError::TooLong { volume, size },
    };
    Err(TransferError::Cell { path: path.into(), source })
}

fn feed(
    cells: CheckedCells<Box<dyn Read + Send>>,
    pieces: &SyncSender<io::Result<Vec<u8>>>,
    spare: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut frames = Frames::new(cells)?;
    loop {
        let mut piece = spare.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let n = frames.read(&mut piece)?;
        if n == 0 {
            break;
        }
        piece.truncate(n);
        if pieces.send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
    // An empty piece says that all is well; a channel that merely closes does not. Nobody may listen any more.
    let _ = pieces.send(Ok(Vec::new()));
    Ok(())
}

/// What the other thread sends, as a reader.
struct Pieces {
    received: Receiver<io::Result<Vec<u8>>>,
    recycle: Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            let gone = || io::Error::other("the thread that reads the volume ended");
            let next = self.received.recv().map_err(|_| gone())??;
            // The other thread may have ended; then nobody needs it.
            let _ = self.recycle.send(std::mem::replace(&mut self.piece, next));
            self.at = 0;
        }
        let n = self.piece.get(self.at..).unwrap_or_default().read(out)?;
        self.at += n;
        Ok(n)
    }
}
