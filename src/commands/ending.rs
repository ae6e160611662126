//! How a command ends: exit codes, errors with their causes, hints.

use std::{io, process::ExitCode};

use chantal_contract::FormatError;

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

/// Writes an error as people read it: what failed, why in numbered steps, the place, what helps.
pub fn explain(error: &anyhow::Error) -> String {
    let nature = nature(error);
    let mut shown: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // an error that quotes its source in its own text is not said twice
        if shown.last().is_none_or(|above| !above.contains(&text)) {
            shown.push(text);
        }
    }
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
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
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
