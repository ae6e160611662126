//! `chantal db`: journal, manifests, packs and catalog: what cannot be mirrored again.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::Ending,
    stats::Shown,
    verify,
};
use crate::{
    report::human::{count, size},
    store::{RestoreReport, Store},
};

/// Look after journal, manifests, packs and catalog
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say how much there is
    Stats,
    /// Give free pages of the catalog back to the file system
    Vacuum,
    /// Write what cannot be mirrored again into one file: journal, manifests, records, trust; the pool is not in it
    Backup {
        /// The file; must not exist
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Bring back what a backup holds; never lowers a sequence or a trust version
    Restore {
        /// A file that `db backup` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Check journal, manifests, packs and catalog against each other
    Verify,
    /// Make the catalog anew from the journal
    Rebuild,
}

#[derive(Serialize)]
struct BackedUp {
    file: String,
    entries: u64,
    manifests: u64,
    packs: u64,
    blobs: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Restored {
    entries: u64,
    regained: u64,
    manifests: u64,
    packs: u64,
    blobs: u64,
}

#[derive(Serialize)]
struct Vacuumed {
    before: u64,
    after: u64,
}

impl From<RestoreReport> for Restored {
    fn from(report: RestoreReport) -> Self {
        Self {
            entries: report.entries,
            regained: report.regained,
            manifests: report.manifests,
            packs: report.packs,
            blobs: report.blobs,
        }
    }
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    match &args.verb {
        Verb::Stats => {
            let (_, store) = context.open()?;
            let _shared = share(&store)?;
            let shown = Shown::from(&store.db_stats()?);
            context.printer.show(&shown, |shown| shown.database().join("\n"))?;
        }
        Verb::Vacuum => {
            let (_, store) = context.open()?;
            let report = store.vacuum()?;
            let vacuumed = Vacuumed { before: report.before, after: report.after };
            context.printer.show(&vacuumed, |done| {
                format!("the catalog took {}, and takes {}", size(done.before), size(done.after))
            })?;
        }
        Verb::Backup { file } => {
            let (_, store) = context.open()?;
            let _shared = share(&store)?;
            let report = store.backup(file)?;
            let done = BackedUp {
                file: file.display().to_string(),
                entries: report.entries,
                manifests: report.manifests,
                packs: report.packs,
                blobs: report.blobs,
                bytes: report.bytes,
            };
            context.printer.show(&done, |done| {
                let held = [
                    count(done.entries, "journal entry"),
                    count(done.manifests, "manifest"),
                    count(done.packs, "pack"),
                    count(done.blobs, "blob"),
                ];
                format!("{}: {} ({})", done.file, held.join(", "), size(done.bytes))
            })?;
        }
        Verb::Restore { file } => {
            let config = context.config()?;
            let report = Store::restore(&config.storage.root.resolve(), file)
                .with_context(|| format!("cannot restore `{}`", file.display()))?;
            restored(report, context)?;
        }
        Verb::Verify => {
            let (_, store) = context.open()?;
            let _shared = share(&store)?;
            return verify::tell(&store.verify_db()?, Vec::new(), context);
        }
        Verb::Rebuild => {
            let config = context.config()?;
            restored(Store::rebuild(&config.storage.root.resolve())?, context)?;
        }
    }
    Ok(Ending::Done)
}

fn restored(report: RestoreReport, context: &Context) -> anyhow::Result<()> {
    context.printer.show(&Restored::from(report), |done| {
        let mut text = format!("{} in the journal", count(done.entries, "entry"));
        for (number, noun) in [
            (done.regained, "entry"),
            (done.manifests, "manifest"),
            (done.packs, "pack"),
            (done.blobs, "blob"),
        ] {
            if number > 0 {
                text.extend([", ", &count(number, noun), " regained"]);
            }
        }
        text
    })
}
