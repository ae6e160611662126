//! A bundle's volumes, held against its index byte by byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufReader, Seek},
    num::NonZeroU32,
    path::Path,
};

use chantal_bundle::{
    BundleName, Manifest, VolumeNumber,
    cells::CellList,
    index::{self, Item, Member},
};
use chantal_contract::Digest;
use sha2::{Digest as _, Sha256};

use crate::{
    report::{Event as Report, Reporter},
    transfer::{
        TransferError,
        counts::Counted,
        repair::{Clinic, Damage, cell_lists},
        volume::{OpenVolume, VolumeSource},
    },
};

/// What was found of one volume.
#[derive(Debug)]
pub enum VolumeVerdict {
    /// Every cell and every blob is what was signed.
    Good,
    /// It is not at hand.
    Absent,
    /// It is damaged or lost, and was made anew from parity: an import will do the same.
    Repairable,
    /// It is not what was signed.
    Bad(TransferError),
}

/// What was found of all volumes.
pub(super) struct Checked {
    pub volumes: Vec<(VolumeNumber, VolumeVerdict)>,
    pub damage: Vec<Damage>,
    /// Copies that are bad while another one of the same volume is good, in words.
    pub copies: Vec<String>,
}

/// Reads every copy of every volume, and repairs what parity or a further copy makes up for.
pub(super) fn check(clinic: &Clinic<'_>, bundle: &BundleName, copy: File) -> Result<Checked, TransferError> {
    let (manifest, media, reporter) = (clinic.manifest, clinic.media, clinic.reporter);
    let mut check = Check { manifest, bundle, copy, task: format!("verify {bundle}"), reporter };
    let mut good = BTreeSet::new();
    let mut faults: Vec<(VolumeNumber, TransferError)> = Vec::new();
    let most = media.volumes.values().map(Vec::len).max().unwrap_or(0);
    for copy in 0..most.max(1) {
        let files = media
            .volumes
            .iter()
            .filter_map(|(number, paths)| Some((*number, VolumeSource::File(paths.get(copy)?))));
        let files: BTreeMap<VolumeNumber, VolumeSource<'_>> = files.collect();
        let bad = check.run(&files)?;
        good.extend(files.into_keys().filter(|number| !bad.contains_key(number)));
        faults.extend(bad);
    }
    let (mut copies, mut bad) = (Vec::new(), Bad::new());
    for (number, fault) in faults {
        if good.contains(&number) {
            copies.push(format!("{fault}; another copy of it is good"));
        } else {
            bad.entry(number).or_insert(fault);
        }
    }
    let mut wanted: BTreeSet<VolumeNumber> = bad.keys().copied().collect();
    wanted.extend(clinic.revivable());
    let mut damage = Vec::new();
    let mut repaired = BTreeSet::new();
    if !wanted.is_empty() {
        let mut mended = BTreeMap::new();
        for healed in clinic.heal(check.cells(&wanted)?)? {
            if healed.damage.is_repaired() {
                mended.insert(healed.damage.volume, VolumeSource::Mended(healed.mended));
            }
            damage.push(healed.damage);
        }
        repaired = mended.keys().copied().collect();
        let still = check.run(&mended)?;
        repaired.retain(|number| !still.contains_key(number));
        bad.retain(|number, _| !repaired.contains(number));
    }
    let volumes = manifest.volumes().map(|(number, _)| match bad.remove(&number) {
        _ if repaired.contains(&number) => (number, VolumeVerdict::Repairable),
        Some(fault) => (number, VolumeVerdict::Bad(fault)),
        None if good.contains(&number) => (number, VolumeVerdict::Good),
        None => (number, VolumeVerdict::Absent),
    });
    Ok(Checked { volumes: volumes.collect(), damage, copies })
}

struct Check<'a> {
    manifest: &'a Manifest,
    bundle: &'a BundleName,
    /// The index, checked.
    copy: File,
    task: String,
    reporter: &'a dyn Reporter,
}

type Bad = BTreeMap<VolumeNumber, TransferError>;

impl Check<'_> {
    fn fault(&self, source: index::IndexError) -> TransferError {
        TransferError::Index { bundle: self.bundle.clone(), source }
    }

    fn cell(&self) -> NonZeroU32 {
        NonZeroU32::new(self.manifest.cell).unwrap_or(NonZeroU32::MIN)
    }

    fn index(&mut self) -> Result<index::Reader<BufReader<&File>>, TransferError> {
        self.copy.rewind().map_err(|e| TransferError::io(Path::new(index::FILE), e))?;
        let input = BufReader::with_capacity(1 << 17, &self.copy);
        let fault = |source| TransferError::Index { bundle: self.bundle.clone(), source };
        index::Reader::new(input, self.manifest.index.open_size, self.cell()).map_err(fault)
    }

    /// Returns what cells some volumes have.
    fn cells(
        &mut self,
        wanted: &BTreeSet<VolumeNumber>,
    ) -> Result<BTreeMap<VolumeNumber, CellList>, TransferError> {
        let (cell, bundle) = (self.cell(), self.bundle.clone());
        cell_lists(&mut self.index()?, cell, wanted).map_err(|source| TransferError::Index { bundle, source })
    }

    /// Reads volumes along with the index, and returns those that are not what was signed.
    fn run(&mut self, files: &BTreeMap<VolumeNumber, VolumeSource<'_>>) -> Result<Bad, TransferError> {
        // what is counted is what comes out of the volumes; how much that is, the manifest says of all together
        let whole = self.manifest.volumes().all(|(number, _)| files.contains_key(&number));
        let bytes = whole.then_some(self.manifest.counts.bytes);
        self.reporter.event(Report::Begin { task: &self.task, items: None, bytes });
        self.copy.rewind().map_err(|e| TransferError::io(Path::new(index::FILE), e))?;
        let bad = self.read(files);
        self.reporter.event(Report::End { task: &self.task });
        bad
    }

    fn read(&self, files: &BTreeMap<VolumeNumber, VolumeSource<'_>>) -> Result<Bad, TransferError> {
        let mut bad = Bad::new();
        let (manifest, cell) = (self.manifest, self.cell());
        let input = BufReader::with_capacity(1 << 17, &self.copy);
        let mut index =
            index::Reader::new(input, manifest.index.open_size, cell).map_err(|e| self.fault(e))?;
        let mut announced: Option<CellList> = None;
        let mut open: Option<OpenVolume> = None;
        let mut counted = Counted::new(manifest);
        let mut buffer = vec![0; 1 << 18];
        while let Some(item) = index.next_item().map_err(|e| self.fault(e))? {
            counted.see(&item)?;
            match item {
                Item::Volume(entry) => {
                    close(open.take(), &mut bad);
                    let size = entry.measured.size;
                    let list = CellList { volume: entry.number, size, cell, cells: Vec::new() };
                    announced = files.contains_key(&entry.number).then_some(list);
                }
                Item::Cell(digest) => {
                    if let Some(list) = &mut announced {
                        list.cells.push(digest);
                    }
                }
                Item::Member(member) => {
                    if let Some(list) = announced.take()
                        && let Some(source) = files.get(&list.volume)
                    {
                        let number = list.volume;
                        match OpenVolume::begin(source, list) {
                            Ok(begun) => open = Some(begun),
                            Err(fault) => drop(bad.insert(number, fault)),
                        }
                    }
                    if let Some(mut volume) = open.take() {
                        match self.member(&mut volume, &member, &mut buffer) {
                            Ok(()) => open = Some(volume),
                            Err(fault) => drop(bad.insert(volume.number(), fault)),
                        }
                    }
                }
                Item::End(_) => close(open.take(), &mut bad),
                _ => {}
            }
        }
        Ok(bad)
    }

    fn member(
        &self,
        volume: &mut OpenVolume,
        member: &Member,
        buffer: &mut [u8],
    ) -> Result<(), TransferError> {
        volume.step(member)?;
        let mut hash = Sha256::new();
        loop {
            let n = volume.read(buffer)?;
            let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
            hash.update(bytes);
            let delta = i64::try_from(n).unwrap_or(i64::MAX);
            self.reporter.event(Report::Bytes { task: &self.task, delta });
        }
        if Digest::from_bytes(hash.finalize().into()) == member.content().sha256 {
            return Ok(());
        }
        Err(TransferError::Contradiction { bundle: self.bundle.clone(), what: "the content of a blob" })
    }
}

fn close(volume: Option<OpenVolume>, bad: &mut Bad) {
    let Some(volume) = volume else { return };
    let number = volume.number();
    if let Err(fault) = volume.finish() {
        bad.insert(number, fault);
    }
}
