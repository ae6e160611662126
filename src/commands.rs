//! Room `commands`: one file per verb; the only room that prints.

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod audit;
mod bundle;
mod completions;
mod config;
mod context;
mod db;
mod ending;
mod export;
mod gc;
mod import;
mod init;
mod interrupt;
mod key;
mod man;
mod package;
mod printer;
mod prompt;
mod publish;
mod receipt;
pub mod reference;
mod repo;
mod rooms;
mod snapshot;
mod stats;
mod status;
#[cfg(feature = "collector")]
mod sync;
mod trust;
mod unpublish;
mod verify;

use context::{Context, Globals};
use ending::{Ending, Failure, Usage};
use printer::Printer;

use crate::report::log::LogFormat;

/// Carries package repositories across an air gap.
///
/// A collector mirrors APT, RPM and PyPI upstreams and writes signed, incremental bundles; a receiver proves every byte, imports,
/// and publishes repositories that stock clients use as if they were upstream.
#[derive(Debug, Parser)]
#[command(name = "chantal", version, propagate_version = true, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused by verification, 4 partly done"
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Args),
    Config(config::Args),
    #[cfg(feature = "collector")]
    Sync(sync::Args),
    Repo(repo::Args),
    Snapshot(snapshot::Args),
    Export(export::Args),
    Bundle(bundle::Args),
    Import(import::Args),
    Receipt(receipt::Args),
    Publish(publish::Args),
    Unpublish(unpublish::Args),
    Package(package::Args),
    Key(key::Args),
    Trust(trust::Args),
    Verify(verify::Args),
    Gc(gc::Args),
    Stats(stats::Args),
    Status(status::Args),
    Audit(audit::Args),
    Db(db::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Verb {
    fn run(self, context: &Context) -> anyhow::Result<Ending> {
        match self {
            Self::Init(args) => init::run(&args, context),
            Self::Config(args) => config::run(&args, context),
            #[cfg(feature = "collector")]
            Self::Sync(args) => sync::run(&args, context),
            Self::Repo(args) => repo::run(&args, context),
            Self::Snapshot(args) => snapshot::run(&args, context),
            Self::Export(args) => export::run(&args, context),
            Self::Bundle(args) => bundle::run(&args, context),
            Self::Import(args) => import::run(&args, context),
            Self::Receipt(args) => receipt::run(&args, context),
            Self::Publish(args) => publish::run(&args, context),
            Self::Unpublish(args) => unpublish::run(&args, context),
            Self::Package(args) => package::run(&args, context),
            Self::Key(args) => key::run(&args, context),
            Self::Trust(args) => trust::run(&args, context),
            Self::Verify(args) => verify::run(&args, context),
            Self::Gc(args) => gc::run(&args, context),
            Self::Stats(args) => stats::run(&args, context),
            Self::Status(args) => status::run(&args, context),
            Self::Audit(args) => audit::run(&args, context),
            Self::Db(args) => db::run(&args, context),
            Self::Completions(args) => completions::run(&args),
            Self::Man(args) => man::run(&args),
        }
    }
}

/// Runs the program: parses `arguments`, does what they say, returns the exit code of docs/design.md §9.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let format = written_format(&arguments);
    let parsed =
        Cli::command().try_get_matches_from(arguments).and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            return unread(&error, json, format);
        }
    };
    printer::speak(cli.globals.log_format);
    interrupt::announce();
    let context = Context::new(cli.globals);
    match cli.verb.run(&context) {
        Ok(ending) => ending.into(),
        Err(error) if ending::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            printer::complain_of(&error);
            context.printer.fail(&Failure::from(&error));
            ExitCode::from(ending::code(&error))
        }
    }
}

/// Finds how talk is wanted in arguments that are not read yet.
fn written_format(arguments: &[OsString]) -> LogFormat {
    let asked = |next: Option<&OsString>, argument: &OsString| {
        argument == "--log-format=json"
            || argument == "--log-format" && next.is_some_and(|next| next == "json")
    };
    let mut pairs = arguments.iter().enumerate();
    if pairs.any(|(n, argument)| asked(arguments.get(n + 1), argument)) {
        LogFormat::Json
    } else {
        LogFormat::Text
    }
}

/// Ends where the arguments are not understood, or ask for help or the version alone.
fn unread(error: &clap::Error, json: bool, format: LogFormat) -> ExitCode {
    if !error.use_stderr() {
        // help and version go to stdout and are no error; a closed stdout is none, either
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let usage = anyhow::Error::new(Usage::bare(text.trim().trim_start_matches("error: ")));
    printer::speak(format);
    match format {
        // in colours, where there is a terminal
        LogFormat::Text => drop(error.print()),
        LogFormat::Json => printer::complain_of(&usage),
    }
    Printer::new(json, false).fail(&Failure::from(&usage));
    ExitCode::from(2)
}
