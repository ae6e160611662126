//! `chantal unpublish`: takes a published tree away.

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

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    publish::with(&config, &store, context, |publisher| {
        if args.dry_run {
            let found = publisher
                .list()?
                .into_iter()
                .find(|listing| listing.target == args.name || listing.address.to_string() == args.name);
            match found {
                Some(listing) => context.printer.say(&format!("would take {} away", listing.target)),
                None => context.printer.say(&format!("`{}` is not published", args.name)),
            }
            return Ok(Ending::Done);
        }
        let target = publisher.unpublish(&args.name)?;
        context.printer.say(&format!("{target} is taken away"));
        Ok(Ending::Done)
    })
}
