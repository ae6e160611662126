//! `chantal bundle verify`: every byte that is at hand, proved.

use std::path::PathBuf;

use chantal_bundle::VolumeNumber;
use serde::Serialize;

use super::{Failed, Failures, say_notes};
use crate::{
    commands::{context::Context, ending::Ending, import::listed, printer::complain},
    transfer::{self, Damage, Verification, VolumeVerdict},
};

#[derive(Serialize)]
struct Verified {
    bundles: Vec<Verdict>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct Verdict {
    bundle: String,
    path: String,
    paths: Vec<String>,
    good: bool,
    whole: bool,
    sound: bool,
    volumes: Vec<VolumeRow>,
    damage: Vec<DamageRow>,
    spare: Vec<String>,
    /// Files that are not at hand, and that an import can do without.
    absent: Vec<String>,
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
    #[serde(skip)]
    volume: VolumeNumber,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<&Verification> for Verdict {
    fn from(verification: &Verification) -> Self {
        let row = |(number, verdict): &(VolumeNumber, VolumeVerdict)| {
            let (word, error) = match verdict {
                VolumeVerdict::Good => ("good", None),
                VolumeVerdict::Absent => ("absent", None),
                VolumeVerdict::Repairable => ("repairable", None),
                VolumeVerdict::Bad(error) => ("bad", Some(error.to_string())),
            };
            VolumeRow { number: number.get(), volume: *number, verdict: word, error }
        };
        let paths: Vec<String> =
            verification.inspection.paths.iter().map(|path| path.display().to_string()).collect();
        Self {
            bundle: verification.inspection.bundle.to_string(),
            path: paths.first().cloned().unwrap_or_default(),
            paths,
            good: verification.is_good(),
            whole: verification.is_whole(),
            sound: verification.is_sound(),
            volumes: verification.volumes.iter().map(row).collect(),
            damage: verification.damage.iter().map(DamageRow::from).collect(),
            spare: verification.spare.clone(),
            absent: verification.absent.clone(),
            sums: verification.sums.clone(),
            notes: verification.inspection.notes.clone(),
        }
    }
}

impl Verdict {
    fn ending(&self) -> Ending {
        match (self.good, self.whole && self.sound) {
            (false, _) => Ending::Refused,
            (true, false) => Ending::Partly,
            (true, true) => Ending::Done,
        }
    }

    fn text(&self) -> String {
        let absent: Vec<VolumeNumber> = self
            .volumes
            .iter()
            .filter(|volume| volume.verdict == "absent")
            .map(|volume| volume.volume)
            .collect();
        let mut missing = Vec::new();
        if !absent.is_empty() {
            let noun = if absent.len() == 1 { "volume" } else { "volumes" };
            missing.push(format!("{noun} {}", listed(&absent)));
        }
        missing.extend(self.absent.iter().cloned());
        let bundle = &self.bundle;
        let damaged = !self.spare.is_empty() || self.volumes.iter().any(|v| v.verdict == "repairable");
        match (self.good, missing.is_empty(), damaged) {
            (false, _, _) => format!("{bundle}: BAD"),
            (true, true, false) => format!("{bundle}: good, every byte"),
            (true, true, true) => format!("{bundle}: damaged, and an import can do without what is"),
            (true, false, false) => {
                format!("{bundle}: what is at hand is good; not at hand: {}", missing.join(", "))
            }
            (true, false, true) => format!(
                "{bundle}: damaged, and an import can do without what is; not at hand: {}",
                missing.join(", ")
            ),
        }
    }

    /// Says what is wrong, and what lies there beside the bundle.
    fn complain(&self, damage: &[Damage], context: &Context) {
        for damage in damage {
            complain(&format!("{}: {}: {}", self.bundle, damage.volume.file_name(), damage.words()));
        }
        for line in &self.spare {
            complain(&format!("{}: {line}", self.bundle));
        }
        for volume in &self.volumes {
            if let Some(error) = &volume.error {
                complain(&format!("error: {}: volume {}: {error}", self.bundle, volume.number));
            }
        }
        for line in &self.sums {
            complain(&format!("error: {}: SHA256SUMS: {line}", self.bundle));
        }
        say_notes(&self.bundle, &self.notes, context);
    }
}

/// Proves every byte that is at hand: exit code 3 where something is bad, 4 where something is not at hand or had to be repaired.
pub(super) fn run(paths: &[PathBuf], context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let mut failures = Failures::default();
    let mut verified = Verified { bundles: Vec::new(), failed: Vec::new() };
    let mut damages = Vec::new();
    for verification in transfer::verify(&store, paths, context.reporter.as_ref())? {
        match verification {
            Ok(verification) => {
                verified.bundles.push(Verdict::from(&verification));
                damages.push(verification.damage);
            }
            Err(fault) => verified.failed.push(failures.keep(fault)),
        }
    }
    if !verified.bundles.is_empty() {
        context.printer.show(&verified, |verified| {
            verified.bundles.iter().map(Verdict::text).collect::<Vec<_>>().join("\n")
        })?;
    }
    for (verdict, damage) in verified.bundles.iter().zip(&damages) {
        verdict.complain(damage, context);
    }
    failures.end(verified.bundles.iter().map(Verdict::ending).fold(Ending::Done, Ending::worse))
}
