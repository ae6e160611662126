//! Writes volumes and brings them to the medium.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, TrySendError, sync_channel},
    },
    thread::Scope,
};

use chantal_bundle::VolumeNumber;

use super::{Done, Flow, join};
use crate::transfer::TransferError;

/// Bytes after which what was written is brought to the medium, beside the writing of what follows.
const SYNC_BYTES: u64 = 64 << 20;

/// A volume that is being written.
struct Open {
    file: File,
    path: PathBuf,
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
    queue: &Receiver<Flow<Done>>,
    used: &Sender<Vec<u8>>,
) -> Result<Vec<Done>, TransferError> {
    let (syncs, waiting) = sync_channel(1);
    let syncer = scope.spawn(move || sync(&waiting));
    let written = write_all(dir, queue, used, &syncs);
    drop(syncs);
    // What the medium refused is why nobody took a volume to sync.
    join(syncer)?;
    written
}

fn write_all(
    dir: &Path,
    queue: &Receiver<Flow<Done>>,
    used: &Sender<Vec<u8>>,
    syncs: &SyncSender<Sync>,
) -> Result<Vec<Done>, TransferError> {
    let mut done: Vec<Done> = Vec::new();
    let mut open: Option<Arc<Open>> = None;
    let mut unsynced = 0;
    while let Ok(flow) = queue.recv() {
        match flow {
            Flow::Cell(cell) => {
                let volume = match &mut open {
                    Some(volume) => volume,
                    None => open.insert(Arc::new(begin(dir, done.len())?)),
                };
                (&volume.file).write_all(&cell).map_err(|e| TransferError::io(&volume.path, e))?;
                unsynced += cell.len() as u64;
                if unsynced >= SYNC_BYTES {
                    match syncs.try_send(Sync::Part(Arc::clone(volume))) {
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
                let file = open.take().ok_or(TransferError::Interrupted)?;
                syncs.send(Sync::Whole(file)).map_err(|_| TransferError::Interrupted)?;
                unsynced = 0;
                done.push(volume);
            }
        }
    }
    Ok(done)
}

fn begin(dir: &Path, before: usize) -> Result<Open, TransferError> {
    let number = VolumeNumber::new(before as u64 + 1)?;
    let path = dir.join(number.file_name());
    let file = File::create_new(&path).map_err(|e| TransferError::io(&path, e))?;
    Ok(Open { file, path })
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
