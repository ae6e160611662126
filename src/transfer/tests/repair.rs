//! Damaged, lost and unreadable media.

use std::num::NonZeroU64;

use chantal_bundle::parity::Survival;

use super::*;

/// A collector that writes parity, a receiver, and a bundle of several volumes.
fn world(percent: &str) -> (Side, Side, Written) {
    let (mut collector, receiver) = sides();
    collector.parity = Some(percent.parse().unwrap());
    let blobs: Vec<(String, Vec<u8>)> = (0..9_usize)
        .map(|n| (format!("pool/{n}.deb"), noise(n as u64 + 1, (1 << 20) + n * 71_111)))
        .collect();
    let files: Vec<(&str, &[u8])> = blobs.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
    collector.state("bookworm", &files, 1);
    let written = collector.try_export(&["bookworm"], "none", 4 << 20).unwrap().unwrap();
    (collector, receiver, written)
}

/// A bundle of one small volume.
fn small() -> (Side, Side, Written) {
    let (mut collector, receiver) = sides();
    collector.parity = Some("20%".parse().unwrap());
    collector.state("bookworm", &[("a", b"one"), ("b", &noise(3, 300))], 1);
    let written = collector.export(&["bookworm"], "none");
    (collector, receiver, written)
}

fn same(collector: &Side, receiver: &Side, repository: &str) {
    let (ours, theirs) = (collector.newest(repository).unwrap(), receiver.newest(repository).unwrap());
    assert_eq!(ours, theirs);
    content::visit(&receiver.store, &theirs, &mut |need| {
        if let content::Need::Blob(blob) = need {
            let verdict = receiver.store.pool().verify(&blob.sha256)?;
            assert_eq!(verdict, crate::store::Verdict::Good(blob));
        }
        Ok(())
    })
    .unwrap();
}

fn copied(written: &Written, receiver: &Side) -> PathBuf {
    let to = receiver.dir.path().join("media");
    let _ = fs::remove_dir_all(&to);
    copy_tree(&written.path, &to);
    to
}

fn spoil(path: &Path, from: usize, length: usize) {
    let mut bytes = fs::read(path).unwrap();
    let end = (from + length).min(bytes.len());
    bytes[from..end].iter_mut().for_each(|b| *b ^= 0x55);
    fs::write(path, bytes).unwrap();
}

fn verified(receiver: &Side, dir: &Path) -> Verification {
    verified_at(receiver, &[dir.into()])
}

#[test]
fn a_bundle_with_parity_has_what_the_specification_lists() {
    let (collector, receiver, written) = world("34%");
    let manifest = manifest_of(&written);
    let parity = manifest.parity.as_ref().unwrap();
    assert!(manifest.volumes.len() >= 3, "{}", manifest.volumes.len());
    for (number, file) in parity.files() {
        let bytes = fs::read(written.path.join(number.file_name())).unwrap();
        assert_eq!((bytes.len() as u64, digest_of(&bytes)), (file.size, file.sha256));
        assert!(number.get() == 0 || file.size <= 4 << 20);
    }
    assert!(manifest.volumes.iter().all(|v| v.size <= NonZeroU64::new(4 << 20).unwrap()));
    let found = files(&written.path);
    for (name, bytes) in found.iter().filter(|(name, _)| name.starts_with("copy/")) {
        assert_eq!(found.get(name.strip_prefix("copy/").unwrap()), Some(bytes), "{name}");
    }
    assert!(found.contains_key("copy/manifest.json") && found.contains_key("copy/trust/0001.json"));
    let sums = String::from_utf8(found["SHA256SUMS"].clone()).unwrap();
    assert!(sums.contains("  parity-0000\n") && sums.contains("  copy/manifest.json\n"), "{sums}");
    assert!(!sums.contains("signatures/"), "{sums}");
    assert!(Survival::of(&manifest.layouts()).unwrap().files >= 1);
    let verification = verified(&receiver, &written.path);
    assert!(verification.is_good() && verification.is_whole() && verification.is_sound(), "{verification:?}");
    assert!(imported(receiver.import(&written.path)).repaired.is_empty());
    same(&collector, &receiver, "bookworm");
    // The same again gives the same bytes.
    let twin = collector.twin();
    assert_eq!(twin.parity, None);
}

#[test]
fn any_lost_file_is_made_anew() {
    let (collector, _, written) = world("34%");
    let all = files(&written.path);
    for name in all.keys() {
        let receiver = Side::new("plant-7");
        receiver.trust(&collector);
        let media = copied(&written, &receiver);
        fs::remove_file(media.join(name)).unwrap();
        println!("{name}");
        let verification = verified(&receiver, &media);
        let read = !["SHA256SUMS", "REVIEW.html", "review.json"].contains(&name.as_str());
        assert!(verification.is_signed() && verification.is_whole(), "{name}");
        assert!(!read || !verification.is_sound(), "{name}");
        let imported = imported(receiver.import(&media));
        assert_eq!(imported.repaired.len(), usize::from(name.starts_with("volume-")), "{name}");
        same(&collector, &receiver, "bookworm");
        let staged = files(&receiver.store.root().join("tmp"));
        assert!(staged.values().all(Vec::is_empty), "{:?}", staged.keys());
    }
}

#[test]
fn bad_sectors_everywhere_are_repaired_and_named() {
    let (collector, receiver, written) = world("20%");
    let media = copied(&written, &receiver);
    let before = files(&written.path);
    for (number, file) in manifest_of(&written).volumes() {
        let length = usize::try_from(file.size.get()).unwrap();
        for at in [5000, length / 3, length - 10] {
            spoil(&media.join(number.file_name()), at, 700);
        }
    }
    spoil(&media.join("parity-0001"), 100_000, 20_000);
    spoil(&media.join("index.zst"), 30, 9);
    spoil(&media.join("manifest.json"), 30, 1);
    let spoiled = files(&media);
    let verification = verified(&receiver, &media);
    assert!(verification.is_good() && !verification.is_sound(), "{verification:?}");
    assert_eq!(verification.damage.len(), manifest_of(&written).volumes.len());
    let first = &verification.damage[0];
    assert!(first.ranges.contains(&(0..16_384)) && first.bytes() <= 5 * 16_384, "{first:?}");
    assert!(verification.spare.iter().any(|s| s.contains("parity-0001")), "{:?}", verification.spare);
    assert!(verification.spare.iter().any(|s| s.contains("manifest.json")), "{:?}", verification.spare);
    let imported = imported(receiver.import(&media));
    assert_eq!(imported.repaired, verification.damage);
    same(&collector, &receiver, "bookworm");
    // Media are only read.
    assert_eq!(files(&media), spoiled);
    assert_eq!(files(&written.path), before);
}

#[test]
fn what_is_beyond_repair_waits_and_keeps_what_was_good() {
    let (collector, receiver, written) = world("10%");
    let media = copied(&written, &receiver);
    spoil(&media.join("volume-0002.tar.zst"), 1_100_000, 1_900_000);
    let verification = verified(&receiver, &media);
    assert!(!verification.is_good());
    assert!(!verification.damage[0].beyond.is_empty());
    let error = refused(receiver.import(&media));
    assert!(matches!(&error, TransferError::Damaged { damaged, .. } if damaged.len() == 1), "{error}");
    assert!(receiver.newest("bookworm").is_none());
    let pending = receiver.store.catalog().pending().unwrap();
    assert_eq!(pending.len(), 1);
    assert!(!pending[0].volumes.contains(&2) && pending[0].volumes.contains(&1), "{pending:?}");
    // Half the volume from this copy, half from another one, both damaged: together they are whole.
    let other = receiver.dir.path().join("other");
    copy_tree(&written.path, &other);
    spoil(&other.join("volume-0002.tar.zst"), 100, 500_000);
    fs::remove_file(other.join("parity-0001")).unwrap();
    fs::remove_file(media.join("parity-0001")).unwrap();
    let outcome = receiver.import_all(&[media, other]).pop().unwrap();
    assert_eq!(imported(outcome).repaired.len(), 1);
    same(&collector, &receiver, "bookworm");
}

#[test]
fn cut_volumes_and_one_of_another_bundle_are_repaired() {
    let (collector, receiver, written) = world("34%");
    let media = copied(&written, &receiver);
    let volume = media.join("volume-0001.tar.zst");
    let bytes = fs::read(&volume).unwrap();
    fs::write(&volume, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(imported(receiver.import(&media)).repaired.len(), 1);
    same(&collector, &receiver, "bookworm");
    let foreign = Side::new("plant-7");
    foreign.trust(&collector);
    let media = copied(&written, &foreign);
    fs::copy(media.join("volume-0002.tar.zst"), media.join("volume-0001.tar.zst")).unwrap();
    assert_eq!(imported(foreign.import(&media)).repaired.len(), 1);
    same(&collector, &foreign, "bookworm");
}

#[test]
fn volumes_on_several_media_are_repaired_together() {
    let (collector, receiver, written) = world("34%");
    let whole = copied(&written, &receiver);
    let count = manifest_of(&written).volumes.len();
    let mut discs = Vec::new();
    for n in 1..=count {
        let disc = receiver.dir.path().join(format!("disc{n}"));
        copy_tree(&whole, &disc);
        for other in (1..=count).filter(|o| *o != n) {
            fs::remove_file(disc.join(format!("volume-{other:04}.tar.zst"))).unwrap();
        }
        for parity in 1..9 {
            if n != 1 {
                let _ = fs::remove_file(disc.join(format!("parity-{parity:04}")));
            }
        }
        discs.push(disc);
    }
    // The last disc is lost. One by one the others do not tell; together they do.
    discs.pop();
    match receiver.import_all(&discs[..1]).pop().unwrap() {
        Ok(ImportOutcome::Waiting { have, need, .. }) => assert_eq!((have.len(), need.len()), (1, count - 1)),
        other => panic!("{other:?}"),
    }
    let outcome = receiver.import_all(&discs).pop().unwrap();
    assert_eq!(imported(outcome).repaired.len(), 1);
    same(&collector, &receiver, "bookworm");
}

#[test]
fn five_volumes_in_every_order() {
    let (mut collector, _) = sides();
    collector.parity = None;
    let blobs: Vec<(String, Vec<u8>)> =
        (0..5_usize).map(|n| (format!("{n}"), noise(n as u64 + 50, 2_110_000))).collect();
    let list: Vec<(&str, &[u8])> = blobs.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
    collector.state("bookworm", &list, 1);
    let written = collector.try_export(&["bookworm"], "none", 4 << 20).unwrap().unwrap();
    assert_eq!(manifest_of(&written).volumes.len(), 5);
    let mut orders = vec![vec![]];
    for n in 1..=5_u32 {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<u32>| {
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, n);
                    longer
                })
            })
            .collect();
    }
    assert_eq!(orders.len(), 120);
    let media = tempfile::tempdir().unwrap();
    copy_tree(&written.path, media.path());
    let aside = tempfile::tempdir().unwrap();
    let volume = |dir: &Path, n: u32| dir.join(format!("volume-{n:04}.tar.zst"));
    for (round, order) in orders.iter().enumerate() {
        let receiver = Side::new("plant-7");
        receiver.trust(&collector);
        for n in 1..=5 {
            let _ = fs::rename(volume(media.path(), n), volume(aside.path(), n));
        }
        for (visit, n) in order.iter().enumerate() {
            fs::rename(volume(aside.path(), *n), volume(media.path(), *n)).unwrap();
            // Some see the volume before once more, as another copy of it.
            let mut paths = vec![media.path().to_path_buf()];
            if round % 3 == 0 {
                paths.push(volume(media.path(), *n));
            }
            let outcome = receiver.import_all(&paths).pop().unwrap();
            if visit < 4 {
                match outcome {
                    Ok(ImportOutcome::Waiting { have, need, .. }) => {
                        assert_eq!((have.len(), need.len()), (visit + 1, 4 - visit), "{order:?}");
                    }
                    other => panic!("{order:?}: {other:?}"),
                }
                if round % 2 == 0 {
                    fs::rename(volume(media.path(), *n), volume(aside.path(), *n)).unwrap();
                }
            } else {
                imported(outcome);
            }
        }
    }
}

#[test]
fn each_of_five_volumes_may_be_missing_doubled_another_or_another_bundles() {
    let collector = Side::new("hq");
    let deliver = |seed: u64, second| {
        let blobs: Vec<(String, Vec<u8>)> =
            (0..5_u64).map(|n| (format!("{n}"), noise(seed + n, 2_110_000))).collect();
        let list: Vec<(&str, &[u8])> = blobs.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
        collector.state("bookworm", &list, second);
        collector.try_export(&["bookworm"], "none", 4 << 20).unwrap().unwrap()
    };
    let (first, second) = (deliver(100, 1), deliver(200, 2));
    for n in 1..=5_u32 {
        let receiver = Side::new("plant-7");
        receiver.trust(&collector);
        let media = copied(&first, &receiver);
        let volume = |number: u32| format!("volume-{number:04}.tar.zst");
        let name = volume(n);
        let right = fs::read(first.path.join(&name)).unwrap();
        let mut wrong = vec![
            ("another bundle's", fs::read(second.path.join(&name)).unwrap()),
            ("doubled", [&*right, &right].concat()),
        ];
        let others = (1..=5).filter(|other| *other != n);
        wrong.extend(others.map(|other| ("another one", fs::read(first.path.join(volume(other))).unwrap())));
        for (what, bytes) in wrong {
            fs::write(media.join(&name), bytes).unwrap();
            match receiver.import(&media) {
                Err(TransferError::Damaged { damaged, .. }) => {
                    assert_eq!(damaged.iter().map(|v| v.get()).collect::<Vec<_>>(), [n], "{what}");
                }
                other => panic!("{what}: {other:?}"),
            }
            assert!(receiver.newest("bookworm").is_none(), "{what}");
        }
        fs::remove_file(media.join(&name)).unwrap();
        match receiver.import(&media) {
            Ok(ImportOutcome::Waiting { need, .. }) => {
                assert_eq!(need.iter().map(|v| v.get()).collect::<Vec<_>>(), [n]);
            }
            other => panic!("{other:?}"),
        }
        imported(receiver.import(&first.path.join(&name)));
    }
}

#[test]
fn a_file_that_is_damaged_in_both_its_copies_is_refused() {
    let (collector, receiver, written) = small();
    let media = copied(&written, &receiver);
    spoil(&media.join("manifest.json"), 40, 1);
    spoil(&media.join("copy/manifest.json"), 90, 1);
    let error = refused(receiver.import(&media));
    assert!(matches!(error, TransferError::Untrusted { .. }), "{error}");
    let again = copied(&written, &receiver);
    imported(receiver.import(&again));
    same(&collector, &receiver, "bookworm");
}

#[test]
fn both_copies_of_the_front_may_be_damaged_in_different_files() {
    let (collector, receiver, written) = small();
    let media = copied(&written, &receiver);
    spoil(&media.join("manifest.json"), 40, 1);
    spoil(&media.join("copy/trust/0001.json"), 40, 1);
    let signature = files(&media).into_keys().find(|n| n.starts_with("copy/signatures/")).unwrap();
    fs::remove_file(media.join(signature)).unwrap();
    imported(receiver.import(&media));
    same(&collector, &receiver, "bookworm");
}

#[test]
fn parity_of_an_empty_bundle_protects_its_index() {
    let (mut collector, receiver) = sides();
    collector.parity = Some("10%".parse().unwrap());
    collector.packages("wheels", &[], 1);
    let written = collector.export(&["wheels"], "none");
    let manifest = manifest_of(&written);
    assert!(manifest.volumes.is_empty());
    assert_eq!(manifest.parity.as_ref().unwrap().groups, []);
    fs::remove_file(written.path.join("index.zst")).unwrap();
    imported(receiver.import(&written.path));
    same(&collector, &receiver, "wheels");
}
