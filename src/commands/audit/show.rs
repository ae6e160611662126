//! `chantal audit show`: who exported, approved, imported and published what, and with which key.

use std::io::Write as _;

use chantal_contract::Digest;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use crate::{
    commands::{
        context::Context,
        ending::{Ending, Usage, written},
        printer,
    },
    config::Time,
    report::{
        human::{count, size, time},
        table::printable,
    },
    store::{Carried, Delivery, Entry, Event},
};

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Only what was decided since then: a time (`2026-11-20T13:30:00Z`), a day (`2026-11-20`), or so long ago (`30d`)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only entries of this kind; repeatable
    #[arg(long, value_name = "KIND", value_parser = KINDS)]
    what: Vec<String>,
}

/// The kinds of entries, as the journal names them.
const KINDS: [&str; 15] = [
    "init",
    "state",
    "named",
    "unnamed",
    "removed",
    "exported",
    "acknowledged",
    "pending",
    "imported",
    "approved",
    "trusted",
    "forgotten",
    "published",
    "unpublished",
    "collected",
];

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    number: u64,
    at: String,
    event: &'a Event,
}

pub(super) fn run(args: &Show, context: &Context) -> anyhow::Result<Ending> {
    let since = args.since.as_deref().map(|text| moment(text, context.now)).transpose()?;
    let (_, store) = context.open()?;
    let mut out = printer::stream();
    for entry in store.journal().read() {
        let entry = entry?;
        let kind = kind(&entry.event);
        if since.is_some_and(|since| entry.at < since)
            || !(args.what.is_empty() || args.what.iter().any(|what| what == kind))
        {
            continue;
        }
        let line = if context.printer.is_json() {
            let (number, at, event) = (entry.number, entry.at.to_string(), &entry.event);
            serde_json::to_string(&Line { version: printer::JSON_VERSION, number, at, event })?
        } else {
            text(&entry, kind)
        };
        written(writeln!(out, "{line}"))?;
    }
    written(out.flush())?;
    Ok(Ending::Done)
}

/// Reads a time, a day, or how long ago something was.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Usage> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Some(at) = text.parse::<Date>().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok()) {
        return Ok(at.timestamp());
    }
    let ago = text.parse::<Time>().ok().and_then(|ago| SignedDuration::try_from(ago.duration()).ok());
    ago.and_then(|ago| now.checked_sub(ago).ok()).ok_or_else(|| {
        Usage::new(
            format!("`--since`: `{text}` is no time"),
            "write `2026-11-20T13:30:00Z`, `2026-11-20`, or `30d` for thirty days ago",
        )
    })
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Init { .. } => "init",
        Event::State { .. } => "state",
        Event::Named { .. } => "named",
        Event::Unnamed { .. } => "unnamed",
        Event::Removed { .. } => "removed",
        Event::Exported { .. } => "exported",
        Event::Acknowledged { .. } => "acknowledged",
        Event::Pending { .. } => "pending",
        Event::Imported { .. } => "imported",
        Event::Approved { .. } => "approved",
        Event::Trusted { .. } => "trusted",
        Event::Forgotten { .. } => "forgotten",
        Event::Published { .. } => "published",
        Event::Unpublished { .. } => "unpublished",
        Event::Collected { .. } => "collected",
    }
}

fn short(digest: &Digest) -> String {
    let mut hex = digest.hex();
    hex.truncate(12);
    hex
}

fn states(carried: &[Carried]) -> String {
    let all: Vec<String> =
        carried.iter().map(|c| format!("`{}` {}", c.repository, short(&c.state.manifest))).collect();
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}

fn keys(role: &str, keys: &[String]) -> String {
    if keys.is_empty() { String::new() } else { format!("; {role} {}", keys.join(", ")) }
}

fn text(entry: &Entry, kind: &str) -> String {
    let said = match &entry.event {
        Event::Init { site, .. } => format!("store of `{site}`"),
        Event::State { repository, state, complete } => {
            let rest = if *complete { "" } else { ", incomplete" };
            format!("`{repository}` {}{rest}", short(&state.manifest))
        }
        Event::Named { repository, name, state } => {
            format!("`{repository}@{name}` is {}", short(&state.manifest))
        }
        Event::Unnamed { repository, name } => format!("`{repository}@{name}`"),
        Event::Removed { repository } => format!("`{repository}`"),
        Event::Exported { to, bundle, states: carried, delivery, signed, .. } => {
            let assumed = if *delivery == Delivery::Assumed { ", delivery assumed" } else { "" };
            format!("{bundle} for `{to}`: {}{assumed}{}", states(carried), keys("signed by", signed))
        }
        Event::Acknowledged { to, epoch, sequence, states: held, trust, key, .. } => format!(
            "`{to}` holds {}, up to epoch {epoch} sequence {sequence}, trust version {trust}; signed by {key}",
            states(held)
        ),
        Event::Pending { bundle, volumes, .. } => {
            format!("{bundle}: {} here", count(volumes.len() as u64, "volume"))
        }
        Event::Imported { from, bundle, states: carried, signed, approved, .. } => format!(
            "{bundle} from `{from}`: {}{}{}",
            states(carried),
            keys("signed by", signed),
            keys("approved by", approved)
        ),
        Event::Approved { bundle, manifest, key } => {
            format!("{bundle} (manifest {}) by {key}", short(manifest))
        }
        Event::Trusted { collector, version, document, .. } => {
            format!("version {version} of the trust document of `{collector}`, {}", short(document))
        }
        Event::Forgotten { collector } => {
            format!("the trust document of `{collector}`, and its place in the stream")
        }
        Event::Published { target, repository, name, state } => {
            let at = name.as_ref().map(|name| format!("@{name}")).unwrap_or_default();
            format!("`{repository}{at}` {} as `{target}`", short(&state.manifest))
        }
        Event::Unpublished { target } => format!("`{target}`"),
        Event::Collected { blobs, bytes } => format!("{} ({})", count(*blobs, "blob"), size(*bytes)),
    };
    printable(&format!("{:>6}  {}  {kind:<12}  {said}", entry.number, time(entry.at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_day_or_so_long_ago() {
        let now: Timestamp = "2026-11-20T13:30:00Z".parse().unwrap();
        let at = |text: &str| moment(text, now).map(|at| at.to_string()).ok();
        assert_eq!(at("2026-11-20T13:30:00Z").as_deref(), Some("2026-11-20T13:30:00Z"));
        assert_eq!(at("2026-11-01").as_deref(), Some("2026-11-01T00:00:00Z"));
        assert_eq!(at("2d").as_deref(), Some("2026-11-18T13:30:00Z"));
        for bad in ["", "yesterday", "2026-13-01", "99999999999d"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
