//! `index.zst`: what changes, the records, and what every volume holds, as lines of text (specification §7).
//!
//! ```text
//! chantal-index⇥1
//! state⇥REPOSITORY⇥MANIFEST⇥BASE                  (BASE is - when the snapshot travels whole)
//! =FIRST LINE OF THE MANIFEST
//! -LINE                                           (only the base has it)
//! +LINE                                           (the base has it not)
//! evidence⇥LIST⇥BASE
//! =FIRST LINE OF THE EVIDENCE LIST
//! -LINE
//! +LINE
//! review⇥BASE-PACKAGES⇥PACKAGES                   (and what follows of it: see `index/review.rs`)
//! record⇥SHA256⇥SIZE
//! SIZE BYTES
//! volume⇥NUMBER⇥SIZE⇥SHA256
//! cell⇥SHA256
//! blob⇥SHA256⇥SIZE
//! part⇥SHA256⇥SIZE⇥NUMBER⇥PARTS⇥PART-SHA256⇥PART-SIZE
//! end⇥STATES⇥RECORDS⇥VOLUMES⇥BLOBS
//! ```
//!
//! Sections stand in this order; each state has a review. Lines of a delta rise, records rise by digest, volumes count from 1, the blobs of all volumes
//! rise by digest. Everything is written in one form only.

mod line;
mod reader;
pub mod review;
mod writer;

use std::io;

use chantal_contract::{
    Digest, Measured, Name,
    limits::{MANIFEST_LINE_BYTES, RECORD_BYTES},
};

pub use reader::Reader;
pub use review::ReviewLine;
pub use writer::Writer;

use crate::name::{MemberName, Part, VolumeNumber};

/// The version of this format that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// The file's name in a bundle.
pub const FILE: &str = "index.zst";
pub(crate) const MAGIC: &str = "chantal-index";
/// The compression level; levels do not matter to readers, and must not change if bytes are to be equal.
pub(crate) const LEVEL: i32 = 3;
/// The logarithm of the window that a reader allows: what the level above asks for at most, and some room.
pub(crate) const WINDOW_LOG: u32 = 24;
/// Bytes of one line: one of a list, and its mark.
pub(crate) const LINE_BYTES: usize = MANIFEST_LINE_BYTES + 1;

/// A member of a volume: a blob, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The blob that it is, or is a part of.
    pub blob: Measured,
    /// Which part, where the blob had to be split.
    pub part: Option<MemberPart>,
}

/// Which part of a blob a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberPart {
    /// Counted from 1.
    pub number: u32,
    /// How many parts the blob has; at least 2.
    pub of: u32,
    /// The part's own digest and size.
    pub measured: Measured,
}

impl Member {
    /// Returns the name of the member in its volume.
    pub fn name(&self) -> MemberName {
        let part = self.part.map_or(Part::Whole, |p| Part::Nth(p.number));
        MemberName { blob: self.blob.sha256, part }
    }

    /// Returns digest and size of the member's own bytes.
    pub fn content(&self) -> Measured {
        self.part.map_or(self.blob, |p| p.measured)
    }
}

/// What a volume is: its number, size and digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeEntry {
    /// Which volume.
    pub number: VolumeNumber,
    /// Size and digest of the file.
    pub measured: Measured,
}

/// How many of each an index held; what its last line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Snapshots.
    pub states: u64,
    /// Records.
    pub records: u64,
    /// Volumes.
    pub volumes: u64,
    /// Blobs; one that is split counts once.
    pub blobs: u64,
}

/// What an index says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The delta of a snapshot's manifest begins.
    State {
        /// Its repository.
        repository: &'a Name,
        /// The digest of the manifest that comes out.
        manifest: Digest,
        /// The manifest that the delta starts from.
        base: Option<Digest>,
    },
    /// The delta of the evidence list of the state before begins.
    Evidence {
        /// The digest of the list that comes out.
        list: Digest,
        /// The list that the delta starts from.
        base: Option<Digest>,
    },
    /// The first line of what comes out.
    First(&'a str),
    /// A line that only the base has.
    Removed(&'a str),
    /// A line that the base has not.
    Added(&'a str),
    /// A line of what the state changes, for people.
    Review(&'a ReviewLine),
    /// A record, whose digest was checked.
    Record {
        /// Its digest.
        digest: Digest,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A volume's description begins.
    Volume(VolumeEntry),
    /// The digest of the volume's next cell.
    Cell(Digest),
    /// The volume's next member.
    Member(Member),
    /// The end; nothing follows.
    End(Totals),
}

/// Why some bytes are no index, or none can be written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// They cannot be read, decompressed or written.
    #[error("index: {0}")]
    Io(#[from] io::Error),
    /// A line is not of the one form, or not in its place.
    #[error("index line {line}: {why}")]
    Form {
        /// Counted from 1; a record's bytes count as one line.
        line: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// A record is longer than records are.
    #[error("index line {line}: a record of {size} bytes, where {RECORD_BYTES} is the most it may have")]
    Record {
        /// Counted from 1.
        line: u64,
        /// Its size.
        size: u64,
    },
    /// It is of a version that this program does not know.
    #[error("the index is of format {0}, this program reads format {VERSION}")]
    Version(String),
}

#[cfg(test)]
mod tests;
