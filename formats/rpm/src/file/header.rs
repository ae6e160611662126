//! A header: an index of tags over a store of data, as rpm's `header.c` and `hdrblob` read it.
//!
//! It begins with `8e ad e8 01`, four bytes of nothing, the number of entries and the number of bytes of the store, both
//! big-endian; entries of 16 bytes (tag, type, offset, count) follow, then the store.

use std::io::Read;

use chantal_contract::{
    FormatError, RepoPath,
    limits::{RPM_HEADER_BYTES, RPM_HEADER_TAGS},
};

use super::tag::{REGION_IMMUTABLE, REGION_SIGNATURES};

const MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];
const INTRO: usize = 16;
const ENTRY: usize = 16;

/// Which of a package's two headers is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The one that holds signatures. It need not declare a region.
    Signature,
    /// The one that describes the package. Its region must span all of it: what stands outside would be signed by nobody.
    Main,
}

/// The type of an entry's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    /// Bytes and characters.
    Bytes,
    /// 16-bit integers.
    Int16,
    /// 32-bit integers.
    Int32,
    /// 64-bit integers.
    Int64,
    /// One string, or several, each ended by NUL.
    Strings,
}

/// One entry of the index, checked: its data lies inside the store and overlaps no other.
#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u32,
    kind: Type,
    count: u32,
    /// From where to where its data lies in the raw bytes.
    start: usize,
    end: usize,
}

/// A header that was read and checked.
#[derive(Debug)]
pub struct Header {
    raw: Vec<u8>,
    entries: Vec<Entry>,
}

impl Header {
    /// Reads the header that begins at byte `at` of `file`.
    pub fn read(file: &RepoPath, input: &mut dyn Read, at: u64, region: Region) -> Result<Self, FormatError> {
        let fault = |expected: &str, found: &str| {
            Err(FormatError::malformed(file, format!("header at byte {at}"), expected, found))
        };
        let mut raw = exactly(file, input, at, INTRO as u64)?;
        if !raw.starts_with(&MAGIC) {
            return fault("the magic of a header", "other bytes");
        }
        let (Some(count), Some(size)) = (be32(&raw, 8), be32(&raw, 12)) else {
            return fault("sixteen bytes", "fewer");
        };
        for (found, limit, what) in [
            (count, RPM_HEADER_TAGS, "the number of a header's entries"),
            (size, RPM_HEADER_BYTES, "the size of a header's data"),
        ] {
            if found > limit {
                return Err(FormatError::Limit { file: file.clone(), what, limit: limit.into() });
            }
        }
        let rest = u64::from(count) * ENTRY as u64 + u64::from(size);
        raw.extend(exactly(file, input, at + INTRO as u64, rest)?);
        match index(&raw, count, region) {
            Ok(entries) => Ok(Self { raw, entries }),
            Err((number, why)) => {
                let place = format!("header at byte {at}, entry {number}");
                Err(FormatError::malformed(file, place, why, "something else"))
            }
        }
    }

    /// Returns the header's bytes from its magic to its end: what a header signature covers.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    fn data(&self, tag: u32, kind: Type) -> Option<(&[u8], u32)> {
        let entry = self.entries.iter().find(|e| e.tag == tag && e.kind == kind)?;
        Some((self.raw.get(entry.start..entry.end)?, entry.count))
    }

    /// Returns the bytes of a binary tag.
    pub fn bytes(&self, tag: u32) -> Option<&[u8]> {
        self.data(tag, Type::Bytes).map(|(data, _)| data)
    }

    /// Yields the strings of a tag, without their NULs; of a translated one, the untranslated comes first.
    pub fn strings(&self, tag: u32) -> impl Iterator<Item = &[u8]> {
        let (data, count) = self.data(tag, Type::Strings).unwrap_or_default();
        data.split(|b| *b == 0).take(count as usize)
    }

    /// Returns the first string of a tag; bytes that are no UTF-8 are replaced.
    pub fn text(&self, tag: u32) -> Option<String> {
        self.strings(tag).next().map(|s| String::from_utf8_lossy(s).into_owned())
    }

    /// Yields the 16-bit integers of a tag.
    pub fn int16s(&self, tag: u32) -> impl Iterator<Item = u16> {
        let (data, _) = self.data(tag, Type::Int16).unwrap_or_default();
        data.as_chunks::<2>().0.iter().map(|c| u16::from_be_bytes(*c))
    }

    /// Yields the 32-bit integers of a tag.
    pub fn int32s(&self, tag: u32) -> impl Iterator<Item = u32> {
        let (data, _) = self.data(tag, Type::Int32).unwrap_or_default();
        data.as_chunks::<4>().0.iter().map(|c| u32::from_be_bytes(*c))
    }

    /// Yields the 64-bit integers of a tag.
    pub fn int64s(&self, tag: u32) -> impl Iterator<Item = u64> {
        let (data, _) = self.data(tag, Type::Int64).unwrap_or_default();
        data.as_chunks::<8>().0.iter().map(|c| u64::from_be_bytes(*c))
    }

    /// Tells whether there is such a tag, of whatever type.
    pub fn has(&self, tag: u32) -> bool {
        self.entries.iter().any(|e| e.tag == tag)
    }
}

/// Checks the index as `hdrblobVerifyInfo` does; the number of the entry that is at fault, and what it should have been.
fn index(raw: &[u8], count: u32, region: Region) -> Result<Vec<Entry>, (usize, &'static str)> {
    let store = INTRO + count as usize * ENTRY;
    let whole = raw.len().checked_sub(store).ok_or((0, "an index inside the header"))?;
    // the trailer of a region that spans all ends the store and is nobody's data
    let trailer = if region == Region::Main { ENTRY } else { 0 };
    let size = whole.checked_sub(trailer).ok_or((0, "a store that holds a region's trailer"))?;
    if count == 0 && region == Region::Main {
        return Err((0, "the region of the header"));
    }
    let mut entries = Vec::with_capacity(count as usize);
    let mut end = 0;
    for number in 0..count as usize {
        let at = INTRO + number * ENTRY;
        let field = |n: usize| be32(raw, at + 4 * n).ok_or((number, "an entry of sixteen bytes"));
        let (tag, kind, offset, items) = (field(0)?, field(1)?, field(2)?, field(3)?);
        let (offset, items_usize) = (offset as usize, items as usize);
        if number == 0 && matches!(tag, REGION_IMMUTABLE | REGION_SIGNATURES) {
            check_region(raw, store, (tag, kind, offset, items), region).map_err(|why| (0, why))?;
            continue;
        }
        if number == 0 && region == Region::Main {
            return Err((0, "the region of the header"));
        }
        if tag < 100 {
            return Err((number, "a tag above 100"));
        }
        let (kind, width) = match kind {
            1 | 2 | 7 => (Type::Bytes, 1),
            3 => (Type::Int16, 2),
            4 => (Type::Int32, 4),
            5 => (Type::Int64, 8),
            6 if items != 1 => return Err((number, "one string")),
            6 | 8 | 9 => (Type::Strings, 1),
            _ => return Err((number, "a type between 1 and 9")),
        };
        if items == 0 || items_usize > size {
            return Err((number, "a count that fits the header's data"));
        }
        if offset < end || offset > size {
            return Err((number, "an offset behind the former entry's data"));
        }
        if offset % width != 0 {
            return Err((number, "an offset aligned to its type"));
        }
        let start = store + offset;
        let length = if kind == Type::Strings {
            let data = raw.get(start..store + size).unwrap_or_default();
            let last = data.iter().enumerate().filter(|(_, b)| **b == 0).nth(items_usize - 1);
            last.map(|(at, _)| at + 1).ok_or((number, "strings that end inside the header"))?
        } else {
            items_usize.checked_mul(width).ok_or((number, "a count that fits the header's data"))?
        };
        end = offset + length;
        if end > size {
            return Err((number, "data inside the header"));
        }
        entries.push(Entry { tag, kind, count: items, start, end: start + length });
    }
    Ok(entries)
}

/// Checks a region: sixteen bytes of the store that repeat its tag and say how much of the index it spans.
fn check_region(
    raw: &[u8],
    store: usize,
    (tag, kind, offset, items): (u32, u32, usize, u32),
    region: Region,
) -> Result<(), &'static str> {
    let wanted = if region == Region::Main { REGION_IMMUTABLE } else { REGION_SIGNATURES };
    if tag != wanted || kind != 7 || items != 16 {
        return Err("the region of this header");
    }
    let trailer = store + offset;
    let field = |n: usize| be32(raw, trailer + 4 * n).ok_or("a region inside the header");
    // a signature header's trailer carries the main header's tag in packages of some tools
    let (found, kind, back, items) = (field(0)?, field(1)?, field(2)?, field(3)?);
    if kind != 7 || items != 16 || !matches!(found, REGION_IMMUTABLE | REGION_SIGNATURES) {
        return Err("the trailer of a region");
    }
    let span = back.wrapping_neg() as usize;
    if region == Region::Main && (span != store - INTRO || trailer + ENTRY != raw.len() || found != wanted) {
        return Err("a region that spans the whole header");
    }
    Ok(())
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|c| u32::from_be_bytes(*c))
}

/// Reads exactly `size` bytes, which begin at byte `at` of `file`; memory grows with what comes, not with what was promised.
pub(crate) fn exactly(
    file: &RepoPath,
    input: &mut dyn Read,
    at: u64,
    size: u64,
) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::new();
    match input.take(size).read_to_end(&mut bytes) {
        Ok(n) if n as u64 == size => Ok(bytes),
        Ok(n) => Err(FormatError::malformed(
            file,
            format!("byte {at}"),
            format!("{size} more bytes"),
            format!("{n} and the end of the file"),
        )),
        Err(source) => Err(FormatError::Decode { file: file.clone(), source }),
    }
}

#[cfg(test)]
mod tests;
