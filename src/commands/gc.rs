//! `chantal gc`: removes what nothing refers to.

use jiff::SignedDuration;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::Ending,
};
use crate::{
    config::Time,
    report::human::{count, size},
    store::GRACE,
};

/// Remove what no snapshot, name, pending import or unacknowledged export refers to
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave alone what came in within this time: another command may be about to refer to it [default: 1d]
    #[arg(long, value_name = "TIME")]
    grace: Option<Grace>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug)]
struct Grace(SignedDuration);

impl std::str::FromStr for Grace {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if ["0", "0s", "none"].contains(&text) {
            return Ok(Self(SignedDuration::ZERO));
        }
        let time: Time =
            text.parse().map_err(|error: crate::config::quantity::QuantityError| error.to_string())?;
        SignedDuration::try_from(time.duration()).map(Self).map_err(|error| error.to_string())
    }
}

#[derive(Serialize)]
struct Collected {
    blobs: u64,
    bytes: u64,
    manifests: u64,
    record_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    young: Option<u64>,
    dry_run: bool,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let grace = args.grace.map_or(GRACE, |grace| grace.0);
    let collected = if args.dry_run {
        let _shared = share(&store)?;
        let plan = store.gc_plan(context.now, grace)?;
        Collected {
            blobs: plan.blobs.len() as u64,
            bytes: plan.bytes,
            manifests: plan.manifests.len() as u64,
            record_bytes: plan.record_bytes,
            young: Some(plan.young),
            dry_run: true,
        }
    } else {
        let report = store.gc(context.now, grace, context.reporter.as_ref())?;
        Collected {
            blobs: report.blobs,
            bytes: report.bytes,
            manifests: report.manifests,
            record_bytes: report.record_bytes,
            young: None,
            dry_run: false,
        }
    };
    context.printer.show(&collected, |collected| {
        let would = if collected.dry_run { "would remove" } else { "removed" };
        let mut text = format!(
            "{would} {} ({}), {}",
            count(collected.blobs, "blob"),
            size(collected.bytes),
            count(collected.manifests, "manifest")
        );
        if collected.record_bytes > 0 {
            let about = if collected.dry_run { "about " } else { "" };
            text.extend([", ", about, &size(collected.record_bytes), " of records"]);
        }
        if let Some(young) = collected.young.filter(|young| *young > 0) {
            text.extend(["; ", &count(young, "blob"), " too young"]);
        }
        text
    })?;
    Ok(Ending::Done)
}
