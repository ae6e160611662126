//! `chantal bundle`: looks at bundles, proves them, lists what was carried.

mod review;
mod spread;

use std::path::PathBuf;

use chantal_bundle::parity::{Parity, Survival};
use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::Ending,
    export::{Survives, survives},
    import::listed,
    printer::complain,
};
use crate::{
    report::{
        human::{age, count, size, time},
        table::Align::{Left, Right},
    },
    store::Delivery,
    transfer::{self, Damage, Inspection, Verification, VolumeVerdict},
};

/// Look at bundles, prove them, list what was carried
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check the signature and show what a bundle is, for whom, and what it carries
    Inspect {
        /// Bundle directories, or media that hold some
        #[arg(value_name = "DIR", required = true)]
        paths: Vec<PathBuf>,
    },
    /// Prove every byte that is at hand, and change nothing
    Verify {
        /// Bundle directories, or media that hold some
        #[arg(value_name = "DIR", required = true)]
        paths: Vec<PathBuf>,
    },
    /// Show what differs between what two bundles bring, by what they say of themselves
    ///
    /// Of each repository the newest states are compared. Nothing but the two signed indexes is read.
    Diff {
        /// A bundle's directory
        #[arg(value_name = "A")]
        old: PathBuf,
        /// Another one's
        #[arg(value_name = "B")]
        new: PathBuf,
        /// Write the same as a page, too
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Look at what a bundle changes and sign that it may be imported
    ///
    /// Signatures are checked and the review is made anew from the signed index; a bundle whose page says something else is
    /// refused. Then it asks, and adds `signatures/approver-….sig`. How many approvals an import asks for, the collector's trust
    /// document says.
    Approve {
        /// The bundle's directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Approve without asking; for scripts, after the page was read
        #[arg(long)]
        yes: bool,
        /// The private key that signs; the site's own when left out
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Write the signature here, as for a medium that is read-only; name it `approver-….sig` for the import
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Copy a bundle onto several media, the small files onto each
    ///
    /// Each volume and parity file goes onto one medium, and everything is held against the signed manifest as it is read. A medium
    /// has the bundle's directory under its name once all of its share is there; run again, the command does what is left to do.
    Spread(spread::Args),
    /// List the bundles that were exported or imported here, and those that wait for volumes
    List,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    match &args.verb {
        Verb::Inspect { paths } => inspect(paths, context),
        Verb::Verify { paths } => verify(paths, Asked::Everything, context),
        Verb::Diff { old, new, html } => review::diff(old, new, html.as_ref(), context),
        Verb::Approve { dir, yes, key, out } => {
            let (key, out) = (key.as_deref(), out.as_deref());
            review::approve(&review::Wish { dir, yes: *yes, key, out }, context)
        }
        Verb::Spread(args) => spread::run(args, context),
        Verb::List => list(context),
    }
}

#[derive(Serialize)]
struct Inspected {
    bundles: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    bundle: String,
    path: String,
    collector: String,
    site: String,
    epoch: u32,
    sequence: u64,
    created: String,
    bases: Vec<String>,
    states: Vec<State>,
    volumes: usize,
    at_hand: Vec<u32>,
    blobs: u64,
    bytes: u64,
    parity_bytes: u64,
    survives: Option<Survives>,
    /// Collectors before this one whose proofs it holds; null for one that is not trusted here.
    origins: Vec<Option<String>>,
    notes: Vec<String>,
    #[serde(skip)]
    when: Timestamp,
}

#[derive(Serialize)]
struct State {
    repository: String,
    format: &'static str,
    mode: &'static str,
    snapshot: String,
    base: Option<String>,
    names: Vec<String>,
    upstream_date: Option<String>,
    valid_until: Option<String>,
}

impl From<&Inspection> for Shown {
    fn from(inspection: &Inspection) -> Self {
        let manifest = &inspection.manifest;
        Self {
            bundle: inspection.bundle.to_string(),
            path: inspection.path.display().to_string(),
            collector: manifest.collector.to_string(),
            site: manifest.site.to_string(),
            epoch: manifest.epoch.get(),
            sequence: manifest.sequence.get(),
            created: manifest.created.to_string(),
            bases: manifest.bases.iter().map(|base| base.manifest.hex()).collect(),
            states: manifest
                .states
                .iter()
                .map(|state| State {
                    repository: state.repository.to_string(),
                    format: state.format.name(),
                    mode: state.mode.name(),
                    snapshot: state.manifest.hex(),
                    base: state.base.map(|base| base.hex()),
                    names: state.names.iter().map(ToString::to_string).collect(),
                    upstream_date: state.date.map(|at| at.to_string()),
                    valid_until: state.valid_until.map(|at| at.to_string()),
                })
                .collect(),
            volumes: manifest.volumes.len(),
            at_hand: inspection.at_hand.iter().map(|volume| volume.get()).collect(),
            blobs: manifest.counts.blobs,
            bytes: manifest.counts.bytes,
            parity_bytes: manifest.parity.as_ref().map_or(0, Parity::bytes),
            survives: Survival::of(&manifest.layouts()).map(Survives::from),
            origins: inspection.origins.iter().map(|site| site.as_ref().map(ToString::to_string)).collect(),
            notes: inspection.notes.clone(),
            when: manifest.created,
        }
    }
}

fn inspect(paths: &[PathBuf], context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let inspections = transfer::inspect(&store, paths)?;
    let bundles = inspections.iter().map(Shown::from).collect();
    context.printer.show(&Inspected { bundles }, |inspected| {
        let text = |shown: &Shown| {
            let mut lines = vec![
                format!("bundle    {}", shown.bundle),
                format!("from      {}, for {}", shown.collector, shown.site),
                format!("made      {} ({})", time(shown.when), age(shown.when, context.now)),
                format!("volumes   {} of {} at hand", shown.at_hand.len(), shown.volumes),
                format!("holds     {}, {}", count(shown.blobs, "blob"), size(shown.bytes)),
            ];
            if let Some(survival) = &shown.survives {
                lines.push(format!("parity    {}; {}", size(shown.parity_bytes), survives(survival)));
            }
            for origin in &shown.origins {
                lines.push(match origin {
                    Some(collector) => format!("origin    {collector}, proved"),
                    None => "origin    a collector that is not trusted here".into(),
                });
            }
            for state in &shown.states {
                let base = state.base.as_ref().map_or_else(
                    || "all of it".into(),
                    |base| format!("the change since {}", base.get(..12).unwrap_or(base)),
                );
                let names = if state.names.is_empty() {
                    String::new()
                } else {
                    format!(", named {}", state.names.join(", "))
                };
                lines.push(format!(
                    "carries   {} ({}, {}) {}: {base}{names}",
                    state.repository,
                    state.format,
                    state.mode,
                    state.snapshot.get(..12).unwrap_or(&state.snapshot)
                ));
            }
            lines.join("\n")
        };
        inspected.bundles.iter().map(text).collect::<Vec<_>>().join("\n\n")
    })?;
    for inspection in &inspections {
        say_notes(&inspection.bundle.to_string(), &inspection.notes, context);
    }
    Ok(Ending::Done)
}

#[derive(Serialize)]
struct Verified {
    bundles: Vec<Verdict>,
}

#[derive(Serialize)]
struct Verdict {
    bundle: String,
    path: String,
    good: bool,
    whole: bool,
    sound: bool,
    volumes: Vec<VolumeRow>,
    damage: Vec<DamageRow>,
    spare: Vec<String>,
    sums: Vec<String>,
    notes: Vec<String>,
}

/// Damage of a volume, and what became of it.
#[derive(Serialize)]
pub struct DamageRow {
    volume: u32,
    lost: bool,
    repaired: bool,
    bytes: u64,
    /// Where the damaged bytes begin and where they end.
    ranges: Vec<(u64, u64)>,
}

impl From<&Damage> for DamageRow {
    fn from(damage: &Damage) -> Self {
        Self {
            volume: damage.volume.get(),
            lost: damage.lost,
            repaired: damage.is_repaired(),
            bytes: damage.bytes(),
            ranges: damage.ranges.iter().map(|range| (range.start, range.end)).collect(),
        }
    }
}

#[derive(Serialize)]
struct VolumeRow {
    number: u32,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<&Verification> for Verdict {
    fn from(verification: &Verification) -> Self {
        let row = |(number, verdict): &(chantal_bundle::VolumeNumber, VolumeVerdict)| {
            let (word, error) = match verdict {
                VolumeVerdict::Good => ("good", None),
                VolumeVerdict::Absent => ("absent", None),
                VolumeVerdict::Repairable => ("repairable", None),
                VolumeVerdict::Bad(error) => ("bad", Some(error.to_string())),
            };
            VolumeRow { number: number.get(), verdict: word, error }
        };
        Self {
            bundle: verification.inspection.bundle.to_string(),
            path: verification.inspection.path.display().to_string(),
            good: verification.is_good(),
            whole: verification.is_whole(),
            sound: verification.is_sound(),
            volumes: verification.volumes.iter().map(row).collect(),
            damage: verification.damage.iter().map(DamageRow::from).collect(),
            spare: verification.spare.clone(),
            sums: verification.sums.clone(),
            notes: verification.inspection.notes.clone(),
        }
    }
}

fn say_notes(bundle: &str, notes: &[String], context: &Context) {
    for note in notes {
        context.printer.say(&format!("note: {bundle}: {note}"));
    }
}

/// What must be good for a bundle to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// All that was signed, and `SHA256SUMS`, too.
    Everything,
    /// All that was signed: an import looks at nothing else.
    WhatImportAsks,
}

/// Proves every byte that is at hand: exit code 3 where something is bad, 4 where something is not at hand or had to be repaired.
pub fn verify(paths: &[PathBuf], asked: Asked, context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let verifications = transfer::verify(&store, paths, context.reporter.as_ref())?;
    let mut verified = Verified { bundles: verifications.iter().map(Verdict::from).collect() };
    if asked == Asked::WhatImportAsks {
        for (verdict, verification) in verified.bundles.iter_mut().zip(&verifications) {
            verdict.good = verification.is_signed();
        }
    }
    context.printer.show(&verified, |verified| {
        let mut lines = Vec::new();
        for (verdict, verification) in verified.bundles.iter().zip(&verifications) {
            let absent: Vec<_> = verification
                .volumes
                .iter()
                .filter(|(_, verdict)| matches!(verdict, VolumeVerdict::Absent))
                .map(|(number, _)| *number)
                .collect();
            let bundle = &verdict.bundle;
            lines.push(match (verdict.good, absent.is_empty(), verdict.sound) {
                (false, _, _) => format!("{bundle}: BAD"),
                (true, false, _) => {
                    format!("{bundle}: what is at hand is good; not at hand: {}", listed(&absent))
                }
                (true, true, false) => format!("{bundle}: damaged, and an import can do without what is"),
                (true, true, true) => format!("{bundle}: good, every byte"),
            });
        }
        lines.join("\n")
    })?;
    for (verdict, verification) in verified.bundles.iter().zip(&verifications) {
        for damage in &verification.damage {
            complain(&format!("{}: {}: {}", verdict.bundle, damage.volume.file_name(), damage.words()));
        }
        for line in &verdict.spare {
            complain(&format!("{}: {line}", verdict.bundle));
        }
        for volume in
            verdict.volumes.iter().filter_map(|volume| volume.error.as_ref().map(|e| (volume.number, e)))
        {
            complain(&format!("error: {}: volume {}: {}", verdict.bundle, volume.0, volume.1));
        }
        let level = if asked == Asked::Everything { "error" } else { "warning" };
        for line in &verdict.sums {
            complain(&format!("{level}: {}: SHA256SUMS: {line}", verdict.bundle));
        }
        say_notes(&verdict.bundle, &verdict.notes, context);
    }
    Ok(if verified.bundles.iter().any(|verdict| !verdict.good) {
        Ending::Refused
    } else if verified.bundles.iter().any(|verdict| !verdict.whole || !verdict.sound) {
        Ending::Partly
    } else {
        Ending::Done
    })
}

#[derive(Serialize)]
struct Listed {
    bundles: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    bundle: String,
    direction: &'static str,
    site: Option<String>,
    epoch: Option<u32>,
    sequence: Option<u64>,
    at: String,
    repositories: Vec<String>,
    delivery: Option<&'static str>,
    volumes: Option<usize>,
    #[serde(skip)]
    when: Timestamp,
}

fn list(context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let _shared = share(&store)?;
    let mut bundles = Vec::new();
    let names = |states: &[crate::store::Carried]| {
        let mut names: Vec<String> = states.iter().map(|state| state.repository.to_string()).collect();
        names.dedup();
        names
    };
    for row in store.catalog().exports(None)? {
        bundles.push(Row {
            repositories: names(&row.states),
            bundle: row.bundle,
            direction: "exported",
            site: Some(row.to.to_string()),
            epoch: Some(row.epoch),
            sequence: Some(row.sequence),
            at: row.at.to_string(),
            delivery: Some(match row.delivery {
                Delivery::Awaited => "awaited",
                Delivery::Assumed => "assumed",
            }),
            volumes: None,
            when: row.at,
        });
    }
    for row in store.catalog().imports(None)? {
        bundles.push(Row {
            repositories: names(&row.states),
            bundle: row.bundle,
            direction: "imported",
            site: Some(row.from.to_string()),
            epoch: Some(row.epoch),
            sequence: Some(row.sequence),
            at: row.at.to_string(),
            delivery: None,
            volumes: None,
            when: row.at,
        });
    }
    for row in store.catalog().pending()? {
        bundles.push(Row {
            repositories: Vec::new(),
            bundle: row.bundle,
            direction: "pending",
            site: None,
            epoch: None,
            sequence: None,
            at: row.since.to_string(),
            delivery: None,
            volumes: Some(row.volumes.len()),
            when: row.since,
        });
    }
    bundles.sort_by(|a, b| b.when.cmp(&a.when).then_with(|| a.bundle.cmp(&b.bundle)));
    let headings = [
        ("bundle", Left),
        ("direction", Left),
        ("when", Left),
        ("volumes in", Right),
        ("repositories", Left),
    ];
    let rows = |listed: &Listed| {
        let row = |row: &Row| {
            vec![
                row.bundle.clone(),
                row.direction.into(),
                age(row.when, context.now),
                row.volumes.map_or_else(|| "-".into(), |volumes| volumes.to_string()),
                row.repositories.join(", "),
            ]
        };
        listed.bundles.iter().map(row).collect()
    };
    context.printer.list(&Listed { bundles }, &headings, rows, "no bundle was exported or imported here")?;
    Ok(Ending::Done)
}
