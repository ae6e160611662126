//! Volumes: blobs in tar archives in zstd frames, none larger than the medium takes (specification §8).

mod pack;
mod unpack;

use std::io;

use chantal_contract::{
    Digest, Measured,
    limits::{BLOB_PARTS, VOLUME_BYTES, VOLUME_BYTES_LEAST},
};

pub use pack::{Packer, Volumes};
pub use unpack::Unpacker;

use crate::{name::BundleNameError, ustar::HeaderError};

/// Why blobs cannot be packed into volumes.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The limit of a volume's size is too small or too large.
    #[error("a volume of {found} bytes: it takes {VOLUME_BYTES_LEAST} to {VOLUME_BYTES}")]
    Limit {
        /// What was asked for.
        found: u64,
    },
    /// There would be more volumes than can be named.
    #[error(transparent)]
    Volumes(#[from] BundleNameError),
    /// A blob would have more parts than can be named.
    #[error("blob {0} would be split into more than {BLOB_PARTS} parts: take larger volumes")]
    Parts(Digest),
    /// A blob cannot be read.
    #[error("blob {blob}: {source}")]
    Read {
        /// Which blob.
        blob: Digest,
        /// The system's word.
        source: io::Error,
    },
    /// A blob is not what its name says.
    #[error("blob {} is damaged: {} bytes that hash to {}, where {} were expected", blob.sha256, found.size, found.sha256, blob.size)]
    Damaged {
        /// What it should be.
        blob: Measured,
        /// What was read.
        found: Measured,
    },
}

/// Why a volume cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It cannot be read: the medium fails, or a cell is not what was signed ([`crate::cells::CellError::of`]).
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A header is not in its one form.
    #[error("at byte {at} of the archive: {source}")]
    Header {
        /// Where, counted in the bytes of the archive.
        at: u64,
        /// What is wrong.
        source: HeaderError,
    },
    /// The zeros after a member or at the end are none, or something follows.
    #[error("at byte {at} of the archive: {why}")]
    Form {
        /// Where, counted in the bytes of the archive.
        at: u64,
        /// What is wrong.
        why: &'static str,
    },
}

#[cfg(test)]
mod tests;
