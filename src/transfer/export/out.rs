//! The directory that a bundle's own directory is made in.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use crate::transfer::{ExportError, TransferError};

/// Why nothing can be written where a bundle was to go.
#[derive(Debug, thiserror::Error)]
pub enum OutFault {
    /// Nothing is there. It is not made: where a medium is not mounted, the bundle would fill the disk below.
    #[error("there is no such directory")]
    Missing,
    /// It is a symbolic link, and what it leads to is not there.
    #[error("it is a link that leads nowhere")]
    Dangling,
    /// It is a file, a pipe or a device.
    #[error("it is no directory")]
    NoDirectory,
    /// The system lets nobody, or not this user, write there.
    #[error("nothing can be written there: {0}")]
    Closed(io::Error),
}

impl OutFault {
    /// Returns what helps.
    pub fn hint(&self, path: &Path) -> String {
        match self {
            Self::Missing => format!("mount the medium, or `mkdir -p {}`", path.display()),
            Self::Dangling => "mount the medium that it leads to".into(),
            Self::NoDirectory => "name a directory: the bundle's own directory is made in it".into(),
            Self::Closed(_) => "mount the medium writable, or give its directory to this user".into(),
        }
    }

    fn at(self, path: &Path) -> TransferError {
        TransferError::Export(ExportError::Out { path: path.into(), source: self })
    }
}

/// Refuses what is no directory, or no more than a link to one.
pub(in crate::transfer) fn expect(out: &Path) -> Result<(), TransferError> {
    let fault = match fs::metadata(out) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => OutFault::NoDirectory,
        Err(error) => match error.kind() {
            ErrorKind::NotFound if out.is_symlink() => OutFault::Dangling,
            ErrorKind::NotFound => OutFault::Missing,
            ErrorKind::NotADirectory => OutFault::NoDirectory,
            ErrorKind::PermissionDenied => OutFault::Closed(error),
            _ => return Err(TransferError::io(out, error)),
        },
    };
    Err(fault.at(out))
}

/// Tells a directory that may not be written to from what else may fail in it.
pub(super) fn closed(out: &Path, error: TransferError) -> TransferError {
    match error {
        TransferError::Io { source, .. }
            if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
        {
            OutFault::Closed(source).at(out)
        }
        other => other,
    }
}
