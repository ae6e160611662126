//! What every command works with.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context as _;
use jiff::Timestamp;

use super::printer::Printer;
use crate::{
    config::{Config, ConfigError},
    report::{
        Reporter,
        log::{self, LogFormat},
        progress::{Bars, Json, Lines, Verbosity},
    },
    store::{Lock, LockGuard, Store, StoreError},
};

/// Options that every command takes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The configuration; else `./chantal.yaml`, `~/.config/chantal/chantal.yaml`, `/etc/chantal/chantal.yaml`
    #[arg(long, global = true, value_name = "FILE", env = "CHANTAL_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Print data as JSON: `{"version":1,…}`
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice for what every request does
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How log and progress are written to stderr
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// What every command works with: options, printer, reporter, and the time at which it began.
pub struct Context {
    /// The options.
    pub globals: Globals,
    /// Prints.
    pub printer: Printer,
    /// Takes what rooms tell.
    pub reporter: Arc<dyn Reporter>,
    /// When the command began.
    pub now: Timestamp,
}

impl Context {
    /// Sets up printer, reporter and log.
    pub fn new(globals: Globals) -> Self {
        let verbosity = match (globals.quiet, globals.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
        };
        let mut drawing = None;
        let reporter: Arc<dyn Reporter> = match globals.log_format {
            LogFormat::Json => Arc::new(Json::new(io::stderr(), verbosity)),
            LogFormat::Text if verbosity == Verbosity::Normal && io::stderr().is_terminal() => {
                let bars = Bars::new();
                drawing = Some(bars.drawing());
                Arc::new(bars)
            }
            LogFormat::Text => Arc::new(Lines::new(io::stderr(), verbosity)),
        };
        let level = match globals.verbose {
            0 if globals.quiet => "error",
            0 => "warn",
            1 => "chantal=info,warn",
            2 => "chantal=debug,info",
            _ => "trace",
        };
        log::start(level, globals.log_format, drawing);
        let printer = Printer::new(globals.json, globals.quiet);
        Self { globals, printer, reporter, now: Timestamp::now() }
    }

    /// Reads the configuration.
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::load(&Config::find(self.globals.config.as_deref())?)
    }

    /// Reads the configuration and opens the store that it names.
    pub fn open(&self) -> anyhow::Result<(Config, Store)> {
        let config = self.config()?;
        let store = Store::open(&config.storage.root.resolve()).context("cannot open the store")?;
        if *store.site() != config.site {
            return Err(super::ending::Usage::new(
                format!(
                    "the store belongs to the site `{}`, the configuration is of `{}`",
                    store.site(),
                    config.site
                ),
                "set `site` or `storage: { root: … }` right",
            )
            .into());
        }
        Ok((config, store))
    }
}

/// Takes the lock of what reads or adds.
pub fn share(store: &Store) -> Result<LockGuard, StoreError> {
    store.lock(Lock::Shared)
}
