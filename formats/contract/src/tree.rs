//! What a state is read through and laid out into.

use jiff::Timestamp;

use crate::{
    digest::{Digest, Measured},
    error::FormatError,
    manifest::{Header, Line},
    path::RepoPath,
    want::Role,
};

/// Why a tree could not take a file, or a state not yield one.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The file system refused.
    #[error("`{path}`: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// Two files want one path.
    #[error("`{0}` is laid out twice with different bytes")]
    Twice(RepoPath),
    /// One file's path is a directory of another's.
    #[error("`{0}` would be a file and a directory")]
    FileAndDirectory(RepoPath),
    /// A record, manifest or blob is not there or not what its name says.
    #[error("{what} {digest}: {why}")]
    Missing {
        /// `blob`, `record`, `manifest`.
        what: &'static str,
        /// Its name.
        digest: Digest,
        /// What was found instead.
        why: String,
    },
    /// The state has no such file.
    #[error("the snapshot has no file `{0}`")]
    NoFile(RepoPath),
}

/// A snapshot, read.
pub trait State {
    /// Returns the manifest's header.
    fn header(&self) -> &Header;

    /// Visits every line of the manifest in its order.
    fn lines(&self, visit: &mut dyn FnMut(&Line) -> Result<(), FormatError>) -> Result<(), FormatError>;

    /// Returns a record by its digest.
    fn record(&self, digest: &Digest) -> Result<Vec<u8>, TreeError>;

    /// Reads a file of the state whole; refuses one larger than `limit` bytes.
    fn read(&self, path: &RepoPath, limit: u64) -> Result<Vec<u8>, TreeError>;
}

/// A published tree in the making.
pub trait Tree {
    /// Places a blob at `path`: payloads may be linked, indexes are copied.
    fn place(&mut self, path: &RepoPath, blob: Measured, role: Role) -> Result<(), TreeError>;

    /// Writes an index that the lay-out made itself.
    fn write(&mut self, path: &RepoPath, bytes: &[u8]) -> Result<(), TreeError>;
}

/// Lays out every `file` line as it stands.
pub fn lay_out_files(state: &dyn State, tree: &mut dyn Tree) -> Result<(), FormatError> {
    state.lines(&mut |line| {
        if let Line::File { path, entry: crate::manifest::Entry::Present { measured, role } } = line {
            tree.place(path, *measured, *role)?;
        }
        Ok(())
    })
}

/// Where a tree is published, for the files that set a client up.
#[derive(Clone, Debug)]
pub struct Place {
    /// The repository's or view's name.
    pub name: String,
    /// The URL or `file:` address that clients reach the tree under, without a trailing slash.
    pub base: String,
    /// The path of the upstream's public keys as published beside the tree, where there are any: `<base>/<keys>`.
    pub keys: Option<RepoPath>,
    /// Whether upstream's signature over the metadata was verified, so that clients with these keys can check it.
    pub metadata_signed: bool,
    /// Whether every package's own signature was verified, so that clients with these keys can check it.
    pub packages_signed: bool,
    /// When it is published.
    pub at: Timestamp,
}

/// Who keeps a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// A client of the repository.
    Client,
    /// The web server that publishes it.
    Server,
}

/// A file that sets a client or the web server up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetUp {
    /// Its name (`bookworm.sources`, `baseos.repo`, `pip.conf`).
    pub name: String,
    /// Who keeps it.
    pub keeper: Keeper,
    /// Where it is kept.
    pub install_to: String,
    /// Its text.
    pub text: String,
}
