//! The trust document in use: who is believed, how a new site begins, and whether a bundle's signatures suffice.
//!
//! The document and its chain rule are of crate `chantal-bundle`; here are the keys' mathematics and the verdicts.

use chantal_bundle::{
    KeyFingerprint, Namespace, PublicKey, TrustDocument, TrustRole,
    trust::{ChainError, Link, Revocation, extend},
};
use chantal_contract::{SiteName, limits::SIGNATURES};

use super::{
    key::{KeyError, SiteKey},
    sshsig::{self, SshsigError, Strict},
};

/// Why nothing is believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The key that was handed over is not the one whose fingerprint was compared.
    #[error("the key's fingerprint is {found}, not {expected}")]
    Fingerprint {
        /// What the person gave.
        expected: KeyFingerprint,
        /// What the key has.
        found: KeyFingerprint,
    },
    /// The trust chain does not lead on from what was accepted.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A trust document breaks a rule.
    #[error(transparent)]
    Document(#[from] chantal_bundle::trust::TrustError),
    /// The site's key cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A signature of a key that is believed does not fit what it lies beside.
    #[error("{0}")]
    Signature(#[from] SshsigError),
    /// Too few keys of the role signed.
    #[error("signed by {signed} of {needed} {} keys that trust document version {version} of `{collector}` asks for", role.name())]
    NotEnough {
        /// Whose trust document.
        collector: SiteName,
        /// Which version of it.
        version: u32,
        /// The role that was asked for.
        role: TrustRole,
        /// How many distinct keys of the role signed.
        signed: usize,
        /// How many must.
        needed: u32,
        /// Keys that signed and do not have the role.
        strangers: Vec<KeyFingerprint>,
    },
    /// A key signed that was revoked.
    #[error("key {key} was revoked by trust document version {version}")]
    Revoked {
        /// The key.
        key: KeyFingerprint,
        /// The version that revoked it.
        version: u32,
    },
    /// More signatures than are looked at.
    #[error("{found} signatures, where {SIGNATURES} are the most that are looked at")]
    TooMany {
        /// How many there are.
        found: usize,
    },
}

impl TrustError {
    /// Returns what helps.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fingerprint { .. } => Some(
                "compare with what `chantal key show` prints on the collector, over a way that nobody else controls".into(),
            ),
            Self::NotEnough { strangers, .. } if !strangers.is_empty() => {
                let keys: Vec<String> = strangers.iter().map(ToString::to_string).collect();
                Some(format!("it is signed by {}: is this the collector that was added by `chantal trust add`?", keys.join(", ")))
            }
            Self::Chain(ChainError::Forked { .. }) => Some(
                "if its key was added here after it had changed already, begin from what `chantal trust anchor` prints on the collector: \
                 `chantal trust forget SITE`, then `chantal trust add FILE`. If not, somebody holds a root key who should not: trust neither"
                    .into(),
            ),
            Self::Key(error) => error.hint(),
            _ => None,
        }
    }
}

/// Makes version 1 of a collector's trust document from a key whose full fingerprint a person compared.
pub fn first_document(
    collector: SiteName,
    key: PublicKey,
    compared: &KeyFingerprint,
) -> Result<TrustDocument, TrustError> {
    let found = key.fingerprint();
    if found != *compared {
        return Err(TrustError::Fingerprint { expected: *compared, found });
    }
    Ok(TrustDocument::first(collector, key))
}

/// Signs a trust document's bytes with a site's key.
pub fn sign_document(document: &TrustDocument, key: &SiteKey) -> Result<String, TrustError> {
    Ok(sshsig::sign(key, Namespace::Trust, &document.encode()?)?)
}

/// Follows a trust chain beyond the accepted document to its end; returns the new versions.
pub fn follow(accepted: &TrustDocument, links: &[Link]) -> Result<Vec<TrustDocument>, TrustError> {
    Ok(extend(accepted, links, &Strict).whole()?)
}

/// Checks the signatures over a bundle's manifest against the accepted trust document, before a byte of it is parsed.
///
/// Returns the collector keys that signed. A bad signature of a believed key and any signature of a revoked one refuse all.
pub fn admit(
    document: &TrustDocument,
    manifest: &[u8],
    signatures: &[Vec<u8>],
) -> Result<Vec<PublicKey>, TrustError> {
    signers(document, TrustRole::Collector, Namespace::Bundle, manifest, signatures)
}

/// Refuses a key that a trust document revokes.
pub fn expect_unrevoked(document: &TrustDocument, key: &KeyFingerprint) -> Result<(), TrustError> {
    let revoked = |by: &Revocation| TrustError::Revoked { key: *key, version: by.version };
    document.revocation(key).map_or(Ok(()), |by| Err(revoked(by)))
}

/// Returns the distinct keys of a role whose good signatures over `message` meet the role's threshold.
pub fn signers(
    document: &TrustDocument,
    role: TrustRole,
    namespace: Namespace,
    message: &[u8],
    signatures: &[Vec<u8>],
) -> Result<Vec<PublicKey>, TrustError> {
    if signatures.len() > SIGNATURES {
        return Err(TrustError::TooMany { found: signatures.len() });
    }
    let mut good: Vec<PublicKey> = Vec::new();
    let mut strangers = Vec::new();
    let mut faults = Vec::new();
    for signature in signatures {
        match sshsig::verify(namespace, message, signature) {
            Ok(key) => {
                let fingerprint = key.fingerprint();
                expect_unrevoked(document, &fingerprint)?;
                if document.keys_of(role).any(|k| *k == key) {
                    good.push(key);
                } else {
                    strangers.push(fingerprint);
                }
            }
            Err(SshsigError::Bad(key)) if document.keys_of(role).any(|k| *k == key) => {
                return Err(SshsigError::Bad(key).into());
            }
            Err(error) => faults.push(error),
        }
    }
    good.sort();
    good.dedup();
    strangers.sort();
    strangers.dedup();
    if document.meets(role, &good) {
        return Ok(good);
    }
    // Nothing but faults: the first one tells more than a count of zero.
    match faults.into_iter().next() {
        Some(fault) if good.is_empty() && strangers.is_empty() => Err(fault.into()),
        _ => Err(TrustError::NotEnough {
            collector: document.collector.clone(),
            version: document.version,
            role,
            signed: good.len(),
            needed: document.threshold(role),
            strangers,
        }),
    }
}

#[cfg(test)]
mod tests;
