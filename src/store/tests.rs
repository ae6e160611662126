//! What the parts of a store do together.

use std::path::Path;

use chantal_contract::{Digest, Entry, Header, Key, Kind, Line, Measured, Mode, RepoPath, Role};
use jiff::Timestamp;
use tempfile::TempDir;

use super::*;

mod crash;
mod restore;
mod upkeep;

/// A directory in memory where there is one: these tests sync a thousand times.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn site() -> SiteName {
    SiteName::new("hq").unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn header() -> Header {
    Header { format: Kind::Apt, layout: 1, mode: Mode::Mirror, options: serde_json::json!({}) }
}

/// One file of a state: its path and bytes.
type File<'a> = (&'a str, &'a [u8]);

/// Does what a sync does: blobs, records, manifest, journal.
fn sync(store: &Store, repository: &str, files: &[File<'_>], second: i64) -> Result<Digest, StoreError> {
    let _shared = store.lock(Lock::Shared)?;
    let batch = store.pool().batch()?;
    let mut packs = store.packs().writer()?;
    let mut lines = Vec::new();
    for (path, bytes) in files {
        let measured = batch.put(bytes)?;
        let path = RepoPath::new(path).unwrap();
        let record = packs.add(format!("Filename: {path}\nSize: {}\n", bytes.len()).as_bytes())?;
        let key = Key::new(path.as_str(), "1", "all");
        lines.push(Line::Pkg { key, record, files: vec![path.clone()] }.encode());
        lines.push(Line::File { path, entry: Entry::Present { measured, role: Role::Payload } }.encode());
    }
    let mut evidence = Evidence::default();
    let page = batch.put(format!("the page of {second}").as_bytes())?;
    evidence.add(evidence::Item::Page { path: RepoPath::new("page").unwrap(), blob: page });
    let evidence = batch.put(&evidence.encode())?.sha256;
    batch.flush()?;
    packs.commit()?;
    lines.sort_unstable();
    let former = store.catalog().newest(&name(repository))?.map(|newest| newest.state.manifest);
    let mut writer = store.manifests().writer(&header(), former.as_ref())?;
    for line in lines {
        writer.raw(&line)?;
    }
    let manifest = writer.finish()?;
    let state = StateRef { manifest, evidence: Some(evidence), date: None, valid_until: None };
    let event = Event::State { repository: name(repository), state, complete: true };
    store.journal().append(event, at(second))?;
    Ok(manifest)
}

fn blob(bytes: &[u8]) -> Measured {
    Measured { sha256: Digest::of(bytes), size: bytes.len() as u64 }
}
