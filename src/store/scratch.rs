//! A layer over a store, for who tries out what would come of something.

use std::{ops::Deref, sync::Arc};

use chantal_contract::Digest;

use super::{Catalog, Journal, Store, StoreError, file, journal, stage::Stage};

/// A store over another: it takes blobs, records and manifests into a directory that is gone when it is dropped, and appends to a copy
/// of the journal.
///
/// What is below is only read. Locks are those of the store below.
#[derive(Debug)]
pub struct Scratch {
    store: Store,
    _stage: Stage,
}

impl Store {
    /// Lays a scratch over the store.
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        let stage = Stage::new(&self.root.join("tmp"))?;
        let own = stage.dir();
        let make = |name: &str| {
            let dir = own.join(name);
            file::make_dir(&dir).map(|_| dir)
        };
        make("locks")?;
        make("tmp")?;
        let (from, to) = (journal::path(&self.root), journal::path(own));
        std::fs::copy(&from, &to).map_err(|e| StoreError::io(&to, e))?;
        let catalog = Arc::new(Catalog::open(own)?);
        let store = Self {
            root: self.root.clone(),
            site: self.site.clone(),
            pool: self.pool.over(&make("pool")?),
            packs: self.packs.over(&make("packs")?, &own.join("locks/packs")),
            manifests: self.manifests.over(&make("manifests")?),
            journal: Journal::new(own, Arc::clone(&catalog)),
            catalog,
        };
        Ok(Scratch { store, _stage: stage })
    }
}

impl Scratch {
    /// Takes a blob to be there from now on, as what was tried before would have brought it.
    pub fn promise(&self, blob: Digest, size: u64) {
        self.store.pool.promise(blob, size);
    }
}

impl Deref for Scratch {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

#[cfg(test)]
mod tests {
    use chantal_contract::{Header, Kind, Mode, SiteName};
    use jiff::Timestamp;

    use super::*;
    use crate::store::{Event, Name, StateRef};

    fn listed(dir: &std::path::Path) -> Vec<String> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            names.push(path.display().to_string());
            if path.is_dir() {
                names.extend(listed(&path));
            }
        }
        names.sort();
        names
    }

    #[test]
    fn a_scratch_reads_what_is_below_takes_more_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path(), &SiteName::new("a").unwrap(), Timestamp::UNIX_EPOCH).unwrap();
        let batch = store.pool().batch().unwrap();
        let below = batch.put(b"below").unwrap();
        batch.flush().unwrap();
        let mut records = store.packs().writer().unwrap();
        let old = records.add(b"old").unwrap();
        records.commit().unwrap();
        let before = listed(dir.path());

        let scratch = store.scratch().unwrap();
        let batch = scratch.pool().batch().unwrap();
        let above = batch.put(b"above").unwrap();
        assert_eq!(batch.put(b"below").unwrap(), below);
        batch.flush().unwrap();
        assert_eq!(scratch.pool().read(&above.sha256, 9).unwrap(), b"above");
        assert_eq!(scratch.pool().read(&below.sha256, 9).unwrap(), b"below");
        let mut records = scratch.packs().writer().unwrap();
        let new = records.add(b"new").unwrap();
        records.add(b"old").unwrap();
        records.commit().unwrap();
        assert_eq!(scratch.packs().get(&new).unwrap(), b"new");
        assert_eq!(scratch.packs().get(&old).unwrap(), b"old");
        let options = serde_json::json!({ "projects": ["a"] });
        let header = Header { format: Kind::Pypi, layout: 1, mode: Mode::Filtered, options };
        let manifest = scratch.manifests().writer(&header, None).unwrap().finish().unwrap();
        assert!(scratch.manifests().has(&manifest).unwrap());
        scratch.promise(Digest::of(b"promised"), 8);
        assert_eq!(scratch.pool().has(&Digest::of(b"promised")).unwrap(), Some(8));

        let repository = Name::new("a").unwrap();
        let state = StateRef { manifest, evidence: None, date: None, valid_until: None };
        let event = Event::State { repository: repository.clone(), state, complete: true };
        scratch.journal().append(event, Timestamp::UNIX_EPOCH).unwrap();
        assert!(scratch.catalog().newest(&repository).unwrap().is_some());

        assert!(store.catalog().newest(&repository).unwrap().is_none());
        assert_eq!(store.pool().has(&above.sha256).unwrap(), None);
        assert!(!store.packs().has(&new).unwrap() && !store.manifests().has(&manifest).unwrap());
        drop(batch);
        drop(scratch);
        assert_eq!(listed(dir.path()), before);
    }
}
