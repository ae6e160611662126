//! What is a reason to write a bundle, and whose bundles bring a repository.

use super::{receipts::acquainted, *};

fn nothing_new(collector: &Side, since: &str) -> bool {
    collector.try_export(&["bookworm"], since, VOLUME_SIZE).unwrap().is_none()
}

#[test]
fn a_trust_document_travels_though_no_package_does() {
    let (collector, receiver) = acquainted();
    collector.state("bookworm", &[("a", &noise(1, 100_000))], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "acknowledged").path));
    collector.hear(&receiver.receipt(200)).unwrap();
    assert!(nothing_new(&collector, "acknowledged") && nothing_new(&collector, "last"));

    // a key is revoked: the site has to hear of it, by either way of counting
    let fresh = SiteKey::generate(&collector.dir.path().join("fresh"), "fresh", &Passphrase::None).unwrap();
    let old = collector.key.fingerprint();
    let document = collector.amend(&[&collector.key, &fresh], |change| {
        change.replace(&old, fresh.public()).unwrap();
        change.revoke(&old).unwrap();
        change.raise_epoch().unwrap();
    });
    let collector = Side { key: fresh, ..collector };
    let bundle = collector.export(&["bookworm"], "acknowledged");
    assert_eq!(bundle.news, News::Trust { version: document.version });
    assert_eq!(bundle.manifest.states.len(), 1);
    assert!(bundle.manifest.volumes.is_empty() && bundle.bytes < 20_000, "{}", bundle.bytes);
    // it was sent: who counts on delivery sends nothing more, who waits for a receipt sends it again
    assert!(nothing_new(&collector, "last"));
    assert_eq!(collector.export(&["bookworm"], "acknowledged").news, bundle.news);
    imported(receiver.import(&bundle.path));
    assert_eq!(receiver.store.catalog().trust(&site("hq")).unwrap().unwrap().0, document.version);
    assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));
    collector.hear(&receiver.receipt(300)).unwrap();
    assert!(nothing_new(&collector, "acknowledged"));

    // one that only assumes delivery owes it as well
    collector.amend(&[&collector.key], |change| assert!(change.raise_epoch().is_ok()));
    let assumed = collector.export(&["bookworm"], "last");
    assert_eq!(assumed.news, News::Trust { version: document.version + 1 });
    imported(receiver.import(&assumed.path));
}

#[test]
fn a_site_can_be_told_that_nothing_is_new() {
    let (mut collector, receiver) = acquainted();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "last").path));
    assert!(nothing_new(&collector, "last"));
    collector.unchanged = Unchanged::Say;
    collector.parity = Some("10%".parse().unwrap());
    let said = collector.export(&["bookworm"], "last");
    assert_eq!(said.news, News::Nothing);
    let before = receiver.newest("bookworm");
    imported(receiver.import(&said.path));
    assert_eq!(receiver.newest("bookworm"), before);
    let last = receiver.store.catalog().imports(None).unwrap().pop().unwrap();
    assert_eq!((last.sequence, last.bundle), (2, said.bundle.to_string()), "its word of the next one counts");
}

#[test]
fn a_sequence_that_the_site_signed_for_is_not_used_again() {
    let (collector, receiver) = acquainted();
    let set_back = collector.twin();
    set_back.believe_receipts_of(&receiver);
    for n in 0..3 {
        collector.state("bookworm", &[("a", &[n])], n.into());
        imported(receiver.import(&collector.export(&["bookworm"], "last").path));
    }
    // a store from before all that hears how far the site is
    assert!(set_back.hear(&receiver.receipt(200)).unwrap().foreign);
    set_back.state("bookworm", &[("b", b"new")], 9);
    let bundle = set_back.export(&["bookworm"], "none");
    assert_eq!(bundle.bundle.to_string(), "hq.plant-7-e01-000004");
    imported(receiver.import(&bundle.path));
}

#[test]
fn a_collector_does_not_take_what_another_one_brings() {
    let (hq, receiver) = sides();
    let lab = Side::new("lab");
    receiver.trust(&lab);
    let ours = hq.state("debs", &[("a", b"hq")], 1);
    lab.state("debs", &[("a", b"lab")], 1);
    lab.state("tools", &[("t", b"lab")], 1);
    imported(receiver.import(&hq.export(&["debs"], "none").path));
    let both = lab.export(&["debs", "tools"], "none");
    let error = refused(receiver.import(&both.path));
    let TransferError::OtherCollector { repository, from, by, .. } = &error else { panic!("{error}") };
    assert_eq!((repository, from, by), (&name("debs"), &site("hq"), &site("lab")));
    assert!(error.hint().unwrap().contains("verify: { origin: lab }"), "{error}");
    assert_eq!(receiver.newest("debs"), Some(ours));
    assert!(receiver.newest("tools").is_none(), "all or nothing");
    // who wants it so says so; and from then on the former one is refused
    let demands = Demands::from([(name("debs"), site("lab"))]);
    imported(receiver.import_with(&[both.path], &demands).pop().unwrap());
    assert_eq!(receiver.newest("debs"), lab.newest("debs"));
    hq.state("debs", &[("a", b"hq 2")], 2);
    let again = hq.export(&["debs"], "none").path;
    assert!(matches!(refused(receiver.import(&again)), TransferError::OtherCollector { .. }));
    let error = refused(receiver.import_with(&[again], &demands).pop().unwrap());
    assert!(matches!(error, TransferError::NoOrigin { .. }), "{error}");
}
