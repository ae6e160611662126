//! The catalog: the SQLite index over the journal, for looking things up. It decides nothing: it is replayed from the
//! journal whenever it is missing, damaged, behind, or another store's.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chantal_contract::Digest;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    Address, Carried, Delivery, Name, SiteName, SnapshotName, StateRef, StoreError,
    file::{self},
    journal,
};

mod apply;
mod cache;
mod query;
mod schema;
mod settle;
mod verify;
pub use cache::Fetched;
pub use settle::Settlement;
pub use verify::Vacuumed;

/// The catalog of a store.
#[derive(Debug)]
pub struct Catalog {
    path: PathBuf,
    journal: PathBuf,
    lock: PathBuf,
    db: Mutex<Connection>,
    settlement: Mutex<Settlement>,
}

/// Where a recorded state came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was synced or uploaded here.
    Synced,
    /// A bundle of this collector brought it.
    Imported {
        /// The collector.
        from: SiteName,
    },
}

/// A state as the journal recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The journal's entry.
    pub number: u64,
    /// When the entry was made.
    pub at: Timestamp,
    /// The state.
    pub state: StateRef,
    /// Where it came from.
    pub origin: Origin,
    /// Whether everything that upstream lists was to be had.
    pub complete: bool,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryRow {
    /// Its name.
    pub name: Name,
    /// Its newest state; none where only named snapshots are left.
    pub newest: Option<Recorded>,
}

/// A bundle that was written here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The journal's entry.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The site it is for.
    pub to: SiteName,
    /// Its name.
    pub bundle: String,
    /// The stream's epoch.
    pub epoch: u32,
    /// Its number in the epoch.
    pub sequence: u64,
    /// The SHA-256 of its `manifest.json`.
    pub manifest: Digest,
    /// What it carries.
    pub states: Vec<Carried>,
    /// Whether it counts as received.
    pub delivery: Delivery,
    /// The fingerprints of the keys that signed it.
    pub signed: Vec<String>,
    /// The newest version of this site's trust document that it carries; none where an older program noted none.
    pub trust: Option<u32>,
}

/// What a site signed that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The journal's entry.
    pub number: u64,
    /// When the receipt was applied here.
    pub at: Timestamp,
    /// The site.
    pub to: SiteName,
    /// The SHA-256 of the receipt's text.
    pub receipt: Digest,
    /// The epoch of its newest import.
    pub epoch: u32,
    /// That bundle's number in the epoch; 0 when it had imported nothing.
    pub sequence: u64,
    /// The SHA-256 of that bundle's `manifest.json`.
    pub bundle: Option<Digest>,
    /// What it holds; of one repository the newest state stands last.
    pub states: Vec<Carried>,
    /// The version of this site's trust document that it accepted.
    pub trust: u32,
    /// The fingerprint of the key that signed the receipt.
    pub key: String,
}

/// An accepted trust document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedRow {
    /// Its version.
    pub version: u32,
    /// The blob that holds it.
    pub document: Digest,
    /// The blobs that hold the signatures over it.
    pub signatures: Vec<Digest>,
}

/// A bundle that was imported here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The journal's entry.
    pub number: u64,
    /// When it was imported.
    pub at: Timestamp,
    /// The collector it came from.
    pub from: SiteName,
    /// Its name.
    pub bundle: String,
    /// The stream's epoch.
    pub epoch: u32,
    /// Its number in the epoch.
    pub sequence: u64,
    /// The SHA-256 of its `manifest.json`.
    pub manifest: Digest,
    /// What it carried.
    pub states: Vec<Carried>,
    /// The blob that proves to others what the collector signed.
    pub proof: Option<Digest>,
    /// The same of collectors before it, whose bundles it brought on.
    pub origins: Vec<Digest>,
    /// When the collector says that it made it.
    pub created: Option<Timestamp>,
    /// When the collector meant to have sent the next one.
    pub expected_next_by: Option<Timestamp>,
    /// The fingerprints of the collector's keys that signed it.
    pub signed: Vec<String>,
    /// The fingerprints of the approvers' keys that signed it.
    pub approved: Vec<String>,
    /// Whether its collector was forgotten since: it has no place in the stream that began then.
    pub closed: bool,
}

/// A bundle of which parts are in the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRow {
    /// The journal's newest entry about it.
    pub number: u64,
    /// When its first part was verified.
    pub since: Timestamp,
    /// Its name.
    pub bundle: String,
    /// The SHA-256 of its `manifest.json`.
    pub manifest: Digest,
    /// The volumes that are in the pool.
    pub volumes: Vec<u32>,
    /// The fingerprints of the collector's keys that signed it.
    pub signed: Vec<String>,
    /// The fingerprints of the approvers' keys that signed it.
    pub approved: Vec<String>,
    /// The blob that proves what the collector signed.
    pub proof: Option<Digest>,
}

/// A published tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedRow {
    /// The journal's entry.
    pub number: u64,
    /// When it was published.
    pub at: Timestamp,
    /// The tree's path below the published root.
    pub target: String,
    /// The repository.
    pub repository: Name,
    /// The snapshot's name, unless it was the newest state.
    pub name: Option<SnapshotName>,
    /// What was published.
    pub state: StateRef,
}

impl PublishedRow {
    /// Returns what the tree shows.
    pub fn address(&self) -> Address {
        Address { repository: self.repository.clone(), snapshot: self.name.clone() }
    }
}

/// How long another process's transaction is waited for.
const BUSY: Duration = Duration::from_mins(1);

impl Catalog {
    /// Opens the catalog below a store's root, or makes it; one that SQLite cannot read is put aside.
    pub(super) fn open(root: &Path) -> Result<Self, StoreError> {
        let path = root.join("catalog.sqlite");
        let (db, aside) = match connect(&path) {
            Ok(db) => (db, false),
            Err(StoreError::Catalog { source, .. }) if is_damage(&source) => {
                put_aside(&path)?;
                (connect(&path)?, true)
            }
            Err(error) => return Err(error),
        };
        let settlement = Settlement { put_aside: aside, ..Settlement::default() };
        Ok(Self {
            path,
            journal: journal::path(root),
            lock: journal::lock_path(root),
            db: Mutex::new(db),
            settlement: Mutex::new(settlement),
        })
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes a catalog that was put aside: all that it said was replayed from the journal.
    pub(super) fn forget_aside(&self) -> Result<(), StoreError> {
        let mut aside = self.path.as_os_str().to_owned();
        aside.push(ASIDE);
        file::remove(Path::new(&aside))
    }

    /// Reads the copy of the journal that a catalog holds, and changes nothing; one that cannot be read has none.
    pub(super) fn copies(root: &Path) -> Vec<journal::Line> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let db =
                Connection::open_with_flags(root.join("catalog.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            db.busy_timeout(BUSY)?;
            db.prepare("SELECT line FROM entry ORDER BY number")?.query_map([], |row| row.get(0))?.collect()
        };
        let texts = read().unwrap_or_default();
        texts.iter().filter_map(|text| journal::Line::parse(text).ok()).collect()
    }

    /// Returns what had to be mended to make catalog and journal agree since the store was opened.
    pub fn settlement(&self) -> Settlement {
        self.settlement.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a query; if SQLite finds the file damaged, replays it from the journal and runs it once more.
    ///
    /// Not for what runs under the journal's lock: that uses [`Catalog::raw`].
    fn with<T>(&self, query: impl Fn(&mut Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let first = query(&mut self.db());
        match first {
            Err(source) if is_damage(&source) => {
                self.start_over()?;
                self.refresh()?;
                self.raw(query)
            }
            other => other.map_err(|e| self.error(e)),
        }
    }

    /// Runs a query once.
    fn raw<T>(&self, query: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        query(&mut self.db()).map_err(|e| self.error(e))
    }

    /// Puts the file aside and makes an empty one, which the next query fills from the journal.
    pub(super) fn start_over(&self) -> Result<(), StoreError> {
        let mut db = self.db();
        // the old connection must be closed before its files are renamed
        *db = Connection::open_in_memory().map_err(|e| self.error(e))?;
        put_aside(&self.path)?;
        *db = connect(&self.path)?;
        self.settlement.lock().unwrap_or_else(PoisonError::into_inner).put_aside = true;
        Ok(())
    }

    fn error(&self, source: rusqlite::Error) -> StoreError {
        sql_error(&self.path, source)
    }
}

/// Adds the path; a full disk is named as such.
fn sql_error(path: &Path, source: rusqlite::Error) -> StoreError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            StoreError::NoSpace { path: path.into(), source: std::io::ErrorKind::StorageFull.into() }
        }
        _ => StoreError::Catalog { path: path.into(), source },
    }
}

/// Tells whether the file is no catalog of ours, as opposed to busy, full or out of reach.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || message.as_deref().is_some_and(|m| m.starts_with("no such "))
        }
        rusqlite::Error::SqlInputError { msg, .. } => msg.starts_with("no such "),
        // a value that is not of the type that was written
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(BUSY)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        Ok(db)
    };
    let mut db = open().map_err(|e| sql_error(path, e))?;
    schema::migrate(&mut db, path)?;
    Ok(db)
}

fn put_aside(path: &Path) -> Result<(), StoreError> {
    let with = |tail: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(tail);
        PathBuf::from(name)
    };
    for tail in ["-wal", "-shm"] {
        file::remove(&with(tail))?;
    }
    if file::exists(path)? {
        file::rename(path, &with(ASIDE))?;
    }
    Ok(())
}

/// What the name of a catalog that was put aside ends in.
const ASIDE: &str = ".damaged";
