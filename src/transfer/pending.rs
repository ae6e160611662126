//! Bundles that were begun and wait for volumes: their manifests were believed then, and are kept.

use chantal_bundle::Manifest;
use chantal_contract::limits::BUNDLE_MANIFEST_BYTES;

use super::TransferError;
use crate::store::{PendingRow, Store};

/// Reads the manifest of a bundle that waits; none where it is gone, and the bundle's front has to be seen anew.
pub fn manifest(store: &Store, row: &PendingRow) -> Result<Option<(Vec<u8>, Manifest)>, TransferError> {
    if store.pool().has(&row.manifest)?.is_none() {
        return Ok(None);
    }
    let bytes = store.pool().read(&row.manifest, BUNDLE_MANIFEST_BYTES as u64)?;
    let path = store.pool().path(&row.manifest);
    let manifest = Manifest::parse(&bytes).map_err(|source| TransferError::Manifest { path, source })?;
    Ok(Some((bytes, manifest)))
}
