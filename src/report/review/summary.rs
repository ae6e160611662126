//! A review as lines on a terminal.

use super::{Counts, Review, page::shown};
use crate::report::human::{count, grouped, size};

/// Unusual things that are named.
const UNUSUAL: usize = 40;
/// Largest packages that are named.
const LARGEST: usize = 3;

/// Writes what a person should know before a decision, in some ten lines and what is unusual.
pub fn lines(review: &Review) -> Vec<String> {
    let mut lines = match &review.compared {
        Some(with) => vec![format!("from      {with}"), format!("to        {}", review.bundle)],
        None => vec![
            format!("bundle    {}", review.bundle),
            format!("from      {}, for {}, made {}", review.collector, review.site, review.created),
            format!("carries   {}, {}", count(review.blobs, "blob"), size(review.bytes)),
        ],
    };
    for state in &review.states {
        let mut name = state.repository.clone();
        if !state.names.is_empty() {
            name.extend([" (", &state.names.join(", "), ")"]);
        }
        lines.push(format!("changes   {name}: {}", counted(&state.counts)));
        if !state.advisories.is_empty() {
            let advisories = state.advisories.len() as u64 + state.advisories_omitted;
            lines.push(format!("          {}", count(advisories, "advisory")));
        }
    }
    for large in review.largest.iter().take(LARGEST) {
        let text = format!(
            "large     {} {} in {}, {}",
            large.name,
            large.version,
            large.repository,
            size(large.size)
        );
        lines.push(shown(&text));
    }
    for unusual in review.foremost(UNUSUAL) {
        let word = if unusual.is_grave() { "UNUSUAL" } else { "note   " };
        lines.push(shown(&format!("{word}   {}: {unusual}", unusual.heading())));
    }
    let hidden = review.unusual_omitted + review.unusual.len().saturating_sub(UNUSUAL) as u64;
    if hidden > 0 {
        lines.push(format!("UNUSUAL   and {} more", grouped(hidden)));
    }
    lines
}

/// Writes every change, a line each, under its repository.
pub fn changes(review: &Review) -> Vec<String> {
    let mut lines = Vec::new();
    for state in review.states.iter().filter(|state| !state.changes.is_empty()) {
        lines.extend([String::new(), format!("{}:", state.repository)]);
        for change in &state.changes {
            let version = match (&change.old, &change.new) {
                (Some(old), Some(new)) if old != new => format!("{old} -> {new}"),
                (old, new) => new.as_ref().or(old.as_ref()).cloned().unwrap_or_default(),
            };
            let line =
                format!("  {:10}  {} {version} {}", change.change.name(), change.name, change.architecture);
            lines.push(shown(line.trim_end()));
        }
        if state.changes_omitted > 0 {
            lines.push(format!("  and {} more", grouped(state.changes_omitted)));
        }
    }
    lines
}

/// Writes how many packages change, and how: `3 upgraded, 1 added`.
pub fn counted(counts: &Counts) -> String {
    let all = [
        (counts.upgraded, "upgraded"),
        (counts.added, "added"),
        (counts.removed, "removed"),
        (counts.downgraded, "downgraded"),
        (counts.replaced, "replaced"),
    ];
    let words: Vec<String> =
        all.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", grouped(*n))).collect();
    if words.is_empty() {
        return "no package".into();
    }
    format!("{}; {} of packages", words.join(", "), size(counts.bytes))
}
