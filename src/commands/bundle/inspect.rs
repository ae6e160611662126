//! `chantal bundle inspect`: what bundles say of themselves, once their signatures are good.

use std::path::PathBuf;

use chantal_bundle::{
    manifest::Delivery,
    parity::{Parity, Survival},
};
use jiff::Timestamp;
use serde::Serialize;

use super::{Failed, Failures, say_notes};
use crate::{
    commands::{
        context::Context,
        ending::Ending,
        export::{Survives, survives},
    },
    report::human::{age, count, size, time},
    transfer::{self, Inspection},
};

#[derive(Serialize)]
struct Inspected {
    bundles: Vec<Shown>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Shown {
    bundle: String,
    path: String,
    paths: Vec<String>,
    collector: String,
    site: String,
    epoch: u32,
    sequence: u64,
    created: String,
    delivery: &'static str,
    expected_next_by: Option<String>,
    /// The keys that signed it as its collector.
    signed: Vec<String>,
    approvals: Vec<String>,
    /// How many approvals the trust document asks for.
    needed: u32,
    trust_version: u32,
    /// The version that is accepted here, where the bundle is from before it.
    accepted_version: Option<u32>,
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
    #[serde(skip)]
    expected: Option<Timestamp>,
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
            path: inspection.paths.first().map(|path| path.display().to_string()).unwrap_or_default(),
            paths: inspection.paths.iter().map(|path| path.display().to_string()).collect(),
            collector: manifest.collector.to_string(),
            site: manifest.site.to_string(),
            epoch: manifest.epoch.get(),
            sequence: manifest.sequence.get(),
            created: manifest.created.to_string(),
            delivery: delivery(manifest.delivery),
            expected_next_by: manifest.expected_next_by.map(|at| at.to_string()),
            signed: inspection.signed.iter().map(ToString::to_string).collect(),
            approvals: inspection.approved.iter().map(ToString::to_string).collect(),
            needed: inspection.needed,
            trust_version: manifest.trust.last().map_or(0, |link| link.version),
            accepted_version: inspection.newest,
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
            expected: manifest.expected_next_by,
        }
    }
}

/// Says by what the site is taken to hold the states that the bundle starts from.
fn delivery(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Acknowledged => "acknowledged",
        Delivery::Assumed => "assumed",
        Delivery::Full => "full",
    }
}

impl Shown {
    fn text(&self, now: Timestamp) -> String {
        let mut lines = vec![
            format!("bundle    {}", self.bundle),
            format!("from      {}, for {}", self.collector, self.site),
            format!("made      {} ({})", time(self.when), age(self.when, now)),
            format!("signed    by {}; trust document version {}", self.signed.join(", "), self.trust_version),
        ];
        if self.needed > 0 || !self.approvals.is_empty() {
            let by = if self.approvals.is_empty() { "nobody yet".into() } else { self.approvals.join(", ") };
            lines.push(format!("approved  {} of {}: by {by}", self.approvals.len(), self.needed));
        }
        lines.push(match self.delivery {
            "full" => "starts    from nothing: it is full".into(),
            "assumed" => "starts    from what was sent before, as if it had arrived".into(),
            _ => "starts    from what the site acknowledged".into(),
        });
        if let Some(expected) = self.expected {
            lines.push(format!("next      expected by {}", time(expected)));
        }
        lines.push(format!("volumes   {} of {} at hand", self.at_hand.len(), self.volumes));
        lines.push(format!("holds     {}, {}", count(self.blobs, "blob"), size(self.bytes)));
        if let Some(survival) = &self.survives {
            lines.push(format!("parity    {}; {}", size(self.parity_bytes), survives(survival)));
        }
        for origin in &self.origins {
            lines.push(match origin {
                Some(collector) => format!("origin    {collector}, proved"),
                None => "origin    a collector that is not trusted here".into(),
            });
        }
        lines.extend(self.states.iter().map(State::text));
        lines.join("\n")
    }
}

impl State {
    fn text(&self) -> String {
        let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
        let base = match &self.base {
            None => "all of it".into(),
            Some(base) => format!("the change since {}", short(base)),
        };
        let names =
            if self.names.is_empty() { String::new() } else { format!(", named {}", self.names.join(", ")) };
        let (repository, snapshot) = (&self.repository, short(&self.snapshot));
        format!("carries   {repository} ({}, {}) {snapshot}: {base}{names}", self.format, self.mode)
    }
}

/// Shows every bundle that is believed, then says why others are not.
pub(super) fn run(paths: &[PathBuf], context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let mut failures = Failures::default();
    let mut inspected = Inspected { bundles: Vec::new(), failed: Vec::new() };
    for inspection in transfer::inspect(&store, paths)? {
        match inspection {
            Ok(inspection) => inspected.bundles.push(Shown::from(&inspection)),
            Err(fault) => inspected.failed.push(failures.keep(fault)),
        }
    }
    if !inspected.bundles.is_empty() {
        context.printer.show(&inspected, |inspected| {
            inspected.bundles.iter().map(|shown| shown.text(context.now)).collect::<Vec<_>>().join("\n\n")
        })?;
    }
    for shown in &inspected.bundles {
        say_notes(&shown.bundle, &shown.notes, context);
    }
    failures.end(Ending::Done)
}
