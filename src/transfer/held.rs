//! What a site is believed to hold.

use std::collections::BTreeMap;

use chantal_bundle::{BundleName, Receipt};
use chantal_contract::{Digest, Name, SiteName, SnapshotName};

use super::{ExportError, TransferError, accepted, own};
use crate::store::{Acknowledged, Carried, Event, Exported, StateRef, Store};

/// What a bundle starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// What the site signed a receipt for; nothing before the first one.
    #[default]
    Acknowledged,
    /// What was exported last, on the assumption that it arrived.
    Last,
    /// Nothing: the bundle stands alone.
    None,
    /// What a receipt does not list as missing: only that travels.
    Missing(Box<Receipt>),
    /// A named snapshot, or the state after an exported bundle, on the assumption that the site has it.
    Named(String),
}

impl From<&str> for Since {
    fn from(text: &str) -> Self {
        match text {
            "acknowledged" => Self::Acknowledged,
            "last" => Self::Last,
            "none" => Self::None,
            name => Self::Named(name.into()),
        }
    }
}

/// A state that the site is believed to hold, and the bundle that brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldState {
    pub state: StateRef,
    pub bundle: Option<BundleName>,
}

/// The states and names that a site is believed to hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub newest: BTreeMap<Name, HeldState>,
    pub names: BTreeMap<(Name, SnapshotName), HeldState>,
}

impl Held {
    /// Returns every state that is held, by repository and manifest: an older one only if it has a name.
    pub fn states(&self) -> BTreeMap<(Name, Digest), HeldState> {
        let named = self.names.iter().map(|((repository, _), held)| (repository, held));
        let all = named.chain(&self.newest);
        all.map(|(repository, held)| ((repository.clone(), held.state.manifest), held.clone())).collect()
    }
}

impl Held {
    fn add(&mut self, export: &Exported) {
        let bundle: Option<BundleName> = export.bundle.parse().ok();
        self.add_states(&export.states, &|_| bundle.clone());
    }

    fn add_states(&mut self, states: &[Carried], brought: &dyn Fn(&Digest) -> Option<BundleName>) {
        for carried in states {
            let bundle = brought(&carried.state.manifest);
            let held = HeldState { state: carried.state.clone(), bundle: bundle.clone() };
            for name in &carried.names {
                self.names.insert((carried.repository.clone(), name.clone()), held.clone());
            }
            self.newest.insert(carried.repository.clone(), held);
        }
    }
}

/// Finds out what a site is believed to hold; states that this store has forgotten count as not held.
pub(super) fn held(
    store: &Store,
    to: &SiteName,
    repositories: &[Name],
    since: &Since,
) -> Result<Held, TransferError> {
    let mut held = Held::default();
    match since {
        // what travels then is planned elsewhere
        Since::None | Since::Missing(_) => {}
        Since::Acknowledged => {
            acknowledged(store, to, &mut held)?;
        }
        Since::Last => {
            let receipt = acknowledged(store, to, &mut held)?;
            let epoch = own::epoch(store)?.get();
            // what was sent before a new epoch may have been met by what a stolen key sent: only a receipt tells
            let follows = |e: &&Exported| {
                e.epoch == epoch
                    && receipt.as_ref().is_none_or(|r| (e.epoch, e.sequence) > (r.epoch, r.sequence))
            };
            store.catalog().exports(Some(to))?.iter().filter(follows).for_each(|export| held.add(export));
        }
        Since::Named(asked) => {
            let exports = store.catalog().exports(Some(to))?;
            if let Some(at) = exports.iter().position(|e| e.bundle == *asked) {
                exports.iter().take(at + 1).for_each(|export| held.add(export));
            } else {
                named(store, repositories, asked, &mut held)?;
            }
            if held.newest.is_empty() {
                return Err(TransferError::Export(ExportError::UnknownBase {
                    asked: asked.clone(),
                    site: to.clone(),
                }));
            }
        }
    }
    Ok(Held { newest: known(store, held.newest)?, names: known(store, held.names)? })
}

/// Returns the last receipt of a site that counts: what a key signed that was revoked since never did.
pub fn acknowledged_by(store: &Store, site: &SiteName) -> Result<Option<Acknowledged>, TransferError> {
    let Some(last) = store.catalog().acknowledged(site)? else { return Ok(None) };
    let revoked = accepted::document(store, store.site())?.map(|document| document.revoked);
    let counts = |key: &str| !revoked.iter().flatten().any(|revocation| revocation.key.to_string() == key);
    if counts(&last.key) {
        return Ok(Some(last));
    }
    let mut found = None;
    for entry in store.journal().read() {
        let entry = entry?;
        if let Event::Acknowledged { to, receipt, epoch, sequence, bundle, states, trust, key, forced: _ } =
            entry.event
            && to == *site
            && counts(&key)
        {
            let (number, at) = (entry.number, entry.at);
            found =
                Some(Acknowledged { number, at, to, receipt, epoch, sequence, bundle, states, trust, key });
        }
    }
    Ok(found)
}

/// Adds what the site signed for last; returns that receipt.
fn acknowledged(
    store: &Store,
    to: &SiteName,
    held: &mut Held,
) -> Result<Option<Acknowledged>, TransferError> {
    let Some(receipt) = acknowledged_by(store, to)? else { return Ok(None) };
    let exports = store.catalog().exports(Some(to))?;
    let brought = |manifest: &Digest| {
        let before = |e: &&Exported| (e.epoch, e.sequence) <= (receipt.epoch, receipt.sequence);
        let brings = |e: &&Exported| e.states.iter().any(|s| s.state.manifest == *manifest);
        exports.iter().filter(before).rfind(brings).and_then(|e| e.bundle.parse().ok())
    };
    held.add_states(&receipt.states, &brought);
    Ok(Some(receipt))
}

/// Leaves out what this store itself has forgotten.
fn known<K: Ord>(
    store: &Store,
    held: BTreeMap<K, HeldState>,
) -> Result<BTreeMap<K, HeldState>, TransferError> {
    let mut known = BTreeMap::new();
    for (key, mut found) in held {
        if !store.manifests().has(&found.state.manifest)? {
            continue;
        }
        if let Some(list) = found.state.evidence
            && store.pool().has(&list)?.is_none()
        {
            found.state.evidence = None;
        }
        known.insert(key, found);
    }
    Ok(known)
}

fn named(store: &Store, repositories: &[Name], asked: &str, held: &mut Held) -> Result<(), TransferError> {
    let Ok(name) = SnapshotName::new(asked) else { return Ok(()) };
    for repository in repositories {
        if let Some(found) = store.catalog().named(repository, &name)? {
            let state = HeldState { state: found.state, bundle: None };
            held.names.insert((repository.clone(), name.clone()), state.clone());
            held.newest.insert(repository.clone(), state);
        }
    }
    Ok(())
}
