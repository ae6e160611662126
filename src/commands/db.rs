//! `chantal db`: journal, manifests, packs and catalog: what cannot be mirrored again.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::{self, Ending},
    stats::Database,
    trust, verify,
};
use crate::{
    config::Config,
    report::{
        Event,
        human::{count, size},
    },
    store::{RestoreReport, Store},
    trust::SiteKey,
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
    Vacuum {
        /// Say what would be given back, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Write what cannot be mirrored again into one file: journal, manifests, records, trust; the pool is not in it
    Backup {
        /// The file; must not exist
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Bring back what a backup holds; never lowers a sequence or a trust version
    ///
    /// Into a place without a store, into one that `init` has just begun, or into the store that the backup was made of.
    Restore {
        /// A file that `db backup` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Say what would be brought back, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Check journal and catalog against each other, and hash every manifest and every record
    Verify,
    /// Make the catalog anew from the journal
    Rebuild {
        /// Say what the journal would hold, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
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
    dry_run: bool,
}

#[derive(Serialize)]
struct Vacuumed {
    before: u64,
    after: u64,
    dry_run: bool,
}

impl From<RestoreReport> for Restored {
    fn from(report: RestoreReport) -> Self {
        Self {
            entries: report.entries,
            regained: report.regained,
            manifests: report.manifests,
            packs: report.packs,
            blobs: report.blobs,
            dry_run: false,
        }
    }
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    match &args.verb {
        Verb::Stats => {
            let (_, store) = context.open()?;
            let _shared = share(&store)?;
            let shown = Database::from(&store.db_stats()?);
            context.printer.show(&shown, |shown| shown.lines().join("\n"))?;
        }
        Verb::Vacuum { dry_run } => {
            let (_, store) = context.open()?;
            let report = if *dry_run { store.vacuum_plan()? } else { store.vacuum()? };
            let vacuumed = Vacuumed { before: report.before, after: report.after, dry_run: *dry_run };
            context.printer.show(&vacuumed, |done| {
                let (takes, would) = if done.dry_run { ("takes", "would take") } else { ("took", "takes") };
                format!("the catalog {takes} {}, and {would} {}", size(done.before), size(done.after))
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
        Verb::Restore { file, dry_run } => {
            let config = context.config()?;
            let root = config.storage.root.resolve();
            let report = if *dry_run {
                let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
                Store::restore_plan(&root, file, &config.site, scratch.path())
            } else {
                Store::restore(&root, file, &config.site)
            };
            let report = report.with_context(|| format!("cannot restore `{}`", file.display()))?;
            restored(report, *dry_run, context)?;
            if !dry_run {
                look_at_key(&Store::open(&root)?, &config, context)?;
            }
        }
        Verb::Verify => {
            let (_, store) = context.open()?;
            let _shared = share(&store)?;
            return verify::tell(&store.verify_db()?, Vec::new(), &store, context);
        }
        Verb::Rebuild { dry_run } => {
            let root = context.config()?.storage.root.resolve();
            let report = if *dry_run { Store::rebuild_plan(&root)? } else { Store::rebuild(&root)? };
            restored(report, *dry_run, context)?;
        }
    }
    Ok(Ending::Done)
}

/// Warns where the site's key is not the one of the store that came back: a backup holds no private key, and what another one
/// signs is believed by nobody.
fn look_at_key(store: &Store, config: &Config, context: &Context) -> anyhow::Result<()> {
    let Some(document) = trust::own(store)? else { return Ok(()) };
    let path = config.key.resolve();
    let fault = match SiteKey::public_of(&path) {
        Ok(key) => trust::names_key(&document, &key, &path).err().map(anyhow::Error::from),
        Err(error) => Some(error.into()),
    };
    if let Some(fault) = fault {
        let text = ending::explain(&fault);
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        context.reporter.event(Event::Warning { subject: "the site's key", text });
    }
    context
        .printer
        .say("hint: `chantal verify` lists what `chantal sync` or `chantal import` has to bring back");
    Ok(())
}

fn restored(report: RestoreReport, dry_run: bool, context: &Context) -> anyhow::Result<()> {
    context.printer.show(&Restored { dry_run, ..Restored::from(report) }, |done| {
        let would = if done.dry_run { "would be " } else { "" };
        let mut text = format!("{} {would}in the journal", count(done.entries, "entry"));
        for (number, noun) in [
            (done.regained, "entry"),
            (done.manifests, "manifest"),
            (done.packs, "pack"),
            (done.blobs, "blob"),
        ] {
            if number > 0 {
                text.extend([", ", &count(number, noun), " ", would, "regained"]);
            }
        }
        text
    })
}
