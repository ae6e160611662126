//! Writes volumes and brings them to the medium.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, TrySendError, sync_channel},
    },
    thread::Scope,
};

use chantal_bundle::VolumeNumber;

use super::{Cell, Done, Flow, join};
use crate::transfer::{TransferError, export::direct};

/// Bytes after which what was written is brought to the medium, beside the writing of what follows.
const SYNC_BYTES: u64 = 64 << 20;

/// Whether volumes are read again once they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// They are: what was written stays in memory as long as there is room.
    Kept,
    /// They are not: where the file system can, they go past the page cache, whose pages cost more than all the rest of the writing.
    Bypassed,
}

/// A volume that is being written.
struct Open {
    file: File,
    path: PathBuf,
}

/// Where the next cell of a volume goes.
struct Place {
    volume: Arc<Open>,
    /// The same file past the page cache.
    direct: Option<File>,
    at: u64,
}

impl Place {
    fn new(dir: &Path, before: usize, cache: Cache) -> Result<Self, TransferError> {
        let number = VolumeNumber::new(before as u64 + 1)?;
        let path = dir.join(number.file_name());
        let file = File::create_new(&path).map_err(|e| TransferError::io(&path, e))?;
        // Not every file system can.
        let direct = || direct::open(OpenOptions::new().write(true), &path).ok();
        let direct = if cache == Cache::Bypassed { direct() } else { None };
        Ok(Self { volume: Arc::new(Open { file, path }), direct, at: 0 })
    }

    /// Writes a cell, and returns how many bytes of it are to be synced.
    fn put(&mut self, cell: &[u8]) -> io::Result<u64> {
        let past = self.put_past(cell)?;
        let rest = cell.get(past..).unwrap_or_default();
        self.volume.file.write_all_at(rest, self.at + past as u64)?;
        self.at += cell.len() as u64;
        Ok(rest.len() as u64)
    }

    /// Writes as much of a cell as goes past the page cache.
    fn put_past(&mut self, cell: &[u8]) -> io::Result<usize> {
        let Some(direct) = self.direct.as_ref().filter(|_| direct::fits(cell.len(), self.at)) else {
            return Ok(0);
        };
        match direct.write_at(cell, self.at) {
            // Some file systems open what they cannot write.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                self.direct = None;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            written => written,
        }
    }
}

/// How much of a volume there is to sync.
enum Sync {
    /// What was written until now.
    Part(Arc<Open>),
    /// All of it: the volume is whole.
    Whole(Arc<Open>),
}

/// Writes cells into volumes; returns the volumes once they are whole and synced.
pub fn write<'scope>(
    scope: &'scope Scope<'scope, '_>,
    dir: &Path,
    queue: &Receiver<Flow>,
    used: &Sender<Cell>,
    cache: Cache,
) -> Result<Vec<Done>, TransferError> {
    let (syncs, waiting) = sync_channel(1);
    let syncer = scope.spawn(move || sync(&waiting));
    let written = write_all(dir, queue, used, &syncs, cache);
    drop(syncs);
    // What the medium refused is why nobody took a volume to sync.
    join(syncer)?;
    written
}

fn write_all(
    dir: &Path,
    queue: &Receiver<Flow>,
    used: &Sender<Cell>,
    syncs: &SyncSender<Sync>,
    cache: Cache,
) -> Result<Vec<Done>, TransferError> {
    let mut done: Vec<Done> = Vec::new();
    let mut open: Option<Place> = None;
    let mut unsynced = 0;
    while let Ok(flow) = queue.recv() {
        match flow {
            Flow::Cell(cell) => {
                let place = match &mut open {
                    Some(place) => place,
                    None => open.insert(Place::new(dir, done.len(), cache)?),
                };
                unsynced += place.put(cell.bytes()).map_err(|e| TransferError::io(&place.volume.path, e))?;
                if unsynced >= SYNC_BYTES {
                    match syncs.try_send(Sync::Part(Arc::clone(&place.volume))) {
                        Ok(()) => unsynced = 0,
                        // The medium is slower than we are: it gets this with the next.
                        Err(TrySendError::Full(_)) => {}
                        Err(TrySendError::Disconnected(_)) => return Err(TransferError::Interrupted),
                    }
                }
                // The cutter may have ended.
                let _ = used.send(cell);
            }
            Flow::End(volume) => {
                let place = open.take().ok_or(TransferError::Interrupted)?;
                syncs.send(Sync::Whole(place.volume)).map_err(|_| TransferError::Interrupted)?;
                unsynced = 0;
                done.push(volume);
            }
        }
    }
    Ok(done)
}

/// Syncs what is asked for, one after the other; a failure is told once by the system, and ends the export.
fn sync(waiting: &Receiver<Sync>) -> Result<(), TransferError> {
    while let Ok(asked) = waiting.recv() {
        let (volume, synced) = match &asked {
            Sync::Part(volume) => (volume, volume.file.sync_data()),
            Sync::Whole(volume) => (volume, volume.file.sync_all()),
        };
        synced.map_err(|e| TransferError::io(&volume.path, e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::export::direct::Room;

    #[test]
    fn what_is_written_past_the_cache_and_through_it_is_one_file() {
        const CELL: usize = 8192;
        let bytes: Vec<u8> = (0..251).cycle().take(3 * CELL + 100).collect();
        let dir = tempfile::tempdir_in(".").unwrap();
        for (n, cache) in [Cache::Kept, Cache::Bypassed].into_iter().enumerate() {
            let mut place = Place::new(dir.path(), n, cache).unwrap();
            let able = place.direct.is_some();
            let mut unsynced = 0;
            for cell in bytes.chunks(CELL) {
                let mut room = Room::new(CELL);
                room.all()[..cell.len()].copy_from_slice(cell);
                unsynced += place.put(room.first(cell.len())).unwrap();
            }
            let past = if able { 100 } else { bytes.len() as u64 };
            assert_eq!((unsynced, able && cache == Cache::Kept), (past, false));
            assert_eq!(std::fs::read(&place.volume.path).unwrap(), bytes);
        }
    }

    #[test]
    fn bytes_that_no_device_takes_as_they_lie_go_through_the_cache() {
        let dir = tempfile::tempdir_in(".").unwrap();
        let mut place = Place::new(dir.path(), 0, Cache::Bypassed).unwrap();
        let room = vec![7; 3 * 4096];
        // an address that is a multiple of nothing
        let odd = usize::from(room.as_ptr().addr().is_multiple_of(2));
        let cell = &room[odd..odd + 8192];
        assert_eq!(place.put(cell).unwrap(), 8192);
        assert!(place.direct.is_none());
        assert_eq!(std::fs::read(&place.volume.path).unwrap(), cell);
    }
}
