use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use chantal_bundle::wire;
use chantal_contract::limits::APPLICATION_BYTES;
use ssh_key::public::Ed25519PublicKey;

use super::*;
use crate::trust::{
    Agent, KeyError,
    key::Passphrase,
    token::{self, TOUCHED, Token, VERIFIED},
};

const MESSAGE: &[u8] = b"{\n  \"chantal-bundle\": 1\n}\n";

fn ssh_keygen(args: &[&str], stdin: Option<&Path>) -> Option<(bool, String)> {
    let mut command = Command::new("ssh-keygen");
    command.args(args);
    if let Some(path) = stdin {
        command.stdin(fs::File::open(path).unwrap());
    } else {
        command.stdin(Stdio::null());
    }
    if let Ok(output) = command.output() {
        let text = [output.stdout, output.stderr].concat();
        return Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()));
    }
    assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "ssh-keygen is required");
    println!("skipped: no ssh-keygen");
    None
}

#[test]
fn agrees_with_ssh_keygen_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let key = SiteKey::generate(Path::new(&path("key")), "hq", &Passphrase::None).unwrap();
    fs::write(path("message"), MESSAGE).unwrap();
    let args = ["-Y", "sign", "-q", "-f", &path("key"), "-n", "chantal-bundle", &path("message")];
    let Some((ok, text)) = ssh_keygen(&args, None) else { return };
    assert!(ok, "{text}");
    let theirs = fs::read_to_string(path("message.sig")).unwrap();
    assert_eq!(sign(&key, Namespace::Bundle, MESSAGE).unwrap(), theirs);
    assert_eq!(verify(Namespace::Bundle, MESSAGE, theirs.as_bytes()).unwrap(), key.public());

    fs::write(path("ours.sig"), sign(&key, Namespace::Approval, MESSAGE).unwrap()).unwrap();
    fs::write(path("allowed"), format!("hq {}\n", key.public_line())).unwrap();
    let check = |namespace: &str| {
        let args =
            ["-Y", "verify", "-f", &path("allowed"), "-I", "hq", "-n", namespace, "-s", &path("ours.sig")];
        ssh_keygen(&args, Some(Path::new(&path("message")))).unwrap()
    };
    let (ok, text) = check("chantal-approval");
    assert!(ok && text.contains(&key.public().fingerprint().to_string()), "{text}");
    assert!(!check("chantal-bundle").0);
}

#[test]
fn what_was_not_signed_for_this_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key = SiteKey::generate(&dir.path().join("key"), "hq", &Passphrase::None).unwrap();
    let good = sign(&key, Namespace::Bundle, MESSAGE).unwrap();
    assert_eq!(
        verify(Namespace::Bundle, b"other", good.as_bytes()),
        Err(SshsigError::Bad(key.fingerprint()))
    );
    assert!(matches!(
        verify(Namespace::Trust, MESSAGE, good.as_bytes()),
        Err(SshsigError::Namespace { expected: Namespace::Trust, .. })
    ));
    for bad in [
        format!("{good}\n"),
        format!("{good}x"),
        format!("x\n{good}"),
        format!("{good}{good}"),
        good.replace('\n', "\r\n"),
        good.trim_end().to_owned(),
        good.replacen('\n', "\n\n", 1),
        String::new(),
    ] {
        assert_eq!(verify(Namespace::Bundle, MESSAGE, bad.as_bytes()), Err(SshsigError::Malformed), "{bad}");
    }
    let long = [good.as_bytes(), &[b'\n'; SSHSIG_BYTES]].concat();
    assert!(matches!(verify(Namespace::Bundle, MESSAGE, &long), Err(SshsigError::TooLong { .. })));
    // Every single flipped bit is noticed.
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut flipped = good.clone().into_bytes();
            flipped[at] ^= 1 << bit;
            assert!(verify(Namespace::Bundle, MESSAGE, &flipped).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn other_hashes_keys_and_a_used_reserved_field_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let key = SiteKey::generate(Path::new(&path("key")), "hq", &Passphrase::None).unwrap();
    let sha256 = key.private().sign("chantal-bundle", HashAlg::Sha256, MESSAGE).unwrap();
    let sha256 = sha256.to_pem(LineEnding::LF).unwrap();
    assert_eq!(verify(Namespace::Bundle, MESSAGE, sha256.as_bytes()), Err(SshsigError::Algorithm));

    // The reserved field is the empty string behind the namespace; give it one byte and sign just that.
    let with_reserved = |data: &[u8], namespace: &[u8]| {
        let at = data.windows(namespace.len()).position(|w| w == namespace).unwrap() + namespace.len();
        [&data[..at], &[0, 0, 0, 1, b'r'], &data[at + 4..]].concat()
    };
    let signed = SshSig::signed_data("chantal-bundle", HashAlg::Sha512, MESSAGE).unwrap();
    let signed = with_reserved(&signed, b"chantal-bundle");
    use ed25519_dalek::Signer as _;
    let pair = key.private().key_data().ed25519().unwrap();
    let raw = ed25519_dalek::SigningKey::try_from(pair).unwrap().sign(&signed);
    let raw = ssh_key::Signature::new(ssh_key::Algorithm::Ed25519, raw.to_bytes().to_vec()).unwrap();
    let public = key.private().public_key().key_data().clone();
    let plain = SshSig::new(public, "chantal-bundle", HashAlg::Sha512, raw).unwrap();
    let blob = decode(&plain.to_pem(LineEnding::LF).unwrap());
    let blob = with_reserved(&blob, b"chantal-bundle");
    let forged = armour(&blob);
    assert_eq!(verify(Namespace::Bundle, MESSAGE, forged.as_bytes()), Err(SshsigError::Reserved));

    let args = ["-q", "-t", "ecdsa", "-N", "", "-f", &path("ecdsa")];
    let Some((true, _)) = ssh_keygen(&args, None) else { return };
    fs::write(path("message"), MESSAGE).unwrap();
    let args = ["-Y", "sign", "-q", "-f", &path("ecdsa"), "-n", "chantal-bundle", &path("message")];
    assert!(ssh_keygen(&args, None).unwrap().0);
    let theirs = fs::read(path("message.sig")).unwrap();
    let refused = verify(Namespace::Bundle, MESSAGE, &theirs);
    assert!(matches!(refused, Err(SshsigError::Algorithm | SshsigError::Malformed)), "{refused:?}");
}

const ALL: [Namespace; 4] = [Namespace::Bundle, Namespace::Approval, Namespace::Trust, Namespace::Receipt];

#[test]
fn a_token_signs_and_ssh_keygen_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let there = std::iter::repeat_n("x", APPLICATION_BYTES - 4).collect::<String>();
    for application in ["ssh:", "ssh:chantal", &format!("ssh:{there}")] {
        let token = Token::new("officer", application);
        let agent = token::Agent::start(Path::new(&path(&application.len().to_string())), &[&token]);
        fs::write(path("key.pub"), token.line() + "\n").unwrap();
        let agent = Ok(Agent::at(&agent.socket));
        let key = SiteKey::load_with(Path::new(&path("key.pub")), &Passphrase::None, agent).unwrap();
        fs::write(path("message"), MESSAGE).unwrap();
        fs::write(path("allowed"), format!("officer {}\n", token.line())).unwrap();
        for namespace in ALL {
            let first = sign(&key, namespace, MESSAGE).unwrap();
            assert_eq!(verify(namespace, MESSAGE, first.as_bytes()), Ok(key.public()));
            assert_ne!(sign(&key, namespace, MESSAGE).unwrap(), first, "the counter goes on");
            fs::write(path("sig"), first).unwrap();
            let name = namespace.name();
            let args =
                ["-Y", "verify", "-f", &path("allowed"), "-I", "officer", "-n", name, "-s", &path("sig")];
            let Some((ok, text)) = ssh_keygen(&args, Some(Path::new(&path("message")))) else { return };
            assert!(ok && text.contains(&key.fingerprint().to_string()), "{text}");
            assert!(!ssh_keygen(&args, Some(Path::new(&path("allowed")))).unwrap().0);
        }
        let (ok, text) = ssh_keygen(&["-l", "-f", &path("key.pub")], None).unwrap();
        assert!(ok && text.contains(&key.fingerprint().to_string()) && text.contains("ED25519-SK"), "{text}");
    }
}

/// What a real ssh-keygen signed; a second implementation can hold itself against the same files.
#[test]
fn the_vectors_of_the_specification_are_read_as_it_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bundle-v1/token");
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    let line = String::from_utf8(read("officer.pub")).unwrap();
    let (officer, _) = PublicKey::parse_line(&line).unwrap();
    for (name, expected) in [
        ("touched.sig", Ok(officer)),
        ("verified.sig", Ok(officer)),
        ("untouched.sig", Err(SshsigError::Untouched(officer.fingerprint()))),
        ("other-flags.sig", Err(SshsigError::Flags { key: officer.fingerprint(), flags: 0x09 })),
    ] {
        assert_eq!(verify(Namespace::Approval, &read("message"), &read(name)), expected, "{name}");
    }
}

#[test]
fn a_token_that_nobody_touched_signs_nothing_that_counts() {
    let token = Token::new("officer", "ssh:");
    let by: PublicKey = PublicKey::parse_line(&token.line()).unwrap().0;
    let said = |flags: u8| {
        token.say(flags);
        verify(Namespace::Bundle, MESSAGE, token.sshsig("chantal-bundle", MESSAGE).as_bytes())
    };
    for flags in 0..=u8::MAX {
        let expected = match flags {
            TOUCHED | VERIFIED => Ok(by),
            _ if flags & TOUCHED == 0 => Err(SshsigError::Untouched(by.fingerprint())),
            _ => Err(SshsigError::Flags { key: by.fingerprint(), flags }),
        };
        assert_eq!(said(flags), expected, "{flags:#04x}");
    }
    // and it is told when the signature is made, before a bundle goes out with it
    let dir = tempfile::tempdir().unwrap();
    let agent = token::Agent::start(&dir.path().join("agent"), &[&token]);
    let line = dir.path().join("key.pub");
    fs::write(&line, token.line()).unwrap();
    let key = SiteKey::load_with(&line, &Passphrase::None, Ok(Agent::at(&agent.socket))).unwrap();
    for (flags, untouched) in [(0, true), (0x04, true), (0x09, false)] {
        token.say(flags);
        let error = sign(&key, Namespace::Bundle, MESSAGE).unwrap_err();
        let told = matches!(&error, KeyError::Unfit { source: SshsigError::Untouched(_), .. });
        assert!(told == untouched && error.hint().is_some(), "{error}");
    }
}

#[test]
fn what_a_token_says_and_for_what_is_part_of_what_it_signs() {
    let token = Token::new("officer", "ssh:");
    let by: PublicKey = PublicKey::parse_line(&token.line()).unwrap().0;
    let check = |armoured: &str| verify(Namespace::Bundle, MESSAGE, armoured.as_bytes());
    let data = SshSig::signed_data("chantal-bundle", HashAlg::Sha512, MESSAGE).unwrap();
    let good = token.sign(&data);
    assert_eq!(check(&token.armour("chantal-bundle", good.clone())), Ok(by));
    // signature, flags and counter, bit by bit
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut altered = good.clone();
            altered[at] ^= 1 << bit;
            let told = check(&token.armour("chantal-bundle", altered));
            assert_eq!(told, Err(SshsigError::Bad(by.fingerprint())), "byte {at} bit {bit}");
        }
    }
    // the same key for another application, and the other way about
    let other = Token::new("officer", "ssh:other");
    let their = PublicKey::parse_line(&other.line()).unwrap().0;
    assert_eq!(
        check(&token.armour("chantal-bundle", other.sign(&data))),
        Err(SshsigError::Bad(by.fingerprint()))
    );
    assert_eq!(
        check(&other.armour("chantal-bundle", good.clone())),
        Err(SshsigError::Bad(their.fingerprint()))
    );
    // one of a web site is no key at all
    let web = Token::new("officer", "https://example.org");
    assert_eq!(check(&web.sshsig("chantal-bundle", MESSAGE)), Err(SshsigError::Algorithm));
    assert_eq!(check(&token.sshsig("file", MESSAGE)), check_namespace("file"));
    let armoured = token.sshsig("chantal-bundle", MESSAGE);
    assert_eq!(
        verify(Namespace::Bundle, b"other", armoured.as_bytes()),
        Err(SshsigError::Bad(by.fingerprint()))
    );
    // nothing stands behind the counter
    let mut longer = decode(&armoured);
    let length = longer.len() - 107;
    assert_eq!(longer[length..length + 4], [0, 0, 0, 103]);
    assert_eq!(armour(&longer), armoured);
    longer[length + 3] += 1;
    longer.push(0);
    assert_eq!(check(&armour(&longer)), Err(SshsigError::Malformed));
    for at in 0..armoured.len() {
        let mut flipped = armoured.clone().into_bytes();
        flipped[at] ^= 1;
        assert!(verify(Namespace::Bundle, MESSAGE, &flipped).is_err(), "byte {at}");
    }
}

fn check_namespace(found: &str) -> Result<PublicKey, SshsigError> {
    Err(SshsigError::Namespace { expected: Namespace::Bundle, found: found.into() })
}

#[test]
fn a_key_in_a_file_and_one_on_a_token_do_not_sign_for_each_other() {
    use ed25519_dalek::Signer as _;
    let token = Token::new("officer", "ssh:");
    let copied = token.copied();
    let (on_token, _) = PublicKey::parse_line(&token.line()).unwrap();
    let in_file = PublicKey::from_bytes(copied.verifying_key().to_bytes());
    let data = SshSig::signed_data("chantal-bundle", HashAlg::Sha512, MESSAGE).unwrap();
    let plain = copied.sign(&data).to_bytes();
    let sealed = token.sign(&data);
    let armoured = |key: &PublicKey, algorithm: Algorithm, raw: &[u8]| {
        let key = ssh_key::PublicKey::from_bytes(&key.to_wire()).unwrap().key_data().clone();
        let signature = Signature::new(algorithm, raw.to_vec()).unwrap();
        let whole = SshSig::new(key, "chantal-bundle", HashAlg::Sha512, signature).unwrap();
        whole.to_pem(LineEnding::LF).unwrap()
    };
    let along = [&plain[..], &[TOUCHED, 0, 0, 0, 1]].concat();
    for (key, algorithm, raw, told) in [
        (on_token, Algorithm::SkEd25519, &sealed[..], Ok(on_token)),
        (in_file, Algorithm::Ed25519, &plain[..], Ok(in_file)),
        // a signature of the other kind, called what it is
        (on_token, Algorithm::Ed25519, &plain[..], Err(SshsigError::Algorithm)),
        (in_file, Algorithm::SkEd25519, &sealed[..], Err(SshsigError::Algorithm)),
        // and called what it is not
        (on_token, Algorithm::SkEd25519, &along[..], Err(SshsigError::Bad(on_token.fingerprint()))),
        (in_file, Algorithm::Ed25519, &sealed[..64], Err(SshsigError::Bad(in_file.fingerprint()))),
    ] {
        let found = verify(Namespace::Bundle, MESSAGE, armoured(&key, algorithm.clone(), raw).as_bytes());
        assert_eq!(found, told, "{key:?} {algorithm}");
    }
}

#[test]
fn an_ecdsa_key_on_a_token_is_refused() {
    let mut key = Vec::new();
    let kind = b"sk-ecdsa-sha2-nistp256@openssh.com".as_slice();
    let point = [&[4][..], &[7; 64]].concat();
    let put = |out: &mut Vec<u8>, parts: &[&[u8]]| {
        for part in parts {
            wire::put(out, part);
        }
    };
    put(&mut key, &[kind, b"nistp256", &point, b"ssh:"]);
    assert_eq!(PublicKey::from_wire(&key), None);
    let (mut numbers, mut signature) = (Vec::new(), Vec::new());
    put(&mut numbers, &[&[7; 32], &[9; 32]]);
    put(&mut signature, &[kind, &numbers]);
    signature.extend([TOUCHED, 0, 0, 0, 1]);
    let mut blob = b"SSHSIG\0\0\0\x01".to_vec();
    put(&mut blob, &[&key, b"chantal-bundle", b"", b"sha512", &signature]);
    let told = verify(Namespace::Bundle, MESSAGE, armour(&blob).as_bytes());
    assert!(matches!(told, Err(SshsigError::Algorithm | SshsigError::Malformed)), "{told:?}");
}

#[test]
fn a_key_of_small_order_signs_nothing() {
    // the neutral point: without strictness, this signature fits any message
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let raw = [neutral, [0; 32]].concat();
    let plain = KeyData::from(Ed25519PublicKey(neutral));
    let token = KeyData::from(ssh_key::public::SkEd25519::new(Ed25519PublicKey(neutral), "ssh:"));
    let said = [&raw[..], &[TOUCHED, 0, 0, 0, 1]].concat();
    for (key, kind, raw) in [(plain, Algorithm::Ed25519, raw), (token, Algorithm::SkEd25519, said)] {
        let by = public_key(&key).unwrap();
        let signature = Signature::new(kind, raw).unwrap();
        let whole = SshSig::new(key, "chantal-bundle", HashAlg::Sha512, signature).unwrap();
        let armoured = whole.to_pem(LineEnding::LF).unwrap();
        let told = verify(Namespace::Bundle, MESSAGE, armoured.as_bytes());
        assert_eq!(told, Err(SshsigError::Bad(by.fingerprint())));
    }
}

fn decode(pem: &str) -> Vec<u8> {
    let digits: String = pem.lines().filter(|l| !l.starts_with('-')).collect();
    crate::trust::openpgp::armour::decode(digits.as_bytes()).unwrap()
}

/// Writes a blob as ssh-keygen does, in lines of 70.
fn armour(blob: &[u8]) -> String {
    let block = crate::trust::openpgp::armour::write(blob, "SSH SIGNATURE");
    let digits: String = block.lines().filter(|l| !l.starts_with(['-', '='])).collect();
    let lines: Vec<&str> =
        digits.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}
