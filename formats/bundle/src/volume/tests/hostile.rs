//! Volumes that no packer makes, whoever signed them.

use chantal_contract::limits::MEMBER_BYTES;

use super::*;
use crate::frame::tests::{RAW, REPEATED, frame};

fn name() -> MemberName {
    MemberName { blob: Digest::of(b"x"), part: Part::Whole }
}

/// A whole member: header, content, zeros.
fn member(header: &[u8], content: &[u8]) -> Vec<u8> {
    let padding = usize::try_from(crate::ustar::padding(content.len() as u64)).unwrap();
    [header, content, &vec![0; padding]].concat()
}

fn good_header(size: u64) -> [u8; 512] {
    crate::ustar::header(&name(), size).unwrap()
}

/// An archive that ends as it should.
fn archive(parts: &[&[u8]]) -> Vec<u8> {
    [parts.concat(), crate::ustar::END.to_vec()].concat()
}

/// Reads an archive as if the cells of its volume had been signed.
fn read(archive: &[u8]) -> Result<Vec<(MemberName, Vec<u8>)>, UnpackError> {
    opened(&zstd::encode_all(archive, 1).unwrap())
}

/// Reads a volume as if its cells had been signed.
fn opened(volume: &[u8]) -> Result<Vec<(MemberName, Vec<u8>)>, UnpackError> {
    unpacked(volume, list(1, volume))
}

/// Changes a header and makes its checksum fit again.
fn altered(size: u64, change: impl FnOnce(&mut [u8; 512])) -> [u8; 512] {
    let mut header = tar::Header::from_byte_slice(&good_header(size)).clone();
    change(header.as_mut_bytes());
    // the sum is written as the packer writes it, so that nothing but the change is other
    header.as_mut_bytes()[148..156].fill(b' ');
    let sum: u32 = header.as_bytes().iter().map(|b| u32::from(*b)).sum();
    header.as_mut_bytes()[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    *header.as_bytes()
}

#[test]
fn no_flipped_bit_of_a_volume_goes_unseen() {
    let blobs = by_digest([noise(1, 700), b"text ".repeat(300)]);
    let shelf = packed(LIMIT, &blobs).unwrap();
    let volume = &shelf.volumes[0];
    unpacked(volume, list(1, volume)).unwrap();
    for at in 0..volume.len() {
        for bit in 0..8 {
            let mut bad = volume.clone();
            bad[at] ^= 1 << bit;
            let error = unpacked(&bad, list(1, volume)).unwrap_err();
            let UnpackError::Io(error) = error else { panic!("{error}") };
            assert!(matches!(CellError::of(&error), Some(CellError::Mismatch { offset: 0, .. })), "{error}");
            // Even if somebody signed it, it never panics.
            drop(unpacked(&bad, list(1, &bad)));
        }
        assert!(unpacked(&volume[..at], list(1, volume)).is_err());
        assert!(unpacked(&volume[..at], list(1, &volume[..at])).is_err(), "cut at {at} and signed");
    }
    let doubled = [&**volume, &**volume].concat();
    assert!(unpacked(&doubled, list(1, volume)).is_err());
    assert!(unpacked(&doubled, list(1, &doubled)).is_err());
}

#[test]
fn an_archive_of_another_make_is_refused() {
    let squeezed = |archive: &[u8]| zstd::encode_all(archive, 1).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_path(format!("blobs/sha256/{}", Digest::of(b"x"))).unwrap();
    header.set_size(1);
    header.set_mode(0o444);
    header.set_cksum();
    builder.append(&header, &b"x"[..]).unwrap();
    let volume = squeezed(&builder.into_inner().unwrap());
    assert!(matches!(unpacked(&volume, list(1, &volume)), Err(UnpackError::Header { at: 0, .. })));

    let name = MemberName { blob: Digest::of(b"x"), part: Part::Whole };
    let member = [&crate::ustar::header(&name, 1).unwrap()[..], b"x", &[0; 511]].concat();
    let good = [&*member, &crate::ustar::END].concat();
    let read = |archive: &[u8]| {
        let volume = squeezed(archive);
        unpacked(&volume, list(1, &volume))
    };
    assert_eq!(read(&good).unwrap().len(), 1);
    let mut dirty = good.clone();
    dirty[600] = 1;
    for (why, bad) in [
        ("no end", member.clone()),
        ("half an end", [&*member, &[0; 512]].concat()),
        ("one block of zeros", [&*member, &[0; 512], &*member, &crate::ustar::END].concat()),
        ("a second block that is none of zeros", [&*member, &[0; 512], &[1; 512]].concat()),
        ("something after the end", [&*good, &[0; 512]].concat()),
        ("padding that is not zero", dirty),
        ("empty", Vec::new()),
    ] {
        assert!(read(&bad).is_err(), "{why}");
    }
}

#[test]
fn an_entry_of_any_other_type_is_refused() {
    let good = member(&good_header(1), b"x");
    for kind in 0..=255_u8 {
        for link in [&b""[..], b"/etc/passwd", b"../../../etc/passwd"] {
            let typed = altered(1, |header| {
                header[156] = kind;
                header[157..157 + link.len()].copy_from_slice(link);
            });
            let bad = member(&typed, b"x");
            for (at, archive) in [(0, archive(&[&bad, &good])), (1024, archive(&[&good, &bad]))] {
                let outcome = read(&archive);
                if kind == b'0' && link.is_empty() {
                    assert_eq!(outcome.unwrap().len(), 2);
                } else {
                    let refused = matches!(
                        outcome,
                        Err(UnpackError::Header { at: place, source: HeaderError::Form }) if place == at
                    );
                    assert!(refused, "type {kind} with {} bytes of a link, at byte {at}", link.len());
                }
            }
        }
    }
}

#[test]
fn no_field_of_a_header_holds_anything_else_even_if_its_checksum_fits() {
    for at in (0..512).filter(|at| !(148..156).contains(at)) {
        for value in 0..=255 {
            let header = altered(8, |header| header[at] = value);
            if header == good_header(8) {
                continue;
            }
            match crate::ustar::parse(&header) {
                // another digit of its name or its size makes another member, which the index does not list
                Ok((found, size)) => {
                    assert_ne!((found, size), (name(), 8), "byte {at} value {value}");
                    assert!(at < 100 || (124..136).contains(&at), "byte {at} value {value}");
                    assert_eq!(crate::ustar::header(&found, size), Some(header), "byte {at} value {value}");
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

/// What `tar` in its own ways does to carry a long name, a link, or attributes.
fn foreign(make: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    make(&mut builder);
    let good = tar::Header::from_byte_slice(&good_header(1)).clone();
    builder.append(&good, &b"x"[..]).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn long_names_links_and_pax_headers_are_refused() {
    assert_eq!(read(&foreign(|_| {})).unwrap().len(), 1, "the member behind them is good");
    let entry = |kind: tar::EntryType, gnu: bool| {
        let mut header = if gnu { tar::Header::new_gnu() } else { tar::Header::new_ustar() };
        header.set_entry_type(kind);
        header.set_mode(0o444);
        header.set_size(0);
        header
    };
    let long = format!("blobs/sha256/{}", "a/".repeat(200));
    for (what, bad) in [
        (
            "a long name of GNU",
            foreign(|b| b.append_data(&mut entry(tar::EntryType::Regular, true), &long, &[][..]).unwrap()),
        ),
        (
            "a long link of GNU",
            foreign(|b| b.append_link(&mut entry(tar::EntryType::Symlink, true), "a", &long).unwrap()),
        ),
        (
            "a symbolic link",
            foreign(|b| b.append_link(&mut entry(tar::EntryType::Symlink, false), "a", "/etc").unwrap()),
        ),
        (
            "a hard link",
            foreign(|b| b.append_link(&mut entry(tar::EntryType::Link, false), "a", "b").unwrap()),
        ),
        (
            "a directory",
            foreign(|b| {
                b.append_data(&mut entry(tar::EntryType::Directory, false), "blobs/", &[][..]).unwrap();
            }),
        ),
        (
            "another name by PAX",
            foreign(|b| b.append_pax_extensions([("path", &b"/etc/passwd"[..])]).unwrap()),
        ),
        ("another size by PAX", foreign(|b| b.append_pax_extensions([("size", &b"99"[..])]).unwrap())),
        (
            "attributes by PAX",
            foreign(|b| b.append_pax_extensions([("SCHILY.xattr.user.x", &b"y"[..])]).unwrap()),
        ),
        ("a PAX header that is none", {
            let typed = altered(1, |header| header[156] = b'x');
            archive(&[&member(&typed, b"x"), &member(&good_header(1), b"x")])
        }),
        ("a PAX header for all that follows", {
            let text = b"13 path=evil\n";
            let typed = altered(text.len() as u64, |header| header[156] = b'g');
            archive(&[&member(&typed, text), &member(&good_header(1), b"x")])
        }),
        ("a name with a prefix", {
            let prefixed = altered(1, |header| header[345..349].copy_from_slice(b"/etc"));
            archive(&[&member(&prefixed, b"x")])
        }),
        ("a name without an end", {
            let endless = altered(1, |header| header[..100].fill(b'a'));
            archive(&[&member(&endless, b"x")])
        }),
        ("a name that leaves its directory", {
            let up = altered(1, |header| header[..16].copy_from_slice(b"../../etc/passwd"));
            archive(&[&member(&up, b"x")])
        }),
    ] {
        assert!(matches!(read(&bad), Err(UnpackError::Header { at: 0, .. })), "{what}");
    }
}

#[test]
fn a_size_that_lies_is_refused() {
    let good = member(&good_header(1), b"x");
    let content = noise(9, 2000);
    let exact = [member(&good_header(2000), &content), good.clone()].concat();
    assert_eq!(read(&archive(&[&exact])).unwrap().len(), 2);
    for claimed in [0, 1, 511, 512, 1024, 1999, 2001, 2048, 2049, 2560, 4096, MEMBER_BYTES] {
        let mut lying = exact.clone();
        lying[..512].copy_from_slice(&good_header(claimed));
        match read(&archive(&[&lying])) {
            // within its padding a member is another, of the size that it says: the index does not list it
            Ok(members) => assert!(
                (2001..=2048).contains(&claimed) && members[0].1.len() as u64 == claimed,
                "{claimed} of 2000 bytes"
            ),
            Err(error) => assert!(!(2001..=2048).contains(&claimed), "{claimed} of 2000 bytes: {error}"),
        }
    }
    // sizes in other forms: base-256, blanks, signs, a larger number than eleven digits say
    for (what, field) in [
        ("base-256", *b"\x80\0\0\0\0\0\0\0\0\0\0\x01"),
        ("negative base-256", *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("blanks", *b"          1\0"),
        ("a blank behind", *b"0000000001 \0"),
        ("no end", *b"000000000001"),
        ("a sign", *b"+0000000001\0"),
        ("not octal", *b"00000000009\0"),
        ("shorter", *b"0000000001\0\0"),
        ("nothing", [0; 12]),
    ] {
        let header = altered(1, |header| header[124..136].copy_from_slice(&field));
        let refused = read(&archive(&[&member(&header, b"x"), &good]));
        assert!(
            matches!(refused, Err(UnpackError::Header { source: HeaderError::Size | HeaderError::Form, .. })),
            "{what}"
        );
    }
}

#[test]
fn a_window_that_takes_much_memory_is_refused() {
    let whole = archive(&[&member(&good_header(1), b"x")]);
    // no block is larger than the window
    let blocks: Vec<(u32, u32, &[u8])> = whole.chunks(512).map(|block| (RAW, 512, block)).collect();
    let stored = |fields: &[u8]| opened(&frame(fields, &blocks));
    // the exponent of the window less ten, then eighths of it
    for window in 0..=255_u8 {
        let fits = window <= 13 << 3;
        assert_eq!(stored(&[0, window]).is_ok(), fits, "window descriptor {window:#04x}");
    }
    // one that says how much it holds has a window as large as that
    for size in [whole.len() as u64 + 1, 1 << 24, 1 << 40, u64::MAX] {
        let fields = [&[0xe0][..], &size.to_le_bytes()].concat();
        assert!(stored(&fields).is_err(), "{size} bytes in a single segment");
    }
    let fields = [&[0xe0][..], &(whole.len() as u64).to_le_bytes()].concat();
    stored(&fields).unwrap();
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(24).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(32 << 20), &mut encoder).unwrap();
    assert!(opened(&encoder.finish().unwrap()).is_err());
}

#[test]
fn a_frame_holds_no_more_than_it_may_however_little_it_takes() {
    // blocks of 128 KiB of one byte, four bytes each: a thirty-thousandth; and as many frames of that as one likes
    let bomb = |bytes: u64| {
        let (whole, rest) = (bytes >> 17, u32::try_from(bytes % (128 << 10)).unwrap());
        let mut blocks = vec![(REPEATED, 128 << 10, &b"x"[..]); usize::try_from(whole).unwrap()];
        blocks.push((REPEATED, rest, b"x"));
        frame(&[0, 13 << 3], &blocks)
    };
    let size = FRAME_BYTES - 512;
    let begin = frame(&[0, 0], &[(RAW, 512, &good_header(FRAME_BYTES * 2))]);
    for (bytes, good) in
        [(FRAME_BYTES - 1, true), (FRAME_BYTES, true), (FRAME_BYTES + 1, false), (FRAME_BYTES << 10, false)]
    {
        let volume = [&*begin, &bomb(bytes)].concat();
        assert!(volume.len() < 300_000, "{}", volume.len());
        let mut unpacker = Unpacker::new(Frames::new(CheckedCells::new(&*volume, list(1, &volume))).unwrap());
        unpacker.next_member().unwrap().unwrap();
        let mut content = vec![0; usize::try_from(FRAME_BYTES).unwrap()];
        let begun = unpacker.read_exact(&mut content[..usize::try_from(size).unwrap()]);
        begun.unwrap();
        let rest = std::io::copy(&mut unpacker, &mut std::io::sink()).unwrap_err().to_string();
        // a good one ends, and what is missing is the next frame
        assert_eq!(rest.contains("ends too early"), good, "{bytes}: {rest}");
    }
    // a volume of such frames is given up at its first header, which is none
    let many = bomb(FRAME_BYTES).repeat(1000);
    assert!(matches!(opened(&many), Err(UnpackError::Header { at: 0, .. })));
    // and one that only follows the end is not read to see how much it is
    let good = zstd::encode_all(&*archive(&[&member(&good_header(1), b"x")]), 1).unwrap();
    let trailed = [&*good, &many].concat();
    assert!(matches!(opened(&trailed), Err(UnpackError::Form { why: "something follows the end", .. })));
}

#[test]
fn nothing_hides_between_frames_and_no_dictionary_is_asked_for() {
    let whole = archive(&[&member(&good_header(1), b"x")]);
    let (head, tail) = whole.split_at(700);
    let stored = |bytes: &[u8]| frame(&[0, 13 << 3], &[(RAW, u32::try_from(bytes.len()).unwrap(), bytes)]);
    let parts = [stored(head), stored(tail)];
    assert_eq!(opened(&parts.concat()).unwrap().len(), 1);
    // an empty frame holds nothing that anybody could have missed
    assert_eq!(
        opened(&[&*parts[0], &frame(&[0, 0], &[(RAW, 0, b"")]), &parts[1]].concat()).unwrap().len(),
        1
    );
    for low in 0..16_u8 {
        let skippable = [&[0x50 | low, 0x2a, 0x4d, 0x18, 6, 0, 0, 0][..], b"secret"].concat();
        for (where_, volume) in [
            ("before", [&*skippable, &parts[0], &parts[1]].concat()),
            ("between", [&*parts[0], &skippable, &parts[1]].concat()),
            ("behind", [&*parts[0], &parts[1], &skippable].concat()),
        ] {
            assert!(matches!(opened(&volume), Err(UnpackError::Io(_))), "{low} {where_}");
        }
    }
    for trail in [&b"\0"[..], b"x", &[0x28], &[0x28, 0xb5, 0x2f, 0xfd], b"PK\x03\x04"] {
        assert!(opened(&[&*parts[0], &parts[1], trail].concat()).is_err(), "{trail:?} behind");
        assert!(opened(&[&*parts[0], trail, &parts[1]].concat()).is_err(), "{trail:?} between");
    }
    // the number of a dictionary in one, two and four bytes
    for (descriptor, number) in [(1, &[7][..]), (2, &[7, 0]), (3, &[7, 0, 0, 0])] {
        let fields = [&[descriptor, 13 << 3][..], number].concat();
        let asks = frame(&fields, &[(RAW, u32::try_from(whole.len()).unwrap(), &whole)]);
        assert!(opened(&asks).is_err(), "{descriptor}");
    }
    // the bit that is reserved, the kind of block that is, and a checksum that is another's
    assert!(opened(&frame(&[8, 13 << 3], &[(RAW, 0, b"")])).is_err());
    assert!(opened(&frame(&[0, 13 << 3], &[(3, 0, b"")])).is_err());
    let summed = frame(&[4, 13 << 3], &[(RAW, u32::try_from(whole.len()).unwrap(), &whole)]);
    assert!(opened(&[&*summed, &[0; 4]].concat()).is_err());
    assert!(opened(&summed).is_err(), "a checksum that is cut off");
}
