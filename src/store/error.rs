//! What the store refuses, and why.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use chantal_contract::{Digest, Mismatch, TreeError, manifest::ManifestError, name::NameError};

use super::{SiteName, journal, lock::Holder};

/// What a digest of the store names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// Bytes in the pool.
    Blob,
    /// An index record in a pack.
    Record,
    /// The manifest of a snapshot.
    Manifest,
}

impl Object {
    /// Returns the word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Record => "record",
            Self::Manifest => "manifest",
        }
    }
}
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The file system or a quota is full.
    #[error("no space left to write `{}`", path.display())]
    NoSpace {
        /// The file that was being written.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Bytes are not what was expected of them.
    #[error("{mismatch}")]
    Mismatch {
        /// How they differ.
        #[from]
        mismatch: Mismatch,
    },
    /// The store does not hold what a digest names.
    #[error("{what} {digest} is not in the store")]
    Missing {
        /// What it would be.
        what: Object,
        /// Its name.
        digest: Digest,
    },
    /// A file of the store is not what the store wrote.
    #[error("`{}` is damaged, {place}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it: `line 7`, `block 3`.
        place: String,
        /// What is wrong there.
        why: String,
    },
    /// Somebody else is at it.
    #[error("{what} is in use by {}", Holders(by))]
    Locked {
        /// What is locked: ``the store``, ``repository `bookworm` ``.
        what: String,
        /// Who holds it, as far as that is known.
        by: Vec<Holder>,
    },
    /// Nothing has that name.
    #[error("there is no {what}")]
    NotFound {
        /// What was asked for: ``repository `bookwrm` ``.
        what: String,
        /// What there is instead; may be empty.
        has: Vec<String>,
    },
    /// Something is there already.
    #[error("{what} exists already")]
    Exists {
        /// What is there: ``store `/var/lib/chantal` ``, ``snapshot `bookworm@v1` ``.
        what: String,
    },
    /// A directory holds no store.
    #[error("`{}` holds no store", path.display())]
    NoStore {
        /// The directory.
        path: PathBuf,
    },
    /// A store or a backup is another site's.
    #[error("`{}` is of site `{found}`, this is site `{here}`", path.display())]
    OtherSite {
        /// The store or the backup.
        path: PathBuf,
        /// Whose it is.
        found: SiteName,
        /// Who we are.
        here: SiteName,
    },
    /// A file is none that `db backup` wrote, or the medium cut it short.
    #[error("`{}` is no backup, or not a whole one: {why}", path.display())]
    NoBackup {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file would be written into a directory that is not there.
    #[error("there is no directory `{}`", path.display())]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A newer version of this program wrote it.
    #[error("`{}` was written by a newer version of this program ({found}, this one knows {known})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// The newest that is understood.
        known: String,
    },
    /// Two histories disagree.
    #[error("the journal and `{}` part after entry {common}: neither continues the other", path.display())]
    Diverged {
        /// The other history.
        path: PathBuf,
        /// The last entry that both have.
        common: u64,
    },
    /// A manifest is not of its one form.
    #[error("manifest {digest}: {source}")]
    Manifest {
        /// Its name, or what it was to be based on.
        digest: Digest,
        /// What is wrong.
        source: ManifestError,
    },
    /// A new manifest is not of its one form.
    #[error("new manifest: {source}")]
    NewManifest {
        /// What is wrong.
        source: ManifestError,
    },
    /// An evidence list is not of its one form.
    #[error("evidence line {line}: {why}")]
    Evidence {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// SQLite refused.
    #[error("`{}`: {source}", path.display())]
    Catalog {
        /// The catalog.
        path: PathBuf,
        /// SQLite's word.
        source: rusqlite::Error,
    },
    /// A name is none.
    #[error(transparent)]
    Name(#[from] NameError),
}

struct Holders<'a>(&'a [Holder]);
impl fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("another process");
        }
        // a process may share a lock with itself, several times
        let mut told: Vec<&Holder> = Vec::new();
        for holder in self.0 {
            if told.iter().any(|other| other.pid == holder.pid) {
                continue;
            }
            let comma = if told.is_empty() { "" } else { ", " };
            write!(f, "{comma}{holder}")?;
            told.push(holder);
        }
        Ok(())
    }
}

impl StoreError {
    /// Adds the path to what the system said; a full disk or quota becomes [`StoreError::NoSpace`].
    ///
    /// An error that already is one of the store's, wrapped on its way through [`io::Write`] or [`io::Read`], is taken out.
    pub fn io(path: &Path, source: io::Error) -> Self {
        if source.get_ref().is_some_and(|inner| inner.is::<StoreError>() || inner.is::<Mismatch>()) {
            let Some(inner) = source.into_inner() else { return Self::wordless(path) };
            return match inner.downcast::<StoreError>() {
                Ok(error) => *error,
                Err(other) => match other.downcast::<Mismatch>() {
                    Ok(mismatch) => Self::Mismatch { mismatch: *mismatch },
                    Err(other) => Self::Io { path: path.into(), source: io::Error::other(other) },
                },
            };
        }
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path: path.into(), source }
            }
            _ => Self::Io { path: path.into(), source },
        }
    }

    fn wordless(path: &Path) -> Self {
        Self::Io { path: path.into(), source: io::ErrorKind::Other.into() }
    }

    /// Wraps the error so that it passes through [`io::Write`] and [`io::Read`]; [`StoreError::io`] takes it out again.
    pub fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Io { source, .. } | Self::NoSpace { source, .. } => source.kind(),
            Self::Missing { .. } | Self::NotFound { .. } => io::ErrorKind::NotFound,
            Self::Mismatch { .. } | Self::Damaged { .. } | Self::Manifest { .. } => {
                io::ErrorKind::InvalidData
            }
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }

    pub(crate) fn damaged(path: &Path, place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), place: place.into(), why: why.into() }
    }

    /// Says what is wrong with a stored manifest; what the system said of a file stays that.
    pub(crate) fn manifest(digest: Digest, source: ManifestError) -> Self {
        match source {
            ManifestError::Io(error) if is_ours(&error) => Self::io(Path::new("manifests"), error),
            source => Self::Manifest { digest, source },
        }
    }

    /// Says what is wrong with a manifest that is being written.
    pub(crate) fn from_new_manifest(source: ManifestError) -> Self {
        match source {
            ManifestError::Io(error) if is_ours(&error) => Self::io(Path::new("manifests"), error),
            source => Self::NewManifest { source },
        }
    }

    /// Tells whether the journal is not what was written: its chain of digests breaks.
    pub fn is_of_journal(&self) -> bool {
        matches!(self, Self::Damaged { path, .. } if path.file_name().is_some_and(|name| name == journal::FILE))
    }

    /// Returns the command or the step that helps, if one does.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSpace { .. } => {
                "free some space (`chantal gc` removes what no snapshot needs), then run the command again".into()
            }
            Self::Missing { what: Object::Blob, .. } => {
                "`chantal verify` lists what is missing; a `sync` or `import` of the repository brings it back".into()
            }
            _ if self.is_of_journal() => {
                "`chantal db rebuild` mends the journal from the catalog's copy; what neither holds, `chantal db restore BACKUP` brings back".into()
            }
            Self::Missing { .. } | Self::Damaged { .. } | Self::Manifest { .. } => {
                "`chantal verify` and `chantal db verify` list the damage; `chantal db restore BACKUP` brings back what a backup holds".into()
            }
            Self::Locked { .. } => "wait until it has ended, or end it, then run the command again".into(),
            Self::NotFound { has, .. } if !has.is_empty() => format!("there is {}", some_of(has)),
            Self::NoStore { .. } => "`chantal init` makes what the configuration names and is not there yet".into(),
            Self::OtherSite { .. } => "set `site` right in the configuration, or name the other file".into(),
            Self::NoBackup { .. } => "name a file that `chantal db backup FILE` wrote".into(),
            Self::NoDirectory { path } => format!("mkdir -p {}", path.display()),
            Self::Newer { .. } => "use the version of chantal that wrote it, or a newer one".into(),
            Self::Diverged { .. } => {
                "nothing was changed; name an empty directory as `storage: { root: … }`, restore there, and compare the two".into()
            }
            Self::Catalog { .. } => "`chantal db rebuild` makes the catalog anew from the journal".into(),
            _ => return None,
        })
    }
}

/// Tells whether one of the store's errors is inside.
fn is_ours(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<StoreError>)
}

/// Lists at most eight of `names`.
fn some_of(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(8).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(shown.len());
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &tail
}

impl From<StoreError> for TreeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io { path, source } | StoreError::NoSpace { path, source } => {
                Self::Io { path: path.display().to_string(), source }
            }
            StoreError::Missing { what, digest } => {
                Self::Missing { what: what.name(), digest, why: "not in the store".into() }
            }
            StoreError::Manifest { digest, source } => {
                Self::Missing { what: Object::Manifest.name(), digest, why: source.to_string() }
            }
            other => Self::Io { path: "store".into(), source: io::Error::other(other) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_through_a_writer() {
        let missing = StoreError::Missing { what: Object::Blob, digest: Digest::of(b"x") };
        let said = missing.to_string();
        let back = StoreError::io(Path::new("elsewhere"), missing.into_io());
        assert_eq!(back.to_string(), said);
        let mismatch = Mismatch::TooLong { bound: 3 };
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, mismatch.clone());
        assert!(matches!(
            StoreError::io(Path::new("p"), wrapped),
            StoreError::Mismatch { mismatch: found } if found == mismatch
        ));
    }

    #[test]
    fn a_full_disk_is_named_as_such() {
        let full = StoreError::io(Path::new("p"), io::ErrorKind::StorageFull.into());
        assert!(matches!(full, StoreError::NoSpace { .. }));
        assert!(full.hint().unwrap().contains("gc"));
    }
}
