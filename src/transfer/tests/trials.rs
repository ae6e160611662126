//! A trial answers as the import does, and keeps nothing.

use chantal_bundle::{Namespace, TrustRole, trust::TrustedKey};

use super::{views::Told, *};
use crate::trust::sshsig;

/// All that a store holds, but for the index of its journal.
fn kept(side: &Side) -> BTreeMap<String, Vec<u8>> {
    let mut kept = files(side.store.root());
    kept.retain(|name, _| !name.starts_with("catalog") && !name.starts_with("locks"));
    kept
}

fn tried_with(side: &Side, paths: &[PathBuf], rules: Rules<'_>) -> Vec<Result<ImportOutcome, TransferError>> {
    let before = kept(side);
    let outcomes = try_out(&side.store, paths, rules, at(200), &Silent);
    assert!(kept(side) == before, "a trial kept something");
    outcomes.unwrap_or_else(|fault| vec![Err(fault)])
}

fn tried(side: &Side, paths: &[PathBuf]) -> Vec<Result<ImportOutcome, TransferError>> {
    tried_with(side, paths, RULELESS)
}

/// Says in a word what came out, and of a refusal all.
fn words(outcomes: &[Result<ImportOutcome, TransferError>]) -> Vec<String> {
    let word = |outcome: &Result<ImportOutcome, TransferError>| match outcome {
        Ok(ImportOutcome::Already { bundle, back, .. }) => format!("{bundle} already, {back} back"),
        Ok(ImportOutcome::Imported(imported)) => {
            format!("{} taken: {} of {}", imported.bundle, imported.blobs, imported.bytes)
        }
        Ok(ImportOutcome::Ready(ready)) => {
            format!("{} taken: {} of {}", ready.bundle, ready.blobs, ready.bytes)
        }
        Ok(ImportOutcome::Waiting { bundle, have, need }) => format!("{bundle} waits: {have:?} {need:?}"),
        Err(fault) => fault.to_string(),
    };
    outcomes.iter().map(word).collect()
}

/// Tries, imports, and expects that both answer the same, which is returned.
#[track_caller]
fn both(side: &Side, paths: &[PathBuf]) -> Vec<String> {
    let foreseen = words(&tried(side, paths));
    let found = words(&side.import_all(paths));
    assert_eq!(foreseen, found);
    found
}

#[test]
fn a_trial_foresees_what_an_import_answers() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a"), ("b", &noise(1, 3_000_000))], 1);
    collector.packages("wheels", &[("one", b"first record")], 1);
    let first = collector.export(&["bookworm", "wheels"], "none").path;
    collector.state("bookworm", &[("a", b"a"), ("c", b"c")], 2);
    collector.packages("wheels", &[("one", b"first record"), ("two", b"second record")], 2);
    let second = collector.export(&["bookworm", "wheels"], "last").path;

    // bases that are not here
    assert!(both(&receiver, std::slice::from_ref(&second))[0].contains("does not hold"));
    // of both at once the second starts from what the first brings
    let foreseen = words(&tried(&receiver, &[first.clone(), second.clone()]));
    assert_eq!(foreseen.len(), 2);
    assert!(foreseen.iter().all(|word| word.contains("taken")), "{foreseen:?}");
    assert_eq!(both(&receiver, &[first.clone(), second.clone()]), foreseen);
    // again, and the older one
    assert!(both(&receiver, &[second])[0].contains("already, 0 back"));
    collector.state("bookworm", &[("d", b"d")], 3);
    let third = collector.export(&["bookworm"], "none").path;
    collector.state("bookworm", &[("e", b"e")], 4);
    let fourth = collector.export(&["bookworm"], "none").path;
    assert!(both(&receiver, &[fourth])[0].contains("taken"));
    assert!(both(&receiver, &[third])[0].contains("is older than"));
    // for another site
    let other = Side::new("plant-8");
    other.trust(&collector);
    assert!(both(&other, &[first])[0].contains("is for site"));
}

#[test]
fn a_trial_foresees_missing_and_damaged_volumes() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a"), ("large", &noise(1, 9 << 20))], 1);
    let written = collector.try_export(&["bookworm"], "none", 4 << 20).unwrap().unwrap();
    let media = receiver.dir.path().join("media").join("hq.plant-7-e01-000001");
    copy_tree(&written.path, &media);
    let second = media.join("volume-0002.tar.zst");
    let bytes = fs::read(&second).unwrap();
    let mut bad = bytes.clone();
    bad[1000] ^= 1;
    fs::write(&second, bad).unwrap();
    let fault = refused(tried(&receiver, std::slice::from_ref(&media)).pop().unwrap());
    assert!(matches!(&fault, TransferError::Damaged { damaged, .. } if damaged.len() == 1), "{fault}");
    fs::remove_file(&second).unwrap();
    let said = both(&receiver, &[media]).remove(0);
    assert!(said.contains("waits") && said.ends_with("[VolumeNumber(2)]"), "{said}");
    // the import waits now; the volume comes alone, under a manifest that is known
    let loose = receiver.dir.path().join("volume-0002.tar.zst");
    fs::write(&loose, bytes).unwrap();
    assert!(both(&receiver, &[loose])[0].contains("taken"));
}

#[test]
fn a_trial_demands_approvals_and_origins() {
    let (collector, receiver) = sides();
    let officer = Side::new("office");
    let mut document = TrustDocument::first(site("hq"), collector.key.public());
    document.version = 2;
    document.keys.push(TrustedKey {
        key: officer.key.public(),
        roles: vec![TrustRole::Approver],
        site: None,
    });
    document.keys.sort_by_key(|k| k.key.to_string());
    document.thresholds.approver = 1;
    collector.accept(document);
    collector.state("bookworm", &[("a", b"a")], 1);
    let dir = collector.export(&["bookworm"], "none").path;
    // what demands the approval came with the bundle itself
    let fault = refused(tried(&receiver, std::slice::from_ref(&dir)).pop().unwrap());
    assert!(fault.to_string().contains("signed by 0 of 1 approver keys"), "{fault}");
    assert!(fault.hint().unwrap().contains(&officer.key.fingerprint().to_string()), "{fault}");
    let manifest = fs::read(dir.join("manifest.json")).unwrap();
    let signature = sshsig::sign(&officer.key, Namespace::Approval, &manifest).unwrap();
    // a signature is known by what it is, whatever it is called
    let loose = receiver.dir.path().join("of-the-officer");
    fs::write(&loose, &signature).unwrap();
    let demands = Demands::from([(name("bookworm"), site("elsewhere"))]);
    let rules = Rules { policies: &|_, _| None, origins: &demands, unverifiable: &|_, _| None };
    let fault = refused(tried_with(&receiver, &[dir.clone(), loose.clone()], rules).pop().unwrap());
    assert!(matches!(fault, TransferError::NoOrigin { .. }), "{fault}");
    assert!(both(&receiver, &[dir.clone(), loose])[0].contains("taken"));

    // an approval of another bundle
    collector.state("bookworm", &[("b", b"b")], 2);
    let next = collector.export(&["bookworm"], "none").path;
    let other = receiver.dir.path().join("approver-1.sig");
    fs::write(&other, &signature).unwrap();
    let told = Told::default();
    let fault =
        try_out(&receiver.store, &[next, other.clone()], RULELESS, at(200), &told).unwrap().pop().unwrap();
    assert!(matches!(fault, Err(TransferError::Unapproved { .. })));
    let said = told.0.lock().unwrap().join("\n");
    assert!(said.contains(&other.display().to_string()) && said.contains("counts for nothing"), "{said}");
}

#[test]
fn a_trial_holds_the_index_and_its_states_together() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a"), ("b", b"only in the first")], 1);
    let first = collector.export(&["bookworm"], "none").path;
    imported(receiver.import(&first));
    collector.state("bookworm", &[("b", b"only in the first"), ("c", b"c")], 2);
    let second = collector.export(&["bookworm"], "last").path;
    // a blob that the collector presumes here is gone
    fs::remove_file(receiver.store.pool().path(&digest_of(b"only in the first"))).unwrap();
    assert!(both(&receiver, std::slice::from_ref(&second))[0].contains("presumes 1 blobs"));
    // the first bundle brings it back: a trial says so, and does not do it
    let foreseen = words(&tried(&receiver, std::slice::from_ref(&first)));
    assert!(foreseen[0].contains("already, 1 back"), "{foreseen:?}");
    assert!(both(&receiver, &[second])[0].contains("presumes 1 blobs"));
    assert!(words(&receiver.import_all(&[first]))[0].contains("already, 1 back"));
}
