//! `chantal unpublish`: takes a published tree away.

use serde::Serialize;

use super::{context::Context, ending::Ending, publish};

/// Take a published tree away; the snapshot stays
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `chantal publish list` shows: a repository, `REPO@NAME`, or the tree's path
    #[arg(value_name = "NAME")]
    name: String,
    /// Say what would be taken away, and touch nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Unpublished {
    address: String,
    target: String,
    outcome: &'static str,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    publish::with(&config, &store, context, |publisher| {
        let found = publisher.find(&args.name)?;
        let address = found.address().to_string();
        let (target, outcome) = if args.dry_run {
            context.printer.say(&format!("would take {} away", found.target));
            (found.target, "planned")
        } else {
            let target = publisher.unpublish(&found.target)?;
            context.printer.say(&format!("{target} is taken away"));
            (target, "removed")
        };
        if context.printer.is_json() {
            context.printer.show(&Unpublished { address, target, outcome }, |_| String::new())?;
        }
        Ok(Ending::Done)
    })
}
