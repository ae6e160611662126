//! A package file: lead, signature header, main header, payload.
//!
//! Own code, since what is read here was written by strangers: every length is held against a limit before it is believed,
//! and nothing is allocated on a promise.

pub mod header;
pub mod tag;

mod fragment;
mod inspect;
mod vet;

pub use header::Header;
pub(crate) use inspect::inspect;
pub(crate) use vet::vet;

use std::io::{Read, SeekFrom};

use chantal_contract::{FormatError, ReadSeek, RepoPath};

use header::Region;

/// Bytes of the lead, a relic that only its first four bytes matter of.
pub const LEAD_BYTES: u64 = 96;

/// The headers of a package, and where its payload begins.
#[derive(Debug)]
pub struct Rpm {
    /// Signatures and digests; signed by nobody.
    pub signature: Header,
    /// What the package is; its bytes are what a header signature covers.
    pub header: Header,
    /// Where the main header begins, counted in bytes from the file's start.
    pub header_at: u64,
    /// Where the payload begins.
    pub payload_at: u64,
}

impl Rpm {
    /// Reads the headers from the start of `input` and leaves it at the payload.
    pub fn read(file: &RepoPath, input: &mut dyn Read) -> Result<Self, FormatError> {
        let lead = header::exactly(file, input, 0, LEAD_BYTES)?;
        let [0xed, 0xab, 0xee, 0xdb, ..] = *lead else {
            return Err(FormatError::malformed(file, "byte 0", "the lead of an RPM package", "other bytes"));
        };
        let signature = Header::read(file, input, LEAD_BYTES, Region::Signature)?;
        let unpadded = LEAD_BYTES + signature.raw().len() as u64;
        let header_at = unpadded.next_multiple_of(8);
        header::exactly(file, input, unpadded, header_at - unpadded)?;
        let header = Header::read(file, input, header_at, Region::Main)?;
        let payload_at = header_at + header.raw().len() as u64;
        Ok(Self { signature, header, header_at, payload_at })
    }

    /// Reads the headers of `input`, wound back to its start.
    pub fn rewound(file: &RepoPath, input: &mut dyn ReadSeek) -> Result<Self, FormatError> {
        seek(file, input, 0)?;
        Self::read(file, input)
    }
}

/// Winds `input` to `at`, counted from its start.
pub(crate) fn seek(file: &RepoPath, input: &mut dyn ReadSeek, at: u64) -> Result<(), FormatError> {
    match input.seek(SeekFrom::Start(at)) {
        Ok(_) => Ok(()),
        Err(source) => Err(FormatError::Decode { file: file.clone(), source }),
    }
}
