//! The trust document: who may sign what for a collector's streams (specification §5).
//!
//! Version 1 is a pure function of collector and key ([`TrustDocument::first`]), so that both sides make the same bytes from
//! a key that was compared by its full fingerprint. Version N+1 is signed by N's threshold of root keys and by its own.

mod chain;
mod change;

use std::collections::BTreeSet;

use chantal_contract::{
    Digest, SiteName,
    limits::{TRUST_BYTES, TRUST_KEYS, TRUST_VERSION},
};
use serde::{Deserialize, Serialize};

pub use chain::{ChainError, Extension, Link, extend};
pub use change::{Change, ChangeError};

use crate::{
    json::{self, JsonError},
    key::{KeyFingerprint, PublicKey},
    name::Epoch,
};

/// The version of this format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustRole {
    /// The next trust document.
    Root,
    /// Bundles.
    Collector,
    /// Approvals of bundles.
    Approver,
    /// Receipts of one site.
    Receiver,
}

impl std::fmt::Display for TrustRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl TrustRole {
    /// Every role, in the order of the specification.
    pub const ALL: [Self; 4] = [Self::Root, Self::Collector, Self::Approver, Self::Receiver];

    /// Returns the word that the document uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Collector => "collector",
            Self::Approver => "approver",
            Self::Receiver => "receiver",
        }
    }
}

/// A key and what it may sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// Its roles, rising, at least one.
    pub roles: Vec<TrustRole>,
    /// The site whose receipts it signs: there if and only if it has the role of a receiver.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub site: Option<SiteName>,
}

/// How many distinct keys of a role must sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// The next trust document; at least 1.
    pub root: u32,
    /// A bundle; at least 1.
    pub collector: u32,
    /// Approvals without which a bundle is not imported; 0 asks for none.
    pub approver: u32,
}

/// A key that must not be believed any more, whatever it signed and whenever.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The key.
    pub key: KeyFingerprint,
    /// The version of the trust document that revoked it.
    pub version: u32,
}

/// One version of a collector's trust document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustDocument {
    /// The version of this format.
    #[serde(rename = "chantal-trust")]
    pub format: u32,
    /// Whose bundles it is about.
    pub collector: SiteName,
    /// Counted from 1, without gaps.
    pub version: u32,
    /// The epoch of every bundle that is believed under this version; 1 in version 1. Root keys alone can raise it.
    pub epoch: Epoch,
    /// The keys, rising by their text.
    pub keys: Vec<TrustedKey>,
    /// How many of them must sign.
    pub thresholds: Thresholds,
    /// What was revoked by this version and every former one, rising.
    pub revoked: Vec<Revocation>,
}

/// Why some bytes are no trust document.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// They are not JSON of the one form.
    #[error("trust document: {0}")]
    Json(#[from] JsonError),
    /// They are of a version that this program does not know.
    #[error("trust document of format {0}, this program reads format {FORMAT}")]
    Format(u32),
    /// A rule of the specification is broken.
    #[error("trust document version {version}: {why}")]
    Rule {
        /// Which version.
        version: u32,
        /// Which rule.
        why: &'static str,
    },
}

impl TrustDocument {
    /// Makes version 1: one key that is root and collector, alone.
    pub fn first(collector: SiteName, key: PublicKey) -> Self {
        Self {
            format: FORMAT,
            collector,
            version: 1,
            epoch: Epoch::FIRST,
            keys: vec![TrustedKey { key, roles: vec![TrustRole::Root, TrustRole::Collector], site: None }],
            thresholds: Thresholds { root: 1, collector: 1, approver: 0 },
            revoked: Vec::new(),
        }
    }

    /// Reads a document; every rule of the specification holds for what it returns.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let document: Self = json::decode(bytes, TRUST_BYTES)?;
        document.check()?;
        Ok(document)
    }

    /// Writes the document in its one form; refuses one that breaks a rule.
    pub fn encode(&self) -> Result<Vec<u8>, TrustError> {
        self.check()?;
        let bytes = json::encode(self).map_err(JsonError::Parse)?;
        if bytes.len() > TRUST_BYTES {
            return Err(JsonError::TooLong { found: bytes.len(), limit: TRUST_BYTES }.into());
        }
        Ok(bytes)
    }

    /// Hashes the document in its one form.
    pub fn digest(&self) -> Result<Digest, TrustError> {
        Ok(Digest::of(&self.encode()?))
    }

    /// Returns the keys of a role.
    pub fn keys_of(&self, role: TrustRole) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().filter(move |k| k.roles.contains(&role)).map(|k| &k.key)
    }

    /// Returns the keys whose receipts of a site are believed.
    pub fn receiver_keys<'a>(&'a self, site: &'a SiteName) -> impl Iterator<Item = &'a PublicKey> {
        self.keys.iter().filter(move |k| k.site.as_ref() == Some(site)).map(|k| &k.key)
    }

    /// Returns how many distinct keys of a role must sign; a receipt needs one.
    pub fn threshold(&self, role: TrustRole) -> u32 {
        match role {
            TrustRole::Root => self.thresholds.root,
            TrustRole::Collector => self.thresholds.collector,
            TrustRole::Approver => self.thresholds.approver,
            TrustRole::Receiver => 1,
        }
    }

    /// Tells whether the distinct keys of a role among `signers` meet the threshold.
    pub fn meets<'a>(&self, role: TrustRole, signers: impl IntoIterator<Item = &'a PublicKey>) -> bool {
        let signers: BTreeSet<&PublicKey> = signers.into_iter().collect();
        let count = self.keys_of(role).filter(|k| signers.contains(k)).count();
        count >= self.threshold(role) as usize
    }

    /// Returns the revocation of a key, if it was revoked.
    pub fn revocation(&self, key: &KeyFingerprint) -> Option<&Revocation> {
        self.revoked.iter().find(|r| r.key == *key)
    }

    /// Tells whether a key was revoked.
    pub fn is_revoked(&self, key: &PublicKey) -> bool {
        self.revocation(&key.fingerprint()).is_some()
    }

    fn check(&self) -> Result<(), TrustError> {
        if self.format != FORMAT {
            return Err(TrustError::Format(self.format));
        }
        let rule = |holds: bool, why: &'static str| {
            if holds { Ok(()) } else { Err(TrustError::Rule { version: self.version, why }) }
        };
        rule((1..=TRUST_VERSION).contains(&self.version), "the version is not within 1 and 9999")?;
        rule(self.version > 1 || self.epoch == Epoch::FIRST, "the epoch of version 1 is not 1")?;
        rule(self.keys.len() <= TRUST_KEYS, "it has more than 256 keys")?;
        rule(self.revoked.len() <= TRUST_KEYS, "it has more than 256 revocations")?;
        let texts: Vec<String> = self.keys.iter().map(|k| k.key.to_string()).collect();
        rule(texts.is_sorted_by(|a, b| a < b), "the keys do not rise")?;
        let fingerprints: Vec<String> = self.revoked.iter().map(|r| r.key.to_string()).collect();
        rule(fingerprints.is_sorted_by(|a, b| a < b), "the revocations do not rise")?;
        for key in &self.keys {
            rule(!key.roles.is_empty(), "a key has no role")?;
            rule(key.roles.is_sorted_by(|a, b| a < b), "the roles of a key do not rise")?;
            let receives = key.roles.contains(&TrustRole::Receiver);
            rule(
                receives == key.site.is_some(),
                "a receiver's key names its site, and no other key names one",
            )?;
            rule(!self.is_revoked(&key.key), "a revoked key is listed")?;
        }
        for revocation in &self.revoked {
            rule(
                (2..=self.version).contains(&revocation.version),
                "a revocation names a version that it cannot be of",
            )?;
        }
        let t = &self.thresholds;
        rule(t.root >= 1 && t.collector >= 1, "a threshold of root or collector is 0")?;
        let met = |role| self.threshold(role) as usize <= self.keys_of(role).count();
        rule(met(TrustRole::Root), "the threshold of root is higher than there are such keys")?;
        rule(met(TrustRole::Collector), "the threshold of collector is higher than there are such keys")?;
        rule(met(TrustRole::Approver), "the threshold of approver is higher than there are such keys")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
