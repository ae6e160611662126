//! Writes the deltas of a bundle's index and finds out which blobs and records must travel.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use chantal_bundle::{
    delta::{Edit, Lines, LinesError, Nothing, TextLines, diff},
    index::{IndexError, ReviewLine, Writer},
    manifest::{Base, CarriedState},
};
use chantal_contract::{Digest, Name};

use super::plan::{ExportPlan, PlannedState};
use crate::{
    store::{Evidence, StateRef, Store, StoreError},
    transfer::{
        ExportError, TransferError,
        content::{self, EVIDENCE_BYTES, Need, Tally},
        sorter::{Entry, Sorted, Sorter},
        survey::{Advance, survey},
    },
};

/// What the deltas need, beside what the site is believed to hold.
pub(super) struct Travellers {
    /// The blobs, rising, each once.
    pub blobs: Sorted,
    /// Their number.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The records, rising, each once.
    pub records: Sorted,
    /// The snapshots beside the bases whose blobs do not travel for their sake.
    pub presumed: Vec<Base>,
}

/// Why a delta cannot be written.
enum Fault {
    Lines(LinesError),
    Index(IndexError),
    Transfer(TransferError),
}
impl From<LinesError> for Fault {
    fn from(error: LinesError) -> Self {
        Self::Lines(error)
    }
}
impl From<IndexError> for Fault {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}
impl From<TransferError> for Fault {
    fn from(error: TransferError) -> Self {
        Self::Transfer(error)
    }
}
impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Transfer(error.into())
    }
}

impl Fault {
    fn of(self, plan: &ExportPlan, repository: &Name) -> TransferError {
        match self {
            Self::Lines(source) => {
                TransferError::Export(ExportError::Lines { repository: repository.clone(), source })
            }
            Self::Index(source) => TransferError::Index { bundle: plan.bundle.clone(), source },
            Self::Transfer(error) => error,
        }
    }
}

/// Sorters of what lines need.
struct Needs {
    blobs: Sorter,
    records: Sorter,
}

impl Needs {
    fn new(store: &Store) -> Self {
        let tmp = store.root().join("tmp");
        Self { blobs: Sorter::new(&tmp), records: Sorter::new(&tmp) }
    }

    /// Sorts; what comes out is each blob and each record once.
    fn finish(self) -> Result<(Sorted, Sorted), TransferError> {
        Ok((self.blobs.finish()?, self.records.finish()?))
    }

    fn add(&mut self, need: Need, tag: u32) -> Result<(), TransferError> {
        match need {
            Need::Blob(blob) => self.blobs.push(Entry { digest: blob.sha256, size: blob.size, tag }),
            Need::Record(digest) => self.records.push(Entry { digest, size: 0, tag }),
            Need::Nothing => Ok(()),
        }
    }
}

/// Whether the index tells what changes for people, which takes a walk through the indexes of both states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// It does, as that of every bundle.
    Changes,
    /// It does not: nobody reads it.
    Nothing,
}

/// Writes every delta of the plan and returns what the manifest says of the states, and what must travel.
pub(super) fn write<W: Write>(
    store: &Store,
    plan: &ExportPlan,
    index: &mut Writer<W>,
    telling: Telling,
) -> Result<(Vec<CarriedState>, Travellers), TransferError> {
    let mut needs = Needs::new(store);
    let mut carried = Vec::new();
    for state in &plan.states {
        let written = delta(store, state, index, &mut needs).and_then(|facts| {
            evidence(store, state, index, &mut needs)?;
            if telling == Telling::Nothing {
                // each state has this line at least
                index.review(&ReviewLine::Begin { base: 0, packages: 0 })?;
                return Ok(facts);
            }
            let step =
                Advance { repository: &state.repository, base: state.base.as_ref(), state: &state.state };
            survey(store, step, &|_, _| None, &mut |line| {
                let of_index = |source| TransferError::Index { bundle: plan.bundle.clone(), source };
                index.review(line).map_err(of_index)
            })?;
            Ok(facts)
        });
        carried.push(written.map_err(|fault| fault.of(plan, &state.repository))?);
    }
    if let Some(only) = &plan.only {
        return Ok((carried, listed(store, plan, only, needs)?));
    }
    Ok((carried, without_held(store, plan, needs)?))
}

fn delta<W: Write>(
    store: &Store,
    planned: &PlannedState,
    index: &mut Writer<W>,
    needs: &mut Needs,
) -> Result<CarriedState, Fault> {
    let PlannedState { repository, state, base, names } = planned;
    let base = base.as_ref().map(|b| b.manifest);
    let mut new = Tally::new(store.manifests().open(&state.manifest)?);
    let mut old: Box<dyn Lines> = match &base {
        Some(base) => Box::new(store.manifests().open(base)?),
        None => Box::new(Nothing),
    };
    let header = new.reader.header().clone();
    index.state(repository, state.manifest, base)?;
    index.first(&header.first_line().map_err(LinesError::from)?)?;
    diff::<Fault>(&mut *old, &mut new, &mut |edit| {
        if let Edit::Added(line) = edit {
            needs.add(content::need(line)?, 0)?;
        }
        Ok(index.edit(edit)?)
    })?;
    content::prove(&state.manifest, new.reader.digest())?;
    Ok(CarriedState {
        repository: repository.clone(),
        manifest: state.manifest,
        base,
        evidence: state.evidence,
        names: names.clone(),
        format: header.format,
        mode: header.mode,
        date: state.date,
        valid_until: state.valid_until,
        files: new.files,
        bytes: new.bytes,
    })
}

fn evidence<W: Write>(
    store: &Store,
    planned: &PlannedState,
    index: &mut Writer<W>,
    needs: &mut Needs,
) -> Result<(), Fault> {
    let Some(list) = planned.state.evidence else { return Ok(()) };
    let base = planned.base.as_ref().and_then(|b| b.evidence);
    let read = |list| -> Result<String, Fault> {
        let bytes = store.pool().read(&list, EVIDENCE_BYTES)?;
        String::from_utf8(bytes).map_err(|_| LinesError::Form { line: 1 }.into())
    };
    let new_text = read(list)?;
    let old_text = base.map(read).transpose()?.unwrap_or_default();
    for blob in Evidence::parse(new_text.as_bytes())?.blobs() {
        needs.add(Need::Blob(blob), 0)?;
    }
    let mut new = TextLines::new(&new_text);
    index.evidence(list, base)?;
    index.first(new.first())?;
    diff::<Fault>(&mut TextLines::new(&old_text), &mut new, &mut |edit| Ok(index.edit(edit)?))
}

/// Takes of all that the states need what a receipt lists as missing; the rest is presumed on the states' own account.
fn listed(
    store: &Store,
    plan: &ExportPlan,
    only: &BTreeMap<Digest, u64>,
    needs: Needs,
) -> Result<Travellers, TransferError> {
    let mut blobs = Sorter::new(&store.root().join("tmp"));
    for planned in &plan.states {
        content::visit(store, &planned.state, &mut |need| match need {
            Need::Blob(blob) if only.contains_key(&blob.sha256) => {
                blobs.push(Entry { digest: blob.sha256, size: blob.size, tag: 0 })
            }
            _ => Ok(()),
        })?;
    }
    let mut once = Sorter::new(&store.root().join("tmp"));
    let mut blobs = blobs.finish()?;
    let (mut count, mut bytes) = (0, 0_u64);
    while let Some(blob) = blobs.take_digest()? {
        if store.pool().has(&blob.digest)?.is_none() {
            return Err(TransferError::Export(ExportError::Forgotten {
                site: plan.stream.site().clone(),
                blob: blob.digest,
            }));
        }
        once.push(blob)?;
        count += 1;
        bytes = bytes.saturating_add(blob.size);
    }
    let mut presumed: Vec<Base> = Vec::new();
    for planned in &plan.states {
        let (repository, manifest) = (planned.repository.clone(), planned.state.manifest);
        if plan.bases.iter().all(|b| (&b.repository, b.manifest) != (&repository, manifest)) {
            presumed.push(Base { repository, manifest, evidence: planned.state.evidence, bundle: None });
        }
    }
    presumed.sort();
    Ok(Travellers { blobs: once.finish()?, count, bytes, records: needs.records.finish()?, presumed })
}

/// Takes away what the site is believed to hold, and notes which snapshots that was presumed of.
fn without_held(store: &Store, plan: &ExportPlan, needs: Needs) -> Result<Travellers, TransferError> {
    let (mut blobs, mut records) = needs.finish()?;
    let mut theirs = Needs::new(store);
    // of much that they hold little is asked for: the rest need not be sorted
    let few = blobs.few().zip(records.few());
    let asked = |need: &Need| match (need, &few) {
        (Need::Blob(blob), Some((blobs, _))) => blobs.contains(&blob.sha256),
        (Need::Record(record), Some((_, records))) => records.contains(record),
        (Need::Blob(_) | Need::Record(_), None) => true,
        (Need::Nothing, _) => false,
    };
    let sources: Vec<&Base> = plan.bases.iter().chain(&plan.held).collect();
    if blobs.peek().is_some() || records.peek().is_some() {
        for (tag, source) in (0..).zip(&sources) {
            let state = StateRef {
                manifest: source.manifest,
                evidence: source.evidence,
                date: None,
                valid_until: None,
            };
            content::visit(store, &state, &mut |need| {
                if asked(&need) { theirs.add(need, tag) } else { Ok(()) }
            })?;
        }
    }
    let (mut their_blobs, mut their_records) = theirs.finish()?;
    let mut presumed = BTreeSet::new();
    let tmp = store.root().join("tmp");
    let mut travel = Sorter::new(&tmp);
    let (mut count, mut bytes) = (0, 0_u64);
    while let Some(blob) = blobs.take_digest()? {
        if let Some(held) = their_blobs.seek(&blob.digest)? {
            presumed.insert(held.tag);
        } else {
            travel.push(blob)?;
            count += 1;
            bytes = bytes.saturating_add(blob.size);
        }
    }
    let mut travelling_records = Sorter::new(&tmp);
    while let Some(record) = records.take_digest()? {
        match their_records.seek(&record.digest)? {
            Some(held) => drop(presumed.insert(held.tag)),
            None => travelling_records.push(record)?,
        }
    }
    let named = (0_u32..).zip(sources).skip(plan.bases.len());
    let presumed = named.filter(|(tag, _)| presumed.contains(tag)).map(|(_, base)| base.clone()).collect();
    let (blobs, records) = (travel.finish()?, travelling_records.finish()?);
    Ok(Travellers { blobs, count, bytes, records, presumed })
}
