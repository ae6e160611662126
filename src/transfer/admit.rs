//! Believing a bundle: trust chain, signatures, manifest, in this order.

use std::path::{Path, PathBuf};

use chantal_bundle::{
    KeyFingerprint, Manifest, PublicKey, TrustDocument, manifest, proof::Proof, seal, trust::ChainError,
};
use chantal_contract::{
    Digest, SiteName,
    limits::{BUNDLE_MANIFEST_BYTES, SIGNATURES},
};

use super::{
    TransferError,
    accepted::{self, Followed, New},
    medium::{self, Front, Places},
    origin::Chains,
};
use crate::{
    store::{Imported, Store},
    trust::{self, TrustError, document::expect_unrevoked},
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

/// What came of looking at a bundle: new trust documents count whatever becomes of the rest.
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
pub(super) fn judge(store: &Store, dir: &Path) -> Judged {
    let mut first = judge_front(store, dir, medium::front(dir));
    if first.verdict.is_ok() || !dir.join(seal::COPY).is_dir() {
        return first;
    }
    for places in Places::others() {
        let mut other = judge_front(store, dir, medium::front_at(dir, places));
        // the chain that leads furthest counts, and nothing that goes with a shorter one
        if other.news.len() < first.news.len() {
            continue;
        }
        if other.verdict.is_ok() {
            other.copied = places.copied();
            return other;
        }
        first.news = other.news;
    }
    first
}

fn judge_front(store: &Store, dir: &Path, front: Result<Front, TransferError>) -> Judged {
    let mut news = Vec::new();
    let verdict = front.and_then(|front| {
        let accepted = accepted(store, dir, &front)?;
        let Followed { news: found, fault } = accepted::follow(&accepted, &front.chain);
        news = found;
        if let Some(source) = fault {
            return Err(TransferError::Untrusted { path: dir.into(), source });
        }
        let current = news.last().map_or(&accepted, |new| &new.document);
        admit(dir, current, current, front)
    });
    Judged { news, verdict, copied: Vec::new() }
}

/// A bundle that is looked at, and nothing is accepted of it.
pub(super) struct Seen {
    pub admitted: Admitted,
    /// The trust document that it is believed by.
    pub document: TrustDocument,
    /// The newest version that was accepted, where it was made before that.
    pub newest: Option<u32>,
    /// What was read from `copy/`.
    pub copied: Vec<&'static str>,
}

/// Looks at a bundle without accepting anything: with the newest trust document that its chain proves.
pub(super) fn look(store: &Store, dir: &Path) -> Result<Seen, TransferError> {
    let Judged { mut news, verdict, copied } = judge(store, dir);
    let admitted = verdict?;
    let document = match news.pop() {
        Some(new) => Some(new.document),
        None => accepted::document(store, &admitted.manifest.collector)?,
    };
    let document = document.ok_or_else(|| TransferError::NoTrust { path: dir.into() })?;
    Ok(Seen { admitted, document, newest: None, copied })
}

/// Says of a bundle that was made before a change of trust what it is good for.
pub(super) fn of_older_trust(version: u32, newest: u32) -> String {
    format!(
        "it is of an older trust version: {version}, and version {newest} was accepted; it can be looked at, and is not imported any more"
    )
}

/// Looks at a bundle as [`look`] does, and believes one from before a change of trust, too: whose chain is the beginning of the
/// accepted one, and of whose signers none was revoked since. It may be looked at, and no more.
pub(super) fn look_back(store: &Store, dir: &Path) -> Result<Seen, TransferError> {
    let fault = match look(store, dir) {
        Err(fault @ TransferError::Untrusted { source: TrustError::Chain(ChainError::Older { .. }), .. }) => {
            fault
        }
        other => return other,
    };
    let chains = Chains::load(store)?;
    for places in std::iter::once(Places::default()).chain(Places::others()) {
        let Ok(front) = medium::front_at(dir, places) else { continue };
        let Some((then, newest)) = chains.documents(dir, &front.chain)? else { continue };
        match admit(dir, then, newest, front) {
            Ok(admitted) => {
                let (document, newest, copied) = (then.clone(), Some(newest.version), places.copied());
                return Ok(Seen { admitted, document, newest, copied });
            }
            Err(revoked @ TransferError::Untrusted { source: TrustError::Revoked { .. }, .. }) => {
                return Err(revoked);
            }
            Err(_) => {}
        }
    }
    Err(fault)
}

/// Finds the accepted document that the chain contains; without one, says which is nearest.
fn accepted(store: &Store, dir: &Path, front: &Front) -> Result<TrustDocument, TransferError> {
    if front.chain.is_empty() {
        return Err(TransferError::NoChain { path: dir.into() });
    }
    let known = accepted::documents(store)?;
    let contains = |document: &TrustDocument| {
        let link = front.chain.get(document.version as usize - 1);
        document.encode().is_ok_and(|bytes| link.is_some_and(|l| l.document == bytes))
    };
    if let Some(document) = known.iter().find(|d| contains(d)) {
        return Ok(document.clone());
    }
    // Nothing proves this; it only tells which of the collectors to hold it against.
    let first = front.chain.first().and_then(|link| TrustDocument::parse(&link.document).ok());
    let claimed = first.map(|document| document.collector);
    // Of one collector the chain rule can say what is wrong: older, or forked.
    if let Some(meant) = known.iter().find(|document| Some(&document.collector) == claimed.as_ref())
        && let Some(source) = accepted::follow(meant, &front.chain).fault
    {
        return Err(TransferError::Untrusted { path: dir.into(), source });
    }
    // A site verifies its own bundles, too; but its trust in itself says nothing about somebody else's.
    let others = known.into_iter().map(|document| document.collector).filter(|c| c != store.site());
    let (path, known) = (dir.to_path_buf(), others.collect::<Vec<SiteName>>());
    Err(match known.as_slice() {
        [] => TransferError::NoTrust { path },
        _ => TransferError::Stranger { path, claimed, known },
    })
}

fn admit(
    dir: &Path,
    then: &TrustDocument,
    now: &TrustDocument,
    front: Front,
) -> Result<Admitted, TransferError> {
    let Front { manifest: bytes, signatures, chain } = front;
    let mut proof = Proof { manifest: bytes.clone(), signatures, approvals: Vec::new(), trust: chain };
    let (manifest, signers) = believe(dir, then, now, &proof)?;
    proof.approvals = medium::approvals(dir)?.into_iter().flatten().take(SIGNATURES).collect();
    let mut signed: Vec<KeyFingerprint> = signers.iter().map(PublicKey::fingerprint).collect();
    signed.sort();
    Ok(Admitted { dir: dir.into(), digest: Digest::of(&bytes), manifest, bytes, signed, proof })
}

/// Believes what a proof proves: a manifest that enough keys of the trust document `then` signed, which its chain ends in, none of
/// them revoked by the newest one, `now`; of that document's collector and epoch, and with the chain that it lists.
///
/// It is parsed only after the signatures over it were found good. Returns it with the keys that signed it.
pub(super) fn believe(
    path: &Path,
    then: &TrustDocument,
    now: &TrustDocument,
    proof: &Proof,
) -> Result<(Manifest, Vec<PublicKey>), TransferError> {
    let untrusted = |source| TransferError::Untrusted { path: path.into(), source };
    let signers = trust::admit(then, &proof.manifest, &proof.signatures).map_err(untrusted)?;
    signers.iter().try_for_each(|key| expect_unrevoked(now, &key.fingerprint())).map_err(untrusted)?;
    let manifest = Manifest::parse(&proof.manifest)
        .map_err(|source| TransferError::Manifest { path: path.into(), source })?;
    if manifest.collector != then.collector {
        let (found, proven) = (manifest.collector, then.collector.clone());
        return Err(TransferError::WrongStream { path: path.into(), found, proven });
    }
    if manifest.trust != accepted::listed(&proof.trust) {
        return Err(TransferError::OtherChain { path: path.into() });
    }
    expect_epoch(&manifest, then)?;
    Ok((manifest, signers))
}

fn expect_epoch(manifest: &Manifest, document: &TrustDocument) -> Result<(), TransferError> {
    if manifest.epoch == document.epoch {
        return Ok(());
    }
    let (bundle, epoch, version) = (manifest.name()?, document.epoch, document.version);
    Err(TransferError::WrongEpoch { bundle, epoch, version })
}

/// Refuses a bundle whose signer was revoked since it was admitted, or whose epoch is over: by another bundle of the same import, or by
/// a proof.
pub(super) fn expect_still(store: &Store, admitted: &Admitted) -> Result<(), TransferError> {
    let Some(document) = accepted::document(store, &admitted.manifest.collector)? else { return Ok(()) };
    let untrusted = |source| TransferError::Untrusted { path: admitted.dir.clone(), source };
    admitted.signed.iter().try_for_each(|key| expect_unrevoked(&document, key)).map_err(untrusted)?;
    expect_epoch(&admitted.manifest, &document)
}
