//! `chantal snapshot`: named states, and what differs between them.

mod diff;

use chantal_contract::{
    Line, State as _,
    name::{Name, SnapshotName},
};
use clap::Subcommand;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::{Ending, Usage},
    repo::{self, StateShown},
};
use crate::{
    report::{
        human::{age, count, size, time},
        table::Align::Left,
    },
    store::{Address, Event, Lock, Recorded, Store, StoreError},
};

/// Name, list, compare and delete states
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Give the newest states a name
    Create {
        /// The repositories; every one that has a state when left out
        #[arg(value_name = "REPO")]
        repositories: Vec<Name>,
        /// The name: `bookworm@NAME` addresses the state from then on
        #[arg(long, value_name = "NAME")]
        name: SnapshotName,
        /// Say what would be named, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List named snapshots
    List {
        /// Of these repositories only
        #[arg(value_name = "REPO")]
        repositories: Vec<Name>,
    },
    /// Show what a state consists of
    Show {
        /// A repository's newest state, or a named snapshot
        #[arg(value_name = "REPO|REPO@NAME")]
        address: Address,
        /// List its files, too
        #[arg(long)]
        files: bool,
    },
    /// Show what differs between two states
    Diff {
        /// The older one
        #[arg(value_name = "A")]
        old: Address,
        /// The newer one
        #[arg(value_name = "B")]
        new: Address,
        /// Only say how much differs
        #[arg(long)]
        stat: bool,
    },
    /// Give a named snapshot, or a newest state, a further name
    Copy {
        /// What is named
        #[arg(value_name = "REPO|REPO@NAME")]
        from: Address,
        /// Its further name
        #[arg(value_name = "NAME")]
        to: SnapshotName,
        /// Say what would be named, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Take names away; `chantal gc` then frees what nothing else needs
    Delete {
        /// The snapshots
        #[arg(value_name = "REPO@NAME", required = true)]
        addresses: Vec<Address>,
        /// Say what would be deleted, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Take all names away but the newest few of each repository
    Prune {
        /// Of these repositories only
        #[arg(value_name = "REPO")]
        repositories: Vec<Name>,
        /// How many of the newest stay
        #[arg(long, value_name = "N")]
        keep: usize,
        /// Say what would be deleted, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Serialize)]
struct Listed {
    snapshots: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    repository: String,
    name: String,
    #[serde(flatten)]
    state: StateShown,
    #[serde(skip)]
    named: String,
}

#[derive(Serialize)]
struct Changed {
    snapshots: Vec<String>,
    dry_run: bool,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let _shared = share(&store)?;
    match &args.verb {
        Verb::Create { repositories, name, dry_run } => {
            for repository in repositories {
                repo::known(repository, &config, &store)?;
            }
            create(repositories, name, *dry_run, &store, context)?;
        }
        Verb::List { repositories } => {
            for repository in repositories {
                repo::known(repository, &config, &store)?;
            }
            list(repositories, &store, context)?;
        }
        Verb::Show { address, files } => show(address, *files, &store, context)?,
        Verb::Diff { old, new, stat } => diff::diff(old, new, *stat, &store, context)?,
        Verb::Copy { from, to, dry_run } => {
            let recorded = store.catalog().resolve(from)?;
            let _turn = store.lock(Lock::Repository(&from.repository))?;
            name_state(&from.repository, to, &recorded, *dry_run, &store, context)?;
            changed(
                vec![Address { repository: from.repository.clone(), snapshot: Some(to.clone()) }],
                *dry_run,
                "named",
                context,
            )?;
        }
        Verb::Delete { addresses, dry_run } => delete(addresses, *dry_run, &store, context)?,
        Verb::Prune { repositories, keep, dry_run } => {
            let doomed = surplus(repositories, *keep, &store)?;
            delete(&doomed, *dry_run, &store, context)?;
        }
    }
    Ok(Ending::Done)
}

fn changed(addresses: Vec<Address>, dry_run: bool, done: &str, context: &Context) -> anyhow::Result<()> {
    let would = if dry_run { "would be " } else { "" };
    for address in &addresses {
        context.printer.say(&format!("{address} {would}{done}"));
    }
    if context.printer.is_json() {
        let snapshots = addresses.iter().map(ToString::to_string).collect();
        context.printer.show(&Changed { snapshots, dry_run }, |_| String::new())?;
    }
    Ok(())
}

fn create(
    repositories: &[Name],
    name: &SnapshotName,
    dry_run: bool,
    store: &Store,
    context: &Context,
) -> anyhow::Result<()> {
    let rows = store.catalog().repositories()?;
    let chosen: Vec<(Name, Recorded)> = rows
        .into_iter()
        .filter(|row| repositories.is_empty() || repositories.contains(&row.name))
        .filter_map(|row| Some((row.name, row.newest?)))
        .collect();
    if let Some(without) = repositories.iter().find(|name| !chosen.iter().any(|(other, _)| other == *name)) {
        return Err(Usage::new(
            format!("`{without}` has no state yet that could be named"),
            "`chantal sync` or `chantal import` brings one",
        )
        .into());
    }
    let mut turns = Vec::new();
    for (repository, _) in &chosen {
        turns.push(store.lock(Lock::Repository(repository))?);
    }
    // all are looked at before the first is named
    for (repository, recorded) in &chosen {
        name_state(repository, name, recorded, true, store, context)?;
    }
    let mut named = Vec::new();
    for (repository, recorded) in &chosen {
        name_state(repository, name, recorded, dry_run, store, context)?;
        named.push(Address { repository: repository.clone(), snapshot: Some(name.clone()) });
    }
    changed(named, dry_run, "named", context)
}

/// Names a state; a name that means this state already is no error.
fn name_state(
    repository: &Name,
    name: &SnapshotName,
    recorded: &Recorded,
    dry_run: bool,
    store: &Store,
    context: &Context,
) -> anyhow::Result<()> {
    if let Some(former) = store.catalog().named(repository, name)? {
        if former.state.manifest == recorded.state.manifest {
            return Ok(());
        }
        return Err(Usage::new(
            format!("snapshot `{repository}@{name}` exists already, and is another state"),
            format!("choose another name, or `chantal snapshot delete {repository}@{name}` first"),
        )
        .into());
    }
    if !dry_run {
        let event = Event::Named {
            repository: repository.clone(),
            name: name.clone(),
            state: recorded.state.clone(),
        };
        store.journal().append(event, context.now)?;
    }
    Ok(())
}

fn list(repositories: &[Name], store: &Store, context: &Context) -> anyhow::Result<()> {
    let names = store.catalog().names(None)?;
    let snapshots: Vec<Row> = names
        .iter()
        .filter(|(repository, _, _)| repositories.is_empty() || repositories.contains(repository))
        .map(|(repository, name, recorded)| Row {
            repository: repository.to_string(),
            name: name.to_string(),
            state: recorded.into(),
            named: age(recorded.at, context.now),
        })
        .collect();
    let headings = [("snapshot", Left), ("state", Left), ("named", Left), ("upstream date", Left)];
    let rows = |listed: &Listed| {
        let row = |row: &Row| {
            let address = format!("{}@{}", row.repository, row.name);
            let date = row.state.upstream_date.clone().unwrap_or_else(|| "-".into());
            vec![address, row.state.short().to_owned(), row.named.clone(), date]
        };
        listed.snapshots.iter().map(row).collect()
    };
    let none = "no snapshot is named; `chantal snapshot create --name NAME` names the newest states";
    context.printer.list(&Listed { snapshots }, &headings, rows, none)
}

#[derive(Serialize)]
struct Shown {
    address: String,
    #[serde(flatten)]
    state: StateShown,
    format: &'static str,
    mode: &'static str,
    indexes: Sum,
    payloads: Sum,
    absent: u64,
    packages: u64,
    documents: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<FileRow>>,
}

#[derive(Default, Serialize)]
struct Sum {
    files: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct FileRow {
    path: String,
    sha256: Option<String>,
    size: Option<u64>,
    role: &'static str,
}

fn show(address: &Address, list_files: bool, store: &Store, context: &Context) -> anyhow::Result<()> {
    use chantal_contract::{Entry, Role};
    let recorded = store.catalog().resolve(address)?;
    let snapshot = store.snapshot(&recorded.state.manifest)?;
    let mut shown = Shown {
        address: address.to_string(),
        state: (&recorded).into(),
        format: snapshot.header().format.name(),
        mode: snapshot.header().mode.name(),
        indexes: Sum::default(),
        payloads: Sum::default(),
        absent: 0,
        packages: 0,
        documents: 0,
        files: list_files.then(Vec::new),
    };
    snapshot.each_line::<StoreError>(&mut |line| {
        match line {
            Line::Doc { .. } => shown.documents += 1,
            Line::Pkg { .. } => shown.packages += 1,
            Line::File { path, entry } => {
                let (sum, role) = match entry {
                    Entry::Absent => (None, "absent"),
                    Entry::Present { role: Role::Payload, .. } => (Some(&mut shown.payloads), "payload"),
                    Entry::Present { .. } => (Some(&mut shown.indexes), "index"),
                };
                let measured = match entry {
                    Entry::Present { measured, .. } => Some(*measured),
                    Entry::Absent => None,
                };
                match (sum, measured) {
                    (Some(sum), Some(measured)) => {
                        sum.files += 1;
                        sum.bytes += measured.size;
                    }
                    _ => shown.absent += 1,
                }
                if let Some(files) = &mut shown.files {
                    files.push(FileRow {
                        path: path.to_string(),
                        sha256: measured.map(|measured| measured.sha256.hex()),
                        size: measured.map(|measured| measured.size),
                        role,
                    });
                }
            }
        }
        Ok(())
    })?;
    context.printer.show(&shown, |shown| {
        let mut lines = vec![
            format!("address   {}", shown.address),
            format!("snapshot  {}", shown.state.snapshot),
            format!("format    {}, {}", shown.format, shown.mode),
            format!(
                "since     {} ({}), {}",
                time(recorded.at),
                age(recorded.at, context.now),
                shown.state.from
            ),
        ];
        lines.extend(shown.state.upstream_date.iter().map(|date| format!("made      {date}")));
        lines.extend(shown.state.valid_until.iter().map(|date| format!("valid to  {date}")));
        lines.push(format!(
            "indexes   {}, {}",
            count(shown.indexes.files, "file"),
            size(shown.indexes.bytes)
        ));
        lines.push(format!(
            "payloads  {}, {}",
            count(shown.payloads.files, "file"),
            size(shown.payloads.bytes)
        ));
        if shown.packages > 0 {
            lines.push(format!("packages  {}", count(shown.packages, "package")));
        }
        if shown.absent > 0 {
            lines.push(format!(
                "absent    {} that upstream lists and does not have",
                count(shown.absent, "file")
            ));
        }
        for file in shown.files.iter().flatten() {
            let weight = file.size.map_or_else(|| "absent".into(), size);
            lines.push(format!("{weight:>10}  {}", file.path));
        }
        lines.join("\n")
    })
}

/// Returns the named snapshots of each repository beyond the newest `keep`.
fn surplus(repositories: &[Name], keep: usize, store: &Store) -> Result<Vec<Address>, StoreError> {
    let mut names = store.catalog().names(None)?;
    names.sort_by(|a, b| (&a.0, std::cmp::Reverse(a.2.number)).cmp(&(&b.0, std::cmp::Reverse(b.2.number))));
    let mut doomed = Vec::new();
    let mut kept: Option<(Name, usize)> = None;
    for (repository, name, _) in names {
        if !repositories.is_empty() && !repositories.contains(&repository) {
            continue;
        }
        let seen = match &kept {
            Some((current, seen)) if *current == repository => *seen,
            _ => 0,
        };
        if seen >= keep {
            doomed.push(Address { repository: repository.clone(), snapshot: Some(name) });
        }
        kept = Some((repository, seen + 1));
    }
    Ok(doomed)
}

/// Says what is wrong with a repository, or the bare name of a snapshot, where a snapshot's address is due.
fn nameless(text: &Name, store: &Store) -> Result<Usage, StoreError> {
    if store.catalog().repositories()?.iter().any(|row| row.name == *text) {
        return Ok(Usage::new(
            format!("`{text}` is a newest state, and only names are deleted"),
            format!("`chantal snapshot list {text}` shows the names"),
        ));
    }
    let names = store.catalog().names(None)?;
    let meant: Vec<String> = names
        .iter()
        .filter(|(_, name, _)| name.as_str() == text.as_str())
        .map(|(repository, name, _)| format!("{repository}@{name}"))
        .collect();
    Ok(if meant.is_empty() {
        Usage::new(
            format!("there is no snapshot `{text}`"),
            "`chantal snapshot list` shows them as `REPO@NAME`",
        )
    } else {
        Usage::new(
            format!("`{text}` is the name of a snapshot without its repository"),
            format!("`chantal snapshot delete {}`", meant.join(" ")),
        )
    })
}

fn delete(addresses: &[Address], dry_run: bool, store: &Store, context: &Context) -> anyhow::Result<()> {
    let published = store.catalog().published()?;
    let mut names = Vec::new();
    for address in addresses {
        let Some(name) = &address.snapshot else {
            return Err(nameless(&address.repository, store)?.into());
        };
        store.catalog().resolve(address)?;
        if let Some(row) = published
            .iter()
            .find(|row| row.repository == address.repository && row.name.as_ref() == Some(name))
        {
            return Err(Usage::new(
                format!("`{address}` is published at `{}`", row.target),
                format!("`chantal unpublish {address}` first"),
            )
            .into());
        }
        names.push((address.repository.clone(), name.clone()));
    }
    for (repository, name) in names.into_iter().filter(|_| !dry_run) {
        let _turn = store.lock(Lock::Repository(&repository))?;
        store.journal().append(Event::Unnamed { repository, name }, context.now)?;
    }
    changed(addresses.to_vec(), dry_run, "deleted", context)
}
