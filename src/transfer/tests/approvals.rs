//! Approvals: how many a site demands, whose count, and what must not pass for one; reviews that do not fit.

use std::process::Command;

use chantal_bundle::{
    Namespace, PublicKey, TrustRole, seal,
    trust::{Revocation, TrustedKey},
};

use super::*;
use crate::trust::{TrustError, sshsig};

fn key(dir: &Path, named: &str) -> SiteKey {
    SiteKey::generate(&dir.join(named), named, &Passphrase::None).unwrap()
}

/// A collector whose trust document demands approvals of some of these keys, and a receiver that began with its first one.
fn demanding(approvers: &[&PublicKey], threshold: u32, revoked: &[&PublicKey]) -> (Side, Side) {
    let (collector, receiver) = sides();
    let mut document = TrustDocument::first(site("hq"), collector.key.public());
    document.version = 2;
    for approver in approvers {
        document.keys.push(TrustedKey { key: **approver, roles: vec![TrustRole::Approver], site: None });
    }
    document.keys.sort_by_key(|k| k.key.to_string());
    document.thresholds.approver = threshold;
    document.revoked = revoked.iter().map(|k| Revocation { key: k.fingerprint(), version: 2 }).collect();
    collector.accept(document);
    (collector, receiver)
}

fn bundle(collector: &Side) -> PathBuf {
    collector.state("bookworm", &[("a", b"a")], 1);
    collector.export(&["bookworm"], "none").path
}

fn put(dir: &Path, name: &str, namespace: Namespace, key: &SiteKey) {
    let manifest = fs::read(dir.join("manifest.json")).unwrap();
    let signature = sshsig::sign(key, namespace, &manifest).unwrap();
    fs::write(dir.join(seal::SIGNATURES).join(name), signature).unwrap();
}

#[track_caller]
fn unapproved(outcome: Result<ImportOutcome, TransferError>) -> TrustError {
    match refused(outcome) {
        TransferError::Unapproved { source, .. } => *source,
        other => panic!("{other}"),
    }
}

#[test]
fn a_site_imports_when_enough_have_approved() {
    let keys = tempfile::tempdir().unwrap();
    let (one, two) = (key(keys.path(), "one"), key(keys.path(), "two"));
    let (collector, receiver) = demanding(&[&one.public(), &two.public()], 2, &[]);
    let dir = bundle(&collector);
    let error = receiver.import(&dir).unwrap_err();
    assert!(error.to_string().contains("signed by 0 of 2 approver keys"), "{error}");
    assert!(error.hint().unwrap().contains("chantal bundle approve"), "{error}");

    // a third machine, which believes the collector and holds nothing
    let officer = Side::new("office");
    officer.trust(&collector);
    let looked = look(&officer.store, &dir).unwrap();
    assert_eq!((looked.needed, looked.approved.len()), (2, 0));
    assert_eq!(looked.review.bundle, looked.bundle.to_string());
    let written = approve(&officer.store, &looked, &one, None, at(150)).unwrap();
    let expected = dir.join(seal::approver_signature(&one.fingerprint()));
    assert_eq!(written, Approval::Written(expected.clone()));
    // what the chain brings of trust counts there from then on
    assert_eq!(officer.store.catalog().trust(&site("hq")).unwrap().unwrap().0, 2);
    let noted = officer.store.journal().read().map(|entry| entry.unwrap().event).last().unwrap();
    let said = Event::Approved {
        bundle: looked.bundle.to_string(),
        manifest: looked.manifest,
        key: one.fingerprint().to_string(),
    };
    assert_eq!(noted, said);
    let again = look(&officer.store, &dir).unwrap();
    assert_eq!(again.approved, [one.fingerprint()]);
    let before = approve(&officer.store, &again, &one, None, at(151)).unwrap();
    assert_eq!(before, Approval::Before(expected));
    assert!(matches!(unapproved(receiver.import(&dir)), TrustError::NotEnough { signed: 1, needed: 2, .. }));

    // the second one's medium is read-only: the signature travels beside it
    let elsewhere = keys.path().join("approver-two.sig");
    approve(&officer.store, &again, &two, Some(&elsewhere), at(152)).unwrap();
    assert!(unapproved(receiver.import(&dir)).to_string().contains("1 of 2"));
    let outcome = receiver.import_all(&[dir, elsewhere]).pop().unwrap();
    drop(imported(outcome));
    let last = receiver.store.journal().read().map(|entry| entry.unwrap().event).last().unwrap();
    let Event::Imported { signed, approved, .. } = last else { panic!("{last:?}") };
    assert_eq!(signed, [collector.key.fingerprint().to_string()]);
    let mut both = [one.fingerprint(), two.fingerprint()];
    both.sort();
    assert_eq!(approved, both.map(|k| k.to_string()));
}

#[test]
fn a_bundle_from_before_what_the_officer_has_seen_is_not_approved() {
    let keys = tempfile::tempdir().unwrap();
    let one = key(keys.path(), "one");
    let (collector, _) = sides();
    collector.amend(&[&collector.key], |change| change.add(one.public(), TrustRole::Approver, None).unwrap());
    let officer = Side::new("office");
    officer.trust(&collector);
    let old = bundle(&collector);
    collector.amend(&[&collector.key], |change| assert!(change.raise_epoch().is_ok()));
    let new = collector.export(&["bookworm"], "none").path;
    let looked = look(&officer.store, &new).unwrap();
    approve(&officer.store, &looked, &one, None, at(150)).unwrap();
    let error = look(&officer.store, &old).unwrap_err();
    assert!(matches!(error, TransferError::Untrusted { .. }) && error.is_refusal(), "{error}");
}

#[test]
fn no_signature_is_written_through_a_link() {
    let keys = tempfile::tempdir().unwrap();
    let one = key(keys.path(), "one");
    let (collector, receiver) = demanding(&[&one.public()], 1, &[]);
    let dir = bundle(&collector);
    let elsewhere = keys.path().join("elsewhere");
    copy_tree(&dir.join(seal::SIGNATURES), &elsewhere);
    fs::remove_dir_all(dir.join(seal::SIGNATURES)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, dir.join(seal::SIGNATURES)).unwrap();
    let before = files(&elsewhere);
    let looked = look(&receiver.store, &dir).unwrap();
    let error = approve(&receiver.store, &looked, &one, None, at(150)).unwrap_err();
    assert!(matches!(error, TransferError::Link { .. }) && error.is_refusal(), "{error}");
    assert_eq!(files(&elsewhere), before);
    approve(&receiver.store, &looked, &one, Some(&keys.path().join("approver-1.sig")), at(150)).unwrap();
}

#[test]
fn what_is_no_approval_counts_for_none() {
    let keys = tempfile::tempdir().unwrap();
    let (one, two) = (key(keys.path(), "one"), key(keys.path(), "two"));
    let stranger = key(keys.path(), "stranger");
    let (collector, receiver) = demanding(&[&one.public(), &two.public()], 2, &[]);
    let good = bundle(&collector);
    let scratch = tempfile::tempdir().unwrap();
    let mut count = 0;
    let mut case = |make: &dyn Fn(&Path)| {
        count += 1;
        let dir = scratch.path().join(count.to_string()).join("bundle");
        copy_tree(&good, &dir);
        put(&dir, "approver-1.sig", Namespace::Approval, &one);
        make(&dir);
        unapproved(receiver.import(&dir)).to_string()
    };
    let second = |dir: &Path, namespace, by: &SiteKey| put(dir, "approver-2.sig", namespace, by);
    // doubled by one key
    assert!(case(&|dir| second(dir, Namespace::Approval, &one)).contains("1 of 2"));
    // by a key without the role, and by the collector itself
    assert!(case(&|dir| second(dir, Namespace::Approval, &stranger)).contains("1 of 2"));
    assert!(case(&|dir| second(dir, Namespace::Approval, &collector.key)).contains("1 of 2"));
    // in other namespaces
    for namespace in [Namespace::Bundle, Namespace::Trust, Namespace::Receipt] {
        assert!(case(&|dir| second(dir, namespace, &two)).contains("1 of 2"));
    }
    // of another text, by a key that counts
    let other = |dir: &Path| {
        let signature = sshsig::sign(&two, Namespace::Approval, b"another manifest").unwrap();
        fs::write(dir.join("signatures/approver-2.sig"), signature).unwrap();
    };
    assert!(case(&other).contains("bad signature"));
    // an empty one, and one with something behind it
    assert!(case(&|dir| fs::write(dir.join("signatures/approver-2.sig"), b"").unwrap()).contains("1 of 2"));
    // a good one that is called the collector's
    assert!(case(&|dir| put(dir, "collector-2.sig", Namespace::Approval, &two)).contains("1 of 2"));
    // by an RSA key, alone and beside the good one
    let rsa = scratch.path().join("rsa");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-b", "3072", "-N", "", "-f"]).arg(&rsa).status();
    if made.is_ok_and(|status| status.success()) {
        let by_rsa = |dir: &Path| {
            let mut sign = Command::new("ssh-keygen");
            sign.args(["-q", "-Y", "sign", "-n", "chantal-approval", "-f"])
                .arg(&rsa)
                .arg(dir.join("manifest.json"));
            assert!(sign.status().unwrap().success());
            fs::rename(dir.join("manifest.json.sig"), dir.join("signatures/approver-2.sig")).unwrap();
        };
        assert!(case(&by_rsa).contains("1 of 2"));
    } else {
        println!("skipped: `ssh-keygen` is not installed");
        assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none());
    }
    assert!(receiver.newest("bookworm").is_none());
    put(&good, "approver-1.sig", Namespace::Approval, &one);
    put(&good, "approver-2.sig", Namespace::Approval, &two);
    imported(receiver.import(&good));
}

#[test]
fn a_revoked_approver_spoils_a_bundle_and_may_not_approve() {
    let keys = tempfile::tempdir().unwrap();
    let (one, gone) = (key(keys.path(), "one"), key(keys.path(), "gone"));
    let (collector, receiver) = demanding(&[&one.public()], 1, &[&gone.public()]);
    let dir = bundle(&collector);
    put(&dir, "approver-1.sig", Namespace::Approval, &one);
    put(&dir, "approver-2.sig", Namespace::Approval, &gone);
    assert!(matches!(unapproved(receiver.import(&dir)), TrustError::Revoked { version: 2, .. }));
    assert!(matches!(look(&receiver.store, &dir), Err(TransferError::Unapproved { .. })));
    fs::remove_file(dir.join("signatures/approver-2.sig")).unwrap();
    let looked = look(&receiver.store, &dir).unwrap();
    let refused = approve(&receiver.store, &looked, &gone, None, at(150)).unwrap_err();
    assert!(matches!(refused, TransferError::NoApprover { version: 2, .. }), "{refused}");
    imported(receiver.import(&dir));
}

#[test]
fn a_review_that_does_not_lie_there_or_fit_is_not_approved() {
    let (collector, receiver) = demanding(&[], 0, &[]);
    let good = bundle(&collector);
    let scratch = tempfile::tempdir().unwrap();
    for (n, file) in ["review.json", "REVIEW.html"].into_iter().enumerate() {
        let dir = scratch.path().join(n.to_string());
        copy_tree(&good, &dir);
        let mut text = fs::read_to_string(dir.join(file)).unwrap();
        text = text.replacen("bookworm", "bookwarm", 1);
        fs::write(dir.join(file), text).unwrap();
        assert!(matches!(look(&receiver.store, &dir), Err(TransferError::Altered { .. })), "{file}");
        let error = refused(receiver.import(&dir));
        assert!(matches!(error, TransferError::Altered { .. }), "{file}");
        let hint = error.hint().expect("what helps");
        assert!(hint.contains("copy it again, or remove it"), "{hint}");
        let verified = verify(&receiver.store, std::slice::from_ref(&dir), &Silent).unwrap().remove(0);
        assert!(verified.is_err(), "{file}");
        fs::remove_file(dir.join(file)).unwrap();
        // what is not there accuses nobody: the review is made anew, and the officer is told
        let looked = look(&receiver.store, &dir).unwrap();
        assert_eq!((looked.unseen, looked.review.states.len()), (vec![file], 1));
    }
    // an import needs neither: it makes them anew
    for file in ["review.json", "REVIEW.html"] {
        fs::remove_file(good.join(file)).unwrap();
    }
    imported(receiver.import(&good));
}
