//! One group of files that are protected together: finds damaged shards, makes them anew, stripe by stripe.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use chantal_bundle::{
    VolumeNumber,
    manifest::Protection,
    parity::{Layout, Repairer, SHARD, Source},
};

use super::{Clinic, Overlay, Patient, joined, open};
use crate::{
    report::{Event as Report, Reporter},
    transfer::TransferError,
};

/// Stripes that are repaired at a time, each in some 18 MiB.
const THREADS: usize = 2;
const SHARD_BYTES: u64 = SHARD as u64;

/// Where the bytes of one protected file come from.
enum Protected<'a> {
    /// It is being repaired.
    Ill(&'a Overlay),
    /// It is at hand, in one or more copies.
    Well(Vec<File>),
    /// It is not at hand.
    Absent,
}

struct Files<'a> {
    data: Vec<Protected<'a>>,
    parity: Vec<Vec<File>>,
}

impl Files<'_> {
    fn is_absent(&self, file: usize) -> bool {
        match self.data.get(file) {
            Some(Protected::Ill(overlay)) => overlay.copies() == 0,
            Some(Protected::Well(_)) => false,
            Some(Protected::Absent) | None => true,
        }
    }

    /// Tells whether a stripe lacks no more than the parity files at hand could make up for, before it is read.
    fn may_suffice(&self, layout: &Layout, stripe: u64) -> bool {
        let absent = layout.blocks(stripe).filter(|block| self.is_absent(block.file));
        let absent: usize = absent.map(|block| block.range.len().div_ceil(SHARD)).sum();
        let spare = layout.recovery_files().iter().zip(&self.parity).filter(|(_, files)| !files.is_empty());
        absent <= spare.map(|(shards, _)| *shards as usize).sum()
    }
}

impl Source for &Files<'_> {
    fn data(&mut self, file: usize, offset: u64, room: &mut [u8]) -> bool {
        match self.data.get(file) {
            Some(Protected::Ill(overlay)) => overlay.fill(offset, room).is_ok(),
            Some(Protected::Well(copies)) => copies.iter().any(|f| f.read_exact_at(room, offset).is_ok()),
            Some(Protected::Absent) | None => false,
        }
    }

    fn parity(&mut self, file: usize, offset: u64, room: &mut [u8]) -> bool {
        let copies = self.parity.get(file).map(Vec::as_slice).unwrap_or_default();
        copies.iter().any(|f| f.read_exact_at(room, offset).is_ok())
    }
}

/// Repairs the volumes of a group that are among the patients.
pub(super) fn treat(
    clinic: &Clinic<'_>,
    protection: &Protection,
    patients: &mut BTreeMap<VolumeNumber, Patient>,
) -> Result<(), TransferError> {
    let layout = &protection.layout;
    let volumes: Vec<VolumeNumber> = (0..layout.covers()).filter_map(|n| protection.volume(n)).collect();
    if !volumes.iter().any(|v| patients.get(v).is_some_and(|p| !p.bad.is_empty())) {
        return Ok(());
    }
    let mut found: BTreeMap<VolumeNumber, Vec<Range<u64>>> = BTreeMap::new();
    {
        let data = volumes.iter().zip(0..).map(|(volume, file)| match patients.get(volume) {
            Some(patient) => Protected::Ill(&patient.overlay),
            None => match open(clinic.media.volumes.get(volume), layout.size(file)) {
                copies if copies.is_empty() => Protected::Absent,
                copies => Protected::Well(copies),
            },
        });
        let files = Files { data: data.collect(), parity: parity_files(clinic, protection) };
        let mut repairer = Repairer::new(layout, &files)?;
        let mut stripes = BTreeSet::new();
        for (file, volume) in volumes.iter().enumerate() {
            let Some(patient) = patients.get(volume) else { continue };
            let mut places = Vec::new();
            for range in patient.bad.iter().map(|n| patient.cell(*n)) {
                for shard in range.start / SHARD_BYTES..range.end.div_ceil(SHARD_BYTES) {
                    if patient.lost || repairer.is_damaged(file, shard) != Some(false) {
                        let begin = shard * SHARD_BYTES;
                        places.push(begin..(begin + SHARD_BYTES).min(layout.size(file)));
                        stripes.extend(layout.stripe_of(file, shard).map(|(stripe, _)| stripe));
                    }
                }
            }
            found.insert(*volume, joined(places.into_iter()));
        }
        drop(repairer);
        let suspect = |file: usize, offset: u64| match volumes.get(file).and_then(|v| patients.get(v)) {
            Some(patient) => {
                let cell = usize::try_from(offset / u64::from(patient.cells.cell.get()));
                cell.is_ok_and(|cell| patient.bad.binary_search(&cell).is_ok())
            }
            None => files.is_absent(file),
        };
        let stripes: Vec<u64> = stripes.into_iter().collect();
        repair(layout, &files, &stripes, &suspect, clinic.reporter)?;
    }
    for (volume, ranges) in found {
        if let Some(patient) = patients.get_mut(&volume)
            && !ranges.is_empty()
        {
            patient.ranges = ranges;
        }
    }
    Ok(())
}

/// Repairs an index as far as can be: every stripe is looked at.
pub(super) fn treat_index(
    clinic: &Clinic<'_>,
    protection: &Protection,
    overlay: &Overlay,
) -> Result<(), TransferError> {
    let files = Files { data: vec![Protected::Ill(overlay)], parity: parity_files(clinic, protection) };
    let stripes: Vec<u64> = (0..protection.layout.stripes()).collect();
    // Without a table nothing tells what is good of it: parity alone gives all of it.
    repair(&protection.layout, &files, &stripes, &|_, _| true, clinic.reporter)
}

fn parity_files(clinic: &Clinic<'_>, protection: &Protection) -> Vec<Vec<File>> {
    let count = protection.layout.recovery_files().len();
    let copies = |n| protection.parity(n).and_then(|number| clinic.media.parity.get(&number));
    (0..count).map(|n| open(copies(n), u64::MAX)).collect()
}

/// Repairs stripes; one that is beyond repair stays as it is.
fn repair(
    layout: &Layout,
    files: &Files<'_>,
    stripes: &[u64],
    suspect: &(dyn Fn(usize, u64) -> bool + Sync),
    reporter: &dyn Reporter,
) -> Result<(), TransferError> {
    let task = "repair";
    let bytes = stripes.len() as u64 * layout.stripe_bytes() as u64;
    reporter.event(Report::Begin { task, items: None, bytes: Some(bytes) });
    let next = AtomicUsize::new(0);
    let fault: Mutex<Option<TransferError>> = Mutex::new(None);
    let keep = |error| {
        fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    };
    thread::scope(|scope| {
        for _ in 0..THREADS.min(stripes.len()) {
            scope.spawn(|| {
                let mut repairer = match Repairer::new(layout, files) {
                    Ok(repairer) => repairer,
                    Err(error) => return keep(error.into()),
                };
                while let Some(stripe) = stripes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if fault.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                        return;
                    }
                    if files.may_suffice(layout, *stripe) {
                        let mut restore = |file: usize, offset: u64, bytes: &[u8]| {
                            if let Some(Protected::Ill(overlay)) = files.data.get(file)
                                && let Err(error) = overlay.put(offset, bytes)
                            {
                                keep(error);
                            }
                        };
                        // What is beyond repair is found when its cells are looked at again.
                        let _ = repairer.repair(*stripe, &mut |f, o| suspect(f, o), &mut restore);
                    }
                    let delta = i64::try_from(layout.stripe_bytes()).unwrap_or(i64::MAX);
                    reporter.event(Report::Bytes { task, delta });
                }
            });
        }
    });
    reporter.event(Report::End { task });
    match fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
