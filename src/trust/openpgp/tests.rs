//! What gpg makes is what is judged here, and gpgv judges beside it.

mod gpg;
mod made;

use std::{fs, path::Path};

use chantal_contract::{
    limits::{KEYRING_BYTES, OPENPGP_SIGNATURES, SIGNATURE_BYTES},
    proof::{Fingerprint, Policy, Verifier, VerifyError},
};
use jiff::Timestamp;

use super::{Keyring, KeyringError, Proof};
use gpg::Gpg;
use made::made;

const TEXT: &str = "Origin: Example\nSuite: stable\n-dash \t\n\n last\n";
/// 2025-01-01: when keys of these tests are made unless a test says otherwise.
const EPOCH: i64 = 1_735_689_600;
const DAY: i64 = 86_400;

fn proof(keyring: Keyring) -> Proof {
    let now = Timestamp::from_second(EPOCH + 400 * DAY).unwrap();
    Proof::new(keyring, Policy::Require, Policy::Require, now)
}

fn print(text: &str) -> Fingerprint {
    Fingerprint(text.to_owned())
}

#[test]
fn every_algorithm_that_gpg_makes_is_verified() {
    let Some(gpg) = Gpg::start() else { return };
    for (name, algorithm) in
        [("a", "rsa2048"), ("b", "ed25519"), ("c", "nistp256"), ("d", "nistp384"), ("e", "dsa2048")]
    {
        let key = gpg.key(name, algorithm, "sign", "never");
        let signed = gpg.sign(&[name], &[]);
        let proof = proof(gpg.export(name));
        let good = proof.cleartext(&signed).unwrap_or_else(|e| panic!("{algorithm}: {e}"));
        assert_eq!(good.by, [print(&key)]);
        assert_eq!(good.text, b"Origin: Example\nSuite: stable\n-dash\n\n last");
        for extra in [&["-b"][..], &["-b", "--armor"], &["-b", "--textmode"]] {
            let detached = gpg.sign(&[name], extra);
            assert_eq!(proof.detached(TEXT.as_bytes(), &detached).unwrap(), [print(&key)]);
            let tampered = TEXT.replace("stable", "stabler");
            assert_eq!(proof.detached(tampered.as_bytes(), &detached), Err(VerifyError::Bad(print(&key))));
            let mut file = std::io::Cursor::new(format!("before{TEXT}"));
            assert_eq!(proof.detached_from(&mut file, 6, &detached).unwrap(), [print(&key)]);
            assert_eq!(proof.detached_from(&mut file, 5, &detached), Err(VerifyError::Bad(print(&key))));
        }
        assert!(gpg.gpgv_says_good(&proof.keyring, &signed));
    }
}

#[test]
fn a_wrong_key_and_no_key_prove_nothing() {
    let Some(gpg) = Gpg::start() else { return };
    let key = gpg.key("a", "ed25519", "sign", "never");
    gpg.key("b", "ed25519", "sign", "never");
    let signed = gpg.sign(&["a"], &[]);
    let unknown = Err(VerifyError::UnknownKey(vec![key]));
    assert_eq!(proof(gpg.export("b")).cleartext(&signed).map(|s| s.by), unknown);
    assert_eq!(proof(Keyring::default()).cleartext(&signed).map(|s| s.by), Err(VerifyError::NoKeys));
    let proof = proof(gpg.export("a"));
    assert_eq!(proof.cleartext(TEXT.as_bytes()).map(|s| s.by), Err(VerifyError::Unsigned));
    assert_eq!(proof.detached(TEXT.as_bytes(), b""), Err(VerifyError::Unsigned));
    assert!(matches!(proof.detached(TEXT.as_bytes(), b"hello"), Err(VerifyError::Malformed(_))));
}

#[test]
fn tampered_and_injected_text_is_refused() {
    let Some(gpg) = Gpg::start() else { return };
    let key = gpg.key("a", "ed25519", "sign", "never");
    let signed = String::from_utf8(gpg.sign(&["a"], &[])).unwrap();
    let proof = proof(gpg.export("a"));
    for bad in [
        signed.replace("stable", "stabler"),
        signed.replace(" last", "last"),
        signed.replace("\n last", " last"),
    ] {
        assert_ne!(bad, signed);
        assert_eq!(proof.cleartext(bad.as_bytes()).map(|s| s.by), Err(VerifyError::Bad(print(&key))));
    }
    let same = signed.replace("stable\n", "stable  \t\n");
    assert_eq!(
        proof.cleartext(same.as_bytes()).unwrap().text,
        proof.cleartext(signed.as_bytes()).unwrap().text
    );
    for injected in [
        format!("Evil: yes\n{signed}"),
        format!("{signed}Evil: yes\n"),
        signed.replace("\n\nOrigin", "\nEvil: yes\n\nOrigin"),
        signed.replace("Suite: stable\n", "Suite: stable\r\n"),
    ] {
        assert_ne!(injected, signed);
        let refused = proof.cleartext(injected.as_bytes()).unwrap_err();
        assert!(matches!(refused, VerifyError::Malformed(_) | VerifyError::Unsigned), "{refused}");
    }
}

#[test]
fn of_several_signatures_one_good_one_suffices_and_a_bad_one_spoils() {
    let Some(gpg) = Gpg::start() else { return };
    let key_a = gpg.key("a", "ed25519", "sign", "never");
    let key_b = gpg.key("b", "rsa2048", "sign", "never");
    gpg.key("c", "nistp256", "sign", "never");
    let signed = gpg.sign(&["a", "b", "c"], &[]);
    assert_eq!(proof(gpg.export("b")).cleartext(&signed).unwrap().by, [print(&key_b)]);
    let mut both = vec![print(&key_a), print(&key_b)];
    both.sort();
    let mut keyring = gpg.export("b");
    keyring.add(Path::new("a"), &gpg.run(&["--export", "a"])).unwrap();
    let proof = proof(keyring);
    assert_eq!(proof.cleartext(&signed).unwrap().by, both);
    // A signature of `a` over other bytes beside a good one of `b`.
    let mut block = gpg.sign(&["b"], &["-b"]);
    assert_eq!(proof.detached(TEXT.as_bytes(), &block).unwrap(), [print(&key_b)]);
    fs::write(gpg.path("other"), "other").unwrap();
    let (other, out) = (gpg.path("other"), gpg.path("other.sig"));
    gpg.run(&["-b", "-u", "a", "-o", out.to_str().unwrap(), other.to_str().unwrap()]);
    block.extend(fs::read(out).unwrap());
    assert_eq!(proof.detached(TEXT.as_bytes(), &block), Err(VerifyError::Bad(print(&key_a))));
}

#[test]
fn weak_hashes_and_short_keys_are_refused() {
    let Some(gpg) = Gpg::start() else { return };
    let key = gpg.key("a", "rsa2048", "sign", "never");
    let weak = gpg.sign(&["a"], &["--digest-algo", "SHA1"]);
    let refused = proof(gpg.export("a")).cleartext(&weak).map(|s| s.by);
    assert_eq!(refused, Err(VerifyError::Weak { by: print(&key), what: "SHA-1".into() }));
    let short = gpg.key("b", "rsa1024", "sign", "never");
    let refused = proof(gpg.export("b")).cleartext(&gpg.sign(&["b"], &[])).map(|s| s.by);
    assert_eq!(refused, Err(VerifyError::Weak { by: print(&short), what: "a 1024-bit RSA key".into() }));
}

#[test]
fn a_key_is_judged_when_it_signed() {
    let Some(mut gpg) = Gpg::start() else { return };
    let key = gpg.key("a", "ed25519", "sign", "10d");
    let signed = gpg.sign(&["a"], &[]);
    let keyring = gpg.export("a");
    let info = keyring.certificates(Timestamp::from_second(EPOCH + 20 * DAY).unwrap());
    assert_eq!(info[0].expires, Some(Timestamp::from_second(EPOCH + 10 * DAY).unwrap()));
    assert_eq!((info[0].users.as_slice(), info[0].revoked), (&["a".to_owned()][..], false));
    // Long expired by now, and good when it signed.
    let proof = self::proof(keyring);
    assert_eq!(proof.cleartext(&signed).unwrap().by, [print(&key)]);
    assert_eq!(proof.expired_since(), [print(&key)], "nobody was told");
    let mut in_time = self::proof(gpg.export("a"));
    in_time.now = Timestamp::from_second(EPOCH + 9 * DAY).unwrap();
    assert_eq!(in_time.cleartext(&signed).unwrap().by, [print(&key)]);
    assert!(in_time.expired_since().is_empty());
    // Made to sign after its end: gpg extends it for itself, the keyring knows the old end only.
    let old = gpg.export("a");
    gpg.at += 9 * DAY;
    gpg.run(&["--quick-set-expire", &key, "90d"]);
    gpg.at += 11 * DAY;
    let late = gpg.sign(&["a"], &[]);
    assert_eq!(self::proof(old).cleartext(&late).map(|s| s.by), Err(VerifyError::ExpiredKey(print(&key))));
    let extended = gpg.export("a");
    assert_eq!(self::proof(extended).cleartext(&late).unwrap().by, [print(&key)]);
    // Only the newest self-signature is left: it speaks for what was signed before it, too.
    let minimal = Keyring::from_bytes(
        Path::new("minimal"),
        &gpg.run(&["--export-options", "export-minimal", "--export", "a"]),
    );
    assert_eq!(self::proof(minimal.unwrap()).cleartext(&signed).unwrap().by, [print(&key)]);
}

#[test]
fn a_signature_may_expire() {
    let Some(gpg) = Gpg::start() else { return };
    let key = gpg.key("a", "ed25519", "sign", "never");
    let signed = gpg.sign(&["a"], &["--default-sig-expire", "5d"]);
    let mut proof = proof(gpg.export("a"));
    let refused = proof.cleartext(&signed).map(|s| s.by);
    assert_eq!(refused, Err(VerifyError::ExpiredSignature(print(&key))));
    proof.now = Timestamp::from_second(EPOCH + 4 * DAY).unwrap();
    assert_eq!(proof.cleartext(&signed).unwrap().by, [print(&key)]);
}

#[test]
fn subkeys_sign_for_their_certificate() {
    let Some(mut gpg) = Gpg::start() else { return };
    let key = gpg.key("a", "ed25519", "cert", "never");
    gpg.run(&["--quick-add-key", &key, "ed25519", "sign", "10d"]);
    let subkey = gpg.key_of_subkey(&key);
    let signed = gpg.sign(&["a"], &[]);
    let old = gpg.export("a");
    assert_eq!(proof(gpg.export("a")).cleartext(&signed).unwrap().by, [print(&key)]);
    assert_eq!(old.fingerprints(), [print(&key)]);
    gpg.at += 9 * DAY;
    gpg.run(&["--quick-set-expire", &key, "90d", "*"]);
    gpg.at += 11 * DAY;
    let late = gpg.sign(&["a"], &[]);
    assert_eq!(proof(old).cleartext(&late).map(|s| s.by), Err(VerifyError::ExpiredKey(print(&subkey))));
    assert_eq!(proof(gpg.export("a")).cleartext(&late).unwrap().by, [print(&key)]);
}

#[test]
fn a_subkey_of_another_certificate_is_not_believed() {
    let Some(gpg) = Gpg::start() else { return };
    let key = gpg.key("a", "ed25519", "cert", "never");
    gpg.run(&["--quick-add-key", &key, "ed25519", "sign", "never"]);
    let signed = gpg.sign(&["a"], &[]);
    gpg.key("b", "ed25519", "sign", "never");
    // Certificate `b` with the subkey of `a` and the binding that `a` made for it behind it.
    let a = gpg.run(&["--export", "a"]);
    let mut forged = gpg.run(&["--export", "b"]);
    let subkey: Vec<_> = super::packets::split(&a).map(|p| p.unwrap().bytes.to_vec()).skip(3).collect();
    assert_eq!(subkey.len(), 2);
    forged.extend(subkey.concat());
    let keyring = Keyring::from_bytes(Path::new("forged"), &forged).unwrap();
    let refused = proof(keyring).cleartext(&signed).map(|s| s.by);
    assert!(matches!(refused, Err(VerifyError::NotForSigning(_))), "{refused:?}");
}

#[test]
fn a_revoked_subkey_signs_no_more() {
    let Some(mut gpg) = Gpg::start() else { return };
    for (name, reason, hard) in [("a", "1", true), ("b", "3", false)] {
        let key = gpg.key(name, "ed25519", "cert", "never");
        gpg.run(&["--quick-add-key", &key, "ed25519", "sign", "never"]);
        let subkey = gpg.key_of_subkey(&key);
        let before = gpg.sign(&[name], &[]);
        gpg.at += 5 * DAY;
        let after = gpg.sign(&[name], &[]);
        assert!(proof(gpg.export(name)).cleartext(&after).is_ok());
        gpg.at -= DAY;
        assert!(gpg.talk(&["--edit-key", &key], &format!("key 1\nrevkey\ny\n{reason}\n\ny\nsave\n")));
        let proof = proof(gpg.export(name));
        let revoked = Err(VerifyError::Revoked(print(&subkey)));
        assert_eq!(proof.cleartext(&after).map(|s| s.by), revoked, "reason {reason}");
        let judged = proof.cleartext(&before).map(|s| s.by);
        assert_eq!(judged, if hard { revoked } else { Ok(vec![print(&key)]) }, "reason {reason}");
    }
}

#[test]
fn sizes_keep_their_limits() {
    let (proof, ..) = made(pgp::composed::KeyType::Ed25519Legacy, pgp::types::KeyVersion::V4, true);
    for more in [0, 1] {
        let signature = vec![0x88; usize::try_from(SIGNATURE_BYTES).unwrap() + more];
        let judged = proof.detached(TEXT.as_bytes(), &signature).unwrap_err();
        assert_eq!(judged == VerifyError::Malformed("it is too large".into()), more == 1, "{judged}");
        let keys = vec![0x88; usize::try_from(KEYRING_BYTES).unwrap() + more];
        let refused = Keyring::from_bytes(Path::new("keys"), &keys).err().expect("no key begins so");
        assert_eq!(matches!(refused, KeyringError::TooLarge { .. }), more == 1, "{refused}");
    }
}

#[test]
fn hostile_packets_never_panic() {
    let (proof, signature, _) = made(pgp::composed::KeyType::Ed25519Legacy, pgp::types::KeyVersion::V4, true);
    let public = proof.keyring.binary();
    for at in 0..signature.len() {
        for bit in [1, 4, 16, 128] {
            let mut flipped = signature.clone();
            flipped[at] ^= bit;
            // Only what is not hashed may change: the hints to the issuer and how lengths are written.
            let _ = proof.detached(TEXT.as_bytes(), &flipped);
            let _ = proof.detached(TEXT.as_bytes(), &flipped[..at]);
        }
    }
    for at in 0..public.len() {
        let mut flipped = public.clone();
        flipped[at] ^= 0x55;
        if let Ok(keyring) = Keyring::from_bytes(Path::new("flipped"), &flipped) {
            let _ = self::proof(keyring).detached(TEXT.as_bytes(), &signature);
        }
        assert!(Keyring::from_bytes(Path::new("cut"), &public[..at]).is_err() || at > 40);
    }
    let many = signature.repeat(OPENPGP_SIGNATURES);
    assert!(proof.detached(TEXT.as_bytes(), &many).is_ok());
    let more = signature.repeat(OPENPGP_SIGNATURES + 1);
    assert!(matches!(proof.detached(TEXT.as_bytes(), &more), Err(VerifyError::Malformed(_))));
}

#[test]
fn a_hard_revocation_reaches_back_and_a_soft_one_does_not() {
    let Some(mut gpg) = Gpg::start() else { return };
    for (name, reason, hard) in [("a", "0", true), ("b", "1", true), ("c", "2", false), ("d", "3", false)] {
        let key = gpg.key(name, "ed25519", "sign", "never");
        let before = gpg.sign(&[name], &[]);
        let fresh = gpg.export(name);
        gpg.at += 5 * DAY;
        let revocation = gpg.revocation(&key, reason);
        gpg.at += DAY;
        let after = gpg.sign(&[name], &[]);
        assert!(proof(fresh).cleartext(&after).is_ok());
        gpg.run(&["--import", revocation.to_str().unwrap()]);
        let proof = proof(gpg.export(name));
        assert!(proof.keyring.certificates(proof.now)[0].revoked);
        let revoked = Err(VerifyError::Revoked(print(&key)));
        assert_eq!(proof.cleartext(&after).map(|s| s.by), revoked, "reason {reason}");
        let judged = proof.cleartext(&before).map(|s| s.by);
        assert_eq!(judged, if hard { revoked } else { Ok(vec![print(&key)]) }, "reason {reason}");
    }
}

#[test]
fn a_designated_revoker_revokes() {
    let Some(mut gpg) = Gpg::start() else { return };
    let key = gpg.key("a", "rsa2048", "sign", "never");
    gpg.key("b", "rsa2048", "sign", "never");
    let signed = gpg.sign(&["a"], &[]);
    gpg.at += DAY;
    assert!(gpg.talk(&["--edit-key", "a"], "addrevoker\nb\ny\nsave\n"));
    let mut both = gpg.export("a");
    both.add(Path::new("b"), &gpg.run(&["--export", "b"])).unwrap();
    assert_eq!(proof(both).cleartext(&signed).unwrap().by, [print(&key)]);
    gpg.at += DAY;
    let path = gpg.path("designated.asc");
    assert!(gpg.talk(&["--output", path.to_str().unwrap(), "--desig-revoke", "a"], "y\ny\n1\n\ny\n"));
    gpg.run(&["--import", path.to_str().unwrap()]);
    let alone = gpg.export("a");
    let mut both = gpg.export("a");
    both.add(Path::new("b"), &gpg.run(&["--export", "b"])).unwrap();
    // Without the revoker's key nobody can tell whether it was the revoker.
    assert_eq!(proof(alone).cleartext(&signed).unwrap().by, [print(&key)]);
    assert_eq!(proof(both).cleartext(&signed).map(|s| s.by), Err(VerifyError::Revoked(print(&key))));
}

#[test]
fn keyrings_come_in_every_form() {
    let Some(gpg) = Gpg::start() else { return };
    let keys: Vec<String> = ["a", "b", "c"].map(|n| gpg.key(n, "ed25519", "sign", "never")).into();
    let mut expected: Vec<Fingerprint> = keys.iter().map(|k| print(k)).collect();
    expected.sort();
    let armoured = |n: &str| gpg.run(&["--armor", "--export", n]);
    let concatenated = [armoured("a"), b"some comment\n".to_vec(), armoured("b"), armoured("c")].concat();
    let windows = String::from_utf8(concatenated.clone()).unwrap().replace('\n', "\r\n");
    let binary = gpg.run(&["--export"]);
    let one_block = gpg.run(&["--armor", "--export"]);
    for bytes in [&concatenated, &windows.into_bytes(), &binary, &one_block] {
        let keyring = Keyring::from_bytes(Path::new("k"), bytes).unwrap();
        assert_eq!(keyring.fingerprints(), expected);
        // What is written is what gpg reads, and the same whatever was read.
        let written = keyring.armored();
        let again = Keyring::from_bytes(Path::new("k"), written.as_bytes()).unwrap();
        assert_eq!(again.armored(), written);
        fs::write(gpg.path("written.asc"), &written).unwrap();
        let shown = gpg.run(&["--show-keys", "--with-colons", gpg.path("written.asc").to_str().unwrap()]);
        let shown = String::from_utf8(shown).unwrap();
        assert!(expected.iter().all(|f| shown.contains(&f.0)), "{shown}");
    }
    fs::write(gpg.path("one.gpg"), &binary).unwrap();
    let loaded = Keyring::load(&[gpg.path("one.gpg"), gpg.path("one.gpg")]).unwrap();
    assert_eq!(loaded.certificates(Timestamp::UNIX_EPOCH).len(), 3);
    let secret = gpg.run(&["--export-secret-keys", "a"]);
    for (bytes, word) in [
        (secret.as_slice(), "secret key"),
        (&gpg.run(&["--armor", "--export-secret-keys", "a"]), "private key"),
        (b"hello\n", "neither packets nor"),
        (b"", "empty"),
        (&fs::read(gpg.path("pubring.kbx")).unwrap(), "key box"),
        (binary.split_at(binary.len() - 3).0, "cut off"),
    ] {
        let error = Keyring::from_bytes(Path::new("bad.asc"), bytes).err().unwrap().to_string();
        assert!(error.contains(word) && error.contains("`bad.asc`"), "{error}");
    }
}

#[test]
fn line_ends_are_canonical_wherever_they_fall() {
    let Some(gpg) = Gpg::start() else { return };
    gpg.key("a", "ed25519", "sign", "never");
    let proof = proof(gpg.export("a"));
    // `pgp` normalises in chunks of 512 bytes: line ends before, on and behind each border.
    for lead in 505..520 {
        let text = format!("{}\n{}\n\nend\n", "x".repeat(lead), "y ".repeat(600));
        fs::write(gpg.path("long"), &text).unwrap();
        let (long, out) = (gpg.path("long"), gpg.path("long.asc"));
        gpg.run(&["--clear-sign", "-u", "a", "-o", out.to_str().unwrap(), long.to_str().unwrap()]);
        assert!(proof.cleartext(&fs::read(&out).unwrap()).is_ok(), "{lead}");
    }
}

#[test]
fn the_distributions_own_keyring_is_read() {
    let path = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    if !path.exists() {
        println!("skipped: no {}", path.display());
        return;
    }
    let keyring = Keyring::load(&[path.to_path_buf()]).unwrap();
    let infos = keyring.certificates(Timestamp::from_second(EPOCH).unwrap());
    assert!(infos.len() >= 3);
    assert!(infos.iter().all(|i| !i.users.is_empty() && !i.revoked), "{infos:?}");
    let again = Keyring::from_bytes(Path::new("again"), keyring.armored().as_bytes()).unwrap();
    assert_eq!(again.binary(), keyring.binary());
}
