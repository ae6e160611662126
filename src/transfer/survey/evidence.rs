//! Whether an evidence list is about its state at all.

use std::collections::BTreeSet;

use chantal_contract::FormatError;

use super::files::Files;
use crate::{
    store::{Evidence, StateRef, Store, StoreError, evidence::Item},
    transfer::content::EVIDENCE_BYTES,
};

/// Refuses a list that names signatures over files that the state has not, or of keys that do not travel with it.
pub(super) fn expect<E: From<StoreError> + From<FormatError>>(
    store: &Store,
    state: &StateRef,
    files: &Files,
) -> Result<(), E> {
    let Some(list) = &state.evidence else { return Ok(()) };
    let bytes = store.pool().read(list, EVIDENCE_BYTES)?;
    let evidence = Evidence::parse(&bytes)?;
    let (mut keys, mut pages) = (BTreeSet::new(), BTreeSet::new());
    for item in evidence.items() {
        match item {
            Item::Key { fingerprint, .. } => {
                keys.insert(fingerprint);
            }
            Item::Page { path, .. } => {
                pages.insert(path);
            }
            Item::Packages | Item::Signed { .. } => {}
        }
    }
    for item in evidence.items() {
        let Item::Signed { path, by } = item else { continue };
        let there = files.get(path).is_some() || pages.contains(path);
        if !there || !keys.contains(by) {
            let expected = "a file of the state, and a key in the list";
            return Err(FormatError::malformed(
                path,
                "the evidence of a signature",
                expected,
                by.to_string(),
            )
            .into());
        }
    }
    Ok(())
}
