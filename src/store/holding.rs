//! All files that a state came with: those of its tree, and those that travel as evidence only.

use std::{collections::BTreeMap, fs::File, io::BufReader};

use chantal_contract::{Measured, RepoPath};

use super::{Evidence, Snapshot, StateRef, Store, StoreError, evidence::Item, roots::EVIDENCE_BYTES};

/// A state's files by path, opened one by one.
#[derive(Debug)]
pub struct Holding<'a> {
    store: &'a Store,
    snapshot: Snapshot,
    pages: BTreeMap<RepoPath, Measured>,
}

impl Store {
    /// Opens a state with its evidence.
    pub fn holding(&self, state: &StateRef) -> Result<Holding<'_>, StoreError> {
        let mut pages = BTreeMap::new();
        if let Some(evidence) = &state.evidence {
            for item in Evidence::parse(&self.pool().read(evidence, EVIDENCE_BYTES)?)?.items() {
                if let Item::Page { path, blob } = item {
                    pages.insert(path.clone(), *blob);
                }
            }
        }
        Ok(Holding { store: self, snapshot: self.snapshot(&state.manifest)?, pages })
    }
}

impl Holding<'_> {
    /// Returns the snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Opens a file; none where neither the tree nor the evidence has it.
    pub fn open(&self, path: &RepoPath) -> Result<Option<(BufReader<File>, Measured)>, StoreError> {
        let found = match self.snapshot.file(path)? {
            Some(measured) => Some(measured),
            None => self.pages.get(path).copied(),
        };
        let Some(measured) = found else { return Ok(None) };
        let file = self.store.pool().open(&measured.sha256)?;
        Ok(Some((BufReader::with_capacity(1 << 16, file), measured)))
    }
}
