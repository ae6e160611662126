use std::io::Cursor;

use chantal_contract::limits::{ARCHIVE_MEMBERS, SDIST_OPEN_BYTES, ZIP_DIRECTORY_BYTES};

use super::*;
use crate::harness::{gzip, metadata, sdist, tar_member, wheel, zip};

fn of_wheel(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    wheel_metadata(&RepoPath::new("x-1-py3-none-any.whl").unwrap(), &mut Cursor::new(bytes))
}

fn of_sdist(bytes: &[u8]) -> Result<Option<Vec<u8>>, FormatError> {
    sdist_metadata(&RepoPath::new("x-1.tar.gz").unwrap(), &mut Cursor::new(bytes))
}

#[test]
fn reads_the_metadata_of_wheel_and_sdist() {
    let text = metadata("x", "1", "2.1", &["y"]);
    assert_eq!(of_wheel(&wheel("x", "1", &text)).unwrap(), text.as_bytes());
    assert_eq!(of_sdist(&sdist("x", "1", &text)).unwrap().unwrap(), text.as_bytes());
    let zipped = zip(&[("x-1/setup.py", b""), ("x-1/PKG-INFO", text.as_bytes()), ("x-1/a/PKG-INFO", b"no")]);
    let path = RepoPath::new("x-1.zip").unwrap();
    assert_eq!(sdist_metadata(&path, &mut Cursor::new(&zipped)).unwrap().unwrap(), text.as_bytes());
    assert_eq!(of_sdist(&gzip(&tar_member("x-1/setup.py", b""))).unwrap(), None);
}

#[test]
fn finds_one_metadata_and_no_other() {
    assert!(of_wheel(&zip(&[("x/METADATA", b"a")])).is_err());
    assert!(of_wheel(&zip(&[("sub/x-1.dist-info/METADATA", b"a")])).is_err());
    assert!(of_wheel(&zip(&[("../x-1.dist-info/METADATA", b"a")])).is_err());
    let two = zip(&[("x-1.dist-info/METADATA", b"a"), ("y-1.dist-info/METADATA", b"b")]);
    assert!(of_wheel(&two).unwrap_err().to_string().contains("2 of them"));
    assert_eq!(
        of_wheel(&zip(&[("x-1.dist-info/METADATA", b"a"), ("../../etc/passwd", b"b")])).unwrap(),
        b"a"
    );
}

#[test]
fn a_lying_archive_is_refused() {
    let good = wheel("x", "1", &metadata("x", "1", "2.1", &[]));
    let at = |needle: &[u8], from: usize| {
        from + good[from..].windows(needle.len()).position(|w| w == needle).unwrap()
    };
    let central = {
        let name = at(b"x-1.dist-info/METADATA", at(b"PK\x01\x02", 0));
        name - 46
    };
    let local = at(b"x-1.dist-info/METADATA", 0) - 30;
    let end = at(b"PK\x05\x06", 0);
    let patched = |place: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[place..place + bytes.len()].copy_from_slice(bytes);
        of_wheel(&bad)
    };
    assert!(patched(central, b"PK\x01\x02").is_ok(), "the places are right");
    for (what, place, bytes) in [
        ("size", central + 24, &7_u32.to_le_bytes()[..]),
        ("huge size", central + 24, &0xFFFF_FFF0_u32.to_le_bytes()),
        ("zip64 without its field", central + 24, &u32::MAX.to_le_bytes()),
        ("packed size", central + 20, &3_u32.to_le_bytes()),
        ("checksum", central + 16, &[0, 1, 2, 3]),
        ("method", central + 10, &[99, 0]),
        ("encryption", central + 8, &[1, 0]),
        ("offset", central + 42, &0xFFFF_FF00_u32.to_le_bytes()),
        ("local name", local + 30, b"y"),
        ("directory offset", end + 16, &0xFFFF_FF00_u32.to_le_bytes()),
        ("directory length", end + 12, &0xFFFF_FF00_u32.to_le_bytes()),
        ("number of members", end + 10, &[0xFF, 0xFF]),
        ("comment length", end + 20, &[9, 0]),
    ] {
        assert!(patched(place, bytes).is_err(), "{what}");
    }
    for cut in 0..good.len() {
        assert!(of_wheel(&good[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_bomb_is_cut_off() {
    let zeros = vec![b' '; usize::try_from(METADATA_BYTES).unwrap() + 1];
    let name = "x-1.dist-info/METADATA";
    assert!(matches!(of_wheel(&zip(&[(name, &zeros)])), Err(FormatError::Limit { .. })));
    assert_eq!(of_wheel(&zip(&[(name, &zeros[1..])])).unwrap().len() as u64, METADATA_BYTES);
    // The directory promises little, the stream yields much.
    let mut lying = zip(&[(name, &zeros)]);
    let size = lying.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap() + 24;
    lying[size..size + 4].copy_from_slice(&10_u32.to_le_bytes());
    assert!(of_wheel(&lying).is_err());
    let mut tar = tar_member("x-1/PKG-INFO", &zeros);
    assert!(matches!(of_sdist(&gzip(&tar)), Err(FormatError::Limit { .. })));
    tar = tar_member("x-1/PKG-INFO", &zeros[1..]);
    assert!(of_sdist(&gzip(&tar)).unwrap().is_some());
}

#[test]
fn a_lying_tar_is_refused() {
    let text = metadata("x", "1", "2.2", &[]);
    let tar = tar_member("x-1/PKG-INFO", text.as_bytes());
    let with = |place: usize, bytes: &[u8]| {
        let mut bad = tar.clone();
        bad[place..place + bytes.len()].copy_from_slice(bytes);
        bad[148..156].fill(b' ');
        let sum: u32 = bad[..512].iter().map(|b| u32::from(*b)).sum();
        bad[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        of_sdist(&gzip(&bad))
    };
    assert!(with(0, b"x").unwrap().is_some(), "the places are right");
    assert!(with(124, b"00000077777\0").is_err(), "larger than what follows");
    assert!(with(124, b"zzzzzzzzzzz\0").is_err(), "no number");
    assert!(with(124, &[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    let past = [&[0x80, 0, 0, 0][..], &(SDIST_OPEN_BYTES + 1).to_be_bytes()].concat();
    assert!(with(124, &past).is_err());
    assert_eq!(with(156, b"2").unwrap(), None, "a link is no file");
    let mut sum = tar.clone();
    sum[0] ^= 1;
    assert!(of_sdist(&gzip(&sum)).is_err(), "checksum");
    assert!(of_sdist(b"no gzip").is_err());
    let whole = gzip(&tar);
    for cut in 0..whole.len() {
        assert!(of_sdist(&whole[..cut]).is_err() || cut > whole.len() / 2, "cut at {cut}");
    }
}

/// The end of a zip archive of so many members, whose directory has so many bytes and lies at the beginning.
fn zip_end(members: u64, length: u64) -> Vec<u8> {
    let record =
        [&b"PK\x06\x06"[..], &[0; 28], &members.to_le_bytes(), &length.to_le_bytes(), &[0; 8]].concat();
    let locator = [&b"PK\x06\x07"[..], &[0; 4], &length.to_le_bytes(), &[0; 4]].concat();
    [record, locator, b"PK\x05\x06".to_vec(), vec![0xff; 16], vec![0; 2]].concat()
}

#[test]
fn a_zip_directory_keeps_its_limits() {
    let limited = |members: u64, length: u64| {
        let zeros = usize::try_from(length).unwrap();
        let archive = [vec![0; zeros], zip_end(members, length)].concat();
        let error = of_wheel(&archive).unwrap_err();
        assert!(matches!(error, FormatError::Limit { .. } | FormatError::Malformed { .. }), "{error}");
        matches!(error, FormatError::Limit { .. })
    };
    let members = ARCHIVE_MEMBERS as u64;
    for (members, is) in [(members - 1, false), (members, false), (members + 1, true), (u64::MAX, true)] {
        assert_eq!(limited(members, 46), is, "{members} members");
    }
    for (length, is) in
        [(ZIP_DIRECTORY_BYTES - 1, false), (ZIP_DIRECTORY_BYTES, false), (ZIP_DIRECTORY_BYTES + 1, true)]
    {
        assert_eq!(limited(1, length), is, "{length} bytes");
    }
}

#[test]
fn members_are_counted() {
    let member = tar_member("x-1/a", b"");
    let last = tar_member("x-1/PKG-INFO", b"Name: x\n");
    let with = |count: usize| {
        let mut tar = member.repeat(count);
        tar.extend(&last);
        of_sdist(&gzip(&tar))
    };
    assert!(with(ARCHIVE_MEMBERS - 1).unwrap().is_some());
    assert!(with(ARCHIVE_MEMBERS).unwrap().is_some());
    assert!(matches!(with(ARCHIVE_MEMBERS + 1), Err(FormatError::Limit { .. })));
}
