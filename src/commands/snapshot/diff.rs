//! `chantal snapshot diff`: what differs between two states.

use std::io::Write;

use chantal_contract::Line;
use serde::Serialize;

use crate::{
    commands::{context::Context, ending::written, printer},
    report::{
        human::{grouped, size},
        table::printable,
    },
    store::{Address, Change, Store},
};

#[derive(Serialize)]
struct Difference {
    old: String,
    new: String,
    added: u64,
    removed: u64,
    changed: u64,
    bytes_in: u64,
    bytes_out: u64,
    options_changed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<DifferenceRow>,
}

#[derive(Serialize)]
struct DifferenceRow {
    change: &'static str,
    kind: &'static str,
    subject: String,
}

/// Shows what differs between two states.
pub fn diff(
    old: &Address,
    new: &Address,
    stat: bool,
    store: &Store,
    context: &Context,
) -> anyhow::Result<()> {
    let (before, after) = (store.catalog().resolve(old)?, store.catalog().resolve(new)?);
    let mut found = Difference {
        old: old.to_string(),
        new: new.to_string(),
        added: 0,
        removed: 0,
        changed: 0,
        bytes_in: 0,
        bytes_out: 0,
        options_changed: false,
        differences: Vec::new(),
    };
    // as text, lines go out as they are found: memory does not grow with the difference
    let mut stream = (!context.printer.is_json() && !stat).then(printer::stream);
    let mut closed = Ok(());
    let summary = store.diff(&before.state.manifest, &after.state.manifest, &mut |change| {
        if stat || closed.is_err() {
            return Ok(());
        }
        let row = DifferenceRow::from(&change);
        match &mut stream {
            Some(stream) => closed = writeln!(stream, "{}", row.line()),
            None => found.differences.push(row),
        }
        Ok(())
    })?;
    written(closed.and_then(|()| stream.as_mut().map_or(Ok(()), Write::flush)))?;
    drop(stream);
    (found.added, found.removed, found.changed) = (summary.added, summary.removed, summary.changed);
    (found.bytes_in, found.bytes_out) = (summary.bytes_in, summary.bytes_out);
    found.options_changed = summary.header;
    context.printer.show(&found, |found| {
        let options = if found.options_changed { "~ options  of the format\n" } else { "" };
        format!(
            "{options}{} added, {} removed, {} changed; {} new, {} gone",
            grouped(found.added),
            grouped(found.removed),
            grouped(found.changed),
            size(found.bytes_in),
            size(found.bytes_out)
        )
    })
}

impl DifferenceRow {
    fn line(&self) -> String {
        let mark = match self.change {
            "added" => '+',
            "removed" => '-',
            _ => '~',
        };
        format!("{mark} {:7} {}", self.kind, printable(&self.subject))
    }
}

impl From<&Change> for DifferenceRow {
    fn from(change: &Change) -> Self {
        let (word, line) = match change {
            Change::Added(line) => ("added", line),
            Change::Removed(line) => ("removed", line),
            Change::Changed { new, .. } => ("changed", new),
        };
        let (kind, subject) = match line {
            Line::File { path, .. } => ("file", path.to_string()),
            Line::Pkg { key, .. } => ("package", key.to_string()),
            Line::Doc { kind, key, .. } => ("doc", format!("{kind} {key}")),
        };
        Self { change: word, kind, subject }
    }
}
