//! `chantal stats`: what the store holds, and what sharing saves.

use serde::Serialize;

use super::{
    context::{Context, share},
    ending::Ending,
};
use crate::{
    report::{
        human::{count, grouped, size},
        table::Align::{Left, Right},
    },
    store::Stats,
};

/// Say what the store holds, and what sharing saves
#[derive(Debug, clap::Args)]
pub struct Args {}

/// What lies beside the pool.
#[derive(Serialize)]
pub struct Database {
    packs: u64,
    records: u64,
    pack_bytes: u64,
    manifests: u64,
    manifest_bytes: u64,
    entries: u64,
    journal_bytes: u64,
    catalog_bytes: u64,
}

#[derive(Serialize)]
struct Shown {
    blobs: u64,
    blob_bytes: u64,
    logical_bytes: u64,
    deduplication: f64,
    #[serde(flatten)]
    database: Database,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    repositories: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    states: u64,
    files: u64,
    logical_bytes: u64,
    bytes: u64,
    unique_bytes: u64,
}

impl From<&Stats> for Shown {
    fn from(stats: &Stats) -> Self {
        Self {
            blobs: stats.blobs,
            blob_bytes: stats.blob_bytes,
            logical_bytes: stats.logical_bytes,
            deduplication: stats.deduplication(),
            database: Database::from(stats),
            repositories: stats
                .repositories
                .iter()
                .map(|(name, row)| Row {
                    name: name.to_string(),
                    states: row.states,
                    files: row.files,
                    logical_bytes: row.logical_bytes,
                    bytes: row.bytes,
                    unique_bytes: row.unique_bytes,
                })
                .collect(),
        }
    }
}

impl From<&Stats> for Database {
    fn from(stats: &Stats) -> Self {
        Self {
            packs: stats.packs,
            records: stats.records,
            pack_bytes: stats.pack_bytes,
            manifests: stats.manifests,
            manifest_bytes: stats.manifest_bytes,
            entries: stats.entries,
            journal_bytes: stats.journal_bytes,
            catalog_bytes: stats.catalog_bytes,
        }
    }
}

impl Database {
    /// Says it in lines.
    pub fn lines(&self) -> Vec<String> {
        vec![
            format!(
                "packs      {}, {}, {}",
                count(self.packs, "pack"),
                count(self.records, "record"),
                size(self.pack_bytes)
            ),
            format!("manifests  {}, {}", count(self.manifests, "manifest"), size(self.manifest_bytes)),
            format!("journal    {}, {}", count(self.entries, "entry"), size(self.journal_bytes)),
            format!("catalog    {}", size(self.catalog_bytes)),
        ]
    }
}

pub fn run(_: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let _shared = share(&store)?;
    let stats = store.stats()?;
    context.printer.show(&Shown::from(&stats), |shown| {
        let mut lines = vec![
            format!("pool       {}, {}", count(shown.blobs, "blob"), size(shown.blob_bytes)),
            format!(
                "sharing    {} in all states, {:.1} times the pool",
                size(shown.logical_bytes),
                shown.deduplication
            ),
        ];
        lines.extend(shown.database.lines());
        if !shown.repositories.is_empty() {
            let rows: Vec<Vec<String>> = shown
                .repositories
                .iter()
                .map(|row| {
                    vec![
                        row.name.clone(),
                        grouped(row.states),
                        grouped(row.files),
                        size(row.logical_bytes),
                        size(row.bytes),
                        size(row.unique_bytes),
                    ]
                })
                .collect();
            let headings = [
                ("repository", Left),
                ("states", Right),
                ("files", Right),
                ("logical", Right),
                ("stored", Right),
                ("only here", Right),
            ];
            lines.push(String::new());
            lines.push(context.printer.table(&headings, &rows));
        }
        lines.join("\n")
    })?;
    Ok(Ending::Done)
}
