//! Why a file could not be fetched.

use std::{io, path::PathBuf, time::Duration};

use super::shown::Shown;

/// Why a file could not be fetched; every variant names the redacted URL.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection, or one that broke before an answer.
    #[error("`{url}`: {why}")]
    Connection {
        /// What was asked for.
        url: Shown,
        /// The system's word.
        why: String,
    },
    /// An answer that helps no further.
    #[error("`{url}`: expected status 200, found {status}{}", reason(*.status))]
    Status {
        /// What was asked for.
        url: Shown,
        /// The HTTP status.
        status: u16,
    },
    /// Credentials are missing or wrong.
    #[error("`{url}`: access denied with status {status}")]
    Denied {
        /// What was asked for.
        url: Shown,
        /// The HTTP status: 401 or 407.
        status: u16,
    },
    /// The body ended too early, time and again.
    #[error("`{url}`: the body was cut: expected {}, found {found} bytes", bytes_or(*.expected, "its end"))]
    Cut {
        /// What was asked for.
        url: Shown,
        /// The size that was promised.
        expected: Option<u64>,
        /// How many bytes came.
        found: u64,
    },
    /// The server offers a file of another size than the index promises.
    #[error("`{url}`: expected {expected} bytes, the server offers {found}")]
    Length {
        /// What was asked for.
        url: Shown,
        /// What an index promises.
        expected: u64,
        /// What the server says.
        found: u64,
    },
    /// The body goes on past the largest size that is accepted.
    #[error("`{url}`: expected at most {bound} bytes, found more")]
    TooLong {
        /// What was asked for.
        url: Shown,
        /// The bound.
        bound: u64,
    },
    /// The body came compressed although that was declined.
    #[error("`{url}`: expected the file as it is, found content encoding `{found}`")]
    Encoded {
        /// What was asked for.
        url: Shown,
        /// The encoding.
        found: String,
    },
    /// The server answers too slowly.
    #[error("`{url}`: stalled: less than 1 KiB in {} s, after {found} bytes", .within.as_secs_f32())]
    Stalled {
        /// What was asked for.
        url: Shown,
        /// The time that was waited.
        within: Duration,
        /// How many bytes came before.
        found: u64,
    },
    /// The file took longer than a file may.
    #[error("`{url}`: not complete within {} s, after {found} bytes", .within.as_secs_f32())]
    Deadline {
        /// What was asked for.
        url: Shown,
        /// The time it had.
        within: Duration,
        /// How many bytes came.
        found: u64,
    },
    /// Redirects come back to where they were.
    #[error("`{url}`: redirects in a loop, back to `{to}`")]
    RedirectLoop {
        /// What was asked for.
        url: Shown,
        /// Where the loop closes.
        to: Shown,
    },
    /// More redirects than are followed.
    #[error("`{url}`: more than {limit} redirects")]
    RedirectCount {
        /// What was asked for.
        url: Shown,
        /// How many are followed.
        limit: usize,
    },
    /// A redirect that leads nowhere.
    #[error("`{url}`: redirects to {found}, which is no http or https address")]
    RedirectTarget {
        /// What was asked for.
        url: Shown,
        /// What the server says, shortened.
        found: String,
    },
    /// A redirect from https to http.
    #[error("`{url}`: redirects to `{to}`, which is not encrypted")]
    Downgrade {
        /// What was asked for.
        url: Shown,
        /// Where it was to go.
        to: Shown,
    },
    /// An address that is never fetched from.
    #[error("`{url}`: expected an http or https address, found scheme `{scheme}`")]
    Scheme {
        /// The address.
        url: Shown,
        /// Its scheme.
        scheme: String,
    },
    /// A file of a directory upstream that is not inside it.
    #[error("`{url}`: leads out of `{root}`")]
    Outside {
        /// What was asked for.
        url: Shown,
        /// The upstream's directory.
        root: PathBuf,
    },
    /// A file of a directory upstream cannot be read.
    #[error("`{url}`: {source}")]
    File {
        /// What was asked for.
        url: Shown,
        /// The system's word.
        source: io::Error,
    },
    /// What was fetched cannot be written.
    #[error("`{url}`: cannot be stored: {source}")]
    Sink {
        /// What was asked for.
        url: Shown,
        /// The system's word.
        source: io::Error,
    },
    /// Certificates or keys that cannot be used.
    #[error("`{path}`: {why}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Settings that no client can be built from.
    #[error("cannot set up the HTTP client: {why}")]
    SetUp {
        /// What is wrong.
        why: String,
    },
}

fn reason(status: u16) -> String {
    match reqwest::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()) {
        Some(reason) => format!(" ({reason})"),
        None => String::new(),
    }
}

fn bytes_or(size: Option<u64>, unknown: &str) -> String {
    size.map_or_else(|| unknown.to_owned(), |n| format!("{n} bytes"))
}

/// What becomes of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may succeed when repeated.
    Repeat,
    /// It fails here every time; another mirror may do better.
    Elsewhere,
    /// Nothing helps.
    Hopeless,
}

impl FetchError {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Connection { .. }
            | Self::Cut { .. }
            | Self::Stalled { .. }
            | Self::Status { status: 408 | 425 | 429 | 500..=599, .. } => Verdict::Repeat,
            Self::Sink { .. } | Self::Deadline { .. } | Self::Certificate { .. } | Self::SetUp { .. } => {
                Verdict::Hopeless
            }
            _ => Verdict::Elsewhere,
        }
    }

    /// Tells whether upstream serves another file than its index promises, as it does while it is being changed.
    pub fn is_mismatch(&self) -> bool {
        matches!(self, Self::Length { .. } | Self::TooLong { .. })
    }

    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Connection { .. } => {
                "check the address, the network and `download.proxy`; `curl -v` on the same address tells more"
            }
            Self::Status { status: 429 | 503, .. } => {
                "the server asks for patience: run it again later, or lower `download.parallel`"
            }
            Self::Status { status: 500..=599, .. } => "the server is at fault: run it again later",
            Self::Status { .. } | Self::RedirectTarget { .. } | Self::RedirectCount { .. } => {
                "check the repository's `url`"
            }
            Self::Denied { status: 407, .. } => "give the proxy's name and password in `download.proxy`",
            Self::Denied { .. } => {
                "check the repository's `auth` and `tls`; they belong to one scheme, host and port"
            }
            Self::Cut { .. } => "run it again; what was fetched completely is not fetched twice",
            Self::Length { .. } | Self::TooLong { .. } => {
                "upstream is being changed or damaged: run it again later, or choose another mirror"
            }
            Self::Encoded { .. } => "a proxy or server compresses what it should not: choose another mirror",
            Self::Stalled { .. } | Self::Deadline { .. } => {
                "run it again, choose a nearer mirror, or raise `download.stall_timeout` or `download.deadline`"
            }
            Self::RedirectLoop { .. } => {
                "check the repository's `url`; some servers want a trailing slash or https"
            }
            Self::Downgrade { .. } => "name the http address as `url` if that is meant",
            Self::Scheme { .. } => "upstream's index names an address that is never followed",
            Self::Outside { .. } => {
                "replace the symbolic link by what it points to, or name the directory above as `url`"
            }
            Self::File { .. } => "check that the directory is there and readable",
            Self::Sink { .. } => "free some space in the store: `chantal gc`",
            Self::Certificate { .. } => "check the repository's `tls` block",
            Self::SetUp { .. } => "check the `download` block",
        })
    }
}
