use chantal_contract::Digest;

use super::*;
use crate::{
    file::tag,
    tests::{
        Keyring, Unsigned,
        package::{Value, main_header, package},
    },
};

const PAYLOAD: &[u8] = b"what is to be installed";

fn judge(bytes: &[u8], proof: &dyn Verifier) -> Result<Vec<Fingerprint>, FormatError> {
    vet(&RepoPath::new("p/sample.rpm").unwrap(), &mut std::io::Cursor::new(bytes), proof)
}

fn why(bytes: &[u8], proof: &dyn Verifier) -> VerifyError {
    match judge(bytes, proof) {
        Err(FormatError::Verify { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

/// A header that binds the payload.
fn bound() -> Vec<u8> {
    main_header(&[
        (tag::PAYLOAD_DIGEST, Value::Texts(vec![Digest::of(PAYLOAD).hex().into_bytes()])),
        (tag::PAYLOAD_DIGEST_ALGORITHM, Value::Int32(8)),
    ])
}

fn encode(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().chain([&0, &0]).take(3).fold(0_usize, |word, b| word << 8 | usize::from(*b));
        for n in 0..4 {
            out.push(if n <= chunk.len() { LETTERS[word >> (18 - 6 * n) & 63] } else { b'=' });
        }
    }
    out
}

#[test]
fn a_header_signature_counts_under_every_tag() {
    let Some(keyring) = Keyring::new("ed25519") else { return };
    let Some(stranger) = Keyring::new("ed25519") else { return };
    let header = bound();
    let (good, foreign) = (keyring.sign_binary(&header), stranger.sign_binary(&header));
    for signatures in [
        vec![(tag::SIG_DSA, Value::Bytes(good.clone()))],
        vec![(tag::SIG_RSA, Value::Bytes(good.clone()))],
        vec![(tag::SIG_OPENPGP, Value::Texts(vec![encode(&good)]))],
        // of several, one by a configured key suffices
        vec![(tag::SIG_OPENPGP, Value::Texts(vec![encode(&foreign), encode(&good)]))],
        vec![(tag::SIG_DSA, Value::Bytes(foreign.clone())), (tag::SIG_RSA, Value::Bytes(good.clone()))],
    ] {
        let bytes = package(&signatures, &header, PAYLOAD);
        assert_eq!(judge(&bytes, &keyring).unwrap().len(), 1, "{signatures:?}");
        let mut tampered = bytes.clone();
        *tampered.last_mut().unwrap() ^= 1;
        assert!(matches!(why(&tampered, &keyring), VerifyError::Bad(_)));
    }
    let foreign = package(&[(tag::SIG_DSA, Value::Bytes(foreign))], &header, PAYLOAD);
    assert!(judge(&foreign, &keyring).unwrap_err().is_refusal());
}

#[test]
fn a_header_signature_alone_does_not_bind_a_payload() {
    let Some(keyring) = Keyring::new("ed25519") else { return };
    let header = main_header(&[]);
    let signatures = vec![(tag::SIG_DSA, Value::Bytes(keyring.sign_binary(&header)))];
    let error = why(&package(&signatures, &header, PAYLOAD), &keyring);
    assert!(error.to_string().contains("binds no payload"), "{error}");
    // an algorithm that nobody knows binds nothing, either
    let header = main_header(&[
        (tag::PAYLOAD_DIGEST, Value::Texts(vec![Digest::of(PAYLOAD).hex().into_bytes()])),
        (tag::PAYLOAD_DIGEST_ALGORITHM, Value::Int32(1)),
    ]);
    let signatures = vec![(tag::SIG_DSA, Value::Bytes(keyring.sign_binary(&header)))];
    assert!(matches!(why(&package(&signatures, &header, PAYLOAD), &keyring), VerifyError::Malformed(_)));
}

#[test]
fn an_old_package_is_signed_as_a_whole() {
    let Some(keyring) = Keyring::new("ed25519") else { return };
    let header = main_header(&[]);
    let over_all = keyring.sign_binary(&[header.as_slice(), PAYLOAD].concat());
    let over_header = keyring.sign_binary(&header);
    for kind in [tag::SIG_PGP, tag::SIG_GPG] {
        let signatures =
            [(tag::SIG_RSA, Value::Bytes(over_header.clone())), (kind, Value::Bytes(over_all.clone()))];
        for signatures in [&signatures[..], &signatures[1..]] {
            let bytes = package(signatures, &header, PAYLOAD);
            assert_eq!(judge(&bytes, &keyring).unwrap().len(), 1);
            let mut tampered = bytes.clone();
            *tampered.last_mut().unwrap() ^= 1;
            assert!(matches!(why(&tampered, &keyring), VerifyError::Bad(_)));
            let mut longer = bytes;
            longer.push(0);
            assert!(matches!(why(&longer, &keyring), VerifyError::Bad(_)));
        }
    }
}

#[test]
fn the_policy_decides_over_what_is_not_signed() {
    let unsigned = package(&[(tag::SIG_PAYLOAD_SIZE, Value::Int32(7))], &bound(), PAYLOAD);
    assert_eq!(why(&unsigned, &Unsigned(Policy::Require)), VerifyError::Unsigned);
    assert!(judge(&unsigned, &Unsigned(Policy::IfPresent)).unwrap().is_empty());
    assert!(judge(&unsigned, &Unsigned(Policy::Off)).unwrap().is_empty());
    // what is no package at all is told as such, unless nothing is looked at
    assert!(matches!(judge(b"<html>", &Unsigned(Policy::IfPresent)), Err(FormatError::Malformed { .. })));
    assert!(judge(b"<html>", &Unsigned(Policy::Off)).unwrap().is_empty());
}

#[test]
fn other_files_are_proved_by_their_index() {
    let image = vet(
        &RepoPath::new("images/boot.iso").unwrap(),
        &mut std::io::Cursor::new(b"an image"),
        &Unsigned(Policy::Require),
    );
    assert!(image.unwrap().is_empty());
}

#[test]
fn base64_is_decoded_or_refused() {
    assert_eq!(base64(b"").unwrap(), b"");
    assert_eq!(base64(b"Zm9vYmFy").unwrap(), b"foobar");
    assert_eq!(base64(b"Zm9v\nYmE=").unwrap(), b"fooba");
    assert_eq!(base64(b"Zm9vYg==").unwrap(), b"foob");
    assert_eq!(base64(b"+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
    assert_eq!(base64(&encode(b"any carnal pleas")).unwrap(), b"any carnal pleas");
    assert_eq!(base64(b"Zm9v!"), None);
    assert_eq!(base64(b"Zg==Zg"), None);
}
