//! A crash at every change to the file system, a full disk at every change, a failing sync at every change.

use super::*;
use crate::{
    report::Silent,
    store::file::trace::{Forgets, Record, Refuse},
};

/// What was said to be done, and after how many changes.
struct Promise {
    after: usize,
    what: Promised,
}

enum Promised {
    Store,
    Entries(u64),
    Blob(Digest),
}

/// The life of a store: two repositories, three syncs, a name, what gc does.
fn live(root: &Path, promise: &mut dyn FnMut(Promised)) -> Result<(), StoreError> {
    let large = vec![7u8; 1 << 20];
    let mut many: Vec<Vec<u8>> = (0..12u8).map(|n| vec![n; 100]).collect();
    let store = Store::create(root, &site(), at(0))?;
    promise(Promised::Store);
    let batch = store.pool().batch()?;
    batch.put(b"alone")?;
    batch.flush()?;
    promise(Promised::Blob(Digest::of(b"alone")));
    drop(batch);
    sync(&store, "a", &[("x", b"one"), ("large", &large)], 1)?;
    promise(Promised::Entries(2));
    many.push(b"two".to_vec());
    let paths: Vec<String> = (0..many.len()).map(|n| format!("many/{n}")).collect();
    let files: Vec<File<'_>> = paths.iter().zip(&many).map(|(p, b)| (p.as_str(), b.as_slice())).collect();
    sync(&store, "b", &files, 2)?;
    promise(Promised::Entries(3));
    sync(&store, "a", &[("x", b"two"), ("large", &large), ("y", b"three")], 3)?;
    promise(Promised::Entries(4));
    let state = store.catalog().newest(&name("a"))?.map(|newest| newest.state);
    if let Some(state) = state {
        let event = Event::Named { repository: name("a"), name: SnapshotName::new("v1").unwrap(), state };
        store.journal().append(event, at(4))?;
        promise(Promised::Entries(5));
    }
    // everything is old enough: only what nothing needs may go
    store.gc(Timestamp::MAX, GRACE, &Silent)?;
    Ok(())
}

/// Looks at what a crash left, and lives on with it.
fn survive(root: &Path, promises: &[&Promise], what: &str) {
    let store = match Store::open(root) {
        Ok(store) => store,
        Err(StoreError::NoStore { .. }) if promises.is_empty() => {
            Store::create(root, &site(), at(0)).unwrap_or_else(|e| panic!("{what}: {e}"))
        }
        Err(error) => panic!("{what}: {error}"),
    };
    let report = store.verify(Depth::Full, &Silent).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(report.is_good(), "{what}: {:#?}", report.problems);
    for promise in promises {
        match promise.what {
            Promised::Store => {}
            Promised::Entries(count) => assert!(report.entries >= count, "{what}: {}", report.entries),
            Promised::Blob(blob) => {
                // gc, the last thing in this life, may have taken it
                let taken = report.entries >= 5;
                assert!(taken || store.pool().has(&blob).unwrap().is_some(), "{what}");
            }
        }
    }
    let manifest = sync(&store, "a", &[("x", b"after"), ("z", b"three")], 9).unwrap();
    let found = store.catalog().newest(&name("a")).unwrap().unwrap().state.manifest;
    assert_eq!(found, manifest, "{what}");
    store.gc(Timestamp::MAX, GRACE, &Silent).unwrap();
    let report = store.verify(Depth::Full, &Silent).unwrap();
    assert!(report.is_good(), "{what}: {:#?}", report.problems);
    for name in file::list(&root.join("tmp")).unwrap() {
        assert_eq!(name, "lock", "{what}");
    }
}

#[test]
fn a_crash_at_any_change_loses_nothing_that_was_promised() {
    let dir = scratch();
    let record = Record::begin(dir.path(), Refuse::Nothing);
    let mut promises = Vec::new();
    live(dir.path(), &mut |what| promises.push(Promise { after: record.len(), what })).unwrap();
    assert!(record.len() > 100, "{}", record.len());
    for changes in 0..=record.len() {
        let kept: Vec<&Promise> = promises.iter().filter(|p| p.after <= changes).collect();
        let mut ways = vec![Forgets::Nothing, Forgets::Unsynced];
        ways.extend((0..2).map(|n| Forgets::Some(changes as u64 * 10 + n)));
        for forgets in ways {
            let after = scratch();
            record.crash(changes, forgets).write_to(after.path());
            survive(after.path(), &kept, &format!("after {changes} changes, forgetting {forgets:?}"));
        }
    }
}

#[test]
fn the_model_forgets_what_was_not_synced() {
    // the model must be able to fail: this writer forgets its syncs
    let dir = scratch();
    let record = Record::begin(dir.path(), Refuse::Nothing);
    let (staged, path) = (dir.path().join("staged"), dir.path().join("named"));
    let mut out = file::Output::create(&staged).unwrap();
    out.put(b"content").unwrap();
    file::rename(&staged, &path).unwrap();
    let look = |changes, forgets| {
        let after = scratch();
        record.crash(changes, forgets).write_to(after.path());
        std::fs::read(after.path().join("named")).ok()
    };
    assert_eq!(look(3, Forgets::Nothing).as_deref(), Some(b"content".as_slice()));
    assert_eq!(look(3, Forgets::Unsynced), None);
    file::sync_dir(dir.path()).unwrap();
    assert_eq!(look(4, Forgets::Unsynced).as_deref(), Some(b"".as_slice()));
    file::sync_file(&path).unwrap();
    assert_eq!(look(5, Forgets::Unsynced).as_deref(), Some(b"content".as_slice()));
}

#[test]
fn a_full_disk_or_a_failing_sync_is_said_and_leaves_nothing_half() {
    let dir = scratch();
    let record = Record::begin(dir.path(), Refuse::Nothing);
    live(dir.path(), &mut |_| {}).unwrap();
    let asked = record.asked();
    drop(record);
    for from in 0..asked {
        for refuse in [Refuse::Space(from), Refuse::Syncs(from)] {
            let dir = scratch();
            let record = Record::begin(dir.path(), refuse);
            let mut entries = 0;
            let ended = live(dir.path(), &mut |what| match what {
                Promised::Store => entries = 1,
                Promised::Entries(count) => entries = count,
                Promised::Blob(_) => {}
            });
            drop(record);
            match (&ended, refuse) {
                (Err(StoreError::NoSpace { .. }), Refuse::Space(_))
                | (Err(StoreError::Io { .. }), Refuse::Syncs(_))
                | (Ok(()), _) => {}
                (Err(error), _) => panic!("{refuse:?}: {error}"),
            }
            assert!(ended.is_err() || from + 40 > asked, "{refuse:?} was not noticed");
            let kept = [Promise { after: 0, what: Promised::Entries(entries) }];
            let kept: Vec<&Promise> = kept.iter().filter(|_| entries > 0).collect();
            survive(dir.path(), &kept, &format!("{refuse:?}"));
        }
    }
}
