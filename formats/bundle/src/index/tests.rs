mod limits;

use std::{io::Read as _, num::NonZeroU32};

use super::{
    review::{FileKind, ListedFile, ListedPackage, Side, Signer, SignerKind},
    *,
};
use crate::{
    delta::Edit,
    frame::tests::{RAW, frame},
};
use chantal_contract::{
    Advisory, Fingerprint, Group, Key, RepoPath,
    limits::{
        ADVISORY_FIELD_BYTES, ADVISORY_REFERENCES, BLOB_PARTS, MEMBER_BYTES, PAYLOAD_BYTES, SIGNERS,
        SUMMARY_BYTES,
    },
};

const CELL: NonZeroU32 = NonZeroU32::new(256 << 10).unwrap();

fn repository() -> Name {
    Name::new("bookworm").unwrap()
}

fn digests() -> Vec<Digest> {
    let mut digests: Vec<Digest> = (0..4_u8).map(|n| Digest::of(&[n])).collect();
    digests.sort_unstable();
    digests
}

fn part(blob: Measured, number: u32, of: u32, size: u64) -> Member {
    let measured = Measured { sha256: Digest::of(&number.to_le_bytes()), size };
    Member { blob, part: Some(MemberPart { number, of, measured }) }
}

fn records() -> [&'static [u8]; 2] {
    let mut records: [&[u8]; 2] = [b"Package: a\nVersion: 1\n", b"\0\xff\n\n"];
    records.sort_unstable_by_key(|r| Digest::of(r));
    records
}

fn volume(number: u64, size: u64) -> VolumeEntry {
    VolumeEntry {
        number: VolumeNumber::new(number).unwrap(),
        measured: Measured { sha256: Digest::of(b"volume"), size },
    }
}

const NOTHING: ReviewLine = ReviewLine::Begin { base: 0, packages: 0 };

/// A review with every kind of line.
fn review_lines() -> Vec<ReviewLine> {
    let package = |name: &str, version: &str, side| {
        let group = Group { name: name.into(), stream: None };
        let key = Key::new(name, version, "amd64");
        ReviewLine::Package(side, ListedPackage { group, key, sha256: Some(Digest::of(b"p")), size: 7 })
    };
    let signer =
        |kind, key: &str, side| ReviewLine::Signer(Signer { kind, key: Fingerprint(key.into()), side });
    let advisory = Advisory {
        id: "DSA-1".into(),
        kind: "security".into(),
        severity: String::new(),
        title: "a title".into(),
        references: vec!["CVE-1".into(), "CVE-2".into()],
    };
    let file = |path: &str, kind, content: &[u8], side| {
        let measured = Measured { sha256: Digest::of(content), size: 7 };
        ReviewLine::File(side, ListedFile { path: RepoPath::new(path).unwrap(), kind, measured })
    };
    vec![
        ReviewLine::Begin { base: 2, packages: 3 },
        signer(SignerKind::Key, "AB", Side::Both),
        signer(SignerKind::Signed, "AB", Side::Base),
        signer(SignerKind::Signed, "CD", Side::New),
        package("hello", "1", Side::Base),
        package("hello", "2", Side::New),
        package("world", "2", Side::New),
        package("world", "1", Side::Both),
        package("world", "1.5", Side::Both),
        file("a", FileKind::Listed, b"a", Side::Base),
        file("a", FileKind::Stray, b"a", Side::New),
        file("b", FileKind::Unread, b"a", Side::New),
        ReviewLine::Advisory(advisory),
    ]
}

/// A small index with every kind of line.
fn sample() -> (Vec<u8>, u64) {
    let d = digests();
    let cell = u64::from(CELL.get());
    let mut writer = Writer::new(Vec::new(), CELL).unwrap();
    writer.state(&repository(), d[0], Some(d[1])).unwrap();
    writer.first("chantal-manifest\t1\t{}").unwrap();
    writer.edit(Edit::Removed("file\ta")).unwrap();
    writer.edit(Edit::Added("file\tb")).unwrap();
    writer.evidence(d[2], None).unwrap();
    writer.first("chantal-evidence\t1").unwrap();
    writer.edit(Edit::Added("key\tx")).unwrap();
    for line in &review_lines() {
        writer.review(line).unwrap();
    }
    writer.state(&repository(), d[3], None).unwrap();
    writer.first("chantal-manifest\t1\t{}").unwrap();
    writer.review(&NOTHING).unwrap();
    for record in records() {
        writer.record(record).unwrap();
    }
    let split = Measured { sha256: d[1], size: 30 };
    writer.volume(volume(1, cell + 1), &[d[0], d[1]]).unwrap();
    writer.member(&Member { blob: Measured { sha256: d[0], size: 0 }, part: None }).unwrap();
    writer.member(&part(split, 1, 2, 10)).unwrap();
    writer.volume(volume(2, cell), &[d[2]]).unwrap();
    writer.member(&part(split, 2, 2, 20)).unwrap();
    writer.member(&Member { blob: Measured { sha256: d[2], size: 5 }, part: None }).unwrap();
    let (bytes, open_size, totals) = writer.finish().unwrap();
    assert_eq!(totals, Totals { states: 2, records: 2, volumes: 2, blobs: 3 });
    (bytes, open_size)
}

fn read_all(bytes: &[u8], open_size: u64) -> Result<Vec<String>, IndexError> {
    let mut reader = Reader::new(bytes, open_size, CELL)?;
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        items.push(format!("{item:?}"));
    }
    assert!(reader.next_item()?.is_none());
    Ok(items)
}

fn squeezed(text: &[u8]) -> (Vec<u8>, u64) {
    (zstd::encode_all(text, 1).unwrap(), text.len() as u64)
}

#[test]
fn is_read_as_it_is_written() {
    let (bytes, open_size) = sample();
    let plain = zstd::decode_all(&*bytes).unwrap();
    assert_eq!(plain.len() as u64, open_size);
    let items = read_all(&bytes, open_size).unwrap();
    assert_eq!(items.len(), 35);
    assert!(items[0].starts_with("State"), "{items:?}");
    assert!(items[34].starts_with("End"), "{items:?}");
    assert_eq!(sample(), (bytes, open_size), "equal calls write equal bytes");
}

#[test]
fn no_other_text_reads_the_same() {
    let (bytes, open_size) = sample();
    let plain = zstd::decode_all(&*bytes).unwrap();
    let good = read_all(&bytes, open_size).unwrap();
    for at in 0..plain.len() {
        for bit in [0, 5, 7] {
            let mut bad = plain.clone();
            bad[at] ^= 1 << bit;
            let (packed, size) = squeezed(&bad);
            if let Ok(items) = read_all(&packed, size) {
                assert_ne!(items, good, "byte {at} bit {bit}");
            }
        }
        let (packed, size) = squeezed(&plain[..at]);
        assert!(read_all(&packed, size).is_err(), "cut at {at}");
        // As long as promised, but cut.
        assert!(read_all(&packed, open_size).is_err(), "cut at {at}");
    }
}

#[test]
fn no_flipped_bit_of_the_file_panics() {
    let (bytes, open_size) = sample();
    for at in 0..bytes.len() {
        for bit in [0, 5, 7] {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            drop(read_all(&bad, open_size));
        }
        assert!(read_all(&bytes[..at], open_size).is_err(), "cut at {at}");
    }
}

#[test]
fn the_promised_size_is_exact() {
    let (bytes, open_size) = sample();
    assert!(read_all(&bytes, open_size - 1).is_err());
    assert!(read_all(&bytes, open_size + 1).is_err());
    let twice = [&*bytes, &*bytes].concat();
    assert!(read_all(&twice, open_size).is_err());
    assert!(read_all(&twice, open_size * 2).is_err());
    let trailed = [&*bytes, b"x"].concat();
    assert!(read_all(&trailed, open_size).is_err());
}

#[test]
fn a_bomb_is_not_unpacked() {
    let bomb = zstd::encode_all(std::io::repeat(b'a').take(1 << 28), 3).unwrap();
    assert!(matches!(read_all(&bomb, 1 << 28), Err(IndexError::Form { line: 1, .. })));
    let mut text = format!("chantal-index\t1\nrecord\t{}\t{}\n", Digest::of(b""), u64::MAX).into_bytes();
    text.extend([b'a'; 100]);
    let (packed, size) = squeezed(&text);
    assert!(matches!(read_all(&packed, size), Err(IndexError::Record { line: 3, .. })));
}

#[test]
fn the_file_is_zstd_frames_and_nothing_else() {
    let (bytes, open_size) = sample();
    let plain = zstd::decode_all(&*bytes).unwrap();
    let good = read_all(&bytes, open_size).unwrap();
    let stored =
        |fields: &[u8], text: &[u8]| frame(fields, &[(RAW, u32::try_from(text.len()).unwrap(), text)]);
    let window = u8::try_from(WINDOW_LOG - 10).unwrap() << 3;
    for (descriptor, fits) in [(window - 1, true), (window, true), (window + 1, false), (0xff, false)] {
        let read = read_all(&stored(&[0, descriptor], &plain), open_size);
        assert_eq!(read.is_ok(), fits, "window descriptor {descriptor:#04x}");
    }
    let parts = [stored(&[0, window], &plain[..100]), stored(&[0, window], &plain[100..])];
    assert_eq!(read_all(&parts.concat(), open_size).unwrap(), good);
    for low in 0..16_u8 {
        let skippable = [&[0x50 | low, 0x2a, 0x4d, 0x18, 6, 0, 0, 0][..], b"secret"].concat();
        for hiding in [
            [&*skippable, &parts[0], &parts[1]].concat(),
            [&*parts[0], &skippable, &parts[1]].concat(),
            [&*parts[0], &parts[1], &skippable].concat(),
        ] {
            assert!(matches!(read_all(&hiding, open_size), Err(IndexError::Io(_))), "{low}");
        }
    }
    assert!(read_all(&stored(&[1, window, 7], &plain), open_size).is_err(), "it asks for a dictionary");
}

#[test]
fn a_newer_version_is_named() {
    let (packed, size) = squeezed(b"chantal-index\t2\n");
    assert!(matches!(read_all(&packed, size), Err(IndexError::Version(v)) if v == "2"));
}

#[test]
fn lines_keep_their_places() {
    let d = digests();
    let (h0, h1) = (d[0].hex(), d[1].hex());
    let state = format!("state\tbookworm\t{h0}\t-\n=first\n");
    let review = "review\t0\t0\n";
    let package = |version: &str| format!("g\tp {version} a\t{h0}\t1\n");
    let volume = format!("volume\t1\t1\t{h0}\ncell\t{h0}\n");
    let read = |text: String| {
        let (packed, size) = squeezed(format!("chantal-index\t1\n{text}").as_bytes());
        read_all(&packed, size)
    };
    read(format!("{state}+a\n-b\n{review}{volume}blob\t{h0}\t1\nend\t1\t0\t1\t1\n")).unwrap();
    let end = "end\t1\t0\t0\t0\n";
    let p = |version: &str| package(version);
    let record = |bytes: &str| (Digest::of(bytes.as_bytes()), format!("{}\n{bytes}\n", bytes.len()));
    let mut records = [record("one"), record("two")];
    records.sort();
    let [r0, r1] = records.map(|(digest, rest)| format!("record\t{digest}\t{rest}"));
    let part = |blob: &str, size: u64, n: u32, of: u32, own: u64| {
        format!("part\t{blob}\t{size}\t{n}\t{of}\t{h1}\t{own}\n")
    };
    let two = "end\t0\t0\t1\t2\n";
    for (why, bad) in [
        ("it ends without an end line", format!("{state}{review}")),
        ("totals are others", format!("{state}{review}end\t1\t0\t0\t1\n")),
        ("it is shorter than promised", format!("{state}{review}{end}{end}")),
        ("no such line may", format!("{state}{end}")),
        ("a review begins within another", format!("{state}{review}{review}{end}")),
        ("no such line may", format!("{review}end\t0\t0\t0\t0\n")),
        ("no such line may", format!("{state}{review}evidence\t{h0}\t-\n=f\n{end}")),
        (
            "stands alone in its group",
            format!("{state}{review}state\tz\t{h0}\t-\n=f\n{review}={}end\t2\t0\t0\t0\n", p("1")),
        ),
        ("the packages do not rise", format!("{state}{review}+{}-{}{end}", p("2"), p("1"))),
        ("the packages do not rise", format!("{state}{review}+{}-{}{end}", p("1"), p("1"))),
        ("the groups of packages do not rise", format!("{state}{review}+h{}+{}{end}", &p("1")[1..], p("1"))),
        ("stands alone in its group", format!("{state}{review}={}{end}", p("1"))),
        (
            "the packages that both sides have do not rise",
            format!("{state}{review}+{0}={0}={0}{end}", p("1")),
        ),
        ("a line follows the package", format!("{state}{review}+{}={}+{}{end}", p("1"), p("0"), p("2"))),
        ("field", format!("{state}{review}+g\tp 1 a\t{h0}\n{end}")),
        ("field", format!("{state}{review}+g\tp 1 a\t{h0}\t1\t1\n{end}")),
        ("a size without a digest", format!("{state}{review}+g\tp 1 a\t-\t1\n{end}")),
        ("a package's key is not", format!("{state}{review}+g\tp 1\t{h0}\t1\n{end}")),
        ("a package's key is not", format!("{state}{review}+g\tp%41 1 a\t{h0}\t1\n{end}")),
        (
            "the signers do not rise",
            format!("{state}{review}signer\tsigned\tAB\t+\nsigner\tkey\tAB\t+\n{end}"),
        ),
        ("the signers do not rise", format!("{state}{review}signer\tkey\tAB\t+\nsigner\tkey\tAB\t-\n{end}")),
        ("a fingerprint is no upper-case", format!("{state}{review}signer\tkey\tab\t+\n{end}")),
        ("do not stand in this order", format!("{state}{review}+{}signer\tkey\tAB\t+\n{end}", p("1"))),
        ("an advisory has no name", format!("{state}{review}advisory\t\tk\ts\tt\t\n{end}")),
        (
            "the advisories do not rise",
            format!("{state}{review}advisory\tB\tk\ts\tt\t\nadvisory\tA\tk\ts\tt\t\n{end}"),
        ),
        ("an advisory's references do not rise", format!("{state}{review}advisory\tB\tk\ts\tt\tb a\n{end}")),
        ("control character", format!("{state}{review}advisory\tB\tk\ts\tt\x1b\t\n{end}")),
        (
            "a line of a delta stands where none is due",
            format!("state\tbookworm\t{h0}\t-\n+a\n=first\n{review}{end}"),
        ),
        ("a first line stands where none is due", format!("{state}=first\n{review}{end}")),
        ("none of the words", "+a\nend\t0\t0\t0\t0\n".to_owned()),
        ("the lines of a delta do not rise", format!("{state}+b\n-a\n{review}{end}")),
        ("the lines of a delta do not rise", format!("{state}+b\n-b\n{review}{end}")),
        ("the lines of a delta do not rise", format!("{state}+\n{review}{end}")),
        ("no such line may", format!("evidence\t{h0}\t-\n=first\n{review}end\t0\t0\t0\t0\n")),
        ("no such line may", format!("{state}evidence\t{h0}\t-\n=f\nevidence\t{h0}\t-\n=f\n{review}{end}")),
        ("no such line may", format!("{volume}{state}{review}end\t1\t0\t1\t0\n")),
        ("no such line may", format!("{volume}{r0}end\t0\t1\t1\t0\n")),
        ("the records do not rise", format!("{r1}{r0}end\t0\t2\t0\t0\n")),
        ("the records do not rise", format!("{r0}{r0}end\t0\t2\t0\t0\n")),
        (
            "not what its digest says",
            format!("{}end\t0\t1\t0\t0\n", r0.replace("one", "On3").replace("two", "tW0")),
        ),
        ("no line feed follows", format!("record\t{}\t2\none\nend\t0\t1\t0\t0\n", Digest::of(b"on"))),
        ("do not count from 1", format!("{volume}{volume}end\t0\t0\t2\t0\n")),
        ("a volume is empty", format!("volume\t1\t0\t{h0}\nend\t0\t0\t1\t0\n")),
        ("no such line may", format!("{volume}cell\t{h0}\nend\t0\t0\t1\t0\n")),
        ("no such line may", format!("volume\t1\t1\t{h0}\nend\t0\t0\t1\t0\n")),
        ("no such line may", format!("blob\t{h0}\t1\nend\t0\t0\t0\t1\n")),
        ("the blobs do not rise", format!("{volume}blob\t{h1}\t1\nblob\t{h0}\t1\n{two}")),
        ("the blobs do not rise", format!("{volume}blob\t{h0}\t1\nblob\t{h0}\t1\n{two}")),
        (
            "do not follow each other",
            format!("{volume}{}{}{two}", part(&h0, 3, 1, 2, 1), part(&h1, 3, 2, 2, 2)),
        ),
        (
            "do not follow each other",
            format!("{volume}{}{}{two}", part(&h0, 3, 1, 3, 1), part(&h0, 3, 3, 3, 2)),
        ),
        (
            "do not follow each other",
            format!("{volume}{}{}{two}", part(&h0, 3, 1, 3, 1), part(&h0, 3, 2, 2, 2)),
        ),
        (
            "do not follow each other",
            format!("{volume}{}{}{two}", part(&h0, 3, 1, 2, 1), part(&h0, 4, 2, 2, 3)),
        ),
        ("a file's mark is none of", format!("{state}{review}file\ta\tstray\t{h0}\t1\t=\n{end}")),
        ("", format!("{state}{review}file\ta\todd\t{h0}\t1\t+\n{end}")),
        ("", format!("{state}{review}file\t../a\tstray\t{h0}\t1\t+\n{end}")),
        (
            "the files do not rise",
            format!("{state}{review}file\tb\tstray\t{h0}\t1\t+\nfile\ta\tstray\t{h0}\t1\t+\n{end}"),
        ),
        (
            "the files do not rise",
            format!("{state}{review}file\ta\tstray\t{h0}\t1\t-\nfile\ta\tstray\t{h0}\t1\t+\n{end}"),
        ),
        (
            "do not stand in this order",
            format!("{state}{review}file\ta\tstray\t{h0}\t1\t+\n+{}{end}", p("1")),
        ),
        ("no plain decimal number", format!("{volume}blob\t{h0}\t01\nend\t0\t0\t1\t1\n")),
        ("no plain decimal number", format!("{volume}blob\t{h0}\t+1\nend\t0\t0\t1\t1\n")),
        ("it holds a carriage return", format!("{state}+a\r\n{review}{end}")),
        ("it has too many fields", format!("{volume}blob\t{h0}\t1\t\nend\t0\t0\t1\t1\n")),
        ("the repository's name is none", format!("state\tBook\t{h0}\t-\n=first\n{review}{end}")),
    ] {
        match read(bad.clone()) {
            Err(IndexError::Form { why: found, .. }) => {
                assert!(found.contains(why), "{bad}\n{found}, where it should be: {why}");
            }
            other => panic!("{bad}\n{other:?}, where it should be: {why}"),
        }
    }
}

#[test]
fn parts_make_up_their_blob() {
    let cell = u64::from(CELL.get());
    let write = |members: &[Member]| {
        let mut writer = Writer::new(Vec::new(), CELL)?;
        writer.volume(volume(1, cell), &[Digest::of(b"c")])?;
        members.iter().try_for_each(|m| writer.member(m))?;
        writer.finish().map(drop)
    };
    let blob = Measured { sha256: digests()[1], size: 30 };
    let whole = Member { blob: Measured { sha256: digests()[2], size: 1 }, part: None };
    write(&[part(blob, 1, 2, 10), part(blob, 2, 2, 20), whole]).unwrap();
    for (name, members) in [
        ("missing last", vec![part(blob, 1, 2, 10)]),
        ("interrupted", vec![part(blob, 1, 2, 10), whole]),
        ("missing first", vec![part(blob, 2, 2, 30)]),
        ("one part only", vec![part(blob, 1, 1, 30)]),
        ("too short", vec![part(blob, 1, 2, 10), part(blob, 2, 2, 19)]),
        ("too long", vec![part(blob, 1, 2, 10), part(blob, 2, 2, 21)]),
        ("full before its end", vec![part(blob, 1, 2, 30)]),
        ("other count", vec![part(blob, 1, 2, 10), part(blob, 2, 3, 20)]),
        ("empty part", vec![part(blob, 1, 2, 0), part(blob, 2, 2, 30)]),
        ("too many", vec![part(blob, 1, BLOB_PARTS + 1, 10)]),
    ] {
        assert!(write(&members).is_err(), "{name}");
    }
    let big = |size| Member { blob: Measured { sha256: digests()[1], size }, part: None };
    write(&[big(MEMBER_BYTES - 1)]).unwrap();
    write(&[big(MEMBER_BYTES)]).unwrap();
    assert!(write(&[big(MEMBER_BYTES + 1)]).is_err());
    let huge = |size: u64| {
        let blob = Measured { sha256: digests()[1], size };
        let parts: Vec<u64> = (0..8).map(|_| MEMBER_BYTES).chain([size - 8 * MEMBER_BYTES]).collect();
        let of = u32::try_from(parts.len()).unwrap();
        write(&(1..).zip(parts).map(|(n, size)| part(blob, n, of, size)).collect::<Vec<_>>())
    };
    huge(PAYLOAD_BYTES).unwrap();
    assert!(huge(PAYLOAD_BYTES + 1).is_err());
}
