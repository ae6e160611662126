//! A bundle that was imported is imported again, after something was lost.

use chantal_contract::limits::VOLUME_BYTES_LEAST;

use super::*;

/// Takes blobs out of a store's pool, as a restore or a verification does.
fn lose(side: &Side, contents: &[&[u8]]) {
    for content in contents {
        let path = side.store.pool().path(&digest_of(content));
        fs::remove_file(&path).unwrap();
    }
}

#[track_caller]
fn brought_back(outcome: Result<ImportOutcome, TransferError>) -> u64 {
    match outcome {
        Ok(ImportOutcome::Already { back, .. }) => back,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bundle_that_was_imported_brings_back_what_was_lost_since() {
    let (collector, receiver) = sides();
    let (big, late) = (noise(1, 300_000), noise(2, 50_000));
    collector.state("bookworm", &[("a", b"a"), ("big", &big), ("gone", b"gone")], 1);
    let first = collector.export(&["bookworm"], "none");
    imported(receiver.import(&first.path));
    collector.state("bookworm", &[("a", b"a"), ("big", &big), ("late", &late)], 2);
    let second = collector.export(&["bookworm"], "last");
    imported(receiver.import(&second.path));
    let entries = receiver.entries();
    assert_eq!(brought_back(receiver.import(&first.path)), 0);

    // What the newest state needs comes back, out of the bundle that brought it; what no state needs any more does not.
    lose(&receiver, &[b"a", &big, &late, b"gone", b"page 2"]);
    assert_eq!(brought_back(receiver.import(&first.path)), 2);
    assert_eq!(receiver.read("bookworm", "big"), big);
    assert_eq!(receiver.store.pool().has(&digest_of(b"gone")).unwrap(), None);
    assert_eq!(receiver.store.pool().has(&digest_of(&late)).unwrap(), None);
    assert_eq!(brought_back(receiver.import(&second.path)), 2, "the file and the page of evidence");
    assert_eq!(receiver.read("bookworm", "late"), late);
    assert_eq!(brought_back(receiver.import(&second.path)), 0);

    // The list of the evidence itself is a blob, and was put aside.
    let list = receiver.newest("bookworm").unwrap().evidence.unwrap();
    fs::remove_file(receiver.store.pool().path(&list)).unwrap();
    lose(&receiver, &[b"page 2"]);
    assert_eq!(brought_back(receiver.import(&second.path)), 1);
    assert!(receiver.store.pool().has(&list).unwrap().is_some());
    assert_eq!(receiver.entries(), entries, "nothing was noted");
}

#[test]
fn what_was_lost_comes_back_over_several_visits_and_is_proved() {
    let (collector, receiver) = sides();
    let large = noise(9, 9 << 20);
    collector.state("bookworm", &[("large", &large), ("small", b"small")], 1);
    let written = collector.try_export(&["bookworm"], "none", VOLUME_BYTES_LEAST).unwrap().unwrap();
    imported(receiver.import(&written.path));
    let volumes = written.manifest.volumes.len();
    assert!(volumes > 2, "{volumes}");
    // The parts of what was too large for a volume lie in the pool until `gc`.
    for blob in receiver.store.pool().iter().collect::<Result<Vec<_>, _>>().unwrap() {
        if blob.1 > 1 << 20 {
            fs::remove_file(receiver.store.pool().path(&blob.0)).unwrap();
        }
    }
    let volume = |dir: &Path, n: usize| dir.join(format!("volume-{n:04}.tar.zst"));
    let medium = receiver.dir.path().join("medium");
    copy_tree(&written.path, &medium);
    fs::remove_file(volume(&medium, 2)).unwrap();
    let outcome = receiver.import(&medium).unwrap();
    let ImportOutcome::Waiting { need, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(need.iter().map(|n| n.get()).collect::<Vec<_>>(), [2]);
    assert!(receiver.store.catalog().pending().unwrap().is_empty());

    // A volume that is damaged brings nothing, and says so; nor does it hold up what comes after it.
    let mut bytes = fs::read(volume(&written.path, 2)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(volume(&medium, 2), bytes).unwrap();
    collector.state("bookworm", &[("large", &large), ("small", b"new")], 2);
    let next = collector.export(&["bookworm"], "last");
    let error = refused(receiver.import(&medium));
    assert!(matches!(error, TransferError::NotBack { .. }), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("copy the damaged volumes again")));
    let both = receiver.import_all(&[medium, written.path.clone()]);
    assert_eq!(both.len(), 1, "one bundle on two media");
    assert_eq!(brought_back(both.into_iter().next().unwrap()), 1);
    assert_eq!(receiver.read("bookworm", "large"), large);
    imported(receiver.import(&next.path));
}

#[test]
fn a_bundle_that_is_not_believed_any_more_brings_nothing_back() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let written = collector.export(&["bookworm"], "none");
    imported(receiver.import(&written.path));
    for file in fs::read_dir(written.path.join("signatures")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    assert_eq!(brought_back(receiver.import(&written.path)), 0);
    lose(&receiver, &[b"a"]);
    let error = refused(receiver.import(&written.path));
    assert!(
        matches!(&error, TransferError::NotBack { source, .. } if matches!(**source, TransferError::Untrusted { .. }))
    );
    assert_eq!(receiver.store.pool().has(&digest_of(b"a")).unwrap(), None);
}
