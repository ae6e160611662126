//! Reporters: bars on a terminal, lines elsewhere, events as JSON.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{
    Event, Reporter,
    human::{count, size, span},
    table::printable,
};

/// The version of the JSON events.
pub const EVENT_VERSION: u32 = 1;

/// How often a piece of work tells how far it is, where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows bars: bytes, rate, time left, and what is being worked at.
pub struct Bars {
    all: MultiProgress,
    bars: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Bars {
    /// Draws on the terminal that stderr is.
    pub fn new() -> Self {
        Self {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            bars: Mutex::new(BTreeMap::new()),
        }
    }

    /// Returns what draws the bars, so that other lines can be written above them.
    pub fn drawing(&self) -> MultiProgress {
        self.all.clone()
    }

    fn bar(&self, task: &str, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = unpoisoned(&self.bars).get(task) {
            act(bar);
        }
    }

    fn say(&self, word: &str, subject: &str, text: &str) {
        // a terminal that went away is no reason to stop
        let _ = self.all.println(format!("{word}: {}: {}", printable(subject), printable(text)));
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

fn style(known: bool) -> ProgressStyle {
    let template = if known {
        "{prefix} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}"
    } else {
        "{prefix} {spinner} {bytes} {bytes_per_sec} {wide_msg}"
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Reporter for Bars {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Begin { task, bytes, .. } => {
                let bar = ProgressBar::no_length().with_style(style(bytes.is_some()));
                if let Some(bytes) = bytes {
                    bar.set_length(bytes);
                }
                let bar = self.all.add(bar).with_prefix(task.to_owned());
                bar.enable_steady_tick(Duration::from_millis(200));
                unpoisoned(&self.bars).insert(task.to_owned(), bar);
            }
            Event::Size { task, bytes, .. } => self.bar(task, |bar| {
                bar.set_style(style(true));
                bar.set_length(bytes);
            }),
            Event::Item { task, name } => self.bar(task, |bar| bar.set_message(printable(name))),
            Event::Bytes { task, delta } => self.bar(task, |bar| {
                if delta >= 0 {
                    bar.inc(delta.unsigned_abs());
                } else {
                    bar.dec(delta.unsigned_abs());
                }
            }),
            Event::Done { .. } => {}
            Event::Note { subject, text } => self.say("note", subject, text),
            Event::Warning { subject, text } => self.say("warning", subject, text),
            Event::End { task } => {
                if let Some(bar) = unpoisoned(&self.bars).remove(task) {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Ended,
}

#[derive(Debug)]
struct Work {
    began: Instant,
    told: Instant,
    items: (u64, Option<u64>),
    bytes: (u64, Option<u64>),
}

impl Work {
    fn new(items: Option<u64>, bytes: Option<u64>) -> Self {
        let now = Instant::now();
        Self { began: now, told: now, items: (0, items), bytes: (0, bytes) }
    }

    /// Says how far it is: `3 of 10 items, 12.0 MB of 46.1 MB, 4.0 MB/s`, and while it runs `9 s left`.
    fn state(&self, took: Duration, stage: Stage) -> String {
        let (items, of_items) = self.items;
        let (bytes, of_bytes) = self.bytes;
        let mut parts = Vec::new();
        match of_items {
            Some(all) if all > 0 => parts.push(format!("{items} of {}", count(all, "item"))),
            _ if items > 0 => parts.push(count(items, "item")),
            _ => {}
        }
        match of_bytes {
            Some(all) if all > 0 => parts.push(format!("{} of {}", size(bytes), size(all))),
            _ if bytes > 0 => parts.push(size(bytes)),
            _ => {}
        }
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if let Some(rate) = bytes.saturating_mul(1000).checked_div(millis).filter(|rate| *rate > 0) {
            parts.push(format!("{}/s", size(rate)));
            if let Some(left) = of_bytes.and_then(|all| all.checked_sub(bytes)).filter(|left| *left > 0)
                && stage == Stage::Running
            {
                parts.push(format!("{} left", span(Duration::from_secs(left / rate))));
            }
        }
        parts.join(", ")
    }
}

/// What is worth a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// Beginning, end, every ten seconds in between, and notes.
    Normal,
    /// Every item, too.
    Verbose,
}

/// Writes lines.
pub struct Lines<W> {
    to: Mutex<(W, BTreeMap<String, Work>)>,
    verbosity: Verbosity,
}

impl<W: Write + Send> Lines<W> {
    /// Writes to `to`.
    pub fn new(to: W, verbosity: Verbosity) -> Self {
        Self { to: Mutex::new((to, BTreeMap::new())), verbosity }
    }
}

impl<W: Write + Send> Reporter for Lines<W> {
    fn event(&self, event: Event<'_>) {
        let mut guard = unpoisoned(&self.to);
        let (to, works) = &mut *guard;
        let mut line = |least: Verbosity, text: String| {
            if self.verbosity >= least {
                // a closed stderr is no reason to stop
                let _ = writeln!(to, "{}", printable(&text));
            }
        };
        match event {
            Event::Begin { task, items, bytes } => {
                works.insert(task.to_owned(), Work::new(items, bytes));
                line(Verbosity::Verbose, format!("{task}: begins"));
            }
            Event::Size { task, items, bytes } => {
                if let Some(work) = works.get_mut(task) {
                    (work.items.1, work.bytes.1) = (Some(items), Some(bytes));
                    if items > 0 {
                        line(Verbosity::Normal, format!("{task}: {}, {}", count(items, "item"), size(bytes)));
                    }
                }
            }
            Event::Item { task, name } => line(Verbosity::Verbose, format!("{task}: {name}")),
            Event::Bytes { task, delta } => {
                if let Some(work) = works.get_mut(task) {
                    work.bytes.0 = work.bytes.0.saturating_add_signed(delta);
                    if work.told.elapsed() >= EVERY {
                        work.told = Instant::now();
                        line(
                            Verbosity::Normal,
                            format!("{task}: {}", work.state(work.began.elapsed(), Stage::Running)),
                        );
                    }
                }
            }
            Event::Done { task, items } => {
                if let Some(work) = works.get_mut(task) {
                    work.items.0 += items;
                }
            }
            Event::Note { subject, text } => line(Verbosity::Normal, format!("note: {subject}: {text}")),
            Event::Warning { subject, text } => line(Verbosity::Quiet, format!("warning: {subject}: {text}")),
            Event::End { task } => {
                if let Some(work) = works.remove(task) {
                    let took = work.began.elapsed();
                    let state = work.state(took, Stage::Ended);
                    if !state.is_empty() {
                        line(Verbosity::Normal, format!("{task}: {state} in {}", span(took)));
                    }
                }
            }
        }
    }
}

/// Writes one JSON object a line: `{"version":1,"event":"begin","task":"sync bookworm",…}`.
pub struct Json<W> {
    to: Mutex<(W, BTreeMap<String, Work>)>,
    verbosity: Verbosity,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Said<'a> {
    Begin {
        task: &'a str,
        items: Option<u64>,
        bytes: Option<u64>,
    },
    Size {
        task: &'a str,
        items: u64,
        bytes: u64,
    },
    Item {
        task: &'a str,
        name: &'a str,
    },
    Progress {
        task: &'a str,
        items: u64,
        bytes: u64,
    },
    Note {
        level: Level,
        message: String,
        subject: &'a str,
        text: &'a str,
    },
    Warning {
        level: Level,
        message: String,
        subject: &'a str,
        text: &'a str,
    },
    #[serde(rename = "said")]
    Words {
        level: Level,
        message: String,
    },
    End {
        task: &'a str,
        items: u64,
        bytes: u64,
        seconds: f64,
    },
}

/// How much something said matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// To be known.
    Info,
    /// What helps.
    Hint,
    /// To be acted on.
    Warning,
    /// It failed.
    Error,
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    #[serde(flatten)]
    said: Said<'a>,
}

impl Line<'_> {
    fn json(said: Said<'_>) -> Option<String> {
        serde_json::to_string(&Line { version: EVENT_VERSION, said }).ok()
    }
}

/// Writes what is said in words as events, one a line: every line of `text` that begins with `error: `, `warning: `, `hint: ` or
/// `note: ` begins one of that level.
pub fn talk(text: &str) -> String {
    let mut parts: Vec<(Level, String)> = Vec::new();
    for line in text.lines() {
        let marks = [
            ("error: ", Level::Error),
            ("warning: ", Level::Warning),
            ("hint: ", Level::Hint),
            ("note: ", Level::Info),
        ];
        let marked = marks.into_iter().find_map(|(mark, level)| Some((level, line.strip_prefix(mark)?)));
        match (marked, parts.last_mut()) {
            (Some((level, rest)), _) => parts.push((level, rest.to_owned())),
            (None, Some((_, message))) => message.extend(["\n", line]),
            (None, None) => parts.push((Level::Info, line.to_owned())),
        }
    }
    let events = parts.into_iter().filter_map(|(level, message)| Line::json(Said::Words { level, message }));
    events.collect::<Vec<_>>().join("\n")
}

impl<W: Write + Send> Json<W> {
    /// Writes to `to`.
    pub fn new(to: W, verbosity: Verbosity) -> Self {
        Self { to: Mutex::new((to, BTreeMap::new())), verbosity }
    }
}

impl<W: Write + Send> Reporter for Json<W> {
    fn event(&self, event: Event<'_>) {
        let mut guard = unpoisoned(&self.to);
        let (to, works) = &mut *guard;
        let mut write = |least: Verbosity, said: Said<'_>| {
            if self.verbosity >= least
                && let Some(text) = Line::json(said)
            {
                // a closed stderr is no reason to stop
                let _ = writeln!(to, "{text}");
            }
        };
        match event {
            Event::Begin { task, items, bytes } => {
                works.insert(task.to_owned(), Work::new(items, bytes));
                write(Verbosity::Normal, Said::Begin { task, items, bytes });
            }
            Event::Size { task, items, bytes } => write(Verbosity::Normal, Said::Size { task, items, bytes }),
            Event::Item { task, name } => write(Verbosity::Normal, Said::Item { task, name }),
            Event::Bytes { task, delta } => {
                if let Some(work) = works.get_mut(task) {
                    work.bytes.0 = work.bytes.0.saturating_add_signed(delta);
                    if work.told.elapsed() >= Duration::from_secs(1) {
                        work.told = Instant::now();
                        let (items, bytes) = (work.items.0, work.bytes.0);
                        write(Verbosity::Normal, Said::Progress { task, items, bytes });
                    }
                }
            }
            Event::Done { task, items } => {
                if let Some(work) = works.get_mut(task) {
                    work.items.0 += items;
                }
            }
            Event::Note { subject, text } => {
                let message = format!("{subject}: {text}");
                write(Verbosity::Normal, Said::Note { level: Level::Info, message, subject, text });
            }
            Event::Warning { subject, text } => {
                let message = format!("{subject}: {text}");
                write(Verbosity::Quiet, Said::Warning { level: Level::Warning, message, subject, text });
            }
            Event::End { task } => {
                if let Some(work) = works.remove(task) {
                    let seconds = work.began.elapsed().as_secs_f64();
                    let (items, bytes) = (work.items.0, work.bytes.0);
                    write(Verbosity::Normal, Said::End { task, items, bytes, seconds });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reporter: &dyn Reporter) {
        for event in [
            Event::Begin { task: "sync a", items: None, bytes: None },
            Event::Size { task: "sync a", items: 2, bytes: 3000 },
            Event::Item { task: "sync a", name: "evil\x1b[2J\"name" },
            Event::Bytes { task: "sync a", delta: 4000 },
            Event::Bytes { task: "sync a", delta: -1000 },
            Event::Done { task: "sync a", items: 2 },
            Event::Warning { subject: "a", text: "signatures are not looked at" },
            Event::Bytes { task: "unknown", delta: 1 },
            Event::End { task: "sync a" },
            Event::End { task: "sync a" },
        ] {
            reporter.event(event);
        }
    }

    #[test]
    fn lines_say_size_warning_and_end() {
        let mut out = Vec::new();
        told(&Lines::new(&mut out, Verbosity::Normal));
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("sync a: 2 items, 3.0 kB\nwarning: a: signatures are not looked at\n"),
            "{text}"
        );
        assert!(text.contains("sync a: 2 of 2 items, 3.0 kB of 3.0 kB"), "{text}");
        assert!(text.ends_with("in less than a second\n"), "{text}");

        let mut out = Vec::new();
        told(&Lines::new(&mut out, Verbosity::Quiet));
        assert_eq!(String::from_utf8(out).unwrap(), "warning: a: signatures are not looked at\n");

        let mut out = Vec::new();
        told(&Lines::new(&mut out, Verbosity::Verbose));
        assert!(String::from_utf8(out).unwrap().contains("evil\\u{1b}[2J"));
    }

    #[test]
    fn events_are_versioned_json() {
        let mut out = Vec::new();
        told(&Json::new(&mut out, Verbosity::Normal));
        let lines: Vec<serde_json::Value> =
            String::from_utf8(out).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert!(lines.iter().all(|line| line["version"] == 1));
        let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["begin", "size", "item", "warning", "end"]);
        assert_eq!(lines[4]["bytes"], 3000);
        assert_eq!(lines[4]["items"], 2);
    }

    #[test]
    fn words_are_events_of_their_level() {
        let text = "error: no head\nit was cut\nhint: compare\x1b[2J\nwarning: a";
        let lines: Vec<serde_json::Value> =
            talk(text).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said = |level: &str, message: &str| serde_json::json!({ "version": 1, "event": "said", "level": level, "message": message });
        let expected =
            [said("error", "no head\nit was cut"), said("hint", "compare\u{1b}[2J"), said("warning", "a")];
        assert_eq!(lines, expected);
        assert!(talk("two\nlines").contains("\"level\":\"info\",\"message\":\"two\\nlines\""));
    }

    #[test]
    fn bars_take_every_event() {
        told(&Bars::new());
    }
}
