//! States that go on from site to site, and whose signatures go with them.

use chantal_bundle::{manifest::OriginFile, proof, proof::Proof, trust::Link};

use super::*;
use crate::trust::TrustError;

/// A collector, a site that hands on what it gets, and the last one, which trusts both.
fn three() -> (Side, Side, Side) {
    let (collector, plant) = sides();
    let mut plant = plant;
    plant.to = site("ship-3");
    let ship = Side::new("ship-3");
    ship.trust(&plant);
    ship.trust(&collector);
    (collector, plant, ship)
}

/// `bookworm` must have been made by `hq`.
fn demands() -> Demands {
    Demands::from([(name("bookworm"), site("hq"))])
}

fn import_one(side: &Side, path: &Path, origins: &Demands) -> Result<ImportOutcome, TransferError> {
    side.import_with(&[path.to_path_buf()], origins).pop().unwrap()
}

fn proof_path(written: &Written) -> PathBuf {
    let [file] = written.manifest.origins.as_slice() else { panic!("{:?}", written.manifest.origins) };
    written.path.join(proof::path(&file.sha256))
}

#[test]
fn the_last_site_can_demand_the_first_collectors_signature() {
    let (collector, plant, ship) = three();
    let first = collector.state("bookworm", &[("a", b"a"), ("b", b"b")], 1);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    let full = plant.export(&["bookworm"], "last");
    assert_eq!(full.bundle.to_string(), "plant-7.ship-3-e01-000001");
    assert_eq!(inspected(&ship, &full.path).origins, [Some(site("hq"))]);
    assert!(verified_at(&ship, std::slice::from_ref(&full.path)).is_good());
    imported(import_one(&ship, &full.path, &demands()));
    assert_eq!(ship.newest("bookworm"), Some(first));

    // the same of a small one
    let second = collector.state("bookworm", &[("a", b"a"), ("b", b"new")], 2);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    let small = plant.export(&["bookworm"], "last");
    assert_eq!(manifest_of(&small).bases.len(), 1);
    imported(import_one(&ship, &small.path, &demands()));
    assert_eq!(ship.newest("bookworm"), Some(second.clone()));

    // and once more on: the third hop still has the first collector's word, and that of every one between
    let mut ship = ship;
    ship.to = site("pod");
    let pod = Side::new("pod");
    pod.trust(&ship);
    pod.trust(&collector);
    let last = ship.export(&["bookworm"], "none");
    assert_eq!(last.manifest.origins.len(), 2);
    let mut origins = inspected(&pod, &last.path).origins;
    origins.sort();
    assert_eq!(origins, [None, Some(site("hq"))], "nothing is known of the plant");
    imported(import_one(&pod, &last.path, &demands()));
    assert_eq!(pod.newest("bookworm"), Some(second));
    assert_eq!(pod.read("bookworm", "b"), b"new");
}

#[test]
fn what_the_first_collector_did_not_make_is_refused_where_its_signature_is_demanded() {
    let (collector, plant, ship) = three();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    // of another repository, the plant's own
    plant.state("tools", &[("t", b"t")], 1);
    let both = plant.export(&["bookworm", "tools"], "none");
    let tools = Demands::from([(name("tools"), site("hq"))]);
    let error = refused(import_one(&ship, &both.path, &tools));
    assert!(
        matches!(&error, TransferError::NoOrigin { repository, .. } if *repository == name("tools")),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("chantal trust"), "{error}");
    assert!(ship.newest("bookworm").is_none() && ship.newest("tools").is_none(), "all or nothing");
    // a state that the plant put in the collector's place
    plant.state("bookworm", &[("a", b"evil")], 2);
    let forged = plant.export(&["bookworm"], "none");
    assert!(forged.manifest.origins.is_empty());
    let error = refused(import_one(&ship, &forged.path, &demands()));
    assert!(matches!(error, TransferError::NoOrigin { .. }), "{error}");
    // who does not ask takes the plant's word
    imported(ship.import(&both.path));
}

#[test]
fn a_site_between_does_not_choose_among_the_first_collectors_states() {
    let (collector, plant, ship) = three();
    let one = collector.state("bookworm", &[("a", b"1")], 1);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    let two = collector.state("bookworm", &[("a", b"2")], 2);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    imported(import_one(&ship, &plant.export(&["bookworm"], "last").path, &demands()));
    assert_eq!(ship.newest("bookworm"), Some(two.clone()));
    // the plant goes back to what it was given first, with the proof of that
    plant.journal("bookworm", &one, 3);
    let back = plant.export(&["bookworm"], "none");
    assert!(!back.manifest.origins.is_empty());
    let error = refused(import_one(&ship, &back.path, &demands()));
    assert!(matches!(error, TransferError::OldOrigin { .. }), "{error}");
    assert!(error.hint().unwrap().contains("newest"), "{error}");
    assert_eq!(ship.newest("bookworm"), Some(two));
}

#[test]
fn a_first_collector_that_goes_back_is_followed() {
    let (collector, plant, ship) = three();
    let one = collector.state("bookworm", &[("a", b"1")], 1);
    for n in 0..2_u8 {
        imported(plant.import(&collector.export(&["bookworm"], "last").path));
        imported(import_one(&ship, &plant.export(&["bookworm"], "last").path, &demands()));
        collector.state("bookworm", &[("a", &[n])], i64::from(n) + 2);
    }
    collector.journal("bookworm", &one, 4);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    imported(import_one(&ship, &plant.export(&["bookworm"], "last").path, &demands()));
    assert_eq!(ship.newest("bookworm"), Some(one));
}

#[test]
fn what_was_never_the_first_collectors_newest_does_not_become_current() {
    let (collector, plant, ship) = three();
    let old = collector.state("bookworm", &[("a", b"1")], 1);
    collector.name("bookworm", "2026-10", &old);
    collector.state("bookworm", &[("a", b"2")], 3);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    // both came in one bundle; the plant makes the older one current
    plant.journal("bookworm", &old, 4);
    let error = refused(import_one(&ship, &plant.export(&["bookworm"], "none").path, &demands()));
    assert!(matches!(error, TransferError::NoOrigin { .. }), "{error}");
    assert!(ship.newest("bookworm").is_none());
}

#[test]
fn a_site_that_does_not_know_the_collector_cannot_demand_it_and_hands_it_on() {
    let (collector, plant, _) = three();
    let ship = Side::new("ship-3");
    ship.trust(&plant);
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    let bundle = plant.export(&["bookworm"], "last");
    let error = refused(import_one(&ship, &bundle.path, &demands()));
    assert!(matches!(error, TransferError::NoOrigin { .. }), "{error}");
    imported(ship.import(&bundle.path));
    // what it could not judge is kept for who can, also over a clean-up
    ship.store.gc(at(10_000_000), jiff::SignedDuration::ZERO, &Silent).unwrap();
    let mut ship = ship;
    ship.to = site("pod");
    let on = ship.export(&["bookworm"], "none");
    assert_eq!(on.manifest.origins.len(), 2);
}

#[test]
fn a_proof_that_is_altered_missing_or_forged_refuses_the_bundle() {
    let (collector, plant, ship) = three();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    let bundle = plant.export(&["bookworm"], "last");
    let path = proof_path(&bundle);
    let good = fs::read(&path).unwrap();
    let entries = ship.entries();
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        let error = refused(import_one(&ship, &bundle.path, &Demands::new()));
        assert!(matches!(error, TransferError::OtherProof { .. }), "byte {at}: {error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(import_one(&ship, &bundle.path, &Demands::new()).is_err());
    assert_eq!(ship.entries(), entries, "nothing was decided");
    fs::write(&path, &good).unwrap();

    // proofs that the plant itself puts together and signs for as its own
    let genuine = Proof::parse(&good).unwrap();
    let mut other = Manifest::parse(&genuine.manifest).unwrap();
    other.states[0].evidence = None;
    let forged = Proof { manifest: other.encode().unwrap(), ..genuine.clone() };
    let by_plant =
        crate::trust::sshsig::sign(&plant.key, chantal_bundle::Namespace::Bundle, &forged.manifest).unwrap();
    let unsigned = Proof { signatures: Vec::new(), ..genuine.clone() };
    let by_stranger = Proof { signatures: vec![by_plant.into_bytes()], ..forged.clone() };
    for (n, proof) in [forged, unsigned, by_stranger].into_iter().enumerate() {
        let dir = resigned(&plant, &bundle, &[proof], n);
        let error = import_one(&ship, &dir, &demands()).unwrap_err();
        assert!(matches!(error, TransferError::Untrusted { .. }), "{n}: {error}");
        assert!(error.is_refusal() && ship.newest("bookworm").is_none());
    }
    imported(import_one(&ship, &bundle.path, &demands()));
}

#[test]
fn a_proof_of_another_stream_or_chain_is_refused_though_its_key_is_right() {
    use chantal_bundle::{Namespace, manifest::TrustLink, trust::Link};

    use crate::trust::sshsig;
    let (collector, plant, ship) = three();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    let bundle = plant.export(&["bookworm"], "last");
    let genuine = Proof::parse(&fs::read(proof_path(&bundle)).unwrap()).unwrap();
    let sign = |namespace, text: &[u8]| sshsig::sign(&collector.key, namespace, text).unwrap().into_bytes();
    let lying = |trust: &[Link], lie: &dyn Fn(&mut Manifest)| {
        let mut manifest = Manifest::parse(&genuine.manifest).unwrap();
        let links = (1..).zip(trust);
        manifest.trust =
            links.map(|(version, l)| TrustLink { version, sha256: Digest::of(&l.document) }).collect();
        lie(&mut manifest);
        let text = manifest.encode().unwrap();
        let signatures = vec![sign(Namespace::Bundle, &text)];
        Proof { manifest: text, signatures, approvals: Vec::new(), trust: trust.to_vec() }
    };
    let refusal = |n: usize, proof: Proof| {
        let error = refused(import_one(&ship, &resigned(&plant, &bundle, &[proof], n), &demands()));
        assert!(ship.newest("bookworm").is_none(), "{error}");
        error
    };
    let error = refusal(10, lying(&genuine.trust, &|m| m.collector = site("lab")));
    assert!(matches!(error, TransferError::WrongStream { .. }), "{error}");
    let error = refusal(11, lying(&genuine.trust, &|m| m.trust[0].sha256 = Digest::of(b"other")));
    assert!(matches!(error, TransferError::OtherChain { .. }), "{error}");
    // a second version beside the one that was accepted, by the same root key
    let first = TrustDocument::parse(&genuine.trust[0].document).unwrap();
    let (mut second, mut third) = (first.clone(), first);
    second.version = 2;
    (third.version, third.epoch) = (3, chantal_bundle::Epoch::new(2).unwrap());
    let mut beside = second.clone();
    beside.epoch = third.epoch;
    ship.accept(second);
    ship.accept(third);
    let document = beside.encode().unwrap();
    let forked = Link { signatures: vec![sign(Namespace::Trust, &document)], document };
    let error = refusal(12, lying(&[genuine.trust[0].clone(), forked], &|_| {}));
    let chain = matches!(
        &error,
        TransferError::Untrusted {
            source: TrustError::Chain(chantal_bundle::trust::ChainError::Forked { version: 2, .. }),
            ..
        }
    );
    assert!(chain, "{error}");
    imported(import_one(&ship, &bundle.path, &demands()));
}

/// The bundle with other proofs in it, signed by the plant as its own.
fn resigned(plant: &Side, bundle: &Written, proofs: &[Proof], n: usize) -> PathBuf {
    use chantal_bundle::{Namespace, seal};
    let dir = plant.dir.path().join(format!("forged-{n}"));
    copy_tree(&bundle.path, &dir);
    let mut manifest = manifest_of(bundle);
    manifest.origins.clear();
    for proof in proofs {
        let bytes = proof.encode().unwrap();
        let file = OriginFile { size: bytes.len() as u64, sha256: Digest::of(&bytes) };
        fs::write(dir.join(proof::path(&file.sha256)), bytes).unwrap();
        manifest.origins.push(file);
    }
    manifest.origins.sort_by_key(|file| file.sha256);
    let text = manifest.encode().unwrap();
    fs::write(dir.join("manifest.json"), &text).unwrap();
    let signature = crate::trust::sshsig::sign(&plant.key, Namespace::Bundle, &text).unwrap();
    fs::write(dir.join(seal::collector_signature(&plant.key.fingerprint())), signature).unwrap();
    dir
}

/// The version of the collector's trust document that a site accepted.
fn version(side: &Side) -> u32 {
    side.store.catalog().trust(&site("hq")).unwrap().unwrap().0
}

/// What `three` make of a state, and then a collector whose key was revoked: the plant's bundle, the collector's proof in it as it
/// was, the chain that revokes the key, and the key that came after it.
fn revoked(collector: &Side, plant: &Side) -> (Written, Proof, Vec<Link>, SiteKey) {
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    let bundle = plant.export(&["bookworm"], "last");
    let genuine = Proof::parse(&fs::read(proof_path(&bundle)).unwrap()).unwrap();
    let fresh = SiteKey::generate(&collector.dir.path().join("fresh"), "fresh", &Passphrase::None).unwrap();
    let old = collector.key.fingerprint();
    collector.amend(&[&collector.key, &fresh], |change| {
        change.replace(&old, fresh.public()).unwrap();
        change.revoke(&old).unwrap();
    });
    let chain = OwnTrust::load(&collector.store, &[]).unwrap().links().to_vec();
    (bundle, genuine, chain, fresh)
}

#[test]
fn a_trust_document_that_a_refused_proof_brings_counts_at_once() {
    let (collector, plant, _) = three();
    let (bundle, genuine, chain, _) = revoked(&collector, &plant);
    // signed by a key that the chain itself revokes, by nobody, and over another manifest
    let carried = Proof { trust: chain.clone(), ..genuine.clone() };
    let unsigned = Proof { signatures: Vec::new(), ..carried.clone() };
    let other = Proof { manifest: b"{}\n".to_vec(), ..carried.clone() };
    // and a chain that goes wrong behind what it brings
    let broken = Link { document: b"{}\n".to_vec(), signatures: chain[1].signatures.clone() };
    let astray = Proof { trust: [chain, vec![broken]].concat(), ..genuine.clone() };
    for (n, proof) in [carried, unsigned, other, astray].into_iter().enumerate() {
        let ship = Side::new("ship-3");
        ship.trust(&plant);
        ship.trust(&collector);
        let dir = resigned(&plant, &bundle, &[proof], n);
        // to look is to accept nothing
        assert!(
            inspect(&ship.store, std::slice::from_ref(&dir)).unwrap().remove(0).unwrap_err().is_refusal()
        );
        assert_eq!(version(&ship), 1);
        let error = refused(import_one(&ship, &dir, &Demands::new()));
        assert!(matches!(error, TransferError::Untrusted { .. }), "{n}: {error}");
        assert_eq!(version(&ship), 2, "{n}");
        let kept = ship.store.catalog().trusted(&site("hq")).unwrap();
        assert_eq!(kept[1].signatures.len(), 2, "{n}: what proves it is kept");
        // from now on the stolen key proves nothing, and the plant's bundle as it was is refused
        let error = refused(import_one(&ship, &bundle.path, &Demands::new()));
        assert!(
            matches!(error, TransferError::Untrusted { source: TrustError::Revoked { .. }, .. }),
            "{n}: {error}"
        );
    }
}

#[test]
fn what_one_proof_revokes_is_refused_in_every_other_whatever_their_order() {
    let (collector, plant, _) = three();
    let (bundle, genuine, chain, fresh) = revoked(&collector, &plant);
    let mut manifest = Manifest::parse(&genuine.manifest).unwrap();
    manifest.epoch = own_document(&collector.store).unwrap().epoch;
    manifest.trust = accepted::listed(&chain);
    let text = manifest.encode().unwrap();
    let signature = crate::trust::sshsig::sign(&fresh, chantal_bundle::Namespace::Bundle, &text).unwrap();
    let later = Proof {
        manifest: text,
        signatures: vec![signature.into_bytes()],
        approvals: Vec::new(),
        trust: chain.clone(),
    };
    let digest = |proof: &Proof| Digest::of(&proof.encode().unwrap());
    // what stands under `approvals` is for others to judge: here it moves the proof about
    let moved = |before: bool| {
        let note = |n: usize| Proof { approvals: vec![n.to_string().into_bytes()], ..later.clone() };
        (0..1_000).map(note).find(|proof| (digest(proof) < digest(&genuine)) == before).unwrap()
    };
    for (n, before) in [true, false].into_iter().enumerate() {
        let ship = Side::new("ship-3");
        ship.trust(&plant);
        ship.trust(&collector);
        let alone = resigned(&plant, &bundle, &[moved(before)], n);
        let both = resigned(&plant, &bundle, &[moved(before), genuine.clone()], n + 10);
        for told in [
            verify(&ship.store, std::slice::from_ref(&both), &Silent).unwrap().remove(0).unwrap_err(),
            refused(import_one(&ship, &both, &demands())),
        ] {
            assert!(
                matches!(told, TransferError::Untrusted { source: TrustError::Revoked { .. }, .. }),
                "{before}: {told}"
            );
        }
        assert!(ship.newest("bookworm").is_none());
        assert_eq!(version(&ship), 2);
        imported(import_one(&ship, &alone, &demands()));
    }
    // one that cannot be read keeps none of the others from being looked at
    for n in 0..2 {
        let ship = Side::new("ship-3");
        ship.trust(&plant);
        ship.trust(&collector);
        let proof = moved(n == 0);
        let dir = resigned(&plant, &bundle, &[proof, genuine.clone()], n + 20);
        fs::remove_file(dir.join(proof::path(&digest(&genuine)))).unwrap();
        assert!(import_one(&ship, &dir, &Demands::new()).is_err());
        assert_eq!(version(&ship), 2);
    }
}

#[test]
fn a_proof_is_of_its_documents_epoch() {
    let (collector, plant, ship) = three();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(plant.import(&collector.export(&["bookworm"], "last").path));
    let bundle = plant.export(&["bookworm"], "last");
    let genuine = Proof::parse(&fs::read(proof_path(&bundle)).unwrap()).unwrap();
    let mut manifest = Manifest::parse(&genuine.manifest).unwrap();
    manifest.epoch = manifest.epoch.next().unwrap();
    let text = manifest.encode().unwrap();
    let signature =
        crate::trust::sshsig::sign(&collector.key, chantal_bundle::Namespace::Bundle, &text).unwrap();
    let ahead = Proof { manifest: text, signatures: vec![signature.into_bytes()], ..genuine };
    let error = refused(import_one(&ship, &resigned(&plant, &bundle, &[ahead], 0), &demands()));
    assert!(matches!(error, TransferError::WrongEpoch { .. }), "{error}");
}

#[test]
fn more_proofs_than_a_bundle_may_carry_are_refused_and_never_left_out() {
    use chantal_contract::limits::ORIGINS;
    let (_, plant, _) = three();
    let state = plant.state("bookworm", &[("a", b"a")], 1);
    let note = |sequence: u64, count: usize| {
        let batch = plant.store.pool().batch().unwrap();
        let origins = (0..count).map(|n| batch.put(n.to_string().as_bytes()).unwrap().sha256).collect();
        batch.flush().unwrap();
        let event = Event::Imported {
            from: site("hq"),
            bundle: format!("hq.plant-7-e01-{sequence:06}"),
            epoch: 1,
            sequence,
            manifest: Digest::of(&sequence.to_le_bytes()),
            states: vec![crate::store::Carried {
                repository: name("bookworm"),
                base: None,
                state: state.clone(),
                names: Vec::new(),
            }],
            created: None,
            expected_next_by: None,
            signed: Vec::new(),
            approved: Vec::new(),
            proof: None,
            origins,
        };
        plant.store.journal().append(event, at(2)).unwrap();
    };
    note(1, ORIGINS);
    assert_eq!(plant.export(&["bookworm"], "none").manifest.origins.len(), ORIGINS);
    note(2, ORIGINS + 1);
    let error = plant.try_export(&["bookworm"], "none", VOLUME_SIZE).unwrap_err();
    assert!(matches!(error, TransferError::Export(ExportError::Unwritable(_))), "{error}");
    assert!(error.to_string().contains("4096") && error.hint().is_some(), "{error}");
}

#[test]
fn a_proof_outlives_a_rotation_and_not_a_revocation() {
    for revoked in [false, true] {
        let (collector, plant, ship) = three();
        collector.state("bookworm", &[("a", b"a")], 1);
        imported(plant.import(&collector.export(&["bookworm"], "last").path));
        let bundle = plant.export(&["bookworm"], "last");
        let fresh =
            SiteKey::generate(&collector.dir.path().join("fresh"), "fresh", &Passphrase::None).unwrap();
        let old = collector.key.fingerprint();
        let next = collector.amend(&[&collector.key, &fresh], |change| {
            change.replace(&old, fresh.public()).unwrap();
            if revoked {
                change.revoke(&old).unwrap();
            }
        });
        ship.accept(next);
        let outcome = import_one(&ship, &bundle.path, &demands());
        if revoked {
            let error = refused(outcome);
            let by = matches!(&error, TransferError::Untrusted { source: TrustError::Revoked { key, .. }, .. } if *key == old);
            assert!(by, "{error}");
        } else {
            imported(outcome);
        }
    }
}

#[test]
fn a_bundle_in_several_visits_hands_on_its_proof_as_well() {
    let (collector, plant, ship) = three();
    let blobs: Vec<Vec<u8>> = (0..5).map(|n| noise(n, 2 << 20)).collect();
    let files: Vec<(String, &[u8])> =
        blobs.iter().enumerate().map(|(n, b)| (format!("f{n}"), &b[..])).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), *b)).collect();
    collector.state("bookworm", &files, 1);
    let bundle = collector.try_export(&["bookworm"], "none", 4 << 20).unwrap().unwrap();
    let volumes: Vec<PathBuf> =
        bundle.manifest.volumes().map(|(number, _)| bundle.path.join(number.file_name())).collect();
    assert!(volumes.len() > 2);
    // the first medium has all but the last volume; the second has nothing but that
    let medium = tempfile::tempdir().unwrap();
    let lone = medium.path().join(volumes.last().unwrap().file_name().unwrap());
    fs::rename(volumes.last().unwrap(), &lone).unwrap();
    assert!(matches!(plant.import(&bundle.path), Ok(ImportOutcome::Waiting { .. })));
    imported(plant.import(&lone));
    let on = plant.export(&["bookworm"], "none");
    imported(import_one(&ship, &on.path, &demands()));
}
