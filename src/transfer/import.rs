//! Import: from media to this store, proved in every byte before anything becomes current.

mod again;
mod blobs;
mod check;
mod closure;
mod front;
mod gather;
mod heal;
mod prepare;
mod rebuild;
mod reviewed;
mod shown;
mod trial;

use std::{
    collections::{BTreeSet, HashSet},
    fs::File,
    io::BufReader,
    num::NonZeroU32,
    path::PathBuf,
};

use chantal_bundle::{
    BundleName, KeyFingerprint, Manifest, VolumeNumber,
    index::{self, Member},
    manifest::CarriedState,
};
use chantal_contract::{Digest, Kind, Name, SnapshotName};
use jiff::Timestamp;

use self::{
    gather::{Gathered, gather},
    prepare::{Prepared, Visit},
    rebuild::Missing,
};
use super::{
    TransferError,
    admit::{self, Admitted},
    origin::Demands,
    repair::Damage,
    survey::Policies,
};

pub use trial::try_out;

use crate::{
    report::Reporter,
    store::{Carried, Event, Lock, StateRef, Store},
};

/// What came of one bundle.
#[derive(Clone, Debug)]
pub enum ImportOutcome {
    /// It was imported before; nothing became current.
    Already {
        /// Its name.
        bundle: BundleName,
        /// When.
        at: Timestamp,
        /// Blobs that its repositories lacked here, and that it brought back.
        back: u64,
    },
    /// It is imported: its states are current.
    Imported(Box<Imported>),
    /// Some of its volumes are still to come; what was there is verified and kept.
    Waiting {
        /// Its name.
        bundle: BundleName,
        /// Volumes that need not be seen again.
        have: Vec<VolumeNumber>,
        /// Volumes that are needed.
        need: Vec<VolumeNumber>,
    },
    /// Nothing was done, as that was asked for; an import would make its states current.
    Ready(Box<Ready>),
}

/// A bundle that an import would take.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Its name.
    pub bundle: BundleName,
    /// Its manifest.
    pub manifest: Manifest,
    /// Blobs that would come in by it.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Volumes that are damaged or lost, and that an import would repair.
    pub repaired: Vec<Damage>,
    /// Repositories of which only an import can prove all that the site's own rules ask for: packages' own signatures.
    pub unproved: Vec<Name>,
}

/// A bundle that was imported.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its name.
    pub bundle: BundleName,
    /// Its manifest.
    pub manifest: Manifest,
    /// Blobs that came in by it, and were not here before.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Names that were not taken over, as this site gave them to other states.
    pub kept_names: Vec<(CarriedState, SnapshotName)>,
    /// Volumes that were damaged or lost, and were repaired.
    pub repaired: Vec<Damage>,
}

/// What the site itself asks of what arrives.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Upstream's signatures, by repository and format.
    pub policies: &'a Policies<'a>,
    /// The first collector's signature, by repository.
    pub origins: &'a Demands,
    /// What is asked for, by repository and format, that nothing could prove: such a state is refused, and not taken unproved.
    pub unverifiable: &'a dyn Fn(&Name, Kind) -> Option<&'static str>,
}

/// Imports what lies at the given paths: bundle directories, media that hold such, or volumes, in any order.
///
/// Bundles are taken in the order of their sequence; after one that fails, none of its stream is tried.
/// A bundle that is not believed is one of the errors inside; the outer one is of finding any. Nothing becomes current that the
/// site's own rules refuse.
pub fn import(
    store: &Store,
    paths: &[PathBuf],
    rules: Rules<'_>,
    at: Timestamp,
    reporter: &dyn Reporter,
) -> Result<Vec<Result<ImportOutcome, TransferError>>, TransferError> {
    let _shared = store.lock(Lock::Shared)?;
    let mut found = gather(store, paths, at, reporter)?;
    Ok(found.in_order(&mut |found, bundle| {
        let visit = Visit { store, loose: found.loose(), rules, reporter };
        one(&visit, bundle, at)
    }))
}

fn one(visit: &Visit<'_, '_>, bundle: &Gathered, at: Timestamp) -> Result<ImportOutcome, TransferError> {
    let (store, admitted) = (visit.store, &bundle.admitted);
    let name = admitted.manifest.name()?;
    let _stream = store.lock(Lock::Site(&admitted.manifest.collector))?;
    if let Some(answer) = visit.answer(bundle, &name)? {
        return Ok(answer);
    }
    let job = visit.job(bundle, &name)?;
    let Prepared { media, proof, survey } = visit.prepare(&job, &bundle.dirs, at)?;
    let missing = &survey.missing;
    if !missing.volumes.is_empty() {
        let have: Vec<VolumeNumber> = job.volumes().filter(|n| !missing.volumes.contains_key(n)).collect();
        job.note_pending(&have, proof, at)?;
    }
    let mut taken = blobs::take(&job, missing, &media.volumes)?;
    let repaired = heal::heal(&job, missing, &media, &mut taken)?;
    let left = blobs::assemble(&job)?;
    if !left.is_empty() {
        let have = job.volumes().filter(|n| !left.contains(n)).collect::<Vec<_>>();
        job.note_pending(&have, proof, at)?;
    }
    // Refused even if nothing is missing: what a damaged volume holds beside its blobs was signed as well.
    job.expect_undamaged(taken.damaged)?;
    if !left.is_empty() {
        return Ok(job.waiting(&left));
    }
    let vetted = job.expect_reviewed(&survey, visit.rules.policies);
    if matches!(vetted, Err(TransferError::Policy { .. })) {
        // All of it came; what is pending is that the site takes it.
        let have: Vec<VolumeNumber> = job.volumes().collect();
        job.note_pending(&have, proof, at)?;
    }
    vetted?;
    // another import may have brought word of its signer meanwhile
    admit::expect_still(store, admitted)?;
    let kept_names = job.commit(proof, at)?;
    let manifest = admitted.manifest.clone();
    let (blobs, bytes) = (taken.blobs, taken.bytes);
    let imported = Imported { bundle: name, manifest, blobs, bytes, kept_names, repaired };
    Ok(ImportOutcome::Imported(Box::new(imported)))
}

/// One bundle that is being imported.
struct Job<'a> {
    store: &'a Store,
    admitted: &'a Admitted,
    name: &'a BundleName,
    /// Who approved it, rising.
    approved: Vec<KeyFingerprint>,
    /// The blobs that are asked for, where it is not all.
    only: Option<HashSet<Digest>>,
    /// What becomes of the others.
    others: Others,
    reporter: &'a dyn Reporter,
}

/// What becomes of blobs that are not asked for, as they pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// They are read over.
    PassedOver,
    /// They are held against the index, and not kept.
    Proved,
}

impl Job<'_> {
    fn manifest(&self) -> &Manifest {
        &self.admitted.manifest
    }

    fn volumes(&self) -> impl Iterator<Item = VolumeNumber> + use<'_> {
        self.manifest().volumes().map(|(number, _)| number)
    }

    /// Tells whether a member is asked for.
    fn wants(&self, member: &Member) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&member.blob.sha256))
    }

    /// Says that some volumes are still to come.
    fn waiting(&self, left: &BTreeSet<VolumeNumber>) -> ImportOutcome {
        let have = self.volumes().filter(|n| !left.contains(n)).collect();
        ImportOutcome::Waiting { bundle: self.name.clone(), have, need: left.iter().copied().collect() }
    }

    fn expect_undamaged(&self, damaged: Vec<(VolumeNumber, TransferError)>) -> Result<(), TransferError> {
        let mut numbers: Vec<VolumeNumber> = damaged.iter().map(|(number, _)| *number).collect();
        numbers.dedup();
        let Some((_, source)) = damaged.into_iter().next() else { return Ok(()) };
        let (bundle, source) = (self.name.clone(), Box::new(source));
        Err(TransferError::Damaged { bundle, damaged: numbers, source })
    }

    fn contradiction(&self, what: &'static str) -> TransferError {
        TransferError::Contradiction { bundle: self.name.clone(), what }
    }

    /// Opens the index, whose bytes were checked as they entered the pool.
    fn index(&self) -> Result<index::Reader<BufReader<File>>, TransferError> {
        let (file, input) = (self.manifest().index, self.index_file()?);
        let cell = NonZeroU32::new(self.manifest().cell).unwrap_or(NonZeroU32::MIN);
        index::Reader::new(input, file.open_size, cell).map_err(|e| self.of_index(e))
    }

    fn index_file(&self) -> Result<BufReader<File>, TransferError> {
        Ok(BufReader::with_capacity(1 << 17, self.store.pool().open(&self.manifest().index.sha256)?))
    }

    fn of_index(&self, source: index::IndexError) -> TransferError {
        TransferError::Index { bundle: self.name.clone(), source }
    }

    fn expect_space(&self, missing: &Missing) -> Result<(), TransferError> {
        let (needed, free) = (missing.bytes, self.store.free_space()?);
        if free < needed {
            return Err(TransferError::NoSpace { path: self.store.root().into(), needed, free });
        }
        Ok(())
    }

    fn note_pending(&self, have: &[VolumeNumber], proof: Digest, at: Timestamp) -> Result<(), TransferError> {
        let volumes: Vec<u32> = have.iter().map(|n| n.get()).collect();
        let known = self.store.catalog().pending()?;
        if known.iter().any(|row| row.manifest == self.admitted.digest && row.volumes == volumes) {
            return Ok(());
        }
        let event = Event::Pending {
            bundle: self.name.to_string(),
            manifest: self.admitted.digest,
            volumes,
            signed: self.admitted.signed.iter().map(ToString::to_string).collect(),
            approved: self.approved.iter().map(ToString::to_string).collect(),
            proof: Some(proof),
        };
        self.store.journal().append(event, at)?;
        Ok(())
    }

    /// Makes all states current and the sequence the newest, in one append.
    fn commit(
        &self,
        proof: Digest,
        at: Timestamp,
    ) -> Result<Vec<(CarriedState, SnapshotName)>, TransferError> {
        let manifest = self.manifest();
        let mut kept = Vec::new();
        let mut states = Vec::new();
        for state in &manifest.states {
            let mut names = Vec::new();
            for name in &state.names {
                match self.store.catalog().named(&state.repository, name)? {
                    Some(own) if own.state.manifest != state.manifest => {
                        kept.push((state.clone(), name.clone()));
                    }
                    _ => names.push(name.clone()),
                }
            }
            let (repository, base) = (state.repository.clone(), state.base);
            states.push(Carried { repository, base, state: state_of(state), names });
        }
        let event = Event::Imported {
            from: manifest.collector.clone(),
            bundle: self.name.to_string(),
            epoch: manifest.epoch.get(),
            sequence: manifest.sequence.get(),
            manifest: self.admitted.digest,
            states,
            created: Some(manifest.created),
            expected_next_by: manifest.expected_next_by,
            signed: self.admitted.signed.iter().map(ToString::to_string).collect(),
            approved: self.approved.iter().map(ToString::to_string).collect(),
            proof: Some(proof),
            origins: manifest.origins.iter().map(|file| file.sha256).collect(),
        };
        self.store.journal().append(event, at)?;
        Ok(kept)
    }
}

fn state_of(carried: &CarriedState) -> StateRef {
    StateRef {
        manifest: carried.manifest,
        evidence: carried.evidence,
        date: carried.date,
        valid_until: carried.valid_until,
    }
}
