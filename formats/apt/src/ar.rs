//! The `ar` archive that a `.deb` is (deb(5), `ar(5)`): the headers of its members, checked against the file's real length.

use std::io::{self, SeekFrom};

use chantal_contract::{FormatError, ReadSeek, RepoPath, limits::DEB_MEMBERS};

use crate::deb822::decimal;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// A member: where its bytes lie in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, without the `/` that GNU ar appends.
    pub name: String,
    /// Where its bytes begin.
    pub offset: u64,
    /// How many they are.
    pub size: u64,
}

/// Reads the headers of every member, in order; bytes of members are passed over.
///
/// Refuses an archive whose members do not fill the file exactly, or that has more of them than a `.deb` ever had.
pub fn members(file: &mut dyn ReadSeek, path: &RepoPath) -> Result<Vec<Member>, FormatError> {
    let broken = |source| FormatError::Decode { file: path.clone(), source };
    let length = file.seek(SeekFrom::End(0)).map_err(broken)?;
    file.seek(SeekFrom::Start(0)).map_err(broken)?;
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).map_err(|error| broken(cut(error)))?;
    if magic != *MAGIC {
        return Err(FormatError::malformed(path, "byte 0", "`!<arch>`", String::from_utf8_lossy(&magic)));
    }
    let mut members = Vec::new();
    let mut at = MAGIC.len() as u64;
    while at < length {
        if members.len() == DEB_MEMBERS {
            let what = "the number of members";
            return Err(FormatError::Limit { file: path.clone(), what, limit: DEB_MEMBERS as u64 });
        }
        file.seek(SeekFrom::Start(at)).map_err(broken)?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header).map_err(|error| broken(cut(error)))?;
        let (name, size) = read_header(&header).ok_or_else(|| {
            let found = String::from_utf8_lossy(&header);
            FormatError::malformed(path, format!("byte {at}"), "the header of a member", found)
        })?;
        let offset = at + HEADER as u64;
        let end = offset.checked_add(size).filter(|end| *end <= length).ok_or_else(|| {
            let expected = format!("at most {} bytes in member `{name}`", length - offset);
            FormatError::malformed(path, format!("byte {at}"), expected, size.to_string())
        })?;
        members.push(Member { name, offset, size });
        // members begin at even offsets; the last one's padding may be missing
        at = end + end % 2;
    }
    Ok(members)
}

/// Reads name and size of a header: `name[16] mtime[12] uid[6] gid[6] mode[8] size[10] magic[2]`.
fn read_header(header: &[u8; HEADER]) -> Option<(String, u64)> {
    let (name, size) = (header.get(..16)?.trim_ascii_end(), header.get(48..58)?.trim_ascii_end());
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let well_formed =
        header.get(58..) == Some(b"`\n") && !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let size = std::str::from_utf8(size).ok().filter(|size| !size.is_empty()).and_then(decimal)?;
    well_formed.then(|| (String::from_utf8_lossy(name).into_owned(), size))
}

fn cut(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        io::Error::new(error.kind(), "the archive is cut short")
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn header(name: &str, size: &str) -> Vec<u8> {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644).into_bytes()
    }

    fn archive(parts: &[&[u8]]) -> Vec<u8> {
        [&[&MAGIC[..]], parts].concat().concat()
    }

    fn read(bytes: Vec<u8>) -> Result<Vec<Member>, String> {
        members(&mut Cursor::new(bytes), &RepoPath::new("a.deb").unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn finds_members_at_even_offsets() {
        let bytes =
            archive(&[&header("one", "3"), b"abc\n", &header("two/", "0"), &header("three", "1"), b"x"]);
        let found = read(bytes).unwrap();
        let shown: Vec<_> = found.iter().map(|m| (m.name.as_str(), m.offset, m.size)).collect();
        assert_eq!(shown, [("one", 68, 3), ("two", 132, 0), ("three", 192, 1)]);
        assert_eq!(read(archive(&[])).unwrap(), []);
    }

    #[test]
    fn refuses_lies() {
        for (bytes, word) in [
            (b"!<arch".to_vec(), "cut short"),
            (b"!<arch>\r".to_vec(), "`!<arch>`"),
            (archive(&[&header("a", "4"), b"abc"]), "at most 3 bytes in member `a`"),
            (archive(&[&header("a", "9999999999"), b"abc"]), "at most 3 bytes"),
            (archive(&[&header("a", "-1"), b"abc"]), "the header of a member"),
            (archive(&[&header("a", ""), b"abc"]), "the header of a member"),
            (archive(&[&header("", "3"), b"abc"]), "the header of a member"),
            (archive(&[&header("a\0", "3"), b"abc"]), "the header of a member"),
            (archive(&[&header("a", "3").repeat(1)[..59]]), "cut short"),
            (archive(&[&header("a", "0"), b"\n"]), "cut short"),
        ] {
            let error = read(bytes.clone()).unwrap_err();
            assert!(error.contains(word), "{:?}: {error}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn the_number_of_members_is_limited() {
        let many = |n| read(archive(&[&header("a", "0").repeat(n)]));
        assert_eq!(many(DEB_MEMBERS - 1).unwrap().len(), DEB_MEMBERS - 1);
        assert_eq!(many(DEB_MEMBERS).unwrap().len(), DEB_MEMBERS);
        assert!(many(DEB_MEMBERS + 1).unwrap_err().contains("passes the limit"));
    }
}
