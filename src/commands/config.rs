//! `chantal config`: what the configuration says, and whether it can be read.

use clap::Subcommand;
use serde::Serialize;

use super::{context::Context, ending::Ending, key, printer::print, publish};
use crate::{
    config::{Config, ConfigError},
    formats,
    report::human::count,
};

/// Check, show or describe the configuration
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read it and every file that it names, and point at what is wrong
    Check,
    /// Print what is in force: includes merged, defaults filled in, `${NAME}` left as it is
    Show,
    /// Print the JSON schema
    Schema,
}

#[derive(Serialize)]
struct Checked {
    files: Vec<String>,
    repositories: usize,
    sites: usize,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    match args.verb {
        Verb::Check => {
            let config = context.config()?;
            key::look(&config)?;
            for repository in &config.repositories {
                if repository.has_upstream() {
                    formats::build(repository).map_err(ConfigError::from)?;
                }
                key::keyring(repository)?;
                for file in repository.secrets().filter(|_| repository.enabled) {
                    key::openable(repository, file)?;
                }
            }
            if config.storage.published.resolve().join(".trees").is_dir() {
                publish::warn_of_files(&config, context);
            }
            let checked = Checked {
                files: config.files.iter().map(|path| path.display().to_string()).collect(),
                repositories: config.repositories.len(),
                sites: config.sites.len(),
            };
            context.printer.show(&checked, |checked| {
                format!(
                    "{}: good ({}, {})",
                    checked.files.join(", "),
                    count(checked.repositories as u64, "repository"),
                    count(checked.sites as u64, "site"),
                )
            })?;
        }
        Verb::Show => {
            let config = context.config()?;
            if context.printer.is_json() {
                context.printer.show(&config, |_| String::new())?;
            } else {
                print(&config.show()?)?;
            }
        }
        Verb::Schema => print(&serde_json::to_string_pretty(&Config::schema())?)?,
    }
    Ok(Ending::Done)
}
