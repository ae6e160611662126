//! Takes blobs out of volumes into the pool.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use chantal_bundle::{
    VolumeNumber,
    cells::CellList,
    index::{Item, Member},
};
use chantal_contract::{Expect, Measured};

use super::{Job, Others, rebuild::Missing};
use crate::{
    report::Event as Report,
    store::{Batch, BlobWriter, StoreError},
    transfer::{
        TransferError,
        repair::Mended,
        volume::{OpenVolume, VolumeSource},
    },
};

/// Bytes that are read and written at once.
const BUFFER: usize = 256 << 10;

/// What came of reading volumes.
#[derive(Default)]
pub(super) struct Taken {
    /// Blobs that entered the pool.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Volumes that were read to their end.
    pub read: BTreeSet<VolumeNumber>,
    /// Volumes of which no copy could be read to its end, and why.
    pub damaged: Vec<(VolumeNumber, TransferError)>,
}

/// Reads every volume that is at hand and needed, from its beginning to its end.
///
/// The index is read along: it says which cells and members come next. A volume that is damaged is given up; what was good of
/// it stays, and a further copy of the same volume is tried.
pub(super) fn take(
    job: &Job<'_>,
    missing: &Missing,
    files: &BTreeMap<VolumeNumber, Vec<PathBuf>>,
) -> Result<Taken, TransferError> {
    let mut taken = Taken::default();
    let mut open: BTreeSet<VolumeNumber> = missing.volumes.keys().copied().collect();
    let task = format!("import {}", job.name);
    let items = missing.volumes.values().sum();
    job.reporter.event(Report::Begin { task: &task, items: Some(items), bytes: Some(missing.content) });
    let copies = files.values().map(Vec::len).max().unwrap_or(0);
    for copy in 0..copies {
        let at_hand = files.iter().filter(|(number, _)| open.contains(number));
        let chosen: BTreeMap<VolumeNumber, VolumeSource<'_>> = at_hand
            .filter_map(|(number, paths)| Some((*number, VolumeSource::File(paths.get(copy)?))))
            .collect();
        if !chosen.is_empty() {
            open.retain(|number| !chosen.contains_key(number));
            let pass = Pass { job, task: &task, batch: job.store.pool().batch()?, chosen, taken: &mut taken };
            open.extend(pass.run()?);
        }
    }
    job.reporter.event(Report::End { task: &task });
    taken.damaged.retain(|(number, _)| open.contains(number));
    Ok(taken)
}

/// Reads volumes that were repaired as far as could be.
pub(super) fn take_mended(
    job: &Job<'_>,
    mended: BTreeMap<VolumeNumber, Mended>,
    taken: &mut Taken,
) -> Result<(), TransferError> {
    let task = format!("import {}", job.name);
    job.reporter.event(Report::Begin { task: &task, items: None, bytes: None });
    taken.damaged.retain(|(number, _)| !mended.contains_key(number));
    let chosen = mended.into_iter().map(|(number, mended)| (number, VolumeSource::Mended(mended))).collect();
    Pass { job, task: &task, batch: job.store.pool().batch()?, chosen, taken }.run()?;
    job.reporter.event(Report::End { task: &task });
    Ok(())
}

/// One reading of the index along with some volumes.
struct Pass<'a> {
    job: &'a Job<'a>,
    task: &'a str,
    batch: Batch,
    chosen: BTreeMap<VolumeNumber, VolumeSource<'a>>,
    taken: &'a mut Taken,
}

impl Pass<'_> {
    /// Returns the volumes that turned out damaged.
    fn run(mut self) -> Result<Vec<VolumeNumber>, TransferError> {
        let cell = NonZeroU32::new(self.job.manifest().cell).unwrap_or(NonZeroU32::MIN);
        let mut index = self.job.index()?;
        let mut failed = Vec::new();
        let mut announced: Option<CellList> = None;
        let mut open: Option<OpenVolume> = None;
        let mut buffer = vec![0; BUFFER];
        while let Some(item) = index.next_item().map_err(|e| self.job.of_index(e))? {
            let (number, done) = match item {
                Item::Volume(entry) => {
                    let size = entry.measured.size;
                    let list = CellList { volume: entry.number, size, cell, cells: Vec::new() };
                    announced = self.chosen.contains_key(&entry.number).then_some(list);
                    (open.as_ref().map(OpenVolume::number), open.take().map_or(Ok(()), OpenVolume::finish))
                }
                Item::End(_) => {
                    (open.as_ref().map(OpenVolume::number), open.take().map_or(Ok(()), OpenVolume::finish))
                }
                Item::Cell(digest) => {
                    if let Some(list) = &mut announced {
                        list.cells.push(digest);
                    }
                    continue;
                }
                Item::Member(member) => {
                    if let Some(list) = announced.take()
                        && let Some(source) = self.chosen.get(&list.volume)
                    {
                        let number = list.volume;
                        match OpenVolume::begin(source, list) {
                            Ok(begun) => open = Some(begun),
                            Err(fault) => {
                                self.give_up(number, fault)?;
                                failed.push(number);
                            }
                        }
                    }
                    let Some(mut volume) = open.take() else { continue };
                    let number = volume.number();
                    let done = self.member(&mut volume, &member, &mut buffer);
                    if done.is_ok() {
                        open = Some(volume);
                    }
                    (Some(number), done)
                }
                _ => continue,
            };
            if let (Some(number), Err(fault)) = (number, done) {
                self.give_up(number, fault)?;
                failed.push(number);
            }
        }
        self.batch.flush()?;
        let read = self.chosen.keys().filter(|number| !failed.contains(number));
        self.taken.read.extend(read);
        Ok(failed)
    }

    /// Reads one member into the pool, unless it is there or not asked for.
    fn member(
        &mut self,
        volume: &mut OpenVolume,
        member: &Member,
        buffer: &mut [u8],
    ) -> Result<(), TransferError> {
        volume.step(member)?;
        let content = member.content();
        if !self.job.wants(member) {
            return match self.job.others {
                Others::PassedOver => Ok(()),
                Others::Proved => self.prove(volume, content, buffer),
            };
        }
        if self.batch.has(&member.blob.sha256)?.is_some() || self.batch.has(&content.sha256)?.is_some() {
            return Ok(());
        }
        let mut blob = self.batch.writer(&exactly(content))?;
        loop {
            let n = volume.read(buffer)?;
            let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
            put(&mut blob, bytes).map_err(|e| volume.altered(e))?;
            self.passed(n);
        }
        blob.finish().map_err(|e| volume.altered(e))?;
        self.came(content);
        Ok(())
    }

    /// Holds one member against the index and keeps nothing of it.
    fn prove(
        &mut self,
        volume: &mut OpenVolume,
        content: Measured,
        buffer: &mut [u8],
    ) -> Result<(), TransferError> {
        let mut measurer = exactly(content).measure();
        loop {
            let n = volume.read(buffer)?;
            let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
            measurer.update(bytes).map_err(|e| volume.altered(e.into()))?;
            self.passed(n);
        }
        measurer.finish().map_err(|e| volume.altered(e.into()))?;
        if self.batch.has(&content.sha256)?.is_none() {
            self.came(content);
        }
        Ok(())
    }

    fn passed(&self, bytes: usize) {
        let delta = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.job.reporter.event(Report::Bytes { task: self.task, delta });
    }

    fn came(&mut self, content: Measured) {
        self.taken.blobs += 1;
        self.taken.bytes += content.size;
        self.job.reporter.event(Report::Done { task: self.task, items: 1 });
    }

    /// Notes that a volume is bad; a fault of this machine's store ends the import instead.
    fn give_up(&mut self, number: VolumeNumber, fault: TransferError) -> Result<(), TransferError> {
        if matches!(&fault, TransferError::Store(_)) {
            return Err(fault);
        }
        let (subject, text) = (number.file_name(), fault.to_string());
        self.job.reporter.event(Report::Warning { subject: &subject, text: &text });
        self.taken.damaged.push((number, fault));
        Ok(())
    }
}

fn exactly(content: Measured) -> Expect {
    Expect::exactly(content.size, vec![content.sha256.into()])
}

/// Writes to a blob; what is wrong with its content comes back as such.
pub(super) fn put(blob: &mut BlobWriter, bytes: &[u8]) -> Result<(), StoreError> {
    blob.write_all(bytes).map_err(|e| StoreError::io(Path::new("pool"), e))
}

/// Makes split blobs whole of their parts, and returns the volumes of which some blob is still missing.
///
/// When it returns none, every blob that the bundle lists, and that is asked for, was seen in the pool.
pub(super) fn assemble(job: &Job<'_>) -> Result<BTreeSet<VolumeNumber>, TransferError> {
    let batch = job.store.pool().batch()?;
    let mut left = BTreeSet::new();
    let mut index = job.index()?;
    let mut volume = VolumeNumber::FIRST;
    let mut parts: Vec<(VolumeNumber, Measured)> = Vec::new();
    while let Some(item) = index.next_item().map_err(|e| job.of_index(e))? {
        if let Item::Volume(entry) = item {
            volume = entry.number;
        }
        let Item::Member(member) = item else { continue };
        if !job.wants(&member) {
            continue;
        }
        match (batch.has(&member.blob.sha256)?, member.part) {
            (Some(size), _) if size == member.blob.size => {}
            (Some(_), _) => return Err(job.contradiction("the size of a blob")),
            (None, None) => drop(left.insert(volume)),
            (None, Some(part)) => {
                if part.number == 1 {
                    parts.clear();
                }
                parts.push((volume, part.measured));
                if part.number == part.of && lacking(&batch, &parts, &mut left)? == Lacking::Nothing {
                    join(job, &batch, member.blob, &parts)?;
                }
            }
        }
    }
    batch.flush()?;
    Ok(left)
}

#[derive(PartialEq, Eq)]
enum Lacking {
    Nothing,
    Some,
}

fn lacking(
    batch: &Batch,
    parts: &[(VolumeNumber, Measured)],
    left: &mut BTreeSet<VolumeNumber>,
) -> Result<Lacking, TransferError> {
    let mut lacking = Lacking::Nothing;
    for (volume, part) in parts {
        if batch.has(&part.sha256)?.is_none() {
            left.insert(*volume);
            lacking = Lacking::Some;
        }
    }
    Ok(lacking)
}

fn join(
    job: &Job<'_>,
    batch: &Batch,
    blob: Measured,
    parts: &[(VolumeNumber, Measured)],
) -> Result<(), TransferError> {
    let mut whole = batch.writer(&exactly(blob))?;
    let mut buffer = vec![0; BUFFER];
    // Each part is what the index says, so a whole that is not is the collector's fault.
    let fault = |error| match error {
        StoreError::Mismatch { .. } => job.contradiction("the parts of a blob"),
        other => other.into(),
    };
    for (_, part) in parts {
        let path = job.store.pool().path(&part.sha256);
        let mut input = batch.open(&part.sha256)?;
        loop {
            let n = input.read(&mut buffer).map_err(|e| TransferError::io(&path, e))?;
            let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
            put(&mut whole, bytes).map_err(fault)?;
        }
    }
    whole.finish().map(drop).map_err(fault)
}
