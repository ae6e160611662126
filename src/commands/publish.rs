//! `chantal publish`: snapshots become trees that any web server can serve.

use clap::Subcommand;
use serde::Serialize;

use super::{
    context::Context,
    ending::{self, Ending},
    repo,
};
use crate::{
    config::{self, Config},
    formats,
    publish::{Link, Outcome, Published as Done, Publisher, Request, Settings, Standing, Switch, Turn},
    report::{
        Event,
        human::{age, count, size},
        table::Align::Left,
    },
    store::{Address, Store, StoreError},
};

/// Lay repositories out as trees that any web server can serve
///
/// All trees are built first and switched together, so that clients see the old state or the new one and never a mixture.
/// What cannot be published is reported and holds nothing else back.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_value_name = "list",
    override_usage = "chantal publish [OPTIONS] [REPO|REPO@NAME]...\n       chantal publish list [OPTIONS]"
)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// What to publish: a repository's newest state, or a named snapshot; the newest state of all when left out
    #[arg(value_name = "REPO|REPO@NAME")]
    addresses: Vec<Address>,
    /// Say what would change, and touch nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what is published
    List,
}

#[derive(Serialize)]
struct Published {
    published: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    address: String,
    target: String,
    url: String,
    snapshot: String,
    outcome: &'static str,
    files: u64,
    bytes: u64,
    added: u64,
    removed: u64,
    replaced: u64,
    notices: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    published: Vec<Listing>,
}

#[derive(Serialize)]
struct Listing {
    address: String,
    target: String,
    url: String,
    snapshot: String,
    at: String,
    upstream_date: Option<String>,
    valid_until: Option<String>,
    state: &'static str,
    #[serde(skip)]
    since: String,
}

/// Returns where and how trees are published, as the configuration says.
pub fn settings(config: &Config) -> Settings {
    Settings {
        root: config.storage.published.resolve(),
        link: match config.storage.link {
            config::Link::Hardlink => Link::Hardlink,
            config::Link::Reflink => Link::Reflink,
            config::Link::Copy => Link::Copy,
        },
        switch: match config.storage.switch {
            config::Switch::Symlink => Switch::Symlink,
            config::Switch::Exchange => Switch::Exchange,
        },
        base: config.storage.base_url(),
    }
}

/// Runs `act` with a publisher.
pub fn with<T>(
    config: &Config,
    store: &Store,
    context: &Context,
    act: impl FnOnce(&Publisher<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let settings = settings(config);
    let publisher = Publisher {
        store,
        settings: &settings,
        formats: &formats::from_header,
        reporter: context.reporter.as_ref(),
        at: context.now,
    };
    act(&publisher)
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    if let Some(Verb::List) = args.verb {
        return with(&config, &store, context, |publisher| list(publisher, context)).map(|()| Ending::Done);
    }
    let requests = requests(&args.addresses, &config, &store)?;
    if requests.is_empty() {
        context.printer.say("there is no state to publish yet");
        return Ok(Ending::Done);
    }
    let results = with(&config, &store, context, |publisher| {
        Ok(if args.dry_run { publisher.plan(&requests) } else { publisher.publish(&requests) }?)
    })?;
    let any = results.iter().any(Result::is_ok);
    let ending = tell(&requests, results, context);
    if any {
        warn_of_files(&config, context);
    }
    ending
}

/// Says that set-up files name a directory of this machine while no address is configured.
pub fn warn_of_files(config: &Config, context: &Context) {
    if config.storage.url.is_some() {
        return;
    }
    let base = config.storage.base_url();
    let text = format!("is not set: client set-up files name `{base}`, which other machines cannot reach");
    context.reporter.event(Event::Warning { subject: "storage.url", text: &text });
    context.printer.say("hint: set `storage.url` to the address that the web server serves the published directory under, then publish again");
}

fn requests(addresses: &[Address], config: &Config, store: &Store) -> Result<Vec<Request>, StoreError> {
    let path = |address: &Address| match config.repository(&address.repository) {
        Some(entry) => entry.published_path().to_owned(),
        None => address.repository.to_string(),
    };
    if addresses.is_empty() {
        let held = store.catalog().repositories()?.into_iter().filter(|row| row.newest.is_some());
        return Ok(held
            .map(|row| Address::from(row.name))
            .map(|address| Request { path: path(&address), address })
            .collect());
    }
    let mut addresses = addresses.to_vec();
    addresses.sort();
    addresses.dedup();
    addresses
        .into_iter()
        .map(|address| {
            repo::known(&address.repository, config, store)?;
            Ok(Request { path: path(&address), address })
        })
        .collect()
}

fn row(outcome: Outcome) -> Row {
    Row {
        address: outcome.address.to_string(),
        target: outcome.target,
        url: outcome.url,
        snapshot: outcome.manifest.hex(),
        outcome: match outcome.turn {
            Turn::Switched => "switched",
            Turn::Unchanged => "unchanged",
            Turn::Planned => "planned",
        },
        files: outcome.files,
        bytes: outcome.bytes,
        added: outcome.change.added,
        removed: outcome.change.removed,
        replaced: outcome.change.replaced,
        notices: outcome.notices.iter().map(ToString::to_string).collect(),
        error: None,
    }
}

fn failed(request: &Request, error: &anyhow::Error) -> Row {
    Row {
        address: request.address.to_string(),
        target: request.target(),
        url: String::new(),
        snapshot: String::new(),
        outcome: "failed",
        files: 0,
        bytes: 0,
        added: 0,
        removed: 0,
        replaced: 0,
        notices: Vec::new(),
        error: Some(format!("{error:#}")),
    }
}

fn tell(requests: &[Request], results: Vec<Done>, context: &Context) -> anyhow::Result<Ending> {
    let mut failures = Vec::new();
    let mut rows = Vec::new();
    for (request, result) in requests.iter().zip(results) {
        match result {
            Ok(outcome) => rows.push(row(outcome)),
            Err(error) => {
                let error =
                    anyhow::Error::new(error).context(format!("cannot publish `{}`", request.address));
                rows.push(failed(request, &error));
                failures.push(error);
            }
        }
    }
    show(&Published { published: rows }, context)?;
    ending::together(failures, Ending::Done)
}

fn show(published: &Published, context: &Context) -> anyhow::Result<()> {
    for row in &published.published {
        for notice in &row.notices {
            context.reporter.event(Event::Warning { subject: &row.address, text: notice });
        }
    }
    if context.printer.is_json() {
        return context.printer.show(published, |_| String::new());
    }
    for row in &published.published {
        let weight = format!("{}, {}", count(row.files, "file"), size(row.bytes));
        let change = format!("{} added, {} removed, {} replaced", row.added, row.removed, row.replaced);
        context.printer.say(&match row.outcome {
            "unchanged" => format!("{}: unchanged at {}", row.address, row.url),
            "failed" => continue,
            "planned" => format!("{}: would be at {} ({weight}; {change})", row.address, row.url),
            _ => format!("{}: at {} ({weight}; {change})", row.address, row.url),
        });
    }
    Ok(())
}

fn list(publisher: &Publisher<'_>, context: &Context) -> anyhow::Result<()> {
    let listings = publisher.list()?;
    let published = listings
        .into_iter()
        .map(|listing| Listing {
            address: listing.address.to_string(),
            target: listing.target,
            url: listing.url,
            snapshot: listing.manifest.hex(),
            at: listing.at.to_string(),
            upstream_date: listing.date.map(|at| at.to_string()),
            valid_until: listing.valid_until.map(|at| at.to_string()),
            state: match (listing.standing, listing.outdated) {
                (Standing::Gone, _) => "gone",
                (Standing::Other | Standing::Damaged { .. }, _) => "damaged",
                (Standing::Right, true) => "outdated",
                (Standing::Right, false) => "current",
            },
            since: age(listing.at, context.now),
        })
        .collect::<Vec<_>>();
    let broken = published.iter().any(|listing| matches!(listing.state, "gone" | "damaged"));
    let headings =
        [("address", Left), ("state", Left), ("published", Left), ("snapshot", Left), ("url", Left)];
    let rows = |listed: &Listed| {
        let row = |row: &Listing| {
            vec![
                row.address.clone(),
                row.state.into(),
                row.since.clone(),
                row.snapshot[..12].to_owned(),
                row.url.clone(),
            ]
        };
        listed.published.iter().map(row).collect()
    };
    let none = "nothing is published; `chantal publish` publishes all newest states";
    context.printer.list(&Listed { published }, &headings, rows, none)?;
    if broken {
        context.printer.say("hint: `chantal publish` lays out anew what is gone or damaged");
    }
    Ok(())
}
