//! Looking things up.

use std::str::FromStr;

use chantal_contract::Digest;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params, types::Type};
use serde::de::DeserializeOwned;

use super::{
    Acknowledged, Catalog, Exported, Imported, Origin, PendingRow, PublishedRow, Recorded, RepositoryRow,
    TrustedRow,
};
use crate::store::{Address, Name, SiteName, SnapshotName, StateRef, StoreError};

/// The columns that make a [`Recorded`], in the order that [`recorded`] reads.
const RECORDED: &str = "number, at, manifest, evidence, date, valid_until, origin, complete";

impl Catalog {
    /// Returns the site that the store belongs to.
    pub(in crate::store) fn site(&self) -> Result<Option<(SiteName, u32)>, StoreError> {
        self.refresh()?;
        self.with(|db| {
            db.query_row("SELECT name, format FROM site", [], |row| Ok((parsed(row, 0)?, row.get(1)?)))
                .optional()
        })
    }

    /// Lists the repositories by name.
    pub fn repositories(&self) -> Result<Vec<RepositoryRow>, StoreError> {
        self.refresh()?;
        let names: Vec<Name> = self.with(|db| {
            db.prepare_cached("SELECT repository FROM state UNION SELECT repository FROM named ORDER BY 1")?
                .query_map([], |row| parsed(row, 0))?
                .collect()
        })?;
        names
            .into_iter()
            .map(|name| {
                let newest = self.newest_of(&name)?;
                Ok(RepositoryRow { name, newest })
            })
            .collect()
    }

    /// Returns a repository's newest state.
    pub fn newest(&self, repository: &Name) -> Result<Option<Recorded>, StoreError> {
        self.refresh()?;
        self.newest_of(repository)
    }

    fn newest_of(&self, repository: &Name) -> Result<Option<Recorded>, StoreError> {
        let sql = format!("SELECT {RECORDED} FROM state WHERE repository = ? ORDER BY number DESC LIMIT 1");
        self.with(|db| {
            db.prepare_cached(&sql)?
                .query_row(params![repository.as_str()], |row| recorded(row, 0))
                .optional()
        })
    }

    /// Returns what a name of a repository's snapshot stands for.
    pub fn named(&self, repository: &Name, name: &SnapshotName) -> Result<Option<Recorded>, StoreError> {
        self.refresh()?;
        let sql = format!("SELECT {RECORDED} FROM named WHERE repository = ? AND name = ?");
        self.with(|db| {
            db.prepare_cached(&sql)?
                .query_row(params![repository.as_str(), name.as_str()], |row| recorded(row, 0))
                .optional()
        })
    }

    /// Lists the named snapshots, of one repository or all, by repository and name.
    pub fn names(
        &self,
        repository: Option<&Name>,
    ) -> Result<Vec<(Name, SnapshotName, Recorded)>, StoreError> {
        self.refresh()?;
        let sql = format!(
            "SELECT repository, name, {RECORDED} FROM named WHERE ?1 IS NULL OR repository = ?1 ORDER BY 1, 2"
        );
        self.with(|db| {
            db.prepare_cached(&sql)?
                .query_map(params![repository.map(Name::as_str)], |row| {
                    Ok((parsed(row, 0)?, parsed(row, 1)?, recorded(row, 2)?))
                })?
                .collect()
        })
    }

    /// Lists a repository's states, the newest first.
    pub fn history(&self, repository: &Name) -> Result<Vec<Recorded>, StoreError> {
        self.refresh()?;
        let sql = format!("SELECT {RECORDED} FROM state WHERE repository = ? ORDER BY number DESC");
        self.with(|db| {
            db.prepare_cached(&sql)?
                .query_map(params![repository.as_str()], |row| recorded(row, 0))?
                .collect()
        })
    }

    /// Returns the state that an address stands for; what is not there is named beside what is.
    pub fn resolve(&self, address: &Address) -> Result<Recorded, StoreError> {
        let found = match &address.snapshot {
            None => self.newest(&address.repository)?,
            Some(name) => self.named(&address.repository, name)?,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let known: Vec<String> = self.repositories()?.into_iter().map(|row| String::from(row.name)).collect();
        Err(match &address.snapshot {
            Some(_) if known.iter().any(|name| name == address.repository.as_str()) => {
                let names = self.names(Some(&address.repository))?;
                let mut has = vec![address.repository.to_string()];
                has.extend(names.into_iter().map(|(repository, name, _)| format!("{repository}@{name}")));
                StoreError::NotFound { what: format!("snapshot `{address}`"), has }
            }
            _ => StoreError::NotFound { what: format!("repository `{}`", address.repository), has: known },
        })
    }

    /// Lists the bundles written, for one site or all, the oldest first.
    pub fn exports(&self, to: Option<&SiteName>) -> Result<Vec<Exported>, StoreError> {
        self.refresh()?;
        self.with(|db| {
            db.prepare_cached(
                "SELECT number, at, site, bundle, epoch, sequence, manifest, states, delivery, signed, trust
                 FROM exported WHERE ?1 IS NULL OR site = ?1 ORDER BY number",
            )?
            .query_map(params![to.map(SiteName::as_str)], |row| {
                Ok(Exported {
                    number: row.get(0)?,
                    at: parsed(row, 1)?,
                    to: parsed(row, 2)?,
                    bundle: row.get(3)?,
                    epoch: row.get(4)?,
                    sequence: row.get(5)?,
                    manifest: digest(row, 6)?,
                    states: json(row, 7)?,
                    delivery: json(row, 8)?,
                    signed: json(row, 9)?,
                    trust: row.get(10)?,
                })
            })?
            .collect()
        })
    }

    /// Returns what a site signed that it holds; none before its first receipt.
    pub fn acknowledged(&self, site: &SiteName) -> Result<Option<Acknowledged>, StoreError> {
        Ok(self.acknowledgements()?.into_iter().find(|found| found.to == *site))
    }

    /// Lists what every site signed last that it holds, by site.
    pub fn acknowledgements(&self) -> Result<Vec<Acknowledged>, StoreError> {
        self.refresh()?;
        self.with(|db| {
            db.prepare_cached(
                "SELECT number, at, site, receipt, epoch, sequence, bundle, states, trust, key
                 FROM acknowledged ORDER BY site",
            )?
            .query_map([], |row| {
                Ok(Acknowledged {
                    number: row.get(0)?,
                    at: parsed(row, 1)?,
                    to: parsed(row, 2)?,
                    receipt: digest(row, 3)?,
                    epoch: row.get(4)?,
                    sequence: row.get(5)?,
                    bundle: optional(row, 6)?,
                    states: json(row, 7)?,
                    trust: row.get(8)?,
                    key: row.get(9)?,
                })
            })?
            .collect()
        })
    }

    /// Lists the bundles imported, from one collector or all, the oldest first.
    pub fn imports(&self, from: Option<&SiteName>) -> Result<Vec<Imported>, StoreError> {
        self.refresh()?;
        self.with(|db| {
            db.prepare_cached(
                "SELECT number, at, site, bundle, epoch, sequence, manifest, states, proof, origins,
                        created, expected_next_by, signed, approved, closed
                 FROM imported WHERE ?1 IS NULL OR site = ?1 ORDER BY number",
            )?
            .query_map(params![from.map(SiteName::as_str)], |row| {
                Ok(Imported {
                    number: row.get(0)?,
                    at: parsed(row, 1)?,
                    from: parsed(row, 2)?,
                    bundle: row.get(3)?,
                    epoch: row.get(4)?,
                    sequence: row.get(5)?,
                    manifest: digest(row, 6)?,
                    states: json(row, 7)?,
                    proof: optional(row, 8)?,
                    origins: json(row, 9)?,
                    created: optional(row, 10)?,
                    expected_next_by: optional(row, 11)?,
                    signed: json(row, 12)?,
                    approved: json(row, 13)?,
                    closed: row.get(14)?,
                })
            })?
            .collect()
        })
    }

    /// Lists the bundles of which parts are in the pool, the oldest first.
    pub fn pending(&self) -> Result<Vec<PendingRow>, StoreError> {
        self.refresh()?;
        self.with(|db| {
            db.prepare_cached(
                "SELECT number, since, bundle, manifest, volumes, signed, approved, proof
                 FROM pending ORDER BY number",
            )?
            .query_map([], |row| {
                Ok(PendingRow {
                    number: row.get(0)?,
                    since: parsed(row, 1)?,
                    bundle: row.get(2)?,
                    manifest: digest(row, 3)?,
                    volumes: json(row, 4)?,
                    signed: json(row, 5)?,
                    approved: json(row, 6)?,
                    proof: optional(row, 7)?,
                })
            })?
            .collect()
        })
    }

    /// Returns the newest accepted trust document of a collector: its version and its blob.
    pub fn trust(&self, collector: &SiteName) -> Result<Option<(u32, Digest)>, StoreError> {
        Ok(self.trust_chain(collector)?.pop())
    }

    /// Lists all accepted trust documents of a collector, version 1 first.
    pub fn trust_chain(&self, collector: &SiteName) -> Result<Vec<(u32, Digest)>, StoreError> {
        Ok(self.trusted(collector)?.into_iter().map(|row| (row.version, row.document)).collect())
    }

    /// Lists all accepted trust documents of a collector with the signatures over them, version 1 first.
    pub fn trusted(&self, collector: &SiteName) -> Result<Vec<TrustedRow>, StoreError> {
        self.refresh()?;
        let sql = "SELECT version, document, signatures FROM trusted WHERE collector = ? ORDER BY version";
        self.with(|db| {
            db.prepare_cached(sql)?
                .query_map(params![collector.as_str()], |row| {
                    Ok(TrustedRow {
                        version: row.get(0)?,
                        document: digest(row, 1)?,
                        signatures: json(row, 2)?,
                    })
                })?
                .collect()
        })
    }

    /// Lists the collectors of which a trust document was accepted, by name.
    pub fn collectors(&self) -> Result<Vec<SiteName>, StoreError> {
        self.refresh()?;
        self.with(|db| {
            db.prepare_cached("SELECT DISTINCT collector FROM trusted ORDER BY 1")?
                .query_map([], |row| parsed(row, 0))?
                .collect()
        })
    }

    /// Lists the published trees by target.
    pub fn published(&self) -> Result<Vec<PublishedRow>, StoreError> {
        self.refresh()?;
        self.with(|db| {
            db.prepare_cached(
                "SELECT number, at, target, repository, name, manifest, evidence, date, valid_until
                 FROM published ORDER BY target",
            )?
            .query_map([], |row| {
                Ok(PublishedRow {
                    number: row.get(0)?,
                    at: parsed(row, 1)?,
                    target: row.get(2)?,
                    repository: parsed(row, 3)?,
                    name: optional(row, 4)?,
                    state: state(row, 5)?,
                })
            })?
            .collect()
        })
    }

    /// Tells whether some state or name still stands for this manifest: a newest state, a named snapshot, a published tree.
    pub fn holds(&self, manifest: &Digest) -> Result<bool, StoreError> {
        self.refresh()?;
        self.with(|db| {
            db.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM named WHERE manifest = ?1)
                     OR EXISTS (SELECT 1 FROM published WHERE manifest = ?1)
                     OR EXISTS (SELECT 1 FROM state s WHERE manifest = ?1 AND number =
                            (SELECT max(number) FROM state WHERE repository = s.repository))",
            )?
            .query_row(params![manifest.hex()], |row| row.get(0))
        })
    }
}

fn recorded(row: &Row<'_>, first: usize) -> rusqlite::Result<Recorded> {
    Ok(Recorded {
        number: row.get(first)?,
        at: parsed(row, first + 1)?,
        state: state(row, first + 2)?,
        origin: optional(row, first + 6)?.map_or(Origin::Synced, |from| Origin::Imported { from }),
        complete: row.get(first + 7)?,
    })
}

fn state(row: &Row<'_>, first: usize) -> rusqlite::Result<StateRef> {
    Ok(StateRef {
        manifest: digest(row, first)?,
        evidence: optional(row, first + 1)?,
        date: optional::<Timestamp>(row, first + 2)?,
        valid_until: optional::<Timestamp>(row, first + 3)?,
    })
}

/// Reads a digest in hexadecimal digits.
pub(super) fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    parsed(row, column)
}

fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get::<_, String>(column)?.parse().map_err(|e| conversion(column, e))
}

fn optional<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: Option<String> = row.get(column)?;
    text.map(|t| t.parse().map_err(|e| conversion(column, e))).transpose()
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|e| conversion(column, e))
}

fn conversion(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
