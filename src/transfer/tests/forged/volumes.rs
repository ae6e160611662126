//! Volumes and indexes that a trusted key signed, and that no packer makes.

use chantal_bundle::{MemberName, Part, index::Member, ustar};
use chantal_contract::limits::MEMBER_BYTES;

use super::super::forge::measured;
use super::*;

const CONTENT: &[u8] = b"what was promised";

fn whole(content: &[u8]) -> Member {
    Member { blob: measured(content), part: None }
}

fn header(content: &[u8], size: u64) -> [u8; 512] {
    let name = MemberName { blob: Digest::of(content), part: Part::Whole };
    ustar::header(&name, size).unwrap()
}

/// A header, content and the zeros that fill its last block.
fn member(header: &[u8], content: &[u8]) -> Vec<u8> {
    let padding = usize::try_from(ustar::padding(content.len() as u64)).unwrap();
    [header, content, &vec![0; padding]].concat()
}

fn good_member(content: &[u8]) -> Vec<u8> {
    member(&header(content, content.len() as u64), content)
}

fn archive(parts: &[&[u8]]) -> Vec<u8> {
    [parts.concat(), ustar::END.to_vec()].concat()
}

fn squeezed(archive: &[u8]) -> Vec<u8> {
    zstd::encode_all(archive, 3).unwrap()
}

/// Changes the header of a content and makes its checksum fit again.
fn altered(content: &[u8], change: impl FnOnce(&mut [u8; 512])) -> [u8; 512] {
    let mut block = header(content, content.len() as u64);
    change(&mut block);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A bundle of one file, whose only volume has these bytes and whose index is honest about it.
fn signed(content: &[u8], volume: Vec<u8>) -> Forgery {
    let members = vec![whole(content)];
    let volumes = vec![ForgedVolume { bytes: volume, members }];
    Forgery { volumes, ..Forgery::new(&[file("a", content)]) }
}

/// Makes a volume, of a content that its index promises.
type Make = Box<dyn Fn(&[u8]) -> Vec<u8>>;
/// The same by a function.
type Plain = fn(&[u8]) -> Vec<u8>;

/// Archives that a tar of another make, or somebody with a purpose, could write.
fn hostile_archives() -> Vec<(String, Make)> {
    let mut found: Vec<(String, Make)> = Vec::new();
    let mut add = |what: String, make: Make| found.push((what, make));
    for kind in (0..=255_u8).filter(|kind| *kind != b'0') {
        let typed = move |c: &[u8]| archive(&[&member(&altered(c, |block| block[156] = kind), c)]);
        add(format!("type {kind}"), Box::new(typed));
    }
    let fields: [(&str, usize, &[u8]); 4] = [
        ("a link", 157, b"/etc/passwd"),
        ("a name outside", 0, b"../../etc/passwd"),
        ("a prefix", 345, b"/etc"),
        ("setuid", 100, b"0004755"),
    ];
    for (what, at, bytes) in fields {
        let other = move |c: &[u8]| {
            let block = altered(c, |block| block[at..at + bytes.len()].copy_from_slice(bytes));
            archive(&[&member(&block, c)])
        };
        add(what.into(), Box::new(other));
    }
    let long = format!("blobs/sha256/{}", "a".repeat(300));
    for (what, kind, text) in [
        ("another path by PAX", b'x', "20 path=/etc/passwd\n"),
        ("another size by PAX", b'x', "10 size=4\n"),
        ("another path by PAX, for all", b'g', "20 path=/etc/passwd\n"),
        ("a long name of GNU", b'L', &long),
        ("a long link of GNU", b'K', &long),
    ] {
        let text = text.to_owned();
        let before = move |c: &[u8]| {
            let block = altered(c, |block| {
                block[156] = kind;
                block[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
            });
            archive(&[&member(&block, text.as_bytes()), &good_member(c)])
        };
        add(what.into(), Box::new(before));
    }
    type Size = fn(u64) -> u64;
    let sizes: [Size; 7] =
        [|_| 0, |size| size - 1, |size| size + 1, |_| 512, |_| 513, |_| 1 << 30, |_| MEMBER_BYTES];
    for (n, size) in sizes.into_iter().enumerate() {
        let lying = move |c: &[u8]| archive(&[&member(&header(c, size(c.len() as u64)), c)]);
        add(format!("lie {n} about its size"), Box::new(lying));
    }
    let others: [(&str, Plain); 13] = [
        ("other content", |c| archive(&[&member(&header(c, c.len() as u64), &c.to_ascii_uppercase())])),
        ("another name", |c| archive(&[&member(&header(b"else", c.len() as u64), c)])),
        ("something else before it", |c| archive(&[&good_member(b"else"), &good_member(c)])),
        ("zeros before it", |c| archive(&[&[0; 512], &good_member(c)])),
        ("one member more", |c| archive(&[&good_member(c), &good_member(b"else")])),
        ("the same member twice", |c| archive(&[&good_member(c), &good_member(c)])),
        ("no member", |_| archive(&[])),
        ("no end", good_member),
        ("a second block that is none of zeros", |c| [&*good_member(c), &[0; 512], &[1; 512]].concat()),
        ("half an end", |c| [&*good_member(c), &[0; 512]].concat()),
        ("zeros behind the end", |c| [archive(&[&good_member(c)]), vec![0; 512]].concat()),
        ("an archive behind the end", |c| archive(&[&good_member(c)]).repeat(2)),
        ("content in the padding", |c| {
            let mut dirty = archive(&[&good_member(c)]);
            dirty[512 + c.len()] = b'x';
            dirty
        }),
    ];
    for (what, make) in others {
        add(what.into(), Box::new(make));
    }
    found
}

/// Everything that a volume may be instead of what it should be.
fn hostile_volumes() -> Vec<(String, Make)> {
    fn good(content: &[u8]) -> Vec<u8> {
        archive(&[&good_member(content)])
    }
    let archives = hostile_archives().into_iter().map(|(what, make)| {
        let make: Make = Box::new(move |content| squeezed(&make(content)));
        (what, make)
    });
    let others: [(&str, Plain); 9] = [
        ("a byte behind the last frame", |c| [&*squeezed(&good(c)), b"x"].concat()),
        ("a skippable frame behind", |c| [squeezed(&good(c)), skippable(0)].concat()),
        ("a skippable frame before", |c| [skippable(15), squeezed(&good(c))].concat()),
        ("frames of zeros behind", |c| [squeezed(&good(c)), squeezed(&vec![0; 8 << 20]).repeat(64)].concat()),
        ("a cut frame", |c| squeezed(&good(c))[..30].to_vec()),
        ("no zstd", good),
        ("a dictionary", |c| dictionary(&good(c))),
        ("a window of 16 MiB", |c| windowed(&good(c), 24)),
        ("a window of 2 GiB", |c| windowed(&good(c), 31)),
    ];
    archives.chain(others.into_iter().map(|(what, make)| (what.into(), Box::new(make) as Make))).collect()
}

fn skippable(low: u8) -> Vec<u8> {
    [&[0x50 | low, 0x2a, 0x4d, 0x18, 6, 0, 0, 0][..], b"secret"].concat()
}

/// A frame that stores bytes, under a window of so many bits; `more` stands before its blocks.
fn stored(bytes: &[u8], descriptor: u8, bits: u8, more: &[u8]) -> Vec<u8> {
    let header = u32::try_from(bytes.len()).unwrap() << 3 | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd, descriptor, (bits - 10) << 3], more, &header.to_le_bytes()[..3], bytes]
        .concat()
}

fn windowed(bytes: &[u8], bits: u8) -> Vec<u8> {
    stored(bytes, 0, bits, &[])
}

fn dictionary(bytes: &[u8]) -> Vec<u8> {
    stored(bytes, 1, 20, &[7])
}

/// Tells whether anything of a content entered the pool.
fn held(side: &Side, content: &[u8]) -> bool {
    side.store.pool().has(&Digest::of(content)).unwrap().is_some()
}

#[test]
fn a_signed_volume_of_any_other_make_is_refused_and_leaves_nothing() {
    let (collector, receiver) = sides();
    let hostile = hostile_volumes();
    assert!(hostile.len() > 290, "{}", hostile.len());
    let entries = receiver.entries();
    for (n, (what, make)) in hostile.into_iter().enumerate() {
        // What was good before the fault stays, as it is what it is called: each brings another one.
        let content = format!("what number {n} promised").into_bytes();
        let dir = signed(&content, make(&content)).write(&collector);
        let verification =
            verify(&receiver.store, std::slice::from_ref(&dir), &Silent).unwrap().remove(0).unwrap();
        assert!(matches!(verification.volumes[0].1, VolumeVerdict::Bad(_)), "{what}: {verification:?}");
        let error = refused(receiver.import(&dir));
        assert!(matches!(&error, TransferError::Damaged { .. }), "{what}: {error}");
        assert!(receiver.newest("bookworm").is_none(), "{what}");
        for wrong in [&content.to_ascii_uppercase()[..], b"else"] {
            assert!(!held(&receiver, wrong), "{what}");
        }
        let staged = files(&receiver.store.root().join("tmp"));
        assert!(staged.values().all(Vec::is_empty), "{what}: {:?}", staged.keys());
    }
    let noted = receiver.store.journal().read().skip(entries).map(|entry| entry.unwrap().event);
    assert!(noted.into_iter().all(|event| matches!(event, Event::Pending { .. })), "something was decided");
    let good = signed(CONTENT, squeezed(&archive(&[&good_member(CONTENT)])));
    imported(receiver.import(&good.write(&collector)));
    assert_eq!(receiver.read("bookworm", "a"), CONTENT);
}

#[test]
fn an_expansion_is_bounded_by_what_was_signed_and_by_the_space_that_is_there() {
    let (collector, receiver) = sides();
    let size = || files(&receiver.store.root().join("pool")).values().map(Vec::len).sum::<usize>();
    // 8 GiB of zeros in 300 KiB, where 17 bytes were promised
    let zeros = squeezed(&vec![0; 8 << 20]);
    let bomb = [squeezed(&good_member(CONTENT)), zeros.repeat(1024)].concat();
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    refused(receiver.import(&signed(CONTENT, bomb).write(&collector)));
    assert!(size() < 1 << 20, "{}", size());
    // what is honest about its size is held against the space before any of it is read
    let mut members: Vec<Member> = (0..4000_u32).map(|n| whole(&n.to_le_bytes())).collect();
    for member in &mut members {
        member.blob.size = MEMBER_BYTES;
    }
    members.sort_by_key(|member| member.blob.sha256);
    let bytes = squeezed(&archive(&[&good_member(CONTENT)]));
    let huge = Forgery { volumes: vec![ForgedVolume { bytes, members }], ..Forgery::new(&[]) };
    let error = receiver.import(&huge.write(&collector)).unwrap_err();
    assert!(
        matches!(error, TransferError::NoSpace { needed, .. } if needed == 4000 * MEMBER_BYTES),
        "{error}"
    );
    assert!(size() < 1 << 21 && receiver.newest("bookworm").is_none());
}

#[test]
fn a_signed_index_that_hides_or_expands_is_refused() {
    let (collector, receiver) = sides();
    let entries = receiver.entries();
    let plain = |bytes: &[u8]| zstd::decode_all(bytes).unwrap();
    type Spoil = Box<dyn Fn(Vec<u8>) -> Vec<u8>>;
    let spoils: Vec<(&str, Spoil)> = vec![
        ("a skippable frame before", Box::new(|good| [skippable(7), good].concat())),
        ("a skippable frame behind", Box::new(|good| [good, skippable(7)].concat())),
        ("a byte behind", Box::new(|good| [&*good, b"x"].concat())),
        ("itself again", Box::new(|good| good.repeat(2))),
        ("a cut frame", Box::new(|good| good[..good.len() - 1].to_vec())),
        ("nothing", Box::new(|_| Vec::new())),
        ("no zstd", Box::new(move |good| plain(&good))),
        ("a dictionary", Box::new(move |good| dictionary(&plain(&good)))),
        ("a window of 32 MiB", Box::new(move |good| windowed(&plain(&good), 25))),
        ("a window of 2 GiB", Box::new(move |good| windowed(&plain(&good), 31))),
        ("8 GiB of zeros", Box::new(|_| squeezed(&vec![0; 8 << 20]).repeat(1024))),
        (
            "8 GiB of empty lines behind",
            Box::new(|good| [good, squeezed(&vec![b'\n'; 8 << 20]).repeat(1024)].concat()),
        ),
    ];
    for (what, spoil) in spoils {
        let forgery = Forgery { index: spoil, ..Forgery::new(&[]) };
        let dir = forgery.write(&collector);
        let error = refused(receiver.import(&dir));
        assert!(matches!(error, TransferError::Index { .. }), "{what}: {error}");
        assert!(verify(&receiver.store, &[dir], &Silent).unwrap().remove(0).is_err(), "{what}");
    }
    // a window that a reader allows is one of many right ways
    let allowed = Forgery { index: Box::new(move |good| windowed(&plain(&good), 24)), ..Forgery::new(&[]) };
    assert_eq!(receiver.entries(), entries);
    assert!(receiver.newest("bookworm").is_none());
    imported(receiver.import(&allowed.write(&collector)));
}
