//! Volumes on disk: a line of threads, each of which does one thing to the bytes and hands them on.
//!
//! The packer reads and hashes blobs; then one thread makes frames, cuts them into cells and hashes these and the volume, one
//! writes it, and one sees to it that the medium keeps up. Behind the first two, bytes travel as whole cells in their order:
//! what wants to see every cell as it is written takes its place in that line.

mod cut;
mod members;
mod write;

use std::{
    num::{NonZeroU32, NonZeroU64},
    path::Path,
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread::{Scope, ScopedJoinHandle},
};

use chantal_bundle::{
    VolumeNumber,
    frame::FrameEncoder,
    index::{Member, VolumeEntry},
    manifest::VolumeFile,
    volume::Volumes,
};
use chantal_contract::Digest;

use self::cut::{Cell, Cutter};
pub(super) use self::{members::MemberSpool, write::Cache};
use crate::transfer::TransferError;

/// Frames that wait between two threads; those in hand come on top, of 8 MiB each.
const FRAMES: usize = 1;
/// Cells that wait between two threads.
const CELLS: usize = 4;

enum Work {
    Frame(Vec<u8>),
    /// Answer with the volume's size once everything before is encoded.
    Settle(Sender<u64>),
    End(VolumeNumber),
}

/// What travels behind the frames: whole cells, of which only a volume's last may be shorter, and its end.
enum Flow {
    Cell(Cell),
    End(Done),
}

/// A volume that is whole and synced.
pub(super) struct Done {
    pub entry: VolumeEntry,
    pub cells: Vec<Digest>,
}

impl Done {
    /// Returns what the manifest says of it.
    pub fn file(&self) -> Option<VolumeFile> {
        let size = NonZeroU64::new(self.entry.measured.size)?;
        Some(VolumeFile { size, sha256: self.entry.measured.sha256 })
    }
}

type Handle<'scope, T> = ScopedJoinHandle<'scope, Result<T, TransferError>>;

/// Takes frames from a packer and hands them to the threads behind.
pub(super) struct Press<'scope> {
    work: SyncSender<Work>,
    spare: Receiver<Vec<u8>>,
    encoder: Handle<'scope, ()>,
    writer: Handle<'scope, Vec<Done>>,
    members: MemberSpool,
}

impl<'scope> Press<'scope> {
    /// Starts the threads; volumes are made in `dir`, the list of members in a nameless file in `tmp`.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        dir: &'env Path,
        tmp: &Path,
        cell: NonZeroU32,
        cache: Cache,
    ) -> Result<Self, TransferError> {
        let (work, queue) = sync_channel(FRAMES);
        let (recycle, spare) = channel();
        let (cut, cells) = sync_channel(CELLS);
        let (used, reusable) = channel();
        let cutter = Cutter::new(cell, cut, reusable);
        let encoder = scope.spawn(move || encode(dir, &queue, cutter, &recycle));
        let writer = scope.spawn(move || write::write(scope, dir, &cells, &used, cache));
        Ok(Self { work, spare, encoder, writer, members: MemberSpool::new(tmp)? })
    }

    /// Waits for the threads and returns the volumes with their members.
    pub fn finish(self) -> Result<(Vec<Done>, MemberSpool), TransferError> {
        drop(self.work);
        let encoded = join(self.encoder);
        // Errors from the end of the line come first: they are why those before found nobody to hand to.
        let done = join(self.writer)?;
        encoded?;
        Ok((done, self.members))
    }

    fn send(&self, work: Work) -> Result<(), TransferError> {
        self.work.send(work).map_err(|_| TransferError::Interrupted)
    }
}

fn join<T>(handle: Handle<'_, T>) -> Result<T, TransferError> {
    handle.join().unwrap_or(Err(TransferError::Interrupted))
}

impl Volumes for Press<'_> {
    type Error = TransferError;

    fn frame(&mut self, content: Vec<u8>) -> Result<Vec<u8>, TransferError> {
        self.send(Work::Frame(content))?;
        Ok(self.spare.try_recv().unwrap_or_default())
    }

    fn settled(&mut self) -> Result<u64, TransferError> {
        let (answer, size) = channel();
        self.send(Work::Settle(answer))?;
        size.recv().map_err(|_| TransferError::Interrupted)
    }

    fn member(&mut self, volume: VolumeNumber, member: &Member) -> Result<(), TransferError> {
        self.members.push(volume, member)
    }

    fn end_volume(&mut self, volume: VolumeNumber) -> Result<(), TransferError> {
        self.send(Work::End(volume))
    }
}

/// Makes frames and cuts them into cells.
fn encode(
    dir: &Path,
    queue: &Receiver<Work>,
    mut cutter: Cutter,
    recycle: &Sender<Vec<u8>>,
) -> Result<(), TransferError> {
    let io = |e| TransferError::io(dir, e);
    let mut encoder = FrameEncoder::new().map_err(io)?;
    while let Ok(work) = queue.recv() {
        match work {
            Work::Frame(content) => {
                encoder.encode(&content, &mut cutter).map_err(io)?;
                // Nobody may want a spare buffer any more.
                let _ = recycle.send(content);
            }
            Work::Settle(answer) => {
                // The packer waits for it; if it is gone, so is the export.
                let _ = answer.send(cutter.size());
            }
            Work::End(number) => cutter.end(number).map_err(io)?,
        }
    }
    Ok(())
}
