//! `chantal repo`: the repositories, their newest states and how they came to be.

use chantal_contract::name::Name;
use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::Ending,
};
use crate::{
    config::{Config, Repository},
    report::{
        human::{age, time},
        table::Align::Left,
    },
    store::{Origin, Recorded, Store, StoreError},
};

/// List and show repositories
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List every repository that is configured or held, with its newest state
    List,
    /// Show one repository: its upstream, its newest state, its named snapshots, where it is published
    Show {
        /// The repository
        #[arg(value_name = "REPO")]
        name: Name,
    },
    /// List the states that a repository had, newest first
    History {
        /// The repository
        #[arg(value_name = "REPO")]
        name: Name,
    },
}

/// A state as commands show it.
#[derive(Clone, Debug, Serialize)]
pub struct StateShown {
    /// The manifest's digest.
    pub snapshot: String,
    /// When it became current here.
    pub at: String,
    /// `synced`, or the site that it was imported from.
    pub from: String,
    /// Whether upstream had everything that it listed.
    pub complete: bool,
    /// When upstream made it.
    pub upstream_date: Option<String>,
    /// Until when upstream says that it may be used.
    pub valid_until: Option<String>,
    #[serde(skip)]
    when: Timestamp,
}

impl From<&Recorded> for StateShown {
    fn from(recorded: &Recorded) -> Self {
        Self {
            snapshot: recorded.state.manifest.hex(),
            at: recorded.at.to_string(),
            from: match &recorded.origin {
                Origin::Synced => "synced".into(),
                Origin::Imported { from } => from.to_string(),
            },
            complete: recorded.complete,
            upstream_date: recorded.state.date.map(|at| at.to_string()),
            valid_until: recorded.state.valid_until.map(|at| at.to_string()),
            when: recorded.at,
        }
    }
}

impl StateShown {
    /// Returns the first digits of the snapshot's digest, enough to tell states apart.
    pub fn short(&self) -> &str {
        self.snapshot.get(..12).unwrap_or(&self.snapshot)
    }
}

#[derive(Serialize)]
struct Listed {
    repositories: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    format: Option<&'static str>,
    enabled: bool,
    newest: Option<StateShown>,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let _shared = share(&store)?;
    match &args.verb {
        Verb::List => list(&config, &store, context)?,
        Verb::Show { name } => show(name, &config, &store, context)?,
        Verb::History { name } => history(name, &store, context)?,
    }
    Ok(Ending::Done)
}

/// Returns the names that are configured or held, sorted.
pub fn names(config: &Config, store: &Store) -> Result<Vec<Name>, StoreError> {
    let mut names: Vec<Name> = config.repositories.iter().map(|repository| repository.name.clone()).collect();
    names.extend(store.catalog().repositories()?.into_iter().map(|row| row.name));
    names.sort();
    names.dedup();
    Ok(names)
}

/// Refuses a name that is neither configured nor held, and says what there is.
pub fn known(name: &Name, config: &Config, store: &Store) -> Result<(), StoreError> {
    let names = names(config, store)?;
    if names.contains(name) {
        return Ok(());
    }
    let has = names.iter().map(ToString::to_string).collect();
    Err(StoreError::NotFound { what: format!("repository `{name}`"), has })
}

/// Returns the word for a repository's format: of the configuration, else of its newest state.
fn format_of(name: &Name, config: &Config, store: &Store, newest: Option<&Recorded>) -> Option<&'static str> {
    let configured = config.repository(name).and_then(Repository::kind);
    configured
        .or_else(|| {
            let reader = store.manifests().open(&newest?.state.manifest).ok()?;
            Some(reader.header().format)
        })
        .map(chantal_contract::Kind::name)
}

fn list(config: &Config, store: &Store, context: &Context) -> anyhow::Result<()> {
    let mut repositories = Vec::new();
    for name in names(config, store)? {
        let newest = store.catalog().newest(&name)?;
        repositories.push(Row {
            format: format_of(&name, config, store, newest.as_ref()),
            enabled: config.repository(&name).is_none_or(|repository| repository.enabled),
            newest: newest.as_ref().map(StateShown::from),
            name: name.to_string(),
        });
    }
    let headings = [
        ("name", Left),
        ("format", Left),
        ("newest", Left),
        ("since", Left),
        ("from", Left),
        ("upstream date", Left),
    ];
    let rows = |listed: &Listed| {
        let row = |row: &Row| {
            let state = row.newest.as_ref();
            let mut since = state.map_or("never".into(), |state| age(state.when, context.now));
            if !row.enabled {
                since.push_str(" (disabled)");
            }
            vec![
                row.name.clone(),
                row.format.unwrap_or("-").into(),
                state.map_or("-".into(), |state| state.short().to_owned()),
                since,
                state.map_or("-".into(), |state| state.from.clone()),
                state.and_then(|state| state.upstream_date.clone()).unwrap_or_else(|| "-".into()),
            ]
        };
        listed.repositories.iter().map(row).collect()
    };
    context.printer.list(&Listed { repositories }, &headings, rows, "no repository is configured or held")
}

#[derive(Serialize)]
struct Shown {
    name: String,
    format: Option<&'static str>,
    upstream: Option<String>,
    enabled: bool,
    newest: Option<StateShown>,
    snapshots: Vec<Named>,
    published: Vec<PublishedAt>,
}

#[derive(Serialize)]
struct Named {
    name: String,
    #[serde(flatten)]
    state: StateShown,
}

#[derive(Serialize)]
struct PublishedAt {
    target: String,
    snapshot: String,
    at: String,
}

fn show(name: &Name, config: &Config, store: &Store, context: &Context) -> anyhow::Result<()> {
    known(name, config, store)?;
    let entry = config.repository(name);
    let newest = store.catalog().newest(name)?;
    let snapshots = store.catalog().names(Some(name))?;
    let published = store.catalog().published()?;
    let shown = Shown {
        name: name.to_string(),
        format: format_of(name, config, store, newest.as_ref()),
        upstream: entry.and_then(|entry| entry.url.as_ref()).map(|url| url.written().to_owned()),
        enabled: entry.is_none_or(|entry| entry.enabled),
        newest: newest.as_ref().map(StateShown::from),
        snapshots: snapshots
            .iter()
            .map(|(_, snapshot, recorded)| Named { name: snapshot.to_string(), state: recorded.into() })
            .collect(),
        published: published
            .iter()
            .filter(|row| row.repository == *name)
            .map(|row| PublishedAt {
                target: row.target.clone(),
                snapshot: row.state.manifest.hex(),
                at: row.at.to_string(),
            })
            .collect(),
    };
    context.printer.show(&shown, |shown| {
        let mut lines = vec![
            format!("name        {}", shown.name),
            format!("format      {}", shown.format.unwrap_or("-")),
            format!("upstream    {}", shown.upstream.as_deref().unwrap_or("-")),
        ];
        if !shown.enabled {
            lines.push("enabled     no".into());
        }
        match &shown.newest {
            None => lines.push("newest      never synced or imported".into()),
            Some(state) => {
                lines.push(format!("newest      {}", state.snapshot));
                lines.push(format!(
                    "since       {} ({}), {}",
                    time(state.when),
                    age(state.when, context.now),
                    state.from
                ));
                if !state.complete {
                    lines.push("complete    no: upstream lists files that it does not have".into());
                }
                for (label, value) in
                    [("made        ", &state.upstream_date), ("valid until ", &state.valid_until)]
                {
                    lines.extend(value.iter().map(|value| format!("{label}{value}")));
                }
            }
        }
        lines.extend(
            shown
                .snapshots
                .iter()
                .map(|n| format!("snapshot    {}@{}  {}", shown.name, n.name, n.state.short())),
        );
        lines.extend(
            shown.published.iter().map(|p| format!("published   {}  {}", p.target, &p.snapshot[..12])),
        );
        lines.join("\n")
    })
}

#[derive(Serialize)]
struct History {
    name: String,
    states: Vec<StateShown>,
}

fn history(name: &Name, store: &Store, context: &Context) -> anyhow::Result<()> {
    let mut recorded = store.catalog().history(name)?;
    if recorded.is_empty() {
        let has = store.catalog().repositories()?.into_iter().map(|row| row.name.to_string()).collect();
        return Err(StoreError::NotFound { what: format!("state of repository `{name}`"), has }.into());
    }
    recorded.sort_by_key(|state| std::cmp::Reverse(state.number));
    let states = recorded.iter().map(StateShown::from).collect();
    context.printer.show(&History { name: name.to_string(), states }, |history| {
        let rows: Vec<Vec<String>> = history
            .states
            .iter()
            .map(|state| {
                vec![
                    time(state.when),
                    state.short().to_owned(),
                    state.from.clone(),
                    if state.complete { "yes" } else { "no" }.into(),
                    state.upstream_date.clone().unwrap_or_else(|| "-".into()),
                ]
            })
            .collect();
        let headings = [
            ("since", Left),
            ("snapshot", Left),
            ("from", Left),
            ("complete", Left),
            ("upstream date", Left),
        ];
        context.printer.table(&headings, &rows)
    })
}
