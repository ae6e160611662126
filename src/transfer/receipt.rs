//! Receipts: what this site holds of a collector's stream, signed; and what a collector makes of one.

mod apply;
mod lacking;

use std::collections::BTreeMap;

use chantal_bundle::{
    Namespace, Receipt, Sequence,
    manifest::TrustLink,
    receipt::{AcknowledgedState, FORMAT, LackingBlob, Missing},
};
use chantal_contract::{Digest, Measured, Name, SiteName, SnapshotName, limits::RECEIPT_BLOBS};
use jiff::Timestamp;

pub use apply::{Applied, Backwards, Believed, Heard, ReceiptFault, apply, check, look, read, read_last};

use super::{
    TransferError, accepted,
    content::{self, Need},
};
use crate::{
    store::{Imported, Lock, Origin, Recorded, StateRef, Store, StoreError},
    trust::{SiteKey, sshsig},
};

/// Says what this site holds of a collector's stream, and what it misses; changes nothing.
///
/// Every blob that a listed state needs was looked for. A state of which one is lost is not listed, and its loss is.
pub fn make(store: &Store, collector: &SiteName, at: Timestamp) -> Result<Receipt, ReceiptFault> {
    let _shared = store.lock(Lock::Shared)?;
    let nobody = || ReceiptFault::Nobody { collector: collector.clone() };
    let (version, sha256) = store.catalog().trust(collector)?.ok_or_else(nobody)?;
    let document = accepted::document(store, collector)?.ok_or_else(nobody)?;
    let imports = store.catalog().imports(Some(collector))?;
    let newest = imports.iter().filter(|import| !import.closed).max_by_key(|i| (i.epoch, i.sequence));
    let mut missing = lacking::waiting(store, collector)?;
    let mut states = Vec::new();
    for (repository, held) in held(store, collector)? {
        for (state, names) in held {
            match lost(store, &state)? {
                Lost::Nothing => states.push(AcknowledgedState {
                    repository: repository.clone(),
                    manifest: state.manifest,
                    evidence: state.evidence,
                    names,
                }),
                Lost::Blobs(blobs) => {
                    if let Some(import) = brought_by(&imports, &state) {
                        add_lost(&mut missing, import, &blobs)?;
                    }
                }
                // it is not listed: the next bundle brings it whole
                Lost::More => {}
            }
        }
    }
    missing.retain(|m| !m.volumes.is_empty() || !m.blobs.is_empty());
    missing.sort_by_key(|m| (m.bundle.epoch(), m.bundle.sequence(), m.manifest));
    cap(&mut missing);
    Ok(Receipt {
        format: FORMAT,
        site: store.site().clone(),
        collector: collector.clone(),
        created: at,
        epoch: match newest {
            Some(import) => chantal_bundle::Epoch::new(import.epoch.into())?,
            None => document.epoch,
        },
        sequence: newest.map(|import| Sequence::new(import.sequence)).transpose()?,
        bundle: newest.map(|import| import.manifest),
        trust: TrustLink { version, sha256 },
        states,
        missing,
    })
}

/// Writes a receipt's file: its text and the signature over it.
pub fn seal(receipt: &Receipt, key: &SiteKey) -> Result<Vec<u8>, ReceiptFault> {
    let mut file = receipt.encode()?;
    let signature = sshsig::sign(key, Namespace::Receipt, &file)?;
    file.extend(signature.as_bytes());
    Ok(file)
}

/// A state and the names that it has here.
type Held = (StateRef, Vec<SnapshotName>);

/// Lists the states that came from a collector, with their names: older ones first, the newest last.
fn held(store: &Store, collector: &SiteName) -> Result<BTreeMap<Name, Vec<Held>>, ReceiptFault> {
    let theirs = |found: &Recorded| matches!(&found.origin, Origin::Imported { from } if from == collector);
    let mut by_age: BTreeMap<Name, Vec<(u64, Recorded, Option<SnapshotName>)>> = BTreeMap::new();
    for (repository, name, found) in store.catalog().names(None)? {
        if theirs(&found) {
            by_age.entry(repository).or_default().push((found.number, found, Some(name)));
        }
    }
    for row in store.catalog().repositories()? {
        if let Some(newest) = row.newest.filter(theirs) {
            by_age.entry(row.name).or_default().push((u64::MAX, newest, None));
        }
    }
    let mut held = BTreeMap::new();
    for (repository, mut found) in by_age {
        found.sort_by_key(|(age, ..)| *age);
        let mut states: Vec<Held> = Vec::new();
        for (_, recorded, name) in found {
            let same = states.iter().position(|(s, _)| s.manifest == recorded.state.manifest);
            // one that is the newest as well stands once, at its last place
            let (_, mut names) = same.map_or((recorded.state.clone(), Vec::new()), |at| states.remove(at));
            names.extend(name);
            names.sort();
            states.push((recorded.state, names));
        }
        held.insert(repository, states);
    }
    Ok(held)
}

/// What a state needs and this store lost.
enum Lost {
    Nothing,
    /// These blobs, which can be asked for by name.
    Blobs(Vec<Measured>),
    /// A record, or the list of what the state needs.
    More,
}

/// Looks for everything that a state needs.
fn lost(store: &Store, state: &StateRef) -> Result<Lost, ReceiptFault> {
    let (mut lost, mut more) = (Vec::new(), false);
    let looked = content::visit(store, state, &mut |need| {
        match need {
            Need::Blob(blob) if store.pool().has(&blob.sha256)? != Some(blob.size) => lost.push(blob),
            Need::Record(record) => more |= !store.packs().has(&record)?,
            _ => {}
        }
        Ok(())
    });
    match looked {
        Ok(_) if more => Ok(Lost::More),
        Ok(_) if lost.is_empty() => Ok(Lost::Nothing),
        Ok(_) => Ok(Lost::Blobs(lost)),
        Err(TransferError::Store(StoreError::Missing { .. } | StoreError::Manifest { .. })) => Ok(Lost::More),
        Err(error) => Err(error.into()),
    }
}

fn brought_by<'a>(imports: &'a [Imported], state: &StateRef) -> Option<&'a Imported> {
    imports.iter().rfind(|i| i.states.iter().any(|s| s.state.manifest == state.manifest))
}

/// Adds lost blobs to what is missing of the bundle that brought their state.
fn add_lost(missing: &mut Vec<Missing>, by: &Imported, lost: &[Measured]) -> Result<(), ReceiptFault> {
    if !missing.iter().any(|m| m.manifest == by.manifest) {
        let (bundle, manifest) = (by.bundle.parse()?, by.manifest);
        missing.push(Missing { bundle, manifest, volumes: Vec::new(), blobs: Vec::new() });
    }
    for entry in missing.iter_mut().filter(|m| m.manifest == by.manifest) {
        entry.blobs.extend(lost.iter().copied().map(LackingBlob::from));
        entry.blobs.sort();
        entry.blobs.dedup_by_key(|blob| blob.sha256);
    }
    Ok(())
}

/// Leaves out the lists that are too long: who reads the receipt then sends all of that bundle's blobs.
fn cap(missing: &mut Vec<Missing>) {
    let excess = missing.len().saturating_sub(chantal_contract::limits::RECEIPT_MISSING);
    missing.drain(..excess);
    let mut room = RECEIPT_BLOBS;
    // the newest bundle comes first: it is the one that the next export can still complete
    for entry in missing.iter_mut().rev() {
        match room.checked_sub(entry.blobs.len()) {
            Some(left) => room = left,
            None => entry.blobs.clear(),
        }
    }
    missing.retain(|m| !m.volumes.is_empty() || !m.blobs.is_empty());
}

/// Hashes a receipt's text: the name that the journal knows it by.
fn digest(text: &[u8]) -> Digest {
    Digest::of(text)
}
