//! Signatures: which namespace says what, and where their files stand (specification §4).
//!
//! Every signature is an SSHSIG (OpenSSH's PROTOCOL.sshsig) by an Ed25519 key with SHA-512, in its armour, so that
//! `ssh-keygen -Y verify` judges it. The mathematics live where the keys live; here is only what both sides must agree on.

use std::fmt;

use crate::{key::KeyFingerprint, key::PublicKey};

/// The hash that an SSHSIG names; no other is accepted.
pub const HASH: &str = "sha512";
/// The directory of a bundle that holds signatures over `manifest.json`.
pub const SIGNATURES: &str = "signatures";
/// The directory of a bundle that holds the trust chain.
pub const TRUST: &str = "trust";

/// The directory of a bundle that holds trust chain, manifest and signatures a second time.
pub const COPY: &str = "copy";

/// What a signature is made for; a signature in one namespace proves nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// The collector made this bundle.
    Bundle,
    /// A person approves this bundle.
    Approval,
    /// This trust document follows from the former one.
    Trust,
    /// A site holds what the receipt lists.
    Receipt,
}

impl Namespace {
    /// Returns the namespace as the signature holds it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bundle => "chantal-bundle",
            Self::Approval => "chantal-approval",
            Self::Trust => "chantal-trust",
            Self::Receipt => "chantal-receipt",
        }
    }
}
impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Tells who made a signature over `message` in a namespace; nobody when it is not good.
///
/// Implemented where keys live, with `verify_strict`, an empty `reserved` field and the hash [`HASH`].
pub trait SignatureCheck {
    /// Returns the key whose good signature `signature` (armoured SSHSIG) is.
    fn signer(&self, namespace: Namespace, message: &[u8], signature: &[u8]) -> Option<PublicKey>;
}
impl<F: Fn(Namespace, &[u8], &[u8]) -> Option<PublicKey>> SignatureCheck for F {
    fn signer(&self, namespace: Namespace, message: &[u8], signature: &[u8]) -> Option<PublicKey> {
        self(namespace, message, signature)
    }
}

/// Returns the path inside a bundle of the collector's signature over the manifest: `signatures/collector-<short>.sig`.
pub fn collector_signature(key: &KeyFingerprint) -> String {
    format!("{SIGNATURES}/collector-{}.sig", key.short())
}

/// Returns the path inside a bundle of an approval of the manifest: `signatures/approver-<short>.sig`.
pub fn approver_signature(key: &KeyFingerprint) -> String {
    format!("{SIGNATURES}/approver-{}.sig", key.short())
}

/// Returns the path inside a bundle of a trust document: `trust/0001.json`.
pub fn trust_document(version: u32) -> String {
    format!("{TRUST}/{version:04}.json")
}

/// Returns the path inside a bundle of a signature over a trust document: `trust/0001-<short>.sig`.
pub fn trust_signature(version: u32, key: &KeyFingerprint) -> String {
    format!("{TRUST}/{version:04}-{}.sig", key.short())
}
