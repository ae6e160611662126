//! What must be refused, and leaves the receiver as it was.

use chantal_contract::limits::VOLUME_BYTES_LEAST;

use super::*;

fn bundle(collector: &Side) -> Written {
    collector.state("bookworm", &[("a", b"a"), ("b", &noise(1, 5_000))], 1);
    collector.export(&["bookworm"], "none")
}

#[test]
fn sums_that_contradict_the_manifest_are_shown() {
    let (collector, receiver) = sides();
    let written = bundle(&collector);
    let path = written.path.join("SHA256SUMS");
    let text = fs::read_to_string(&path).unwrap();
    let hex = manifest_of(&written).index.sha256.hex();
    assert!(text.contains(&hex));
    fs::write(&path, text.replace(&hex, &"0".repeat(64))).unwrap();
    let verified = verified_at(&receiver, std::slice::from_ref(&written.path));
    assert_eq!(verified.sums.len(), 1);
    assert!(!verified.is_good());
    // what is not there contradicts nothing
    fs::remove_file(&path).unwrap();
    let verified = verified_at(&receiver, &[written.path]);
    assert!(verified.is_good() && !verified.is_sound());
    assert_eq!(verified.absent, ["`SHA256SUMS`"]);
}

#[test]
fn a_volume_is_truncated_doubled_swapped_or_of_another_bundle() {
    let (collector, receiver) = sides();
    let contents: Vec<Vec<u8>> = (0..3).map(|n| noise(n, 3_000_000)).collect();
    let listed = [("a", &*contents[0]), ("b", &*contents[1]), ("c", &*contents[2])];
    collector.state("bookworm", &listed, 1);
    let written = collector.try_export(&["bookworm"], "none", VOLUME_BYTES_LEAST).unwrap().unwrap();
    let other = Side::new("hq");
    other.state("bookworm", &[("x", &noise(9, 3_000_000))], 1);
    let foreign = other.export(&["bookworm"], "none");
    let (one, two) = ("volume-0001.tar.zst", "volume-0002.tar.zst");
    let read = |name: &str| fs::read(written.path.join(name)).unwrap();
    let (first, second) = (read(one), read(two));
    for (what, bad) in [
        ("truncated", first[..first.len() - 1].to_vec()),
        ("half", first[..first.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("doubled", [&*first, &*first].concat()),
        ("the other one", second),
        ("foreign", fs::read(foreign.path.join(one)).unwrap()),
    ] {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(&written.path, copy.path());
        fs::write(copy.path().join(one), &bad).unwrap();
        let error = refused(receiver.import(copy.path()));
        assert!(
            matches!(&error, TransferError::Damaged { damaged, .. } if damaged[0].get() == 1),
            "{what}: {error}"
        );
        assert!(receiver.newest("bookworm").is_none(), "{what}");
    }
    // The other volumes were good and are kept: the first alone is still needed.
    let copy = tempfile::tempdir().unwrap();
    fs::write(copy.path().join(one), &first).unwrap();
    imported(receiver.import(copy.path()));
    assert!(receiver.read("bookworm", "c") == contents[2]);
}

#[test]
fn a_second_copy_of_a_damaged_volume_serves() {
    let (collector, receiver) = sides();
    let written = bundle(&collector);
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&written.path, copy.path());
    let volume = copy.path().join("volume-0001.tar.zst");
    let mut bytes = fs::read(&volume).unwrap();
    bytes[100] ^= 1;
    fs::write(&volume, bytes).unwrap();
    let outcomes = receiver.import_all(&[copy.path().into(), written.path]);
    assert_eq!(outcomes.len(), 1, "both are one bundle");
    for outcome in outcomes {
        drop(imported(outcome));
    }
}

#[test]
fn a_medium_that_goes_round_brings_each_site_its_own() {
    let (mut collector, receiver) = sides();
    let other = Side::new("plant-8");
    other.trust(&collector);
    for second in 1..=2 {
        collector.state("bookworm", &[("a", format!("{second}").as_bytes())], second);
        for to in ["plant-8", "plant-7"] {
            collector.to = site(to);
            collector.export(&["bookworm"], "last");
        }
    }
    let out = collector.dir.path().join("out");
    for side in [&receiver, &other] {
        let outcomes = side.import_all(std::slice::from_ref(&out));
        assert_eq!(outcomes.len(), 2, "{outcomes:?}");
        for outcome in outcomes {
            assert_eq!(imported(outcome).manifest.site, *side.store.site());
        }
        assert_eq!(side.read("bookworm", "a"), b"2");
    }
    let stranger = Side::new("plant-9");
    stranger.trust(&collector);
    let error = refused(stranger.import(&out));
    assert!(matches!(error, TransferError::WrongSite { .. }), "{error}");
}

#[test]
fn a_bundle_for_another_site_is_answered_for_what_it_is() {
    let (collector, _) = sides();
    let written = bundle(&collector);
    let other = Side::new("plant-8");
    other.trust(&collector);
    let error = refused(other.import(&written.path));
    assert!(matches!(error, TransferError::WrongSite { .. }), "{error}");
    assert!(other.newest("bookworm").is_none());
}

#[test]
fn a_collector_that_is_not_trusted_is_not_believed() {
    let (collector, _) = sides();
    let written = bundle(&collector);
    let receiver = Side::new("plant-7");
    // It trusts itself, as every site does, and that is no help.
    let error = refused(receiver.import(&written.path));
    assert!(matches!(error, TransferError::NoTrust { .. }), "{error}");
    assert!(error.hint().unwrap().contains("chantal trust add"));
    // A collector of the same name with another key is another one.
    receiver.trust(&Side::new("hq"));
    assert!(matches!(refused(receiver.import(&written.path)), TransferError::Untrusted { .. }));
    let other = Side::new("plant-7");
    other.trust(&Side::new("hq2"));
    assert!(matches!(refused(other.import(&written.path)), TransferError::Stranger { .. }));
    // The collector itself verifies what it wrote.
    assert!(verified_at(&collector, &[written.path]).is_good());
}

#[test]
fn a_good_chain_with_somebody_elses_signature_is_not_believed() {
    let (collector, receiver) = sides();
    let impostor = Side::new("hq");
    let (written, forged) = (bundle(&collector), bundle(&impostor));
    // The forged bundle dressed in the trusted chain.
    for file in files(&written.path).keys().filter(|f| f.starts_with("trust/")) {
        fs::copy(written.path.join(file), forged.path.join(file)).unwrap();
    }
    assert!(matches!(refused(receiver.import(&forged.path)), TransferError::Untrusted { .. }));
    // Without any signature.
    fs::remove_dir_all(written.path.join("signatures")).unwrap();
    assert!(matches!(refused(receiver.import(&written.path)), TransferError::Untrusted { .. }));
}

#[test]
fn a_sequence_is_used_once() {
    let (collector, receiver) = sides();
    let twin = collector.twin();
    collector.state("bookworm", &[("a", b"a")], 1);
    twin.state("bookworm", &[("a", b"b")], 1);
    let (one, two) = (collector.export(&["bookworm"], "none"), twin.export(&["bookworm"], "none"));
    assert_eq!(one.bundle, two.bundle);
    imported(receiver.import(&one.path));
    let entries = receiver.entries();
    assert!(matches!(refused(receiver.import(&two.path)), TransferError::Replayed { .. }));
    collector.state("bookworm", &[("a", b"a"), ("b", b"c")], 2);
    let older = collector.export(&["bookworm"], "none");
    collector.state("bookworm", &[("a", b"a"), ("b", b"d")], 3);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    assert!(matches!(refused(receiver.import(&older.path)), TransferError::Older { .. }));
    assert_eq!(receiver.read("bookworm", "b"), b"d");
    assert_eq!(receiver.entries(), entries + 2, "a pending note and an import");
}

#[test]
fn a_repository_that_is_synced_here_is_not_replaced() {
    let (collector, receiver) = sides();
    let written = bundle(&collector);
    receiver.state("bookworm", &[("mine", b"mine")], 1);
    assert!(matches!(receiver.import(&written.path), Err(TransferError::OwnRepository { .. })));
    assert_eq!(receiver.read("bookworm", "mine"), b"mine");
}

#[test]
fn an_index_is_needed_once() {
    let (collector, receiver) = sides();
    let written = bundle(&collector);
    let index = written.path.join("index.zst");
    let bytes = fs::read(&index).unwrap();
    fs::remove_file(&index).unwrap();
    assert!(matches!(receiver.import(&written.path), Err(TransferError::NoIndex { .. })));
    fs::write(&index, bytes).unwrap();
    imported(receiver.import(&written.path));
}

#[test]
fn what_is_no_bundle_is_said_to_be_none() {
    let (_, receiver) = sides();
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(receiver.import(empty.path()), Err(TransferError::NoBundle { .. })));
    let file = empty.path().join("notes.txt");
    fs::write(&file, "x").unwrap();
    assert!(matches!(receiver.import(&file), Err(TransferError::NoBundle { .. })));
    let loose = empty.path().join("volume-0001.tar.zst");
    fs::write(&loose, "x").unwrap();
    assert!(matches!(receiver.import(&loose), Err(TransferError::Loose { .. })));
    let missing = empty.path().join("nowhere");
    assert!(matches!(receiver.import(&missing), Err(TransferError::Io { .. })));
}

#[test]
fn a_damaged_blob_of_the_collector_is_not_exported() {
    let (collector, _) = sides();
    let content = noise(1, 10_000);
    collector.state("bookworm", &[("a", &content)], 1);
    let path = collector.store.pool().path(&digest_of(&content));
    fs::remove_file(&path).unwrap();
    let mut bad = content.clone();
    bad[5_000] ^= 1;
    fs::write(&path, &bad).unwrap();
    let error = collector.try_export(&["bookworm"], "none", VOLUME_SIZE).unwrap_err();
    assert!(matches!(error, TransferError::Export(ExportError::Pack(_))), "{error}");
    let out = collector.dir.path().join("out");
    assert_eq!(fs::read_dir(out).unwrap().count(), 0, "nothing is left behind");
    assert!(collector.store.catalog().exports(None).unwrap().is_empty());
}

#[test]
fn two_exports_to_one_site_do_not_run_at_once() {
    let (collector, _) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let to = site("plant-7");
    let _held = collector.store.lock(crate::store::Lock::Site(&to)).unwrap();
    let error = collector.try_export(&["bookworm"], "none", VOLUME_SIZE).unwrap_err();
    assert!(matches!(error, TransferError::Store(crate::store::StoreError::Locked { .. })), "{error}");
}

#[test]
fn a_store_without_trust_in_itself_exports_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join("store"), &site("hq"), at(0)).unwrap();
    let key = SiteKey::generate(&dir.path().join("key"), "", &Passphrase::None).unwrap();
    let side = Side { dir, store, key, parity: None, unchanged: Unchanged::Skip, to: site("plant-7") };
    side.state("bookworm", &[("a", b"a")], 1);
    let error = side.try_export(&["bookworm"], "none", VOLUME_SIZE).unwrap_err();
    assert!(matches!(error, TransferError::NoOwnTrust { .. }), "{error}");
}

/// Version 2 of a collector's trust document: as version 1, and the key of somebody else is revoked.
fn second(collector: &Side, stranger: &Side) -> TrustDocument {
    let mut document = TrustDocument::first(collector.store.site().clone(), collector.key.public());
    document.version = 2;
    document.revoked.push(chantal_bundle::trust::Revocation { key: stranger.key.fingerprint(), version: 2 });
    document
}

#[test]
fn a_new_trust_document_counts_even_if_its_bundle_is_refused() {
    let (collector, receiver) = sides();
    let before = bundle(&collector);
    collector.accept(second(&collector, &receiver));
    collector.state("bookworm", &[("a", b"b")], 2);
    // Its base never came.
    let refused_one = collector.export(&["bookworm"], "last");
    assert_eq!(refused_one.manifest.trust.len(), 2);
    assert!(matches!(refused(receiver.import(&refused_one.path)), TransferError::MissingBases { .. }));
    let hq = site("hq");
    assert_eq!(receiver.store.catalog().trust(&hq).unwrap().map(|(version, _)| version), Some(2));
    // From now on an older chain is refused, however well it is signed.
    let error = refused(receiver.import(&before.path));
    assert!(error.to_string().contains("version 2 was accepted"), "{error}");
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
}

#[test]
fn a_waiting_import_is_judged_again_under_newer_trust() {
    let (collector, receiver) = sides();
    let written = bundle(&collector);
    let (front, loose) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy_tree(&written.path, front.path());
    let volume = "volume-0001.tar.zst";
    fs::rename(front.path().join(volume), loose.path().join(volume)).unwrap();
    assert!(matches!(receiver.import(front.path()), Ok(ImportOutcome::Waiting { .. })));
    receiver.accept(second(&collector, &receiver));
    assert!(matches!(receiver.import(loose.path()), Err(TransferError::Loose { .. })));
    assert!(receiver.newest("bookworm").is_none());
}

#[test]
fn small_files_that_are_none_or_too_large_are_not_read() {
    let (collector, receiver) = sides();
    let written = bundle(&collector);
    let odd = written.path.join("signatures/collector-odd.sig");
    fs::create_dir(&odd).unwrap();
    let error = refused(receiver.import(&written.path));
    assert!(matches!(&error, TransferError::NoFile { path } if *path == odd), "{error}");
    fs::remove_dir(&odd).unwrap();
    let limit = chantal_contract::limits::BUNDLE_MANIFEST_BYTES as u64;
    let manifest = written.path.join("manifest.json");
    let good = fs::read(&manifest).unwrap();
    for (length, too_long) in [(limit, false), (limit + 1, true)] {
        let file = fs::OpenOptions::new().write(true).open(&manifest).unwrap();
        file.set_len(length).unwrap();
        let error = refused(receiver.import(&written.path));
        assert_eq!(matches!(error, TransferError::TooLong { .. }), too_long, "{error}");
    }
    fs::write(&manifest, good).unwrap();
    imported(receiver.import(&written.path));
}
