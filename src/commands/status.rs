//! `chantal status`: in one screen how old everything is and what is pending.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::Ending,
    publish, repo,
};
use crate::{
    config::Config,
    publish::{Listing, Standing},
    report::{
        human::{age, size, time},
        table::Align::Left,
    },
    store::{Name, Origin, PendingRow, Store},
    transfer,
};

mod sites;

use sites::{Inbound, Outbound, Weigh};

/// Say in one screen how old everything is and what is pending
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End with exit code 4 where something asks for attention, and say what: for monitoring
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
struct Status {
    site: String,
    role: &'static str,
    free_bytes: u64,
    repositories: Vec<Repository>,
    elsewhere: Vec<Elsewhere>,
    pending: Vec<Pending>,
    exports: Vec<Carried>,
    imports: Vec<Inbound>,
    sites: Vec<Outbound>,
    /// What asks for attention.
    attention: Vec<String>,
}

#[derive(Serialize)]
struct Repository {
    name: String,
    enabled: bool,
    snapshot: Option<String>,
    at: Option<String>,
    from: Option<String>,
    complete: Option<bool>,
    last_sync: Option<String>,
    upstream_date: Option<String>,
    valid_until: Option<String>,
    published: Option<String>,
    state: &'static str,
    #[serde(skip)]
    synced: Option<Timestamp>,
    #[serde(skip)]
    when: Option<Timestamp>,
    #[serde(skip)]
    until: Option<Timestamp>,
}

/// A tree that is served still, at a place where its repository is published no more.
#[derive(Serialize)]
struct Elsewhere {
    target: String,
    address: String,
    at: String,
    #[serde(skip)]
    when: Timestamp,
}

#[derive(Serialize)]
struct Pending {
    bundle: String,
    since: String,
    volumes: Vec<u32>,
    /// Volumes that are still to come; none where it is not known how many there are.
    need: Option<Vec<u32>>,
    #[serde(skip)]
    when: Timestamp,
}

#[derive(Serialize)]
struct Carried {
    site: String,
    bundle: String,
    at: String,
    #[serde(skip)]
    when: Timestamp,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let _shared = share(&store)?;
    let catalog = store.catalog();
    let published = publish::with(&config, &store, context, |publisher| Ok(publisher.list()?))?;
    let mut repositories = Vec::new();
    for name in repo::names(&config, &store)? {
        let newest = catalog.newest(&name)?;
        let path = place(&config, &name);
        let shown = published.iter().find(|row| row.address == name.clone().into() && row.target == path);
        let state = match (&newest, shown.map(|row| (row.standing, row.outdated))) {
            (_, Some((Standing::Gone, _))) => "published tree is gone",
            (_, Some((Standing::Other | Standing::Damaged { .. }, _))) => "published tree is damaged",
            (None, _) => "empty",
            (Some(_), None) => "unpublished",
            (Some(_), Some((Standing::Right, false))) => "published",
            (Some(_), Some((Standing::Right, true))) => "newer than published",
        };
        let synced = catalog.synced(&name)?;
        repositories.push(Repository {
            enabled: config.repository(&name).is_none_or(|entry| entry.enabled),
            snapshot: newest.as_ref().map(|newest| newest.state.manifest.hex()),
            at: newest.as_ref().map(|newest| newest.at.to_string()),
            from: newest.as_ref().map(|newest| match &newest.origin {
                Origin::Synced => "synced".into(),
                Origin::Imported { from } => from.to_string(),
            }),
            complete: newest.as_ref().map(|newest| newest.complete),
            upstream_date: newest.as_ref().and_then(|newest| newest.state.date).map(|at| at.to_string()),
            valid_until: newest.as_ref().and_then(|newest| newest.state.valid_until).map(|at| at.to_string()),
            published: shown.map(|row| row.manifest.hex()),
            state,
            last_sync: synced.map(|at| at.to_string()),
            synced,
            when: newest.as_ref().map(|newest| newest.at),
            until: newest.as_ref().and_then(|newest| newest.state.valid_until),
            name: name.to_string(),
        });
    }
    let mut exports: Vec<Carried> = Vec::new();
    for row in catalog.exports(None)? {
        exports.retain(|other| other.site != row.to.as_str() || other.when > row.at);
        if exports.iter().all(|other| other.site != row.to.as_str()) {
            let at = row.at.to_string();
            exports.push(Carried { site: row.to.to_string(), bundle: row.bundle, at, when: row.at });
        }
    }
    let pending = catalog.pending()?.into_iter().map(|row| waiting(&store, row)).collect();
    let elsewhere = published.iter().filter(|row| is_left(&config, row)).map(|row| Elsewhere {
        target: row.target.clone(),
        address: row.address.to_string(),
        at: row.at.to_string(),
        when: row.at,
    });
    let elsewhere = elsewhere.collect();
    // what `--check` prints as text does not say what comes next
    let weigh = if args.check && !context.printer.is_json() { Weigh::No } else { Weigh::Yes };
    let mut status = Status {
        site: config.site.to_string(),
        role: config.role.name(),
        free_bytes: store.free_space()?,
        repositories,
        elsewhere,
        pending,
        exports,
        imports: sites::inbound(&store, context.now)?,
        sites: sites::outbound(&config, &store, weigh, context)?,
        attention: Vec::new(),
    };
    status.attention = attention(&status, context.now);
    context.printer.show(&status, |status| {
        if args.check { status.attention.join("\n") } else { text(status, context) }
    })?;
    Ok(if args.check && !status.attention.is_empty() { Ending::Partly } else { Ending::Done })
}

/// Lists what asks for attention: what is late, waits, is incomplete, or is not served as it should be.
fn attention(status: &Status, now: Timestamp) -> Vec<String> {
    let mut all = Vec::new();
    for row in &status.repositories {
        if row.state.starts_with("published tree is") {
            all.push(format!("`{}`: {}", row.name, row.state));
        }
        if row.complete == Some(false) {
            all.push(format!("`{}` is incomplete", row.name));
        }
    }
    all.extend(status.pending.iter().map(|row| format!("{} waits for volumes", row.bundle)));
    for row in status.imports.iter().filter(|row| row.late) {
        all.push(row.lines(now).iter().map(|line| line.trim_start()).collect::<Vec<_>>().join("; "));
    }
    all
}

/// Returns where a repository's newest state is published, as the configuration says.
fn place(config: &Config, name: &Name) -> String {
    config.repository(name).map_or_else(|| name.to_string(), |entry| entry.published_path().to_owned())
}

/// Tells whether a tree stands where its repository is published no more.
fn is_left(config: &Config, row: &Listing) -> bool {
    row.address.snapshot.is_none()
        && row.standing != Standing::Gone
        && row.target != place(config, &row.address.repository)
}

/// Says what of a bundle is here and what is still to come.
fn waiting(store: &Store, row: PendingRow) -> Pending {
    // a manifest that is gone or cannot be read is what `verify` and `import` speak of
    let need = transfer::pending_manifest(store, &row).ok().flatten().map(|(_, manifest)| {
        let all = manifest.volumes().map(|(number, _)| number.get());
        all.filter(|number| !row.volumes.contains(number)).collect()
    });
    let PendingRow { bundle, since, volumes, .. } = row;
    Pending { bundle, since: since.to_string(), volumes, need, when: since }
}

fn text(status: &Status, context: &Context) -> String {
    let mut out = format!("{}, {}; {} free\n", status.site, status.role, size(status.free_bytes));
    let now = context.now;
    let rows: Vec<Vec<String>> = status
        .repositories
        .iter()
        .map(|repository| {
            let mut state = repository.state.to_owned();
            if repository.complete == Some(false) {
                state.push_str(", incomplete");
            }
            if !repository.enabled {
                state.push_str(", disabled");
            }
            let until = repository.until.map_or_else(
                || "-".into(),
                |until| if until < now { format!("passed {}", age(until, now)) } else { time(until) },
            );
            vec![
                repository.name.clone(),
                repository.when.map_or_else(|| "never".into(), |when| age(when, now)),
                repository.synced.map_or_else(|| "-".into(), |at| age(at, now)),
                repository.from.clone().unwrap_or_else(|| "-".into()),
                state,
                until,
            ]
        })
        .collect();
    if !rows.is_empty() {
        let headings = [
            ("repository", Left),
            ("newest", Left),
            ("last sync", Left),
            ("from", Left),
            ("state", Left),
            ("valid until", Left),
        ];
        out.push('\n');
        out.push_str(&context.printer.table(&headings, &rows));
        out.push('\n');
    }
    let mut lines = Vec::new();
    for row in &status.exports {
        lines.push(format!("last for {}: {}, {}", row.site, row.bundle, age(row.when, now)));
    }
    lines.extend(status.sites.iter().flat_map(|row| row.lines(now)));
    lines.extend(status.imports.iter().flat_map(|row| row.lines(now)));
    for row in &status.pending {
        let numbers = |of: &[u32]| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let what = match &row.need {
            Some(need) if need.is_empty() => {
                "all of it is here, and it was refused: `chantal import` says why".into()
            }
            Some(need) if row.volumes.is_empty() => format!("volumes to come: {}", numbers(need)),
            Some(need) => format!("volumes here: {}; to come: {}", numbers(&row.volumes), numbers(need)),
            None => format!("volumes here: {}", numbers(&row.volumes)),
        };
        lines.push(format!("pending: {}, begun {}; {what}", row.bundle, age(row.when, now)));
    }
    for row in &status.elsewhere {
        lines.push(format!(
            "`{}` still shows {} as published {}: `chantal unpublish {}` takes it away",
            row.target,
            row.address,
            age(row.when, now),
            row.target
        ));
    }
    let broken = status.repositories.iter().any(|row| row.state.starts_with("published tree is"));
    if broken {
        lines.push("`chantal publish` lays out anew what is gone or damaged".into());
    }
    if !lines.is_empty() {
        out.push('\n');
        out.push_str(&lines.join("\n"));
    }
    out
}
