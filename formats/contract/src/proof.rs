//! Proof of origin: what verifies an upstream's signature, and what seals an index of our own.

use std::{fmt, io::SeekFrom};

use serde::{Deserialize, Serialize};

use crate::want::ReadSeek;

/// How strictly a signature is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// There must be a good one.
    Require,
    /// One that is there must be good.
    IfPresent,
    /// None is looked at; every run warns.
    Off,
}

/// The full fingerprint of an OpenPGP key, in upper-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text whose signature was verified, and nothing that stood around it.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The signed bytes.
    pub text: Vec<u8>,
    /// The certificates whose good signatures they carry; never empty.
    pub by: Vec<Fingerprint>,
}

/// Why a signature proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There is none.
    #[error("no signature")]
    Unsigned,
    /// The frame is not what its specification says (RFC 9580 §7 for cleartext, §6.2 for armour).
    #[error("malformed signature: {0}")]
    Malformed(String),
    /// None of the issuers is among the configured keys.
    #[error("signed by {}, none of which is a configured key", .0.join(", "))]
    UnknownKey(Vec<String>),
    /// The bytes are not what was signed.
    #[error("bad signature by {0}")]
    Bad(Fingerprint),
    /// The key had expired when the signature was made.
    #[error("key {0} had expired when it signed")]
    ExpiredKey(Fingerprint),
    /// The signature carries an expiry that has passed.
    #[error("signature by {0} has expired")]
    ExpiredSignature(Fingerprint),
    /// The key is revoked.
    #[error("key {0} is revoked")]
    Revoked(Fingerprint),
    /// Hash or key are too weak to prove anything.
    #[error("signature by {by} uses {what}")]
    Weak {
        /// The signer.
        by: Fingerprint,
        /// What is weak: `SHA-1`, `a 1024-bit RSA key`.
        what: String,
    },
    /// The key may not sign, or was not bound to its certificate when it did.
    #[error("key {0} may not sign")]
    NotForSigning(Fingerprint),
    /// What was signed cannot be read.
    #[error("what was signed cannot be read: {0}")]
    Unread(String),
    /// No key was configured to verify with.
    #[error("no keys are configured")]
    NoKeys,
}

/// Verifies what upstream signed, under one repository's policy and keys.
pub trait Verifier: Send + Sync {
    /// How strictly signatures over metadata are asked for.
    fn metadata(&self) -> Policy;

    /// How strictly packages' own signatures are asked for.
    fn packages(&self) -> Policy;

    /// Verifies a cleartext-signed document and returns only the text that was signed.
    fn cleartext(&self, document: &[u8]) -> Result<Signed, VerifyError>;

    /// Verifies a detached signature, armoured or binary, over `data`.
    fn detached(&self, data: &[u8], signature: &[u8]) -> Result<Vec<Fingerprint>, VerifyError>;

    /// Verifies a detached signature over what `data` holds from byte `from` to its end, as packages of old carry it.
    ///
    /// The provided method reads all of it into memory; one that is to judge files of any size reads them as they are hashed.
    fn detached_from(
        &self,
        data: &mut dyn ReadSeek,
        from: u64,
        signature: &[u8],
    ) -> Result<Vec<Fingerprint>, VerifyError> {
        let mut bytes = Vec::new();
        data.seek(SeekFrom::Start(from))
            .and_then(|_| data.read_to_end(&mut bytes))
            .map_err(|error| VerifyError::Unread(error.to_string()))?;
        self.detached(&bytes, signature)
    }
}

/// Why an index could not be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign with key {key}: {why}")]
pub struct SignError {
    /// The key.
    pub key: Fingerprint,
    /// What failed.
    pub why: String,
}

/// Seals the indexes of filtered and hosted repositories with the site's own key.
pub trait Signer {
    /// Wraps `text` into a cleartext signature.
    fn cleartext(&self, text: &[u8]) -> Result<Vec<u8>, SignError>;

    /// Makes an armoured detached signature over `data`.
    fn detached(&self, data: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// Looks at no signature: for states that were proved when they came in, and for formats that have none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProof;

impl Verifier for NoProof {
    fn metadata(&self) -> Policy {
        Policy::Off
    }
    fn packages(&self) -> Policy {
        Policy::Off
    }
    fn cleartext(&self, _: &[u8]) -> Result<Signed, VerifyError> {
        Err(VerifyError::NoKeys)
    }
    fn detached(&self, _: &[u8], _: &[u8]) -> Result<Vec<Fingerprint>, VerifyError> {
        Err(VerifyError::NoKeys)
    }
}
