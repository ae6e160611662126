//! Two stores and a directory between them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use chantal_bundle::{BundleName, Manifest, TrustDocument, parity::Percent, trust::Link};
use chantal_contract::{
    Digest, Entry, Fingerprint, Header, Key, Kind, Line, Mode, Name, RepoPath, Role, SiteName, SnapshotName,
};
use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::{
    report::Silent,
    store::{Event, Evidence, StateRef, Store, StoreError, evidence::Item as EvidenceItem},
    trust::{Passphrase, SiteKey},
};

mod again;
mod approvals;
mod backwards;
mod by_hand;
mod chains;
mod documents;
mod every_bit;
mod forge;
mod forged;
mod hostile;
mod journeys;
mod news;
mod receipts;
mod repair;
mod signatures;
mod spreads;
mod thefts;
mod trials;
mod views;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A site that asks nothing of its own.
const RULELESS: Rules<'_> =
    Rules { policies: &|_, _| None, origins: &Demands::new(), unverifiable: &|_, _| None };

fn site(text: &str) -> SiteName {
    SiteName::new(text).unwrap()
}

/// Bytes that nothing compresses, different for every seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A site's store and key in a directory of their own.
struct Side {
    dir: TempDir,
    store: Store,
    key: SiteKey,
    parity: Option<Percent>,
    unchanged: Unchanged,
    /// Whom it exports to.
    to: SiteName,
}

impl Side {
    fn new(named: &str) -> Self {
        Self::with_key(named, |path| SiteKey::generate(path, "test", &Passphrase::None).unwrap())
    }

    fn with_key(named: &str, key: impl FnOnce(&Path) -> SiteKey) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store"), &site(named), at(0)).unwrap();
        let key = key(&dir.path().join("key"));
        let side = Self { dir, store, key, parity: None, unchanged: Unchanged::Skip, to: site("plant-7") };
        side.trust(&side);
        side
    }

    /// Another store of the same site with the same key.
    fn twin(&self) -> Self {
        let path = self.dir.path().join("key");
        Self::with_key(self.store.site().as_str(), |_| SiteKey::load(&path, &Passphrase::None).unwrap())
    }

    fn trust(&self, other: &Side) {
        self.accept(TrustDocument::first(other.store.site().clone(), other.key.public()));
    }

    fn accept(&self, document: TrustDocument) {
        let link = Link { document: document.encode().unwrap(), signatures: Vec::new() };
        record(&self.store, None, &document, &link, at(0)).unwrap();
    }

    /// Records a state of a mirror with these files, proved by a page of evidence.
    fn state(&self, repository: &str, files: &[(&str, &[u8])], second: i64) -> StateRef {
        let header = plain_header();
        let batch = self.store.pool().batch().unwrap();
        let files: BTreeMap<&str, &[u8]> = files.iter().copied().collect();
        let before = self.newest(repository).map(|s| s.manifest);
        let mut manifest = self.store.manifests().writer(&header, before.as_ref()).unwrap();
        for (path, content) in &files {
            let measured = batch.put(content).unwrap();
            let path = RepoPath::new(path).unwrap();
            let entry = Entry::Present { measured, role: Role::Payload };
            manifest.line(&Line::File { path, entry }).unwrap();
        }
        let mut evidence = Evidence::default();
        let key = batch.put(b"public key").unwrap();
        evidence.add(EvidenceItem::Key { fingerprint: Fingerprint("AB12".into()), blob: key });
        let page = batch.put(format!("page {second}").as_bytes()).unwrap();
        evidence.add(EvidenceItem::Page { path: RepoPath::new("page").unwrap(), blob: page });
        let list = batch.put(&evidence.encode()).unwrap();
        batch.flush().unwrap();
        let state = StateRef {
            manifest: manifest.finish().unwrap(),
            evidence: Some(list.sha256),
            date: Some(at(second)),
            valid_until: None,
        };
        self.journal(repository, &state, second);
        state
    }

    /// Records a filtered state of packages with records, each with one file.
    fn packages(&self, repository: &str, packages: &[(&str, &[u8])], second: i64) -> StateRef {
        let header = plain_header();
        let batch = self.store.pool().batch().unwrap();
        let mut records = self.store.packs().writer().unwrap();
        let mut lines = Vec::new();
        for (package, record) in packages {
            let file = format!("{package}-1-py3-none-any.whl");
            let path = RepoPath::new(&format!("packages/{package}/{file}")).unwrap();
            let measured = batch.put(format!("wheel {package}").as_bytes()).unwrap();
            lines.push(Line::File {
                path: path.clone(),
                entry: Entry::Present { measured, role: Role::Payload },
            });
            let record = records.add(record).unwrap();
            lines.push(Line::Pkg { key: Key::new(*package, "1", file), record, files: vec![path] });
        }
        batch.flush().unwrap();
        records.commit().unwrap();
        lines.sort_by_key(Line::encode);
        let mut manifest = self.store.manifests().writer(&header, None).unwrap();
        for line in &lines {
            manifest.line(line).unwrap();
        }
        let manifest = manifest.finish().unwrap();
        let state = StateRef { manifest, evidence: None, date: None, valid_until: None };
        self.journal(repository, &state, second);
        state
    }

    fn journal(&self, repository: &str, state: &StateRef, second: i64) {
        let event = Event::State { repository: name(repository), state: state.clone(), complete: true };
        self.store.journal().append(event, at(second)).unwrap();
    }

    fn name(&self, repository: &str, snapshot: &str, state: &StateRef) {
        let event = Event::Named {
            repository: name(repository),
            name: SnapshotName::new(snapshot).unwrap(),
            state: state.clone(),
        };
        self.store.journal().append(event, at(50)).unwrap();
    }

    fn newest(&self, repository: &str) -> Option<StateRef> {
        self.store.catalog().newest(&name(repository)).unwrap().map(|r| r.state)
    }

    fn try_export(
        &self,
        repositories: &[&str],
        since: &str,
        volume_size: u64,
    ) -> Result<Option<Written>, TransferError> {
        let out = self.dir.path().join("out");
        fs::create_dir_all(&out).unwrap();
        self.export_to(&out, repositories, since, volume_size)
    }

    fn export_to(
        &self,
        out: &Path,
        repositories: &[&str],
        since: &str,
        volume_size: u64,
    ) -> Result<Option<Written>, TransferError> {
        let repositories: Vec<Name> = repositories.iter().map(|r| name(r)).collect();
        let request = ExportRequest {
            to: &self.to,
            repositories: &repositories,
            out,
            since: since.into(),
            unchanged: self.unchanged,
            volume_size,
            parity: self.parity,
            after_write: AfterWrite::ReadBack,
            created: at(100),
            at: at(100),
            expected_next_by: None,
            keys: &[&self.key],
        };
        let planned = plan_export(&self.store, &request).ok().flatten();
        let weight = planned.and_then(|plan| weigh(&self.store, &plan).ok());
        let written = export(&self.store, &request, &Silent)?;
        if let Some(written) = written.as_ref().filter(|written| written.how == How::Now) {
            let counts = written.manifest.counts;
            assert_eq!(weight, Some(Weight { blobs: counts.blobs, bytes: counts.bytes }), "it was weighed");
        }
        Ok(written)
    }

    fn export(&self, repositories: &[&str], since: &str) -> Written {
        self.try_export(repositories, since, VOLUME_SIZE).unwrap().expect("something is new")
    }

    fn import(&self, path: &Path) -> Result<ImportOutcome, TransferError> {
        for _ in 0..100 {
            let outcome = self.import_all(&[path.to_path_buf()]).pop().unwrap();
            // A test beside this one that starts a program holds our locks between its fork and its exec.
            if !matches!(&outcome, Err(TransferError::Store(StoreError::Locked { .. }))) {
                return outcome;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the store stays locked")
    }

    fn import_all(&self, paths: &[PathBuf]) -> Vec<Result<ImportOutcome, TransferError>> {
        self.import_with(paths, &Demands::new())
    }

    fn import_with(&self, paths: &[PathBuf], origins: &Demands) -> Vec<Result<ImportOutcome, TransferError>> {
        let rules = Rules { policies: &|_, _| None, origins, unverifiable: &|_, _| None };
        match import(&self.store, paths, rules, at(200), &Silent) {
            Ok(outcomes) => outcomes,
            Err(error) => vec![Err(error)],
        }
    }

    /// Reads a file of a repository's newest state.
    fn read(&self, repository: &str, path: &str) -> Vec<u8> {
        let state = self.newest(repository).expect("a state");
        let snapshot = self.store.snapshot(&state.manifest).unwrap();
        let blob = snapshot.file(&RepoPath::new(path).unwrap()).unwrap().expect("a file");
        self.store.pool().read(&blob.sha256, 1 << 30).unwrap()
    }

    fn entries(&self) -> usize {
        self.store.journal().read().count()
    }
}

/// A state without indexes: one whose packages, where it has any, are lines of its manifest.
fn plain_header() -> Header {
    let options = serde_json::json!({ "projects": ["requests"] });
    Header { format: Kind::Pypi, layout: 1, mode: Mode::Filtered, options }
}

/// A collector and a receiver that trusts it.
fn sides() -> (Side, Side) {
    let (collector, receiver) = (Side::new("hq"), Side::new("plant-7"));
    receiver.trust(&collector);
    (collector, receiver)
}

/// Verifies a bundle that is believed.
fn verified_at(side: &Side, paths: &[PathBuf]) -> Verification {
    verify(&side.store, paths, &Silent).unwrap().pop().unwrap().unwrap()
}

/// Inspects a bundle that is believed.
fn inspected(side: &Side, path: &Path) -> Inspection {
    inspect(&side.store, &[path.into()]).unwrap().pop().unwrap().unwrap()
}

#[track_caller]
fn imported(outcome: Result<ImportOutcome, TransferError>) -> Imported {
    match outcome {
        Ok(ImportOutcome::Imported(imported)) => *imported,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(outcome: Result<ImportOutcome, TransferError>) -> TransferError {
    let error = outcome.expect_err("it was not refused");
    assert!(error.is_refusal(), "{error}");
    // what reads a report by machine is told the bundle that people are told
    let text = error.to_string();
    if let Some(named) = text.split([':', ' ']).next().filter(|word| word.parse::<BundleName>().is_ok()) {
        assert_eq!(error.bundle().as_deref(), Some(named), "{text}");
    }
    error
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

fn manifest_of(written: &Written) -> Manifest {
    Manifest::parse(&fs::read(written.path.join("manifest.json")).unwrap()).unwrap()
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}
