use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::*;
use crate::trust::key::Passphrase;

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
    assert_eq!(verify(Namespace::Bundle, b"other", good.as_bytes()), Err(SshsigError::Bad(key.public())));
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
