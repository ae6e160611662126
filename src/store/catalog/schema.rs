//! The tables, and how a catalog of an older version becomes one of this.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::sql_error;
use crate::store::StoreError;

/// One step per version; the catalog's `user_version` counts those that were taken.
const STEPS: [&str; 5] = [
    "
CREATE TABLE entry (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, hash TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
    line TEXT NOT NULL
) STRICT;
CREATE TABLE site (name TEXT NOT NULL, format INTEGER NOT NULL) STRICT;
CREATE TABLE state (
    repository TEXT NOT NULL, number INTEGER NOT NULL, at TEXT NOT NULL, manifest TEXT NOT NULL, evidence TEXT,
    date TEXT, valid_until TEXT, origin TEXT, complete INTEGER NOT NULL,
    PRIMARY KEY (repository, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX state_manifest ON state (manifest);
CREATE TABLE named (
    repository TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, at TEXT NOT NULL, manifest TEXT NOT NULL,
    evidence TEXT, date TEXT, valid_until TEXT, origin TEXT, complete INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE exported (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, site TEXT NOT NULL, bundle TEXT NOT NULL, epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL, manifest TEXT NOT NULL, states TEXT NOT NULL, delivery TEXT NOT NULL
) STRICT;
CREATE TABLE imported (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, site TEXT NOT NULL, bundle TEXT NOT NULL, epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL, manifest TEXT NOT NULL, states TEXT NOT NULL
) STRICT;
CREATE TABLE pending (
    manifest TEXT PRIMARY KEY, number INTEGER NOT NULL, since TEXT NOT NULL, bundle TEXT NOT NULL, volumes TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE trusted (
    collector TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (collector, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE published (
    target TEXT PRIMARY KEY, number INTEGER NOT NULL, at TEXT NOT NULL, repository TEXT NOT NULL, name TEXT,
    manifest TEXT NOT NULL, evidence TEXT, date TEXT, valid_until TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE fetched (
    repository TEXT NOT NULL, url TEXT NOT NULL, etag TEXT, last_modified TEXT, final_url TEXT NOT NULL,
    sha256 BLOB NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (repository, url)
) STRICT, WITHOUT ROWID;
CREATE TABLE alias (
    checksum BLOB PRIMARY KEY, sha256 BLOB NOT NULL, size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
ALTER TABLE imported ADD COLUMN proof TEXT;
ALTER TABLE imported ADD COLUMN origins TEXT NOT NULL DEFAULT '[]';
ALTER TABLE exported ADD COLUMN signed TEXT NOT NULL DEFAULT '[]';
ALTER TABLE imported ADD COLUMN created TEXT;
ALTER TABLE imported ADD COLUMN expected_next_by TEXT;
ALTER TABLE imported ADD COLUMN signed TEXT NOT NULL DEFAULT '[]';
ALTER TABLE imported ADD COLUMN approved TEXT NOT NULL DEFAULT '[]';
ALTER TABLE pending ADD COLUMN signed TEXT NOT NULL DEFAULT '[]';
ALTER TABLE trusted ADD COLUMN signatures TEXT NOT NULL DEFAULT '[]';
CREATE TABLE acknowledged (
    site TEXT PRIMARY KEY, number INTEGER NOT NULL, at TEXT NOT NULL, receipt TEXT NOT NULL, epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL, bundle TEXT, states TEXT NOT NULL, trust INTEGER NOT NULL, key TEXT NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
ALTER TABLE pending ADD COLUMN proof TEXT;
CREATE TABLE synced (repository TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT, WITHOUT ROWID;
",
    "
ALTER TABLE pending ADD COLUMN approved TEXT NOT NULL DEFAULT '[]';
",
    "
ALTER TABLE exported ADD COLUMN trust INTEGER;
ALTER TABLE imported ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
",
];

/// The tables that are replayed from the journal; the others are caches.
pub(super) const REPLAYED: [&str; 10] = [
    "entry",
    "site",
    "state",
    "named",
    "exported",
    "acknowledged",
    "imported",
    "pending",
    "trusted",
    "published",
];

/// Brings a catalog to this version's tables.
pub(super) fn migrate(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let version = |db: &Connection| db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let found = version(db).map_err(|e| sql_error(path, e))?;
    if found == known {
        return Ok(());
    }
    if found > known || found < 0 {
        return Err(StoreError::Newer {
            path: path.into(),
            found: format!("tables {found}"),
            known: format!("tables {known}"),
        });
    }
    let mut step = || -> rusqlite::Result<()> {
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // another process may have been quicker
        let found = usize::try_from(version(&change)?).unwrap_or(STEPS.len());
        for step in STEPS.iter().skip(found) {
            change.execute_batch(step)?;
        }
        change.pragma_update(None, "user_version", known)?;
        change.commit()
    };
    step().map_err(|e| sql_error(path, e))
}
