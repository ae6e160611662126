//! A store with states of a plain format, and a published directory beside it.

use std::{cell::Cell, cmp::Ordering, path::PathBuf};

use chantal_contract::{
    FormatError, Keeper, Kind, Line, Mode, Package, RepoPath, SetUp, State, Version, Walk,
    manifest::Entry,
    proof::{Fingerprint, Verifier},
    tree::Place,
    want::ReadSeek,
};

use super::*;
use crate::{
    report::Silent,
    store::{SiteName, SnapshotName},
};

/// A file of a state: path, text, role.
pub type File<'a> = (&'a str, &'a str, Role);

pub struct World {
    pub store: Store,
    pub settings: Settings,
    pub now: Cell<i64>,
    pub dir: tempfile::TempDir,
}

/// 2026-01-01, and seconds after it.
pub fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

/// What is seen where the files of a state are published.
pub fn files(state: &[File<'_>]) -> Vec<(String, String)> {
    let mut all: Vec<_> = state.iter().map(|(p, t, _)| ((*p).to_owned(), (*t).to_owned())).collect();
    all.sort();
    all
}

impl World {
    pub fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    pub fn within(dir: tempfile::TempDir) -> Self {
        let root = dir.path().join("store");
        let store =
            Store::open(&root).or_else(|_| Store::create(&root, &SiteName::new("hq").unwrap(), time(0)));
        let settings = Settings {
            root: dir.path().join("published"),
            link: Link::Hardlink,
            switch: Switch::Symlink,
            base: "https://mirror.example.org".into(),
        };
        Self { store: store.unwrap(), settings, now: Cell::new(0), dir }
    }

    pub fn root(&self) -> &std::path::Path {
        &self.settings.root
    }

    pub fn published(&self, path: &str) -> PathBuf {
        self.settings.root.join(path)
    }

    pub fn later(&self, seconds: i64) -> &Self {
        self.now.set(self.now.get() + seconds);
        self
    }

    pub fn state(&self, repository: &str, files: &[File<'_>]) {
        self.dated(repository, files, None, None);
    }

    pub fn dated(
        &self,
        repository: &str,
        files: &[File<'_>],
        date: Option<Timestamp>,
        valid_until: Option<Timestamp>,
    ) {
        let batch = self.store.pool().batch().unwrap();
        let header =
            Header { format: Kind::Apt, layout: 1, mode: Mode::Mirror, options: serde_json::json!({}) };
        let mut writer = self.store.manifests().writer(&header, None).unwrap();
        let mut lines: Vec<Line> = files
            .iter()
            .map(|(path, text, role)| Line::File {
                path: RepoPath::new(path).unwrap(),
                entry: Entry::Present { measured: batch.put(text.as_bytes()).unwrap(), role: *role },
            })
            .collect();
        batch.flush().unwrap();
        lines.sort_by_key(Line::encode);
        for line in &lines {
            writer.line(line).unwrap();
        }
        let manifest = writer.finish().unwrap();
        let state = StateRef { manifest, evidence: None, date, valid_until };
        let event = store::Event::State { repository: Name::new(repository).unwrap(), state, complete: true };
        self.store.journal().append(event, time(self.now.get())).unwrap();
    }

    pub fn name(&self, repository: &str, name: &str) {
        let repository = Name::new(repository).unwrap();
        let state = self.store.catalog().newest(&repository).unwrap().unwrap().state;
        let event = store::Event::Named { repository, name: SnapshotName::new(name).unwrap(), state };
        self.store.journal().append(event, time(self.now.get())).unwrap();
    }

    pub fn request(address: &str) -> Request {
        let address = Address::parse(address).unwrap();
        let path = address.repository.to_string();
        Request { address, path }
    }

    pub fn publisher(&self) -> Publisher<'_> {
        Publisher {
            store: &self.store,
            settings: &self.settings,
            formats: &|_| Ok(Box::new(Plain)),
            reporter: &Silent,
            at: time(self.now.get()),
        }
    }

    pub fn publish(&self, addresses: &[&str]) -> Result<Vec<Outcome>, PublishError> {
        let requests: Vec<Request> = addresses.iter().map(|a| Self::request(a)).collect();
        self.publisher().publish(&requests)?.into_iter().collect()
    }

    pub fn plan(&self, addresses: &[&str]) -> Result<Vec<Outcome>, PublishError> {
        let requests: Vec<Request> = addresses.iter().map(|a| Self::request(a)).collect();
        self.publisher().plan(&requests)?.into_iter().collect()
    }

    /// Returns what clients see of a repository, without what we put beside it.
    pub fn seen(&self, target: &str) -> Vec<(String, String)> {
        let place = self.published(target);
        let all = walk(&place).into_iter().filter(|p| p.is_file());
        let mut all: Vec<_> = all
            .map(|p| {
                let path = p.strip_prefix(&place).unwrap().to_str().unwrap().to_owned();
                (path, fs::read_to_string(p).unwrap())
            })
            .filter(|(path, _)| path != "index.html" && path != "client.conf" && path != "server.conf")
            .collect();
        all.sort();
        all
    }

    pub fn entries(&self) -> usize {
        self.store.journal().read().count()
    }
}

/// A mirror of anything.
struct Plain;

impl Format for Plain {
    fn kind(&self) -> Kind {
        Kind::Apt
    }
    fn mode(&self) -> Mode {
        Mode::Mirror
    }
    fn compare(&self, _: &Version, _: &Version) -> Ordering {
        Ordering::Equal
    }
    fn options(&self) -> serde_json::Value {
        serde_json::json!({})
    }
    fn anchors_bind(&self) -> bool {
        true
    }
    fn walk<'a>(&'a self, _: &'a dyn Verifier) -> Box<dyn Walk + 'a> {
        unreachable!("publishing never walks")
    }
    fn vet(
        &self,
        _: &RepoPath,
        _: &mut dyn ReadSeek,
        _: &dyn Verifier,
    ) -> Result<Vec<Fingerprint>, FormatError> {
        Ok(Vec::new())
    }
    fn inspect(&self, name: &RepoPath, _: &mut dyn ReadSeek) -> Result<(Package, Vec<u8>), FormatError> {
        Err(FormatError::malformed(name, "all of it", "nothing", "something"))
    }
    fn set_up(&self, _: &dyn State, place: &Place) -> Result<Vec<SetUp>, FormatError> {
        let text = format!("use {} <here>\n", place.base);
        let file = |name: &str, keeper| SetUp {
            name: name.into(),
            keeper,
            install_to: format!("/etc/{name}"),
            text: text.clone(),
        };
        Ok(vec![file("client.conf", Keeper::Client), file("server.conf", Keeper::Server)])
    }
}
