//! How a command ends: exit codes, errors with their causes, hints.

use std::{io, process::ExitCode};

use chantal_contract::FormatError;
use serde::Serialize;

use super::printer::complain;
use crate::{config::ConfigError, report::table::printable, store::StoreError};

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// Everything was done: 0.
    #[default]
    Done,
    /// A part of it was done: 4.
    Partly,
    /// A proof failed, and the command's very task was to say so: 3.
    Refused,
}

impl Ending {
    /// Returns the worse of two.
    pub fn worse(self, other: Self) -> Self {
        let rank = |ending| match ending {
            Self::Done => 0,
            Self::Partly => 1,
            Self::Refused => 2,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Done => 0,
            Ending::Partly => 4,
            Ending::Refused => 3,
        })
    }
}

/// What the user asked for makes no sense: 2.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Usage {
    message: String,
    hint: Option<String>,
}

impl Usage {
    /// Says what makes no sense, and what would.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }

    /// Says what makes no sense, where the message says itself what would.
    pub fn bare(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }
}

/// Stdout was closed by whoever read it: no failure.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads stdout any more")]
pub struct Closed;

/// What the rooms' errors tell beside their text.
struct Nature {
    code: u8,
    hint: Option<String>,
    excerpts: Vec<String>,
}

fn nature(error: &anyhow::Error) -> Nature {
    let mut nature = Nature { code: 1, hint: None, excerpts: Vec::new() };
    for cause in error.chain() {
        let (code, hint) = if let Some(usage) = cause.downcast_ref::<Usage>() {
            (2, usage.hint.clone())
        } else if let Some(config) = cause.downcast_ref::<ConfigError>() {
            for fault in config.faults() {
                let mut text = fault.excerpt().unwrap_or_default();
                if config.faults().len() > 1 {
                    text = format!("{fault}\n{text}");
                    if let Some(hint) = fault.hint() {
                        text = format!("{text}\nhint: {hint}");
                    }
                }
                nature.excerpts.push(text);
            }
            (2, config.hint())
        } else if let Some(format) = cause.downcast_ref::<FormatError>() {
            (if format.is_refusal() { 3 } else { 1 }, None)
        } else if let Some(store) = cause.downcast_ref::<StoreError>() {
            let code = match store {
                StoreError::Mismatch { .. } => 3,
                StoreError::OtherSite { .. }
                | StoreError::NoBackup { .. }
                | StoreError::NoDirectory { .. } => 2,
                _ => 1,
            };
            (code, store.hint())
        } else {
            super::rooms::nature(cause).unwrap_or((1, None))
        };
        nature.code = nature.code.max(code);
        nature.hint = nature.hint.or(hint);
    }
    nature
}

/// Returns the code of docs/design.md §9 for an error.
pub fn code(error: &anyhow::Error) -> u8 {
    nature(error).code
}

/// Tells whether an error only says that nobody reads on.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error>::is::<Closed>)
}

/// Returns what failed and why; an error that quotes its source in its own text is not said twice.
fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if causes.last().is_none_or(|above| !above.contains(&text)) {
            causes.push(text);
        }
    }
    causes
}

/// Writes an error on one line: what failed, then why.
pub fn line(error: &anyhow::Error) -> String {
    causes(error).join(": ")
}

/// Ends a command that did several things, of which some failed: the worst failure is the command's, the others are said before it.
pub fn together(mut failures: Vec<anyhow::Error>, ending: Ending) -> anyhow::Result<Ending> {
    failures.sort_by_key(code);
    let refused = ending == Ending::Refused && failures.last().is_some_and(|worst| code(worst) < 3);
    let worst = if refused { None } else { failures.pop() };
    for failure in &failures {
        complain(&explain(failure));
    }
    worst.map_or(Ok(ending), Err)
}

/// What `--json` prints of a failure, under the key `error`.
#[derive(Serialize)]
pub struct Failure {
    error: Failed,
}

#[derive(Serialize)]
struct Failed {
    code: u8,
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl From<&anyhow::Error> for Failure {
    fn from(error: &anyhow::Error) -> Self {
        let nature = nature(error);
        Self { error: Failed { code: nature.code, causes: causes(error), hint: nature.hint } }
    }
}

/// Writes an error as people read it: what failed, why in numbered steps, the place, what helps.
pub fn explain(error: &anyhow::Error) -> String {
    let nature = nature(error);
    let shown = causes(error);
    let mut out = String::from("error: ");
    let lines = |text: &str| text.lines().map(printable).collect::<Vec<_>>().join("\n");
    for (index, text) in shown.iter().enumerate() {
        match index {
            0 => out.push_str(&lines(text)),
            _ if shown.len() == 2 => out.extend(["\n  because ", &lines(text)]),
            _ => out.extend(["\n  ", &index.to_string(), ": ", &lines(text)]),
        }
    }
    for excerpt in nature.excerpts.iter().filter(|text| !text.is_empty()) {
        out.push('\n');
        out.push_str(&lines(excerpt));
    }
    if let Some(hint) = nature.hint {
        out.push_str("\nhint: ");
        out.push_str(&lines(&hint));
    }
    out
}

/// Writes an error as an event of `--log-format json`.
pub fn event(error: &anyhow::Error) -> String {
    let nature = nature(error);
    let causes = causes(error);
    serde_json::json!({
        "version": crate::report::progress::EVENT_VERSION,
        "event": "error",
        "code": nature.code,
        "causes": causes,
        "hint": nature.hint,
    })
    .to_string()
}

/// Turns a failed write to stdout into what it means.
pub fn written(result: io::Result<()>) -> anyhow::Result<()> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => anyhow::Error::new(Closed),
        _ => anyhow::Error::new(error).context("cannot write to stdout"),
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn codes_follow_from_types_through_any_context() {
        let usage = anyhow::Error::new(Usage::new("no", "yes")).context("outer");
        assert_eq!(code(&usage), 2);
        assert_eq!(explain(&usage), "error: outer\n  because no\nhint: yes");
        let refused = FormatError::Verify {
            file: chantal_contract::RepoPath::new("dists/stable/InRelease").unwrap(),
            source: chantal_contract::VerifyError::NoKeys,
        };
        assert_eq!(code(&anyhow::Error::new(refused).context("cannot sync `a`")), 3);
        assert_eq!(code(&anyhow::anyhow!("x")), 1);
    }

    #[test]
    fn causes_are_numbered_and_not_repeated() {
        let io = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let store = StoreError::Io { path: "/x".into(), source: io };
        let error = Err::<(), _>(store).context("cannot open it").context("cannot sync `a`").unwrap_err();
        assert_eq!(explain(&error), "error: cannot sync `a`\n  1: cannot open it\n  2: `/x`: no such file");
    }

    #[test]
    fn what_is_said_as_json_is_said_once() {
        let io = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = anyhow::Error::new(StoreError::Io { path: "/x".into(), source: io });
        let event: serde_json::Value = serde_json::from_str(&event(&error)).unwrap();
        assert_eq!(event["causes"], serde_json::json!(["`/x`: no such file"]));
        let object = serde_json::to_value(Failure::from(&error)).unwrap();
        assert_eq!(object, serde_json::json!({ "error": { "code": 1, "causes": ["`/x`: no such file"] } }));
    }

    #[test]
    fn hostile_text_in_errors_moves_no_cursor() {
        assert_eq!(explain(&anyhow::anyhow!("a\x1b[2J")), "error: a\\u{1b}[2J");
    }

    #[test]
    fn a_closed_stdout_is_no_failure() {
        let error = written(Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
        assert!(is_closed(&error.context("listing")));
        assert!(!is_closed(&written(Err(io::ErrorKind::StorageFull.into())).unwrap_err()));
    }
}
