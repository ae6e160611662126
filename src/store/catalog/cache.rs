//! What is worth remembering and costs only time when it is lost; never replayed.

use chantal_contract::{Algorithm, Checksum, Digest, Measured};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, TransactionBehavior, params, types::Type};

use super::{Catalog, Origin};
use crate::store::{Name, StoreError};

/// What a server said of a file when it was fetched last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its `ETag`, verbatim.
    pub etag: Option<String>,
    /// Its `Last-Modified`, verbatim.
    pub last_modified: Option<String>,
    /// The URL that answered, after redirects; without credentials.
    pub final_url: String,
    /// What came.
    pub measured: Measured,
}

impl Catalog {
    /// Returns what is remembered of a URL of a repository.
    pub fn fetched(&self, repository: &Name, url: &str) -> Result<Option<Fetched>, StoreError> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT sha256, size, etag, last_modified, final_url FROM fetched WHERE repository = ? AND url = ?",
            )?
            .query_row(params![repository.as_str(), url], |row| {
                Ok(Fetched {
                    measured: measured(row)?,
                    etag: row.get(2)?,
                    last_modified: row.get(3)?,
                    final_url: row.get(4)?,
                })
            })
            .optional()
        })
    }

    /// Remembers what came from URLs of a repository.
    pub fn set_fetched(&self, repository: &Name, rows: &[(String, Fetched)]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.with(|db| {
            let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut insert =
                    change.prepare_cached("INSERT OR REPLACE INTO fetched VALUES (?, ?, ?, ?, ?, ?, ?)")?;
                for (url, row) in rows {
                    insert.execute(params![
                        repository.as_str(),
                        url,
                        row.etag,
                        row.last_modified,
                        row.final_url,
                        row.measured.sha256.as_bytes(),
                        row.measured.size,
                    ])?;
                }
            }
            change.commit()
        })
    }

    /// Remembers that a repository was found to be as its upstream is, without an error.
    pub fn set_synced(&self, repository: &Name, at: Timestamp) -> Result<(), StoreError> {
        self.with(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO synced VALUES (?, ?)")?
                .execute(params![repository.as_str(), at.to_string()])
                .map(drop)
        })
    }

    /// Returns when a repository was last found to be as its upstream is; none where no sync is remembered.
    ///
    /// The journal only has syncs that brought something: a catalog that was made anew knows of those at most.
    pub fn synced(&self, repository: &Name) -> Result<Option<Timestamp>, StoreError> {
        let text: Option<String> = self.with(|db| {
            db.prepare_cached("SELECT at FROM synced WHERE repository = ?")?
                .query_row(params![repository.as_str()], |row| row.get(0))
                .optional()
        })?;
        let noted = text.and_then(|text| text.parse().ok());
        let brought =
            self.history(repository)?.into_iter().find(|r| r.complete && r.origin == Origin::Synced);
        Ok(noted.max(brought.map(|recorded| recorded.at)))
    }

    /// Returns the blob that was once found to have a digest other than SHA-256.
    pub fn alias(&self, checksum: &Checksum) -> Result<Option<Measured>, StoreError> {
        self.with(|db| {
            db.prepare_cached("SELECT sha256, size FROM alias WHERE checksum = ?")?
                .query_row(params![key(checksum)], measured)
                .optional()
        })
    }

    /// Forgets what was fetched from where, so that the next sync of every repository reads upstream anew.
    pub fn forget(&self) -> Result<(), StoreError> {
        self.with(|db| db.execute_batch("DELETE FROM fetched; DELETE FROM alias;"))
    }

    /// Remembers which blobs have which digests other than SHA-256.
    pub fn set_aliases(&self, rows: &[(Checksum, Measured)]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.with(|db| {
            let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut insert = change.prepare_cached("INSERT OR REPLACE INTO alias VALUES (?, ?, ?)")?;
                for (checksum, blob) in rows {
                    insert.execute(params![key(checksum), blob.sha256.as_bytes(), blob.size])?;
                }
            }
            change.commit()
        })
    }
}

/// One byte for the algorithm, then the digest.
fn key(checksum: &Checksum) -> Vec<u8> {
    let algorithm = match checksum.algorithm() {
        Algorithm::Md5 => 1,
        Algorithm::Sha1 => 2,
        Algorithm::Sha224 => 3,
        Algorithm::Sha256 => 4,
        Algorithm::Sha384 => 5,
        Algorithm::Sha512 => 6,
    };
    let mut key = vec![algorithm];
    key.extend_from_slice(checksum.value());
    key
}

fn measured(row: &Row<'_>) -> rusqlite::Result<Measured> {
    let bytes: [u8; 32] = row.get(0)?;
    let size: i64 = row.get(1)?;
    let size = u64::try_from(size)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(1, Type::Integer, Box::new(e)))?;
    Ok(Measured { sha256: Digest::from_bytes(bytes), size })
}
