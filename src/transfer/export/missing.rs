//! Plans the bundle that completes what a receipt says is missing.
//!
//! It carries the states of a bundle that waits, once more, and of their blobs only those that the receipt lists: the rest came with
//! the volumes that were good. Import proves that together they are whole.

use std::collections::{BTreeMap, BTreeSet};

use chantal_bundle::{
    Receipt, Stream,
    manifest::Base,
    receipt::{LackingBlob, Missing},
};
use chantal_contract::{Digest, Name};

use super::{
    ExportRequest,
    plan::{ExportPlan, News, PlannedState, next_name},
};
use crate::{
    store::{Exported, StateRef, Store},
    transfer::{ExportError, TransferError},
};

/// Plans a bundle of what a receipt misses; none when it misses nothing that came from here.
pub(super) fn plan(
    store: &Store,
    request: &ExportRequest<'_>,
    receipt: &Receipt,
) -> Result<Option<ExportPlan>, TransferError> {
    if receipt.site != *request.to {
        let (asked, site) = (receipt.site.clone(), request.to.clone());
        return Err(TransferError::Export(ExportError::OtherReceipt { asked, site }));
    }
    let stream = Stream::new(store.site().clone(), request.to.clone())?;
    let exports = store.catalog().exports(Some(request.to))?;
    let known = |missing: &Missing| exports.iter().find(|e| e.manifest == missing.manifest);
    let found: Vec<(&Missing, &Exported)> =
        receipt.missing.iter().filter_map(|missing| Some((missing, known(missing)?))).collect();
    let waits = |e: &Exported| (e.epoch, e.sequence) > receipt.place();
    let (states, whole) = match found.iter().rfind(|(_, export)| waits(export)) {
        Some((missing, export)) => (of_waiting(&exports, export), missing.blobs.is_empty()),
        None => (of_imported(receipt, &exports, &found), false),
    };
    if states.is_empty() {
        return Ok(None);
    }
    let listed = receipt.missing.iter().flat_map(|missing| &missing.blobs);
    let only = listed.map(|LackingBlob { sha256, size }| (*sha256, *size)).collect::<BTreeMap<_, _>>();
    let bundle = next_name(store, &exports, &stream)?;
    Ok(Some(ExportPlan {
        path: request.out.join(bundle.to_string()),
        bases: bases(&states, &exports),
        bundle,
        stream,
        states,
        held: Vec::new(),
        without: Vec::new(),
        unacknowledged: None,
        news: News::States,
        only: (!whole).then_some(only),
    }))
}

/// Takes the states and bases of a bundle that waits.
fn of_waiting(exports: &[Exported], waiting: &Exported) -> Vec<PlannedState> {
    let states = waiting.states.iter().map(|carried| PlannedState {
        repository: carried.repository.clone(),
        state: carried.state.clone(),
        base: carried.base.map(|base| state_of(exports, &carried.repository, base)),
        names: carried.names.clone(),
    });
    states.collect()
}

/// Takes the states of which blobs were lost after their import, each as its own base; the newest of each repository stands last.
fn of_imported(
    receipt: &Receipt,
    exports: &[Exported],
    found: &[(&Missing, &Exported)],
) -> Vec<PlannedState> {
    let whole: BTreeSet<(&Name, Digest)> =
        receipt.states.iter().map(|s| (&s.repository, s.manifest)).collect();
    let mut newest: BTreeMap<&Name, &StateRef> = BTreeMap::new();
    for export in exports.iter().filter(|e| (e.epoch, e.sequence) <= receipt.place()) {
        newest.extend(export.states.iter().map(|s| (&s.repository, &s.state)));
    }
    let mut states: BTreeMap<&Name, Vec<&StateRef>> = BTreeMap::new();
    for carried in found.iter().flat_map(|(_, export)| &export.states) {
        if !whole.contains(&(&carried.repository, carried.state.manifest)) {
            states.entry(&carried.repository).or_default().push(&carried.state);
        }
    }
    let mut planned = Vec::new();
    for (repository, mut lost) in states {
        let last = newest.get(repository).copied();
        lost.retain(|state| last.is_none_or(|last| last.manifest != state.manifest));
        lost.dedup_by_key(|state| state.manifest);
        planned.extend(lost.into_iter().chain(last).map(|state| PlannedState {
            repository: repository.clone(),
            state: state.clone(),
            base: Some(state.clone()),
            names: Vec::new(),
        }));
    }
    planned
}

/// Returns what is known here of a state that was exported once.
fn state_of(exports: &[Exported], repository: &Name, manifest: Digest) -> StateRef {
    let states = exports.iter().flat_map(|export| &export.states);
    let mut same = states.filter(|s| s.repository == *repository && s.state.manifest == manifest);
    same.next().map_or_else(
        || StateRef { manifest, evidence: None, date: None, valid_until: None },
        |found| found.state.clone(),
    )
}

/// Lists what the states start from and is none of them, or is itself.
fn bases(states: &[PlannedState], exports: &[Exported]) -> Vec<Base> {
    let mut bases: BTreeMap<(Name, Digest), Base> = BTreeMap::new();
    let mut before: BTreeSet<(&Name, Digest)> = BTreeSet::new();
    for planned in states {
        if let Some(base) = &planned.base
            && !before.contains(&(&planned.repository, base.manifest))
        {
            let brings = |e: &&Exported| e.states.iter().any(|s| s.state.manifest == base.manifest);
            let found = Base {
                repository: planned.repository.clone(),
                manifest: base.manifest,
                evidence: base.evidence,
                bundle: exports.iter().find(brings).and_then(|e| e.bundle.parse().ok()),
            };
            bases.insert((planned.repository.clone(), base.manifest), found);
        }
        before.insert((&planned.repository, planned.state.manifest));
    }
    bases.into_values().collect()
}
