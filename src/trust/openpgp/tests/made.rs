//! Keys and signatures that no gpg makes, put together packet by packet.

use std::path::Path;

use chantal_contract::proof::{Fingerprint, Verifier, VerifyError};

use super::{Keyring, Proof, TEXT, proof};

/// The packets of a signature config that name when it was made, and by whom.
fn stamped(
    kind: pgp::packet::SignatureType,
    by: &impl pgp::types::KeyDetails,
) -> pgp::packet::SignatureConfig {
    use pgp::{
        crypto::hash::HashAlgorithm,
        packet::{SignatureConfig, Subpacket, SubpacketData},
        types::Timestamp,
    };
    let mut config = SignatureConfig::v4(kind, by.algorithm(), HashAlgorithm::Sha512);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::now())).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(by.fingerprint())).unwrap(),
    ];
    config
}

#[test]
fn a_subkey_that_did_not_agree_does_not_sign_for_a_certificate() {
    use pgp::{
        composed::{
            DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedPublicSubKey,
            SubkeyParamsBuilder,
        },
        crypto::hash::HashAlgorithm,
        packet::{KeyFlags, SignatureType, Subpacket, SubpacketData},
        ser::Serialize,
        types::{KeyDetails, Password},
    };
    let make = || {
        let subkey =
            SubkeyParamsBuilder::default().key_type(KeyType::Ed25519Legacy).can_sign(true).build().unwrap();
        let mut params = SecretKeyParamsBuilder::default();
        params.key_type(KeyType::Ed25519Legacy).can_certify(true).primary_user_id("a".into()).subkey(subkey);
        params.build().unwrap().generate(rand::thread_rng()).unwrap()
    };
    let (victim, thief) = (make(), make());
    let (signer, none) = (&victim.secret_subkeys[0].key, Password::empty());
    let signature = DetachedSignature::sign_binary_data(
        rand::thread_rng(),
        signer,
        &none,
        HashAlgorithm::Sha512,
        TEXT.as_bytes(),
    )
    .unwrap()
    .to_bytes()
    .unwrap();
    // The thief's certificate takes the victim's subkey for its own, by a binding that only the thief made.
    let mut config = stamped(SignatureType::SubkeyBinding, &thief.primary_key);
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap());
    let binding = config
        .sign_subkey_binding(&thief.primary_key, thief.primary_key.public_key(), &none, signer.public_key())
        .unwrap();
    let mut stolen = SignedPublicKey::from(thief);
    stolen.public_subkeys =
        vec![SignedPublicSubKey { key: signer.public_key().clone(), signatures: vec![binding] }];
    let judge = |key: &SignedPublicKey| {
        let keyring = Keyring::from_bytes(Path::new("made"), &key.to_bytes().unwrap()).unwrap();
        proof(keyring).detached(TEXT.as_bytes(), &signature)
    };
    let owner = Fingerprint(victim.fingerprint().to_string().to_uppercase());
    let name = Fingerprint(signer.fingerprint().to_string().to_uppercase());
    assert_eq!(judge(&stolen), Err(VerifyError::NotForSigning(name)));
    assert_eq!(judge(&SignedPublicKey::from(victim)), Ok(vec![owner]));
}

#[test]
fn a_signature_over_one_byte_is_not_one_over_the_text() {
    use pgp::{
        composed::{KeyType, SecretKeyParamsBuilder, SignedPublicKey},
        crypto::hash::HashAlgorithm,
        packet::{Signature, SignatureType},
        ser::Serialize,
        types::{Password, SigningKey},
    };
    let mut params = SecretKeyParamsBuilder::default();
    params.key_type(KeyType::Ed25519Legacy).can_certify(true).can_sign(true).primary_user_id("a".into());
    let key = params.build().unwrap().generate(rand::thread_rng()).unwrap();
    let keyring =
        Keyring::from_bytes(Path::new("made"), &SignedPublicKey::from(key.clone()).to_bytes().unwrap())
            .unwrap();
    let proof = proof(keyring);
    for kind in [SignatureType::Standalone, SignatureType::Timestamp, SignatureType::Binary] {
        let config = stamped(kind, &key.primary_key);
        let mut hasher = config.hash_alg.new_hasher().unwrap();
        config.hash_data_to_sign(&mut hasher, TEXT.as_bytes()).unwrap();
        let length = config.hash_signature_data(&mut hasher).unwrap();
        hasher.update(&config.trailer(length).unwrap());
        let hash = hasher.finalize();
        let bytes = key.primary_key.sign(&Password::empty(), HashAlgorithm::Sha512, &hash).unwrap();
        let signature = Signature::from_config(config, [hash[0], hash[1]], bytes).unwrap();
        let mut packet = Vec::new();
        pgp::packet::PacketTrait::to_writer_with_header(&signature, &mut packet).unwrap();
        let judged = proof.detached(TEXT.as_bytes(), &packet);
        assert_eq!(judged.is_ok(), kind == SignatureType::Binary, "{kind:?}: {judged:?}");
    }
}

/// A key as `pgp` makes it, and a detached signature by its primary key, whether it may sign or not.
pub fn made(
    kind: pgp::composed::KeyType,
    version: pgp::types::KeyVersion,
    may_sign: bool,
) -> (Proof, Vec<u8>, Fingerprint) {
    use pgp::{
        composed::{DetachedSignature, SecretKeyParamsBuilder, SignedPublicKey},
        crypto::hash::HashAlgorithm,
        ser::Serialize,
        types::{KeyDetails, Password},
    };
    let mut params = SecretKeyParamsBuilder::default();
    params.key_type(kind).version(version).can_certify(true).can_sign(may_sign).primary_user_id("a".into());
    let key = params.build().unwrap().generate(rand::thread_rng()).unwrap();
    let print = Fingerprint(key.fingerprint().to_string().to_uppercase());
    let (rng, hash, text) = (rand::thread_rng(), HashAlgorithm::Sha512, TEXT.as_bytes());
    let signature =
        DetachedSignature::sign_binary_data(rng, &key.primary_key, &Password::empty(), hash, text).unwrap();
    let public = SignedPublicKey::from(key).to_bytes().unwrap();
    let keyring = Keyring::from_bytes(Path::new("made"), &public).unwrap();
    (proof(keyring), signature.to_bytes().unwrap(), print)
}

#[test]
fn a_key_that_may_only_certify_does_not_sign() {
    use pgp::{composed::KeyType, types::KeyVersion};
    for (may_sign, version) in [(true, KeyVersion::V4), (false, KeyVersion::V4), (false, KeyVersion::V6)] {
        let kind = if version == KeyVersion::V6 { KeyType::Ed25519 } else { KeyType::Ed25519Legacy };
        let (proof, signature, print) = made(kind, version, may_sign);
        let judged = proof.detached(TEXT.as_bytes(), &signature);
        let expected = if may_sign { Ok(vec![print]) } else { Err(VerifyError::NotForSigning(print)) };
        assert_eq!(judged, expected, "{version:?}");
    }
}

#[test]
fn keys_of_version_6_are_verified() {
    let (proof, signature, print) = made(pgp::composed::KeyType::Ed25519, pgp::types::KeyVersion::V6, true);
    assert_eq!(print.0.len(), 64);
    assert_eq!(proof.detached(TEXT.as_bytes(), &signature).unwrap(), std::slice::from_ref(&print));
    assert_eq!(proof.detached(b"other", &signature), Err(VerifyError::Bad(print)));
    let again = Keyring::from_bytes(Path::new("again"), proof.keyring.armored().as_bytes()).unwrap();
    assert_eq!(again.fingerprints(), proof.keyring.fingerprints());
}
