//! The log: what the program does, for whoever looks into it; text or JSON lines on stderr.

use std::io::{self, Write};

use indicatif::MultiProgress;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, util::SubscriberInitExt};

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line, progress events among them.
    Json,
}

/// Begins to log to stderr, above the bars where there are some; `RUST_LOG` goes before `level`.
///
/// A second call changes nothing.
pub fn start(level: &str, format: LogFormat, bars: Option<MultiProgress>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Above { bars })
        .with_ansi(false)
        .with_target(false);
    // only a test sets a subscriber twice
    let _ = match format {
        LogFormat::Text => builder.without_time().finish().try_init(),
        LogFormat::Json => builder.json().finish().try_init(),
    };
}

#[derive(Clone)]
struct Above {
    bars: Option<MultiProgress>,
}

impl<'a> MakeWriter<'a> for Above {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.bars {
            Some(bars) => bars.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
