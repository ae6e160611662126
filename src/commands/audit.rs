//! `chantal audit`: the journal as the log of what was decided.

use clap::Subcommand;
use serde::Serialize;

use super::{context::Context, ending::Ending};
use crate::report::human::{count, size, time};

/// Look into the journal of what was decided
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check the journal's chain of digests from its first line to its last
    Verify,
}

#[derive(Serialize)]
struct Checked {
    entries: u64,
    bytes: u64,
    head: String,
    last: Option<String>,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let Verb::Verify = args.verb;
    let (_, store) = context.open()?;
    let report = store.journal().verify()?;
    let checked = Checked {
        entries: report.entries,
        bytes: report.bytes,
        head: report.head.hex(),
        last: report.last.map(|at| at.to_string()),
    };
    context.printer.show(&checked, |checked| {
        let last = report.last.map_or_else(String::new, |at| format!(", the last of {}", time(at)));
        let entries = count(checked.entries, "entry");
        format!("the journal is whole: {entries} ({}){last}\nhead {}", size(checked.bytes), checked.head)
    })?;
    Ok(Ending::Done)
}
