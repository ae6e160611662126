//! `chantal export`: a signed bundle of what a site does not hold yet.

use std::{path::PathBuf, str::FromStr};

use chantal_bundle::parity::{Parity, Percent, PercentError, Survival};
use chantal_contract::SiteName;
use serde::Serialize;

use super::{
    context::Context,
    ending::{Ending, Usage},
    key, receipt,
};
use crate::{
    config::{Size, closest},
    report::human::{count, size},
    transfer::{self, AfterWrite, ExportPlan, ExportRequest, How, News, Since, Unchanged, Weight, Written},
};

/// Write a signed bundle of what a site does not hold yet
///
/// Makes DIR/<collector>.<site>-e<epoch>-<sequence>/. Nothing new makes no bundle and is no failure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The site that gets it, one of `sites` in the configuration
    #[arg(long, value_name = "SITE")]
    to: SiteName,
    /// The directory that the bundle's own directory is made in; it must be there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What the site holds: what it `acknowledged`, what the `last` bundle brought, `none`, or a named snapshot
    #[arg(long, value_name = "STATE", default_value = "acknowledged")]
    since: String,
    /// Write a bundle even where nothing is new: it tells the site so, and by when the next follows
    #[arg(long, conflicts_with = "missing")]
    keep_alive: bool,
    /// Carry only what this receipt says is missing: the states of the bundle that waits there, and the blobs that it lacks
    #[arg(long, value_name = "RECEIPT", conflicts_with = "since")]
    missing: Option<PathBuf>,
    /// The most bytes of one volume; what the configuration says when left out
    #[arg(long, value_name = "SIZE")]
    volume_size: Option<Size>,
    /// Write so much parity beside the volumes, of their size (`10%`), or `none`; what the configuration says when left out
    #[arg(long, value_name = "N%")]
    parity: Option<Share>,
    /// Read the written files back from the medium, past the memory of this machine, and compare
    #[arg(long, conflicts_with = "dry_run")]
    verify_after_write: bool,
    /// Sign with this key, too: where the trust document asks for more than one collector key; repeatable
    #[arg(long, value_name = "KEY")]
    sign_with: Vec<PathBuf>,
    /// Say what would travel, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// A percentage, or `none`.
#[derive(Clone, Copy, Debug)]
struct Share(Option<Percent>);

impl FromStr for Share {
    type Err = PercentError;
    fn from_str(text: &str) -> Result<Self, PercentError> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(|percent| Self(Some(percent))) }
    }
}

/// Damage that the parity of a bundle makes up for.
#[derive(Serialize)]
pub struct Survives {
    files: u32,
    of: u32,
    stretch_bytes: u64,
    scattered_bytes: u64,
}

impl From<Survival> for Survives {
    fn from(survival: Survival) -> Self {
        let Survival { files, of, stretch, scattered } = survival;
        Self { files, of, stretch_bytes: stretch, scattered_bytes: scattered }
    }
}

/// Says in words what damage is made up for.
pub fn survives(survival: &Survives) -> String {
    let mut parts = Vec::new();
    if survival.files > 0 {
        let files = if survival.of == 1 { "file" } else { "files" };
        parts.push(format!("any {} of its {} {files}", survival.files, survival.of));
    } else {
        parts.push(format!("any {} in one stretch", size(survival.stretch_bytes)));
    }
    if survival.scattered_bytes > 0 {
        parts.push(format!("about {} of bad sectors anywhere", size(survival.scattered_bytes)));
    }
    format!("survives the loss of {}", parts.join(", or of "))
}

#[derive(Serialize)]
struct Exported {
    bundle: Option<String>,
    path: Option<String>,
    bytes: u64,
    volumes: usize,
    dry_run: bool,
    states: Vec<State>,
    without: Vec<String>,
    unacknowledged: Option<String>,
    parity_bytes: u64,
    survives: Option<Survives>,
}

#[derive(Serialize)]
struct State {
    repository: String,
    snapshot: String,
    base: Option<String>,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let Some(site) = config.site_entry(&args.to) else {
        let known: Vec<&str> = config.sites.iter().map(|site| site.name.as_str()).collect();
        let hint = match (closest(args.to.as_str(), &known), known.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => format!("add it under `sites` in `{}`", config.path.display()),
            (None, false) => format!("there is {}", known.join(", ")),
        };
        return Err(Usage::new(format!("no site `{}` is configured", args.to), hint).into());
    };
    let keys = key::load_all(&config, &args.sign_with)?;
    let created = transfer::created(context.now).map_err(|text| {
        Usage::new(
            format!("`SOURCE_DATE_EPOCH` is `{text}`, which is no number of seconds"),
            "unset it, or give seconds since 1970",
        )
    })?;
    let since = match &args.missing {
        Some(file) => {
            let heard = transfer::receipt::read_last(&store, &receipt::read_file(file)?)?;
            Since::Missing(Box::new(heard.receipt))
        }
        None => Since::from(args.since.as_str()),
    };
    let request = ExportRequest {
        to: &args.to,
        repositories: &site.repositories,
        out: &args.out,
        since,
        unchanged: if args.keep_alive { Unchanged::Say } else { Unchanged::Skip },
        volume_size: args.volume_size.unwrap_or(site.volume_size).bytes(),
        parity: args.parity.map_or(site.parity, |share| share.0),
        after_write: if args.verify_after_write { AfterWrite::ReadBack } else { AfterWrite::Trust },
        created,
        at: context.now,
        expected_next_by: site.expected_next(created),
        keys: &keys.iter().collect::<Vec<_>>(),
    };
    if args.dry_run {
        let plan = transfer::plan_export(&store, &request)?;
        let weight = plan.as_ref().map(|plan| transfer::weigh(&store, plan)).transpose()?;
        tell_plan(plan.as_ref().zip(weight), args, context)?;
    } else {
        let written = transfer::export(&store, &request, context.reporter.as_ref())?;
        tell(written.as_ref(), args, context)?;
    }
    Ok(Ending::Done)
}

fn nothing(dry_run: bool) -> Exported {
    Exported {
        bundle: None,
        path: None,
        bytes: 0,
        volumes: 0,
        dry_run,
        states: Vec::new(),
        without: Vec::new(),
        unacknowledged: None,
        parity_bytes: 0,
        survives: None,
    }
}

fn tell_plan(plan: Option<(&ExportPlan, Weight)>, args: &Args, context: &Context) -> anyhow::Result<()> {
    let Some((plan, weight)) = plan else {
        context.printer.say(&format!("nothing new for `{}`: no bundle would be made", args.to));
        return if context.printer.is_json() {
            context.printer.show(&nothing(true), |_| String::new())
        } else {
            Ok(())
        };
    };
    let exported = Exported {
        bundle: Some(plan.bundle.to_string()),
        path: Some(plan.path.display().to_string()),
        states: plan
            .states
            .iter()
            .map(|planned| State {
                repository: planned.repository.to_string(),
                snapshot: planned.state.manifest.hex(),
                base: planned.base.as_ref().map(|base| base.manifest.hex()),
            })
            .collect(),
        without: plan.without.iter().map(ToString::to_string).collect(),
        unacknowledged: plan.unacknowledged.clone(),
        bytes: weight.bytes,
        ..nothing(true)
    };
    context.printer.show(&exported, |exported| {
        let mut lines = vec![format!("would write {}", plan.path.display())];
        for state in &exported.states {
            let from = state
                .base
                .as_ref()
                .map_or("all of it".into(), |base| format!("the change since {}", &base[..12]));
            lines.push(format!("  {} {}: {from}", state.repository, &state.snapshot[..12]));
        }
        lines.push(format!("  {} ({})", count(weight.blobs, "blob"), size(weight.bytes)));
        lines.join("\n")
    })?;
    tell_news(plan.news, args, context);
    tell_why_full(&exported, args, context);
    Ok(())
}

/// Says why there is a bundle where the site lacks no state.
fn tell_news(news: News, args: &Args, context: &Context) {
    match news {
        News::States => {}
        News::Trust { version } => context.printer.say(&format!(
            "nothing is new for `{}` but version {version} of the trust document, which it is not known to have",
            args.to
        )),
        News::Nothing => context.printer.say(&format!("nothing is new for `{}`, and the bundle says so", args.to)),
    }
}

/// Says why a site that got bundles before gets everything again.
fn tell_why_full(exported: &Exported, args: &Args, context: &Context) {
    if let Some(last) = &exported.unacknowledged {
        context.printer.say(&format!("`{}` has acknowledged no bundle: everything travels again", args.to));
        context.printer.say(&format!(
            "hint: `--since last` takes what changed since {last}, and assumes that it was delivered"
        ));
    }
}

fn tell(written: Option<&Written>, args: &Args, context: &Context) -> anyhow::Result<()> {
    let Some(written) = written else {
        context.printer.say(&format!("nothing new for `{}`: no bundle was made", args.to));
        return if context.printer.is_json() {
            context.printer.show(&nothing(false), |_| String::new())
        } else {
            Ok(())
        };
    };
    let exported = Exported {
        bundle: Some(written.bundle.to_string()),
        path: Some(written.path.display().to_string()),
        bytes: written.bytes,
        volumes: written.manifest.volumes.len(),
        parity_bytes: written.manifest.parity.as_ref().map_or(0, Parity::bytes),
        survives: Survival::of(&written.manifest.layouts()).map(Survives::from),
        without: written.without.iter().map(ToString::to_string).collect(),
        unacknowledged: written.unacknowledged.clone(),
        ..nothing(false)
    };
    context.printer.show(&exported, |exported| exported.path.clone().unwrap_or_default())?;
    for name in &exported.without {
        context.printer.say(&format!("`{name}` has no state yet and does not travel"));
    }
    if written.how == How::Before {
        context.printer.say("an earlier run had written it whole, and was ended before it noted that");
    }
    tell_news(written.news, args, context);
    tell_why_full(&exported, args, context);
    context.printer.say(&format!(
        "{} for `{}`: {}, {}",
        written.bundle,
        args.to,
        count(exported.volumes as u64, "volume"),
        size(written.bytes)
    ));
    if let Some(survival) = &exported.survives {
        context.printer.say(&format!("{} of parity: it {}", size(exported.parity_bytes), survives(survival)));
    }
    if args.verify_after_write && written.how == How::Now {
        context.printer.say("every file was read back from the medium and is what was written");
    }
    Ok(())
}
