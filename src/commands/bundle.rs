//! `chantal bundle`: looks at bundles, proves them, lists what was carried.

mod inspect;
mod list;
mod review;
mod spread;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::{
    context::Context,
    ending::{self, Ending},
};
use crate::transfer::TransferError;

pub use verify::DamageRow;

/// Look at bundles, prove them, list what was carried
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check the signatures and show what a bundle is, for whom, who signed and approved it, and what it carries
    ///
    /// What lies on several media is put together.
    Inspect {
        /// Bundle directories, or media that hold some
        #[arg(value_name = "DIR", required = true)]
        paths: Vec<PathBuf>,
    },
    /// Prove every byte that is at hand, and change nothing
    ///
    /// What lies on several media is put together, so that all of them given at once tell whether parity makes up for what is
    /// damaged or lost. Exit code 3: something is not what was signed; 4: something is not at hand, or would have to be repaired.
    Verify {
        /// Bundle directories, or media that hold some
        #[arg(value_name = "DIR", required = true)]
        paths: Vec<PathBuf>,
    },
    /// Show what differs between what two bundles bring, by what they say of themselves
    ///
    /// Of each repository the newest states are compared. Nothing but the two signed indexes is read.
    Diff {
        /// A bundle's directory
        #[arg(value_name = "A")]
        old: PathBuf,
        /// Another one's
        #[arg(value_name = "B")]
        new: PathBuf,
        /// Write the same as a page, too
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Look at what a bundle changes and sign that it may be imported
    ///
    /// Signatures are checked and the review is made anew from the signed index; a bundle whose page says something else is
    /// refused. Then it asks, and adds `signatures/approver-….sig`. How many approvals an import asks for, the collector's trust
    /// document says.
    Approve {
        /// The bundle's directory, or a medium that holds no other
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Approve without asking; for scripts, after the page was read
        #[arg(long)]
        yes: bool,
        /// The private key that signs; the site's own when left out
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Write the signature here, as for a medium that is read-only; the import takes it beside the bundle
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Draw the page that shows what the bundle changes, from the signed index, into this file
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Copy a bundle onto several media, the small files onto each
    ///
    /// Each volume and parity file goes onto one medium, and everything is held against the signed manifest as it is read. A medium
    /// has the bundle's directory under its name once all of its share is there; run again, the command does what is left to do.
    Spread(spread::Args),
    /// List the bundles that were exported or imported here, and those that wait for volumes
    List,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    match &args.verb {
        Verb::Inspect { paths } => inspect::run(paths, context),
        Verb::Verify { paths } => verify::run(paths, context),
        Verb::Diff { old, new, html } => review::diff(old, new, html.as_ref(), context),
        Verb::Approve { dir, yes, key, out, html } => {
            let (key, out, html) = (key.as_deref(), out.as_deref(), html.as_deref());
            review::approve(&review::Wish { dir, yes: *yes, key, out, html }, context)
        }
        Verb::Spread(args) => spread::run(args, context),
        Verb::List => list::run(context),
    }
}

/// A bundle that is not believed, or cannot be read.
#[derive(Serialize)]
struct Failed {
    /// Its name, as far as that is known.
    bundle: Option<String>,
    error: String,
}

/// What cannot be shown of some bundles, while others can: said when those were.
#[derive(Default)]
struct Failures(Vec<anyhow::Error>);

impl Failures {
    /// Keeps a failure, and returns what is printed of it.
    fn keep(&mut self, error: TransferError) -> Failed {
        let bundle = error.bundle();
        let error = anyhow::Error::new(error);
        let failed = Failed { bundle, error: ending::line(&error) };
        self.0.push(error);
        failed
    }

    /// Ends the command with the worst of all.
    fn end(self, ending: Ending) -> anyhow::Result<Ending> {
        ending::together(self.0, ending)
    }
}

fn say_notes(bundle: &str, notes: &[String], context: &Context) {
    for note in notes {
        context.printer.say(&format!("note: {bundle}: {note}"));
    }
}
