//! This site's own trust chain: its documents with the signatures over them, and how a next version comes into force.
//!
//! Signatures are kept beside the documents: a key that was rotated away cannot make them any more.

use std::collections::BTreeSet;

use chantal_bundle::{
    Epoch, Namespace, PublicKey, TrustDocument, TrustRole, manifest::TrustLink, trust::Link,
};
use chantal_contract::{Digest, SiteName, limits::SSHSIG_BYTES, limits::TRUST_BYTES};
use jiff::Timestamp;

use super::TransferError;
use crate::{
    store::{Event, Store},
    trust::{self, SiteKey, TrustError, sshsig},
};

/// This site's trust documents, from version 1 on, each with enough signatures.
#[derive(Debug)]
pub struct OwnTrust {
    links: Vec<Link>,
    document: TrustDocument,
}

/// Reads the newest version of this site's trust document, without the signatures over it.
pub fn own_document(store: &Store) -> Result<TrustDocument, TransferError> {
    let site = store.site();
    document(store, site)?.ok_or_else(|| TransferError::NoOwnTrust { site: site.clone() })
}

/// Reads the newest accepted version of a collector's trust document.
pub fn document(store: &Store, collector: &SiteName) -> Result<Option<TrustDocument>, TransferError> {
    let Some((_, digest)) = store.catalog().trust(collector)? else { return Ok(None) };
    let bytes = store.pool().read(&digest, TRUST_BYTES as u64)?;
    TrustDocument::parse(&bytes).map(Some).map_err(|e| TransferError::OwnTrust { source: e.into() })
}

impl OwnTrust {
    /// Reads the chain and signs what the given keys may sign and did not; refuses one that nobody could follow.
    pub fn load(store: &Store, keys: &[&SiteKey]) -> Result<Self, TransferError> {
        let own = |source| TransferError::OwnTrust { source };
        let mut links: Vec<Link> = Vec::new();
        let mut former: Option<TrustDocument> = None;
        for row in store.catalog().trusted(store.site())? {
            let bytes = store.pool().read(&row.document, TRUST_BYTES as u64)?;
            let document = TrustDocument::parse(&bytes).map_err(|e| own(e.into()))?;
            let mut link = Link { document: bytes, signatures: Vec::new() };
            for signature in row.signatures {
                link.signatures.push(store.pool().read(&signature, SSHSIG_BYTES as u64)?);
            }
            let roots: BTreeSet<PublicKey> = roots(former.as_ref(), &document);
            sign_link(&mut link, &roots, keys)?;
            links.push(link);
            former = Some(document);
        }
        let document = former.ok_or_else(|| TransferError::NoOwnTrust { site: store.site().clone() })?;
        let first = links.first().map(|link| TrustDocument::parse(&link.document)).transpose();
        let first = first.map_err(|e| own(e.into()))?.unwrap_or_else(|| document.clone());
        trust::document::follow(&first, &links).map_err(own)?;
        Ok(Self { links, document })
    }

    /// Returns the version in force.
    pub fn document(&self) -> &TrustDocument {
        &self.document
    }

    /// Returns every version with its signatures, from version 1 on.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Returns what a manifest says of the chain.
    pub fn listed(&self) -> Vec<TrustLink> {
        let links = (1..).zip(&self.links);
        links.map(|(version, l)| TrustLink { version, sha256: Digest::of(&l.document) }).collect()
    }

    /// Refuses keys that could not sign a bundle.
    pub fn expect_collectors(&self, keys: &[&SiteKey]) -> Result<(), TransferError> {
        let public: Vec<PublicKey> = keys.iter().map(|key| key.public()).collect();
        if self.document.meets(TrustRole::Collector, &public) {
            return Ok(());
        }
        let listed: BTreeSet<&PublicKey> = self.document.keys_of(TrustRole::Collector).collect();
        let strangers =
            public.iter().filter(|key| !listed.contains(key)).map(PublicKey::fingerprint).collect();
        let source = TrustError::NotEnough {
            collector: self.document.collector.clone(),
            version: self.document.version,
            role: TrustRole::Collector,
            signed: public.iter().filter(|key| listed.contains(key)).count(),
            needed: self.document.threshold(TrustRole::Collector),
            strangers,
        };
        Err(TransferError::OwnKeys { source })
    }

    /// Tells whether this site's collector keys signed a manifest.
    pub fn made(&self, manifest: &[u8], signatures: &[Vec<u8>]) -> bool {
        trust::admit(&self.document, manifest, signatures).is_ok()
    }

    /// Signs a next version with those of the keys that may.
    pub fn sign(&self, next: &TrustDocument, keys: &[&SiteKey]) -> Result<Link, TransferError> {
        let document = next.encode().map_err(|e| TransferError::OwnTrust { source: e.into() })?;
        let mut link = Link { document, signatures: Vec::new() };
        sign_link(&mut link, &roots(Some(&self.document), next), keys)?;
        Ok(link)
    }

    /// Brings a next version into force: it must follow from the present one. From then on every bundle carries it.
    pub fn advance(&self, store: &Store, next: &Link, at: Timestamp) -> Result<TrustDocument, TransferError> {
        let own = |source| TransferError::OwnTrust { source };
        let mut links = self.links.clone();
        links.push(next.clone());
        let mut news = trust::document::follow(&self.document, &links).map_err(own)?;
        let document = news.pop().ok_or_else(|| TransferError::NoOwnTrust { site: store.site().clone() })?;
        let kept = store.catalog().trusted(store.site())?;
        let mut former: Option<TrustDocument> = None;
        for (link, row) in self.links.iter().zip(&kept) {
            let version = TrustDocument::parse(&link.document).map_err(|e| own(e.into()))?;
            // the keys that signed this one may be gone tomorrow
            if row.signatures.len() < link.signatures.len() {
                record(store, former.as_ref(), &version, link, at)?;
            }
            former = Some(version);
        }
        record(store, former.as_ref(), &document, next, at)?;
        Ok(document)
    }
}

/// The keys whose signatures over a version count: the root keys of the one before it and its own.
fn roots(former: Option<&TrustDocument>, document: &TrustDocument) -> BTreeSet<PublicKey> {
    let former = former.into_iter().flat_map(|d| d.keys_of(TrustRole::Root));
    former.chain(document.keys_of(TrustRole::Root)).copied().collect()
}

/// Adds the signatures of those keys that may sign and have not.
fn sign_link(link: &mut Link, roots: &BTreeSet<PublicKey>, keys: &[&SiteKey]) -> Result<(), TransferError> {
    let mut signed: BTreeSet<PublicKey> = signers(&link.document, &link.signatures).collect();
    for key in keys {
        if roots.contains(&key.public()) && signed.insert(key.public()) {
            link.signatures.push(sshsig::sign(key, Namespace::Trust, &link.document)?.into_bytes());
        }
    }
    Ok(())
}

/// Returns whose good signatures lie over a trust document.
pub fn signers<'a>(document: &'a [u8], signatures: &'a [Vec<u8>]) -> impl Iterator<Item = PublicKey> + 'a {
    signatures.iter().filter_map(|s| sshsig::verify(Namespace::Trust, document, s).ok())
}

/// Records a version of a trust document and the signatures over it that count.
pub(super) fn record(
    store: &Store,
    former: Option<&TrustDocument>,
    document: &TrustDocument,
    link: &Link,
    at: Timestamp,
) -> Result<(), TransferError> {
    let roots = roots(former, document);
    let batch = store.pool().batch()?;
    let put = batch.put(&link.document)?;
    let mut signatures = Vec::new();
    for signature in &link.signatures {
        let by = sshsig::verify(Namespace::Trust, &link.document, signature);
        if by.is_ok_and(|key| roots.contains(&key)) {
            signatures.push(batch.put(signature)?.sha256);
        }
    }
    batch.flush()?;
    let event = Event::Trusted {
        collector: document.collector.clone(),
        version: document.version,
        document: put.sha256,
        signatures,
    };
    store.journal().append(event, at)?;
    Ok(())
}

/// Returns the epoch of this site's bundles; 1 where it has no trust document, with which it could export nothing.
pub(super) fn epoch(store: &Store) -> Result<Epoch, TransferError> {
    Ok(document(store, store.site())?.map_or(Epoch::FIRST, |document| document.epoch))
}
