//! `chantal verify`: proves that the store holds what it says.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    context::{Context, share},
    ending::Ending,
    printer::complain,
    publish,
};
use crate::{
    publish::Standing,
    report::human::{count, size},
    store::{Depth, Origin, Problem, Store, Subject, VerifyReport},
};

/// Prove that the store holds what it says
///
/// Every manifest is read and named rightly, every file that a state needs is there with its size; `--full` hashes every blob anew,
/// and sets damaged ones aside. Published trees that serve damaged files are named.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hash every blob anew
    #[arg(long)]
    full: bool,
}

#[derive(Serialize)]
struct Verified {
    good: bool,
    entries: u64,
    manifests: u64,
    blobs: u64,
    bytes: u64,
    records: u64,
    problems: Vec<Row>,
    trees: Vec<Tree>,
}

/// A published tree that serves damaged files.
#[derive(Serialize)]
pub struct Tree {
    target: String,
    address: String,
    damaged_files: u64,
}

#[derive(Serialize)]
struct Row {
    what: String,
    why: String,
    needed_by: Vec<String>,
    set_aside: Option<String>,
}

impl From<&Problem> for Row {
    fn from(problem: &Problem) -> Self {
        Self {
            what: subject(&problem.what),
            why: problem.why.clone(),
            needed_by: problem.needed_by.iter().map(ToString::to_string).collect(),
            set_aside: problem.aside.as_ref().map(|path| path.display().to_string()),
        }
    }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Journal => "the journal".into(),
        Subject::Catalog => "the catalog".into(),
        Subject::Pack => "a pack".into(),
        Subject::Object(what, digest) => format!("{what} {digest}"),
        Subject::Stray => "a stray file".into(),
    }
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let _shared = share(&store)?;
    let depth = if args.full { Depth::Full } else { Depth::Quick };
    let report = store.verify(depth, context.reporter.as_ref())?;
    let listed = publish::with(&config, &store, context, |publisher| Ok(publisher.list()?))?;
    let trees = listed.into_iter().filter_map(|listing| match listing.standing {
        Standing::Damaged { files } => {
            let (address, target) = (listing.address.to_string(), listing.target);
            Some(Tree { target, address, damaged_files: files })
        }
        _ => None,
    });
    tell(&report, trees.collect(), &store, context)
}

/// Says how what is missing comes back: from upstream what was synced here, by a receipt what was imported.
fn brings_back(problems: &[Problem], store: &Store) -> anyhow::Result<Option<String>> {
    let (mut synced, mut imported) = (BTreeSet::new(), BTreeSet::new());
    for address in problems.iter().flat_map(|problem| &problem.needed_by) {
        match store.catalog().newest(&address.repository)?.map(|newest| newest.origin) {
            Some(Origin::Imported { from }) => imported.insert(from.to_string()),
            _ => synced.insert(address.repository.to_string()),
        };
    }
    let mut ways = Vec::new();
    if !synced.is_empty() {
        let names: Vec<String> = synced.into_iter().collect();
        ways.push(format!("`chantal sync {}` brings back what upstream still has", names.join(" ")));
    }
    for from in &imported {
        ways.push(format!(
            "`chantal receipt create --collector {from} --out FILE` lists what is missing, and on `{from}` \
             `chantal export --to {} --missing FILE --out DIR` carries just that",
            store.site()
        ));
    }
    if !imported.is_empty() {
        ways.push("importing the bundle that brought it once more does, too".into());
    }
    Ok((!ways.is_empty()).then(|| ways.join("; ")))
}

/// Shows what a verification found: exit code 3 where something is wrong.
pub fn tell(
    report: &VerifyReport,
    trees: Vec<Tree>,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Ending> {
    let verified = Verified {
        good: report.is_good() && trees.is_empty(),
        entries: report.entries,
        manifests: report.manifests,
        blobs: report.blobs,
        bytes: report.bytes,
        records: report.records,
        problems: report.problems.iter().map(Row::from).collect(),
        trees,
    };
    context.printer.show(&verified, |verified| {
        let looked: Vec<String> = [
            (verified.entries, count(verified.entries, "journal entry")),
            (verified.manifests, count(verified.manifests, "manifest")),
            (verified.blobs, format!("{} ({})", count(verified.blobs, "blob"), size(verified.bytes))),
            (verified.records, count(verified.records, "record")),
        ]
        .into_iter()
        .filter_map(|(number, text)| (number > 0).then_some(text))
        .collect();
        let verdict = if verified.good {
            "good".into()
        } else {
            count((verified.problems.len() + verified.trees.len()) as u64, "problem")
        };
        format!("{verdict}: {}", looked.join(", "))
    })?;
    for problem in &verified.problems {
        let needed = match problem.needed_by.as_slice() {
            [] => String::new(),
            names => format!("; needed by {}", names.join(", ")),
        };
        let aside =
            problem.set_aside.as_ref().map_or_else(String::new, |path| format!("; set aside as `{path}`"));
        complain(&format!("error: {}: {}{needed}{aside}", problem.what, problem.why));
    }
    for tree in &verified.trees {
        let files = count(tree.damaged_files, "damaged file");
        complain(&format!("error: the published tree `{}` serves {files}", tree.target));
    }
    if verified.good {
        return Ok(Ending::Done);
    }
    if let Some(hint) = brings_back(&report.problems, store)? {
        complain(&format!("hint: {hint}"));
    }
    if !verified.trees.is_empty() {
        let trees: Vec<&str> = verified.trees.iter().map(|tree| tree.address.as_str()).collect();
        complain(&format!(
            "hint: once the store has them whole again, `chantal publish {}` replaces the damaged files",
            trees.join(" ")
        ));
    }
    Ok(Ending::Refused)
}
