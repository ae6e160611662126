//! What an entry of the journal does to the tables.

use chantal_contract::Digest;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::{Catalog, schema};
use crate::store::{
    Carried, Event, Name, SiteName, SnapshotName, StateRef, StoreError,
    journal::{Line, Tail},
};

impl Catalog {
    /// Applies entries that follow the last one applied, all or none.
    pub(in crate::store) fn apply(&self, lines: &[(Line, Tail)]) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.raw(|db| apply_all(db, lines, Former::Kept))
    }

    /// Empties all tables but the caches and applies entries from the first one on, all or none.
    pub(super) fn apply_anew(&self, lines: &[(Line, Tail)]) -> Result<(), StoreError> {
        self.raw(|db| apply_all(db, lines, Former::Forgotten))
    }

    /// Returns the last entry that was applied.
    pub(super) fn applied(&self) -> Result<Option<Tail>, StoreError> {
        self.raw(|db| {
            db.query_row(
                "SELECT number, hash, start, end FROM entry ORDER BY number DESC LIMIT 1",
                [],
                |row| {
                    Ok(Tail {
                        number: row.get(0)?,
                        hash: super::query::digest(row, 1)?,
                        start: row.get(2)?,
                        end: row.get(3)?,
                    })
                },
            )
            .optional()
        })
    }
}

/// What becomes of what the tables held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Former {
    Kept,
    Forgotten,
}

/// Applies entries in one transaction.
pub(super) fn apply_all(db: &mut Connection, lines: &[(Line, Tail)], former: Former) -> rusqlite::Result<()> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if former == Former::Forgotten {
        for table in schema::REPLAYED {
            change.execute(&format!("DELETE FROM {table}"), [])?;
        }
    }
    for (line, tail) in lines {
        let entry = line.entry();
        change.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)",
            params![entry.number, entry.at.to_string(), tail.hash.hex(), tail.start, tail.end, line.text()],
        )?;
        apply_event(&change, entry.number, entry.at, &entry.event)?;
    }
    change.commit()
}

fn apply_event(db: &Transaction<'_>, number: u64, at: Timestamp, event: &Event) -> rusqlite::Result<()> {
    let at_text = at.to_string();
    match event {
        Event::Init { site, format } => {
            db.execute("INSERT INTO site VALUES (?, ?)", params![site.as_str(), format])?;
        }
        Event::State { repository, state, complete } => {
            add_state(db, number, at, repository, state, None, *complete)?;
        }
        Event::Named { repository, name, state } => {
            add_name(db, number, at, repository, name, state, None)?;
        }
        Event::Unnamed { repository, name } => {
            db.execute(
                "DELETE FROM named WHERE repository = ? AND name = ?",
                params![repository.as_str(), name.as_str()],
            )?;
        }
        Event::Removed { repository } => {
            for table in ["state", "named", "fetched", "synced"] {
                db.execute(
                    &format!("DELETE FROM {table} WHERE repository = ?"),
                    params![repository.as_str()],
                )?;
            }
        }
        Event::Exported { to, bundle, epoch, sequence, manifest, states, delivery, signed, trust } => {
            db.execute(
                "INSERT INTO exported VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    number,
                    at_text,
                    to.as_str(),
                    bundle,
                    epoch,
                    sequence,
                    manifest.hex(),
                    json(states)?,
                    json(delivery)?,
                    json(signed)?,
                    trust
                ],
            )?;
        }
        Event::Acknowledged { to, receipt, epoch, sequence, bundle, states, trust, key } => {
            db.execute(
                "INSERT OR REPLACE INTO acknowledged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    to.as_str(),
                    number,
                    at_text,
                    receipt.hex(),
                    epoch,
                    sequence,
                    bundle.map(|d| d.hex()),
                    json(states)?,
                    trust,
                    key
                ],
            )?;
        }
        Event::Pending { bundle, manifest, volumes, signed, approved, proof } => {
            db.execute(
                "INSERT INTO pending (manifest, number, since, bundle, volumes, signed, approved, proof)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (manifest)
                 DO UPDATE SET number = ?2, bundle = ?4, volumes = ?5, signed = ?6, approved = ?7, proof = ?8",
                params![
                    manifest.hex(),
                    number,
                    at_text,
                    bundle,
                    json(volumes)?,
                    json(signed)?,
                    json(approved)?,
                    proof.map(|d| d.hex())
                ],
            )?;
        }
        Event::Imported {
            from,
            bundle,
            epoch,
            sequence,
            manifest,
            states,
            created,
            expected_next_by,
            signed,
            approved,
            proof,
            origins,
        } => {
            db.execute(
                "INSERT INTO imported VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                params![
                    number,
                    at_text,
                    from.as_str(),
                    bundle,
                    epoch,
                    sequence,
                    manifest.hex(),
                    json(states)?,
                    proof.map(|d| d.hex()),
                    json(origins)?,
                    created.map(|t| t.to_string()),
                    expected_next_by.map(|t| t.to_string()),
                    json(signed)?,
                    json(approved)?
                ],
            )?;
            db.execute("DELETE FROM pending WHERE manifest = ?", params![manifest.hex()])?;
            drop_older(db, bundle)?;
            for carried in states {
                add_carried(db, number, at, carried, from)?;
            }
        }
        Event::Trusted { collector, version, document, signatures } => {
            db.execute(
                // another document under a version that was accepted is none
                "INSERT INTO trusted VALUES (?1, ?2, ?3, ?4) ON CONFLICT (collector, version)
                 DO UPDATE SET signatures = ?4 WHERE document = ?3",
                params![collector.as_str(), version, document.hex(), json(signatures)?],
            )?;
        }
        Event::Forgotten { collector } => {
            db.execute("DELETE FROM trusted WHERE collector = ?", params![collector.as_str()])?;
            db.execute("UPDATE imported SET closed = 1 WHERE site = ?", params![collector.as_str()])?;
        }
        Event::Published { target, repository, name, state } => {
            db.execute(
                "INSERT OR REPLACE INTO published VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    target,
                    number,
                    at_text,
                    repository.as_str(),
                    name.as_ref().map(SnapshotName::as_str),
                    state.manifest.hex(),
                    state.evidence.map(|d: Digest| d.hex()),
                    state.date.map(|t| t.to_string()),
                    state.valid_until.map(|t| t.to_string()),
                ],
            )?;
        }
        Event::Unpublished { target } => {
            db.execute("DELETE FROM published WHERE target = ?", params![target])?;
        }
        Event::Approved { .. } | Event::Collected { .. } => {}
    }
    Ok(())
}

/// Forgets the bundles of a stream that wait behind the one that was imported: they can become current no more.
fn drop_older(db: &Transaction<'_>, imported: &str) -> rusqlite::Result<()> {
    let Some(newest) = place(imported) else { return Ok(()) };
    let waiting: Vec<String> = db
        .prepare_cached("SELECT bundle FROM pending")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for bundle in waiting {
        if place(&bundle).is_some_and(|(stream, at)| stream == newest.0 && at < newest.1) {
            db.execute("DELETE FROM pending WHERE bundle = ?", params![bundle])?;
        }
    }
    Ok(())
}

/// Reads stream, epoch and sequence out of a bundle's name, `<stream>-e<epoch>-<sequence>`.
fn place(bundle: &str) -> Option<(&str, (u32, u64))> {
    let (rest, sequence) = bundle.rsplit_once('-')?;
    let (stream, epoch) = rest.rsplit_once("-e")?;
    Some((stream, (epoch.parse().ok()?, sequence.parse().ok()?)))
}

fn add_carried(
    db: &Transaction<'_>,
    number: u64,
    at: Timestamp,
    carried: &Carried,
    from: &SiteName,
) -> rusqlite::Result<()> {
    add_state(db, number, at, &carried.repository, &carried.state, Some(from), true)?;
    for name in &carried.names {
        add_name(db, number, at, &carried.repository, name, &carried.state, Some(from))?;
    }
    Ok(())
}

fn add_state(
    db: &Transaction<'_>,
    number: u64,
    at: Timestamp,
    repository: &Name,
    state: &StateRef,
    origin: Option<&SiteName>,
    complete: bool,
) -> rusqlite::Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            repository.as_str(),
            number,
            at.to_string(),
            state.manifest.hex(),
            state.evidence.map(|d| d.hex()),
            state.date.map(|t| t.to_string()),
            state.valid_until.map(|t| t.to_string()),
            origin.map(SiteName::as_str),
            complete,
        ],
    )?;
    Ok(())
}

/// A name keeps what is known of its state: where it came from, and whether it was complete.
fn add_name(
    db: &Transaction<'_>,
    number: u64,
    at: Timestamp,
    repository: &Name,
    name: &SnapshotName,
    state: &StateRef,
    origin: Option<&SiteName>,
) -> rusqlite::Result<()> {
    let known: Option<(Option<String>, bool)> = db
        .query_row(
            "SELECT origin, complete FROM state WHERE repository = ? AND manifest = ? ORDER BY number DESC LIMIT 1",
            params![repository.as_str(), state.manifest.hex()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let (known_origin, complete) = known.unwrap_or((None, true));
    db.execute(
        "INSERT OR REPLACE INTO named VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            repository.as_str(),
            name.as_str(),
            number,
            at.to_string(),
            state.manifest.hex(),
            state.evidence.map(|d| d.hex()),
            state.date.map(|t| t.to_string()),
            state.valid_until.map(|t| t.to_string()),
            origin.map(|o| o.as_str().to_owned()).or(known_origin),
            complete,
        ],
    )?;
    Ok(())
}

fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}
