//! Keys that are stolen, rotated, lost: what an attacker's bundle still does, and what cures it.

use chantal_bundle::{
    Epoch, Namespace, Sequence, TrustRole,
    manifest::Delivery,
    seal,
    trust::{Change, ChangeError, Link},
};

use super::forge::Forgery;
use super::*;
use crate::trust::{TrustError, sshsig};

/// A bundle that a thief makes: one state without files, under any chain, epoch and sequence, signed by any keys.
struct Theft<'a> {
    chain: Vec<Link>,
    epoch: u64,
    sequence: u64,
    keys: Vec<&'a SiteKey>,
    path: &'static str,
}

impl Theft<'_> {
    fn write(&self, dir: &Path) -> PathBuf {
        let (epoch, sequence) = (Epoch::new(self.epoch).unwrap(), Sequence::new(self.sequence).unwrap());
        let forgery = Forgery::lying(&[], move |m| (m.epoch, m.sequence) = (epoch, sequence));
        let dir = dir.join(format!("{}-{epoch}-{sequence}", self.path));
        forgery.write_to(&dir, &self.chain, &self.keys)
    }
}

fn key(dir: &Path, name: &str) -> SiteKey {
    SiteKey::generate(&dir.join(name), name, &Passphrase::None).unwrap()
}

fn links(side: &Side, keys: &[&SiteKey]) -> Vec<Link> {
    OwnTrust::load(&side.store, keys).unwrap().links().to_vec()
}

fn out(side: &Side) -> PathBuf {
    let out = side.dir.path().join("out");
    fs::create_dir_all(&out).unwrap();
    out
}

/// Exports with these keys.
fn export_with(side: &Side, keys: &[&SiteKey], since: &str) -> Result<Written, TransferError> {
    let request = ExportRequest {
        to: &site("plant-7"),
        repositories: &[name("bookworm")],
        out: &out(side),
        since: since.into(),
        unchanged: Unchanged::Skip,
        volume_size: VOLUME_SIZE,
        parity: None,
        after_write: AfterWrite::Trust,
        created: at(100),
        at: at(100),
        expected_next_by: None,
        keys,
    };
    export(&side.store, &request, &Silent).map(|written| written.expect("something is new"))
}

#[test]
fn one_rotation_shuts_a_stolen_key_out_and_a_new_epoch_cures_the_sequence_it_pushed() {
    let (collector, receiver) = sides();
    let thief = tempfile::tempdir().unwrap();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "last").path));
    let stolen = &collector.key;
    let bundle = |chain: Vec<Link>, epoch, sequence| {
        Theft { chain, epoch, sequence, keys: vec![stolen], path: "stolen" }.write(thief.path())
    };
    let known = links(&collector, &[stolen]);
    // an epoch that root keys did not begin is none, however high the sequence
    assert!(matches!(
        refused(receiver.import(&bundle(known.clone(), 2, 1))),
        TransferError::WrongEpoch { .. }
    ));
    // before anybody knows, the thief's bundle is believed, and pushes the sequence to its end
    imported(receiver.import(&bundle(known.clone(), 1, 99_999_999)));
    assert!(receiver.newest("bookworm").unwrap().evidence.is_none(), "the thief's state is current");
    collector.state("bookworm", &[("a", b"b")], 2);
    let behind = collector.export(&["bookworm"], "none");
    let error = refused(receiver.import(&behind.path));
    assert!(error.hint().unwrap().contains("trust revoke"), "{error}");

    // one rotation: the new key takes the place of the stolen one, which is revoked, and the epoch ends
    let fresh = key(collector.dir.path(), "fresh");
    let second = collector.amend(&[stolen, &fresh], |change| {
        change.replace(&stolen.fingerprint(), fresh.public()).unwrap();
        change.revoke(&stolen.fingerprint()).unwrap();
    });
    assert_eq!((second.version, second.epoch.get()), (2, 2));
    // what was exported before may have met anything: nothing of it is presumed
    let cured = export_with(&collector, &[&fresh], "last").unwrap();
    assert_eq!(
        (cured.bundle.to_string().as_str(), cured.manifest.delivery),
        ("hq.plant-7-e02-000001", Delivery::Full)
    );
    imported(receiver.import(&cured.path));
    assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));

    // the thief under the old chain, under the new one with the old epoch, and with the new epoch
    let entries = receiver.entries();
    let now = links(&collector, &[&fresh]);
    for (chain, epoch, sequence) in [
        (known.clone(), 1, 99_999_998),
        (known, 2, 5),
        (now.clone(), 1, 99_999_998),
        (now.clone(), 2, 99_999_999),
    ] {
        let error = refused(receiver.import(&bundle(chain, epoch, sequence)));
        assert!(matches!(error, TransferError::Untrusted { .. }), "{error}");
    }
    // a signature of the revoked key refuses even what the new key signed
    let both = Theft { chain: now, epoch: 2, sequence: 7, keys: vec![stolen, &fresh], path: "both" };
    let error = refused(receiver.import(&both.write(thief.path())));
    assert!(matches!(error, TransferError::Untrusted { source: TrustError::Revoked { .. }, .. }), "{error}");
    // the old key exports nothing any more, and the old bundles that were good stay what they were
    assert!(matches!(
        export_with(&collector, &[stolen], "none"),
        Err(TransferError::Export(ExportError::OwnKeys { .. }))
    ));
    assert!(matches!(
        receiver.import(&collector.dir.path().join("out/hq.plant-7-e01-000001")),
        Ok(ImportOutcome::Already { .. })
    ));
    assert_eq!(receiver.entries(), entries);
    // within the new epoch it goes on as ever
    collector.state("bookworm", &[("a", b"c")], 3);
    let next = export_with(&collector, &[&fresh], "last").unwrap();
    assert_eq!(
        (next.bundle.to_string().as_str(), next.manifest.delivery),
        ("hq.plant-7-e02-000002", Delivery::Assumed)
    );
    imported(receiver.import(&next.path));
}

#[test]
fn a_stolen_collector_key_makes_no_trust_and_a_root_key_makes_no_bundle() {
    let (collector, receiver) = sides();
    let thief = tempfile::tempdir().unwrap();
    let (root, worker) = (key(thief.path(), "root"), key(thief.path(), "worker"));
    // the site's first key hands over to two: one for trust, one for bundles
    collector.amend(&[&collector.key, &root], |change| {
        change.add(root.public(), TrustRole::Root, None).unwrap();
        change.add(worker.public(), TrustRole::Collector, None).unwrap();
        change.remove(&collector.key.fingerprint()).unwrap();
    });
    collector.state("bookworm", &[("a", b"a")], 1);
    assert!(matches!(
        export_with(&collector, &[&root], "none"),
        Err(TransferError::Export(ExportError::OwnKeys { .. }))
    ));
    imported(receiver.import(&export_with(&collector, &[&worker], "none").unwrap().path));
    // the worker's key is stolen: it tries to raise itself to root
    let chain = links(&collector, &[&root]);
    let document = own_document(&collector.store).unwrap();
    let mut next = Change::of(&document);
    next.add(worker.public(), TrustRole::Root, None).unwrap();
    next.raise_epoch().unwrap();
    let next = next.finish().unwrap();
    let forged = Link {
        signatures: vec![
            sshsig::sign(&worker, Namespace::Trust, &next.encode().unwrap()).unwrap().into_bytes(),
        ],
        document: next.encode().unwrap(),
    };
    let own = OwnTrust::load(&collector.store, &[&worker]).unwrap();
    assert!(matches!(own.advance(&collector.store, &forged, at(1)), Err(TransferError::OwnTrust { .. })));
    let bundle = Theft {
        chain: [chain.clone(), vec![forged]].concat(),
        epoch: 2,
        sequence: 1,
        keys: vec![&worker],
        path: "raised",
    };
    let error = refused(receiver.import(&bundle.write(thief.path())));
    assert!(matches!(error, TransferError::Untrusted { source: TrustError::Chain(_), .. }), "{error}");
    // and the root key signs no bundle
    let by_root = Theft { chain, epoch: 1, sequence: 9, keys: vec![&root], path: "root" };
    let error = refused(receiver.import(&by_root.write(thief.path())));
    assert!(
        matches!(error, TransferError::Untrusted { source: TrustError::NotEnough { .. }, .. }),
        "{error}"
    );
    assert_eq!(receiver.store.catalog().trust(&site("hq")).unwrap().unwrap().0, 2);
}

#[test]
fn a_receiver_five_versions_behind_catches_up_from_one_bundle_and_never_goes_back() {
    let (collector, receiver) = sides();
    let dir = tempfile::tempdir().unwrap();
    collector.state("bookworm", &[("a", b"a")], 1);
    let before = collector.export(&["bookworm"], "none");
    let mut keys = vec![key(dir.path(), "k0")];
    collector.amend(&[&collector.key, &keys[0]], |c| {
        c.replace(&collector.key.fingerprint(), keys[0].public()).unwrap();
    });
    let mut third = None;
    for n in 1..5 {
        let next = key(dir.path(), &format!("k{n}"));
        let last = keys.last().unwrap();
        // neither the first key nor those between are there any more: what they signed was kept
        collector.amend(&[last, &next], |c| c.replace(&last.fingerprint(), next.public()).unwrap());
        keys.push(next);
        if n == 2 {
            third = Some(export_with(&collector, &[keys.last().unwrap()], "none").unwrap());
        }
    }
    let last = keys.last().unwrap();
    let newest = export_with(&collector, &[last], "none").unwrap();
    assert_eq!(newest.manifest.trust.len(), 6);
    imported(receiver.import(&newest.path));
    let versions: Vec<u32> =
        receiver.store.catalog().trusted(&site("hq")).unwrap().iter().map(|row| row.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
    let signed = receiver.store.catalog().trusted(&site("hq")).unwrap();
    assert!(signed.iter().skip(1).all(|row| !row.signatures.is_empty()), "what proves them is kept");
    for older in [before.path, third.unwrap().path] {
        let error = refused(receiver.import(&older));
        assert!(error.to_string().contains("version 6 was accepted already"), "{error}");
    }
    // a signature in the middle of the chain that is gone, or another's, breaks it for who needs it
    let fresh = receiver.twin();
    fresh.trust_again(&collector);
    let broken = tempfile::tempdir().unwrap();
    for version in 2..=6_u32 {
        let copy = broken.path().join(version.to_string());
        copy_tree(&newest.path, &copy);
        for entry in fs::read_dir(copy.join("trust")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{version:04}-")) {
                fs::remove_file(path).unwrap();
            }
        }
        let error = refused(fresh.import(&copy));
        assert!(matches!(error, TransferError::Untrusted { source: TrustError::Chain(_), .. }), "{error}");
    }
    imported(fresh.import(&newest.path));
}

#[test]
fn two_of_three_must_sign_and_a_draft_goes_round() {
    let (collector, receiver) = sides();
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (key(dir.path(), "alice"), key(dir.path(), "bob"));
    collector.amend(&[&collector.key, &alice], |change| {
        for person in [&alice, &bob] {
            change.add(person.public(), TrustRole::Root, None).unwrap();
            change.add(person.public(), TrustRole::Collector, None).unwrap();
        }
        change.threshold(TrustRole::Root, 2);
        change.threshold(TrustRole::Collector, 2);
    });
    // one key makes no bundle, and no next version
    collector.state("bookworm", &[("a", b"a")], 1);
    assert!(matches!(
        export_with(&collector, &[&collector.key], "none"),
        Err(TransferError::Export(ExportError::OwnKeys { .. }))
    ));
    let chain = OwnTrust::load(&collector.store, &[&collector.key]).unwrap();
    let mut change = Change::of(chain.document());
    change.revoke(&bob.fingerprint()).unwrap();
    let next = change.finish().unwrap();
    let draft = chain.sign(&next, &[&collector.key, &collector.key]).unwrap();
    assert_eq!(draft.signatures.len(), 1, "one key counts once");
    assert!(chain.advance(&collector.store, &draft, at(5)).is_err());
    // the draft goes to alice as a file, and comes back with hers
    let mut carried = Link::from_draft(&draft.to_draft()).unwrap();
    carried.signatures.push(sshsig::sign(&alice, Namespace::Trust, &carried.document).unwrap().into_bytes());
    let third =
        chain.advance(&collector.store, &Link::from_draft(&carried.to_draft()).unwrap(), at(6)).unwrap();
    assert_eq!((third.version, third.epoch.get()), (3, 2), "a collector's key was revoked");
    let written = export_with(&collector, &[&collector.key, &alice], "none").unwrap();
    imported(receiver.import(&written.path));
    let import = receiver.store.catalog().imports(None).unwrap().pop().unwrap();
    assert_eq!(import.signed.len(), 2);
    // with one of the two signatures taken away, another site refuses it; doubled by one key, too
    let fresh = receiver.twin();
    fresh.trust_again(&collector);
    let copy = dir.path().join("one");
    copy_tree(&written.path, &copy);
    let of = |key: &SiteKey| copy.join(seal::collector_signature(&key.fingerprint()));
    fs::copy(of(&collector.key), of(&alice)).unwrap();
    let error = refused(fresh.import(&copy));
    assert!(
        matches!(
            error,
            TransferError::Untrusted { source: TrustError::NotEnough { signed: 1, needed: 2, .. }, .. }
        ),
        "{error}"
    );
    imported(fresh.import(&written.path));
    // a revoked key never comes back
    let back = Change::of(&third).add(bob.public(), TrustRole::Root, None);
    assert!(matches!(back, Err(ChangeError::Revoked { .. })));
}

#[test]
fn after_a_revocation_only_what_was_acknowledged_is_a_base() {
    let (collector, receiver) = sides();
    let dir = tempfile::tempdir().unwrap();
    let second = key(dir.path(), "second");
    let plant = receiver.store.site().clone();
    collector.amend(&[&collector.key, &second], |change| {
        change.add(receiver.key.public(), TrustRole::Receiver, Some(&plant)).unwrap();
        change.add(second.public(), TrustRole::Root, None).unwrap();
        change.add(second.public(), TrustRole::Collector, None).unwrap();
    });
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "none").path));
    let heard = receipt::make(&receiver.store, &site("hq"), at(9)).unwrap();
    let file = receipt::seal(&heard, &receiver.key).unwrap();
    receipt::apply(&collector.store, &file, Backwards::Refused, at(10)).unwrap();
    collector.state("bookworm", &[("a", b"a"), ("b", b"b")], 2);
    collector.export(&["bookworm"], "last");
    collector.state("bookworm", &[("a", b"a"), ("b", b"b"), ("c", b"c")], 3);
    collector.amend(&[&second], |change| change.revoke(&collector.key.fingerprint()).unwrap());
    // the second bundle is of the old epoch: that it arrived is not assumed, what the receipt says is known
    let cumulative = export_with(&collector, &[&second], "last").unwrap();
    let base = cumulative.manifest.bases.first().and_then(|b| b.bundle.as_ref()).map(ToString::to_string);
    assert_eq!(base.as_deref(), Some("hq.plant-7-e01-000001"));
    assert_eq!(cumulative.bundle.to_string(), "hq.plant-7-e02-000001");
    imported(receiver.import(&cumulative.path));
    assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));
}

#[test]
fn streams_of_two_collectors_never_mix() {
    let (hq, receiver) = sides();
    let lab = Side::new("lab");
    receiver.trust(&lab);
    hq.state("bookworm", &[("a", b"hq")], 1);
    lab.state("tools", &[("a", b"lab")], 1);
    // the same epoch and sequence of two collectors are two places
    imported(receiver.import(&hq.export(&["bookworm"], "none").path));
    imported(receiver.import(&lab.export(&["tools"], "none").path));
    // a bundle that says it is hq's, and that lab signed
    let thief = tempfile::tempdir().unwrap();
    let chain = links(&lab, &[&lab.key]);
    let forged = Theft { chain, epoch: 1, sequence: 5, keys: vec![&lab.key], path: "mixed" };
    let error = refused(receiver.import(&forged.write(thief.path())));
    assert!(matches!(error, TransferError::WrongStream { .. }), "{error}");
    // with hq's chain, it is not signed by whom that admits
    let chain = links(&hq, &[&hq.key]);
    let forged = Theft { chain, epoch: 1, sequence: 6, keys: vec![&lab.key], path: "mixed" };
    let error = refused(receiver.import(&forged.write(thief.path())));
    assert!(
        matches!(error, TransferError::Untrusted { source: TrustError::NotEnough { .. }, .. }),
        "{error}"
    );
    // a receipt speaks of one collector's repositories alone
    let said = receipt::make(&receiver.store, &site("lab"), at(1)).unwrap();
    let repositories: Vec<String> = said.states.iter().map(|s| s.repository.to_string()).collect();
    assert_eq!(repositories, ["tools"]);
}

#[test]
fn no_decision_looks_at_the_clock() {
    for (there, here) in [(0_i64, 4_102_444_800), (4_102_444_800, 0)] {
        let stamp = |second| Timestamp::from_second(second).unwrap();
        let (collector, receiver) = sides();
        collector.state("bookworm", &[("a", b"a")], 1);
        let repositories = [name("bookworm")];
        let out = out(&collector);
        let (to, keys) = (site("plant-7"), [&collector.key]);
        let request = |clock: i64| ExportRequest {
            to: &to,
            repositories: &repositories,
            out: &out,
            since: Since::Last,
            unchanged: Unchanged::Skip,
            volume_size: VOLUME_SIZE,
            parity: None,
            after_write: AfterWrite::Trust,
            created: stamp(clock),
            at: stamp(clock),
            // long over, or far ahead: it is shown, and nothing else
            expected_next_by: Some(stamp(clock)),
            keys: &keys,
        };
        let first = export(&collector.store, &request(there), &Silent).unwrap().unwrap();
        let run = |path: &Path, clock: i64| {
            import(&receiver.store, &[path.to_path_buf()], RULELESS, stamp(clock), &Silent)
                .unwrap()
                .pop()
                .unwrap()
        };
        imported(run(&first.path, here));
        // clocks that ran backwards meanwhile
        collector.state("bookworm", &[("a", b"b")], 2);
        let second = export(&collector.store, &request(here), &Silent).unwrap().unwrap();
        imported(run(&second.path, there));
        assert!(matches!(run(&first.path, here), Ok(ImportOutcome::Already { .. })));
        let second_document =
            collector.amend(&[&collector.key], |c| assert_eq!(c.raise_epoch().unwrap().get(), 2));
        assert_eq!(second_document.epoch.get(), 2);
        let third = export(&collector.store, &request(there), &Silent).unwrap().unwrap();
        imported(run(&third.path, there));
        let said = receipt::make(&receiver.store, &site("hq"), stamp(here)).unwrap();
        assert_eq!(said.place(), (2, 1));
    }
}
