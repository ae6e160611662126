//! Why a repository could not be brought up to date.

use chantal_contract::{FormatError, Mismatch, RepoPath, VerifyError};
use jiff::Timestamp;

use crate::{
    store::StoreError,
    upstream::fetch::{FetchError, Shown},
};

/// Why a repository could not be brought up to date; its newest state is what it was.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// A file could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An index or a package was refused by its format.
    #[error("{from}: {source}")]
    Format {
        /// The upstream, redacted.
        from: String,
        /// Why.
        source: FormatError,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Upstream serves other bytes than its index promises.
    #[error("`{url}`: {mismatch}")]
    Mismatch {
        /// The file.
        path: RepoPath,
        /// Where it came from.
        url: Shown,
        /// How it differs.
        mismatch: Mismatch,
    },
    /// An anchor is none of those that the metalink promises.
    #[error("`{url}`: it is none of the {accepted} versions that the metalink lists")]
    Unlisted {
        /// The file.
        path: RepoPath,
        /// Where it came from.
        url: Shown,
        /// How many are listed.
        accepted: usize,
    },
    /// Upstream does not have a file without which nothing can be read.
    #[error("`{url}`: not there{}", status_of(*.status))]
    Absent {
        /// The file.
        path: RepoPath,
        /// Where it was looked for last.
        url: Shown,
        /// The server's status; none for a directory.
        status: Option<u16>,
        /// Whether an index binds it by digest, so that it should be there.
        bound: bool,
    },
    /// Upstream does not have a file any more, since it has other indexes by now.
    #[error("`{path}` is gone from upstream, and so is the index that listed it")]
    Replaced {
        /// The first such file.
        path: RepoPath,
    },
    /// Upstream was changed while it was read, and once more before it was read for the last time.
    #[error("upstream changed while it was read, {starts} times in a row; the last time: {last}")]
    Changing {
        /// How often reading was begun.
        starts: u32,
        /// What did not fit.
        last: Box<SyncError>,
    },
    /// Upstream's metadata says that it must not be used any more.
    #[error("upstream's metadata was valid until {until}")]
    Expired {
        /// Until when.
        until: Timestamp,
    },
    /// Upstream's metadata was made in the future.
    #[error("upstream's metadata was made at {date}, which is in the future by this machine's clock ({now})")]
    FromFuture {
        /// When it says it was made.
        date: Timestamp,
        /// This machine's clock.
        now: Timestamp,
    },
    /// Two entries of upstream's indexes promise different files under one path.
    #[error("`{path}` is listed twice with different content: {one} and {other}")]
    Conflict {
        /// The path.
        path: RepoPath,
        /// What one entry promises.
        one: String,
        /// What the other promises.
        other: String,
    },
    /// One file's path is a directory of another's.
    #[error("`{file}` is listed as a file, and `{inside}` as a file inside it")]
    FileAndDirectory {
        /// The path that is both.
        file: RepoPath,
        /// The path below it.
        inside: RepoPath,
    },
    /// What an index names without a digest would come unencrypted although the index itself did not.
    #[error(
        "`{url}`: neither encrypted nor bound by a digest, although the repository is reached over https"
    )]
    Unprotected {
        /// The address.
        url: Shown,
    },
    /// The store's file system cannot take what is to be fetched.
    #[error("{needed} bytes are to be fetched, and the store has room for {free}")]
    NoRoom {
        /// What is to be fetched, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// A mirror list names no mirror.
    #[error("`{url}`: it lists no http or https mirror")]
    NoMirrors {
        /// The list.
        url: Shown,
    },
    /// The walk said something that makes no sense.
    #[error("the reader of {kind} repositories published `{path}` as `{target}`, which it never read")]
    DanglingAlias {
        /// The format.
        kind: chantal_contract::Kind,
        /// The further name.
        path: RepoPath,
        /// The name that was never fed.
        target: RepoPath,
    },
    /// The machine could not be made ready.
    #[error("cannot start the network runtime: {0}")]
    Runtime(std::io::Error),
}

fn status_of(status: Option<u16>) -> String {
    status.map_or_else(String::new, |s| format!(" (status {s})"))
}

impl SyncError {
    /// Tells whether a proof failed: exit code 3.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Format { source, .. } => source.is_refusal(),
            Self::Mismatch { .. }
            | Self::Unlisted { .. }
            | Self::Expired { .. }
            | Self::FromFuture { .. }
            | Self::Unprotected { .. } => true,
            Self::Fetch(error) => error.is_mismatch(),
            Self::Changing { last, .. } => last.is_refusal(),
            _ => false,
        }
    }

    /// Tells whether it is what a reader sees while upstream is being changed.
    pub(super) fn is_upset(&self) -> bool {
        match self {
            Self::Mismatch { .. } | Self::Replaced { .. } | Self::Absent { bound: true, .. } => true,
            Self::Fetch(error) => error.is_mismatch(),
            // a detached signature that was fetched a moment before or after what it signs
            Self::Format { source: FormatError::Verify { source, .. }, .. } => {
                matches!(source, VerifyError::Bad(_))
            }
            _ => false,
        }
    }

    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Fetch(error) => return error.hint().map(str::to_owned),
            Self::Store(error) => return error.hint(),
            Self::Changing { last, .. } => return last.hint(),
            Self::Format { source: FormatError::Verify { source: VerifyError::Bad(_), .. }, .. }
            | Self::Mismatch { .. }
            | Self::Unlisted { .. } => {
                "upstream is being changed, damaged or tampered with: run it again later, or choose another mirror".into()
            }
            Self::Format { source: FormatError::Verify { .. }, .. } => {
                "check the repository's `keys` against what upstream publishes about its signing keys".into()
            }
            Self::Format { source: FormatError::NotOffered { .. } | FormatError::Option { .. }, .. } => {
                "`chantal config check` and upstream's own pages tell what there is".into()
            }
            Self::Absent { status: Some(403), .. } => {
                "check the repository's `url`, its format's options and its credentials".into()
            }
            Self::Absent { .. } => "check the repository's `url` and its format's options".into(),
            Self::Replaced { .. } => "run it again".into(),
            Self::Expired { .. } => {
                "the mirror is stale, or `expired: allow` takes it nevertheless".into()
            }
            Self::FromFuture { .. } => "set this machine's clock".into(),
            Self::Conflict { .. } | Self::FileAndDirectory { .. } => {
                "upstream is inconsistent: report it there, or leave out one of the suites or components".into()
            }
            Self::Unprotected { .. } => "choose a mirror whose index names https addresses".into(),
            Self::NoRoom { .. } => "free some space: `chantal gc` removes what no snapshot needs".into(),
            Self::NoMirrors { .. } => "check the address of the mirror list".into(),
            Self::Format { .. } | Self::DanglingAlias { .. } | Self::Runtime(_) => return None,
        })
    }
}
