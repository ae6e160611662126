//! Which hashes and keys are strong enough to prove anything.

use pgp::{
    crypto::hash::HashAlgorithm,
    packet::Signature,
    ser::Serialize,
    types::{KeyDetails, PublicParams},
};

/// The smallest RSA and DSA modulus that is believed, in bits.
const MODULUS_BITS: u16 = 2048;

/// Returns what is weak about a signature over data, if anything is.
pub(super) fn weak_hash(signature: &Signature) -> Option<String> {
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha224
            | HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => None,
        Some(HashAlgorithm::Sha1) => Some("SHA-1".into()),
        Some(HashAlgorithm::Md5) => Some("MD5".into()),
        Some(other) => Some(other.to_string()),
        None => Some("an unknown hash".into()),
    }
}

/// Tells whether a self-signature's hash is read; see the decisions of this module.
pub(super) fn readable_hash(signature: &Signature) -> bool {
    weak_hash(signature).is_none() || signature.hash_alg() == Some(HashAlgorithm::Sha1)
}

/// Returns what is weak about a key, if anything is.
pub(super) fn weak_key(key: &impl KeyDetails) -> Option<String> {
    let name = match key.public_params() {
        PublicParams::RSA(_) => "RSA",
        PublicParams::DSA(_) => "DSA",
        _ => return None,
    };
    // The first number of both is the modulus, written with its length in bits in front (RFC 9580 §3.2).
    let bits =
        key.public_params().to_bytes().ok().and_then(|b| b.first_chunk().copied().map(u16::from_be_bytes));
    let bits = bits.unwrap_or(0);
    (bits < MODULUS_BITS).then(|| format!("a {bits}-bit {name} key"))
}
