//! Believing a bundle: trust chain, signatures, manifest, in this order.

use std::path::{Path, PathBuf};

use chantal_bundle::{
    KeyFingerprint, Manifest, PublicKey, TrustDocument,
    manifest::{self, TrustLink},
    proof::Proof,
    seal,
    trust::Link,
};
use chantal_contract::{
    Digest, SiteName,
    limits::{BUNDLE_MANIFEST_BYTES, SIGNATURES, TRUST_BYTES},
};

use super::{
    TransferError,
    medium::{self, Front, Places},
};
use crate::{
    store::{Imported, Store},
    trust::{self, TrustError},
};

/// A bundle whose manifest was signed by whom it says.
#[derive(Debug)]
pub(super) struct Admitted {
    pub dir: PathBuf,
    pub manifest: Manifest,
    /// The manifest's exact bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
    /// The collector's keys that signed it, rising by their text.
    pub signed: Vec<KeyFingerprint>,
    /// What proves all that to others.
    pub proof: Proof,
}

/// A trust document that a chain brought and that was not known before.
pub(super) struct New {
    /// The version before it.
    pub former: TrustDocument,
    pub document: TrustDocument,
    pub link: Link,
}

/// What came of looking at a bundle: new trust documents count even when the bundle is refused.
pub(super) struct Judged {
    /// In order.
    pub news: Vec<New>,
    pub verdict: Result<Admitted, TransferError>,
    /// What was read from `copy/`, as the first of it could not be read or believed.
    pub copied: Vec<&'static str>,
}

/// Tells whether a bundle's manifest is one that was imported, whatever has become of trust since; its digest says it all.
pub(super) fn imported(store: &Store, dir: &Path) -> Result<Option<Imported>, TransferError> {
    let Ok(bytes) = medium::read(&dir.join(manifest::FILE), BUNDLE_MANIFEST_BYTES) else { return Ok(None) };
    let digest = Digest::of(&bytes);
    Ok(store.catalog().imports(None)?.into_iter().find(|import| import.manifest == digest))
}

/// Looks at a bundle's front; parses its manifest only after the signature over it was found good.
///
/// Where that fails and there are second copies, every way to put the front together from both is tried: damage of one copy is no
/// reason to refuse, and what is believed has passed the same checks.
pub(super) fn judge(store: &Store, dir: &Path) -> Result<Judged, TransferError> {
    let first = judge_front(store, dir, medium::front(dir));
    let believed = |judged: &Result<Judged, TransferError>| matches!(judged, Ok(j) if j.verdict.is_ok());
    if believed(&first) || !dir.join(seal::COPY).is_dir() {
        return first;
    }
    for places in Places::others() {
        let mut other = judge_front(store, dir, medium::front_at(dir, places));
        if believed(&other) {
            if let Ok(judged) = &mut other {
                judged.copied = places.copied();
            }
            return other;
        }
    }
    first
}

fn judge_front(
    store: &Store,
    dir: &Path,
    front: Result<Front, TransferError>,
) -> Result<Judged, TransferError> {
    let front = front?;
    let accepted = accepted(store, dir, &front)?;
    let news = follow(&accepted, &front.chain)
        .map_err(|source| TransferError::Untrusted { path: dir.into(), source })?;
    let current = news.last().map_or(&accepted, |new| &new.document).clone();
    let verdict = admit(dir, &current, front).and_then(|mut admitted| {
        let approvals = medium::approvals(dir)?;
        admitted.proof.approvals = approvals.into_iter().flatten().take(SIGNATURES).collect();
        Ok(admitted)
    });
    Ok(Judged { news, verdict, copied: Vec::new() })
}

/// Looks at a bundle without accepting anything: with the newest trust document that its chain proves.
///
/// Names what was read from `copy/`, too.
pub(super) fn look(
    store: &Store,
    dir: &Path,
) -> Result<(Admitted, TrustDocument, Vec<&'static str>), TransferError> {
    let Judged { mut news, verdict, copied } = judge(store, dir)?;
    let admitted = verdict?;
    let document = match news.pop() {
        Some(new) => Some(new.document),
        None => accepted_of(store, &admitted.manifest.collector)?,
    };
    let document = document.ok_or_else(|| TransferError::NoTrust { path: dir.into() })?;
    Ok((admitted, document, copied))
}

/// Returns the newest trust document that was accepted of a collector.
pub(super) fn accepted_of(
    store: &Store,
    collector: &SiteName,
) -> Result<Option<TrustDocument>, TransferError> {
    Ok(known(store)?.into_iter().find(|document| document.collector == *collector))
}

/// Follows a trust chain beyond the accepted document; all that it returns is to be recorded at once.
pub(super) fn follow(accepted: &TrustDocument, chain: &[Link]) -> Result<Vec<New>, TrustError> {
    let documents = trust::document::follow(accepted, chain)?;
    let links = chain.iter().skip(accepted.version as usize).cloned();
    let formers = std::iter::once(accepted).chain(&documents).cloned();
    let news = formers.zip(documents.iter().cloned()).zip(links);
    Ok(news.map(|((former, document), link)| New { former, document, link }).collect())
}

/// Returns what a manifest must say of a chain.
pub(super) fn listed(chain: &[Link]) -> Vec<TrustLink> {
    let links = (1..).zip(chain);
    links.map(|(version, l)| TrustLink { version, sha256: Digest::of(&l.document) }).collect()
}

/// Finds the accepted document that the chain contains; without one, says which is nearest.
fn accepted(store: &Store, dir: &Path, front: &Front) -> Result<TrustDocument, TransferError> {
    if front.chain.is_empty() {
        return Err(TransferError::NoChain { path: dir.into() });
    }
    let mut known = known(store)?;
    let contains = |document: &TrustDocument| {
        let link = front.chain.get(document.version as usize - 1);
        document.encode().is_ok_and(|bytes| link.is_some_and(|l| l.document == bytes))
    };
    if let Some(document) = known.iter().find(|d| contains(d)) {
        return Ok(document.clone());
    }
    // A site verifies its own bundles, too; but its trust in itself says nothing about somebody else's.
    known.retain(|document| document.collector != *store.site());
    // Of one collector alone the chain rule can say what is wrong: older, or forked.
    if let [only] = known.as_slice()
        && let Err(source) = trust::document::follow(only, &front.chain)
    {
        return Err(TransferError::Untrusted { path: dir.into(), source });
    }
    let known: Vec<SiteName> = known.into_iter().map(|d| d.collector).collect();
    let path = dir.to_path_buf();
    Err(if known.is_empty() {
        TransferError::NoTrust { path }
    } else {
        TransferError::Stranger { path, known }
    })
}

/// Reads the newest accepted trust document of every collector, this site among them.
fn known(store: &Store) -> Result<Vec<TrustDocument>, TransferError> {
    let mut known = Vec::new();
    for collector in store.catalog().collectors()? {
        if let Some((_, digest)) = store.catalog().trust(&collector)? {
            let bytes = store.pool().read(&digest, TRUST_BYTES as u64)?;
            let document = TrustDocument::parse(&bytes).map_err(|e| TransferError::Untrusted {
                path: store.pool().path(&digest),
                source: TrustError::from(e),
            })?;
            known.push(document);
        }
    }
    Ok(known)
}

fn admit(dir: &Path, document: &TrustDocument, front: Front) -> Result<Admitted, TransferError> {
    let Front { manifest: bytes, signatures, chain } = front;
    let path = || dir.to_path_buf();
    let signers = trust::admit(document, &bytes, &signatures)
        .map_err(|source| TransferError::Untrusted { path: path(), source })?;
    let mut signed: Vec<KeyFingerprint> = signers.iter().map(PublicKey::fingerprint).collect();
    signed.sort();
    let manifest =
        Manifest::parse(&bytes).map_err(|source| TransferError::Manifest { path: path(), source })?;
    if manifest.collector != document.collector {
        let (found, proven) = (manifest.collector, document.collector.clone());
        return Err(TransferError::WrongStream { path: path(), found, proven });
    }
    if manifest.trust != listed(&chain) {
        return Err(TransferError::OtherChain { path: path() });
    }
    if manifest.epoch != document.epoch {
        let (bundle, epoch, version) = (manifest.name()?, document.epoch, document.version);
        return Err(TransferError::WrongEpoch { bundle, epoch, version });
    }
    let proof = Proof { manifest: bytes.clone(), signatures, approvals: Vec::new(), trust: chain };
    Ok(Admitted { dir: path(), digest: Digest::of(&bytes), manifest, bytes, signed, proof })
}
