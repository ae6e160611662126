//! The files around a bundle's index and volumes: trust chain, manifest, signature, sums.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use chantal_bundle::{Manifest, Namespace, manifest, proof, seal, sums};
use chantal_contract::Digest;

use crate::{
    transfer::{ExportError, TransferError, own::OwnTrust},
    trust::{SiteKey, sshsig},
};

/// How often the files are written that are read before anything is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copies {
    /// Once.
    One,
    /// Once more below `copy/`.
    Two,
}

/// The directory of a bundle that is being written.
pub(super) struct Shelf {
    pub dir: PathBuf,
    copies: Copies,
    /// A directory that only some bundles have.
    further: Option<PathBuf>,
    /// Every file that was written, with its digest.
    written: sums::Sums,
}

impl Shelf {
    /// Makes the directory anew; what a dead export left there is removed.
    pub fn new(dir: PathBuf, copies: Copies) -> Result<Self, TransferError> {
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(|e| TransferError::io(&dir, e))?;
        }
        let shelf = Self { dir, copies, further: None, written: sums::Sums::new() };
        for path in shelf.dirs() {
            fs::create_dir(&path).map_err(|e| TransferError::io(&path, e))?;
        }
        Ok(shelf)
    }

    /// Returns its directories, outer ones first.
    fn dirs(&self) -> Vec<PathBuf> {
        let mut roots = vec![self.dir.clone()];
        if self.copies == Copies::Two {
            roots.push(self.dir.join(seal::COPY));
        }
        let inner = |root: PathBuf| {
            let subs = [seal::TRUST, seal::SIGNATURES].map(|sub| root.join(sub));
            std::iter::once(root).chain(subs)
        };
        roots.into_iter().flat_map(inner).chain(self.further.clone()).collect()
    }

    /// Makes the directory for proofs of origin.
    pub fn make_room_for_origins(&mut self) -> Result<(), TransferError> {
        let path = self.dir.join(proof::DIRECTORY);
        fs::create_dir(&path).map_err(|e| TransferError::io(&path, e))?;
        self.further = Some(path);
        Ok(())
    }

    /// Notes a file that was written and synced.
    pub fn note(&mut self, name: &str, sha256: Digest) {
        self.written.insert(name.into(), sha256);
    }

    /// Returns every file that was written, with its digest.
    pub fn written(&self) -> &sums::Sums {
        &self.written
    }

    /// Writes a small file and syncs it; its copy first, where there is one.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), TransferError> {
        let front =
            name == manifest::FILE || [seal::TRUST, seal::SIGNATURES].iter().any(|dir| name.starts_with(dir));
        if front && self.copies == Copies::Two {
            self.put_one(&format!("{}/{name}", seal::COPY), bytes)?;
        }
        self.put_one(name, bytes)
    }

    fn put_one(&mut self, name: &str, bytes: &[u8]) -> Result<(), TransferError> {
        let path = self.dir.join(name);
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|e| TransferError::io(&path, e))?;
        self.note(name, Digest::of(bytes));
        Ok(())
    }

    /// Writes `SHA256SUMS` of everything that was written and that is not added to later, and of the manifest that follows.
    fn put_sums(&mut self, manifest: Digest) -> Result<(), TransferError> {
        let mut listed = self.written.clone();
        listed.insert(manifest::FILE.into(), manifest);
        if self.copies == Copies::Two {
            listed.insert(format!("{}/{}", seal::COPY, manifest::FILE), manifest);
        }
        let later = [seal::SIGNATURES.to_owned(), format!("{}/{}", seal::COPY, seal::SIGNATURES)];
        listed.retain(|name, _| !later.iter().any(|dir| name.starts_with(dir)));
        self.put(sums::FILE, sums::encode(&listed).as_bytes())
    }

    /// Syncs the directories, and gives the bundle its name as the last step.
    pub fn publish(mut self, to: &Path) -> Result<(), TransferError> {
        for dir in self.dirs().iter().rev() {
            sync_dir(dir)?;
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

/// Makes a directory's names last.
pub(in crate::transfer) fn sync_dir(dir: &Path) -> Result<(), TransferError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| TransferError::io(dir, e))
}

/// Writes the files of this site's trust chain.
pub(super) fn write_chain(shelf: &mut Shelf, chain: &OwnTrust) -> Result<(), TransferError> {
    for (version, link) in (1..).zip(chain.links()) {
        shelf.put(&seal::trust_document(version), &link.document)?;
        for signature in &link.signatures {
            // whose it is was found out when the chain was read
            if let Ok(key) = sshsig::verify(Namespace::Trust, &link.document, signature) {
                shelf.put(&seal::trust_signature(version, &key.fingerprint()), signature)?;
            }
        }
    }
    Ok(())
}

/// Writes sums, manifest and signatures, in this order: a directory with a manifest is whole.
pub(super) fn write(
    shelf: &mut Shelf,
    manifest: &Manifest,
    keys: &[&SiteKey],
) -> Result<Digest, TransferError> {
    let bytes = manifest.encode().map_err(ExportError::Unwritable)?;
    for key in keys {
        let signature = sshsig::sign(key, Namespace::Bundle, &bytes)?;
        shelf.put(&seal::collector_signature(&key.fingerprint()), signature.as_bytes())?;
    }
    shelf.put_sums(Digest::of(&bytes))?;
    shelf.put(manifest::FILE, &bytes)?;
    Ok(Digest::of(&bytes))
}

/// Says that free space does not suffice.
pub(in crate::transfer) fn expect_space(dir: &Path, needed: u64) -> Result<(), TransferError> {
    let free = free(dir)?;
    if free < needed {
        Err(TransferError::Export(ExportError::Full { path: dir.into(), needed, free }))
    } else {
        Ok(())
    }
}

/// Returns the bytes that are free where a directory lies.
pub(in crate::transfer) fn free(dir: &Path) -> Result<u64, TransferError> {
    let found = rustix::fs::statvfs(dir).map_err(|e| TransferError::io(dir, e.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
