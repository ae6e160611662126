//! How one version of a trust document follows from the former one.

use chantal_contract::{
    Digest,
    limits::{SIGNATURES, SSHSIG_BYTES, TRUST_BYTES},
};

use super::{TrustDocument, TrustError, TrustRole};
use crate::{
    key::PublicKey,
    seal::{Namespace, SignatureCheck},
};

/// One trust document of a chain, unread, with the signatures that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The document's bytes.
    pub document: Vec<u8>,
    /// Armoured SSHSIG signatures in namespace `chantal-trust`.
    pub signatures: Vec<Vec<u8>>,
}

/// Where a signature begins in a draft.
const ARMOUR: &[u8] = b"-----BEGIN SSH SIGNATURE-----\n";

impl Link {
    /// Writes a draft: the document, and behind it the signatures that it has so far.
    pub fn to_draft(&self) -> Vec<u8> {
        self.signatures
            .iter()
            .fold(self.document.clone(), |file, signature| [file, signature.clone()].concat())
    }

    /// Reads a draft, parsing neither the document nor the signatures; none where it is too long to be one.
    pub fn from_draft(file: &[u8]) -> Option<Self> {
        if file.len() > TRUST_BYTES + SIGNATURES * SSHSIG_BYTES {
            return None;
        }
        let starts = file.windows(ARMOUR.len()).enumerate().filter(|(_, window)| *window == ARMOUR);
        let mut cuts: Vec<usize> = starts.map(|(at, _)| at).collect();
        cuts.push(file.len());
        let mut parts = Vec::new();
        let mut from = 0;
        for cut in cuts {
            parts.push(file.get(from..cut).unwrap_or_default().to_vec());
            from = cut;
        }
        let mut parts = parts.into_iter();
        let document = parts.next().filter(|document| document.ends_with(b"\n"))?;
        Some(Self { document, signatures: parts.collect() })
    }
}

/// Why a chain of trust documents is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// It ends before the version that was accepted already.
    #[error("the trust chain ends at version {found}, version {accepted} was accepted already")]
    Older {
        /// The chain's last version.
        found: usize,
        /// The accepted version.
        accepted: u32,
    },
    /// It holds another document than the accepted one under the same version.
    #[error("trust document version {version} is {found}, {accepted} was accepted as that version")]
    Forked {
        /// The version.
        version: u32,
        /// What was accepted.
        accepted: Digest,
        /// What the chain holds.
        found: Digest,
    },
    /// Too few keys of the former version signed it.
    #[error("trust document version {version} is not signed by enough root keys of version {}: {} of {threshold}", version - 1, signed)]
    NotSigned {
        /// The version.
        version: u32,
        /// How many distinct root keys of the former version signed.
        signed: usize,
        /// How many must.
        threshold: u32,
    },
    /// Too few of its own root keys signed it.
    #[error("trust document version {version} is not signed by enough of its own root keys")]
    NotOwned {
        /// The version.
        version: u32,
    },
    /// It was signed and breaks a rule.
    #[error(transparent)]
    Document(#[from] TrustError),
    /// It was signed and does not follow: another collector, a gap in versions, a revocation taken back.
    #[error("trust document version {version} {why}")]
    Step {
        /// The version that it should be.
        version: u32,
        /// What is wrong.
        why: &'static str,
    },
    /// It has more signatures, or a longer one, than are looked at.
    #[error("trust document version {version} has too many or too long signatures")]
    Signatures {
        /// The version.
        version: u32,
    },
}

/// What a chain brings beyond the accepted version.
#[derive(Debug)]
#[must_use]
pub struct Extension {
    /// The new versions, in order. All are to be recorded, even if the bundle that brought them is refused.
    pub versions: Vec<TrustDocument>,
    /// Why nothing behind them is believed, where the chain goes on or began wrong.
    pub fault: Option<ChainError>,
}

impl Extension {
    /// Returns the new versions of a chain that is good to its end.
    pub fn whole(self) -> Result<Vec<TrustDocument>, ChainError> {
        self.fault.map_or(Ok(self.versions), Err)
    }
}

/// Follows a chain from version 1 on beyond the accepted document, as far as it leads.
///
/// `links` are versions 1, 2, … as a bundle holds them. Signatures are checked before the document that they cover is parsed.
/// No new version and no fault means that the chain ends at the accepted version.
pub fn extend(accepted: &TrustDocument, links: &[Link], check: &dyn SignatureCheck) -> Extension {
    let mut versions = Vec::new();
    let mut follow = || {
        begins(accepted, links, check)?;
        for link in links.iter().skip(accepted.version as usize) {
            let next = step(versions.last().unwrap_or(accepted), link, check)?;
            versions.push(next);
        }
        Ok(())
    };
    let fault = follow().err();
    Extension { versions, fault }
}

/// Refuses a chain that does not contain the accepted document, with enough signatures of its own.
fn begins(accepted: &TrustDocument, links: &[Link], check: &dyn SignatureCheck) -> Result<(), ChainError> {
    let Some(known) = links.get(accepted.version as usize - 1) else {
        return Err(ChainError::Older { found: links.len(), accepted: accepted.version });
    };
    let (found, digest) = (Digest::of(&known.document), accepted.digest()?);
    if found != digest {
        return Err(ChainError::Forked { version: accepted.version, accepted: digest, found });
    }
    // Known bytes need no proof; a signature that went bad on the way says that the medium cannot be believed.
    if !accepted.meets(TrustRole::Root, &signers(accepted.version, known, check)?) {
        return Err(ChainError::NotOwned { version: accepted.version });
    }
    Ok(())
}

/// Returns the keys whose signatures over a link's document are good.
fn signers(version: u32, link: &Link, check: &dyn SignatureCheck) -> Result<Vec<PublicKey>, ChainError> {
    if link.signatures.len() > SIGNATURES || link.signatures.iter().any(|s| s.len() > SSHSIG_BYTES) {
        return Err(ChainError::Signatures { version });
    }
    Ok(link.signatures.iter().filter_map(|s| check.signer(Namespace::Trust, &link.document, s)).collect())
}

fn step(
    former: &TrustDocument,
    link: &Link,
    check: &dyn SignatureCheck,
) -> Result<TrustDocument, ChainError> {
    let version = former.version + 1;
    let signers = signers(version, link, check)?;
    if !former.meets(TrustRole::Root, &signers) {
        let signed = former.keys_of(TrustRole::Root).filter(|k| signers.contains(k)).count();
        return Err(ChainError::NotSigned { version, signed, threshold: former.threshold(TrustRole::Root) });
    }
    let next = TrustDocument::parse(&link.document)?;
    let rule = |holds: bool, why| if holds { Ok(()) } else { Err(ChainError::Step { version, why }) };
    rule(next.version == version, "says that it is another version")?;
    rule(next.collector == former.collector, "is about another collector")?;
    let raised = u64::from(next.epoch).checked_sub(u64::from(former.epoch));
    rule(raised.is_some_and(|by| by <= 1), "lowers the epoch, or raises it by more than one")?;
    rule(former.revoked.iter().all(|r| next.revoked.contains(r)), "takes a revocation back")?;
    let added = next.revoked.iter().filter(|r| !former.revoked.contains(r));
    rule(added.clone().all(|r| r.version == version), "dates a revocation back")?;
    // A root key that this version revokes may have signed it away; it may not carry it.
    if !next.meets(TrustRole::Root, &signers) {
        return Err(ChainError::NotOwned { version });
    }
    Ok(next)
}
