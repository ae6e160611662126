//! This site's own trust chain: its documents with the signatures over them, and how a next version comes into force.

use std::collections::BTreeSet;

use chantal_bundle::{Epoch, Namespace, PublicKey, TrustDocument, TrustRole, trust::Link};
use jiff::Timestamp;

use super::{
    ExportError, TransferError,
    accepted::{self, document, record, roots},
};
use crate::{
    store::Store,
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

impl OwnTrust {
    /// Reads the chain and signs what the given keys may sign and did not; refuses one that nobody could follow.
    pub fn load(store: &Store, keys: &[&SiteKey]) -> Result<Self, TransferError> {
        let own = |source| TransferError::OwnTrust { source };
        let nobody = || TransferError::NoOwnTrust { site: store.site().clone() };
        let (mut links, mut first, mut former) = (Vec::new(), None, None);
        for (mut link, document) in accepted::links(store, store.site())? {
            sign_link(&mut link, &roots(former.as_ref(), &document), keys)?;
            links.push(link);
            first = first.or_else(|| Some(document.clone()));
            former = Some(document);
        }
        trust::document::follow(&first.ok_or_else(nobody)?, &links).map_err(own)?;
        Ok(Self { links, document: former.ok_or_else(nobody)? })
    }

    /// Returns the version in force.
    pub fn document(&self) -> &TrustDocument {
        &self.document
    }

    /// Returns every version with its signatures, from version 1 on.
    pub fn links(&self) -> &[Link] {
        &self.links
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
        Err(TransferError::Export(ExportError::OwnKeys { source }))
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
        self.keep(store, at)?;
        record(store, Some(&self.document), &document, next, at)?;
        Ok(document)
    }

    /// Records the signatures that were made when the chain was read: the keys that made them may be gone tomorrow, and a hardware token
    /// is not touched twice for what it signed.
    pub(super) fn keep(&self, store: &Store, at: Timestamp) -> Result<(), TransferError> {
        let mut former = None;
        for (link, (kept, document)) in self.links.iter().zip(accepted::links(store, store.site())?) {
            if kept.signatures.len() < link.signatures.len() {
                record(store, former.as_ref(), &document, link, at)?;
            }
            former = Some(document);
        }
        Ok(())
    }
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

/// Returns the epoch of this site's bundles; 1 where it has no trust document, with which it could export nothing.
pub(super) fn epoch(store: &Store) -> Result<Epoch, TransferError> {
    Ok(document(store, store.site())?.map_or(Epoch::FIRST, |document| document.epoch))
}
