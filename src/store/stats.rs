//! How much there is, and how much of it is shared.

use std::collections::{BTreeMap, HashMap};

use chantal_contract::{Digest, Entry, Line};

use super::{Name, Store, StoreError, file, roots::repositories};

/// How much a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Blobs in the pool.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Bytes that all live states would take if each had its own files.
    pub logical_bytes: u64,
    /// Packs of records.
    pub packs: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of the packs.
    pub pack_bytes: u64,
    /// Manifests.
    pub manifests: u64,
    /// Bytes that they take as stored.
    pub manifest_bytes: u64,
    /// Entries of the journal.
    pub entries: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Bytes of the catalog.
    pub catalog_bytes: u64,
    /// Per repository, by name.
    pub repositories: BTreeMap<Name, RepositoryStats>,
}

/// How much one repository's live states (newest and named) hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepositoryStats {
    /// Live states.
    pub states: u64,
    /// Files, counted in each state.
    pub files: u64,
    /// Their bytes, counted in each state.
    pub logical_bytes: u64,
    /// Bytes of its blobs, each counted once.
    pub bytes: u64,
    /// Bytes of those that no other repository needs: what giving it up would free.
    pub unique_bytes: u64,
}

impl Stats {
    /// Returns how many times larger the live states are than the pool; 1 where there is nothing.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn deduplication(&self) -> f64 {
        if self.blob_bytes == 0 { 1.0 } else { self.logical_bytes as f64 / self.blob_bytes as f64 }
    }
}

/// Which repositories need a blob.
#[derive(Clone, Copy)]
enum Needed {
    By(u32),
    BySeveral,
}

impl Store {
    /// Counts journal, catalog, packs and manifests only; quick.
    pub fn db_stats(&self) -> Result<Stats, StoreError> {
        let mut stats = Stats::default();
        let journal = self.journal().verify()?;
        stats.entries = journal.entries;
        stats.journal_bytes = journal.bytes;
        stats.catalog_bytes = file::stat(self.catalog().path())?.map_or(0, |s| s.size);
        for (_, records, bytes) in self.packs().list()? {
            stats.packs += 1;
            stats.records += records;
            stats.pack_bytes += bytes;
        }
        for manifest in self.manifests().iter() {
            stats.manifests += 1;
            stats.manifest_bytes += file::stat(&self.manifests().path(&manifest?))?.map_or(0, |s| s.size);
        }
        Ok(stats)
    }

    /// Counts everything; reads the manifests of all live states.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = self.db_stats()?;
        for found in self.pool().iter() {
            stats.blobs += 1;
            stats.blob_bytes += found?.1;
        }
        let roots = self.roots()?;
        let mut blobs: HashMap<Digest, (u64, Needed)> = HashMap::new();
        let mut order: Vec<Name> = Vec::new();
        let mut by_repository: BTreeMap<Name, Vec<Digest>> = BTreeMap::new();
        for (manifest, root) in &roots.states {
            for repository in repositories(&root.addresses) {
                by_repository.entry(repository).or_default().push(*manifest);
            }
        }
        for (repository, manifests) in &by_repository {
            let mut own = RepositoryStats { states: manifests.len() as u64, ..RepositoryStats::default() };
            let index = u32::try_from(order.len()).unwrap_or(u32::MAX);
            order.push(repository.clone());
            let mut seen: std::collections::HashSet<Digest> = std::collections::HashSet::new();
            for manifest in manifests {
                self.snapshot(manifest)?.each_line::<StoreError>(&mut |line| {
                    if let Line::File { entry: Entry::Present { measured, .. }, .. } = line {
                        own.files += 1;
                        own.logical_bytes += measured.size;
                        if seen.insert(measured.sha256) {
                            own.bytes += measured.size;
                        }
                        blobs
                            .entry(measured.sha256)
                            .and_modify(|(_, needed)| {
                                if !matches!(needed, Needed::By(first) if *first == index) {
                                    *needed = Needed::BySeveral;
                                }
                            })
                            .or_insert((measured.size, Needed::By(index)));
                    }
                    Ok(())
                })?;
            }
            stats.logical_bytes += own.logical_bytes;
            stats.repositories.insert(repository.clone(), own);
        }
        for (size, needed) in blobs.into_values() {
            if let Needed::By(index) = needed
                && let Some(own) = order.get(index as usize).and_then(|name| stats.repositories.get_mut(name))
            {
                own.unique_bytes += size;
            }
        }
        Ok(stats)
    }
}
