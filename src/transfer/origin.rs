//! Proofs of first collectors (docs/bundle-format.md §12): made of what an import brings, handed on by exports, demanded where
//! a site asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use chantal_bundle::{
    Manifest, PublicKey, TrustDocument,
    manifest::{CarriedState, OriginFile},
    proof::{self, Proof},
    trust::ChainError,
};
use chantal_contract::{
    Digest, Name, SiteName,
    limits::{ORIGINS, PROOF_BYTES, TRUST_BYTES},
};

use super::{
    TransferError,
    admit::{self, New},
    medium,
};
use crate::{
    store::{Batch, Store},
    trust::{self, TrustError},
};

/// Whose signature a site demands for a repository that arrives, whoever hands it on.
pub type Demands = BTreeMap<Name, SiteName>;

/// What came of looking at a proof: new trust documents count whatever becomes of the rest.
pub(super) struct Judged {
    pub news: Vec<New>,
    /// The manifest that is proved; none where its collector is not trusted here.
    pub verdict: Result<Option<Manifest>, TransferError>,
}

/// Looks at a proof; its manifest is parsed only after a signature over it was found good.
pub(super) fn judge(store: &Store, path: &Path, proof: &Proof) -> Result<Judged, TransferError> {
    let untrusted = |source| TransferError::Untrusted { path: path.into(), source };
    let Some(first) = proof.trust.first().map(|link| Digest::of(&link.document)) else {
        return Ok(Judged { news: Vec::new(), verdict: Ok(None) });
    };
    for collector in store.catalog().collectors()? {
        let chain = store.catalog().trust_chain(&collector)?;
        if chain.first().is_none_or(|(_, digest)| *digest != first) {
            continue;
        }
        let Some((_, newest)) = chain.last() else { continue };
        let accepted = document(store, newest)?;
        if proof.trust.len() >= chain.len() {
            let news = admit::follow(&accepted, &proof.trust).map_err(untrusted)?;
            let current = news.last().map_or(&accepted, |new| &new.document).clone();
            let verdict = proven(path, &current, &current, proof).map(Some);
            return Ok(Judged { news, verdict });
        }
        // Made before the newest version: each of its documents must be the one that was accepted then.
        let mut then = accepted.clone();
        for (link, (version, known)) in proof.trust.iter().zip(&chain) {
            let found = Digest::of(&link.document);
            if found != *known {
                let forked = ChainError::Forked { version: *version, accepted: *known, found };
                return Err(untrusted(forked.into()));
            }
            then = document(store, known)?;
        }
        return Ok(Judged { news: Vec::new(), verdict: proven(path, &then, &accepted, proof).map(Some) });
    }
    Ok(Judged { news: Vec::new(), verdict: Ok(None) })
}

fn document(store: &Store, digest: &Digest) -> Result<TrustDocument, TransferError> {
    let bytes = store.pool().read(digest, TRUST_BYTES as u64)?;
    TrustDocument::parse(&bytes).map_err(|source| TransferError::Untrusted {
        path: store.pool().path(digest),
        source: TrustError::from(source),
    })
}

/// Checks the signatures as the document in force `then` asks, and that none of the signers was revoked since.
fn proven(
    path: &Path,
    then: &TrustDocument,
    now: &TrustDocument,
    proof: &Proof,
) -> Result<Manifest, TransferError> {
    let untrusted = |source| TransferError::Untrusted { path: path.into(), source };
    let signers = trust::admit(then, &proof.manifest, &proof.signatures).map_err(untrusted)?;
    for key in signers.iter().map(PublicKey::fingerprint) {
        if let Some(revocation) = now.revoked.iter().find(|r| r.key == key) {
            return Err(untrusted(TrustError::Revoked { key, version: revocation.version }));
        }
    }
    let manifest = Manifest::parse(&proof.manifest)
        .map_err(|source| TransferError::Manifest { path: path.into(), source })?;
    if manifest.collector != then.collector {
        let (found, proven) = (manifest.collector, then.collector.clone());
        return Err(TransferError::WrongStream { path: path.into(), found, proven });
    }
    if manifest.trust != admit::listed(&proof.trust) {
        return Err(TransferError::OtherChain { path: path.into() });
    }
    Ok(manifest)
}

/// Reads a proof that an import kept.
pub(super) fn read_proof(store: &Store, digest: &Digest) -> Result<Proof, TransferError> {
    let bytes = store.pool().read(digest, PROOF_BYTES as u64)?;
    let path = store.pool().path(digest);
    Proof::parse(&bytes).map_err(|source| TransferError::Proof { path, source })
}

/// The proofs that a bundle brings of collectors before its own, in the pool and judged.
pub(super) struct Origins {
    pub news: Vec<New>,
    /// What is proved, by the collectors that are trusted here.
    proven: Vec<Manifest>,
}

/// Takes a bundle's proofs into the pool and judges them; one of a trusted collector that is not good refuses the bundle.
pub(super) fn take(
    store: &Store,
    batch: &Batch,
    listed: &[OriginFile],
    dirs: &[PathBuf],
) -> Result<Origins, TransferError> {
    let mut origins = Origins { news: Vec::new(), proven: Vec::new() };
    for file in listed {
        let (path, bytes) = read(store, file, dirs)?;
        let proof =
            Proof::parse(&bytes).map_err(|source| TransferError::Proof { path: path.clone(), source })?;
        let judged = judge(store, &path, &proof)?;
        origins.proven.extend(judged.verdict?);
        origins.news.extend(judged.news);
        batch.put(&bytes)?;
    }
    Ok(origins)
}

/// Reads a proof from the first directory that has it as it was signed, or from the pool, where an earlier visit put it.
fn read(store: &Store, file: &OriginFile, dirs: &[PathBuf]) -> Result<(PathBuf, Vec<u8>), TransferError> {
    let name = proof::path(&file.sha256);
    let mut last = None;
    for path in dirs.iter().map(|dir| dir.join(&name)) {
        match medium::read(&path, PROOF_BYTES) {
            Ok(bytes) if Digest::of(&bytes) == file.sha256 => return Ok((path, bytes)),
            Ok(_) => last = Some(TransferError::OtherProof { path }),
            Err(error) => last = last.or(Some(error)),
        }
    }
    if store.pool().has(&file.sha256)?.is_some() {
        let bytes = store.pool().read(&file.sha256, PROOF_BYTES as u64)?;
        return Ok((store.pool().path(&file.sha256), bytes));
    }
    Err(last.unwrap_or_else(|| TransferError::OtherProof { path: name.into() }))
}

/// Looks at a bundle's proofs and tells whose they are; none for a collector that is not trusted here.
pub(super) fn look(
    store: &Store,
    listed: &[OriginFile],
    dirs: &[PathBuf],
) -> Result<Vec<Option<SiteName>>, TransferError> {
    let mut found = Vec::new();
    for file in listed {
        let (path, bytes) = read(store, file, dirs)?;
        let proof =
            Proof::parse(&bytes).map_err(|source| TransferError::Proof { path: path.clone(), source })?;
        found.push(judge(store, &path, &proof)?.verdict?.map(|manifest| manifest.collector));
    }
    Ok(found)
}

impl Origins {
    /// Refuses states of repositories for which the site demands a collector's signature that neither the bundle itself nor a
    /// proof has.
    pub fn expect(&self, manifest: &Manifest, demands: &Demands) -> Result<(), TransferError> {
        for state in &manifest.states {
            let Some(demanded) = demands.get(&state.repository) else { continue };
            let brought = |m: &Manifest| m.collector == *demanded && carries(m, state);
            if manifest.collector == *demanded || self.proven.iter().any(brought) {
                continue;
            }
            return Err(TransferError::NoOrigin {
                bundle: manifest.name()?,
                repository: state.repository.clone(),
                collector: demanded.clone(),
            });
        }
        Ok(())
    }
}

fn carries(manifest: &Manifest, state: &CarriedState) -> bool {
    let key = |s: &CarriedState| (s.repository.clone(), s.manifest, s.evidence);
    manifest.states.iter().any(|s| key(s) == key(state))
}

/// Lists the proofs that belong to states which came from elsewhere: of the bundles that brought them, and what those held.
pub(super) fn of_states<'a>(
    store: &Store,
    states: impl IntoIterator<Item = (&'a Name, Digest)>,
) -> Result<Vec<OriginFile>, TransferError> {
    let imports = store.catalog().imports(None)?;
    let mut digests = BTreeSet::new();
    for (repository, manifest) in states {
        let brought = imports.iter().rfind(|import| {
            import.states.iter().any(|s| s.repository == *repository && s.state.manifest == manifest)
        });
        if let Some(import) = brought {
            digests.extend(import.proof.iter().chain(&import.origins));
        }
    }
    let mut files = Vec::new();
    for sha256 in digests.into_iter().take(ORIGINS) {
        // what an older version imported has none
        if let Some(size) = store.pool().has(&sha256)? {
            files.push(OriginFile { size, sha256 });
        }
    }
    Ok(files)
}
