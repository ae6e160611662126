//! A trial: all that an import proves, and nothing of it is kept.
//!
//! It runs over a scratch of the store. Of the volumes every byte is proved as it passes; only what the walk of upstream's
//! indexes has to open is put into the scratch.

use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
};

use chantal_bundle::{VolumeNumber, index::Item};
use chantal_contract::{Digest, Entry, Line, Name, Policy, Role};

use jiff::Timestamp;

use super::{
    ImportOutcome, Job, Others, Ready, Rules, blobs,
    gather::{Gathered, gather},
    heal,
    prepare::{Prepared, Visit},
    rebuild::Survey,
    state_of,
};
use crate::{
    report::Reporter,
    store::{Lock, Scratch, Store, StoreError},
    transfer::{
        TransferError,
        content::{self, Need},
        survey::Policies,
    },
};

/// Tells what [`import`](super::import) would answer, and keeps nothing; see [`Ready`] for what only an import itself can prove.
pub fn try_out(
    store: &Store,
    paths: &[PathBuf],
    rules: Rules<'_>,
    at: Timestamp,
    reporter: &dyn Reporter,
) -> Result<Vec<Result<ImportOutcome, TransferError>>, TransferError> {
    let _shared = store.lock(Lock::Shared)?;
    let scratch = store.scratch()?;
    let mut found = gather(&scratch, paths, at, reporter)?;
    Ok(found.in_order(&mut |found, bundle| {
        let visit = Visit { store: &scratch, loose: found.loose(), rules, reporter };
        one(&visit, bundle, at, &scratch)
    }))
}

fn one(
    visit: &Visit<'_, '_>,
    bundle: &Gathered,
    at: Timestamp,
    scratch: &Scratch,
) -> Result<ImportOutcome, TransferError> {
    let name = bundle.admitted.manifest.name()?;
    let _stream = visit.store.lock(Lock::Site(&bundle.admitted.manifest.collector))?;
    if let Some(answer) = visit.answer(bundle, &name)? {
        return Ok(answer);
    }
    let mut job = visit.job(bundle, &name)?;
    let Prepared { media, proof, survey } = visit.prepare(&job, &bundle.dirs, at)?;
    job.only = Some(indexes(&job)?);
    job.others = Others::Proved;
    let missing = &survey.missing;
    let mut taken = blobs::take(&job, missing, &media.volumes)?;
    let repaired = heal::heal(&job, missing, &media, &mut taken)?;
    job.expect_undamaged(taken.damaged)?;
    let needed = missing.volumes.keys().copied();
    let left: BTreeSet<VolumeNumber> = needed.filter(|number| !taken.read.contains(number)).collect();
    if !left.is_empty() {
        return Ok(job.waiting(&left));
    }
    blobs::assemble(&job)?;
    promise(&job, scratch)?;
    let unproved = review(&job, &survey, visit.rules.policies)?;
    // into the scratch: bundles that follow are judged by it
    job.commit(proof, at)?;
    let (manifest, blobs, bytes) = (job.manifest().clone(), taken.blobs, taken.bytes);
    Ok(ImportOutcome::Ready(Box::new(Ready {
        bundle: name.clone(),
        manifest,
        blobs,
        bytes,
        repaired,
        unproved,
    })))
}

/// Lists what a walk of upstream's indexes opens.
fn indexes(job: &Job<'_>) -> Result<HashSet<Digest>, TransferError> {
    let mut found = HashSet::new();
    for state in &job.manifest().states {
        job.store.snapshot(&state.manifest)?.each_line::<TransferError>(&mut |line| {
            if let Line::File { entry: Entry::Present { measured, role: Role::Index }, .. } = line {
                found.insert(measured.sha256);
            }
            Ok(())
        })?;
        content::visit_evidence(job.store, &state_of(state), &mut |need| {
            if let Need::Blob(blob) = need {
                found.insert(blob.sha256);
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Takes all that the volumes bring to be here from now on: the bundles that follow start from it.
fn promise(job: &Job<'_>, scratch: &Scratch) -> Result<(), TransferError> {
    let mut index = job.index()?;
    while let Some(item) = index.next_item().map_err(|e| job.of_index(e))? {
        if let Item::Member(member) = item {
            scratch.promise(member.blob.sha256, member.blob.size);
        }
    }
    Ok(())
}

/// Holds the states against the site's policies and the review, and returns the repositories whose packages' own signatures only an
/// import can look at.
fn review(job: &Job<'_>, told: &Survey, policies: &Policies<'_>) -> Result<Vec<Name>, TransferError> {
    let states = &job.manifest().states;
    let asked = states.iter().filter(|state| {
        policies(&state.repository, state.format).is_some_and(|proof| proof.packages != Policy::Off)
    });
    let mut unproved: BTreeSet<Name> = asked.map(|state| state.repository.clone()).collect();
    match job.expect_reviewed(told, policies) {
        Ok(()) => {}
        // a walk that opens a payload: its bytes are proved, and not here
        Err(TransferError::Store(StoreError::Missing { .. })) => {
            unproved.extend(states.iter().map(|state| state.repository.clone()));
        }
        Err(fault) => return Err(fault),
    }
    Ok(unproved.into_iter().collect())
}
