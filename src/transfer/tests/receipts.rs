//! What a site says that it holds, and what becomes of it.

use chantal_bundle::{Namespace, Receipt, TrustRole, receipt::Sealed, trust::Change};

use super::*;
use crate::{
    store::{GRACE, Object},
    transfer::receipt::{apply, check, make, read, read_last, seal},
    trust::{TrustError, sshsig},
};

impl Side {
    /// Brings a next version of this side's own trust document into force.
    pub(super) fn amend(&self, keys: &[&SiteKey], change: impl FnOnce(&mut Change)) -> TrustDocument {
        let chain = OwnTrust::load(&self.store, keys).unwrap();
        let mut next = Change::of(chain.document());
        change(&mut next);
        let link = chain.sign(&next.finish().unwrap(), keys).unwrap();
        chain.advance(&self.store, &link, at(300)).unwrap()
    }

    pub(super) fn believe_receipts_of(&self, other: &Side) {
        let key = other.key.public();
        let site = other.store.site().clone();
        self.amend(&[&self.key], |change| change.add(key, TrustRole::Receiver, Some(&site)).unwrap());
    }

    pub(super) fn receipt(&self, second: i64) -> Vec<u8> {
        let receipt = make(&self.store, &site("hq"), at(second)).unwrap();
        seal(&receipt, &self.key).unwrap()
    }

    pub(super) fn hear(&self, file: &[u8]) -> Result<Applied, ReceiptFault> {
        apply(&self.store, file, Backwards::Refused, at(400))
    }
}

/// A collector that believes the receipts of a receiver that trusts it.
pub(super) fn acquainted() -> (Side, Side) {
    let (collector, receiver) = sides();
    collector.believe_receipts_of(&receiver);
    (collector, receiver)
}

fn parse(file: &[u8]) -> Receipt {
    Receipt::parse(Sealed::split(file).unwrap().text).unwrap()
}

#[test]
fn a_receipt_moves_the_base_and_a_lost_bundle_costs_only_the_next() {
    let (collector, receiver) = acquainted();
    let first = noise(1, 100_000);
    collector.state("bookworm", &[("a", &first)], 1);
    // before anything came, a receipt says so, and the collector begins with everything
    let empty = receiver.receipt(150);
    assert_eq!(parse(&empty).place(), (1, 0));
    assert!(!collector.hear(&empty).unwrap().already);
    imported(receiver.import(&collector.export(&["bookworm"], "acknowledged").path));
    let applied = collector.hear(&receiver.receipt(200)).unwrap();
    assert!(applied.unknown.is_empty() && !applied.foreign && !applied.forked);
    assert_eq!(applied.heard.receipt.place(), (1, 1));
    assert_eq!(applied.heard.receipt.states.len(), 1);
    assert!(collector.try_export(&["bookworm"], "acknowledged", VOLUME_SIZE).unwrap().is_none());

    // one is lost on the way; the next carries its change as well, and not what was acknowledged
    collector.state("bookworm", &[("a", &first), ("b", b"b")], 2);
    let lost = collector.export(&["bookworm"], "acknowledged");
    collector.state("bookworm", &[("a", &first), ("b", b"b"), ("c", b"c")], 3);
    let next = collector.export(&["bookworm"], "acknowledged");
    assert_eq!(next.manifest.delivery, chantal_bundle::manifest::Delivery::Acknowledged);
    assert_eq!(
        next.manifest.bases[0].bundle.as_ref().map(ToString::to_string),
        Some("hq.plant-7-e01-000001".into())
    );
    assert!(next.bytes < 20_000 && lost.bytes < 20_000, "{} {}", next.bytes, lost.bytes);
    imported(receiver.import(&next.path));
    assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));
    // the lost one turns up: it has nothing to give any more
    assert!(matches!(refused(receiver.import(&lost.path)), TransferError::Older { .. }));
}

#[test]
fn a_receipt_goes_forward_only_and_twice_is_once() {
    let (collector, receiver) = acquainted();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    let early = receiver.receipt(200);
    collector.state("bookworm", &[("a", b"b")], 2);
    imported(receiver.import(&collector.export(&["bookworm"], "last").path));
    let late = receiver.receipt(300);
    collector.hear(&late).unwrap();
    let entries = collector.entries();
    assert!(collector.hear(&late).unwrap().already);
    let error = collector.hear(&early).unwrap_err();
    assert!(matches!(error, ReceiptFault::Older { .. }) && error.is_refusal(), "{error}");
    assert!(error.hint().unwrap().contains("--force"));
    assert_eq!(collector.entries(), entries);
    // the site was set back, and somebody says so
    apply(&collector.store, &early, Backwards::Allowed, at(500)).unwrap();
    let known = collector.store.catalog().acknowledged(&site("plant-7")).unwrap().unwrap();
    assert_eq!((known.epoch, known.sequence), (1, 1));
    let cumulative = collector.export(&["bookworm"], "acknowledged");
    assert_eq!(cumulative.manifest.bases[0].manifest, known.states[0].state.manifest);
}

#[test]
fn a_receipt_counts_from_the_sites_own_key_alone() {
    let (collector, receiver) = acquainted();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    let good = receiver.receipt(200);
    let receipt = parse(&good);
    let other = Side::new("plant-8");
    let entries = collector.entries();
    let untrusted = |file: &[u8]| {
        let error = collector.hear(file).unwrap_err();
        assert!(error.is_refusal(), "{error}");
        assert_eq!(collector.entries(), entries);
        error
    };
    // nobody's key, the collector's own, and another site's that is believed for that other site
    assert!(matches!(untrusted(&seal(&receipt, &other.key).unwrap()), ReceiptFault::Stranger { .. }));
    assert!(matches!(untrusted(&seal(&receipt, &collector.key).unwrap()), ReceiptFault::Stranger { .. }));
    // the right key over other bytes, in another namespace, or not at all
    let text = receipt.encode().unwrap();
    let other_text = Receipt { created: at(999), ..receipt.clone() }.encode().unwrap();
    let signature =
        |namespace, text: &[u8]| sshsig::sign(&receiver.key, namespace, text).unwrap().into_bytes();
    untrusted(&[text.clone(), signature(Namespace::Receipt, &other_text)].concat());
    untrusted(&[text.clone(), signature(Namespace::Trust, &text)].concat());
    untrusted(&text);
    for cut in [1, 30, good.len() / 2] {
        untrusted(&good[..good.len() - cut]);
    }
    // a receipt for another collector, rightly signed
    let elsewhere = Receipt { collector: site("hq2"), missing: vec![], ..receipt.clone() };
    let fault = untrusted(&seal(&elsewhere, &receiver.key).unwrap());
    assert!(matches!(fault, ReceiptFault::OtherCollector { .. }), "{fault}");
    // plant-8's key is believed, for plant-8
    collector.believe_receipts_of(&other);
    let error = collector.hear(&seal(&receipt, &other.key).unwrap()).unwrap_err();
    assert!(matches!(error, ReceiptFault::OtherSite { .. }), "{error}");
    collector.hear(&good).unwrap();
    // revoked: what it signed counts no more
    collector.amend(&[&collector.key], |change| change.revoke(&receiver.key.fingerprint()).unwrap());
    let error = collector.hear(&good).unwrap_err();
    let revoked = matches!(&error, ReceiptFault::Untrusted { source: TrustError::Revoked { .. } });
    assert!(revoked, "{error}");
}

#[test]
fn an_old_receipt_that_is_carried_again_changes_nothing() {
    let (collector, receiver) = acquainted();
    collector.state("bookworm", &[("a", &noise(1, 100_000))], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    let whole = receiver.receipt(200);
    let newest = receiver.newest("bookworm").unwrap();
    let snapshot = receiver.store.snapshot(&newest.manifest).unwrap();
    let blob = snapshot.file(&RepoPath::new("a").unwrap()).unwrap().unwrap();
    fs::remove_file(receiver.store.pool().path(&blob.sha256)).unwrap();
    let lossy = receiver.receipt(300);
    collector.hear(&whole).unwrap();
    collector.hear(&lossy).unwrap();
    // of the same place, and the site said something else since
    let error = collector.hear(&whole).unwrap_err();
    assert!(matches!(error, ReceiptFault::Again { .. }) && error.is_refusal(), "{error}");
    assert!(check(&collector.store, &whole, Backwards::Refused).is_err(), "a dry run says so, too");
    let error = read_last(&collector.store, &whole).unwrap_err();
    assert!(matches!(error, ReceiptFault::Again { .. }), "no bundle is made of it: {error}");
    read_last(&collector.store, &lossy).unwrap();
    // one from before more was imported makes no bundle either: the site would go back
    collector.state("bookworm", &[("b", b"2")], 2);
    imported(receiver.import(&collector.export(&["bookworm"], "acknowledged").path));
    let late = receiver.receipt(400);
    collector.hear(&late).unwrap();
    for old in [&whole, &lossy] {
        let error = read_last(&collector.store, old).unwrap_err();
        assert!(matches!(error, ReceiptFault::Older { .. }), "{error}");
    }
    // somebody who means it goes back, and forward again
    apply(&collector.store, &lossy, Backwards::Allowed, at(500)).unwrap();
    assert!(!collector.hear(&late).unwrap().already);
}

#[test]
fn what_a_stolen_receiver_key_signed_counts_for_nothing_once_it_is_revoked() {
    let (collector, receiver) = acquainted();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    collector.state("bookworm", &[("a", b"a"), ("b", b"b")], 2);
    let lost = collector.export(&["bookworm"], "last");
    // the thief says that it arrived, and beyond that what nobody can have sent
    let genuine = parse(&receiver.receipt(200));
    let newest = collector.newest("bookworm").unwrap();
    let mut states = genuine.states.clone();
    states[0].manifest = newest.manifest;
    states[0].evidence = newest.evidence;
    let bundle = Some(Digest::of(&fs::read(lost.path.join("manifest.json")).unwrap()));
    let sequence = Some(lost.manifest.sequence);
    let forged = Receipt { states, bundle, sequence, ..genuine.clone() };
    let far = Receipt { sequence: chantal_bundle::Sequence::new(99_999_999).ok(), ..genuine };
    let error = collector.hear(&seal(&far, &receiver.key).unwrap()).unwrap_err();
    assert!(matches!(error, ReceiptFault::Again { .. } | ReceiptFault::Strange { .. }), "{error}");
    collector.hear(&seal(&forged, &receiver.key).unwrap()).unwrap();
    assert!(collector.try_export(&["bookworm"], "acknowledged", VOLUME_SIZE).unwrap().is_none());
    // its key is revoked, and the site's new one is believed
    let fresh = SiteKey::generate(&receiver.dir.path().join("fresh"), "fresh", &Passphrase::None).unwrap();
    let (old, plant) = (receiver.key.fingerprint(), site("plant-7"));
    collector.amend(&[&collector.key], |change| {
        change.add(fresh.public(), TrustRole::Receiver, Some(&plant)).unwrap();
        change.revoke(&old).unwrap();
    });
    let full = collector.export(&["bookworm"], "acknowledged");
    assert_eq!(full.manifest.delivery, chantal_bundle::manifest::Delivery::Full);
    imported(receiver.import(&full.path));
    let receiver = Side { key: fresh, ..receiver };
    // what the forged one said does not stand in the way
    collector.hear(&receiver.receipt(300)).unwrap();
    assert!(collector.try_export(&["bookworm"], "acknowledged", VOLUME_SIZE).unwrap().is_none());
}

#[test]
fn every_flipped_bit_of_a_receipt_is_found() {
    let (collector, receiver) = acquainted();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    let good = receiver.receipt(200);
    let mut bad = good.clone();
    for at in 0..good.len() {
        for bit in 0..8 {
            bad[at] ^= 1 << bit;
            assert!(read(&collector.store, &bad).is_err(), "byte {at} bit {bit}");
            bad[at] = good[at];
        }
    }
    read(&collector.store, &good).unwrap();
}

#[test]
fn states_that_the_collector_does_not_know_are_said_and_do_not_count() {
    let (collector, receiver) = acquainted();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    // the collector is set up anew with the same key: it knows nothing of what it sent
    let reborn = collector.twin();
    reborn.believe_receipts_of(&receiver);
    reborn.state("bookworm", &[("a", b"other")], 5);
    let applied = apply(&reborn.store, &receiver.receipt(200), Backwards::Allowed, at(400)).unwrap();
    assert_eq!(applied.unknown.len(), 1);
    assert!(applied.foreign, "its newest import is none of this store's");
    let next = reborn.export(&["bookworm"], "acknowledged");
    assert_eq!(next.manifest.delivery, chantal_bundle::manifest::Delivery::Full);
}

/// Splits an export into its small files and its volumes, each in a directory of its own.
fn apart(written: &Written) -> (TempDir, Vec<TempDir>) {
    let front = tempfile::tempdir().unwrap();
    copy_tree(&written.path, front.path());
    let mut volumes = Vec::new();
    for n in 1..=written.manifest.volumes.len() {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("volume-{n:04}.tar.zst");
        fs::rename(front.path().join(&name), dir.path().join(&name)).unwrap();
        volumes.push(dir);
    }
    (front, volumes)
}

fn missing_bundle(collector: &Side, receipt: &[u8]) -> Result<Option<Written>, TransferError> {
    let heard = read(&collector.store, receipt).unwrap();
    let request = ExportRequest {
        to: &site("plant-7"),
        repositories: &[name("bookworm")],
        out: &collector.dir.path().join("out"),
        since: Since::Missing(Box::new(heard.receipt)),
        unchanged: Unchanged::Skip,
        volume_size: VOLUME_SIZE,
        parity: None,
        after_write: AfterWrite::Trust,
        created: at(600),
        at: at(600),
        expected_next_by: None,
        keys: &[&collector.key],
    };
    export(&collector.store, &request, &Silent)
}

#[test]
fn only_what_is_missing_of_a_waiting_bundle_travels_again() {
    let (collector, receiver) = acquainted();
    let files: Vec<(String, Vec<u8>)> = (0..6).map(|n| (format!("f{n}"), noise(n, 2 << 20))).collect();
    let listed: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    collector.state("bookworm", &listed, 1);
    let written = collector.try_export(&["bookworm"], "none", 4 << 20).unwrap().unwrap();
    let (front, volumes) = apart(&written);
    assert!(volumes.len() >= 3);
    assert!(matches!(receiver.import(front.path()), Ok(ImportOutcome::Waiting { .. })));
    for volume in &volumes[1..] {
        assert!(matches!(receiver.import(volume.path()), Ok(ImportOutcome::Waiting { .. })));
    }
    let file = receiver.receipt(200);
    let receipt = parse(&file);
    assert_eq!(receipt.place(), (1, 0), "nothing is current yet");
    let [missing] = receipt.missing.as_slice() else { panic!("{receipt:?}") };
    assert_eq!(
        (missing.manifest, missing.volumes.len()),
        (digest_of(&fs::read(written.path.join("manifest.json")).unwrap()), 1)
    );
    assert_eq!(missing.volumes[0].get(), 1);
    assert!(!missing.blobs.is_empty());

    collector.hear(&file).unwrap();
    // upstream has moved on meanwhile; what waits is completed all the same
    collector.state("bookworm", &[("f0", b"newer")], 2);
    let small = missing_bundle(&collector, &file).unwrap().expect("something is missing");
    assert_eq!(small.manifest.counts.blobs, missing.blobs.len() as u64);
    assert!(small.bytes < written.bytes / 2, "{} of {}", small.bytes, written.bytes);
    assert_eq!(small.manifest.states, written.manifest.states);
    imported(receiver.import(&small.path));
    assert_eq!(receiver.newest("bookworm").unwrap().manifest, written.manifest.states[0].manifest);
    for (name, bytes) in &files {
        assert_eq!(receiver.read("bookworm", name), *bytes);
    }
    // what waited waits no more, and its last volume is too late
    assert!(receiver.store.catalog().pending().unwrap().is_empty());
    assert!(parse(&receiver.receipt(300)).missing.is_empty());
    // on a site that has none of the rest, the same bundle is refused before a volume is read
    let fresh = receiver.twin();
    fresh.trust_again(&collector);
    assert!(matches!(refused(fresh.import(&small.path)), TransferError::MissingBlobs { .. }));
}

#[test]
fn what_was_lost_after_its_import_is_asked_for_and_comes_alone() {
    let (collector, receiver) = acquainted();
    let big = noise(3, 1 << 20);
    collector.state("bookworm", &[("big", &big), ("small", b"small")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    collector.state("bookworm", &[("big", &big), ("small", b"small"), ("new", b"new")], 2);
    imported(receiver.import(&collector.export(&["bookworm"], "last").path));
    let whole = parse(&receiver.receipt(200));
    assert!(whole.missing.is_empty() && whole.states.len() == 1);
    // what `verify --full` would put aside
    receiver.store.pool().remove(&Digest::of(b"small")).unwrap();
    let file = receiver.receipt(300);
    let receipt = parse(&file);
    assert!(receipt.states.is_empty(), "a state that is not whole is not acknowledged");
    let [missing] = receipt.missing.as_slice() else { panic!("{receipt:?}") };
    assert_eq!(missing.bundle.sequence().get(), 2);
    assert_eq!(missing.blobs.iter().map(|b| b.sha256).collect::<Vec<_>>(), [Digest::of(b"small")]);
    collector.hear(&file).unwrap();
    let small = missing_bundle(&collector, &file).unwrap().unwrap();
    assert_eq!((small.manifest.counts.blobs, small.manifest.counts.bytes), (1, 5));
    imported(receiver.import(&small.path));
    assert_eq!(receiver.read("bookworm", "small"), b"small");
    assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));
    let healed = parse(&receiver.receipt(400));
    assert!(healed.missing.is_empty() && healed.states == whole.states);
    assert!(missing_bundle(&collector, &receiver.receipt(500)).unwrap().is_none(), "nothing is missing");
}

#[test]
fn the_base_that_a_site_acknowledged_outlives_gc() {
    let (collector, receiver) = acquainted();
    let held = collector.state("bookworm", &[("a", b"a"), ("b", b"b")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    collector.hear(&receiver.receipt(200)).unwrap();
    for n in 2..5 {
        collector.state("bookworm", &[("a", b"a"), ("b", b"b"), ("c", &[n])], n.into());
        collector.export(&["bookworm"], "last");
    }
    collector.store.gc(Timestamp::now() + jiff::SignedDuration::from_hours(1000), GRACE, &Silent).unwrap();
    assert!(collector.store.manifests().has(&held.manifest).unwrap());
    let next = collector.export(&["bookworm"], "acknowledged");
    assert_eq!(next.manifest.bases.len(), 1);
    assert_eq!(next.manifest.counts.blobs, 2, "the new file and the new page of evidence");
    imported(receiver.import(&next.path));
    let roots = collector.store.verify(crate::store::Depth::Full, &Silent).unwrap();
    let blobs =
        roots.problems.iter().filter(|p| matches!(p.what, crate::store::Subject::Object(Object::Blob, _)));
    assert_eq!(blobs.count(), 0, "{:?}", roots.problems);
}

#[test]
fn of_a_collector_that_is_not_believed_there_is_nothing_to_say() {
    let (_, receiver) = sides();
    let error = make(&receiver.store, &site("hq2"), at(1)).unwrap_err();
    assert!(matches!(error, ReceiptFault::Nobody { .. }), "{error}");
}
