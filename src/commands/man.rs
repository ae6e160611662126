//! `chantal man`: the manual pages.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{ending::Ending, printer::print, reference};

/// Print the manual page, or write one page per command into a directory
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write `chantal.1`, `chantal-sync.1` and so on here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<Ending> {
    let pages = reference::man_pages()?;
    match &args.out {
        None => {
            if let Some((_, page)) = pages.first() {
                print(page)?;
            }
        }
        Some(directory) => {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make `{}`", directory.display()))?;
            for (name, page) in &pages {
                let path = directory.join(name);
                std::fs::write(&path, page).with_context(|| format!("cannot write `{}`", path.display()))?;
            }
        }
    }
    Ok(Ending::Done)
}
