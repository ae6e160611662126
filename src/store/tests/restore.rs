//! Backup, restore, rebuild.

use std::fs;

use super::{
    upkeep::{LATER, sample},
    *,
};
use crate::report::Silent;

#[test]
fn a_backup_brings_back_decisions_manifests_records_and_evidence() {
    let (dir, store) = sample();
    let out = scratch();
    let (one, two) = (out.path().join("one.tar.zst"), out.path().join("two.tar.zst"));
    let report = store.backup(&one).unwrap();
    assert_eq!((report.entries, report.manifests), (5, 3));
    store.backup(&two).unwrap();
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "the same store makes the same backup");
    assert!(matches!(store.backup(&one), Err(StoreError::Exists { .. })));
    // into an empty place
    let fresh = scratch();
    let restored = Store::restore(fresh.path(), &one, &site()).unwrap();
    assert_eq!((restored.entries, restored.regained, restored.manifests), (5, 5, 3));
    let again = Store::open(fresh.path()).unwrap();
    let missing = again.verify(Depth::Quick, &Silent).unwrap();
    assert!(
        missing.problems.iter().all(|p| matches!(p.what, Subject::Object(Object::Blob, _))),
        "only payloads are to be fetched again: {missing:#?}"
    );
    assert_eq!(missing.problems.len(), 4);
    // over damage
    for path in [
        store.manifests().path(&store.catalog().newest(&name("a")).unwrap().unwrap().state.manifest),
        store.packs().list().unwrap()[0].0.clone(),
    ] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"rubbish").unwrap();
    }
    drop(store);
    Store::restore(dir.path(), &one, &site()).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(store.verify(Depth::Full, &Silent).unwrap().is_good());
}

#[test]
fn a_restore_never_takes_anything_back() {
    let (dir, store) = sample();
    let out = scratch();
    let old = out.path().join("old.tar.zst");
    store.backup(&old).unwrap();
    sync(&store, "a", &[("x", b"newer")], 10).unwrap();
    let newest = store.catalog().newest(&name("a")).unwrap();
    drop(store);
    let report = Store::restore(dir.path(), &old, &site()).unwrap();
    assert_eq!((report.entries, report.regained), (6, 0));
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.catalog().newest(&name("a")).unwrap(), newest);
    // two lives of one store
    let other = scratch();
    Store::restore(other.path(), &old, &site()).unwrap();
    let parted = Store::open(other.path()).unwrap();
    sync(&parted, "a", &[("x", b"elsewhere")], 11).unwrap();
    let theirs = out.path().join("theirs.tar.zst");
    parted.backup(&theirs).unwrap();
    let before = fs::read(dir.path().join("journal.jsonl")).unwrap();
    let refused = Store::restore(dir.path(), &theirs, &site()).unwrap_err();
    assert!(matches!(refused, StoreError::Diverged { common: 5, .. }), "{refused}");
    assert_eq!(fs::read(dir.path().join("journal.jsonl")).unwrap(), before);
    // any flipped bit is refused, too
    let good = fs::read(&old).unwrap();
    let bad = out.path().join("bad.tar.zst");
    for byte in (0..good.len()).step_by(211) {
        let mut bytes = good.clone();
        bytes[byte] ^= 0x40;
        fs::write(&bad, bytes).unwrap();
        let fresh = scratch();
        if Store::restore(fresh.path(), &bad, &site()).is_ok() {
            let journal = fs::read(fresh.path().join("journal.jsonl")).unwrap();
            assert!(before.starts_with(&journal), "byte {byte}");
        } else {
            assert!(!fresh.path().join("journal.jsonl").exists(), "byte {byte}");
        }
    }
}

#[test]
fn the_database_is_verified_with_its_manifests_and_packs() {
    let flip = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let found = |store: &Store| -> Vec<Subject> {
        store.verify_db().unwrap().problems.into_iter().map(|p| p.what).collect()
    };
    let (_dir, store) = sample();
    let report = store.verify_db().unwrap();
    assert!(report.is_good() && report.manifests == 3 && report.records > 0, "{report:?}");
    // payloads are no part of it
    fs::remove_file(store.pool().path(&Digest::of(b"own of b"))).unwrap();
    assert!(store.verify_db().unwrap().is_good());
    let manifest = store.catalog().newest(&name("b")).unwrap().unwrap().state.manifest;
    flip(&store.manifests().path(&manifest), 80);
    let report = store.verify_db().unwrap();
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert_eq!(report.problems[0].what, Subject::Object(Object::Manifest, manifest));
    assert_eq!(report.problems[0].needed_by.len(), 1, "{report:?}");
    fs::remove_file(store.manifests().path(&manifest)).unwrap();
    assert_eq!(found(&store), [Subject::Object(Object::Manifest, manifest)], "missing is found as well");
    let (_dir, store) = sample();
    flip(&store.packs().list().unwrap()[0].0, 30);
    assert!(found(&store).contains(&Subject::Pack));
}

/// Makes a store as `init` does: its first line and its own trust document.
fn begin(second: i64) -> (TempDir, Store) {
    let dir = scratch();
    let store = Store::create(dir.path(), &site(), at(second)).unwrap();
    let batch = store.pool().batch().unwrap();
    let document = batch.put(format!("trust of {second}").as_bytes()).unwrap().sha256;
    batch.flush().unwrap();
    drop(batch);
    store
        .journal()
        .append(
            Event::Trusted { collector: site(), version: 1, document, signatures: Vec::new() },
            at(second),
        )
        .unwrap();
    (dir, store)
}

#[test]
fn a_store_that_was_only_begun_gives_way_to_the_backup() {
    let (former, store) = begin(0);
    sync(&store, "a", &[("x", b"one")], 1).unwrap();
    let out = scratch();
    let file = out.path().join("backup.tar.zst");
    store.backup(&file).unwrap();
    let journal = fs::read(store.journal().path()).unwrap();
    let trust = store.catalog().trust(&site()).unwrap();
    drop(store);

    let (dir, fresh) = begin(100);
    drop(fresh);
    let untouched = fs::read(dir.path().join("journal.jsonl")).unwrap();
    let scratch_dir = scratch();
    let plan = Store::restore_plan(dir.path(), &file, &site(), scratch_dir.path()).unwrap();
    assert_eq!(fs::read(dir.path().join("journal.jsonl")).unwrap(), untouched);
    let done = Store::restore(dir.path(), &file, &site()).unwrap();
    assert_eq!(plan, done);
    assert_eq!((done.entries, done.regained, done.manifests), (3, 3, 1));
    let again = Store::open(dir.path()).unwrap();
    assert_eq!(fs::read(again.journal().path()).unwrap(), journal);
    assert_eq!(
        again.catalog().trust(&site()).unwrap(),
        trust,
        "the backup's key, not the one that init made"
    );
    assert!(!dir.path().join("catalog.sqlite.damaged").exists());
    drop(again);
    Store::restore(dir.path(), &file, &site()).unwrap();

    // a restore that was killed when all but the journal was there
    let (dir, fresh) = begin(200);
    drop(fresh);
    for part in ["manifests", "packs"] {
        for entry in fs::read_dir(former.path().join(part)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join(part).join(entry.file_name())).unwrap();
        }
    }
    Store::restore(dir.path(), &file, &site()).unwrap();
    // or when the catalog was not yet replayed
    let (dir, fresh) = begin(300);
    drop(fresh);
    fs::write(dir.path().join("journal.jsonl"), &journal).unwrap();
    Store::restore(dir.path(), &file, &site()).unwrap();
}

#[test]
fn a_store_in_which_anything_was_done_gives_way_to_nothing() {
    let (_dir, store) = begin(0);
    let out = scratch();
    let file = out.path().join("backup.tar.zst");
    store.backup(&file).unwrap();
    let other = SiteName::new("ship-3").unwrap();
    let refused = Store::restore(scratch().path(), &file, &other).unwrap_err();
    assert!(matches!(refused, StoreError::OtherSite { .. }), "{refused}");
    let works: [&dyn Fn(&Store); 4] = [
        &|store| {
            sync(store, "a", &[("x", b"one")], 101).unwrap();
        },
        &|store| {
            let event = Event::Trusted {
                collector: other.clone(),
                version: 1,
                document: Digest::of(b"t"),
                signatures: Vec::new(),
            };
            store.journal().append(event, at(101)).unwrap();
        },
        &|store| {
            let batch = store.pool().batch().unwrap();
            batch.put(b"something").unwrap();
            batch.flush().unwrap();
        },
        // a journal whose rest is damaged is none that was only begun
        &|store| {
            let mut text = fs::read(store.journal().path()).unwrap();
            text.extend_from_slice(b"{\"number\":3}\n");
            fs::write(store.journal().path(), text).unwrap();
        },
    ];
    for (number, work) in works.into_iter().enumerate() {
        let (dir, fresh) = begin(100);
        work(&fresh);
        drop(fresh);
        let before = fs::read(dir.path().join("journal.jsonl")).unwrap();
        let refused = Store::restore(dir.path(), &file, &site()).unwrap_err();
        assert!(matches!(refused, StoreError::Diverged { common: 0, .. }), "{number}: {refused}");
        assert_eq!(fs::read(dir.path().join("journal.jsonl")).unwrap(), before, "{number}");
    }
}

#[test]
fn what_is_no_backup_is_said_to_be_none() {
    let out = scratch();
    let (none, store) = (out.path().join("passwd"), out.path().join("store"));
    fs::write(&none, "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    let refused = Store::restore(&store, &none, &site()).unwrap_err();
    assert!(matches!(refused, StoreError::NoBackup { .. }) && refused.hint().is_some(), "{refused}");
    let missing = out.path().join("missing");
    assert!(Store::restore(&out.path().join("other"), &missing, &site()).is_err());
    assert!(!out.path().join("other").exists(), "a mistyped name makes no store");
    let (_dir, sample) = sample();
    let refused = sample.backup(&out.path().join("nowhere/backup")).unwrap_err();
    assert!(matches!(&refused, StoreError::NoDirectory { path } if path.ends_with("nowhere")), "{refused}");
}

#[test]
fn a_plan_of_a_rebuild_or_a_vacuum_changes_nothing() {
    let (dir, store) = sample();
    let plan = store.vacuum_plan().unwrap();
    assert!(plan.after > 0 && plan.after <= plan.before);
    drop(store);
    let journal = dir.path().join("journal.jsonl");
    let mut bad = fs::read(&journal).unwrap();
    bad[400] ^= 4;
    fs::write(&journal, &bad).unwrap();
    let plan = Store::rebuild_plan(dir.path()).unwrap();
    assert_eq!((plan.entries, plan.regained), (5, 1));
    assert_eq!(fs::read(&journal).unwrap(), bad);
    assert!(!dir.path().join("catalog.sqlite.damaged").exists());
    assert_eq!(Store::rebuild(dir.path()).unwrap(), plan);
}

#[test]
fn a_catalog_that_was_put_aside_goes_with_the_garbage() {
    let (dir, store) = sample();
    drop(store);
    let aside = dir.path().join("catalog.sqlite.damaged");
    fs::write(dir.path().join("catalog.sqlite"), "no database, and long enough to be looked at".repeat(50))
        .unwrap();
    for tail in ["-wal", "-shm"] {
        let _ = fs::remove_file(dir.path().join(format!("catalog.sqlite{tail}")));
    }
    let store = Store::open(dir.path()).unwrap();
    assert!(aside.exists());
    store.gc(LATER, GRACE, &Silent).unwrap();
    assert!(!aside.exists());
}

#[test]
fn an_altered_end_of_the_journal_is_noticed_when_the_store_is_opened() {
    let (dir, store) = sample();
    drop(store);
    let journal = dir.path().join("journal.jsonl");
    let good = fs::read(&journal).unwrap();
    for at in [good.len() - 40, good.len() - 400, 400] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&journal, &bad).unwrap();
        let refused = Store::open(dir.path()).unwrap_err();
        assert!(matches!(&refused, StoreError::Damaged { path, .. } if *path == journal), "{at}: {refused}");
        assert!(refused.hint().unwrap().contains("db rebuild"), "{refused}");
        assert_eq!(fs::read(&journal).unwrap(), bad, "nothing is mended unasked");
    }
    Store::rebuild(dir.path()).unwrap();
    assert_eq!(fs::read(&journal).unwrap(), good);
    Store::open(dir.path()).unwrap();
}

#[test]
fn a_damaged_journal_is_mended_from_the_catalog() {
    let (dir, store) = sample();
    drop(store);
    let journal = dir.path().join("journal.jsonl");
    let good = fs::read(&journal).unwrap();
    let mut bad = good.clone();
    bad[400] ^= 4;
    fs::write(&journal, &bad).unwrap();
    let report = Store::rebuild(dir.path()).unwrap();
    assert_eq!((report.entries, report.regained), (5, 1));
    assert_eq!(fs::read(&journal).unwrap(), good);
    // without any copy the loss is said, not papered over
    fs::write(&journal, &bad).unwrap();
    fs::remove_file(dir.path().join("catalog.sqlite")).unwrap();
    let error = Store::rebuild(dir.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { place, .. } if place == "line 2"), "{error}");
    assert_eq!(fs::read(&journal).unwrap(), bad);
}
