//! `chantal completions`: what a shell needs to complete commands.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, context::Context, ending::Ending};

/// Print a shell's completions
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "chantal", &mut text);
    context.printer.text(&String::from_utf8_lossy(&text))?;
    Ok(Ending::Done)
}
