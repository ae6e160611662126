//! The tar headers of a volume: POSIX ustar, regular files, in one form only (specification §8).

use chantal_contract::limits::MEMBER_BYTES;

use crate::name::MemberName;

/// Bytes of a tar block.
pub const BLOCK: usize = 512;
/// The two blocks of zeros that end an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Why a block is no header of a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Its name is none that a member has.
    #[error("the name of a member is not `blobs/sha256/` and a digest")]
    Name,
    /// Its size is no octal number in its one form.
    #[error("the size of a member is not eleven octal digits")]
    Size,
    /// Some other field is not as the writer makes it.
    #[error("the header of a member is not in its one form")]
    Form,
}

/// Returns how many zeros follow `size` bytes of a member.
pub const fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

/// Makes a member's header; none when it is larger than eleven octal digits say.
///
/// Mode 0444, user and group 0, time 0: nothing but name and size differs between two headers.
pub fn header(name: &MemberName, size: u64) -> Option<[u8; BLOCK]> {
    if size > MEMBER_BYTES {
        return None;
    }
    let without_checksum = |checksum: &str| {
        let fields: [(&str, usize); 17] = [
            (&name.to_string(), 100),
            ("0000444", 8),
            ("0000000", 8),
            ("0000000", 8),
            (&format!("{size:011o}"), 12),
            ("00000000000", 12),
            (checksum, 8),
            ("0", 1),
            ("", 100),
            ("ustar", 6),
            ("00", 2),
            ("", 32),
            ("", 32),
            ("0000000", 8),
            ("0000000", 8),
            ("", 155),
            ("", 12),
        ];
        let mut block = [0; BLOCK];
        let mut rest = &mut block[..];
        for (text, width) in fields {
            let (field, after) = rest.split_at_mut_checked(width)?;
            field.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
            rest = after;
        }
        Some(block)
    };
    // The sum is taken with the field full of spaces: POSIX.1-2024, pax, ustar interchange format.
    let sum: u32 = without_checksum("        ")?.iter().map(|b| u32::from(*b)).sum();
    without_checksum(&format!("{sum:06o}\0 "))
}

/// Reads a member's header; accepts exactly what [`header`] makes.
pub fn parse(block: &[u8; BLOCK]) -> Result<(MemberName, u64), HeaderError> {
    let text = |from: usize, width: usize| {
        let field = block.get(from..from + width)?;
        let (text, _) = field.split_at(field.iter().position(|b| *b == 0)?);
        std::str::from_utf8(text).ok()
    };
    let name: MemberName = text(0, 100).and_then(|t| t.parse().ok()).ok_or(HeaderError::Name)?;
    let size = text(124, 12).and_then(|t| u64::from_str_radix(t, 8).ok());
    let size = size.ok_or(HeaderError::Size)?;
    if header(&name, size).as_ref() == Some(block) { Ok((name, size)) } else { Err(HeaderError::Form) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Part;
    use chantal_contract::Digest;

    fn name() -> MemberName {
        MemberName { blob: Digest::of(b"x"), part: Part::Nth(3) }
    }

    #[test]
    fn another_implementation_reads_the_same() {
        let block = header(&name(), 0o12345).unwrap();
        let theirs = tar::Header::from_byte_slice(&block);
        assert_eq!(theirs.path().unwrap().to_str().unwrap(), name().to_string());
        assert_eq!(theirs.size().unwrap(), 0o12345);
        assert_eq!((theirs.mode().unwrap(), theirs.uid().unwrap(), theirs.mtime().unwrap()), (0o444, 0, 0));
        assert!(theirs.entry_type().is_file());
        assert!(theirs.as_ustar().is_some());
        let mut summed = theirs.clone();
        summed.set_cksum();
        assert_eq!(summed.cksum().unwrap(), theirs.cksum().unwrap());
    }

    #[test]
    fn accepts_one_form_only() {
        let block = header(&name(), 511).unwrap();
        assert_eq!(parse(&block), Ok((name(), 511)));
        for at in 0..BLOCK {
            for bit in 0..8 {
                let mut bad = block;
                bad[at] ^= 1 << bit;
                assert!(parse(&bad).is_err(), "byte {at} bit {bit}");
            }
        }
        // A header that is right in itself and of another kind.
        let mut link = tar::Header::from_byte_slice(&block).clone();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_cksum();
        assert_eq!(parse(link.as_bytes()), Err(HeaderError::Form));
        let mut elsewhere = tar::Header::new_ustar();
        elsewhere.set_path("blobs/sha256/../../etc/passwd").unwrap_err();
        elsewhere.set_path("etc/passwd").unwrap();
        elsewhere.set_size(0);
        elsewhere.set_cksum();
        assert_eq!(parse(elsewhere.as_bytes()), Err(HeaderError::Name));
        assert!(parse(&[0; BLOCK]).is_err());
    }

    #[test]
    fn a_size_keeps_its_limit() {
        for size in [0, MEMBER_BYTES - 1, MEMBER_BYTES] {
            assert_eq!(parse(&header(&name(), size).unwrap()), Ok((name(), size)));
        }
        assert!(header(&name(), MEMBER_BYTES + 1).is_none());
        assert_eq!([padding(0), padding(1), padding(512), padding(513)], [0, 511, 0, 511]);
    }
}
