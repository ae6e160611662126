//! Trust documents that count though the bundle that brought them is refused.

use chantal_bundle::{TrustRole, seal};

use super::*;
use crate::trust::TrustError;

/// The version of the collector's trust document that a site accepted.
fn version(side: &Side) -> u32 {
    side.store.catalog().trust(&site("hq")).unwrap().unwrap().0
}

fn key(side: &Side, named: &str) -> SiteKey {
    SiteKey::generate(&side.dir.path().join(named), named, &Passphrase::None).unwrap()
}

/// A collector whose bundle brings version 2, a site that has version 1, and the bundle.
fn second(mut collector: Side, receiver: &Side) -> (Side, Written) {
    collector.parity = Some("20%".parse().unwrap());
    let approver = key(&collector, "approver");
    collector
        .amend(&[&collector.key], |change| change.add(approver.public(), TrustRole::Approver, None).unwrap());
    collector.state("bookworm", &[("a", b"a")], 1);
    let written = collector.export(&["bookworm"], "none");
    assert_eq!((version(receiver), written.manifest.trust.len()), (1, 2));
    (collector, written)
}

#[test]
fn what_a_chain_brings_counts_though_it_goes_wrong_behind_that() {
    let (collector, receiver) = sides();
    let (_collector, written) = second(collector, &receiver);
    for dir in [written.path.clone(), written.path.join(seal::COPY)] {
        fs::write(dir.join(seal::trust_document(3)), b"{}\n").unwrap();
    }
    let error = refused(receiver.import(&written.path));
    assert!(matches!(error, TransferError::Untrusted { source: TrustError::Chain(_), .. }), "{error}");
    assert_eq!(version(&receiver), 2);
}

#[test]
fn what_only_the_second_copy_of_a_chain_brings_counts_though_nothing_is_believed() {
    let (collector, receiver) = sides();
    let (_collector, written) = second(collector, &receiver);
    fs::remove_file(written.path.join(seal::trust_document(2))).unwrap();
    for dir in [written.path.clone(), written.path.join(seal::COPY)] {
        fs::write(dir.join("manifest.json"), b"{}\n").unwrap();
    }
    refused(receiver.import(&written.path));
    assert_eq!(version(&receiver), 2);
}

#[test]
fn a_chain_that_leads_further_is_not_passed_over_for_a_shorter_copy() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let before = collector.export(&["bookworm"], "none");
    let (_collector, written) = second(collector, &receiver);
    // the bundle of version 1 with its own chain in `copy/`, and the one of version 2 beside it
    copy_tree(&before.path.join(seal::TRUST), &before.path.join(seal::COPY).join(seal::TRUST));
    copy_tree(&written.path.join(seal::TRUST), &before.path.join(seal::TRUST));
    let error = refused(receiver.import(&before.path));
    assert!(matches!(error, TransferError::OtherChain { .. }), "{error}");
    assert_eq!(version(&receiver), 2);
    imported(receiver.import(&written.path));
}

#[test]
fn a_revocation_shuts_out_what_lies_beside_it_and_keeps_nothing_good_back() {
    let (mut collector, receiver) = sides();
    let one = own_document(&collector.store).unwrap();
    collector.state("bookworm", &[("a", b"a")], 1);
    let before = collector.export(&["bookworm"], "none");
    let (fresh, old) = (key(&collector, "fresh"), collector.key.fingerprint());
    collector.amend(&[&collector.key, &fresh], |change| {
        change.replace(&old, fresh.public()).unwrap();
        change.revoke(&old).unwrap();
    });
    collector.key = fresh;
    collector.state("bookworm", &[("a", b"b")], 2);
    let cured = collector.export(&["bookworm"], "none");
    assert_eq!(cured.bundle.to_string(), "hq.plant-7-e02-000001");
    // in one command, whichever is looked at first
    for order in [[&before, &cured], [&cured, &before]] {
        let site = receiver.twin();
        site.accept(one.clone());
        let medium = tempfile::tempdir().unwrap();
        for (n, bundle) in order.iter().enumerate() {
            copy_tree(&bundle.path, &medium.path().join(n.to_string()));
        }
        let outcomes = site.import_all(&[medium.path().to_path_buf()]);
        let (good, bad): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((good.len(), bad.len()), (1, 1));
        for outcome in bad {
            let error = refused(outcome);
            assert!(matches!(error, TransferError::Untrusted { .. }), "{error}");
        }
        assert_eq!(site.read("bookworm", "a"), b"b");
        assert_eq!(site.store.catalog().imports(None).unwrap().len(), 1, "the old one never was current");
    }
}

#[test]
fn an_epoch_that_ends_in_the_same_import_shuts_out_its_bundles() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let before = collector.export(&["bookworm"], "none");
    collector.amend(&[&collector.key], |change| assert!(change.raise_epoch().is_ok()));
    collector.state("bookworm", &[("a", b"b")], 2);
    let after = collector.export(&["bookworm"], "none");
    let mut outcomes = receiver.import_all(&[before.path, after.path]);
    imported(outcomes.pop().unwrap());
    let error = refused(outcomes.pop().unwrap());
    assert!(matches!(error, TransferError::WrongEpoch { .. }), "{error}");
    assert_eq!(receiver.store.catalog().imports(None).unwrap().len(), 1);
    assert_eq!(receiver.read("bookworm", "a"), b"b");
}
