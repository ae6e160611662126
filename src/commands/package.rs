//! `chantal package`: what the indexes of held states list.

use std::collections::BTreeMap;

use chantal_contract::{Entry, FormatError, Key, Line, Mode, RepoPath, State as _, Step, Version};
use clap::Subcommand;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::Ending,
};
use crate::{
    formats::{
        self,
        replay::{Held, replay},
    },
    report::{
        human::size,
        table::{
            Align::{Left, Right},
            printable,
        },
    },
    store::{Address, Store, StoreError},
};

/// Look up packages
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the packages of a repository
    List {
        /// The repository's newest state, or a named snapshot
        #[arg(value_name = "REPO|REPO@NAME")]
        address: Address,
    },
    /// Find packages by a part of their name or summary, or by a pattern with `*` and `?`
    Search {
        /// What to look for, whatever its case
        #[arg(value_name = "TEXT")]
        text: String,
        /// Where; every repository when left out
        #[arg(value_name = "REPO|REPO@NAME")]
        addresses: Vec<Address>,
    },
    /// Show a package's records as upstream wrote them, newest version first
    Show {
        /// Its name
        #[arg(value_name = "PACKAGE")]
        name: String,
        /// Where; every repository when left out
        #[arg(value_name = "REPO|REPO@NAME")]
        addresses: Vec<Address>,
    },
}

#[derive(Serialize)]
struct Listed {
    packages: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    repository: String,
    name: String,
    version: String,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    summary: String,
    files: Vec<FileRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct FileRow {
    path: String,
    size: Option<u64>,
}

/// What went wrong while a held state was read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Format(#[from] FormatError),
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let _shared = share(&store)?;
    match &args.verb {
        Verb::List { address } => {
            let rows = find(&store, std::slice::from_ref(address), &|_, _| true, Records::Without)?;
            table(rows, context)?;
        }
        Verb::Search { text, addresses } => {
            let wanted = text.to_lowercase();
            let matches = |name: &str, summary: &str| {
                if wanted.contains(['*', '?']) {
                    crate::config::matches(&wanted, &name.to_lowercase())
                } else {
                    name.to_lowercase().contains(&wanted) || summary.to_lowercase().contains(&wanted)
                }
            };
            let rows = find(&store, &all(&store, addresses)?, &matches, Records::Without)?;
            table(rows, context)?;
        }
        Verb::Show { name, addresses } => {
            let rows = find(&store, &all(&store, addresses)?, &|other, _| other == name, Records::With)?;
            if rows.is_empty() {
                return Err(
                    StoreError::NotFound { what: format!("package `{name}`"), has: Vec::new() }.into()
                );
            }
            show(rows, context)?;
        }
    }
    Ok(Ending::Done)
}

fn all(store: &Store, addresses: &[Address]) -> Result<Vec<Address>, StoreError> {
    if !addresses.is_empty() {
        return Ok(addresses.to_vec());
    }
    let held = store.catalog().repositories()?.into_iter().filter(|row| row.newest.is_some());
    Ok(held.map(|row| Address::from(row.name)).collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Records {
    With,
    Without,
}

fn find(
    store: &Store,
    addresses: &[Address],
    matches: &dyn Fn(&str, &str) -> bool,
    records: Records,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for address in addresses {
        read(store, address, matches, records, &mut rows)
            .map_err(|error| anyhow::Error::new(error).context(format!("cannot read `{address}`")))?;
    }
    Ok(rows)
}

/// Adds a state's packages, by name and then newest first.
fn read(
    store: &Store,
    address: &Address,
    matches: &dyn Fn(&str, &str) -> bool,
    records: Records,
    rows: &mut Vec<Row>,
) -> Result<(), ReadError> {
    let recorded = store.catalog().resolve(address)?;
    let holding = store.holding(&recorded.state)?;
    let snapshot = holding.snapshot();
    let format = formats::from_header(snapshot.header())?;
    let mut found = Vec::new();
    let keep = |key: &Key, summary: &str, files: Vec<FileRow>, record: &[u8]| Row {
        repository: address.to_string(),
        name: key.name.clone(),
        version: key.version.clone(),
        architecture: key.architecture.clone(),
        variant: key.variant.clone(),
        summary: summary.to_owned(),
        files,
        record: (records == Records::With).then(|| String::from_utf8_lossy(record).into_owned()),
    };
    let mut sizes: BTreeMap<RepoPath, u64> = BTreeMap::new();
    let mut listed = false;
    snapshot.each_line::<ReadError>(&mut |line| {
        match line {
            Line::File { path, entry: Entry::Present { measured, .. } }
                if snapshot.header().mode != Mode::Mirror =>
            {
                sizes.insert(path.clone(), measured.size);
            }
            Line::Pkg { key, record, files } => {
                listed = true;
                if matches(&key.name, "") {
                    let files = files
                        .iter()
                        .map(|path| FileRow { path: path.to_string(), size: sizes.get(path).copied() })
                        .collect();
                    let record =
                        if records == Records::With { store.packs().get(record)? } else { Vec::new() };
                    found.push(keep(key, "", files, &record));
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    if !listed {
        let mut open = |path: &RepoPath| {
            let found = holding.open(path)?;
            Ok(found.map(|(file, measured)| -> Held { (Box::new(file), measured) }))
        };
        replay::<ReadError>(format.as_ref(), &chantal_contract::NoProof, &mut open, &mut |step| {
            if let Step::Package(package, record) = step
                && matches(&package.key.name, &package.summary)
            {
                let files = package
                    .files
                    .iter()
                    .map(|want| FileRow { path: want.path.to_string(), size: want.expect.size })
                    .collect();
                found.push(keep(&package.key, &package.summary, files, record));
            }
            Ok(())
        })?;
    }
    let version = |row: &Row| Version(row.version.clone());
    found.sort_by(|a, b| {
        (&a.name, &a.architecture)
            .cmp(&(&b.name, &b.architecture))
            .then_with(|| format.compare(&version(b), &version(a)))
            .then_with(|| a.variant.cmp(&b.variant))
    });
    rows.append(&mut found);
    Ok(())
}

fn table(packages: Vec<Row>, context: &Context) -> anyhow::Result<()> {
    context.printer.show(&Listed { packages }, |listed| {
        if listed.packages.is_empty() {
            return String::new();
        }
        let rows: Vec<Vec<String>> = listed
            .packages
            .iter()
            .map(|row| {
                let bytes: u64 = row.files.iter().filter_map(|file| file.size).sum();
                let summary: String = row.summary.chars().take(60).collect();
                vec![
                    row.repository.clone(),
                    row.name.clone(),
                    row.version.clone(),
                    row.architecture.clone(),
                    if bytes > 0 { size(bytes) } else { "-".into() },
                    summary,
                ]
            })
            .collect();
        let headings = [
            ("repository", Left),
            ("package", Left),
            ("version", Left),
            ("architecture", Left),
            ("size", Right),
            ("summary", Left),
        ];
        context.printer.table(&headings, &rows)
    })
}

fn show(packages: Vec<Row>, context: &Context) -> anyhow::Result<()> {
    context.printer.show(&Listed { packages }, |listed| {
        let mut out = Vec::new();
        for row in &listed.packages {
            let mut text =
                format!("# {} {} {} in {}", row.name, row.version, row.architecture, row.repository);
            for file in &row.files {
                let weight = file.size.map_or_else(String::new, |bytes| format!("  {}", size(bytes)));
                text.extend(["\n# ", &file.path, &weight]);
            }
            let record = row.record.as_deref().unwrap_or_default();
            let lines: Vec<String> = record.trim_end().lines().map(printable).collect();
            out.push(format!("{text}\n{}\n", lines.join("\n")));
        }
        out.join("\n")
    })
}
