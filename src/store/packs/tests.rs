use super::*;
use crate::store::Depth;

fn scratch() -> (tempfile::TempDir, Packs) {
    let dir = crate::store::tests::scratch();
    for name in ["tmp", "packs", "locks"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let packs = Packs::new(dir.path());
    (dir, packs)
}

fn record(n: usize) -> Vec<u8> {
    let text = "Maintainer: Somebody <somebody@example.org>\nArchitecture: amd64\nSection: net\n";
    format!("Package: package-{n}\nVersion: 1.{}-{n}\n{text}", n % 7).into_bytes()
}

fn add(packs: &Packs, range: std::ops::Range<usize>) -> Vec<Digest> {
    let mut writer = packs.writer().unwrap();
    let names = range.map(|n| writer.add(&record(n)).unwrap()).collect();
    writer.commit().unwrap();
    names
}

#[test]
fn every_record_is_found_and_no_other() {
    let (dir, packs) = scratch();
    let names = add(&packs, 0..20_000);
    let again = Packs::new(dir.path());
    for (n, name) in names.iter().enumerate() {
        assert_eq!(again.get(name).unwrap(), record(n));
    }
    assert!(!packs.has(&Digest::of(b"none")).unwrap());
    assert!(matches!(packs.get(&Digest::of(b"none")), Err(StoreError::Missing { .. })));
    let [(_, records, bytes)] = packs.list().unwrap()[..] else { panic!() };
    let plain: usize = (0..20_000).map(|n| record(n).len()).sum();
    assert_eq!(records, 20_000);
    // digests do not compress: 44 bytes a record are the index
    assert!(bytes < 20_000 * 44 + plain as u64 / 5, "{bytes} of {plain}");
}

#[test]
fn known_records_are_not_written_again() {
    let (_dir, packs) = scratch();
    add(&packs, 0..100);
    add(&packs, 0..100);
    assert_eq!(packs.list().unwrap().len(), 1);
    add(&packs, 50..150);
    let records: Vec<u64> = packs.list().unwrap().iter().map(|p| p.1).collect();
    assert_eq!(records, [100, 50]);
    let mut writer = packs.writer().unwrap();
    writer.add(b"twice").unwrap();
    writer.add(b"twice").unwrap();
    writer.add(b"").unwrap();
    writer.commit().unwrap();
    assert_eq!(packs.get(&Digest::of(b"")).unwrap(), b"");
    assert_eq!(packs.list().unwrap().iter().map(|p| p.1).sum::<u64>(), 152);
}

#[test]
fn what_was_not_committed_is_gone() {
    let (dir, packs) = scratch();
    let mut writer = packs.writer().unwrap();
    let name = writer.add(b"lost").unwrap();
    drop(writer);
    assert!(!packs.has(&name).unwrap());
    assert_eq!(file::list(&dir.path().join("tmp")).unwrap(), ["lock"]);
}

#[test]
fn many_small_packs_become_few_and_lose_nothing() {
    let (dir, packs) = scratch();
    let reader = Packs::new(dir.path());
    let mut names = add(&packs, 0..1000);
    assert!(reader.has(&names[0]).unwrap());
    for round in 0..60 {
        let from = 1000 + round * 10;
        names.extend(add(&packs, from..from + 10));
    }
    assert!(packs.list().unwrap().len() <= MANY, "{}", packs.list().unwrap().len());
    // a reader that opened the former packs still finds everything
    for (n, name) in names.iter().enumerate() {
        assert_eq!(reader.get(name).unwrap(), record(n));
    }
    assert!(packs.verify(Depth::Full).unwrap().is_empty());
}

#[test]
fn pruning_keeps_what_is_wanted() {
    let (_dir, packs) = scratch();
    let names = add(&packs, 0..1000);
    let all: HashSet<Digest> = names.iter().copied().collect();
    assert_eq!(packs.prune(&all).unwrap(), 0);
    let few: HashSet<Digest> = names.iter().copied().take(300).collect();
    assert!(packs.prune(&few).unwrap() > 0);
    for (n, name) in names.iter().enumerate() {
        assert_eq!(packs.has(name).unwrap(), n < 300);
    }
    assert_eq!(packs.get(&names[7]).unwrap(), record(7));
    packs.prune(&HashSet::new()).unwrap();
    assert!(packs.list().unwrap().is_empty());
}

#[test]
fn any_flipped_bit_is_found() {
    let (dir, packs) = scratch();
    let names = add(&packs, 0..40);
    let path = packs.list().unwrap()[0].0.clone();
    let good = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        std::fs::write(&path, bad).unwrap();
        let fresh = Packs::new(dir.path());
        assert_eq!(fresh.verify(Depth::Full).unwrap().len(), 1, "byte {byte}");
        for (n, name) in names.iter().enumerate() {
            // it may be lost, but never another
            if let Ok(found) = fresh.get(name) {
                assert_eq!(found, record(n));
            }
        }
    }
}

#[test]
fn the_same_records_make_the_same_pack() {
    let names: Vec<_> = (0..2)
        .map(|_| {
            let (_dir, packs) = scratch();
            add(&packs, 0..500);
            packs.list().unwrap()[0].0.file_name().unwrap().to_owned()
        })
        .collect();
    assert_eq!(names[0], names[1]);
}
