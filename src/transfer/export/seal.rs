//! The files around a bundle's index and volumes: trust chain, manifest, signature, sums.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use chantal_bundle::{
    Manifest, Namespace, TrustDocument, TrustRole,
    manifest::{self, TrustLink},
    seal, sums,
    trust::Link,
};
use chantal_contract::{Digest, limits::TRUST_BYTES};

use crate::{
    store::Store,
    transfer::TransferError,
    trust::{self, SiteKey, TrustError, sshsig},
};

/// A file that is being written below the bundle's directory, with its path there.
pub(super) struct Shelf {
    pub dir: PathBuf,
    pub sums: sums::Sums,
}

impl Shelf {
    /// Makes the directory anew; what a dead export left there is removed.
    pub fn new(dir: PathBuf) -> Result<Self, TransferError> {
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(|e| TransferError::io(&dir, e))?;
        }
        for sub in ["", seal::TRUST, seal::SIGNATURES] {
            let path = dir.join(sub);
            fs::create_dir(&path).map_err(|e| TransferError::io(&path, e))?;
        }
        Ok(Self { dir, sums: sums::Sums::new() })
    }

    /// Writes a small file and syncs it.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), TransferError> {
        let path = self.dir.join(name);
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|e| TransferError::io(&path, e))?;
        if !name.starts_with(seal::SIGNATURES) && name != sums::FILE {
            self.sums.insert(name.into(), Digest::of(bytes));
        }
        Ok(())
    }

    /// Syncs the directories, and gives the bundle its name as the last step.
    pub fn publish(mut self, to: &Path) -> Result<(), TransferError> {
        for sub in [seal::TRUST, seal::SIGNATURES, ""] {
            sync_dir(&self.dir.join(sub))?;
        }
        let dir = std::mem::take(&mut self.dir);
        fs::rename(&dir, to).map_err(|e| TransferError::io(&dir, e))?;
        sync_dir(to.parent().unwrap_or(Path::new(".")))
    }
}
impl Drop for Shelf {
    fn drop(&mut self) {
        if !self.dir.as_os_str().is_empty() {
            // What stays is removed by the next export.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn sync_dir(dir: &Path) -> Result<(), TransferError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| TransferError::io(dir, e))
}

/// The trust chain of this site, with signatures.
pub(super) struct Chain {
    pub links: Vec<Link>,
    document: TrustDocument,
}

impl Chain {
    /// Reads this site's own chain and signs what the site's key may sign; refuses a key that could not sign bundles alone.
    pub fn load(store: &Store, key: &SiteKey) -> Result<Self, TransferError> {
        let own = |source| TransferError::OwnTrust { source };
        let mut links: Vec<Link> = Vec::new();
        let mut documents: Vec<TrustDocument> = Vec::new();
        for (_, digest) in store.catalog().trust_chain(store.site())? {
            let bytes = store.pool().read(&digest, TRUST_BYTES as u64)?;
            let document = TrustDocument::parse(&bytes).map_err(|e| own(e.into()))?;
            let may = |d: &TrustDocument| d.keys_of(TrustRole::Root).any(|k| *k == key.public());
            let mut signatures = Vec::new();
            if may(&document) || documents.last().is_some_and(may) {
                signatures.push(sshsig::sign(key, Namespace::Trust, &bytes)?.into_bytes());
            }
            links.push(Link { document: bytes, signatures });
            documents.push(document);
        }
        let site = || store.site().clone();
        let first = documents.first().cloned().ok_or_else(|| TransferError::NoOwnTrust { site: site() })?;
        trust::document::follow(&first, &links).map_err(own)?;
        let document = documents.pop().ok_or_else(|| TransferError::NoOwnTrust { site: site() })?;
        if !document.meets(TrustRole::Collector, &[key.public()]) {
            return Err(own(TrustError::NotEnough {
                collector: document.collector.clone(),
                version: document.version,
                role: TrustRole::Collector,
                signed: document.keys_of(TrustRole::Collector).filter(|k| **k == key.public()).count(),
                needed: document.threshold(TrustRole::Collector),
                strangers: vec![key.fingerprint()],
            }));
        }
        Ok(Self { links, document })
    }

    /// Returns what the manifest says of the chain.
    pub fn listed(&self) -> Vec<TrustLink> {
        let links = (1..).zip(&self.links);
        links.map(|(version, l)| TrustLink { version, sha256: Digest::of(&l.document) }).collect()
    }

    /// Writes the chain's files.
    pub fn write(&self, shelf: &mut Shelf, key: &SiteKey) -> Result<(), TransferError> {
        for (version, link) in (1..).zip(&self.links) {
            shelf.put(&seal::trust_document(version), &link.document)?;
            for signature in &link.signatures {
                shelf.put(&seal::trust_signature(version, &key.fingerprint()), signature)?;
            }
        }
        Ok(())
    }

    /// Tells whether this site's collector keys signed a manifest.
    pub fn made(&self, manifest: &[u8], signatures: &[Vec<u8>]) -> bool {
        trust::admit(&self.document, manifest, signatures).is_ok()
    }
}

/// Writes sums, manifest and signature, in this order: a directory with a manifest is whole.
pub(super) fn write(shelf: &mut Shelf, manifest: &Manifest, key: &SiteKey) -> Result<Digest, TransferError> {
    let bytes = manifest.encode().map_err(TransferError::Unwritable)?;
    let signature = sshsig::sign(key, Namespace::Bundle, &bytes)?;
    shelf.put(&seal::collector_signature(&key.fingerprint()), signature.as_bytes())?;
    shelf.sums.insert(manifest::FILE.into(), Digest::of(&bytes));
    let listed = sums::encode(&shelf.sums);
    shelf.put(sums::FILE, listed.as_bytes())?;
    shelf.put(manifest::FILE, &bytes)?;
    Ok(Digest::of(&bytes))
}

/// Says that free space does not suffice.
pub(super) fn expect_space(dir: &Path, needed: u64) -> Result<(), TransferError> {
    let found = rustix::fs::statvfs(dir).map_err(|e| TransferError::io(dir, e.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < needed { Err(TransferError::NoSpace { path: dir.into(), needed, free }) } else { Ok(()) }
}
