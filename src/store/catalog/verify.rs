//! Whether the catalog says what the journal says, and its upkeep.

use rusqlite::{Connection, types::Value};

use super::{Catalog, apply, schema, sql_error};
use crate::store::{StoreError, file, journal::Scan, lock};

/// What a vacuum saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vacuumed {
    /// Bytes of the catalog before.
    pub before: u64,
    /// Bytes of the catalog after.
    pub after: u64,
}

impl Catalog {
    /// Checks the database's structure, and every table against a fresh replay; returns what is wrong.
    pub(in crate::store) fn verify(&self) -> Result<Vec<String>, StoreError> {
        self.refresh()?;
        let _turn = lock::wait(&self.lock)?;
        let mut faults: Vec<String> = {
            let db = self.db();
            let rows: rusqlite::Result<Vec<String>> = db
                .prepare("PRAGMA integrity_check(10)")
                .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect());
            match rows {
                Ok(rows) => rows.into_iter().filter(|row| row != "ok").collect(),
                Err(error) => vec![error.to_string()],
            }
        };
        let mut fresh = Connection::open_in_memory().map_err(|e| sql_error(&self.path, e))?;
        schema::migrate(&mut fresh, &self.path)?;
        let mut portion = Vec::new();
        for found in Scan::open(&self.journal)? {
            portion.push(found?);
            if portion.len() >= 256 {
                apply::apply_all(&mut fresh, &portion, apply::Former::Kept).map_err(|e| self.error(e))?;
                portion.clear();
            }
        }
        apply::apply_all(&mut fresh, &portion, apply::Former::Kept).map_err(|e| self.error(e))?;
        let db = self.db();
        for table in schema::REPLAYED {
            match differs(&db, &fresh, table) {
                Ok(false) => {}
                Ok(true) => faults.push(format!("table `{table}` differs from what the journal says")),
                Err(error) => faults.push(format!("table `{table}`: {error}")),
            }
        }
        Ok(faults)
    }

    /// Says what a vacuum would save; changes nothing.
    pub(in crate::store) fn vacuum_plan(&self) -> Result<Vacuumed, StoreError> {
        let number =
            |pragma: &str| self.with(|db| db.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0)));
        let before = file::stat(&self.path)?.map_or(0, |s| s.size);
        let free = number("freelist_count")?.saturating_mul(number("page_size")?);
        Ok(Vacuumed { before, after: before.saturating_sub(free) })
    }

    /// Gives unused space back to the file system.
    pub(in crate::store) fn vacuum(&self) -> Result<Vacuumed, StoreError> {
        let size = || Ok::<_, StoreError>(file::stat(&self.path)?.map_or(0, |s| s.size));
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.with(|db| db.query_row(checkpoint, [], |_| Ok(())))?;
        let before = size()?;
        self.with(|db| db.execute_batch("VACUUM"))?;
        self.with(|db| db.query_row(checkpoint, [], |_| Ok(())))?;
        Ok(Vacuumed { before, after: size()? })
    }
}

/// Compares a table row by row.
fn differs(a: &Connection, b: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = format!("SELECT * FROM {table} ORDER BY 1, 2");
    let (mut a, mut b) = (a.prepare(&sql)?, b.prepare(&sql)?);
    let (columns, other) = (a.column_count(), b.column_count());
    if columns != other {
        return Ok(true);
    }
    let (mut a, mut b) = (a.query([])?, b.query([])?);
    loop {
        match (a.next()?, b.next()?) {
            (None, None) => return Ok(false),
            (Some(a), Some(b)) => {
                for column in 0..columns {
                    if a.get::<_, Value>(column)? != b.get::<_, Value>(column)? {
                        return Ok(true);
                    }
                }
            }
            _ => return Ok(true),
        }
    }
}
