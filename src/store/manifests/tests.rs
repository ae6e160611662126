use std::io::Read;

use chantal_contract::{Entry, Kind, Measured, Mode, RepoPath, Role, manifest};

use super::*;

fn scratch() -> (tempfile::TempDir, Manifests) {
    let dir = crate::store::tests::scratch();
    for name in ["tmp", "manifests"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let manifests = Manifests::new(dir.path());
    (dir, manifests)
}

fn header(options: &str) -> Header {
    Header {
        format: Kind::Apt,
        layout: 1,
        mode: Mode::Mirror,
        options: serde_json::json!({ "suite": options }),
    }
}

fn file(path: &str, content: &str) -> Line {
    let measured = Measured { sha256: Digest::of(content.as_bytes()), size: content.len() as u64 };
    Line::File { path: RepoPath::new(path).unwrap(), entry: Entry::Present { measured, role: Role::Payload } }
}

fn write(manifests: &Manifests, header: &Header, lines: &[Line], on: Option<&Digest>) -> Digest {
    let mut writer = manifests.writer(header, on).unwrap();
    for line in lines {
        writer.line(line).unwrap();
    }
    writer.finish().unwrap()
}

fn plain(header: &Header, lines: &[Line]) -> (Digest, Vec<u8>) {
    let mut writer = manifest::Writer::new(Vec::new(), header).unwrap();
    for line in lines {
        writer.line(line).unwrap();
    }
    writer.finish()
}

/// Reads a manifest to its end and says what its bytes hash to.
fn read(manifests: &Manifests, name: &Digest) -> Result<Digest, StoreError> {
    let mut reader = manifests.open(name)?;
    while reader.next_line().map_err(|e| StoreError::manifest(*name, e))?.is_some() {}
    Ok(reader.digest())
}

fn lines(count: usize, round: usize) -> Vec<Line> {
    (0..count)
        .filter(|n| !(n * 7 + round).is_multiple_of(61))
        .map(|n| {
            let changed = if (n + round).is_multiple_of(43) { round } else { 0 };
            file(&format!("pool/{n:06}.deb"), &format!("{n} {changed}"))
        })
        .collect()
}

#[test]
fn a_chain_reads_as_what_was_written() {
    let (_dir, manifests) = scratch();
    let mut former = None;
    let mut names = Vec::new();
    for round in 0..40 {
        let options = if round % 5 == 0 { "other" } else { "same" };
        let (name, bytes) = plain(&header(options), &lines(3000, round));
        let stored = write(&manifests, &header(options), &lines(3000, round), former.as_ref());
        assert_eq!(stored, name);
        let mut found = Vec::new();
        manifests.bytes(&name).unwrap().read_to_end(&mut found).unwrap();
        assert!(found == bytes, "round {round}");
        former = Some(name);
        names.push(name);
    }
    let depth = |name: &Digest| {
        let (mut next, mut depth) = (*name, 0);
        while let Some(base) = manifests.stored_against(&next).unwrap() {
            (next, depth) = (base, depth + 1);
        }
        depth
    };
    let depths: Vec<u32> = names.iter().map(depth).collect();
    assert_eq!(depths.iter().max(), Some(&(CHAIN - 1)));
    assert_eq!(depths.iter().filter(|d| **d == 0).count(), 3);
    for name in &names {
        assert_eq!(read(&manifests, name).unwrap(), *name);
    }
    assert_eq!(manifests.iter().count(), 40);
}

#[test]
fn a_base_can_go_once_nothing_rests_on_it() {
    let (_dir, manifests) = scratch();
    let old = write(&manifests, &header("x"), &lines(500, 1), None);
    let new = write(&manifests, &header("x"), &lines(500, 2), Some(&old));
    assert_eq!(manifests.stored_against(&new).unwrap(), Some(old));
    manifests.make_full(&new).unwrap();
    assert_eq!(manifests.stored_against(&new).unwrap(), None);
    assert!(manifests.remove(&old).unwrap() > 0);
    assert_eq!(read(&manifests, &new).unwrap(), new);
}

#[test]
fn what_rests_on_one_that_was_made_full_is_read_on() {
    let (_dir, manifests) = scratch();
    let mut former = None;
    let mut names = Vec::new();
    for round in 0..5 {
        let name = write(&manifests, &header("same"), &lines(3000, round), former.as_ref());
        former = Some(name);
        names.push(name);
    }
    assert_eq!(manifests.stored_against(&names[4]).unwrap(), Some(names[3]));
    // what gc does when nothing needs the second any more
    manifests.make_full(&names[2]).unwrap();
    manifests.remove(&names[1]).unwrap();
    for name in [names[0], names[2], names[3], names[4]] {
        assert_eq!(read(&manifests, &name).unwrap(), name);
    }
}

#[test]
fn what_shares_little_is_stored_whole_and_a_lost_base_is_no_obstacle() {
    let (_dir, manifests) = scratch();
    let other: Vec<Line> = (0..500).map(|n| file(&format!("q/{n:04}"), "q")).collect();
    let old = write(&manifests, &header("x"), &lines(500, 1), None);
    let new = write(&manifests, &header("x"), &other, Some(&old));
    assert_eq!(manifests.stored_against(&new).unwrap(), None);
    assert_eq!(read(&manifests, &new).unwrap(), new);
    let empty = write(&manifests, &header("x"), &[], Some(&Digest::of(b"lost")));
    assert_eq!(read(&manifests, &empty).unwrap(), empty);
    let after_empty = write(&manifests, &header("x"), &lines(5, 1), Some(&empty));
    assert_eq!(read(&manifests, &after_empty).unwrap(), after_empty);
    let emptied = write(&manifests, &header("y"), &[], Some(&new));
    assert_eq!(read(&manifests, &emptied).unwrap(), emptied);
}

#[test]
fn a_delta_is_small_and_the_same_each_time() {
    let sizes: Vec<(u64, Vec<u8>)> = (0..2)
        .map(|_| {
            let (_dir, manifests) = scratch();
            let old = write(&manifests, &header("x"), &lines(20_000, 0), None);
            let new = write(&manifests, &header("x"), &lines(20_000, 1), Some(&old));
            let full = std::fs::metadata(manifests.path(&old)).unwrap().len();
            (full, std::fs::read(manifests.path(&new)).unwrap())
        })
        .collect();
    assert!((sizes[0].1.len() as u64) * 8 < sizes[0].0, "{} of {}", sizes[0].1.len(), sizes[0].0);
    assert!(sizes[0] == sizes[1]);
}

#[test]
fn what_is_out_of_order_is_refused_and_leaves_nothing() {
    let (dir, manifests) = scratch();
    let mut writer = manifests.writer(&header("x"), None).unwrap();
    writer.line(&file("b", "1")).unwrap();
    assert!(matches!(writer.line(&file("a", "1")), Err(StoreError::NewManifest { .. })));
    drop(writer);
    assert_eq!(manifests.iter().count(), 0);
    assert_eq!(crate::store::file::list(&dir.path().join("tmp")).unwrap(), ["lock"]);
    assert!(matches!(manifests.open(&Digest::of(b"no")), Err(StoreError::Missing { .. })));
}

#[test]
fn any_flipped_bit_is_found() {
    let (_dir, manifests) = scratch();
    let old = write(&manifests, &header("x"), &lines(300, 1), None);
    let new = write(&manifests, &header("x"), &lines(300, 2), Some(&old));
    for name in [old, new] {
        let path = manifests.path(&name);
        let good = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut idle = 0;
        for byte in 0..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 1 << (byte % 8);
            std::fs::write(&path, bad).unwrap();
            if read(&manifests, &name).is_ok_and(|found| found == name) {
                idle += 1;
            }
        }
        // reserved bits and the window's size say nothing about the content, which was proved by its name
        assert!(idle < 8, "{idle} flipped bits of {} were not noticed", good.len());
        for cut in (0..good.len()).step_by(7) {
            std::fs::write(&path, &good[..cut]).unwrap();
            assert!(read(&manifests, &name).is_err(), "cut at {cut}");
        }
        std::fs::write(&path, good).unwrap();
    }
}
