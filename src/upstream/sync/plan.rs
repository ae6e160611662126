//! What is to be fetched: everything that was chosen, less what is here already.

use std::collections::BTreeMap;

use chantal_contract::{Entry, Expect, Line, Measured, Policy, RepoPath, Verifier};

use super::{
    SyncError,
    payload::{self, Payload},
    read::Gathered,
    supply::{self, Supply},
};
use crate::store::StoreError;

/// A payload and what there is of it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) payload: Payload,
    /// The blob, where it is here already.
    pub(super) here: Option<Measured>,
    /// Whether its own signature is to be looked at: the former state did not have it, or under other keys.
    pub(super) vet: bool,
}

/// What a sync would fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many files.
    pub files: u64,
    /// How many bytes, as far as upstream says.
    pub bytes: u64,
}

impl std::ops::Add for Tally {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { files: self.files + other.files, bytes: self.bytes.saturating_add(other.bytes) }
    }
}

/// Room in bytes that is left free beside what is fetched: for manifests, packs and the catalog.
const SPARE: u64 = 64 << 20;

/// All payloads by path.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) planned: Vec<Planned>,
    pub(super) fetch: Tally,
}

/// Visits the former state's lines in order; the visitor is told each.
pub(super) type Former<'a> = dyn Fn(&mut dyn FnMut(Line)) -> Result<(), StoreError> + 'a;

/// Plans the payloads. `same_proof` tells that the former state was accepted under the same keys and policy.
pub(super) fn plan(
    supply: &Supply<'_>,
    gathered: &mut Gathered,
    chosen: Vec<Payload>,
    former: Option<&Former<'_>>,
    proof: &dyn Verifier,
    same_proof: bool,
) -> Result<Plan, SyncError> {
    let mut payloads = std::mem::take(&mut gathered.files);
    payloads.extend(chosen);
    let payloads = payload::distinct(payloads)?;
    // what the walk has read or made already is not fetched again
    let mut fetched = Vec::with_capacity(payloads.len());
    for payload in payloads {
        let read = gathered.fed.get(&payload.path).filter(|fed| fed.keep == chantal_contract::Keep::Tree);
        match read.map(|fed| fed.measured).or_else(|| gathered.derived.get(&payload.path).copied()) {
            Some(there) => agree(supply, &payload, there)?,
            None => fetched.push(payload),
        }
    }
    let payloads = fetched;
    let before = former.map(|former| former_of(former, &payloads)).transpose()?.unwrap_or_default();
    let mut plan = Plan { planned: Vec::with_capacity(payloads.len()), fetch: Tally::default() };
    let looked_at = proof.packages() != Policy::Off;
    for payload in payloads {
        let former = before.get(&payload.path).copied();
        let expect = payload.expect();
        let here = match supply.in_pool(&expect)? {
            Some(blob) => Some(blob),
            None => match former {
                Some(blob) if is_former(supply, blob, &expect, gathered)? => Some(blob),
                _ => None,
            },
        };
        if here.is_none() {
            plan.fetch.files += 1;
            plan.fetch.bytes += payload.size().unwrap_or(0);
        }
        let known = same_proof && here.is_some() && here == former;
        let vet = looked_at && payload.vetted && !known;
        plan.planned.push(Planned { payload, here, vet });
    }
    Ok(plan)
}

/// Refuses a payload whose path holds other bytes than it promises: an index, say.
fn agree(supply: &Supply<'_>, payload: &Payload, there: Measured) -> Result<(), SyncError> {
    let expect = payload.expect();
    if supply::meets(&supply.batch, there, &expect)? {
        return Ok(());
    }
    let promised = match (expect.checksums.first(), expect.size) {
        (Some(checksum), Some(size)) => format!("{checksum} ({size} bytes)"),
        (Some(checksum), None) => checksum.to_string(),
        (None, Some(size)) => format!("{size} bytes"),
        (None, None) => format!("at most {} bytes", expect.limit),
    };
    let one = format!("sha256:{} ({} bytes), as it was read", there.sha256, there.size);
    Err(SyncError::Conflict { path: payload.path.clone(), one, other: promised })
}

/// Returns what the former state had at the payloads' paths.
fn former_of(former: &Former<'_>, payloads: &[Payload]) -> Result<BTreeMap<RepoPath, Measured>, StoreError> {
    let mut found = BTreeMap::new();
    // both rise by path, so that one pass over both is enough
    let mut rest = payloads.iter().peekable();
    former(&mut |line| {
        let Line::File { path, entry: Entry::Present { measured, .. } } = line else { return };
        while rest.next_if(|p| p.path < path).is_some() {}
        if rest.next_if(|p| p.path == path).is_some() {
            found.insert(path, measured);
        }
    })?;
    Ok(found)
}

/// Tells whether the former state's file at a payload's path is what upstream lists now, where it lists no SHA-256.
fn is_former(
    supply: &Supply<'_>,
    blob: Measured,
    expect: &Expect,
    gathered: &mut Gathered,
) -> Result<bool, StoreError> {
    if expect.checksums.is_empty() || expect.sha256().is_some() {
        return Ok(false);
    }
    if supply.batch.has(&blob.sha256)? != Some(blob.size) {
        return Ok(false);
    }
    // what was hashed once is not hashed in every run
    let remembered = expect.checksums.iter().try_fold(true, |all, checksum| {
        Ok::<_, StoreError>(all && supply.store.catalog().alias(checksum)? == Some(blob))
    })?;
    if remembered && expect.size.is_none_or(|size| size == blob.size) {
        return Ok(true);
    }
    if !supply::meets(&supply.batch, blob, expect)? {
        return Ok(false);
    }
    gathered.aliased.extend(expect.checksums.iter().map(|checksum| (checksum.clone(), blob)));
    Ok(true)
}

impl Plan {
    /// Refuses to begin what the store has no room for.
    pub(super) fn check_room(&self, free: u64) -> Result<(), SyncError> {
        let needed = self.fetch.bytes.saturating_add(SPARE);
        if self.fetch.files > 0 && needed > free {
            return Err(SyncError::NoRoom { needed: self.fetch.bytes, free });
        }
        Ok(())
    }
}
