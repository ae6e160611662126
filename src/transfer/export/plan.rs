//! Decides what a bundle will carry.

use std::{collections::BTreeMap, path::PathBuf};

use chantal_bundle::{BundleName, Sequence, Stream, manifest::Base};
use chantal_contract::{Digest, Name, SnapshotName};

use super::{ExportRequest, Unchanged, missing};
use crate::{
    store::{Exported, StateRef, Store},
    transfer::{
        ExportError, Since, TransferError,
        held::{Held, acknowledged_by, held},
        own,
    },
};

/// A state that a bundle will carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedState {
    /// The repository.
    pub repository: Name,
    /// The state.
    pub state: StateRef,
    /// What its delta starts from: a base, or the state before it in the plan.
    pub base: Option<StateRef>,
    /// The names that it brings, rising.
    pub names: Vec<SnapshotName>,
}

/// Why a bundle is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The site lacks states, or names of some.
    States,
    /// It holds all of them, and has not heard of this version of the collector's trust document.
    Trust {
        /// The newest version.
        version: u32,
    },
    /// Nothing is new, and it is to be told so.
    Nothing,
}

/// What an export will write.
#[derive(Clone, Debug)]
pub struct ExportPlan {
    /// The bundle's name.
    pub bundle: BundleName,
    /// The stream that it belongs to.
    pub stream: Stream,
    /// Where it will lie.
    pub path: PathBuf,
    /// What it carries, by repository; the newest state of each stands last.
    pub states: Vec<PlannedState>,
    /// What the site is believed to hold and deltas start from, rising.
    pub bases: Vec<Base>,
    /// What the site is believed to hold beside that, rising; the blobs of these need not travel either.
    pub held: Vec<Base>,
    /// Repositories of the site that have no snapshot yet.
    pub without: Vec<Name>,
    /// The last bundle that was written for the site, where it acknowledged none and therefore gets everything again.
    pub unacknowledged: Option<String>,
    /// Why there is a bundle at all.
    pub news: News,
    /// Of the states' blobs, those that travel at all: what a receipt misses. All that the site does not hold, where there is none.
    pub only: Option<BTreeMap<Digest, u64>>,
}

/// Plans an export; none when the site holds everything already.
pub(super) fn plan(store: &Store, request: &ExportRequest<'_>) -> Result<Option<ExportPlan>, TransferError> {
    if let Since::Missing(receipt) = &request.since {
        return missing::plan(store, request, receipt);
    }
    let stream = Stream::new(store.site().clone(), request.to.clone())?;
    let known = held(store, request.to, request.repositories, &request.since)?;
    let (mut states, mut without) = (Vec::new(), Vec::new());
    let mut repositories = request.repositories.to_vec();
    repositories.sort();
    repositories.dedup();
    for repository in &repositories {
        if !carry(store, repository, &known, &mut states)? {
            without.push(repository.clone());
        }
    }
    if without.len() == repositories.len() {
        return Err(TransferError::Export(ExportError::NothingThere { site: request.to.clone() }));
    }
    let exports = store.catalog().exports(Some(stream.site()))?;
    let news = if !states.is_empty() {
        News::States
    } else if let Some(version) = unheard(store, request, &exports)? {
        News::Trust { version }
    } else if request.unchanged == Unchanged::Say {
        News::Nothing
    } else {
        return Ok(None);
    };
    if news != News::States {
        states = standing(store, &repositories, &known)?;
    }
    let bundle = next_name(store, &exports, &stream)?;
    let nothing_is_known = request.since == Since::Acknowledged && known.states().is_empty();
    let unacknowledged = exports.last().filter(|_| nothing_is_known).map(|last| last.bundle.clone());
    let (mut bases, mut rest) = (Vec::new(), Vec::new());
    for ((repository, _), found) in known.states() {
        let base = Base {
            manifest: found.state.manifest,
            evidence: found.state.evidence,
            bundle: found.bundle,
            repository,
        };
        let used = states.iter().any(|s: &PlannedState| {
            s.repository == base.repository && s.base.as_ref().is_some_and(|b| b.manifest == base.manifest)
        });
        if used { bases.push(base) } else { rest.push(base) }
    }
    let path = request.out.join(bundle.to_string());
    Ok(Some(ExportPlan {
        bundle,
        stream,
        path,
        states,
        bases,
        held: rest,
        without,
        unacknowledged,
        news,
        only: None,
    }))
}

/// Returns the newest version of this site's trust document, where the site is not known to have it: it would go on believing keys
/// that were revoked.
fn unheard(
    store: &Store,
    request: &ExportRequest<'_>,
    exports: &[Exported],
) -> Result<Option<u32>, TransferError> {
    let Some((newest, _)) = store.catalog().trust(store.site())? else { return Ok(None) };
    let signed_for = acknowledged_by(store, request.to)?.map(|receipt| receipt.trust);
    let heard = match request.since {
        Since::Acknowledged => signed_for,
        // what was sent counts as arrived
        _ => signed_for.max(exports.last().map(|last| last.trust.unwrap_or(newest))),
    };
    Ok((heard < Some(newest)).then_some(newest))
}

/// Lists the newest states, all of which the site holds, each as its own base: nothing of them travels again.
fn standing(store: &Store, repositories: &[Name], known: &Held) -> Result<Vec<PlannedState>, TransferError> {
    let mut states = Vec::new();
    for repository in repositories {
        let held = known.newest.get(repository);
        if let (Some(newest), Some(held)) = (store.catalog().newest(repository)?, held) {
            states.push(PlannedState {
                repository: repository.clone(),
                state: newest.state,
                base: Some(held.state.clone()),
                names: Vec::new(),
            });
        }
    }
    Ok(states)
}

/// Adds the states of a repository that the site does not hold; tells whether the repository has any state.
fn carry(
    store: &Store,
    repository: &Name,
    known: &Held,
    states: &mut Vec<PlannedState>,
) -> Result<bool, TransferError> {
    let newest = store.catalog().newest(repository)?;
    let named = store.catalog().names(Some(repository))?;
    if newest.is_none() && named.is_empty() {
        return Ok(false);
    }
    let mut by_age = BTreeMap::new();
    let mut names: BTreeMap<Digest, Vec<SnapshotName>> = BTreeMap::new();
    for (_, name, found) in named {
        let key = (repository.clone(), name.clone());
        if known.names.get(&key).map(|h| h.state.manifest) != Some(found.state.manifest) {
            names.entry(found.state.manifest).or_default().push(name);
            by_age.insert((found.number, found.state.manifest), found.state);
        }
    }
    let held = known.newest.get(repository).map(|h| &h.state);
    let unchanged = newest.as_ref().is_none_or(|n| held.is_some_and(|h| h.manifest == n.state.manifest));
    if names.is_empty() && unchanged {
        return Ok(true);
    }
    let mut order: Vec<StateRef> = Vec::new();
    for state in by_age.into_values().chain(newest.map(|n| n.state)) {
        // A state with several names, or that is the newest as well, stands once: at its last place.
        order.retain(|s| s.manifest != state.manifest);
        order.push(state);
    }
    let theirs = known.states();
    let mut base = held.cloned();
    let last = order.len().saturating_sub(1);
    for (n, state) in order.into_iter().enumerate() {
        let mut brings = names.remove(&state.manifest).unwrap_or_default();
        brings.sort();
        let same = || theirs.get(&(repository.clone(), state.manifest)).map(|h| h.state.clone());
        let from = if n == last {
            // What becomes current follows what is current at the site, however far that is: the review says what changes there.
            held.cloned().or(base)
        } else {
            // What the site holds is the nearest base of itself.
            same().or(base)
        };
        let repository = repository.clone();
        states.push(PlannedState { repository, state: state.clone(), base: from, names: brings });
        base = Some(state);
    }
    Ok(true)
}

/// Returns the name that follows the last one of the stream in the epoch that the trust document is about: the last that was exported,
/// or that the site signed for, where this store was set back since.
pub(super) fn next_name(
    store: &Store,
    exports: &[Exported],
    stream: &Stream,
) -> Result<BundleName, TransferError> {
    let epoch = own::epoch(store)?;
    let signed_for = acknowledged_by(store, stream.site())?;
    let signed_for = signed_for.filter(|r| r.sequence > 0).map(|r| (r.epoch, r.sequence));
    let used = exports.iter().map(|e| (e.epoch, e.sequence)).chain(signed_for);
    let last = used.filter(|(of, _)| *of == epoch.get()).map(|(_, sequence)| sequence).max();
    let sequence = match last {
        None => Sequence::FIRST,
        Some(sequence) => Sequence::new(sequence)?.next()?,
    };
    Ok(BundleName::new(stream, epoch, sequence))
}
