//! Repair: damaged and lost volumes are made anew from parity, into a staging area of the store. Media are only read.
//!
//! What comes out is believed no more than a medium is: every cell is hashed again as it is read.

mod group;
mod overlay;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::BufRead,
    num::NonZeroU32,
    ops::Range,
    path::{Path, PathBuf},
};

use chantal_bundle::{
    Manifest, VolumeNumber,
    cells::CellList,
    index::{self, IndexError, Item},
    parity::{ParityNumber, SHARD},
};
use chantal_contract::Digest;

pub(super) use overlay::{Mended, Overlay};

use super::{TransferError, medium};
use crate::{
    report::{Event as Report, Reporter, human},
    store::Store,
};

/// Files of one bundle that are at hand; of some there may be several copies.
#[derive(Clone, Debug, Default)]
pub(super) struct Media {
    pub volumes: BTreeMap<VolumeNumber, Vec<PathBuf>>,
    pub parity: BTreeMap<ParityNumber, Vec<PathBuf>>,
}

impl Media {
    /// Returns how many files there are.
    pub fn count(&self) -> usize {
        self.volumes.values().chain(self.parity.values()).map(Vec::len).sum()
    }

    /// Returns one of the files.
    pub fn any(&self) -> Option<&PathBuf> {
        self.volumes.values().chain(self.parity.values()).flatten().next()
    }

    /// Adds what lies in a bundle's directory.
    pub fn add(&mut self, dir: &Path) -> Result<(), TransferError> {
        for (number, path) in medium::volumes(dir)? {
            self.volumes.entry(number).or_default().push(path);
        }
        for (number, path) in medium::parity(dir)? {
            self.parity.entry(number).or_default().push(path);
        }
        Ok(())
    }
}

/// Reads from an index what cells the wanted volumes have.
pub(super) fn cell_lists<R: BufRead>(
    index: &mut index::Reader<R>,
    cell: NonZeroU32,
    wanted: &BTreeSet<VolumeNumber>,
) -> Result<BTreeMap<VolumeNumber, CellList>, IndexError> {
    let mut lists = BTreeMap::new();
    let mut current = None;
    while let Some(item) = index.next_item()? {
        match item {
            Item::Volume(entry) => {
                current = wanted.contains(&entry.number).then_some(entry.number);
                if let Some(volume) = current {
                    let size = entry.measured.size;
                    lists.insert(volume, CellList { volume, size, cell, cells: Vec::new() });
                }
            }
            Item::Cell(digest) => {
                if let Some(list) = current.and_then(|volume| lists.get_mut(&volume)) {
                    list.cells.push(digest);
                }
            }
            _ => {}
        }
    }
    Ok(lists)
}

/// What was wrong with a volume, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which volume.
    pub volume: VolumeNumber,
    /// Whether no file of it is at hand.
    pub lost: bool,
    /// The damaged bytes, rising.
    pub ranges: Vec<Range<u64>>,
    /// Those of them that are beyond repair.
    pub beyond: Vec<Range<u64>>,
}

impl Damage {
    /// Tells whether all of it was repaired.
    pub fn is_repaired(&self) -> bool {
        self.beyond.is_empty()
    }

    /// Returns how many bytes were damaged.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|r| r.end - r.start).sum()
    }

    /// Names the damaged bytes: `bytes 0 to 16384, 65536 to 81920 and 3 more stretches`.
    pub fn places(ranges: &[Range<u64>]) -> String {
        const NAMED: usize = 4;
        let named: Vec<String> =
            ranges.iter().take(NAMED).map(|r| format!("{} to {}", r.start, r.end)).collect();
        let more = match ranges.len().saturating_sub(NAMED) {
            0 => String::new(),
            1 => " and 1 more stretch".into(),
            more => format!(" and {more} more stretches"),
        };
        format!("bytes {}{more}", named.join(", "))
    }

    /// Says what was found and what became of it.
    pub fn words(&self) -> String {
        let size = human::size(self.bytes());
        match (self.lost, self.is_repaired()) {
            (true, true) => format!("it is lost, and was made anew from parity: {size}"),
            (true, false) => "it is lost, and beyond repair with what is at hand".into(),
            (false, true) => format!("repaired: {size}, {}", Self::places(&self.ranges)),
            (false, false) => {
                format!(
                    "damaged: {}; beyond repair: {}",
                    Self::places(&self.ranges),
                    Self::places(&self.beyond)
                )
            }
        }
    }
}

/// A volume that was looked at, and what can be read of it now.
pub(super) struct Healed {
    pub damage: Damage,
    pub mended: Mended,
}

/// What a repair works with.
pub(super) struct Clinic<'a> {
    pub store: &'a Store,
    pub manifest: &'a Manifest,
    pub media: &'a Media,
    pub reporter: &'a dyn Reporter,
}

/// A volume that is being repaired.
struct Patient {
    cells: CellList,
    overlay: Overlay,
    lost: bool,
    /// Cells that are not what was signed, rising.
    bad: Vec<usize>,
    /// The damaged bytes as closely as is known.
    ranges: Vec<Range<u64>>,
    /// Those that another copy made up for.
    borrowed: Vec<Range<u64>>,
}

impl Patient {
    fn cell(&self, n: usize) -> Range<u64> {
        let cell = u64::from(self.cells.cell.get());
        let begin = n as u64 * cell;
        begin..(begin + cell).min(self.cells.size)
    }

    fn is_good(&self, n: usize, room: &mut Vec<u8>) -> bool {
        let range = self.cell(n);
        room.resize(usize::try_from(range.end - range.start).unwrap_or(0), 0);
        self.overlay.fill(range.start, room).is_ok() && self.cells.cells.get(n) == Some(&Digest::of(room))
    }
}

/// Takes a cell that is bad in the first copy of a volume from another one.
fn borrow(patient: &mut Patient, n: usize, room: &mut Vec<u8>) -> Result<bool, TransferError> {
    let range = patient.cell(n);
    for copy in 1..patient.overlay.copies() {
        room.resize(usize::try_from(range.end - range.start).unwrap_or(0), 0);
        if patient.overlay.fill_from(copy, range.start, room).is_ok()
            && patient.cells.cells.get(n) == Some(&Digest::of(room))
        {
            let differing = differing(&patient.overlay, range.start, room);
            patient.borrowed.extend(differing);
            patient.overlay.put(range.start, room)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says where the first copy differs from bytes that are good, in blocks of a shard.
fn differing(overlay: &Overlay, start: u64, good: &[u8]) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    let mut at = start;
    for block in good.chunks(SHARD) {
        let mut theirs = vec![0; block.len()];
        let end = at + block.len() as u64;
        if overlay.fill_from(0, at, &mut theirs).is_err() || theirs != block {
            found.push(at..end);
        }
        at = end;
    }
    found
}

impl Clinic<'_> {
    /// Returns the volumes that are not at hand and could be made anew: so much of their group is there.
    pub fn revivable(&self) -> Vec<VolumeNumber> {
        let mut found = Vec::new();
        for protection in self.manifest.volume_parity() {
            let layout = &protection.layout;
            let absent: Vec<usize> = (0..layout.covers())
                .filter(|n| protection.volume(*n).is_some_and(|v| !self.media.volumes.contains_key(&v)))
                .collect();
            let shards: usize = layout
                .blocks(0)
                .filter(|block| absent.contains(&block.file))
                .map(|block| block.range.len().div_ceil(SHARD))
                .sum();
            let at_hand =
                layout.recovery_files().iter().enumerate().filter(|(n, _)| {
                    protection.parity(*n).is_some_and(|p| self.media.parity.contains_key(&p))
                });
            let spare: usize = at_hand.map(|(_, shards)| *shards as usize).sum();
            if shards <= spare {
                found.extend(absent.iter().filter_map(|n| protection.volume(*n)));
            }
        }
        found
    }

    /// Looks at every cell of these volumes, repairs what can be repaired, and says of each what was found.
    pub fn heal(&self, volumes: BTreeMap<VolumeNumber, CellList>) -> Result<Vec<Healed>, TransferError> {
        let mut patients = self.examine(volumes)?;
        let needed: u64 = patients
            .values()
            .flat_map(|p| p.bad.iter().map(|n| p.cell(*n)))
            .map(|range| range.end - range.start)
            .sum();
        if needed > 0 && self.manifest.parity.is_some() {
            let free = self.store.free_space()?;
            if free < needed {
                return Err(TransferError::NoSpace { path: self.store.root().into(), needed, free });
            }
            for protection in self.manifest.volume_parity() {
                group::treat(self, &protection, &mut patients)?;
            }
        }
        let mut healed = Vec::new();
        let mut room = Vec::new();
        for (volume, patient) in patients {
            let still: Vec<usize> =
                patient.bad.iter().copied().filter(|n| !patient.is_good(*n, &mut room)).collect();
            let beyond = joined(still.into_iter().map(|n| patient.cell(n)));
            let Patient { overlay, lost, mut ranges, borrowed, .. } = patient;
            ranges.extend(borrowed);
            ranges.sort_by_key(|range| range.start);
            let ranges = joined(ranges.into_iter());
            let damage = Damage { volume, lost, ranges, beyond };
            healed.push(Healed { damage, mended: Mended::new(overlay) });
        }
        Ok(healed)
    }

    fn examine(
        &self,
        volumes: BTreeMap<VolumeNumber, CellList>,
    ) -> Result<BTreeMap<VolumeNumber, Patient>, TransferError> {
        let tmp = self.store.root().join("tmp");
        let task = "look for damage";
        let bytes = volumes.values().map(|v| v.size).sum();
        self.reporter.event(Report::Begin { task, items: None, bytes: Some(bytes) });
        let mut patients = BTreeMap::new();
        let mut room = Vec::new();
        for (number, cells) in volumes {
            let copies = open(self.media.volumes.get(&number), cells.size);
            let lost = copies.is_empty();
            let overlay = Overlay::new(&tmp, copies, cells.size)?;
            let mut patient =
                Patient { cells, overlay, lost, bad: Vec::new(), ranges: Vec::new(), borrowed: Vec::new() };
            for n in 0..patient.cells.cells.len() {
                let range = patient.cell(n);
                if lost || !(patient.is_good(n, &mut room) || borrow(&mut patient, n, &mut room)?) {
                    patient.bad.push(n);
                }
                let delta = i64::try_from(range.end - range.start).unwrap_or(i64::MAX);
                self.reporter.event(Report::Bytes { task, delta });
            }
            patient.ranges = joined(patient.bad.iter().map(|n| patient.cell(*n)));
            patients.insert(number, patient);
        }
        self.reporter.event(Report::End { task });
        Ok(patients)
    }

    /// Makes a damaged or lost index anew; none where there is no parity of it, or too little is left.
    ///
    /// What comes out is not checked yet.
    pub fn index(&self, copies: &[PathBuf]) -> Result<Option<Mended>, TransferError> {
        let Some(protection) = self.manifest.index_parity() else { return Ok(None) };
        if !self.media.parity.contains_key(&ParityNumber::INDEX) {
            return Ok(None);
        }
        let size = self.manifest.index.size;
        let free = self.store.free_space()?;
        if free < size {
            return Err(TransferError::NoSpace { path: self.store.root().into(), needed: size, free });
        }
        let copies = open(Some(&copies.to_vec()), size);
        let overlay = Overlay::new(&self.store.root().join("tmp"), copies, size)?;
        group::treat_index(self, &protection, &overlay)?;
        Ok(Some(Mended::new(overlay)))
    }
}

/// Opens the copies of a file; one that is longer than was signed is none.
fn open(paths: Option<&Vec<PathBuf>>, size: u64) -> Vec<File> {
    let opened = paths.into_iter().flatten().filter_map(|path| medium::open(path).ok());
    opened.filter(|file| file.metadata().is_ok_and(|m| m.len() <= size)).collect()
}

/// Joins ranges that touch.
fn joined(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
