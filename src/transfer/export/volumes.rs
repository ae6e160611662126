//! Volumes on disk: one thread reads and hashes blobs, one squeezes, one hashes cells and writes, one sums the file.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Seek, Write},
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::{Scope, ScopedJoinHandle},
};

use chantal_bundle::{
    VolumeNumber,
    cells::CellHasher,
    frame::FrameEncoder,
    index::{Member, MemberPart, VolumeEntry},
    manifest::VolumeFile,
    volume::Volumes,
};
use chantal_contract::{Digest, Measured};
use sha2::{Digest as _, Sha256};

use crate::transfer::TransferError;

/// Frames that wait between two threads; with those in hand they make some 70 MB.
const WAITING: usize = 2;

enum Work {
    Frame(Vec<u8>),
    /// Answer with the volume's size once everything before is written.
    Settle(Sender<u64>),
    End(VolumeNumber),
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

/// Takes frames from a packer and hands them to the threads behind.
pub(super) struct Press<'scope> {
    work: SyncSender<Work>,
    spare: Receiver<Vec<u8>>,
    encoder: ScopedJoinHandle<'scope, Result<(), TransferError>>,
    writer: ScopedJoinHandle<'scope, Result<Vec<Done>, TransferError>>,
    members: MemberSpool,
}

impl<'scope> Press<'scope> {
    /// Starts the threads; volumes are made in `dir`, the list of members in a nameless file in `tmp`.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        dir: &'env Path,
        tmp: &Path,
        cell: NonZeroU32,
    ) -> Result<Self, TransferError> {
        let (work, queue) = sync_channel(WAITING);
        let (squeezed, written) = sync_channel(WAITING);
        let (recycle, spare) = channel();
        let (used, reusable) = channel();
        let encoder = scope.spawn(move || encode(dir, &queue, &squeezed, &recycle, &reusable));
        let writer = scope.spawn(move || write(scope, dir, cell, &written, &used));
        Ok(Self { work, spare, encoder, writer, members: MemberSpool::new(tmp)? })
    }

    /// Waits for the threads and returns the volumes with their members.
    pub fn finish(self) -> Result<(Vec<Done>, MemberSpool), TransferError> {
        drop(self.work);
        let encoded = join(self.encoder);
        // The writer's error comes first: it is why the encoder found nobody to hand to.
        let done = join(self.writer)?;
        encoded?;
        Ok((done, self.members))
    }

    fn send(&self, work: Work) -> Result<(), TransferError> {
        self.work.send(work).map_err(|_| TransferError::Interrupted)
    }
}

fn join<T>(handle: ScopedJoinHandle<'_, Result<T, TransferError>>) -> Result<T, TransferError> {
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

fn encode(
    dir: &Path,
    queue: &Receiver<Work>,
    squeezed: &SyncSender<Work>,
    recycle: &Sender<Vec<u8>>,
    reusable: &Receiver<Vec<u8>>,
) -> Result<(), TransferError> {
    let io = |e| TransferError::io(dir, e);
    let mut encoder = FrameEncoder::new().map_err(io)?;
    while let Ok(work) = queue.recv() {
        let work = match work {
            Work::Frame(content) => {
                let mut frame: Vec<u8> = reusable.try_recv().unwrap_or_default();
                frame.clear();
                encoder.encode(&content, &mut frame).map_err(io)?;
                // Nobody may want a spare buffer any more.
                let _ = recycle.send(content);
                Work::Frame(frame)
            }
            other => other,
        };
        squeezed.send(work).map_err(|_| TransferError::Interrupted)?;
    }
    Ok(())
}

/// A volume that is being written.
struct Open<'scope> {
    path: PathBuf,
    file: File,
    cells: CellHasher,
    size: u64,
    sums: SyncSender<Arc<Vec<u8>>>,
    summer: ScopedJoinHandle<'scope, Digest>,
}

fn write<'scope>(
    scope: &'scope Scope<'scope, '_>,
    dir: &Path,
    cell: NonZeroU32,
    queue: &Receiver<Work>,
    used: &Sender<Vec<u8>>,
) -> Result<Vec<Done>, TransferError> {
    let mut done = Vec::new();
    let mut open: Option<Open<'scope>> = None;
    while let Ok(work) = queue.recv() {
        match work {
            Work::Frame(frame) => {
                let number = u32::try_from(done.len()).unwrap_or(u32::MAX).saturating_add(1);
                let volume = match &mut open {
                    Some(volume) => volume,
                    None => open.insert(begin(scope, dir, cell, VolumeNumber::new(number.into())?, used)?),
                };
                let frame = Arc::new(frame);
                volume.sums.send(Arc::clone(&frame)).map_err(|_| TransferError::Interrupted)?;
                volume.cells.update(&frame);
                volume.size += frame.len() as u64;
                volume.file.write_all(&frame).map_err(|e| TransferError::io(&volume.path, e))?;
                give_back(frame, used);
            }
            Work::Settle(answer) => {
                // The packer waits for it; if it is gone, so is the export.
                let _ = answer.send(open.as_ref().map_or(0, |v| v.size));
            }
            Work::End(number) => {
                let volume = open.take().ok_or(TransferError::Interrupted)?;
                volume.file.sync_all().map_err(|e| TransferError::io(&volume.path, e))?;
                drop(volume.sums);
                let sha256 = volume.summer.join().map_err(|_| TransferError::Interrupted)?;
                let measured = Measured { sha256, size: volume.size };
                done.push(Done { entry: VolumeEntry { number, measured }, cells: volume.cells.finish() });
            }
        }
    }
    Ok(done)
}

/// Lets the last of two threads that used a buffer give it back; allocating 8 MiB anew costs more than hashing some.
fn give_back(frame: Arc<Vec<u8>>, used: &Sender<Vec<u8>>) {
    if let Some(frame) = Arc::into_inner(frame) {
        // The encoder may have ended.
        let _ = used.send(frame);
    }
}

fn begin<'scope>(
    scope: &'scope Scope<'scope, '_>,
    dir: &Path,
    cell: NonZeroU32,
    number: VolumeNumber,
    used: &Sender<Vec<u8>>,
) -> Result<Open<'scope>, TransferError> {
    let path = dir.join(number.file_name());
    let file = File::create_new(&path).map_err(|e| TransferError::io(&path, e))?;
    let (sums, frames) = sync_channel::<Arc<Vec<u8>>>(WAITING);
    let used = used.clone();
    let summer = scope.spawn(move || {
        let mut hash = Sha256::new();
        while let Ok(frame) = frames.recv() {
            hash.update(&**frame);
            give_back(frame, &used);
        }
        Digest::from_bytes(hash.finalize().into())
    });
    Ok(Open { path, file, cells: CellHasher::new(cell), size: 0, sums, summer })
}

/// The members of all volumes in their order, on disk: there may be millions.
pub(super) struct MemberSpool {
    dir: PathBuf,
    out: BufWriter<File>,
}

const RECORD: usize = 4 + 32 + 8 + 4 + 4 + 32 + 8;

impl MemberSpool {
    fn new(dir: &Path) -> Result<Self, TransferError> {
        let file = tempfile::tempfile_in(dir).map_err(|e| TransferError::io(dir, e))?;
        Ok(Self { dir: dir.into(), out: BufWriter::with_capacity(1 << 16, file) })
    }

    fn push(&mut self, volume: VolumeNumber, member: &Member) -> Result<(), TransferError> {
        let mut bytes = Vec::with_capacity(RECORD);
        bytes.extend(volume.get().to_le_bytes());
        bytes.extend(member.blob.sha256.as_bytes());
        bytes.extend(member.blob.size.to_le_bytes());
        let (number, of) = member.part.map_or((0, 0), |p| (p.number, p.of));
        bytes.extend(number.to_le_bytes());
        bytes.extend(of.to_le_bytes());
        bytes.extend(member.content().sha256.as_bytes());
        bytes.extend(member.content().size.to_le_bytes());
        self.out.write_all(&bytes).map_err(|e| TransferError::io(&self.dir, e))
    }

    /// Visits every member with its volume, in order.
    pub fn read(
        self,
        visit: &mut dyn FnMut(u32, &Member) -> Result<(), TransferError>,
    ) -> Result<(), TransferError> {
        let Self { dir, out } = self;
        let io = |e| TransferError::io(&dir, e);
        let mut file = out.into_inner().map_err(|e| io(e.into_error()))?;
        file.rewind().map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut input = BufReader::with_capacity(1 << 16, file);
        for _ in 0..length / RECORD as u64 {
            let volume = u32::from_le_bytes(array(&mut input).map_err(io)?);
            let sha256 = Digest::from_bytes(array(&mut input).map_err(io)?);
            let blob = Measured { sha256, size: u64::from_le_bytes(array(&mut input).map_err(io)?) };
            let number = u32::from_le_bytes(array(&mut input).map_err(io)?);
            let of = u32::from_le_bytes(array(&mut input).map_err(io)?);
            let sha256 = Digest::from_bytes(array(&mut input).map_err(io)?);
            let measured = Measured { sha256, size: u64::from_le_bytes(array(&mut input).map_err(io)?) };
            let part = (of > 0).then_some(MemberPart { number, of, measured });
            visit(volume, &Member { blob, part })?;
        }
        Ok(())
    }
}

fn array<const N: usize>(input: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
