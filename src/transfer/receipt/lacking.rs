//! What is missing of the bundles that wait for volumes.

use std::{io::BufReader, num::NonZeroU32};

use chantal_bundle::{
    Manifest, VolumeNumber,
    index::{Item, Reader},
    receipt::{LackingBlob, Missing},
};
use chantal_contract::SiteName;

use super::ReceiptFault;
use crate::{
    store::Store,
    transfer::{TransferError, pending},
};

/// Lists what the pool lacks of every bundle of a collector that waits; one whose front is gone has to be seen anew anyway.
pub(super) fn waiting(store: &Store, collector: &SiteName) -> Result<Vec<Missing>, ReceiptFault> {
    let mut missing = Vec::new();
    for row in store.catalog().pending()? {
        let Some((_, manifest)) = pending::manifest(store, &row)? else { continue };
        if manifest.collector != *collector || store.pool().has(&manifest.index.sha256)?.is_none() {
            continue;
        }
        let (volumes, blobs) = of_bundle(store, &manifest)?;
        missing.push(Missing { bundle: manifest.name()?, manifest: row.manifest, volumes, blobs });
    }
    Ok(missing)
}

/// Reads a bundle's index along with the pool: the volumes that are needed, and the blobs, rising.
fn of_bundle(
    store: &Store,
    manifest: &Manifest,
) -> Result<(Vec<VolumeNumber>, Vec<LackingBlob>), ReceiptFault> {
    let bundle = manifest.name()?;
    let fault = |source| TransferError::Index { bundle: bundle.clone(), source };
    let input = BufReader::with_capacity(1 << 17, store.pool().open(&manifest.index.sha256)?);
    let cell = NonZeroU32::new(manifest.cell).unwrap_or(NonZeroU32::MIN);
    let mut index = Reader::new(input, manifest.index.open_size, cell).map_err(fault)?;
    let (mut volumes, mut blobs) = (Vec::new(), Vec::new());
    let mut volume = VolumeNumber::FIRST;
    while let Some(item) = index.next_item().map_err(fault)? {
        match item {
            Item::Volume(entry) => volume = entry.number,
            Item::Member(member) => {
                let has = |digest| Ok::<_, TransferError>(store.pool().has(digest)?.is_some());
                if has(&member.blob.sha256)? {
                    continue;
                }
                // a blob in parts is one blob: where some of them are here already, all of it is asked for
                let lacking = LackingBlob::from(member.blob);
                if blobs.last() != Some(&lacking) {
                    blobs.push(lacking);
                }
                if !has(&member.content().sha256)? && volumes.last() != Some(&volume) {
                    volumes.push(volume);
                }
            }
            _ => {}
        }
    }
    Ok((volumes, blobs))
}
