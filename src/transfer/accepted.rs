//! Trust documents that were accepted, this site's own among them: how they are read back, and how new ones are recorded.
//!
//! Signatures are kept beside the documents: a key that was rotated away cannot make them any more.

use std::collections::BTreeSet;

use chantal_bundle::{
    Namespace, PublicKey, TrustDocument, TrustRole,
    manifest::TrustLink,
    trust::{Extension, Link, extend},
};
use chantal_contract::{
    Digest, SiteName,
    limits::{SSHSIG_BYTES, TRUST_BYTES},
};
use jiff::Timestamp;

use super::TransferError;
use crate::{
    store::{Event, Store},
    trust::{Strict, TrustError, sshsig},
};

/// A trust document that a chain brought and that was not known before.
pub(super) struct New {
    /// The version before it.
    pub former: TrustDocument,
    pub document: TrustDocument,
    pub link: Link,
}

/// What following a chain brought: its new documents count whatever becomes of what carried them.
pub(super) struct Followed {
    /// In order.
    pub news: Vec<New>,
    /// Why nothing behind them is believed.
    pub fault: Option<TrustError>,
}

/// Follows a trust chain beyond the accepted document, as far as it leads.
pub(super) fn follow(accepted: &TrustDocument, chain: &[Link]) -> Followed {
    let Extension { versions, fault } = extend(accepted, chain, &Strict);
    let links = chain.iter().skip(accepted.version as usize).cloned();
    let formers = std::iter::once(accepted).chain(&versions).cloned();
    let news = formers.zip(versions.iter().cloned()).zip(links);
    let news = news.map(|((former, document), link)| New { former, document, link }).collect();
    Followed { news, fault: fault.map(TrustError::from) }
}

/// Records new trust documents at once, whatever becomes of what brought them.
pub(super) fn accept(store: &Store, news: &[New], at: Timestamp) -> Result<(), TransferError> {
    news.iter().try_for_each(|new| record(store, Some(&new.former), &new.document, &new.link, at))
}

/// Records a version of a trust document and the signatures over it that count.
pub fn record(
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

/// The keys whose signatures over a version count: the root keys of the one before it and its own.
pub(super) fn roots(former: Option<&TrustDocument>, document: &TrustDocument) -> BTreeSet<PublicKey> {
    let former = former.into_iter().flat_map(|d| d.keys_of(TrustRole::Root));
    former.chain(document.keys_of(TrustRole::Root)).copied().collect()
}

/// Reads an accepted document.
pub(super) fn read(store: &Store, digest: &Digest) -> Result<TrustDocument, TransferError> {
    parse(store, digest, &store.pool().read(digest, TRUST_BYTES as u64)?)
}

fn parse(store: &Store, digest: &Digest, bytes: &[u8]) -> Result<TrustDocument, TransferError> {
    TrustDocument::parse(bytes).map_err(|source| TransferError::Untrusted {
        path: store.pool().path(digest),
        source: TrustError::from(source),
    })
}

/// Reads the newest accepted version of a collector's trust document.
pub fn document(store: &Store, collector: &SiteName) -> Result<Option<TrustDocument>, TransferError> {
    let newest = store.catalog().trust(collector)?;
    newest.map(|(_, digest)| read(store, &digest)).transpose()
}

/// Reads the newest accepted trust document of every collector, this site among them.
pub(super) fn documents(store: &Store) -> Result<Vec<TrustDocument>, TransferError> {
    let mut documents = Vec::new();
    for collector in store.catalog().collectors()? {
        documents.extend(document(store, &collector)?);
    }
    Ok(documents)
}

/// Reads every accepted version of a collector's trust document with the signatures over it that were kept, from version 1 on.
pub fn links(store: &Store, collector: &SiteName) -> Result<Vec<(Link, TrustDocument)>, TransferError> {
    let mut links = Vec::new();
    for row in store.catalog().trusted(collector)? {
        let bytes = store.pool().read(&row.document, TRUST_BYTES as u64)?;
        let document = parse(store, &row.document, &bytes)?;
        let signatures = row.signatures.iter().map(|s| store.pool().read(s, SSHSIG_BYTES as u64));
        let signatures = signatures.collect::<Result<_, _>>()?;
        links.push((Link { document: bytes, signatures }, document));
    }
    Ok(links)
}

/// Returns what a manifest says of a chain.
pub(super) fn listed(chain: &[Link]) -> Vec<TrustLink> {
    let links = (1..).zip(chain);
    links.map(|(version, l)| TrustLink { version, sha256: Digest::of(&l.document) }).collect()
}
