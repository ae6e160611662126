//! One member of a compressed tar archive (POSIX ustar, PAX, GNU).

use std::io::{self, Read};

use chantal_contract::{
    FormatError, ReadSeek, RepoPath,
    codec::Codec,
    limits::{ARCHIVE_MEMBERS, SDIST_OPEN_BYTES},
};

const BLOCK: usize = 512;

/// Reads the first regular file whose name is wanted; none where the archive holds none.
///
/// Names from PAX and GNU extensions are not looked at: PKG-INFO lies at `<name>-<version>/PKG-INFO`, which fits the header.
pub(super) fn member(
    file: &RepoPath,
    input: &mut dyn ReadSeek,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Option<Vec<u8>>, FormatError> {
    let failed = |source| FormatError::Decode { file: file.clone(), source };
    let codec = Codec::of_name(file.as_str());
    let mut input = input;
    let mut stream = codec.decode(&mut input, SDIST_OPEN_BYTES).map_err(failed)?;
    for number in 0..=ARCHIVE_MEMBERS {
        let mut block = [0; BLOCK];
        match stream.read_exact(&mut block) {
            Ok(()) => {}
            Err(e) if number > 0 && e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(failed(e)),
        }
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let header = Header::read(&block).ok_or_else(|| {
            FormatError::malformed(file, format!("member {}", number + 1), "a tar header", "something else")
        })?;
        if header.regular && wanted(&header.name) {
            let bytes = super::read_bounded(file, &mut (&mut stream).take(header.size))?;
            return if bytes.len() as u64 == header.size {
                Ok(Some(bytes))
            } else {
                Err(failed(io::ErrorKind::UnexpectedEof.into()))
            };
        }
        let padded = header.size.next_multiple_of(BLOCK as u64);
        let skipped = io::copy(&mut (&mut stream).take(padded), &mut io::sink()).map_err(failed)?;
        if skipped != padded {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Err(FormatError::Limit { file: file.clone(), what: "number of members", limit: ARCHIVE_MEMBERS as u64 })
}

struct Header {
    name: String,
    size: u64,
    regular: bool,
}

impl Header {
    fn read(block: &[u8; BLOCK]) -> Option<Self> {
        // The checksum counts its own field as blanks.
        let checksum = block.get(148..156)?;
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        if octal(checksum)? != sum(block) - sum(checksum) + sum(b"        ") {
            return None;
        }
        let text =
            |from: usize, to: usize| -> Option<&[u8]> { block.get(from..to)?.split(|b| *b == 0).next() };
        let (name, prefix) = (text(0, 100)?, text(345, 500)?);
        let ustar = block.get(257..263)? == b"ustar\0";
        let name = String::from_utf8_lossy(name);
        let name = if ustar && !prefix.is_empty() {
            format!("{}/{name}", String::from_utf8_lossy(prefix))
        } else {
            name.into_owned()
        };
        let kind = block.get(156)?;
        Some(Self { name, size: number(block.get(124..136)?)?, regular: matches!(kind, b'0' | 0) })
    }
}

/// Reads an octal number, or GNU's binary one.
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first()? {
        (0x80, rest) => {
            let (head, tail) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
            let plain = head.iter().all(|b| *b == 0);
            let value = u64::from_be_bytes(tail.try_into().ok()?);
            (plain && value <= SDIST_OPEN_BYTES).then_some(value)
        }
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c| c == ' ' || c == '\0');
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}
