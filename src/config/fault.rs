//! What is wrong with a configuration, where, and what would help.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_yaml as yaml;

use super::not_yet;

/// A file of the configuration, as it was read.
#[derive(Debug)]
pub struct Source {
    /// Its path, as it was given or found.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A position in a file of the configuration.
#[derive(Clone, Default)]
pub struct Place {
    source: Option<Arc<Source>>,
    line: u64,
    column: u64,
}

impl Place {
    /// Names a position, counted from 1; line 0 is the file as a whole.
    pub fn new(source: &Arc<Source>, line: u64, column: u64) -> Self {
        Self { source: Some(Arc::clone(source)), line, column }
    }

    /// Returns the file's path.
    pub fn path(&self) -> Option<&Path> {
        self.source.as_ref().map(|source| source.path.as_path())
    }

    /// Returns where a value that was written behind this place stands; this place itself where it is not found.
    ///
    /// Values carry no position of their own. The first occurrence behind the entry's beginning is theirs, unless an entry
    /// quotes itself in a comment.
    #[must_use]
    pub fn of(&self, written: &str) -> Self {
        let first = usize::try_from(self.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let found = self.source.as_ref().filter(|_| !written.is_empty()).and_then(|source| {
            let mut lines = source.text.lines().zip(1..).skip(first);
            lines.find_map(|(line, number)| {
                let code = line.split_once(" #").map_or(line, |(code, _)| code);
                let at = code.find(written).filter(|_| !code.trim_start().starts_with('#'))?;
                let column = code.get(..at)?.chars().count() as u64 + 1;
                Some(Self::new(source, number, column))
            })
        });
        found.unwrap_or_else(|| self.clone())
    }

    /// Shows the line with its number and a mark below the column; secrets in it are covered.
    fn excerpt(&self) -> Option<String> {
        let index = usize::try_from(self.line.checked_sub(1)?).ok()?;
        let line = self.source.as_ref()?.text.lines().nth(index)?;
        let shown: String =
            cover(line).chars().take(160).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let blank = usize::try_from(self.column.saturating_sub(1)).ok()?.min(160);
        Some(format!("{margin} |\n{number} | {shown}\n{margin} | {}^", " ".repeat(blank)))
    }
}
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, self.line) {
            (None, _) => f.write_str("the configuration"),
            (Some(source), 0) => write!(f, "`{}`", source.path.display()),
            (Some(source), line) => {
                write!(f, "`{}`, line {line}, column {}", source.path.display(), self.column)
            }
        }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Fault {
    place: Place,
    message: String,
    hint: Option<String>,
}

impl Fault {
    /// Says what is wrong at a place.
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        Self { place: place.clone(), message: message.into(), hint: None }
    }

    /// Adds what would help.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the lines around the place, with a mark.
    pub fn excerpt(&self) -> Option<String> {
        self.place.excerpt()
    }

    /// Returns what would help.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns what is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Takes over what the YAML reader refused.
    pub(super) fn from_yaml(source: &Arc<Source>, error: &yaml::Error) -> Self {
        let error = innermost(error);
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let (message, mut hint) = explain(error);
        let index = usize::try_from(line).unwrap_or(usize::MAX).wrapping_sub(1);
        if source.text.lines().nth(index).is_some_and(|text| text.trim_start_matches(' ').starts_with('\t'))
            || message.ends_with("found a tab")
        {
            hint = Some("YAML is indented by blanks; there is a tab".into());
        }
        // the reader may notice only where the next line begins
        let mut lines =
            source.text.lines().skip(index.saturating_sub(1)).take(if index == 0 { 1 } else { 2 });
        if lines.any(has_bare_variable) {
            hint = Some(BARE_VARIABLE.into());
        }
        Self { place: Place::new(source, line, column), message, hint }
    }
}

fn innermost(error: &yaml::Error) -> &yaml::Error {
    match error.without_snippet() {
        yaml::Error::AliasError { error, .. } => innermost(error),
        other => other,
    }
}

const INDENTED: &str = "the keys of one block begin in the same column, by blanks; see whether a line is indented too much or too little";

const BARE_VARIABLE: &str =
    "between braces or brackets a value with `${NAME}` is quoted: `{ proxy: \"${HTTPS_PROXY}\" }`";

/// Tells whether a line has a variable between braces or brackets without quotes: its brace is taken for one of YAML.
fn has_bare_variable(line: &str) -> bool {
    let (mut depth, mut quote, mut before) = (0_u32, None, ' ');
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) => quote = Some(open).filter(|open| *open != c),
            // a quote opens where a value begins
            (None, '"' | '\'') if [' ', '[', '{', ','].contains(&before) => quote = Some(c),
            (None, '#') if before == ' ' => return false,
            (None, '{') if before == '$' && depth > 0 => return true,
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        before = c;
    }
    false
}

const LISTED: &str = "a list is written as `[a, b]`, or one item a line behind `- `";

/// Puts the reader's refusals into our words; values are never repeated, they may be secrets.
fn explain(error: &yaml::Error) -> (String, Option<String>) {
    use yaml::Error as E;
    match error {
        E::SerdeUnknownField { field, expected, .. } => {
            let known: Vec<&str> = expected.iter().copied().filter(|key| !FUTURE.contains(key)).collect();
            (format!("unknown key `{}`", field.escape_debug()), Some(unknown_key(field, &known)))
        }
        E::SerdeUnknownVariant { variant, expected, .. } => (
            format!("`{}` is none of {}", variant.escape_debug(), quoted(expected)),
            closest(variant, expected).map(|near| format!("did you mean `{near}`?")),
        ),
        E::SerdeMissingField { field, .. } => (format!("`{field}` is missing"), None),
        E::SerdeInvalidType { unexpected, expected, .. } => {
            (format!("expected {}, found {}", wanted(expected), kind_of(unexpected)), None)
        }
        E::SerdeInvalidValue { expected, .. } => (format!("expected {}", wanted(expected)), None),
        E::DuplicateMappingKey { key, .. } => {
            (format!("the key `{}` stands twice", key.as_deref().unwrap_or("?").escape_debug()), None)
        }
        E::MergeKeyNotAllowed { .. } => ("merge keys (`<<`) are not taken".into(), None),
        E::InvalidBooleanStrict { .. } => ("expected `true` or `false`".into(), None),
        E::InvalidScalar { ty, .. } => (format!("expected {}", wanted(ty)), None),
        E::NullIntoString { .. } => ("a value is missing".into(), Some("write it after the colon".into())),
        E::MultipleDocuments { .. } => ("a second document begins here (`---`)".into(), None),
        E::Unexpected { expected, .. } => {
            let wanted = wanted(expected);
            let hint = if wanted == "a list" { LISTED } else { INDENTED };
            (format!("expected {wanted}"), Some(hint.into()))
        }
        E::Message { msg, .. } => {
            let hint = if msg.ends_with(not_yet::MARK) {
                Some("it is part of the design and comes with a later version; take the key out")
            } else if msg.ends_with("is not set") {
                Some("set it before the command; `$${` stands for the characters `${`")
            } else if msg.contains("is no URL") {
                Some("a URL begins with `https://`, `http://` or, for a directory, `file:///`")
            } else {
                None
            };
            (msg.clone(), hint.map(str::to_owned))
        }
        E::ExternalMessage { msg, .. } => (format!("not YAML: {msg}"), Some(INDENTED.into())),
        other => {
            let text = other.to_string();
            let text = text.lines().next().unwrap_or_default();
            (format!("not read: {text}"), None)
        }
    }
}

/// Keys that are only known so as to be refused.
const FUTURE: [&str; 5] = ["filters", "views", "helm", "apk", "hosted"];
/// Keys that only the main file holds.
const MAIN: [&str; 5] = ["role", "site", "key", "storage", "download"];

fn unknown_key(field: &str, known: &[&str]) -> String {
    if MAIN.contains(&field) && known.contains(&"include") {
        return format!("`{field}` belongs into the main file, not into an included one");
    }
    closest(field, known)
        .map_or_else(|| format!("known here: {}", quoted(known)), |near| format!("did you mean `{near}`?"))
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Names what serde expected in the words of the file.
fn wanted(expected: &str) -> String {
    let expected = expected.trim_start_matches("an ").trim_start_matches("a ");
    match expected {
        text if text.starts_with("struct ") || text == "map" || text.starts_with("mapping") => {
            "a block of keys".into()
        }
        text if text.contains("sequence") => "a list".into(),
        "bool" | "boolean" => "`true` or `false`".into(),
        "string" | "string scalar" => "text".into(),
        text if text.strip_prefix('u').is_some_and(|bits| bits.parse::<u8>().is_ok()) => {
            "a whole number".into()
        }
        "nonzero u32" => "a whole number, at least 1".into(),
        text => text.to_owned(),
    }
}

/// Names what was found by its kind only.
fn kind_of(unexpected: &str) -> &'static str {
    let word = unexpected.split([' ', '`', '"']).next().unwrap_or_default();
    match word {
        "map" | "mapping" => "a block of keys",
        "sequence" => "a list",
        "boolean" => "a truth value",
        "integer" => "a number",
        "floating" => "a fraction",
        "unit" | "null" => "nothing",
        _ => "text",
    }
}

/// Finds the word that was most likely meant.
pub fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = |candidate: &&str| distance(word, candidate);
    known.iter().copied().min_by_key(near).filter(|best| distance(word, best) <= 1 + word.chars().count() / 4)
}

/// Counts the changes that make `a` into `b`: letters put in, taken out, replaced, or swapped with a neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swapped = if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    rows[i - 2][j - 2] + 1
                } else {
                    usize::MAX
                };
                replaced.min(swapped).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1)
            };
        }
    }
    rows[a.len()][b.len()]
}

/// Covers what may be a secret in a line of a configuration: values of keys that sound like one, user parts of URLs.
fn cover(line: &str) -> String {
    let mut shown = line.to_owned();
    let mut from = 0;
    while let Some(at) = shown.get(from..).and_then(|rest| rest.find("://")).map(|at| from + at + 3) {
        let end = shown[at..].find(['/', ' ', '"', '\'', ',', '}']).map_or(shown.len(), |end| at + end);
        if let Some(user) = shown[at..end].rfind('@')
            && !shown[at..at + user].starts_with("${")
        {
            shown.replace_range(at..at + user, "***");
        }
        from = at;
    }
    for word in ["password", "passwd", "token", "secret"] {
        let lower = shown.to_ascii_lowercase();
        if let Some(at) = lower.find(word) {
            let key = &lower[at..];
            if let Some(colon) = key.find(':').filter(|_| !key.contains("_file") && !key.contains("_env")) {
                shown.truncate(at + colon + 1);
                shown.push_str(" ***");
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        let known = ["repositories", "storage", "rpm", "apt"];
        for (word, meant) in
            [("rmp", "rpm"), ("repositorys", "repositories"), ("storge", "storage"), ("atp", "apt")]
        {
            assert_eq!(closest(word, &known), Some(meant));
        }
        assert_eq!(closest("completely-else", &known), None);
    }

    #[test]
    fn a_variable_between_braces_is_seen_where_it_is_not_quoted() {
        for (line, bare) in [
            ("download: { proxy: ${HTTPS_PROXY} }", true),
            ("  - { name: a, url: https://${HOST}/x }", true),
            ("include: [\"a\", ${B}]", true),
            ("download: { proxy: \"${HTTPS_PROXY}\" }", false),
            ("  - { url: 'https://${HOST}/x', name: a }", false),
            ("  proxy: ${HTTPS_PROXY}", false),
            ("  # { proxy: ${HTTPS_PROXY} }", false),
        ] {
            assert_eq!(has_bare_variable(line), bare, "{line}");
        }
    }

    #[test]
    fn covers_secrets() {
        for (line, shown) in [
            ("auth: { password: hunter2 }", "auth: { password: ***"),
            ("url: https://me:hunter2@repo.example.org/x", "url: https://***@repo.example.org/x"),
            ("auth: { password_file: /run/pw }", "auth: { password_file: /run/pw }"),
            ("url: https://repo.example.org/a@b", "url: https://repo.example.org/a@b"),
        ] {
            assert_eq!(cover(line), shown);
        }
    }
}
