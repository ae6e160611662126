//! Turns what was read and fetched into a state, and makes it the newest in one append.

use std::collections::BTreeMap;

use chantal_contract::{Digest, Entry, Header, Keep, Line, Measured, Policy, RepoPath, Role};
use jiff::Timestamp;

use super::{Job, SyncError, download::Downloaded, memory::Memory, payload, read::Gathered, supply::Supply};
use crate::{
    store::{Event, Evidence, PackWriter, StateRef, Store, StoreError, evidence::Item},
    upstream::select::Listed,
};

/// The version of the lay-outs that a manifest's header names.
const LAYOUT: u32 = 1;

/// Visits a manifest's lines in order, and fails unless it is whole.
pub(super) fn lines_of(store: &Store, name: &Digest, see: &mut dyn FnMut(Line)) -> Result<(), StoreError> {
    store.snapshot(name)?.each_line(&mut |line| {
        see(line.clone());
        Ok(())
    })
}

/// Makes all that a state consists of durable, its manifest last.
pub(super) fn state(
    job: &Job,
    supply: &Supply<'_>,
    gathered: &Gathered,
    chosen: &[Listed],
    downloaded: &Downloaded,
    records: PackWriter,
    former: Option<Digest>,
) -> Result<StateRef, SyncError> {
    let files = files(job, gathered, downloaded)?;
    payload::no_file_is_a_directory(files.keys())?;
    let header = Header {
        format: job.format.kind(),
        layout: LAYOUT,
        mode: job.format.mode(),
        options: job.format.options(),
    };
    let evidence = evidence(job, supply, gathered)?;
    records.commit()?;
    supply.batch.flush()?;
    let mut writer = supply.store.manifests().writer(&header, former.as_ref())?;
    for line in documents(gathered) {
        writer.line(&line)?;
    }
    let listed = packages(chosen, &files);
    for (path, entry) in files {
        writer.line(&Line::File { path, entry })?;
    }
    for line in listed {
        writer.line(&line)?;
    }
    let manifest = writer.finish()?;
    Ok(StateRef {
        manifest,
        evidence,
        date: gathered.coverage.date,
        valid_until: gathered.coverage.valid_until,
    })
}

/// Lists where the state came from and puts the list into the batch; none where nothing shows it.
fn evidence(job: &Job, supply: &Supply<'_>, gathered: &Gathered) -> Result<Option<Digest>, SyncError> {
    let mut list = Evidence::default();
    let coverage = &gathered.coverage;
    for path in &coverage.signed {
        for by in &coverage.signers {
            list.add(Item::Signed { path: path.clone(), by: by.clone() });
        }
    }
    // which of the keys the packages carry signatures of changes from sync to sync: all of them travel
    let of_packages = job.proof.packages() != Policy::Off;
    for (fingerprint, bytes) in &job.keys {
        if of_packages || coverage.signers.contains(fingerprint) {
            let blob = supply.batch.put(bytes)?;
            list.add(Item::Key { fingerprint: fingerprint.clone(), blob });
        }
    }
    if of_packages {
        list.add(Item::Packages);
    }
    for (path, fed) in gathered.fed.iter().filter(|(_, fed)| fed.keep == Keep::Evidence) {
        list.add(Item::Page { path: path.clone(), blob: fed.measured });
    }
    if list.items().next().is_none() {
        return Ok(None);
    }
    Ok(Some(supply.batch.put(&list.encode())?.sha256))
}

/// What became of the append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// It is the newest state.
    Appended,
    /// It was the newest state already.
    AsBefore,
}

/// Makes a state the newest, unless it is.
pub(super) fn append(
    store: &Store,
    job: &Job,
    state: &StateRef,
    complete: bool,
    memory: &Memory,
    at: Timestamp,
) -> Result<Committed, SyncError> {
    if memory.newest.as_ref().is_some_and(|newest| newest.state == *state && newest.complete == complete) {
        return Ok(Committed::AsBefore);
    }
    let event = Event::State { repository: job.name.clone(), state: state.clone(), complete };
    store.journal().append(event, at)?;
    Ok(Committed::Appended)
}

/// Returns every file of the state by path.
fn files(
    job: &Job,
    gathered: &Gathered,
    downloaded: &Downloaded,
) -> Result<BTreeMap<RepoPath, Entry>, SyncError> {
    let present = |measured, role| Entry::Present { measured, role };
    let mut files = BTreeMap::new();
    for (path, measured) in &downloaded.here {
        add(&mut files, path, present(*measured, Role::Payload))?;
    }
    for path in &downloaded.missing {
        add(&mut files, path, Entry::Absent)?;
    }
    for (path, measured) in &gathered.derived {
        add(&mut files, path, present(*measured, Role::Payload))?;
    }
    for (path, fed) in gathered.fed.iter().filter(|(_, fed)| fed.keep == Keep::Tree) {
        add(&mut files, path, present(fed.measured, fed.role))?;
    }
    for (path, target) in &gathered.aliases {
        let derived = gathered.derived.get(target).map(|m| (*m, Role::Payload));
        let Some((measured, role)) = gathered.fed.get(target).map(|f| (f.measured, f.role)).or(derived)
        else {
            let (path, target) = (path.clone(), target.clone());
            return Err(SyncError::DanglingAlias { kind: job.format.kind(), path, target });
        };
        add(&mut files, path, present(measured, role))?;
    }
    Ok(files)
}

/// Adds a file; one that stands there with other bytes is a conflict.
fn add(files: &mut BTreeMap<RepoPath, Entry>, path: &RepoPath, entry: Entry) -> Result<(), SyncError> {
    let blob = |entry: &Entry| match entry {
        Entry::Present { measured, .. } => Some(*measured),
        Entry::Absent => None,
    };
    let said = |blob: Option<Measured>| {
        blob.map_or_else(|| "nothing".into(), |m| format!("sha256:{} ({} bytes)", m.sha256, m.size))
    };
    match files.get(path).map(blob) {
        None => {
            files.insert(path.clone(), entry);
            Ok(())
        }
        Some(there) if there == blob(&entry) => Ok(()),
        Some(there) => {
            Err(SyncError::Conflict { path: path.clone(), one: said(there), other: said(blob(&entry)) })
        }
    }
}

/// Returns the documents' lines, rising, each once.
fn documents(gathered: &Gathered) -> Vec<Line> {
    let mut keyed: BTreeMap<(&str, &str), Digest> = BTreeMap::new();
    for (kind, key, record) in &gathered.documents {
        let record = *record;
        // of two records under one key the smaller digest stands, whichever came first
        keyed.entry((kind, key)).and_modify(|there| *there = record.min(*there)).or_insert(record);
    }
    let line = |((kind, key), record): ((&str, &str), Digest)| Line::Doc {
        kind: kind.into(),
        key: key.into(),
        record,
    };
    let mut lines: Vec<Line> = keyed.into_iter().map(line).collect();
    lines.sort_by_cached_key(Line::encode);
    lines
}

/// Returns the packages' lines, rising; a file that the state does not have is not named.
fn packages(chosen: &[Listed], files: &BTreeMap<RepoPath, Entry>) -> Vec<Line> {
    let mut lines: Vec<Line> = chosen
        .iter()
        .map(|package| {
            let mut paths: Vec<RepoPath> =
                package.files.iter().map(|f| f.path().clone()).filter(|p| files.contains_key(p)).collect();
            paths.sort_unstable();
            paths.dedup();
            Line::Pkg { key: package.key.clone(), record: package.record, files: paths }
        })
        .collect();
    lines.sort_by_cached_key(Line::encode);
    lines
}
