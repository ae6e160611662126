//! `chantal bundle spread`: a bundle onto several media.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    commands::{context::Context, ending::Ending},
    config::Size,
    report::{
        human::size,
        table::Align::{Left, Right},
    },
    transfer::{self, AfterWrite, Onto, Spread, SpreadRequest},
};

/// What is spread, and where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle's directory, with all its files
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
    /// A directory on a mounted medium; repeatable, they are filled as far as each has room
    #[arg(long, value_name = "MEDIUM", required_unless_present = "out", conflicts_with_all = ["out", "medium_size"])]
    onto: Vec<PathBuf>,
    /// Make directories `medium-01`, `medium-02` … in this one instead, to burn a disc from each
    #[arg(long, value_name = "DIR", requires = "medium_size")]
    out: Option<PathBuf>,
    /// The most bytes that one of these takes, such as `25GB`
    #[arg(long, value_name = "SIZE", requires = "out")]
    medium_size: Option<Size>,
    /// Read the written files back from each medium, past the memory of this machine, and compare
    #[arg(long, conflicts_with = "dry_run")]
    verify_after_write: bool,
    /// Say which file would go where, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Shown {
    bundle: String,
    dry_run: bool,
    media: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    path: String,
    files: Vec<String>,
    bytes: u64,
    /// Whether parity makes up for its loss, if all others arrive.
    spare: bool,
    /// Whether an earlier run had put it there.
    before: bool,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let onto = match (&args.out, args.medium_size) {
        (Some(out), Some(size)) => Onto::Made { out, size: size.bytes() },
        _ => Onto::Media(&args.onto),
    };
    let after_write = if args.verify_after_write { AfterWrite::ReadBack } else { AfterWrite::Trust };
    let request = SpreadRequest { bundle: &args.bundle, onto, after_write };
    let spread = if args.dry_run {
        transfer::plan_spread(&store, &request)?
    } else {
        transfer::spread(&store, &request, context.reporter.as_ref())?
    };
    tell(&spread, args, context)?;
    Ok(Ending::Done)
}

fn tell(spread: &Spread, args: &Args, context: &Context) -> anyhow::Result<()> {
    let media = spread.shares.iter().map(|share| Row {
        path: share.path.display().to_string(),
        files: share.files.clone(),
        bytes: share.bytes,
        spare: share.spare,
        before: share.before,
    });
    let shown = Shown { bundle: spread.bundle.to_string(), dry_run: args.dry_run, media: media.collect() };
    let headings = [("medium", Left), ("bytes", Right), ("volumes and parity", Left)];
    let rows = |shown: &Shown| {
        let row = |row: &Row| vec![row.path.clone(), size(row.bytes), files(&row.files)];
        shown.media.iter().map(row).collect()
    };
    context.printer.list(&shown, &headings, rows, "")?;
    for share in spread.shares.iter().filter(|share| share.before) {
        context.printer.say(&format!("{} was there, and is what was signed", share.path.display()));
    }
    let noun = if spread.shares.len() == 1 { "medium" } else { "media" };
    context.printer.say(&format!("{} on {} {noun}: {}", spread.bundle, spread.shares.len(), losable(spread)));
    if args.verify_after_write {
        context.printer.say("every file was read back from its medium and is what was written");
    }
    Ok(())
}

/// Says which of the media may be lost.
fn losable(spread: &Spread) -> String {
    let needed: Vec<String> = spread
        .shares
        .iter()
        .filter(|share| !share.spare)
        .map(|share| share.path.display().to_string())
        .collect();
    match (needed.as_slice(), spread.shares.len()) {
        (_, 1) => "all of it lies on one".into(),
        ([], _) => "parity makes up for the loss of any one of them".into(),
        _ if !spread.parity => "every one is needed, as there is no parity".into(),
        (some, all) if some.len() == all => {
            "every one is needed: there is too little parity for a whole medium".into()
        }
        (some, _) => format!("parity makes up for the loss of any one but {}", some.join(", ")),
    }
}

/// Names files in short: runs of consecutive numbers as first and last.
fn files(names: &[String]) -> String {
    let part = |name: &String| {
        let (stem, rest) = name.split_once('-')?;
        let number: u32 = rest.get(..4)?.parse().ok()?;
        Some((stem.to_owned(), number))
    };
    let mut runs: Vec<(String, u32, u32)> = Vec::new();
    let mut sorted: Vec<(String, u32)> = names.iter().filter_map(part).collect();
    sorted.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (stem, number) in sorted {
        match runs.last_mut() {
            Some((same, _, last)) if *same == stem && *last + 1 == number => *last = number,
            _ => runs.push((stem, number, number)),
        }
    }
    let run = |(stem, first, last): &(String, u32, u32)| {
        if first == last { format!("{stem}-{first:04}") } else { format!("{stem}-{first:04} to {last:04}") }
    };
    if runs.is_empty() { "-".into() } else { runs.iter().map(run).collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use super::files;

    #[test]
    fn runs_of_files_are_named_by_their_ends() {
        let names = [
            "volume-0001.tar.zst",
            "volume-0002.tar.zst",
            "volume-0004.tar.zst",
            "parity-0001",
            "parity-0002",
        ];
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        assert_eq!(files(&names), "volume-0001 to 0002, volume-0004, parity-0001 to 0002");
        assert_eq!(files(&names[3..4]), "parity-0001");
        assert_eq!(files(&[]), "-");
    }
}
