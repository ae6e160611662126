//! `chantal audit`: the journal as the log of what was decided.

mod show;

use chantal_contract::Digest;
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
    Verify {
        /// Refuse a journal that does not hold this head, which an earlier `audit verify` printed: so a journal that was
        /// rewritten whole, or cut back, is found out
        #[arg(long, value_name = "HEAD")]
        since: Option<Digest>,
    },
    /// Show who exported, approved, imported and published what, and with which key; `--json` prints one object a line
    Show(show::Show),
}

#[derive(Serialize)]
struct Checked {
    entries: u64,
    bytes: u64,
    head: String,
    last: Option<String>,
    since: Option<u64>,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    match &args.verb {
        Verb::Verify { since } => verify(since.as_ref(), context),
        Verb::Show(show) => show::run(show, context),
    }
}

fn verify(since: Option<&Digest>, context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let report = store.journal().verify()?;
    let found = since.map(|head| store.journal().find(head)).transpose()?;
    let checked = Checked {
        entries: report.entries,
        bytes: report.bytes,
        head: report.head.hex(),
        last: report.last.map(|at| at.to_string()),
        since: found.flatten(),
    };
    context.printer.show(&checked, |checked| {
        let last = report.last.map_or_else(String::new, |at| format!(", the last of {}", time(at)));
        let entries = count(checked.entries, "entry");
        format!("the journal is whole: {entries} ({}){last}\nhead {}", size(checked.bytes), checked.head)
    })?;
    if let Some(head) = since {
        let Some(number) = found.flatten() else {
            super::printer::complain(&format!(
                "error: no entry has the head {head}: the journal was rewritten or cut back since\n\
                 hint: compare with a backup; `chantal db restore` joins what both still hold"
            ));
            return Ok(Ending::Refused);
        };
        context.printer.say(&format!("entry {number} is the one with that head"));
    }
    Ok(Ending::Done)
}
