//! Parity of a bundle that is written: a second pass over its index and its volumes, most of which is in the page cache still.

use std::{
    fs::File,
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use chantal_bundle::{
    index,
    manifest::{IndexFile, VolumeFile},
    name::VolumeNumber,
    parity::{Encoder, Layout, Parity, ParityFile, ParityGroup, ParityNumber, Percent, SHARD, groups, plan},
};
use chantal_contract::Digest;
use sha2::{Digest as _, Sha256};

use super::seal::{self, Shelf};
use crate::{
    report::{Event as Report, Reporter},
    transfer::TransferError,
};

/// Stripes that are encoded at a time, each in some 18 MiB.
const THREADS: usize = 2;

/// What is protected, and by how much.
pub(super) struct Protect<'a> {
    pub index: IndexFile,
    pub volumes: &'a [VolumeFile],
    pub percent: Percent,
    /// The most bytes of one parity file: as many as of a volume.
    pub limit: u64,
}

impl Protect<'_> {
    /// Writes all parity files and returns what the manifest says of them.
    pub fn write(&self, shelf: &mut Shelf, reporter: &dyn Reporter) -> Result<Parity, TransferError> {
        let index = plan(&[self.index.size], Percent::FULL, u64::MAX)?;
        let mut rest = self.volumes;
        let mut layouts = Vec::new();
        for covers in groups(rest.len(), self.percent) {
            let (these, others) = rest.split_at_checked(covers).unwrap_or_default();
            rest = others;
            let sizes: Vec<u64> = these.iter().map(|v| v.size.get()).collect();
            layouts.push((these.len(), plan(&sizes, self.percent, self.limit)?));
        }
        let needed =
            |layout: &Layout| (0..layout.recovery_files().len()).map(|n| layout.parity_bytes(n)).sum::<u64>();
        let bytes: u64 = layouts.iter().map(|(_, l)| needed(l)).chain([needed(&index)]).sum();
        seal::expect_space(&shelf.dir, bytes)?;
        let work = layouts.iter().map(|(_, l)| l.stripes() * l.stripe_bytes() as u64).sum();
        let task = "parity";
        reporter.event(Report::Begin { task, items: None, bytes: Some(work) });
        let mut number = 0;
        let mut group = |shelf: &mut Shelf, inputs: Vec<PathBuf>, layout: &Layout| {
            let count = layout.recovery_files().len();
            let numbers = (number..).map_while(ParityNumber::new).take(count);
            let group = write_group(shelf, &inputs, numbers.collect(), layout, (task, reporter));
            number += u32::try_from(count).unwrap_or(u32::MAX);
            group
        };
        let path = shelf.dir.join(index::FILE);
        let index = group(shelf, vec![path], &index)?;
        let mut volumes = (1..).map_while(|n| VolumeNumber::new(n).ok());
        let mut groups = Vec::new();
        for (covers, layout) in &layouts {
            let inputs = volumes.by_ref().take(*covers).map(|n| shelf.dir.join(n.file_name())).collect();
            groups.push(group(shelf, inputs, layout)?);
        }
        reporter.event(Report::End { task });
        Ok(Parity { shard: u32::try_from(SHARD).unwrap_or(u32::MAX), index, groups })
    }
}

/// A parity file that is being written.
struct Out {
    path: PathBuf,
    file: File,
    hash: Sha256,
    size: u64,
}

fn write_group(
    shelf: &mut Shelf,
    inputs: &[PathBuf],
    numbers: Vec<ParityNumber>,
    layout: &Layout,
    (task, reporter): (&str, &dyn Reporter),
) -> Result<ParityGroup, TransferError> {
    let open = |path: &PathBuf| File::open(path).map_err(|e| TransferError::io(path, e));
    let files: Vec<File> = inputs.iter().map(open).collect::<Result<_, _>>()?;
    let mut outs = Vec::new();
    for number in &numbers {
        let path = shelf.dir.join(number.file_name());
        let file = File::create_new(&path).map_err(|e| TransferError::io(&path, e))?;
        outs.push(Out { path, file, hash: Sha256::new(), size: 0 });
    }
    thread::scope(|scope| {
        let mut queues = Vec::new();
        for first in (0..layout.stripes()).take(THREADS) {
            let (sections, received) = sync_channel(1);
            queues.push(received);
            let files = &files;
            scope.spawn(move || {
                let job = Job { layout, inputs, files };
                if let Err(fault) = job.encode(first, &sections) {
                    // Nobody listens when another stripe failed before.
                    let _ = sections.send(Err(fault));
                }
            });
        }
        let mut left = layout.stripes();
        let mut next = queues.iter().cycle();
        while left > 0 {
            left -= 1;
            let queue: &Receiver<Sections> = next.next().ok_or(TransferError::Interrupted)?;
            let sections = queue.recv().map_err(|_| TransferError::Interrupted)??;
            for (out, section) in outs.iter_mut().zip(sections) {
                out.file.write_all(&section).map_err(|e| TransferError::io(&out.path, e))?;
                out.hash.update(&section);
                out.size += section.len() as u64;
            }
            let delta = i64::try_from(layout.stripe_bytes()).unwrap_or(i64::MAX);
            reporter.event(Report::Bytes { task, delta });
        }
        Ok::<(), TransferError>(())
    })?;
    let mut listed = Vec::new();
    for ((out, shards), number) in outs.into_iter().zip(layout.recovery_files()).zip(numbers) {
        out.file.sync_all().map_err(|e| TransferError::io(&out.path, e))?;
        let sha256 = Digest::from_bytes(out.hash.finalize().into());
        shelf.note(&number.file_name(), sha256);
        listed.push(ParityFile { shards: *shards, size: out.size, sha256 });
    }
    let covers = u32::try_from(layout.covers()).unwrap_or(u32::MAX);
    Ok(ParityGroup { covers, block: layout.block(), lane: layout.lane(), files: listed })
}

type Sections = Result<Vec<Vec<u8>>, TransferError>;

struct Job<'a> {
    layout: &'a Layout,
    inputs: &'a [PathBuf],
    files: &'a [File],
}

impl Job<'_> {
    /// Encodes every so many-th stripe from `first` on.
    fn encode(&self, first: u64, sections: &SyncSender<Sections>) -> Result<(), TransferError> {
        let mut encoder = Encoder::new(self.layout)?;
        for stripe in (first..self.layout.stripes()).step_by(THREADS) {
            let made = encoder.stripe(stripe, |block, room| {
                let gone = || TransferError::Interrupted;
                let file = self.files.get(block.file).ok_or_else(gone)?;
                let path: &Path = self.inputs.get(block.file).ok_or_else(gone)?;
                file.read_exact_at(room, block.offset).map_err(|e| TransferError::io(path, e))
            })?;
            if sections.send(Ok(made)).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}
