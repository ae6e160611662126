//! Proves that with a bundle's volumes every state will be whole, before hours go into reading them.

use super::Job;
use crate::{
    store::StateRef,
    transfer::{
        TransferError,
        content::{self, Need},
        sorter::{Entry, Sorted, Sorter},
    },
};

/// How many missing blobs are named.
const NAMED: usize = 5;

/// Checks that every blob that a state needs is in the pool or among the listed ones, and every record here.
///
/// The shared lock that an import holds keeps what is in the pool there; the listed ones are seen before the commit.
pub(super) fn expect_whole(job: &Job<'_>, listed: &mut Sorted) -> Result<(), TransferError> {
    let store = job.store;
    let mut needed = Sorter::new(&store.root().join("tmp"));
    for state in &job.manifest().states {
        let (manifest, evidence) = (state.manifest, state.evidence);
        let this = StateRef { manifest, evidence, date: None, valid_until: None };
        let whole = content::visit(store, &this, &mut |need| match need {
            Need::Blob(blob) => needed.push(Entry { digest: blob.sha256, size: blob.size, tag: 0 }),
            Need::Record(record) if !store.packs().has(&record)? => Err(TransferError::MissingRecord {
                bundle: job.name.clone(),
                repository: state.repository.clone(),
                record,
            }),
            Need::Record(_) | Need::Nothing => Ok(()),
        })?;
        if whole != (state.files, state.bytes) {
            return Err(job.contradiction("files or bytes of a state"));
        }
    }
    let mut needed = needed.finish()?;
    let (mut count, mut missing) = (0, Vec::new());
    while let Some(blob) = needed.take()? {
        let size = match listed.seek(&blob.digest)? {
            Some(found) => Some(found.size),
            None => store.pool().has(&blob.digest)?,
        };
        match size {
            Some(size) if size == blob.size => {}
            Some(_) => return Err(job.contradiction("the size of a blob")),
            None => {
                count += 1;
                if missing.len() < NAMED {
                    missing.push(blob.digest);
                }
            }
        }
    }
    if count == 0 {
        return Ok(());
    }
    let (bundle, site) = (job.name.clone(), job.manifest().site.clone());
    Err(TransferError::MissingBlobs { bundle, site, count, missing })
}
