use std::{collections::BTreeMap, io::Read, num::NonZeroU32, process::Command};

use chantal_contract::limits::FRAME_BYTES;

use super::*;
use crate::{
    cells::{CellError, CellList, CheckedCells},
    frame::{FrameEncoder, Frames},
    index::Member,
    name::{MemberName, Part, VolumeNumber},
};

mod hostile;

const CELL: NonZeroU32 = NonZeroU32::new(256 << 10).unwrap();
const LIMIT: u64 = VOLUME_BYTES_LEAST;

/// Volumes in memory.
#[derive(Default)]
struct Shelf {
    current: Vec<u8>,
    volumes: Vec<Vec<u8>>,
    members: Vec<(VolumeNumber, Member)>,
}

impl Volumes for Shelf {
    type Error = PackError;
    fn frame(&mut self, content: Vec<u8>) -> Result<Vec<u8>, PackError> {
        assert!(!content.is_empty() && content.len() as u64 <= FRAME_BYTES);
        FrameEncoder::new().unwrap().encode(&content, &mut self.current).unwrap();
        Ok(content)
    }
    fn settled(&mut self) -> Result<u64, PackError> {
        Ok(self.current.len() as u64)
    }
    fn member(&mut self, volume: VolumeNumber, member: &Member) -> Result<(), PackError> {
        self.members.push((volume, *member));
        Ok(())
    }
    fn end_volume(&mut self, volume: VolumeNumber) -> Result<(), PackError> {
        self.volumes.push(std::mem::take(&mut self.current));
        assert_eq!(volume.get() as usize, self.volumes.len());
        Ok(())
    }
}

/// Bytes that nothing compresses, different for every seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn measured(bytes: &[u8]) -> Measured {
    Measured { sha256: Digest::of(bytes), size: bytes.len() as u64 }
}

fn by_digest(blobs: impl IntoIterator<Item = Vec<u8>>) -> BTreeMap<Digest, Vec<u8>> {
    blobs.into_iter().map(|b| (Digest::of(&b), b)).collect()
}

fn packed(limit: u64, blobs: &BTreeMap<Digest, Vec<u8>>) -> Result<Shelf, PackError> {
    let mut packer = Packer::new(limit, Shelf::default())?;
    for bytes in blobs.values() {
        packer.blob(measured(bytes), &mut &**bytes)?;
    }
    packer.finish()
}

fn list(number: usize, volume: &[u8]) -> CellList {
    let cells = volume.chunks(CELL.get() as usize).map(Digest::of).collect();
    let number = VolumeNumber::new(number as u64).unwrap();
    CellList { volume: number, size: volume.len() as u64, cell: CELL, cells }
}

fn unpacked(volume: &[u8], list: CellList) -> Result<Vec<(MemberName, Vec<u8>)>, UnpackError> {
    let mut unpacker = Unpacker::new(Frames::new(CheckedCells::new(volume, list))?);
    let mut members = Vec::new();
    while let Some((name, size)) = unpacker.next_member()? {
        let mut content = Vec::new();
        unpacker.read_to_end(&mut content)?;
        assert_eq!(content.len() as u64, size);
        members.push((name, content));
    }
    Ok(members)
}

fn assert_round_trip(limit: u64, blobs: &BTreeMap<Digest, Vec<u8>>) -> Shelf {
    let shelf = packed(limit, blobs).unwrap();
    let mut found: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    let mut expected = shelf.members.iter();
    for (n, volume) in shelf.volumes.iter().enumerate() {
        assert!(volume.len() as u64 <= limit, "volume {n} has {} bytes", volume.len());
        for (name, content) in unpacked(volume, list(n + 1, volume)).unwrap() {
            let (at, member) = expected.next().unwrap();
            assert_eq!(at.get() as usize, n + 1);
            assert_eq!(name, member.name());
            assert_eq!(measured(&content), member.content());
            found.entry(name.blob).or_default().extend(content);
        }
    }
    assert!(expected.next().is_none());
    assert_eq!(found.keys().collect::<Vec<_>>(), blobs.keys().collect::<Vec<_>>());
    assert!(found == *blobs, "some blob came out otherwise");
    shelf
}

#[test]
fn blobs_of_all_sizes_come_out_as_they_went_in() {
    let sizes = [0, 1, 511, 512, 513, 100_000, 1 << 20, 3 << 20];
    let blobs = by_digest((1..).zip(sizes).map(|(n, size)| noise(n, size)));
    let shelf = assert_round_trip(LIMIT, &blobs);
    assert!(shelf.volumes.len() >= 2);
    let one = assert_round_trip(64 << 20, &blobs);
    assert_eq!(one.volumes.len(), 1);
    let none = assert_round_trip(LIMIT, &BTreeMap::new());
    assert!(none.volumes.is_empty());
}

#[test]
fn a_blob_larger_than_a_volume_spans_several() {
    let blobs = by_digest([noise(1, 1 << 20), noise(2, 13 << 20), noise(3, 2 << 20), noise(4, 9 << 20)]);
    let shelf = assert_round_trip(LIMIT, &blobs);
    let parts: Vec<Part> = shelf.members.iter().map(|(_, m)| m.name().part).collect();
    assert!(parts.contains(&Part::Nth(4)), "{parts:?}");
    // No volume but the last is left half empty.
    for volume in &shelf.volumes[..shelf.volumes.len() - 1] {
        assert!(volume.len() as u64 > LIMIT - (3 << 20), "{}", volume.len());
    }
}

#[test]
fn a_blob_that_just_fits_is_not_split_and_one_byte_more_is() {
    // Header, end and frame overhead of a volume whose only member fills it.
    let exact = (1..LIMIT).rev().find(|size| {
        let archive = 512 + size.next_multiple_of(512) + 1024;
        crate::frame::frames_bound(archive) <= LIMIT
    });
    let exact = usize::try_from(exact.unwrap()).unwrap();
    let shelf = assert_round_trip(LIMIT, &by_digest([noise(1, exact)]));
    assert_eq!((shelf.volumes.len(), shelf.members.len()), (1, 1));
    let shelf = assert_round_trip(LIMIT, &by_digest([noise(1, exact + 1)]));
    assert_eq!((shelf.volumes.len(), shelf.members.len()), (2, 2));
}

#[test]
fn many_sizes_never_pass_the_limit() {
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..6 {
        let count = 1 + random(40);
        let blobs = by_digest((0..count).map(|n| {
            let size = if random(4) == 0 { random(6 << 20) } else { random(300_000) };
            let size = usize::try_from(size).unwrap();
            if random(3) == 0 { b"compressible ".repeat(size / 13 + 1) } else { noise(round * 100 + n, size) }
        }));
        assert_round_trip(LIMIT + random(1 << 20), &blobs);
    }
}

#[test]
fn text_is_squeezed_so_that_more_fits() {
    let blobs = by_digest((0..40_u32).map(|n| format!("Package: p{n}\n").repeat(100_000).into_bytes()));
    let shelf = assert_round_trip(LIMIT, &blobs);
    assert_eq!(shelf.volumes.len(), 1, "56 MB of text need one volume of 4 MiB");
}

#[test]
fn equal_blobs_give_equal_volumes() {
    let blobs = by_digest([noise(1, 3 << 20), b"text ".repeat(1 << 20), noise(2, 9 << 20)]);
    assert!(packed(LIMIT, &blobs).unwrap().volumes == packed(LIMIT, &blobs).unwrap().volumes);
}

#[test]
fn a_blob_that_is_not_what_its_name_says_is_refused() {
    let good = noise(1, 1000);
    let pack = |limit, blob: Measured, mut bytes: &[u8]| {
        Packer::new(limit, Shelf::default()).unwrap().blob(blob, &mut bytes)
    };
    let blob = measured(&good);
    pack(LIMIT, blob, &good).unwrap();
    let mut flipped = good.clone();
    flipped[500] ^= 1;
    let longer = [&*good, b"x"].concat();
    for bad in [&*flipped, &good[..999], &[], &longer] {
        assert!(matches!(pack(LIMIT, blob, bad), Err(PackError::Damaged { .. })));
    }
    let large = noise(2, 9 << 20);
    assert!(matches!(pack(LIMIT, measured(&large), &large[1..]), Err(PackError::Damaged { .. })));
}

#[test]
fn a_limit_keeps_its_limits() {
    for (limit, good) in [
        (VOLUME_BYTES_LEAST - 1, false),
        (VOLUME_BYTES_LEAST, true),
        (VOLUME_BYTES, true),
        (VOLUME_BYTES + 1, false),
    ] {
        assert_eq!(Packer::new(limit, Shelf::default()).is_ok(), good, "{limit}");
    }
}

#[test]
fn zstd_and_tar_accept_a_volume() {
    let blobs = by_digest([noise(1, 3 << 20), b"text ".repeat(1 << 20), noise(2, 500), Vec::new()]);
    let shelf = packed(64 << 20, &blobs).unwrap();
    let Some(volume) = shelf.volumes.first() else { panic!("no volume") };
    let path = std::env::temp_dir().join(format!("chantal-volume-{}.tar.zst", std::process::id()));
    std::fs::write(&path, volume).unwrap();
    let runs = [
        Command::new("zstd").arg("-tq").arg(&path).output(),
        Command::new("tar").arg("--zstd").arg("-tf").arg(&path).output(),
    ];
    std::fs::remove_file(&path).unwrap();
    for run in runs {
        match run {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
                let names = String::from_utf8(output.stdout).unwrap();
                assert!(names.is_empty() || names.lines().count() == blobs.len(), "{names}");
            }
            Err(error) if std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none() => {
                println!("skipped: {error}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
