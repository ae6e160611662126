//! What a format refuses, and why.

use crate::{
    digest::DigestError,
    path::{PathError, RepoPath},
    proof::{SignError, VerifyError},
    tree::TreeError,
};

/// Why an index or a package was refused.
///
/// Every variant names the file as the repository knows it; the driver adds the URL.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The bytes are not what the format's specification says.
    #[error("`{file}`, {place}: expected {expected}, found {found}")]
    Malformed {
        /// The file.
        file: RepoPath,
        /// Where in it: `line 7`, `byte 96`, `field SHA256`.
        place: String,
        /// What the specification asks for.
        expected: String,
        /// What is there, shortened.
        found: String,
    },
    /// Something is larger, deeper or more numerous than is read.
    #[error("`{file}`: {what} passes the limit of {limit}")]
    Limit {
        /// The file.
        file: RepoPath,
        /// What passed it.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The file cannot be decompressed.
    #[error("`{file}`: {source}")]
    Decode {
        /// The file.
        file: RepoPath,
        /// The decoder's word.
        source: std::io::Error,
    },
    /// An index names a file that cannot be in a tree.
    #[error("`{file}`: {source}")]
    Path {
        /// The index.
        file: RepoPath,
        /// What it names.
        source: PathError,
    },
    /// An index holds a digest that is none.
    #[error("`{file}`: {source}")]
    Digest {
        /// The index.
        file: RepoPath,
        /// What it holds.
        source: DigestError,
    },
    /// A signature proves nothing.
    #[error("`{file}`: {source}")]
    Verify {
        /// The signed file.
        file: RepoPath,
        /// Why.
        source: VerifyError,
    },
    /// Upstream has nothing that was asked for: a suite, component, architecture or project.
    #[error("`{file}`: {what} is not there; it has {has}")]
    NotOffered {
        /// The file that would list it.
        file: RepoPath,
        /// What was asked for.
        what: String,
        /// What there is.
        has: String,
    },
    /// The options cannot be honoured.
    #[error("option `{option}`: {why}")]
    Option {
        /// The option's name in the configuration.
        option: String,
        /// What is wrong with it.
        why: String,
    },
    /// A tree or a state failed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An index could not be sealed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl FormatError {
    /// Says that `file` is malformed at `place`; long findings are shortened.
    pub fn malformed(
        file: &RepoPath,
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl AsRef<str>,
    ) -> Self {
        Self::Malformed {
            file: file.clone(),
            place: place.into(),
            expected: expected.into(),
            found: shorten(found.as_ref()),
        }
    }

    /// Tells whether a proof failed, as opposed to a parse: exit code 3.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Verify { .. })
    }
}

/// Quotes what was found, at most 80 characters of it, with control characters escaped.
pub fn shorten(found: &str) -> String {
    let mut shown: String = found.chars().take(80).flat_map(char::escape_debug).collect();
    if found.chars().nth(80).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
