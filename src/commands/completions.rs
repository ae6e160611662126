//! `chantal completions`: what a shell needs to complete commands.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, ending::Ending, printer::print};

/// Print a shell's completions
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args) -> anyhow::Result<Ending> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "chantal", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(Ending::Done)
}
