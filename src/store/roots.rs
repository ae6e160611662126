//! What is still needed, and by whom.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chantal_contract::{Digest, Entry, Line, limits::ANCHOR_BYTES};

use super::{Address, Delivery, Evidence, Name, StateRef, Store, StoreError};

/// Bytes of an evidence list that are read at most.
pub(super) const EVIDENCE_BYTES: u64 = ANCHOR_BYTES;

/// The states that something stands for, and what keeps more than a state.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    /// Manifests whose files and records are needed, with the evidence and the addresses that they stand behind.
    pub states: BTreeMap<Digest, Root>,
    /// Manifests of which lines, indexes and evidence are needed: bases that a next bundle starts from, and is reviewed against.
    pub bases: BTreeMap<Digest, BTreeSet<Digest>>,
    /// Blobs that are needed for themselves: trust documents, proofs of origin.
    pub blobs: BTreeSet<Digest>,
}

/// Who needs a state.
#[derive(Clone, Debug, Default)]
pub(super) struct Root {
    /// The lists of what upstream signed.
    pub evidence: BTreeSet<Digest>,
    /// Newest states and named snapshots.
    pub addresses: BTreeSet<Address>,
}

impl Roots {
    fn state(&mut self, state: &StateRef, address: Address) {
        let root = self.states.entry(state.manifest).or_default();
        root.evidence.extend(state.evidence);
        root.addresses.insert(address);
    }
}

impl Store {
    /// Collects gc's roots: newest states, named snapshots, published trees, bases of acknowledged and in-flight bundles,
    /// trust documents.
    pub(super) fn roots(&self) -> Result<Roots, StoreError> {
        let mut roots = Roots::default();
        let catalog = self.catalog();
        for row in catalog.repositories()? {
            if let Some(newest) = row.newest {
                roots.state(&newest.state, row.name.into());
            }
        }
        for (repository, name, recorded) in catalog.names(None)? {
            roots.state(&recorded.state, Address { repository, snapshot: Some(name) });
        }
        for row in catalog.published()? {
            roots.state(&row.state, Address { repository: row.repository, snapshot: row.name });
        }
        // What a site signed for last, and any of its bundles since, may be what it stands on.
        let acknowledged = catalog.acknowledgements()?;
        for state in acknowledged.iter().flat_map(|receipt| &receipt.states) {
            roots.bases.entry(state.state.manifest).or_default().extend(state.state.evidence);
        }
        let mut in_flight: BTreeMap<String, Vec<Digest>> = BTreeMap::new();
        for export in catalog.exports(None)? {
            let known = acknowledged.iter().find(|receipt| receipt.to == export.to);
            if known.is_some_and(|k| (k.epoch, k.sequence) >= (export.epoch, export.sequence)) {
                continue;
            }
            let manifests = in_flight.entry(export.to.to_string()).or_default();
            if export.delivery == Delivery::Assumed {
                manifests.clear();
            }
            manifests.extend(export.states.iter().flat_map(|s| s.base.into_iter().chain([s.state.manifest])));
        }
        let exports = catalog.exports(None)?;
        let known = || exports.iter().flat_map(|export| &export.states);
        for manifest in in_flight.into_values().flatten() {
            let lists = known().filter(|carried| carried.state.manifest == manifest);
            let lists = lists.filter_map(|carried| carried.state.evidence);
            roots.bases.entry(manifest).or_default().extend(lists);
        }
        for collector in catalog.collectors()? {
            for row in catalog.trusted(&collector)? {
                roots.blobs.insert(row.document);
                roots.blobs.extend(row.signatures);
            }
        }
        // Who hands a state on hands on the proof of who made it, too.
        for import in catalog.imports(None)? {
            if import.states.iter().any(|carried| roots.states.contains_key(&carried.state.manifest)) {
                roots.blobs.extend(import.proof.into_iter().chain(import.origins));
            }
        }
        Ok(roots)
    }

    /// Reads the evidence behind a state; what is not there is left to `verify`.
    pub(super) fn evidence(&self, list: &Digest) -> Result<Option<Evidence>, StoreError> {
        match self.pool().read(list, EVIDENCE_BYTES) {
            Ok(bytes) => Evidence::parse(&bytes).map(Some),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Everything that live states refer to.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Blobs and their sizes.
    pub blobs: HashMap<Digest, u64>,
    /// Records.
    pub records: HashSet<Digest>,
}

impl Needs {
    /// Adds what a line refers to.
    pub(super) fn add(&mut self, line: &Line) {
        match line {
            Line::File { entry: Entry::Present { measured, .. }, .. } => {
                self.blobs.insert(measured.sha256, measured.size);
            }
            Line::File { entry: Entry::Absent, .. } => {}
            Line::Doc { record, .. } | Line::Pkg { record, .. } => {
                self.records.insert(*record);
            }
        }
    }
}

/// Returns the repositories among addresses, each once.
pub(super) fn repositories(addresses: &BTreeSet<Address>) -> BTreeSet<Name> {
    addresses.iter().map(|address| address.repository.clone()).collect()
}
