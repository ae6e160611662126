//! Who needs what the store does not hold: a digest alone helps nobody.

use std::collections::BTreeSet;

use super::{ExportError, TransferError};
use crate::store::{Address, Store, StoreError};

/// Names the states that need what is missing, where there are any; other errors stay what they are.
pub(super) fn blame(store: &Store, error: TransferError) -> TransferError {
    let TransferError::Store(StoreError::Missing { what, digest }) = error else { return error };
    let stays = || TransferError::Store(StoreError::Missing { what, digest });
    let Ok(needed_by) = store.needed_by(&digest) else { return stays() };
    if needed_by.is_empty() {
        return stays();
    }
    let synced = |address: &&Address| {
        let newest = store.catalog().newest(&address.repository);
        newest.is_ok_and(|newest| newest.is_some_and(|n| n.origin == crate::store::Origin::Synced))
    };
    let again: BTreeSet<String> =
        needed_by.iter().filter(synced).map(|address| address.repository.to_string()).collect();
    let (needed_by, again) = (needed_by.into_iter().collect(), again.into_iter().collect());
    TransferError::Export(ExportError::Lacks { what, digest, needed_by, again })
}
