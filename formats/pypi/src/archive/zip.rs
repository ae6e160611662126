//! A zip archive's directory and single members of it (APPNOTE 6.3): stored or deflated, zip64, no encryption.

use std::io::{self, BufRead, Read, SeekFrom};

use chantal_contract::{
    FormatError, ReadSeek, RepoPath,
    limits::{ARCHIVE_MEMBERS, METADATA_BYTES, ZIP_DIRECTORY_BYTES},
};

/// One member, as the central directory lists it.
pub(super) struct Member {
    name: Vec<u8>,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

const END: &[u8; 4] = b"PK\x05\x06";
const END_LENGTH: u64 = 22;
const COMMENT: u64 = 65_535;
const LOCATOR: &[u8; 4] = b"PK\x06\x07";
const LOCATOR_LENGTH: u64 = 20;
const END64: &[u8; 4] = b"PK\x06\x06";
const ENTRY: &[u8; 4] = b"PK\x01\x02";
const LOCAL: &[u8; 4] = b"PK\x03\x04";

/// Little-endian fields taken from the front of a record.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }
    fn skip(&mut self, count: usize) -> Option<()> {
        self.bytes(count).map(|_| ())
    }
    fn u16(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.bytes(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}

/// Where the central directory lies.
struct Directory {
    offset: u64,
    length: u64,
    members: u64,
}

/// Lists the members whose names are wanted; reads the directory as a stream.
pub(super) fn members(
    file: &RepoPath,
    input: &mut dyn ReadSeek,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Member>, FormatError> {
    let fault =
        |what: &'static str| move || FormatError::malformed(file, "zip directory", what, "something else");
    let failed = |source| FormatError::Decode { file: file.clone(), source };
    let directory = directory(file, input)?;
    if directory.members > ARCHIVE_MEMBERS as u64 {
        return Err(FormatError::Limit {
            file: file.clone(),
            what: "number of members",
            limit: ARCHIVE_MEMBERS as u64,
        });
    }
    if directory.length > ZIP_DIRECTORY_BYTES {
        return Err(FormatError::Limit {
            file: file.clone(),
            what: "zip directory",
            limit: ZIP_DIRECTORY_BYTES,
        });
    }
    input.seek(SeekFrom::Start(directory.offset)).map_err(failed)?;
    let mut stream = (&mut *input).take(directory.length);
    let mut found = Vec::new();
    for _ in 0..directory.members {
        let mut head = [0; 46];
        stream.read_exact(&mut head).map_err(failed)?;
        let (member, lengths) = entry(&head).ok_or_else(fault("a directory entry"))?;
        let mut name = vec![0; usize::from(lengths.name)];
        stream.read_exact(&mut name).map_err(failed)?;
        let mut extra = vec![0; usize::from(lengths.extra)];
        stream.read_exact(&mut extra).map_err(failed)?;
        io::copy(&mut (&mut stream).take(u64::from(lengths.comment)), &mut io::sink()).map_err(failed)?;
        if std::str::from_utf8(&name).is_ok_and(wanted) {
            let mut member = Member { name, ..member };
            widen(&mut member, &extra).ok_or_else(fault("a zip64 field"))?;
            found.push(member);
        }
    }
    Ok(found)
}

struct Lengths {
    name: u16,
    extra: u16,
    comment: u16,
}

fn entry(head: &[u8]) -> Option<(Member, Lengths)> {
    let mut fields = Fields(head);
    if fields.bytes(4)? != ENTRY {
        return None;
    }
    fields.skip(4)?;
    let flags = fields.u16()?;
    let method = fields.u16()?;
    fields.skip(4)?;
    let crc = fields.u32()?;
    let (packed, size) = (fields.u32()?, fields.u32()?);
    let lengths = Lengths { name: fields.u16()?, extra: fields.u16()?, comment: fields.u16()? };
    fields.skip(8)?;
    let offset = fields.u32()?;
    // Bit 0: encrypted. No method is given to such a member, so that extracting it is refused.
    let method = if flags & 1 == 1 { u16::MAX } else { method };
    let member = Member {
        name: Vec::new(),
        method,
        crc,
        packed: packed.into(),
        size: size.into(),
        offset: offset.into(),
    };
    Some((member, lengths))
}

/// Takes the 64-bit values of extra field 1 for those that are all ones.
fn widen(member: &mut Member, extra: &[u8]) -> Option<()> {
    const ONES: u64 = 0xFFFF_FFFF;
    let mut fields = Fields(extra);
    while fields.0.len() >= 4 {
        let (id, length) = (fields.u16()?, fields.u16()?);
        let mut value = Fields(fields.bytes(length.into())?);
        if id == 1 {
            for narrow in [&mut member.size, &mut member.packed, &mut member.offset] {
                if *narrow == ONES {
                    *narrow = value.u64()?;
                }
            }
        }
    }
    Some(())
}

/// Finds the end record: the last one whose comment reaches exactly to the end of the file.
fn directory(file: &RepoPath, input: &mut dyn ReadSeek) -> Result<Directory, FormatError> {
    let failed = |source| FormatError::Decode { file: file.clone(), source };
    let none = || FormatError::malformed(file, "end", "a zip archive's end record", "something else");
    let length = input.seek(SeekFrom::End(0)).map_err(failed)?;
    let start = length.saturating_sub(END_LENGTH + COMMENT + LOCATOR_LENGTH);
    input.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut tail = Vec::new();
    (&mut *input).take(END_LENGTH + COMMENT + LOCATOR_LENGTH).read_to_end(&mut tail).map_err(failed)?;
    let mut found = None;
    for at in (0..tail.len()).rev() {
        let Some(record) = tail.get(at..).filter(|t| t.starts_with(END)) else { continue };
        if let Some(directory) = end_record(record) {
            found = Some((at, directory));
            break;
        }
    }
    let (at, mut directory) = found.ok_or_else(none)?;
    let locator =
        tail.get(..at).and_then(|head| head.len().checked_sub(20).and_then(|from| head.get(from..)));
    if let Some(locator) = locator.filter(|l| l.starts_with(LOCATOR)) {
        let mut fields = Fields(locator);
        let offset = fields.skip(8).and_then(|()| fields.u64()).ok_or_else(none)?;
        input.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut record = [0; 56];
        input.read_exact(&mut record).map_err(failed)?;
        directory = end64_record(&record).ok_or_else(none)?;
    }
    let within = directory.offset.checked_add(directory.length).is_some_and(|end| end <= length);
    if within { Ok(directory) } else { Err(none()) }
}

fn end_record(record: &[u8]) -> Option<Directory> {
    let mut fields = Fields(record);
    fields.skip(10)?;
    let members = fields.u16()?.into();
    let (length, offset) = (fields.u32()?.into(), fields.u32()?.into());
    let comment = fields.u16()?;
    (fields.0.len() == usize::from(comment)).then_some(Directory { offset, length, members })
}

fn end64_record(record: &[u8]) -> Option<Directory> {
    let mut fields = Fields(record);
    if fields.bytes(4)? != END64 {
        return None;
    }
    fields.skip(28)?;
    let members = fields.u64()?;
    let (length, offset) = (fields.u64()?, fields.u64()?);
    Some(Directory { offset, length, members })
}

/// Reads a member whole, at most [`METADATA_BYTES`]; its local header, size and checksum must agree with the directory.
pub(super) fn extract(
    file: &RepoPath,
    input: &mut dyn ReadSeek,
    member: &Member,
) -> Result<Vec<u8>, FormatError> {
    let shown = String::from_utf8_lossy(&member.name).into_owned();
    let fault = |expected: &str, found: String| {
        FormatError::malformed(file, format!("member {shown}"), expected, found)
    };
    let failed = |source| FormatError::Decode { file: file.clone(), source };
    if member.size > METADATA_BYTES {
        return Err(FormatError::Limit { file: file.clone(), what: "metadata", limit: METADATA_BYTES });
    }
    input.seek(SeekFrom::Start(member.offset)).map_err(failed)?;
    let mut head = [0; 30];
    input.read_exact(&mut head).map_err(failed)?;
    let (name_length, extra_length) =
        local(&head).ok_or_else(|| fault("a local header", "something else".into()))?;
    let mut name = vec![0; usize::from(name_length)];
    input.read_exact(&mut name).map_err(failed)?;
    if name != member.name {
        return Err(fault("its name in the local header", String::from_utf8_lossy(&name).into_owned()));
    }
    input.seek_relative(i64::from(extra_length)).map_err(failed)?;
    let mut packed = (&mut *input).take(member.packed);
    let bytes = match member.method {
        0 => super::read_bounded(file, &mut packed)?,
        8 => super::read_bounded(
            file,
            &mut flate2::bufread::DeflateDecoder::new(&mut packed as &mut dyn BufRead),
        )?,
        other => return Err(fault("stored or deflated bytes", format!("method {other}"))),
    };
    if bytes.len() as u64 != member.size {
        return Err(fault(&format!("{} bytes", member.size), format!("{} bytes", bytes.len())));
    }
    let mut crc = flate2::Crc::new();
    crc.update(&bytes);
    if crc.sum() != member.crc {
        return Err(fault("its checksum", format!("{:08x}", crc.sum())));
    }
    Ok(bytes)
}

fn local(head: &[u8]) -> Option<(u16, u16)> {
    let mut fields = Fields(head);
    if fields.bytes(4)? != LOCAL {
        return None;
    }
    fields.skip(22)?;
    Some((fields.u16()?, fields.u16()?))
}
