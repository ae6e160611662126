//! `chantal verify`: proves that the store holds what it says.

use serde::Serialize;

use super::{
    context::{Context, share},
    ending::Ending,
    printer::complain,
};
use crate::{
    report::human::{count, size},
    store::{Depth, Problem, Subject, VerifyReport},
};

/// Prove that the store holds what it says
///
/// Every manifest is read and named rightly, every file that a state needs is there with its size; `--full` hashes every blob anew,
/// and sets damaged ones aside.
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
    let (_, store) = context.open()?;
    let _shared = share(&store)?;
    let depth = if args.full { Depth::Full } else { Depth::Quick };
    let report = store.verify(depth, context.reporter.as_ref())?;
    tell(&report, context)
}

/// Shows what a verification found: exit code 3 where something is wrong.
pub fn tell(report: &VerifyReport, context: &Context) -> anyhow::Result<Ending> {
    let verified = Verified {
        good: report.is_good(),
        entries: report.entries,
        manifests: report.manifests,
        blobs: report.blobs,
        bytes: report.bytes,
        records: report.records,
        problems: report.problems.iter().map(Row::from).collect(),
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
        let verdict =
            if verified.good { "good".into() } else { count(verified.problems.len() as u64, "problem") };
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
    if verified.good {
        return Ok(Ending::Done);
    }
    if verified.problems.iter().any(|problem| !problem.needed_by.is_empty()) {
        complain(
            "hint: a `chantal sync` of these repositories, or a bundle that was exported with `--since none`, brings back what is missing",
        );
    }
    Ok(Ending::Refused)
}
