//! What lies around a bundle's volumes, as it enters the pool: manifest, proofs and index.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use chantal_bundle::index;
use chantal_contract::{Digest, Expect};

use super::{Job, blobs};
use crate::{
    report::Event as Report,
    store::{Batch, StoreError},
    transfer::{
        TransferError, medium,
        repair::{Clinic, Media},
    },
};

impl Job<'_> {
    /// Puts manifest, proof and index into the pool: the media that bring further volumes need not hold them. Returns the
    /// proof's digest.
    pub(super) fn keep_front(&self, dirs: &[PathBuf], media: &Media) -> Result<Digest, TransferError> {
        let file = self.manifest().index;
        let batch = self.store.pool().batch()?;
        batch.put(&self.admitted.bytes)?;
        let proof = batch.put(&self.admitted.proof.encode().map_err(TransferError::OwnProof)?)?;
        if batch.has(&file.sha256)?.is_none() {
            let mut last = TransferError::NoIndex { bundle: self.name.clone() };
            let mut kept = false;
            for path in dirs.iter().filter_map(|dir| medium::index_file(dir)) {
                match copy(&batch, &path, &Expect::exactly(file.size, vec![file.sha256.into()])) {
                    Ok(()) => {
                        kept = true;
                        break;
                    }
                    Err(error) => last = error,
                }
            }
            if !kept {
                let copies: Vec<PathBuf> = dirs.iter().filter_map(|dir| medium::index_file(dir)).collect();
                let (store, manifest, reporter) = (self.store, self.manifest(), self.reporter);
                let clinic = Clinic { store, manifest, media, reporter };
                let Some(mended) = clinic.index(&copies)? else { return Err(last) };
                let path = Path::new(index::FILE);
                let expect = Expect::exactly(file.size, vec![file.sha256.into()]);
                copy_from(&batch, mended, path, &expect).map_err(|_| last)?;
                let text = "it was damaged or lost, and was repaired from parity";
                reporter.event(Report::Warning { subject: index::FILE, text });
            }
        }
        batch.flush()?;
        Ok(proof.sha256)
    }
}

/// Copies a file of a medium into the pool.
fn copy(batch: &Batch, path: &Path, expect: &Expect) -> Result<(), TransferError> {
    copy_from(batch, medium::open(path)?, path, expect)
}

/// Copies what is read into the pool.
fn copy_from(batch: &Batch, mut input: impl Read, path: &Path, expect: &Expect) -> Result<(), TransferError> {
    let mut blob = batch.writer(expect)?;
    let mut buffer = vec![0; 1 << 18];
    let altered = |error: StoreError| match error {
        StoreError::Mismatch { mismatch } => TransferError::Altered { path: path.into(), mismatch },
        other => other.into(),
    };
    loop {
        let n = input.read(&mut buffer).map_err(|e| TransferError::io(path, e))?;
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
        blobs::put(&mut blob, bytes).map_err(altered)?;
    }
    blob.finish().map(drop).map_err(altered)
}
