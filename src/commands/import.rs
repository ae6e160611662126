//! `chantal import`: proves bundles and makes their states current.

use std::{collections::BTreeMap, path::PathBuf};

use chantal_bundle::{Manifest, VolumeNumber};
use chantal_contract::{Kind, name::Name};
use serde::Serialize;

use super::{
    bundle,
    context::Context,
    ending::{self, Ending},
    key,
    printer::complain,
};
use crate::{
    config::{Config, Repository},
    report::{
        Event,
        human::{age, count, size},
    },
    transfer::{self, Demands, ImportOutcome, Imported, Ready, Rules, TransferError},
    trust::Proof,
};

/// Prove bundles and make their states current
///
/// Takes bundle directories, media that hold some, or single volumes, in any order, over several visits: what was verified stays;
/// and signatures that `chantal bundle approve --out FILE` wrote, beside their bundle. Media are only read. All states of a bundle become current at once, when everything is proved.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bundle directories, media, volumes, or approvals
    #[arg(value_name = "DIR", required = true)]
    paths: Vec<PathBuf>,
    /// Ask all that an import asks, end as it would, and keep nothing; signatures of packages themselves only an import proves
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Report {
    bundles: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    bundle: Option<String>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    repositories: Vec<String>,
    blobs: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    have: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    need: Vec<u32>,
    /// Volumes that were damaged or lost, and were repaired.
    repaired: Vec<bundle::DamageRow>,
    /// Repositories of which a trial did not prove the packages' own signatures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unproved: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let own = policies(&config, context)?;
    let policies = |name: &Name, kind: Kind| own.get(&(name.clone(), kind));
    let origins = origins(&config);
    let entry = |name: &Name| config.repositories.iter().find(|r| r.name == *name && !r.has_upstream());
    let unverifiable = |name: &Name, kind: Kind| entry(name)?.unverifiable(kind);
    let rules = Rules { policies: &policies, origins: &origins, unverifiable: &unverifiable };
    let outcomes = if args.dry_run {
        transfer::try_out(&store, &args.paths, rules, context.now, context.reporter.as_ref())?
    } else {
        transfer::import(&store, &args.paths, rules, context.now, context.reporter.as_ref())?
    };
    tell(outcomes, context)
}

/// Returns whose signature the site demands for repositories that arrive.
fn origins(config: &Config) -> Demands {
    let demand = |r: &Repository| Some((r.name.clone(), r.verify.origin.clone()?));
    config.repositories.iter().filter_map(demand).collect()
}

/// Returns what the site itself asks of repositories that arrive: of those whose entry names keys.
fn policies(config: &Config, context: &Context) -> anyhow::Result<BTreeMap<(Name, Kind), Proof>> {
    let mut policies = BTreeMap::new();
    for repository in &config.repositories {
        if repository.has_upstream() || repository.keys.is_empty() {
            continue;
        }
        for kind in [Kind::Apt, Kind::Rpm] {
            let keyring = key::keyring(repository)?;
            let metadata = repository.verify_metadata(kind);
            let packages = repository.verify_packages(kind);
            let proof = Proof::new(keyring, metadata, packages, context.now);
            policies.insert((repository.name.clone(), kind), proof);
        }
    }
    Ok(policies)
}

fn tell(outcomes: Vec<Result<ImportOutcome, TransferError>>, context: &Context) -> anyhow::Result<Ending> {
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    let mut ending = Ending::Done;
    for outcome in outcomes {
        match outcome {
            Ok(ImportOutcome::Already { bundle, at, back }) => {
                let mut text = format!("{bundle}: imported already, {}", age(at, context.now));
                if back > 0 {
                    text = format!("{text}; {} brought back", count(back, "missing blob"));
                }
                context.printer.say(&text);
                rows.push(Row { blobs: back, ..blank(Some(bundle.to_string()), "already") });
            }
            Ok(ImportOutcome::Imported(imported)) => rows.push(arrived(&imported, context)),
            Ok(ImportOutcome::Ready(ready)) => rows.push(foreseen(&ready, context)),
            Ok(ImportOutcome::Waiting { bundle, have, need }) => {
                ending = Ending::Partly;
                // exit code 4 is explained even where nothing else is said
                complain(&format!(
                    "{bundle}: have {} of {}, need {}",
                    have.len(),
                    have.len() + need.len(),
                    listed(&need)
                ));
                context.printer.say(
                    "hint: what is there is verified and kept; run `chantal import` on the next medium; a lost volume is made \
                     anew where all the others are given at once with their parity files",
                );
                let numbers = |volumes: &[VolumeNumber]| volumes.iter().map(|volume| volume.get()).collect();
                let (have, need) = (numbers(&have), numbers(&need));
                rows.push(Row { have, need, ..blank(Some(bundle.to_string()), "waiting") });
            }
            Err(error) => {
                let bundle = error.bundle();
                let error = anyhow::Error::new(error);
                rows.push(Row { error: Some(ending::line(&error)), ..blank(bundle, "refused") });
                failures.push(error);
            }
        }
    }
    if context.printer.is_json() {
        context.printer.show(&Report { bundles: rows }, |_| String::new())?;
    }
    ending::together(failures, ending)
}

/// Says what an import would do.
fn foreseen(ready: &Ready, context: &Context) -> Row {
    let repositories = repositories(&ready.manifest);
    context.printer.say(&format!(
        "{}: good, every byte; an import takes it: {} ({}) new; current then: {}",
        ready.bundle,
        count(ready.blobs, "blob"),
        size(ready.bytes),
        repositories.join(", ")
    ));
    if !ready.unproved.is_empty() {
        let unproved: Vec<&str> = ready.unproved.iter().map(Name::as_str).collect();
        context.printer.say(&format!(
            "note: the signatures of packages themselves are proved when they are imported: {}",
            unproved.join(", ")
        ));
    }
    Row {
        repositories,
        blobs: ready.blobs,
        bytes: ready.bytes,
        repaired: ready.repaired.iter().map(bundle::DamageRow::from).collect(),
        unproved: ready.unproved.iter().map(ToString::to_string).collect(),
        ..blank(Some(ready.bundle.to_string()), "ready")
    }
}

fn repositories(manifest: &Manifest) -> Vec<String> {
    let mut repositories: Vec<String> =
        manifest.states.iter().map(|state| state.repository.to_string()).collect();
    repositories.dedup();
    repositories
}

fn arrived(imported: &Imported, context: &Context) -> Row {
    let repositories = repositories(&imported.manifest);
    context.printer.say(&format!(
        "{}: imported; {} ({}) new; current now: {}",
        imported.bundle,
        count(imported.blobs, "blob"),
        size(imported.bytes),
        repositories.join(", ")
    ));
    for (state, name) in &imported.kept_names {
        let subject = state.repository.as_str();
        let text = format!("`{name}` is another state here and stays so; the bundle's is not named");
        context.reporter.event(Event::Warning { subject, text: &text });
    }
    context.printer.say("hint: `chantal publish` shows it to clients");
    Row {
        repositories,
        blobs: imported.blobs,
        bytes: imported.bytes,
        repaired: imported.repaired.iter().map(bundle::DamageRow::from).collect(),
        ..blank(Some(imported.bundle.to_string()), "imported")
    }
}

fn blank(bundle: Option<String>, outcome: &'static str) -> Row {
    Row {
        bundle,
        outcome,
        repositories: Vec::new(),
        blobs: 0,
        bytes: 0,
        have: Vec::new(),
        need: Vec::new(),
        repaired: Vec::new(),
        unproved: Vec::new(),
        error: None,
    }
}

/// Writes `2 and 5`, `2, 5 and 7`; at most twelve of them.
pub fn listed(volumes: &[VolumeNumber]) -> String {
    let mut words: Vec<String> = volumes.iter().take(12).map(|volume| volume.get().to_string()).collect();
    if volumes.len() > 12 {
        words.push(format!("{} more", volumes.len() - 12));
    }
    match words.pop() {
        Some(last) if !words.is_empty() => format!("{} and {last}", words.join(", ")),
        last => last.unwrap_or_default(),
    }
}
