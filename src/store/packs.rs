//! Packs: index records, compressed many at a time, found by their digests.
//!
//! A pack never changes once it has its name; new records make a new pack, and when there are many small ones they are
//! joined into a larger one whose blocks are taken over as they are. See [`table`] for the bytes.

use std::{
    collections::{HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chantal_contract::Digest;

use super::{
    Object, StoreError,
    file::{self},
    lock,
    stage::Stage,
};

mod join;
mod pack;
mod table;
use pack::{Draft, Pack};

/// The packs of a store: `packs/<64 hex>.pack`, named by the SHA-256 of their bytes.
#[derive(Clone, Debug)]
pub struct Packs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    /// Of a scratch: the packs of the store that it lies over, which are only read.
    below: Option<Packs>,
    tmp: PathBuf,
    lock: PathBuf,
    open: Mutex<Vec<Arc<Pack>>>,
    blocks: Mutex<Blocks>,
}

/// The blocks that were decoded last: neighbours in an index are neighbours in a pack.
#[derive(Debug, Default)]
struct Blocks {
    recent: VecDeque<(Digest, u32, Arc<Vec<u8>>)>,
}

/// Decoded blocks that are kept.
const RECENT: usize = 32;
/// Packs from which on small ones are joined.
const MANY: usize = 8;

impl Packs {
    pub(super) fn new(root: &Path) -> Self {
        let shared = Shared {
            dir: root.join("packs"),
            below: None,
            tmp: root.join("tmp"),
            lock: root.join("locks/packs"),
            open: Mutex::default(),
            blocks: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Stands in a directory, over packs that are only read.
    pub(super) fn over(&self, dir: &Path, lock: &Path) -> Self {
        let shared = Shared {
            dir: dir.into(),
            below: Some(self.clone()),
            tmp: self.shared.tmp.clone(),
            lock: lock.into(),
            open: Mutex::default(),
            blocks: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Tells whether some pack has a record.
    pub fn has(&self, record: &Digest) -> Result<bool, StoreError> {
        Ok(self.find(record)?.is_some())
    }

    /// Returns a record, checked against its digest.
    pub fn get(&self, record: &Digest) -> Result<Vec<u8>, StoreError> {
        let (pack, place) =
            self.find(record)?.ok_or(StoreError::Missing { what: Object::Record, digest: *record })?;
        let block = self.block(&pack, place.block)?;
        let bytes = place.of(&block).unwrap_or_default();
        if Digest::of(bytes) == *record {
            Ok(bytes.to_vec())
        } else {
            let place = format!("record {record}");
            Err(StoreError::damaged(pack.path(), place, "its bytes are not what its name says"))
        }
    }

    /// Starts adding records.
    pub fn writer(&self) -> Result<PackWriter, StoreError> {
        self.refresh()?;
        Ok(PackWriter {
            packs: self.clone(),
            stage: Stage::new(&self.shared.tmp)?,
            draft: None,
            new: HashSet::new(),
        })
    }

    /// Lists the packs' files with their records and bytes.
    pub(super) fn list(&self) -> Result<Vec<(PathBuf, u64, u64)>, StoreError> {
        self.refresh()?;
        Ok(self.opened().iter().map(|p| (p.path().to_path_buf(), p.records(), p.bytes())).collect())
    }

    fn opened(&self) -> MutexGuard<'_, Vec<Arc<Pack>>> {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a record; looks for new packs before it says that there is none.
    fn find(&self, record: &Digest) -> Result<Option<(Arc<Pack>, table::Place)>, StoreError> {
        if let Some(found) = self.find_opened(record)? {
            return Ok(Some(found));
        }
        if self.refresh()? { self.find_opened(record) } else { Ok(None) }
    }

    fn find_opened(&self, record: &Digest) -> Result<Option<(Arc<Pack>, table::Place)>, StoreError> {
        let packs = self.opened().clone();
        for pack in packs {
            if let Some(place) = pack.find(record)? {
                return Ok(Some((pack, place)));
            }
        }
        match &self.shared.below {
            Some(below) => below.find_opened(record),
            None => Ok(None),
        }
    }

    /// Opens packs that came and forgets those that went; tells whether there was a change.
    fn refresh(&self) -> Result<bool, StoreError> {
        let below = self.shared.below.as_ref().map_or(Ok(false), Self::refresh)?;
        let names: Vec<Digest> = names(&self.shared.dir)?;
        let mut open = self.opened();
        if open.len() == names.len() && names.iter().all(|n| open.iter().any(|p| p.name() == n)) {
            return Ok(below);
        }
        let mut packs: Vec<Arc<Pack>> = Vec::with_capacity(names.len());
        for name in names {
            match open.iter().find(|p| *p.name() == name) {
                Some(known) => packs.push(Arc::clone(known)),
                None => {
                    if let Some(pack) = Pack::open(&self.shared.dir, name)? {
                        packs.push(Arc::new(pack));
                    }
                }
            }
        }
        // the largest first: most records are there
        packs.sort_by_key(|p| std::cmp::Reverse(p.records()));
        *open = packs;
        Ok(true)
    }

    fn block(&self, pack: &Pack, number: u32) -> Result<Arc<Vec<u8>>, StoreError> {
        let blocks = || self.shared.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, block)) = blocks().recent.iter().find(|(p, n, _)| p == pack.name() && *n == number)
        {
            return Ok(Arc::clone(block));
        }
        let block = Arc::new(pack.block(number)?);
        let mut kept = blocks();
        if kept.recent.len() >= RECENT {
            kept.recent.pop_front();
        }
        kept.recent.push_back((*pack.name(), number, Arc::clone(&block)));
        Ok(block)
    }
}

/// Returns the names of the packs in a directory, in order.
pub(super) fn names(dir: &Path) -> Result<Vec<Digest>, StoreError> {
    file::list(dir)?
        .into_iter()
        .map(|name| {
            name.strip_suffix(".pack").and_then(|hex| hex.parse().ok()).ok_or_else(|| {
                StoreError::damaged(&dir.join(&name), "the name", "it is no digest and `.pack`")
            })
        })
        .collect()
}

/// Adds records; dropped without [`PackWriter::commit`], it leaves nothing.
#[derive(Debug)]
pub struct PackWriter {
    packs: Packs,
    stage: Stage,
    draft: Option<Draft>,
    new: HashSet<Digest>,
}

impl PackWriter {
    /// Adds a record unless a pack has it, and returns its digest.
    pub fn add(&mut self, record: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(record);
        if self.new.contains(&digest) || self.packs.find_opened(&digest)?.is_some() {
            return Ok(digest);
        }
        let draft = match &mut self.draft {
            Some(draft) => draft,
            None => self.draft.insert(Draft::create(&self.stage.path())?),
        };
        draft.add(digest, record)?;
        self.new.insert(digest);
        Ok(digest)
    }

    /// Makes all added records durable and readable.
    pub fn commit(self) -> Result<(), StoreError> {
        let Some(draft) = self.draft else { return Ok(()) };
        let shared = &self.packs.shared;
        let _turn = lock::wait(&shared.lock)?;
        self.packs.refresh()?;
        let records = draft.records();
        let (name, staged) = draft.finish()?;
        file::settle(&staged, &pack::path(&shared.dir, &name))?;
        file::sync_dir(&shared.dir)?;
        self.packs.refresh()?;
        self.packs.join_small(&self.stage, records)
    }
}

#[cfg(test)]
mod tests;
