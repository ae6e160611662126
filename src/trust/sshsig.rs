//! SSHSIG (OpenSSH's PROTOCOL.sshsig), Ed25519 with SHA-512 only: what `ssh-keygen -Y` makes and judges.
//!
//! Of the signature's armour one form is accepted: the one that ssh-keygen writes. So nothing can stand around it. A hardware token
//! signs other bytes than a key in a file does, and says of how it came to sign (PROTOCOL.u2f): somebody must have touched it.

use chantal_bundle::{Application, KeyFingerprint, Namespace, PublicKey, SignatureCheck};
use chantal_contract::limits::SSHSIG_BYTES;
use ed25519_dalek::VerifyingKey;
use sha2::{Digest as _, Sha256};
use ssh_key::{Algorithm, HashAlg, LineEnding, Signature, SshSig, public::KeyData};

use super::key::SiteKey;

/// The flag of a token's signature that says: somebody touched it.
const PRESENT: u8 = 0x01;
/// The flag that says: a PIN or a finger opened it.
const VERIFIED: u8 = 0x04;

/// Why an SSHSIG proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshsigError {
    /// It is not in the form that ssh-keygen writes, or has something around it.
    #[error("malformed SSHSIG")]
    Malformed,
    /// It is longer than one can be.
    #[error("an SSHSIG of {found} bytes passes the limit of {SSHSIG_BYTES}")]
    TooLong {
        /// How long it is, in bytes.
        found: usize,
    },
    /// It is of another algorithm than Ed25519 with SHA-512, or of another one than its key.
    #[error("the SSHSIG is not of an Ed25519 key over SHA-512")]
    Algorithm,
    /// It was made for another purpose.
    #[error("the signature was made for `{found}`, not for `{expected}`")]
    Namespace {
        /// What is asked for.
        expected: Namespace,
        /// What it says, shortened.
        found: String,
    },
    /// Its reserved field holds something.
    #[error("the SSHSIG uses its reserved field")]
    Reserved,
    /// The bytes are not what was signed.
    #[error("bad signature by {0}")]
    Bad(KeyFingerprint),
    /// A token made it without anybody touching it.
    #[error("the signature by {0} was made without a touch of its hardware token")]
    Untouched(KeyFingerprint),
    /// A token says more of it than a signature for SSH can have: that the key may be copied off it, or that it signed other data along.
    #[error("the signature by {key} has flags {flags:#04x}, of which {:#04x} are none of a hardware token's", flags & !(PRESENT | VERIFIED))]
    Flags {
        /// The key.
        key: KeyFingerprint,
        /// What it says.
        flags: u8,
    },
}

impl SshsigError {
    /// Returns whose signature would be wrong, if it is the signature of anybody.
    pub fn by(&self) -> Option<&KeyFingerprint> {
        match self {
            Self::Bad(key) | Self::Untouched(key) | Self::Flags { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// Signs `message` in a namespace; gives the bytes that `ssh-keygen -Y sign -n NAMESPACE` gives.
///
/// What an agent made is verified before anybody else sees it.
pub fn sign(key: &SiteKey, namespace: Namespace, message: &[u8]) -> Result<String, super::KeyError> {
    let signature = key.sshsig(namespace.name(), message)?;
    let armoured = signature.to_pem(LineEnding::LF).map_err(|source| super::KeyError::Sign { source })?;
    match verify(namespace, message, armoured.as_bytes()) {
        Ok(by) if by == key.public() => Ok(armoured),
        Ok(by) => Err(key.unfit(SshsigError::Bad(by.fingerprint()))),
        Err(fault) => Err(key.unfit(fault)),
    }
}

/// Reads a key of the library's own type; none of a kind that no trust document names.
pub(super) fn public_key(data: &KeyData) -> Option<PublicKey> {
    PublicKey::from_wire(&ssh_key::PublicKey::from(data.clone()).to_bytes().ok()?)
}

/// Verifies an armoured signature over `message` and returns whose it is; whether that key is believed is the caller's to judge.
pub fn verify(namespace: Namespace, message: &[u8], signature: &[u8]) -> Result<PublicKey, SshsigError> {
    if signature.len() > SSHSIG_BYTES {
        return Err(SshsigError::TooLong { found: signature.len() });
    }
    let parsed = SshSig::from_pem(signature).map_err(|_| SshsigError::Malformed)?;
    let canonical = parsed.to_pem(LineEnding::LF).map_err(|_| SshsigError::Malformed)?;
    if parsed.version() != SshSig::VERSION || canonical.as_bytes() != signature {
        return Err(SshsigError::Malformed);
    }
    let by = public_key(parsed.public_key()).ok_or(SshsigError::Algorithm)?;
    if parsed.hash_alg() != HashAlg::Sha512 {
        return Err(SshsigError::Algorithm);
    }
    if parsed.namespace() != namespace.name() {
        let found = parsed.namespace().chars().take(64).flat_map(char::escape_debug).collect();
        return Err(SshsigError::Namespace { expected: namespace, found });
    }
    if !parsed.reserved().is_empty() {
        return Err(SshsigError::Reserved);
    }
    let signed = SshSig::signed_data(namespace.name(), HashAlg::Sha512, message)
        .map_err(|_| SshsigError::Malformed)?;
    judge(by, &signed, parsed.signature())
}

/// Verifies a signature by a key over what an SSHSIG signs.
fn judge(by: PublicKey, signed: &[u8], signature: &Signature) -> Result<PublicKey, SshsigError> {
    let (raw, said) = signature.as_bytes().split_first_chunk().ok_or(SshsigError::Algorithm)?;
    let bad = |_| SshsigError::Bad(by.fingerprint());
    let verify = |signed: &[u8]| {
        let key = VerifyingKey::from_bytes(by.as_bytes()).map_err(bad)?;
        key.verify_strict(signed, &ed25519_dalek::Signature::from_bytes(raw)).map_err(bad)
    };
    match (by.application(), signature.algorithm(), said) {
        (None, Algorithm::Ed25519, []) => verify(signed)?,
        (Some(application), Algorithm::SkEd25519, &[flags, _, _, _, _]) => {
            verify(&along(application, said, signed))?;
            // what it says is believed only now
            if flags & PRESENT == 0 {
                return Err(SshsigError::Untouched(by.fingerprint()));
            }
            if flags & !(PRESENT | VERIFIED) != 0 {
                return Err(SshsigError::Flags { key: by.fingerprint(), flags });
            }
        }
        _ => return Err(SshsigError::Algorithm),
    }
    Ok(by)
}

/// Makes what a token signs: its application, what it says (flags and counter), and the message, each of a length that is known.
fn along(application: &Application, said: &[u8], signed: &[u8]) -> Vec<u8> {
    [Sha256::digest(application.as_bytes()).as_slice(), said, Sha256::digest(signed).as_slice()].concat()
}

/// The check that trust chains and bundles are read with: [`verify`], and nobody where it fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strict;

impl SignatureCheck for Strict {
    fn signer(&self, namespace: Namespace, message: &[u8], signature: &[u8]) -> Option<PublicKey> {
        verify(namespace, message, signature).ok()
    }
}

#[cfg(test)]
mod tests;
