//! The one place that decides what goes to stdout (data) and what to stderr (talk).

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

use super::ending::{self, Failure, written};
use crate::report::{
    log::LogFormat,
    progress::talk,
    table::{Align, printable, table, terminal_width},
};

/// The version of what `--json` prints.
pub const JSON_VERSION: u32 = 1;

/// Whether something was printed as data: a command that fails after that adds no second object.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Whether talk is JSON, one object a line. It is the whole program's, as stderr is: a signal may speak, too.
static TALKS_JSON: AtomicBool = AtomicBool::new(false);

/// Prints data to stdout, as text or as JSON, and talk to stderr.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    json: bool,
    quiet: bool,
    width: Option<u16>,
}

impl Printer {
    /// Looks once at what stdout is.
    pub fn new(json: bool, quiet: bool) -> Self {
        let width = io::stdout().is_terminal().then(|| terminal_width().max(40));
        Self { json, quiet, width }
    }

    /// Tells whether JSON is asked for.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Prints data, which is a struct: as `{"version":1,…}`, or as the text that `text` makes of it.
    pub fn show<T: Serialize>(self, data: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        if !self.json {
            return print(&text(data));
        }
        let text = serde_json::to_string(data)?;
        let fields = text.strip_prefix('{').unwrap_or("}");
        let comma = if fields == "}" { "" } else { "," };
        print(&format!("{{\"version\":{JSON_VERSION}{comma}{fields}"))
    }

    /// Prints a failure as the command's one object, where JSON is asked for and nothing was printed.
    pub fn fail(self, failure: &Failure) {
        if self.json && !PRINTED.load(Ordering::Relaxed) {
            // the failure itself is the command's end; a closed stdout changes nothing about it
            let _ = self.show(failure, |_| String::new());
        }
    }

    /// Makes a table as wide as the terminal, or as wide as it takes in a pipe.
    pub fn table(self, headings: &[(&str, Align)], rows: &[Vec<String>]) -> String {
        table(headings, rows, self.width)
    }

    /// Prints a list: as JSON, or as a table of what `rows` makes of it; says `none` where it is empty.
    pub fn list<T: Serialize>(
        self,
        data: &T,
        headings: &[(&str, Align)],
        rows: impl FnOnce(&T) -> Vec<Vec<String>>,
        none: &str,
    ) -> anyhow::Result<()> {
        let rows = rows(data);
        self.show(data, |_| if rows.is_empty() { String::new() } else { self.table(headings, &rows) })?;
        if rows.is_empty() {
            self.say(none);
        }
        Ok(())
    }

    /// Says something to the person in front of it, unless `-q` is given.
    pub fn say(self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }
}

/// Sets how everything is said on stderr from now on.
pub fn speak(format: LogFormat) {
    TALKS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// Says something on stderr even if `-q` is given: as it stands, or as a JSON object for each of its parts.
pub fn complain(text: &str) {
    let said = if TALKS_JSON.load(Ordering::Relaxed) { talk(text) } else { plain(text) };
    tell(&said);
}

/// Says on stderr what failed, why, and what helps.
pub fn complain_of(error: &anyhow::Error) {
    tell(&if TALKS_JSON.load(Ordering::Relaxed) { ending::event(error) } else { ending::explain(error) });
}

fn plain(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

fn tell(lines: &str) {
    // a closed stderr is no reason to stop
    let _ = writeln!(io::stderr(), "{lines}");
}

/// Prints text as data; nothing where there is none.
pub fn print(text: &str) -> anyhow::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    PRINTED.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    written(
        out.write_all(text.as_bytes())
            .and_then(|()| out.write_all(end.as_bytes()))
            .and_then(|()| out.flush()),
    )
}

/// Opens stdout for data of which there may be much.
pub fn stream() -> impl Write {
    PRINTED.store(true, Ordering::Relaxed);
    io::BufWriter::with_capacity(1 << 16, io::stdout().lock())
}
