//! The bytes of a pack; all numbers little-endian.
//!
//! ```text
//! chantal-pack⇥1⇥LF
//! blocks    zstd frames with checksum, each the records of up to 128 KiB, one after the other
//! index     per record, rising by digest: digest 32, block u32, offset in it u32, length u32
//! table     per block: start in the file u64, bytes as stored u32, bytes as decoded u32
//! footer    records u64, blocks u64, start of the index u64, SHA-256 of index and table 32, `chantal-pack-end`
//! ```

use chantal_contract::Digest;

/// What a pack begins with.
pub(super) const HEAD: &[u8] = b"chantal-pack\t1\t\n";
/// What a pack ends with.
pub(super) const END: &[u8; 16] = b"chantal-pack-end";
/// Bytes of an index entry.
pub(super) const ENTRY: usize = 44;
/// Bytes of a block's entry.
pub(super) const BLOCK: usize = 16;
/// Bytes of the footer.
pub(super) const FOOTER: usize = 72;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which block.
    pub block: u32,
    /// Where in the decoded block.
    pub offset: u32,
    /// Its bytes.
    pub length: u32,
}

impl Place {
    /// Cuts the record out of its decoded block.
    pub(super) fn of(self, block: &[u8]) -> Option<&[u8]> {
        let start = self.offset as usize;
        block.get(start..start.checked_add(self.length as usize)?)
    }
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where in the file.
    pub start: u64,
    /// Bytes there.
    pub stored: u32,
    /// Bytes decoded.
    pub decoded: u32,
}

/// What the end of a pack says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub records: u64,
    pub blocks: u64,
    pub index: u64,
    pub tables: Digest,
}

fn four(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn eight(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn digest(bytes: &[u8], at: usize) -> Option<Digest> {
    bytes.get(at..at + 32)?.try_into().ok().map(Digest::from_bytes)
}

/// Reads an index entry.
pub(super) fn entry(bytes: &[u8]) -> Option<(Digest, Place)> {
    let place = Place { block: four(bytes, 32)?, offset: four(bytes, 36)?, length: four(bytes, 40)? };
    Some((digest(bytes, 0)?, place))
}

/// Writes an index entry.
pub(super) fn put_entry(out: &mut Vec<u8>, name: &Digest, place: Place) {
    out.extend_from_slice(name.as_bytes());
    for number in [place.block, place.offset, place.length] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// Reads a block's entry.
pub(super) fn extent(bytes: &[u8]) -> Option<Extent> {
    Some(Extent { start: eight(bytes, 0)?, stored: four(bytes, 8)?, decoded: four(bytes, 12)? })
}

/// Writes a block's entry.
pub(super) fn put_extent(out: &mut Vec<u8>, extent: Extent) {
    out.extend_from_slice(&extent.start.to_le_bytes());
    out.extend_from_slice(&extent.stored.to_le_bytes());
    out.extend_from_slice(&extent.decoded.to_le_bytes());
}

/// Reads the footer.
pub(super) fn footer(bytes: &[u8]) -> Option<Footer> {
    let found = Footer {
        records: eight(bytes, 0)?,
        blocks: eight(bytes, 8)?,
        index: eight(bytes, 16)?,
        tables: digest(bytes, 24)?,
    };
    (bytes.get(56..) == Some(END.as_slice())).then_some(found)
}

/// Writes the footer.
pub(super) fn put_footer(out: &mut Vec<u8>, footer: &Footer) {
    for number in [footer.records, footer.blocks, footer.index] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(footer.tables.as_bytes());
    out.extend_from_slice(END);
}
