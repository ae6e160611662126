//! SSHSIG (OpenSSH's PROTOCOL.sshsig), Ed25519 with SHA-512 only: what `ssh-keygen -Y` makes and judges.
//!
//! Of the signature's armour one form is accepted: the one that ssh-keygen writes. So nothing can stand around it.

use chantal_bundle::{Namespace, PublicKey, SignatureCheck};
use chantal_contract::limits::SSHSIG_BYTES;
use ed25519_dalek::{Signature, VerifyingKey};
use ssh_key::{HashAlg, LineEnding, SshSig};

use super::key::SiteKey;

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
    /// It is of another algorithm than Ed25519 with SHA-512.
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
    #[error("bad signature by {}", .0.fingerprint())]
    Bad(PublicKey),
}

/// Signs `message` in a namespace; gives the bytes that `ssh-keygen -Y sign -n NAMESPACE` gives.
pub fn sign(key: &SiteKey, namespace: Namespace, message: &[u8]) -> Result<String, super::KeyError> {
    let signature = key.sshsig(namespace.name(), message)?;
    signature.to_pem(LineEnding::LF).map_err(|source| super::KeyError::Sign { source })
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
    let key = parsed.public_key().ed25519().ok_or(SshsigError::Algorithm)?;
    let raw = Signature::try_from(parsed.signature()).map_err(|_| SshsigError::Algorithm)?;
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
    let by = PublicKey::from_bytes(key.0);
    let verifying = VerifyingKey::from_bytes(&key.0).map_err(|_| SshsigError::Bad(by))?;
    verifying.verify_strict(&signed, &raw).map_err(|_| SshsigError::Bad(by))?;
    Ok(by)
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
