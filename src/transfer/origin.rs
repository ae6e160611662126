//! Proofs of first collectors (docs/bundle-format.md §12): made of what an import brings, handed on by exports, demanded where
//! a site asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use chantal_bundle::{
    Epoch, Manifest, Sequence, TrustDocument,
    manifest::{CarriedState, ManifestError, OriginFile},
    proof::{self, Proof},
    trust::{ChainError, Link},
};
use chantal_contract::{
    Digest, Name, SiteName,
    limits::{ORIGINS, PROOF_BYTES},
};
use jiff::Timestamp;

use super::{
    ExportError, TransferError,
    accepted::{self, New},
    admit, medium,
};
use crate::{
    store::{Imported, Store},
    trust,
};

/// Whose signature a site demands for a repository that arrives, whoever hands it on.
pub type Demands = BTreeMap<Name, SiteName>;

/// The trust chains that proofs are judged by: what was accepted here, and what the proofs themselves add to it.
///
/// Each holds every version with its digest, from the one on that a person vouched for; a chain is of that collector if it holds this one
/// in its place.
pub(super) struct Chains(Vec<Vec<(Digest, TrustDocument)>>);

impl Chains {
    pub fn load(store: &Store) -> Result<Self, TransferError> {
        let mut chains = Vec::new();
        for collector in store.catalog().collectors()? {
            let chain = store.catalog().trust_chain(&collector)?;
            let read = |digest| Ok((digest, accepted::read(store, &digest)?));
            let documents =
                chain.iter().map(|(_, digest)| read(*digest)).collect::<Result<_, TransferError>>()?;
            chains.push(documents);
        }
        Ok(Self(chains))
    }

    /// Follows a proof's chain as far as it leads; what it adds counts for every proof, whatever becomes of this one.
    fn learn(&mut self, proof: &Proof) -> Vec<New> {
        let Some(known) = self.0.iter_mut().find(|known| is_of(&proof.trust, known)) else {
            return Vec::new();
        };
        let newest = known.last().filter(|(_, newest)| (newest.version as usize) < proof.trust.len());
        let Some((_, newest)) = newest else { return Vec::new() };
        let news = accepted::follow(newest, &proof.trust).news;
        known.extend(news.iter().map(|new| (Digest::of(&new.link.document), new.document.clone())));
        news
    }

    /// Returns the manifest that is proved, which is parsed only after a signature over it was found good; none where its
    /// collector is not trusted here.
    fn judge(&self, path: &Path, proof: &Proof) -> Result<Option<Manifest>, TransferError> {
        let Some((then, newest)) = self.documents(path, &proof.trust)? else { return Ok(None) };
        admit::believe(path, then, newest, proof).map(|(manifest, _)| Some(manifest))
    }

    /// Returns the trust document that a chain ends in, and the newest of its collector; none where that is not trusted here.
    ///
    /// A chain that was made before the newest version must be the beginning of the accepted one.
    pub fn documents(
        &self,
        path: &Path,
        chain: &[Link],
    ) -> Result<Option<(&TrustDocument, &TrustDocument)>, TransferError> {
        let Some(known) = self.0.iter().find(|known| is_of(chain, known)) else { return Ok(None) };
        let Some((_, newest)) = known.last() else { return Ok(None) };
        let untrusted = |source| TransferError::Untrusted { path: path.into(), source };
        if chain.len() >= newest.version as usize {
            trust::document::follow(newest, chain).map_err(untrusted)?;
            return Ok(Some((newest, newest)));
        }
        let mut then = newest;
        for (accepted, document) in known {
            let Some(link) = chain.get(document.version as usize - 1) else { break };
            let found = Digest::of(&link.document);
            if found != *accepted {
                let forked = ChainError::Forked { version: document.version, accepted: *accepted, found };
                return Err(untrusted(forked.into()));
            }
            then = document;
        }
        Ok(Some((then, newest)))
    }
}

/// Tells whether a chain is the one of which these versions were accepted.
fn is_of(chain: &[Link], known: &[(Digest, TrustDocument)]) -> bool {
    known.first().is_some_and(|(digest, first)| {
        let link = (first.version as usize).checked_sub(1).and_then(|at| chain.get(at));
        link.is_some_and(|link| Digest::of(&link.document) == *digest)
    })
}

/// Reads a proof that an import kept.
pub(super) fn read_proof(store: &Store, digest: &Digest) -> Result<Proof, TransferError> {
    let bytes = store.pool().read(digest, PROOF_BYTES as u64)?;
    let path = store.pool().path(digest);
    Proof::parse(&bytes).map_err(|source| TransferError::Proof { path, source })
}

/// The proofs that a bundle brings of collectors before its own, in the pool and judged.
pub(super) struct Origins {
    /// What is proved, by the collectors that are trusted here.
    proven: Vec<Manifest>,
}

/// Takes a bundle's proofs into the pool and judges them; one of a trusted collector that is not good refuses the bundle.
///
/// The trust documents that they bring are recorded before any of them is judged: they count even then, and one proof may bring
/// the revocation that another one meets.
pub(super) fn take(
    store: &Store,
    listed: &[OriginFile],
    dirs: &[PathBuf],
    at: Timestamp,
) -> Result<Origins, TransferError> {
    let mut chains = Chains::load(store)?;
    each(store, listed, dirs, |_, _, proof| accepted::accept(store, &chains.learn(proof), at))?;
    let batch = store.pool().batch()?;
    let mut proven = Vec::new();
    each(store, listed, dirs, |path, bytes, proof| {
        proven.extend(chains.judge(path, proof)?);
        batch.put(bytes)?;
        Ok(())
    })?;
    batch.flush()?;
    Ok(Origins { proven })
}

/// Looks at a bundle's proofs and tells whose they are; none for a collector that is not trusted here. Nothing is recorded.
pub(super) fn look(
    store: &Store,
    listed: &[OriginFile],
    dirs: &[PathBuf],
) -> Result<Vec<Option<SiteName>>, TransferError> {
    let mut chains = Chains::load(store)?;
    each(store, listed, dirs, |_, _, proof| {
        chains.learn(proof);
        Ok(())
    })?;
    let mut found = Vec::new();
    each(store, listed, dirs, |path, _, proof| {
        found.push(chains.judge(path, proof)?.map(|manifest| manifest.collector));
        Ok(())
    })?;
    Ok(found)
}

/// Does something with every proof that can be read, and then says of the first one that cannot why.
fn each(
    store: &Store,
    listed: &[OriginFile],
    dirs: &[PathBuf],
    mut with: impl FnMut(&Path, &[u8], &Proof) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    let mut first = Ok(());
    for file in listed {
        match open(store, file, dirs) {
            Ok((path, bytes, proof)) => with(&path, &bytes, &proof)?,
            Err(fault) => first = first.and(Err(fault)),
        }
    }
    first
}

fn open(
    store: &Store,
    file: &OriginFile,
    dirs: &[PathBuf],
) -> Result<(PathBuf, Vec<u8>, Proof), TransferError> {
    let (path, bytes) = read(store, file, dirs)?;
    match Proof::parse(&bytes) {
        Ok(proof) => Ok((path, bytes, proof)),
        Err(source) => Err(TransferError::Proof { path, source }),
    }
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

impl Origins {
    /// Refuses states of repositories for which the site demands a collector's signature that neither the bundle itself nor a
    /// proof has; and what is to become current, where it was not that collector's newest, or the proof is older than the one that
    /// came before: whoever hands states on does not choose among them.
    pub fn expect(&self, store: &Store, manifest: &Manifest, demands: &Demands) -> Result<(), TransferError> {
        for state in &manifest.states {
            let Some(demanded) = demands.get(&state.repository).filter(|d| **d != manifest.collector) else {
                continue;
            };
            let current = manifest.is_newest(state);
            let brought = |m: &&Manifest| {
                m.collector == *demanded && carried(m, state).is_some_and(|own| !current || m.is_newest(own))
            };
            let brought: Vec<&Manifest> = self.proven.iter().filter(brought).collect();
            let (bundle, repository, collector) =
                (manifest.name()?, state.repository.clone(), demanded.clone());
            if brought.is_empty() {
                return Err(TransferError::NoOrigin { bundle, repository, collector });
            }
            let before = if current { before(store, &repository, demanded)? } else { Vec::new() };
            // the numbers of two streams say nothing of each other
            let older = |m: &&Manifest| before.iter().any(|b| b.site == m.site && place(m) < place(b));
            if let Some(known) = before.iter().map(place).max()
                && brought.iter().all(older)
            {
                let found = brought.into_iter().map(place).max().unwrap_or(known);
                return Err(TransferError::OldOrigin { bundle, repository, collector, found, known });
            }
        }
        Ok(())
    }
}

fn place(manifest: &Manifest) -> (Epoch, Sequence) {
    (manifest.epoch, manifest.sequence)
}

/// Returns the manifests of a collector that proved what a repository holds now.
fn before(store: &Store, repository: &Name, collector: &SiteName) -> Result<Vec<Manifest>, TransferError> {
    let imports = store.catalog().imports(None)?;
    let brings = |import: &&Imported| import.states.iter().any(|s| s.repository == *repository);
    let Some(last) = imports.iter().rfind(brings) else { return Ok(Vec::new()) };
    let mut before = Vec::new();
    for digest in last.proof.iter().chain(&last.origins) {
        if store.pool().has(digest)?.is_none() {
            continue;
        }
        let proof = read_proof(store, digest)?;
        let path = store.pool().path(digest);
        let manifest =
            Manifest::parse(&proof.manifest).map_err(|source| TransferError::Manifest { path, source })?;
        if manifest.collector == *collector && manifest.states.iter().any(|s| s.repository == *repository) {
            before.push(manifest);
        }
    }
    Ok(before)
}

fn carried<'a>(manifest: &'a Manifest, state: &CarriedState) -> Option<&'a CarriedState> {
    let key = |s: &CarriedState| (s.repository.clone(), s.manifest, s.evidence);
    manifest.states.iter().find(|s| key(s) == key(state))
}

/// Lists the proofs that belong to states which came from elsewhere: of the bundles that brought them, and what those held.
///
/// More than a bundle may carry are refused: a state that went without its proof would be refused where the proof is demanded.
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
    for sha256 in digests {
        // what an older version imported has none
        if let Some(size) = store.pool().has(&sha256)? {
            files.push(OriginFile { size, sha256 });
        }
    }
    if files.len() > ORIGINS {
        let limit = ORIGINS as u64;
        return Err(TransferError::Export(ExportError::Unwritable(ManifestError::Limit {
            what: "the origin proofs",
            limit,
        })));
    }
    Ok(files)
}
