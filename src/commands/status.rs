//! `chantal status`: in one screen how old everything is and what is pending.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::Ending,
    repo,
};
use crate::{
    report::{
        human::{age, size, time},
        table::Align::Left,
    },
    store::Origin,
};

/// Say in one screen how old everything is and what is pending
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Serialize)]
struct Status {
    site: String,
    role: &'static str,
    free_bytes: u64,
    repositories: Vec<Repository>,
    pending: Vec<Pending>,
    exports: Vec<Carried>,
    imports: Vec<Carried>,
}

#[derive(Serialize)]
struct Repository {
    name: String,
    enabled: bool,
    snapshot: Option<String>,
    at: Option<String>,
    from: Option<String>,
    complete: Option<bool>,
    upstream_date: Option<String>,
    valid_until: Option<String>,
    published: Option<String>,
    state: &'static str,
    #[serde(skip)]
    when: Option<Timestamp>,
    #[serde(skip)]
    until: Option<Timestamp>,
}

#[derive(Serialize)]
struct Pending {
    bundle: String,
    since: String,
    volumes: Vec<u32>,
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

pub fn run(_: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let _shared = share(&store)?;
    let catalog = store.catalog();
    let published = catalog.published()?;
    let mut repositories = Vec::new();
    for name in repo::names(&config, &store)? {
        let newest = catalog.newest(&name)?;
        let shown = published.iter().find(|row| row.repository == name && row.name.is_none());
        let state = match (&newest, shown) {
            (None, _) => "empty",
            (Some(_), None) => "unpublished",
            (Some(newest), Some(shown)) if newest.state.manifest == shown.state.manifest => "published",
            (Some(_), Some(_)) => "newer than published",
        };
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
            published: shown.map(|row| row.state.manifest.hex()),
            state,
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
    let mut imports: Vec<Carried> = Vec::new();
    for row in catalog.imports(None)? {
        imports.retain(|other| other.site != row.from.as_str() || other.when > row.at);
        if imports.iter().all(|other| other.site != row.from.as_str()) {
            let at = row.at.to_string();
            imports.push(Carried { site: row.from.to_string(), bundle: row.bundle, at, when: row.at });
        }
    }
    let pending = catalog
        .pending()?
        .into_iter()
        .map(|row| Pending {
            bundle: row.bundle,
            since: row.since.to_string(),
            volumes: row.volumes,
            when: row.since,
        })
        .collect();
    let status = Status {
        site: config.site.to_string(),
        role: config.role.name(),
        free_bytes: store.free_space()?,
        repositories,
        pending,
        exports,
        imports,
    };
    context.printer.show(&status, |status| text(status, context))?;
    Ok(Ending::Done)
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
                repository.from.clone().unwrap_or_else(|| "-".into()),
                state,
                until,
            ]
        })
        .collect();
    if !rows.is_empty() {
        let headings =
            [("repository", Left), ("newest", Left), ("from", Left), ("state", Left), ("valid until", Left)];
        out.push('\n');
        out.push_str(&context.printer.table(&headings, &rows));
        out.push('\n');
    }
    let mut lines = Vec::new();
    for row in &status.exports {
        lines.push(format!("last for {}: {}, {}", row.site, row.bundle, age(row.when, now)));
    }
    for row in &status.imports {
        lines.push(format!("last from {}: {}, {}", row.site, row.bundle, age(row.when, now)));
    }
    for row in &status.pending {
        let volumes: Vec<String> = row.volumes.iter().map(ToString::to_string).collect();
        let have = if volumes.is_empty() { "none".into() } else { volumes.join(", ") };
        lines.push(format!("pending: {} since {}; volumes here: {have}", row.bundle, age(row.when, now)));
    }
    if !lines.is_empty() {
        out.push('\n');
        out.push_str(&lines.join("\n"));
    }
    out
}
