//! gc, verify, diff, stats, vacuum.

use std::{collections::BTreeSet, fs};

use super::*;
use crate::report::Silent;

/// A store with `a` (one named state and a newer one) and `b`, which share a file.
pub(super) fn sample() -> (TempDir, Store) {
    let dir = scratch();
    let store = Store::create(dir.path(), &site(), at(0)).unwrap();
    sync(&store, "a", &[("x", b"one"), ("shared", b"shared")], 1).unwrap();
    let state = store.catalog().newest(&name("a")).unwrap().unwrap().state;
    let event = Event::Named { repository: name("a"), name: SnapshotName::new("v1").unwrap(), state };
    store.journal().append(event, at(2)).unwrap();
    sync(&store, "a", &[("x", b"second"), ("shared", b"shared")], 3).unwrap();
    sync(&store, "b", &[("z", b"shared"), ("own", b"own of b")], 4).unwrap();
    (dir, store)
}

fn held(store: &Store) -> BTreeSet<Digest> {
    store.pool().iter().map(|b| b.unwrap().0).collect()
}

/// Far enough ahead that no grace is left.
pub(super) const LATER: Timestamp = Timestamp::MAX;

#[test]
fn gc_takes_what_nothing_needs_and_only_when_it_is_old() {
    let (_dir, store) = sample();
    let batch = store.pool().batch().unwrap();
    batch.put(b"garbage").unwrap();
    batch.flush().unwrap();
    drop(batch);
    let now = Timestamp::now();
    let plan = store.gc_plan(now, GRACE).unwrap();
    assert_eq!((plan.blobs.len(), plan.young), (0, 1));
    let plan = store.gc_plan(LATER, GRACE).unwrap();
    assert_eq!((plan.blobs.as_slice(), plan.bytes), (&[Digest::of(b"garbage")][..], 7));
    let before = held(&store);
    let report = store.gc(LATER, GRACE, &Silent).unwrap();
    assert_eq!((report.blobs, report.bytes, report.manifests), (1, 7, 0));
    assert_eq!(before.difference(&held(&store)).count(), 1);
    assert!(store.verify(Depth::Full, &Silent).unwrap().is_good());
    assert_eq!(store.gc(LATER, GRACE, &Silent).unwrap(), GcReport::default());
}

#[test]
fn gc_takes_states_without_a_name_and_what_only_they_need() {
    let (_dir, store) = sample();
    let v1 = SnapshotName::new("v1").unwrap();
    let old = store.catalog().named(&name("a"), &v1).unwrap().unwrap().state.manifest;
    let new = store.catalog().newest(&name("a")).unwrap().unwrap().state.manifest;
    assert_eq!(store.manifests().stored_against(&new).unwrap(), Some(old));
    store.journal().append(Event::Unnamed { repository: name("a"), name: v1 }, at(5)).unwrap();
    assert!(!store.catalog().holds(&old).unwrap());
    store.gc(LATER, GRACE, &Silent).unwrap();
    assert!(!store.manifests().has(&old).unwrap());
    assert_eq!(store.manifests().stored_against(&new).unwrap(), None, "it stands by itself now");
    assert!(!held(&store).contains(&Digest::of(b"one")));
    assert!(held(&store).contains(&Digest::of(b"shared")));
    store.journal().append(Event::Removed { repository: name("a") }, at(6)).unwrap();
    store.gc(LATER, GRACE, &Silent).unwrap();
    assert!(!held(&store).contains(&Digest::of(b"second")));
    assert!(held(&store).contains(&Digest::of(b"shared")), "b needs it");
    assert!(store.verify(Depth::Full, &Silent).unwrap().is_good());
}

#[test]
fn gc_spares_published_trees_bases_trust_and_what_a_pending_import_may_need() {
    let (_dir, store) = sample();
    let batch = store.pool().batch().unwrap();
    let document = batch.put(b"trust").unwrap().sha256;
    let signature = batch.put(b"signature").unwrap().sha256;
    let part = batch.put(b"part of a bundle").unwrap().sha256;
    batch.flush().unwrap();
    drop(batch);
    let newest = |repository: &str| store.catalog().newest(&name(repository)).unwrap().unwrap().state;
    let (a, b) = (newest("a"), newest("b"));
    let bundle = Digest::of(b"manifest.json");
    let carried = Carried { repository: name("b"), base: None, state: b.clone(), names: Vec::new() };
    let to = SiteName::new("plant-7").unwrap();
    for event in [
        Event::Trusted { collector: to.clone(), version: 1, document, signatures: vec![signature] },
        Event::Published { target: "a".into(), repository: name("a"), name: None, state: a.clone() },
        Event::Exported {
            to,
            bundle: "x".into(),
            epoch: 1,
            sequence: 1,
            manifest: bundle,
            states: vec![carried],
            delivery: Delivery::Awaited,
            signed: Vec::new(),
            trust: None,
        },
        Event::Removed { repository: name("a") },
        Event::Removed { repository: name("b") },
    ] {
        store.journal().append(event, at(5)).unwrap();
    }
    let pending = Event::Pending {
        bundle: "x".into(),
        manifest: bundle,
        volumes: vec![1],
        signed: Vec::new(),
        approved: Vec::new(),
        proof: None,
    };
    store.journal().append(pending, Timestamp::now()).unwrap();
    assert_eq!(store.gc(LATER, GRACE, &Silent).unwrap().blobs, 0, "an import is pending");
    let imported = Event::Imported {
        from: site(),
        bundle: "x".into(),
        epoch: 1,
        sequence: 1,
        manifest: bundle,
        states: Vec::new(),
        signed: Vec::new(),
        approved: Vec::new(),
        proof: None,
        origins: Vec::new(),
        created: None,
        expected_next_by: None,
    };
    store.journal().append(imported, at(6)).unwrap();
    store.gc(LATER, GRACE, &Silent).unwrap();
    let held = held(&store);
    assert!(held.contains(&document) && held.contains(&signature) && held.contains(&Digest::of(b"second")));
    assert!(!held.contains(&part) && !held.contains(&Digest::of(b"own of b")));
    assert!(store.manifests().has(&b.manifest).unwrap(), "the next bundle starts from it");
    assert!(store.verify(Depth::Full, &Silent).unwrap().is_good());
}

#[test]
fn gc_needs_the_store_for_itself_and_every_manifest_readable() {
    let (_dir, store) = sample();
    let shared = store.lock(Lock::Shared).unwrap();
    assert!(matches!(store.gc(LATER, GRACE, &Silent), Err(StoreError::Locked { .. })));
    drop(shared);
    let newest = store.catalog().newest(&name("a")).unwrap().unwrap().state.manifest;
    let before = held(&store);
    fs::remove_file(store.manifests().path(&newest)).unwrap();
    assert!(matches!(store.gc(LATER, GRACE, &Silent), Err(StoreError::Missing { .. })));
    assert_eq!(held(&store), before);
}

#[test]
fn verify_finds_lost_short_and_flipped_blobs_and_says_who_needs_them() {
    let (_dir, store) = sample();
    let (lost, short, flipped) = (blob(b"one"), blob(b"own of b"), blob(b"shared"));
    fs::remove_file(store.pool().path(&lost.sha256)).unwrap();
    for (at, bytes) in [(short, b"own".as_slice()), (flipped, b"shareD")] {
        let path = store.pool().path(&at.sha256);
        fs::remove_file(&path).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let about = |report: &VerifyReport| -> Vec<(Digest, Vec<String>)> {
        report
            .problems
            .iter()
            .map(|p| match p.what {
                Subject::Object(Object::Blob, d) => {
                    (d, p.needed_by.iter().map(ToString::to_string).collect())
                }
                _ => panic!("{p:?}"),
            })
            .collect()
    };
    let quick = store.verify(Depth::Quick, &Silent).unwrap();
    let mut expected = vec![(lost.sha256, vec!["a@v1".to_owned()]), (short.sha256, vec!["b".to_owned()])];
    expected.sort();
    assert_eq!(about(&quick), expected);
    let full = store.verify(Depth::Full, &Silent).unwrap();
    expected.push((flipped.sha256, vec!["a".into(), "a@v1".into(), "b".into()]));
    expected.sort();
    assert_eq!(about(&full), expected);
    for problem in &full.problems {
        assert_eq!(problem.aside.is_some(), problem.what != Subject::Object(Object::Blob, lost.sha256));
        assert!(problem.aside.as_ref().is_none_or(|path| path.exists()));
    }
    // what was put aside is missing now; once it is fetched again all is well
    let batch = store.pool().batch().unwrap();
    for bytes in [b"one".as_slice(), b"own of b", b"shared"] {
        batch.put(bytes).unwrap();
    }
    batch.flush().unwrap();
    assert!(store.verify(Depth::Full, &Silent).unwrap().is_good());
}

#[test]
fn verify_finds_damage_in_manifests_packs_journal_and_catalog() {
    let flip = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let found = |store: &Store| -> BTreeSet<Subject> {
        store.verify(Depth::Quick, &Silent).unwrap().problems.into_iter().map(|p| p.what).collect()
    };
    let (_dir, store) = sample();
    let manifest = store.catalog().newest(&name("b")).unwrap().unwrap().state.manifest;
    flip(&store.manifests().path(&manifest), 80);
    assert_eq!(found(&store), [Subject::Object(Object::Manifest, manifest)].into());
    let (_dir, store) = sample();
    flip(&store.packs().list().unwrap()[0].0, 30);
    assert!(found(&store).contains(&Subject::Pack));
    let (dir, store) = sample();
    flip(&dir.path().join("journal.jsonl"), 100);
    assert_eq!(found(&store), [Subject::Journal].into());
    let (dir, store) = sample();
    rusqlite::Connection::open(dir.path().join("catalog.sqlite"))
        .unwrap()
        .execute("UPDATE named SET manifest = (SELECT manifest FROM state WHERE repository = 'b')", [])
        .unwrap();
    let report = store.verify_db().unwrap();
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].why.contains("`named`"), "{}", report.problems[0].why);
    Store::rebuild(dir.path()).unwrap();
    assert!(Store::open(dir.path()).unwrap().verify_db().unwrap().is_good());
}

#[test]
fn a_diff_names_every_difference_and_no_other() {
    let (_dir, store) = sample();
    let resolve =
        |text: &str| store.catalog().resolve(&Address::parse(text).unwrap()).unwrap().state.manifest;
    let mut seen = Vec::new();
    let sum = store
        .diff(&resolve("a@v1"), &resolve("b"), &mut |change| {
            seen.push(match change {
                Change::Added(line) => format!("+{}", line.encode().split('\t').nth(1).unwrap()),
                Change::Removed(line) => format!("-{}", line.encode().split('\t').nth(1).unwrap()),
                Change::Changed { new, .. } => format!("~{}", new.encode().split('\t').nth(1).unwrap()),
            });
            Ok(())
        })
        .unwrap();
    let expected = ["+own", "-shared", "-x", "+z", "+own 1 all", "-shared 1 all", "-x 1 all", "+z 1 all"];
    assert_eq!(seen, expected);
    assert_eq!((sum.added, sum.removed, sum.bytes_in, sum.bytes_out), (4, 4, 14, 9));
    let same = store.diff(&resolve("a"), &resolve("a"), &mut |_| panic!()).unwrap();
    assert!(same.is_empty());
}

#[test]
fn stats_tell_shared_from_own() {
    let (_dir, store) = sample();
    let stats = store.stats().unwrap();
    assert_eq!(stats.entries, 5);
    assert_eq!(stats.manifests, 3);
    let a = stats.repositories[&name("a")];
    assert_eq!((a.states, a.files, a.logical_bytes, a.bytes, a.unique_bytes), (2, 4, 21, 15, 9));
    let b = stats.repositories[&name("b")];
    assert_eq!((b.states, b.files, b.logical_bytes, b.bytes, b.unique_bytes), (1, 2, 14, 14, 8));
    assert_eq!(stats.logical_bytes, 35);
    assert!(stats.records > 0 && stats.catalog_bytes > 0);
}

#[test]
fn a_vacuum_keeps_everything() {
    let (_dir, store) = sample();
    let vacuumed = store.vacuum().unwrap();
    assert!(vacuumed.after > 0 && vacuumed.after <= vacuumed.before);
    assert!(store.verify_db().unwrap().is_good());
}

#[test]
fn a_snapshot_is_read_as_a_state() {
    use chantal_contract::State;
    let (_dir, store) = sample();
    let state = store.catalog().newest(&name("b")).unwrap().unwrap().state;
    let snapshot = store.snapshot(&state.manifest).unwrap();
    let mut records = 0;
    snapshot
        .lines(&mut |line| {
            if let Line::Pkg { record, .. } = line {
                records += 1;
                assert!(snapshot.record(record).unwrap().starts_with(b"Filename: "));
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(records, 2);
    let path = RepoPath::new("own").unwrap();
    assert_eq!(snapshot.read(&path, 100).unwrap(), b"own of b");
    assert!(snapshot.read(&path, 3).is_err());
    assert!(snapshot.read(&RepoPath::new("none").unwrap(), 100).is_err());
}
