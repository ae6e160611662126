//! Every change to the file system, seen: traced at the lowest level, and recorded or refused by a test.

use std::{fmt, io, path::Path};

/// A change to the file system.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Op<'a> {
    /// A new, empty file.
    Create(&'a Path),
    /// Bytes written at an offset.
    Write(&'a Path, u64, &'a [u8]),
    /// A file cut to a length.
    Truncate(&'a Path, u64),
    /// A file's content made durable.
    Sync(&'a Path),
    /// Another name.
    Rename(&'a Path, &'a Path),
    /// A name taken away.
    Remove(&'a Path),
    /// A new, empty directory.
    MakeDir(&'a Path),
    /// A directory's names made durable.
    SyncDir(&'a Path),
    /// Everything on the file system made durable.
    SyncAll(&'a Path),
}

impl Op<'_> {
    /// Returns the path that is changed.
    pub(in crate::store) fn path(&self) -> &Path {
        match self {
            Self::Create(path)
            | Self::Write(path, ..)
            | Self::Truncate(path, _)
            | Self::Sync(path)
            | Self::Rename(_, path)
            | Self::Remove(path)
            | Self::MakeDir(path)
            | Self::SyncDir(path)
            | Self::SyncAll(path) => path,
        }
    }
}
impl fmt::Display for Op<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(_) => f.write_str("create"),
            Self::Write(_, at, bytes) => write!(f, "write {} bytes at {at}", bytes.len()),
            Self::Truncate(_, length) => write!(f, "cut to {length} bytes"),
            Self::Sync(_) => f.write_str("sync"),
            Self::Rename(from, _) => write!(f, "rename `{}` to", from.display()),
            Self::Remove(_) => f.write_str("remove"),
            Self::MakeDir(_) => f.write_str("make directory"),
            Self::SyncDir(_) => f.write_str("sync directory"),
            Self::SyncAll(_) => f.write_str("sync file system of"),
        }?;
        write!(f, " `{}`", self.path().display())
    }
}

/// Asks whether a change may be made; only a test refuses.
#[cfg_attr(not(test), expect(clippy::unnecessary_wraps, reason = "a test refuses"))]
pub(super) fn before(op: &Op<'_>) -> io::Result<()> {
    tracing::trace!(target: "chantal::file", "{op}");
    #[cfg(test)]
    super::trace::before(op)?;
    Ok(())
}

/// Tells that a change was made.
pub(super) fn after(op: &Op<'_>) {
    #[cfg(test)]
    super::trace::after(op);
    let _ = op;
}
