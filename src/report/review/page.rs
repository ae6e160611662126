//! `REVIEW.html`: one page that stands alone, readable without its script.
//!
//! Every text of a package passes the template's escaping, and before that loses what could reorder or hide other text.
//! The page's own policy allows the one style and the one script that it holds, by their digests, and no request at all.

use std::collections::BTreeMap;

use askama::Template;
use sha2::{Digest as _, Sha256};

use super::{Change, Proven, Review, Since, StateReview, What, turns::Turns};
use crate::report::human::{count, grouped, size};

/// The version of the page's design: another text for the same review is another version.
pub const VERSION: u32 = 1;

/// Changes that the page shows; `review.json` has more.
const ROWS: usize = 25_000;
/// Unusual things that the page shows.
const UNUSUAL: usize = 1_000;
/// Advisories that the page shows.
const ADVISORIES: usize = 5_000;
/// Vulnerabilities that the page shows of one advisory.
const REFERENCES: usize = 40;
/// Bytes of text of the changes that the page shows.
const ROW_BYTES: usize = 8 << 20;
/// Bytes of text of the advisories that the page shows.
const ADVISORY_BYTES: usize = 4 << 20;

const STYLE: &str = include_str!("../../../templates/review.css");
const SCRIPT: &str = include_str!("../../../templates/review.js");

#[derive(Template)]
#[template(path = "review.html")]
struct Page {
    policy: String,
    version: u32,
    title: String,
    style: &'static str,
    script: &'static str,
    kicker: &'static str,
    bundle: String,
    lead: String,
    created: String,
    made: String,
    delivery: &'static str,
    tiles: Vec<Tile>,
    grave: Vec<Item>,
    notes: Vec<Item>,
    unusual_more: Option<String>,
    bars: Vec<Bar>,
    largest: Vec<LargeBar>,
    kinds: [&'static str; 5],
    states: Vec<State>,
}

struct Tile {
    label: &'static str,
    value: String,
    zero: bool,
}

struct Item {
    heading: &'static str,
    text: String,
}

struct Bar {
    anchor: String,
    label: String,
    value: String,
    described: String,
    parts: Vec<Part>,
}

struct Part {
    class: &'static str,
    x: u64,
    width: u64,
}

struct LargeBar {
    label: String,
    value: String,
    width: u64,
}

struct State {
    anchor: String,
    repository: String,
    tags: Vec<String>,
    about: String,
    facts: Vec<Fact>,
    advisories: Vec<Advisory>,
    rows: Vec<Row>,
    more: Vec<String>,
}

struct Fact {
    label: &'static str,
    text: String,
    warn: bool,
    keys: Vec<String>,
}

struct Advisory {
    id: String,
    kind: String,
    title: String,
    references: String,
}

struct Row {
    class: &'static str,
    name: String,
    architecture: String,
    old: String,
    new: String,
    size: String,
}

/// Draws the page.
pub fn render(review: &Review) -> Result<Vec<u8>, askama::Error> {
    let (grave, notes): (Vec<_>, Vec<_>) =
        review.foremost(UNUSUAL).into_iter().partition(|unusual| unusual.is_grave());
    let item =
        |unusual: &&super::Unusual| Item { heading: unusual.heading(), text: shown(&unusual.to_string()) };
    let hidden = review.unusual_omitted + review.unusual.len().saturating_sub(UNUSUAL) as u64;
    let mut room = Room { rows: chosen(review), advisories: ADVISORIES, text: ADVISORY_BYTES };
    let page = Page {
        policy: format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
            base64(&Sha256::digest(STYLE)),
            base64(&Sha256::digest(SCRIPT)),
        ),
        version: VERSION,
        title: match &review.compared {
            Some(with) => format!("{with} and {}", review.bundle),
            None => format!("Review of {}", review.bundle),
        },
        style: STYLE,
        script: SCRIPT,
        kicker: if review.compared.is_some() { "Comparison of two bundles" } else { "Review of a bundle" },
        bundle: review.bundle.clone(),
        lead: lead(review),
        created: review.created.clone(),
        made: review.created.replace('T', " ").replace('Z', " UTC"),
        delivery: match review.delivery.as_str() {
            _ if review.compared.is_some() => "",
            "full" => "It stands alone and presumes nothing at the site.",
            "acknowledged" => "It builds on what the site acknowledged by its receipt.",
            _ => "It builds on what was sent before and is assumed to have arrived.",
        },
        tiles: tiles(review),
        grave: grave.iter().map(item).collect(),
        notes: notes.iter().map(item).collect(),
        unusual_more: (hidden > 0).then(|| format!("And {} more: see review.json.", grouped(hidden))),
        bars: bars(review),
        largest: largest(review),
        kinds: What::ALL.map(What::name),
        states: (1..).zip(&review.states).map(|(n, state)| State::new(n, state, &mut room)).collect(),
    };
    page.render().map(String::into_bytes)
}

fn lead(review: &Review) -> String {
    if let Some(with) = &review.compared {
        return format!("What differs from {with}, by what both bundles say of themselves.");
    }
    let mut names: Vec<&str> = review.states.iter().map(|state| state.repository.as_str()).collect();
    names.dedup();
    format!(
        "From collector {} to site {}: {} in {}, {} to carry.",
        review.collector,
        review.site,
        count(review.counts.all(), "changed package"),
        count(names.len() as u64, "repository"),
        size(review.bytes),
    )
}

fn tiles(review: &Review) -> Vec<Tile> {
    let counts = &review.counts;
    let number = |label, value: u64| Tile { label, value: grouped(value), zero: value == 0 };
    let mut tiles = vec![
        number("upgraded", counts.upgraded),
        number("added", counts.added),
        number("removed", counts.removed),
        number("downgraded", counts.downgraded),
        number("replaced", counts.replaced),
    ];
    tiles.push(Tile { label: "of packages", value: size(counts.bytes), zero: counts.bytes == 0 });
    tiles
}

fn of(counts: &super::Counts, what: What) -> u64 {
    match what {
        What::Added => counts.added,
        What::Removed => counts.removed,
        What::Upgraded => counts.upgraded,
        What::Downgraded => counts.downgraded,
        What::Replaced => counts.replaced,
    }
}

fn bars(review: &Review) -> Vec<Bar> {
    let most = review.states.iter().map(|state| state.counts.all()).max().unwrap_or_default();
    let bar = |(number, state): (usize, &StateReview)| {
        let mut parts = Vec::new();
        let (mut x, mut words) = (0, Vec::new());
        for what in What::ALL.into_iter().rev() {
            let found = of(&state.counts, what);
            if found > 0 {
                // what is there is seen, however little it is
                let width = (found.saturating_mul(1000) / most.max(1)).max(4);
                parts.push(Part { class: what.name(), x, width });
                x += width;
                words.push(format!("{} {}", grouped(found), what.name()));
            }
        }
        let label = match state.names.as_slice() {
            [] => state.repository.clone(),
            names => format!("{} ({})", state.repository, names.join(", ")),
        };
        Bar {
            anchor: anchor(number),
            label,
            value: count(state.counts.all(), "package"),
            described: if words.is_empty() { "nothing changes".into() } else { words.join(", ") },
            parts,
        }
    };
    (1..).zip(&review.states).map(bar).collect()
}

fn largest(review: &Review) -> Vec<LargeBar> {
    let most = review.largest.first().map_or(1, |large| large.size.max(1));
    let bar = |large: &super::Large| LargeBar {
        label: shown(&format!("{} {} · {}", large.name, large.version, large.repository)),
        value: size(large.size),
        width: u64::try_from(u128::from(large.size) * 1000 / u128::from(most)).unwrap_or(1000).max(4),
    };
    review.largest.iter().map(bar).collect()
}

fn anchor(number: usize) -> String {
    format!("state-{number}")
}

/// What the page has left to show.
struct Room {
    /// The rows of each state, by its number from 0: the gravest first.
    rows: BTreeMap<usize, Vec<Row>>,
    advisories: usize,
    /// Bytes of advisories.
    text: usize,
}

/// Chooses the changes that the page shows, of all states together.
fn chosen(review: &Review) -> BTreeMap<usize, Vec<Row>> {
    let mut turns = Turns::new(ROWS, ROW_BYTES);
    for (n, state) in review.states.iter().enumerate() {
        for change in &state.changes {
            let texts =
                [Some(&change.name), Some(&change.architecture), change.old.as_ref(), change.new.as_ref()];
            let text = texts.into_iter().flatten().map(String::len).sum();
            turns.push(change.lot(n), text, change);
        }
    }
    let mut rows: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    for (lot, changes, _) in turns.finish() {
        rows.entry(lot.place).or_default().extend(changes.into_iter().map(Row::of));
    }
    rows
}

impl Row {
    fn of(change: &Change) -> Self {
        Self {
            class: change.change.name(),
            name: shown(&change.name),
            architecture: shown(&change.architecture),
            old: change.old.as_deref().map(shown).unwrap_or_default(),
            new: change.new.as_deref().map(shown).unwrap_or_default(),
            size: size(change.size),
        }
    }
}

impl State {
    /// Returns the rows in portions that a browser lays out when they come into view.
    fn chunks(&self) -> std::slice::Chunks<'_, Row> {
        self.rows.chunks(200)
    }

    fn new(number: usize, state: &StateReview, room: &mut Room) -> Self {
        let mut tags = Vec::new();
        if !state.incremental {
            tags.push("new here".into());
        }
        if !state.current {
            tags.push("does not become current".into());
        }
        tags.extend(state.names.iter().map(|name| format!("named {name}")));
        let mut more = Vec::new();
        let rows = rows(number.saturating_sub(1), state, room, &mut more);
        let advisories = advisories(state, room, &mut more);
        if rows.is_empty() && state.counts.all() == 0 {
            more.push("No package changes.".into());
        }
        Self {
            anchor: anchor(number),
            repository: state.repository.clone(),
            tags,
            about: about(state),
            facts: facts(state),
            advisories,
            rows,
            more,
        }
    }
}

fn about(state: &StateReview) -> String {
    let kind = match state.format.as_str() {
        "apt" => "APT",
        "rpm" => "RPM",
        "pypi" => "Python",
        "helm" => "Helm",
        "apk" => "Alpine",
        other => other,
    };
    let mode = match state.mode.as_str() {
        "mirror" => "mirrored byte for byte",
        "filtered" => "chosen packages, indexes written anew",
        _ => "packages of the collector's own",
    };
    let before = if state.incremental {
        format!(", {} before", grouped(state.packages_before))
    } else {
        String::new()
    };
    format!("{kind} repository, {mode}. {}{before}.", count(state.packages, "package"))
}

fn facts(state: &StateReview) -> Vec<Fact> {
    let keys = |wanted: &dyn Fn(&super::Key) -> bool| -> Vec<String> {
        state.keys.iter().filter(|key| wanted(key)).map(|key| key.fingerprint.clone()).collect()
    };
    let mut facts = Vec::new();
    let mut fact = |label, text: String, warn, keys| facts.push(Fact { label, text, warn, keys });
    match state.proven {
        Proven::Signed => {
            fact(
                "Signature",
                "The collector says that it verified upstream's signature of the metadata, by".into(),
                false,
                keys(&|k| k.metadata.is_now()),
            );
        }
        Proven::Packages => {
            let text = "The metadata are not signed; the collector says that every package carries a good signature of one of".into();
            fact("Signature", text, false, keys(&|k| k.packages.is_now()));
        }
        Proven::Unsigned => {
            let text = "No signature of upstream over the metadata was verified.".into();
            fact("Signature", text, true, Vec::new());
        }
        Proven::Digests => {
            let text = "Nothing to verify but digests over TLS: the format signs nothing.".into();
            fact("Signature", text, false, Vec::new());
        }
        Proven::Own => fact("Signature", "The collector's own packages.".into(), false, Vec::new()),
    }
    let gone = keys(&|k| k.metadata == Since::Gone);
    if !gone.is_empty() {
        fact("Signed before", "and not any more by".into(), true, gone);
    }
    let others = keys(&|k| k.packages.is_now() && !k.metadata.is_now());
    if !others.is_empty() && state.proven == Proven::Signed {
        fact(
            "Packages",
            "The collector says that every package carries a good signature of one of".into(),
            false,
            others,
        );
    }
    if let Some(date) = &state.date {
        let until =
            state.valid_until.as_ref().map_or_else(String::new, |until| format!(", valid until {until}"));
        fact("Upstream's date", format!("{date}{until}"), false, Vec::new());
    }
    let comes = format!("{}, {}", count(state.files_in, "file"), size(state.bytes_in));
    let goes =
        if state.files_out > 0 { format!("; {} go", count(state.files_out, "file")) } else { String::new() };
    fact("Files that come", format!("{comes}{goes}"), false, Vec::new());
    if state.files_stray > 0 {
        let text = format!("{} come that no index names", count(state.files_stray, "file"));
        fact("Of no package", text, true, Vec::new());
    }
    facts
}

/// Takes the rows of a state, and says how many changes have none.
fn rows(number: usize, state: &StateReview, room: &mut Room, more: &mut Vec<String>) -> Vec<Row> {
    let rows = room.rows.remove(&number).unwrap_or_default();
    let unseen = state.changes.len().saturating_sub(rows.len()) as u64;
    if unseen + state.changes_omitted > 0 {
        let named = if unseen > 0 { " review.json names more of them." } else { "" };
        more.push(format!(
            "And {} that are not shown here.{named}",
            count(unseen + state.changes_omitted, "further package")
        ));
    }
    rows
}

fn advisories(state: &StateReview, room: &mut Room, more: &mut Vec<String>) -> Vec<Advisory> {
    let mut found = Vec::new();
    for advisory in &state.advisories {
        let mut references =
            advisory.references.iter().take(REFERENCES).map(|r| shown(r)).collect::<Vec<_>>().join(" ");
        if advisory.references.len() > REFERENCES {
            references.extend([" and ", &grouped((advisory.references.len() - REFERENCES) as u64), " more"]);
        }
        let kind =
            [&advisory.kind, &advisory.severity].into_iter().filter(|t| !t.is_empty()).map(|t| shown(t));
        let row = Advisory {
            id: shown(&advisory.id),
            kind: kind.collect::<Vec<_>>().join(", "),
            title: shown(&advisory.title),
            references,
        };
        let text = row.id.len() + row.kind.len() + row.title.len() + row.references.len();
        if room.advisories == 0 || room.text < text {
            break;
        }
        room.advisories -= 1;
        room.text -= text;
        found.push(row);
    }
    let hidden = (state.advisories.len() - found.len()) as u64 + state.advisories_omitted;
    if hidden > 0 {
        more.push(format!("And {} that are not shown here.", count(hidden, "further advisory")));
    }
    found
}

/// Makes text of strangers harmless to look at: what reorders, hides, joins or overprints other text is written out.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut mark = false;
    for c in text.chars() {
        // one accent is a letter's; the next ones only cover what stands there
        let (overprints, is_mark) = (mark && is_mark(c), is_mark(c));
        if hides(c) || overprints {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        mark = is_mark;
    }
    out
}

/// Tells whether a character has no ink of its own, changes that of others, or is whatever a font makes of it.
fn hides(c: char) -> bool {
    c.is_control()
        || c.is_whitespace() && c != ' '
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
}

/// Tells whether a character is printed over the one before it.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}'
        | '\u{e47}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{302a}'..='\u{302f}' | '\u{3099}'..='\u{309a}' | '\u{fe20}'..='\u{fe2f}')
}

/// Writes bytes as a content security policy names digests (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let at = |n: usize| u32::from(chunk.get(n).copied().unwrap_or_default());
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let digit = DIGITS.get((word >> (18 - 6 * n) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if n <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests;
