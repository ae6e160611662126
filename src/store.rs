//! Room `store`: pool (blobs), packs (records), manifests, journal, catalog, locks. See docs/design.md §5.
//!
//! Any command may be killed at any system call and run again, with no repair step: what is named is whole, what is
//! journalled is decided, and everything else is swept away.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chantal_contract::Digest;
use jiff::Timestamp;

mod backup;
mod batch;
mod catalog;
mod diff;
mod error;
mod event;
pub mod evidence;
mod file;
mod gc;
mod holding;
mod journal;
mod lock;
mod manifests;
mod name;
mod packs;
mod pool;
mod roots;
mod scratch;
mod snapshot;
mod stage;
mod stats;
mod verify;

pub use backup::{BackupReport, RestoreReport};
pub use batch::{Batch, BlobWriter};
pub use catalog::{
    Acknowledged, Catalog, Exported, Fetched, Imported, Origin, PendingRow, PublishedRow, Recorded,
    RepositoryRow, Settlement, TrustedRow, Vacuumed,
};
pub use diff::{Change, DiffSummary};
pub use error::{Object, StoreError};
pub use event::{Carried, Delivery, Event, FORMAT, StateRef};
pub use evidence::Evidence;
pub use gc::{GRACE, GcPlan, GcReport};
pub use holding::Holding;
pub use journal::{Entry, Journal, JournalReport};
pub use lock::{Holder, Lock, LockGuard};
pub use manifests::{CHAIN, ManifestReader, ManifestWriter, Manifests};
pub use name::{Address, Name, NameError, SiteName, SnapshotName};
pub use packs::{PackWriter, Packs};
pub use pool::{Pool, Verdict};
pub use scratch::Scratch;
pub use snapshot::Snapshot;
pub use stats::{RepositoryStats, Stats};
pub use verify::{Depth, Problem, Subject, VerifyReport};

/// Everything that a site keeps, below one directory on a local disk.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    site: SiteName,
    pool: Pool,
    packs: Packs,
    manifests: Manifests,
    journal: Journal,
    catalog: Arc<Catalog>,
}

/// The directories of a store, each after the one it lies in.
const DIRECTORIES: [&str; 6] = ["locks", "tmp", "pool", "pool/sha256", "packs", "manifests"];

/// Makes a store's directories where they are missing, and sees to it that they last.
fn make_directories(root: &Path) -> Result<(), StoreError> {
    let mut made = !root.is_dir();
    std::fs::create_dir_all(root).map_err(|e| StoreError::io(root, e))?;
    for name in DIRECTORIES {
        made |= file::make_dir(&root.join(name))? == file::Settled::New;
    }
    if made {
        for dir in [root.join("pool"), root.into(), file::parent_or_here(root).into()] {
            file::sync_dir(&dir)?;
        }
    }
    Ok(())
}

impl Store {
    /// Makes a store in a directory that is made if it is missing; refuses one that holds a store already.
    pub fn create(root: &Path, site: &SiteName, at: Timestamp) -> Result<Self, StoreError> {
        make_directories(root)?;
        let journal = journal::path(root);
        {
            let _turn = lock::wait(&journal::lock_path(root))?;
            if file::exists(&journal)? {
                return Err(StoreError::Exists { what: format!("store `{}`", root.display()) });
            }
            let first = journal::first(site, at)?;
            let stage = stage::Stage::new(&root.join("tmp"))?;
            file::replace(&stage.path(), &journal, first.as_bytes())?;
        }
        let store = Self::open(root)?;
        // its file is made now, so that who only looks leaves none behind
        drop(store.lock(Lock::Shared)?);
        Ok(store)
    }

    /// Opens a store, sweeps what dead processes left, and brings the catalog up to the journal.
    ///
    /// A catalog that is missing, damaged, behind, or of another journal is replayed; [`Catalog::settlement`] tells. The
    /// journal's last entries are held against the catalog's copy; [`Journal::verify`] looks at all of them.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        if !file::exists(&journal::path(root))? && !file::exists(&root.join("catalog.sqlite"))? {
            return Err(StoreError::NoStore { path: root.into() });
        }
        make_directories(root)?;
        stage::sweep(&root.join("tmp"))?;
        let catalog = Arc::new(Catalog::open(root)?);
        let journal = Journal::new(root, Arc::clone(&catalog));
        let named = catalog.site()?;
        catalog.expect_tail()?;
        let Some((site, format)) = named else {
            return Err(StoreError::damaged(journal.path(), "line 1", "it names no site"));
        };
        if format > FORMAT {
            let path = journal.path().to_path_buf();
            return Err(StoreError::Newer {
                path,
                found: format!("format {format}"),
                known: format!("format {FORMAT}"),
            });
        }
        Ok(Self {
            root: root.into(),
            site,
            pool: Pool::new(root),
            packs: Packs::new(root),
            manifests: Manifests::new(root),
            journal,
            catalog,
        })
    }

    /// Returns the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the site that the store belongs to.
    pub fn site(&self) -> &SiteName {
        &self.site
    }

    /// Returns the blobs.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Returns the index records.
    pub fn packs(&self) -> &Packs {
        &self.packs
    }

    /// Returns the manifests.
    pub fn manifests(&self) -> &Manifests {
        &self.manifests
    }

    /// Opens a snapshot by its manifest's digest.
    pub fn snapshot(&self, manifest: &Digest) -> Result<Snapshot, StoreError> {
        Snapshot::open(*manifest, &self.pool, &self.packs, &self.manifests)
    }

    /// Returns the journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns the catalog.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Takes a lock, or says at once who holds it.
    pub fn lock(&self, lock: Lock<'_>) -> Result<LockGuard, StoreError> {
        lock::take(&self.root.join("locks"), lock)
    }

    /// Returns how many bytes may still be written to the store's file system.
    pub fn free_space(&self) -> Result<u64, StoreError> {
        let found = rustix::fs::statvfs(&self.root).map_err(|e| StoreError::io(&self.root, e.into()))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

#[cfg(test)]
mod tests;
