//! The receipt: what a site holds of a collector's stream and what it misses, in one signed file (specification §13).
//!
//! The file is JSON in the one form of §6.1 and, right behind it, the armoured SSHSIG (namespace `chantal-receipt`) over exactly
//! the bytes before it.

use std::collections::BTreeSet;

use chantal_contract::{
    Digest, Measured, Name, SiteName, SnapshotName,
    limits::{RECEIPT_BLOBS, RECEIPT_BYTES, RECEIPT_MISSING, RECEIPT_STATES, SSHSIG_BYTES, STATE_NAMES},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    json::{self, JsonError},
    manifest::{TrustLink, bundle_name_always, stamp_always},
    name::{BundleName, BundleNameError, Epoch, Sequence, Stream, VolumeNumber},
};

/// The version of this format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;
/// Where the signature begins.
const ARMOUR: &[u8] = b"-----BEGIN SSH SIGNATURE-----\n";

/// A snapshot that a site holds whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgedState {
    /// The repository.
    pub repository: Name,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The digest of its evidence list, where it has one.
    pub evidence: Option<Digest>,
    /// The names that it has there, rising.
    pub names: Vec<SnapshotName>,
}

/// A blob that a site lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LackingBlob {
    /// Its name.
    pub sha256: Digest,
    /// Its bytes.
    pub size: u64,
}

impl From<Measured> for LackingBlob {
    fn from(blob: Measured) -> Self {
        Self { sha256: blob.sha256, size: blob.size }
    }
}

/// What a site lacks of one bundle: of one that waits for volumes, or of the last one imported when blobs were lost since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// The bundle.
    #[serde(with = "bundle_name_always")]
    pub bundle: BundleName,
    /// The digest of its `manifest.json`.
    pub manifest: Digest,
    /// The volumes that are needed, rising.
    pub volumes: Vec<VolumeNumber>,
    /// The blobs that are needed, rising; none where there are more than a receipt lists.
    pub blobs: Vec<LackingBlob>,
}

/// What a site says that it holds of one collector's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of this format.
    #[serde(rename = "chantal-receipt")]
    pub format: u32,
    /// Who says so.
    pub site: SiteName,
    /// To whom.
    pub collector: SiteName,
    /// When it was made, in whole seconds. Decides nothing.
    #[serde(with = "stamp_always")]
    pub created: Timestamp,
    /// The epoch of the newest import; that of the accepted trust document before the first.
    pub epoch: Epoch,
    /// The sequence of the newest import; none before the first.
    pub sequence: Option<Sequence>,
    /// The digest of the newest import's `manifest.json`; none before the first.
    pub bundle: Option<Digest>,
    /// The accepted version of the collector's trust document.
    pub trust: TrustLink,
    /// The newest state of each of this collector's repositories and every named one, rising by repository; of one
    /// repository the newest stands last. A state of which something is lost is not among them.
    pub states: Vec<AcknowledgedState>,
    /// What is missing, rising by bundle.
    pub missing: Vec<Missing>,
}

/// Why some bytes are no receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// They are not JSON of the one form.
    #[error("receipt: {0}")]
    Json(#[from] JsonError),
    /// They are of a version that this program does not know.
    #[error("receipt of format {0}, this program reads format {FORMAT}")]
    Format(u32),
    /// No signature follows, or something that is none.
    #[error("receipt: no signature follows its text")]
    Unsigned,
    /// Its names cannot be.
    #[error("receipt: {0}")]
    Name(#[from] BundleNameError),
    /// Something is more numerous than is read.
    #[error("receipt: {what} passes the limit of {limit}")]
    Limit {
        /// What passed it.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A rule of the specification is broken.
    #[error("receipt: {0}")]
    Rule(&'static str),
}

/// A receipt's file, unread: the text that is signed and the signature behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// What is signed.
    pub text: &'a [u8],
    /// The armoured SSHSIG.
    pub signature: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Splits a file where the signature begins; parses neither part.
    pub fn split(file: &'a [u8]) -> Result<Self, ReceiptError> {
        let limit = RECEIPT_BYTES + SSHSIG_BYTES;
        if file.len() > limit {
            return Err(JsonError::TooLong { found: file.len(), limit }.into());
        }
        // the signature is the last thing: the text before it cannot be long past its own limit
        let tail = file.len().saturating_sub(SSHSIG_BYTES + ARMOUR.len());
        let window = file.get(tail..).unwrap_or_default();
        let at = window.windows(ARMOUR.len()).position(|w| w == ARMOUR).ok_or(ReceiptError::Unsigned)?;
        let (text, signature) = file.split_at_checked(tail + at).ok_or(ReceiptError::Unsigned)?;
        if text.ends_with(b"\n") { Ok(Self { text, signature }) } else { Err(ReceiptError::Unsigned) }
    }
}

impl Receipt {
    /// Reads a receipt's text; every rule of the specification holds for what it returns.
    ///
    /// The caller has checked the signature over exactly these bytes.
    pub fn parse(text: &[u8]) -> Result<Self, ReceiptError> {
        let receipt: Self = json::decode(text, RECEIPT_BYTES)?;
        receipt.check()?;
        Ok(receipt)
    }

    /// Writes the text in its one form; refuses a receipt that breaks a rule.
    pub fn encode(&self) -> Result<Vec<u8>, ReceiptError> {
        self.check()?;
        let bytes = json::encode(self).map_err(JsonError::Parse)?;
        if bytes.len() > RECEIPT_BYTES {
            return Err(JsonError::TooLong { found: bytes.len(), limit: RECEIPT_BYTES }.into());
        }
        Ok(bytes)
    }

    /// Returns the place of the newest import in the stream: epoch and sequence, 0 before the first.
    pub fn place(&self) -> (u32, u64) {
        (self.epoch.get(), self.sequence.map_or(0, Sequence::get))
    }

    /// Returns the stream that it is about.
    pub fn stream(&self) -> Result<Stream, BundleNameError> {
        Stream::new(self.collector.clone(), self.site.clone())
    }

    fn check(&self) -> Result<(), ReceiptError> {
        if self.format != FORMAT {
            return Err(ReceiptError::Format(self.format));
        }
        let stream = self.stream()?.to_string();
        let rule = |holds: bool, why| if holds { Ok(()) } else { Err(ReceiptError::Rule(why)) };
        rule(
            self.sequence.is_some() == self.bundle.is_some(),
            "it names the newest import by sequence and digest, or by neither",
        )?;
        at_most("states", self.states.len(), RECEIPT_STATES)?;
        at_most("missing bundles", self.missing.len(), RECEIPT_MISSING)?;
        at_most("missing blobs", self.missing.iter().map(|m| m.blobs.len()).sum(), RECEIPT_BLOBS)?;
        rule(
            self.states.is_sorted_by(|a, b| a.repository <= b.repository),
            "the states do not rise by repository",
        )?;
        let (mut held, mut named) = (BTreeSet::new(), BTreeSet::new());
        for state in &self.states {
            at_most("names of a state", state.names.len(), STATE_NAMES)?;
            rule(held.insert((&state.repository, state.manifest)), "a state stands twice")?;
            rule(state.names.is_sorted_by(|a, b| a < b), "the names of a state do not rise")?;
            for name in &state.names {
                rule(
                    named.insert((&state.repository, name)),
                    "a name stands for two states of one repository",
                )?;
            }
        }
        let order = |m: &Missing| (m.bundle.epoch(), m.bundle.sequence(), m.manifest);
        rule(self.missing.is_sorted_by(|a, b| order(a) < order(b)), "the missing bundles do not rise")?;
        for missing in &self.missing {
            rule(missing.bundle.stream() == stream, "a missing bundle is of another stream")?;
            rule(missing.volumes.is_sorted_by(|a, b| a < b), "the missing volumes do not rise")?;
            rule(missing.blobs.is_sorted_by(|a, b| a.sha256 < b.sha256), "the missing blobs do not rise")?;
            rule(
                !missing.volumes.is_empty() || !missing.blobs.is_empty(),
                "nothing of a missing bundle is missing",
            )?;
        }
        Ok(())
    }
}

fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), ReceiptError> {
    if found <= limit { Ok(()) } else { Err(ReceiptError::Limit { what, limit }) }
}

#[cfg(test)]
mod tests;
