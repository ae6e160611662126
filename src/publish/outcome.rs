//! What publishing did or would do, and why it did not.

use std::{io, path::PathBuf};

use chantal_contract::{Digest, FormatError, TreeError};
use jiff::Timestamp;

use crate::{
    store::{Address, StoreError},
    trust::KeyringError,
};

/// How a tree differs from the one that clients saw before, in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// New names.
    pub added: u64,
    /// Names that are gone.
    pub removed: u64,
    /// Names with other bytes.
    pub replaced: u64,
    /// Names with the same bytes.
    pub kept: u64,
}

impl Change {
    /// Tells whether clients see nothing new.
    pub fn is_none(&self) -> bool {
        self.added + self.removed + self.replaced == 0
    }
}

/// Something that a person should know about what is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It is older than what was published: clients that saw the newer one ignore it silently.
    Older {
        /// Upstream's date of what was published.
        former: Timestamp,
        /// Upstream's date of what is published now.
        now: Timestamp,
    },
    /// Upstream said that it may be used until then only, and that has passed.
    Expired {
        /// Until when.
        until: Timestamp,
    },
    /// Files could not be linked and were copied.
    Copied {
        /// How many.
        files: u64,
        /// Why the first of them was.
        why: String,
    },
    /// It was published at another place before, and what stands there is served still.
    Left {
        /// The place below the published directory.
        target: String,
        /// When it was published there.
        at: Timestamp,
    },
    /// The repository has files where one of ours stands, which are left out.
    LeftOut {
        /// Our file.
        name: String,
        /// The first of theirs.
        first: String,
        /// How many there are.
        files: usize,
    },
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Older { former, now } => write!(
                f,
                "dated {now}, older than what was published ({former}): clients that saw the newer one ignore it silently"
            ),
            Self::Expired { until } => {
                write!(
                    f,
                    "its `Valid-Until` has passed ({until}): clients refuse it unless told not to check"
                )
            }
            Self::Copied { files, why } => write!(f, "{files} files were copied instead of linked: {why}"),
            Self::Left { target, at } => write!(
                f,
                "`{target}` is still served as it was on {at}: `chantal unpublish {target}` takes it away"
            ),
            Self::LeftOut { name, first, files } => {
                let more = if *files > 1 { format!(" and {} more files", files - 1) } else { String::new() };
                write!(
                    f,
                    "upstream's `{first}`{more} is left out of the tree: `{name}` is a file that this program writes for \
                     clients, and upstream may have named its own so in order to stand for it"
                )
            }
        }
    }
}

/// Whether clients see something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// They do.
    Switched,
    /// Everything was so already.
    Unchanged,
    /// They would: nothing was touched.
    Planned,
}

/// What became, or would become, of one tree.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was asked for.
    pub address: Address,
    /// The tree's path below the published directory.
    pub target: String,
    /// The address under which clients reach it.
    pub url: String,
    /// The snapshot.
    pub manifest: Digest,
    /// Whether anything was switched.
    pub turn: Turn,
    /// How it differs from what clients saw before.
    pub change: Change,
    /// Its files.
    pub files: u64,
    /// Its bytes, each blob once.
    pub bytes: u64,
    /// What a person should know.
    pub notices: Vec<Notice>,
}

/// A tree that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The tree's path below the published directory.
    pub target: String,
    /// What it shows.
    pub address: Address,
    /// The address under which clients reach it.
    pub url: String,
    /// The snapshot.
    pub manifest: Digest,
    /// When upstream made it.
    pub date: Option<Timestamp>,
    /// Until when upstream says that it may be used.
    pub valid_until: Option<Timestamp>,
    /// When it was published.
    pub at: Timestamp,
    /// Whether the tree is there.
    pub standing: Standing,
    /// Whether the repository has a newer state than the one that is shown; never for a named snapshot.
    pub outdated: bool,
}

/// How a tree stands on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It shows what the journal says.
    Right,
    /// It shows another state than the journal says.
    Other,
    /// It serves files whose bytes were found damaged.
    Damaged {
        /// How many.
        files: u64,
    },
    /// It is not there.
    Gone,
}

/// Why something is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The format could not lay the snapshot out.
    #[error("`{address}`: {source}")]
    Format {
        /// What was to be published.
        address: Address,
        /// Why.
        source: FormatError,
    },
    /// The tree could not be planned.
    #[error("`{address}`: {source}")]
    Tree {
        /// What was to be published.
        address: Address,
        /// Why.
        source: TreeError,
    },
    /// The keys in the evidence cannot be read.
    #[error("`{address}`: {source}")]
    Keys {
        /// What was to be published.
        address: Address,
        /// Why.
        source: KeyringError,
    },
    /// A page could not be written.
    #[error("cannot write `{page}`: {source}")]
    Page {
        /// The page.
        page: &'static str,
        /// Why.
        source: askama::Error,
    },
    /// The file system refused.
    #[error("`{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A blob of the pool is not what its name says.
    #[error("blob {blob} in the pool is damaged: found {found}")]
    Damaged {
        /// Its name.
        blob: Digest,
        /// What it is.
        found: Digest,
    },
    /// Something else stands where a tree would be published.
    #[error("`{path}` is there and was not published by this program")]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// One tree would stand inside another.
    #[error("`{inner}` would be published inside `{outer}`")]
    Inside {
        /// The tree inside.
        inner: String,
        /// The tree around it.
        outer: String,
    },
    /// Two repositories would stand at one place.
    #[error("`{target}` is where both `{first}` and `{second}` would be published")]
    Same {
        /// The place.
        target: String,
        /// One.
        first: Address,
        /// The other.
        second: Address,
    },
    /// The file system cannot exchange two directories.
    #[error("the file system of `{path}` cannot exchange two directories")]
    NoExchange {
        /// The published directory.
        path: PathBuf,
    },
    /// Several trees show what was asked for.
    #[error("`{asked}` is published at {}", .at.join(" and "))]
    Several {
        /// What was asked for.
        asked: String,
        /// The places below the published directory.
        at: Vec<String>,
    },
    /// Nothing is published under that name.
    #[error("`{asked}` is not published")]
    NotPublished {
        /// What was asked for.
        asked: String,
        /// What is.
        has: Vec<String>,
    },
}

impl PublishError {
    /// Names the path that an I/O error is about.
    pub(super) fn io(path: &std::path::Path) -> impl Fn(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }

    /// Returns what helps.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Damaged { .. } => Some(
                "`chantal verify --full` tells what else is, `chantal sync` or a full bundle brings it again"
                    .into(),
            ),
            Self::Occupied { .. } => Some("move it away, or give the repository another `path`".into()),
            Self::Inside { .. } | Self::Same { .. } => {
                Some("give one of them another `path` in the configuration; `chantal unpublish` takes away what is no longer wanted".into())
            }
            Self::NoExchange { .. } => Some("set `storage.switch: symlink`".into()),
            Self::Several { .. } => Some("name the one that is meant by its place".into()),
            Self::NotPublished { has, .. } if has.is_empty() => Some("nothing is published yet".into()),
            Self::NotPublished { has, .. } => Some(format!("published are {}", has.join(", "))),
            Self::Keys { source, .. } => source.hint(),
            Self::Format { .. } | Self::Tree { .. } | Self::Page { .. } | Self::Io { .. } => None,
        }
    }
}
