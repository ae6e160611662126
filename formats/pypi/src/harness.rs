//! A small world for tests: an index in memory, a driver that walks it, a snapshot and its tree.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{Cursor, Write},
};

use chantal_contract::{
    Absent, Answer, At, Body, Digest, Entry, Format, FormatError, Header, Keep, Line, Measured, NoProof,
    Notice, Package, RepoPath, Role, State, Step, Tree, TreeError, Want,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

use crate::{Environment, Implementation, Pypi, PypiOptions};

/// The address of the index.
pub(crate) const INDEX: &str = "https://mirror.example.org/simple";

/// Files by address.
#[derive(Clone, Default)]
pub(crate) struct Upstream {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) pages: BTreeMap<String, Vec<Value>>,
    /// Whether pages say what is known of metadata.
    pub(crate) metadata: Offer,
}

/// How pages offer a wheel's metadata.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Offer {
    #[default]
    Digest,
    Unproved,
    Nothing,
}

impl Upstream {
    /// Adds a wheel for every platform with these `Requires-Dist` lines.
    pub(crate) fn wheel(&mut self, name: &str, version: &str, requires: &[&str]) -> &mut Value {
        self.tagged(name, version, "py3-none-any", requires)
    }

    pub(crate) fn tagged(&mut self, name: &str, version: &str, tag: &str, requires: &[&str]) -> &mut Value {
        let metadata = metadata(name, version, "2.1", requires);
        let filename = format!("{}-{version}-{tag}.whl", name.replace('-', "_"));
        let offer = match self.metadata {
            Offer::Digest => json!({ "sha256": Digest::of(metadata.as_bytes()).hex() }),
            Offer::Unproved => json!(true),
            Offer::Nothing => json!(false),
        };
        let url = format!("https://files.example.org/{filename}");
        if self.metadata != Offer::Nothing {
            self.files.insert(format!("{url}.metadata"), metadata.clone().into_bytes());
        }
        let entry = self.add(name, &filename, wheel(name, version, &metadata));
        entry["core-metadata"] = offer;
        entry
    }

    pub(crate) fn sdist(&mut self, name: &str, version: &str, core: &str, requires: &[&str]) -> &mut Value {
        let bytes = sdist(name, version, &metadata(name, version, core, requires));
        self.add(name, &format!("{name}-{version}.tar.gz"), bytes)
    }

    pub(crate) fn add(&mut self, name: &str, filename: &str, bytes: Vec<u8>) -> &mut Value {
        let url = format!("https://files.example.org/{filename}");
        let entry = json!({
            "filename": filename,
            "url": url,
            "hashes": { "sha256": Digest::of(&bytes).hex() },
            "size": bytes.len(),
            "upload-time": "2024-01-02T03:04:05.678901Z",
            "yanked": false,
            "requires-python": null,
        });
        self.files.insert(url, bytes);
        let page = self.pages.entry(name.to_owned()).or_default();
        page.push(entry);
        page.last_mut().unwrap()
    }

    /// Returns every address with its bytes, project pages included.
    pub(crate) fn served(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = self.files.clone();
        for (name, files) in &self.pages {
            let page = json!({
                "meta": { "api-version": "1.1", "_last-serial": 7 },
                "name": name, "versions": [], "files": files,
            });
            all.entry(format!("{INDEX}/{name}/")).or_insert_with(|| page.to_string().into_bytes());
        }
        all
    }
}

/// Writes core metadata; an extra that a marker names is provided.
pub(crate) fn metadata(name: &str, version: &str, core: &str, requires: &[&str]) -> String {
    let mut lines = vec![
        format!("Metadata-Version: {core}"),
        format!("Name: {name}"),
        format!("Version: {version}"),
        format!("Summary: {name} for tests"),
    ];
    let extra =
        |r: &&str| r.split_once("extra == ").map(|(_, name)| name.trim_matches(['"', '\'']).to_owned());
    lines.extend(requires.iter().filter_map(extra).map(|name| format!("Provides-Extra: {name}")));
    lines.extend(requires.iter().map(|r| format!("Requires-Dist: {r}")));
    lines.push("\nText.\n".into());
    lines.join("\n")
}

/// Builds a wheel that pip installs.
pub(crate) fn wheel(name: &str, version: &str, metadata: &str) -> Vec<u8> {
    let name = name.replace('-', "_");
    let info = format!("{name}-{version}.dist-info");
    let tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    zip(&[
        (&format!("{name}/__init__.py"), format!("VERSION = {version:?}\n").as_bytes()),
        (&format!("{info}/METADATA"), metadata.as_bytes()),
        (&format!("{info}/WHEEL"), tag.as_bytes()),
        (
            &format!("{info}/RECORD"),
            format!("{name}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n").as_bytes(),
        ),
    ])
}

pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in members {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Builds a source archive with a PKG-INFO.
pub(crate) fn sdist(name: &str, version: &str, metadata: &str) -> Vec<u8> {
    let top = format!("{name}-{version}");
    let mut tar = Vec::new();
    for (path, bytes) in [("setup.py", "pass\n"), ("sub/PKG-INFO", "wrong\n"), ("PKG-INFO", metadata)] {
        tar.extend(tar_member(&format!("{top}/{path}"), bytes.as_bytes()));
    }
    tar.extend([0; 1024]);
    gzip(&tar)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn tar_member(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 512];
    block[..path.len()].copy_from_slice(path.as_bytes());
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    block[156] = b'0';
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut out = block.to_vec();
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// Options that want projects in CPython 3.11 on Linux, with their dependencies.
pub(crate) fn closure(projects: &[&str]) -> PypiOptions {
    PypiOptions { dependencies: true, environments: vec![linux("3.11")], ..plain(projects) }
}

pub(crate) fn plain(projects: &[&str]) -> PypiOptions {
    PypiOptions { projects: projects.iter().map(|p| (*p).to_owned()).collect(), ..PypiOptions::default() }
}

pub(crate) fn linux(python: &str) -> Environment {
    Environment {
        python: python.into(),
        platform: "manylinux_2_28_x86_64".into(),
        implementation: Implementation::Cpython,
    }
}

/// What a walk took.
#[derive(Default)]
pub(crate) struct Mirrored {
    pub(crate) options: Value,
    pub(crate) packages: Vec<(Package, Vec<u8>)>,
    pub(crate) documents: BTreeMap<String, Vec<u8>>,
    pub(crate) tree: BTreeMap<RepoPath, Vec<u8>>,
    /// Pages by the address that they came from and the path that they are evidence under.
    pub(crate) evidence: BTreeMap<RepoPath, (Url, Vec<u8>)>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) asked: Vec<String>,
}

impl Mirrored {
    /// Returns the names of the files that were taken, sorted.
    pub(crate) fn filenames(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.packages.iter().map(|(p, _)| p.key.architecture.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Returns project and version of each package, sorted.
    pub(crate) fn versions(&self) -> BTreeSet<String> {
        self.packages.iter().map(|(p, _)| format!("{} {}", p.key.name, p.key.version)).collect()
    }

    pub(crate) fn noticed(&self, text: &str) -> bool {
        self.notices.iter().any(|n| n.text.contains(text))
    }

    /// Lays the snapshot out.
    pub(crate) fn publish(&self) -> BTreeMap<String, Vec<u8>> {
        let state = Snapshot::new(self);
        let mut tree = Published { blobs: &state.blobs, files: BTreeMap::new() };
        let pypi = Pypi::from_value(self.options.clone()).unwrap();
        pypi.lay_out(&state, &mut tree, None, Timestamp::UNIX_EPOCH).unwrap();
        tree.files
    }
}

/// Where a walk's files come from.
pub(crate) enum Source<'a> {
    /// Addresses, as on the collector.
    Served(&'a BTreeMap<String, Vec<u8>>),
    /// A snapshot and its evidence, as on the receiver.
    Held(&'a Mirrored),
}

impl Source<'_> {
    fn fetch(&self, want: &Want) -> (Option<Url>, Option<Vec<u8>>) {
        match self {
            Self::Held(held) => {
                let evidence = held.evidence.get(&want.path).map(|(_, bytes)| bytes);
                (None, evidence.or_else(|| held.tree.get(&want.path)).cloned())
            }
            Self::Served(files) => {
                let url = match &want.at {
                    At::Absolute(url) => url.clone(),
                    At::Directory(directory) => Url::parse(&format!("{INDEX}/{directory}/")).unwrap(),
                    At::Relative => Url::parse(&format!("{INDEX}/{}", want.path)).unwrap(),
                };
                let bytes = files.get(url.as_str()).cloned();
                (Some(url), bytes)
            }
        }
    }
}

/// Walks and takes what is left, as the real driver does.
pub(crate) fn mirror(options: PypiOptions, source: &Source<'_>) -> Result<Mirrored, FormatError> {
    let pypi = Pypi::new(options)?;
    let mut taken = Mirrored { options: pypi.options(), ..Mirrored::default() };
    let mut walk = pypi.walk(&NoProof);
    let mut open: VecDeque<Want> = walk.start()?.into();
    while let Some(want) = open.pop_front() {
        let (url, bytes) = source.fetch(&want);
        taken.asked.extend(url.as_ref().map(Url::to_string));
        let Some(bytes) = bytes else {
            assert_eq!(want.absent, Absent::Allowed, "{} is not there", want.path);
            let answer = Answer { body: None, base: url.as_ref(), next: None };
            walk.feed(&want, answer, &mut |step| taken.step(step, &mut open))?;
            continue;
        };
        let measured = check(&want, &bytes);
        match want.keep {
            Keep::Tree => {
                taken.tree.insert(want.path.clone(), bytes.clone());
            }
            Keep::Evidence => {
                let url = url.clone().unwrap_or_else(|| Url::parse(INDEX).unwrap());
                let before = taken.evidence.insert(want.path.clone(), (url, bytes.clone()));
                assert!(before.is_none(), "{} is asked for twice", want.path);
            }
            Keep::No => {}
        }
        let mut reader = Cursor::new(bytes);
        let body = Some(Body::checked(&mut reader, measured));
        walk.feed(&want, Answer { body, base: url.as_ref(), next: None }, &mut |step| {
            taken.step(step, &mut open)
        })?;
    }
    walk.finish(&mut |step| taken.step(step, &mut open))?;
    assert!(open.is_empty());
    let wants: Vec<Want> = taken.packages.iter().flat_map(|(p, _)| p.files.iter().cloned()).collect();
    for want in wants.iter().filter(|want| !taken.tree.contains_key(&want.path)).collect::<Vec<_>>() {
        match source.fetch(want) {
            (_, Some(bytes)) => {
                check(want, &bytes);
                taken.tree.insert(want.path.clone(), bytes);
            }
            _ => assert_eq!(want.absent, Absent::Allowed, "{} is not there", want.path),
        }
    }
    Ok(taken)
}

fn check(want: &Want, bytes: &[u8]) -> Measured {
    let mut measurer = want.expect.measure();
    measurer.update(bytes).unwrap_or_else(|e| panic!("{}: {e}", want.path));
    measurer.finish().unwrap_or_else(|e| panic!("{}: {e}", want.path))
}

impl Mirrored {
    #[expect(clippy::unnecessary_wraps, reason = "the shape of a walk's sink")]
    fn step(&mut self, step: Step<'_>, open: &mut VecDeque<Want>) -> Result<(), FormatError> {
        match step {
            Step::Want(want) => open.push_back(want),
            Step::Package(package, record) => self.packages.push((package, record.to_vec())),
            Step::Document(document, record) => {
                self.documents.insert(document.key, record.to_vec());
            }
            Step::Derived { path, bytes } => {
                self.tree.insert(path, bytes.to_vec());
            }
            Step::Notice(notice) => self.notices.push(notice),
            _ => panic!("a walk over PyPI has no such step"),
        }
        Ok(())
    }
}

/// A snapshot in memory.
struct Snapshot {
    header: Header,
    lines: Vec<Line>,
    records: BTreeMap<Digest, Vec<u8>>,
    blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Snapshot {
    fn new(taken: &Mirrored) -> Self {
        let mut records = BTreeMap::new();
        let mut keep = |bytes: &Vec<u8>| {
            records.insert(Digest::of(bytes), bytes.clone());
            Digest::of(bytes)
        };
        let mut lines = Vec::new();
        for (key, record) in &taken.documents {
            lines.push(Line::Doc { kind: "project".into(), key: key.clone(), record: keep(record) });
        }
        for (package, record) in &taken.packages {
            let there = |want: &&Want| taken.tree.contains_key(&want.path);
            let mut files: Vec<RepoPath> =
                package.files.iter().filter(there).map(|w| w.path.clone()).collect();
            files.sort();
            lines.push(Line::Pkg { key: package.key.clone(), record: keep(record), files });
        }
        let mut blobs = BTreeMap::new();
        for (path, bytes) in &taken.tree {
            let measured = Measured { sha256: Digest::of(bytes), size: bytes.len() as u64 };
            blobs.insert(measured.sha256, bytes.clone());
            let entry = Entry::Present { measured, role: Role::Payload };
            lines.push(Line::File { path: path.clone(), entry });
        }
        lines.sort_by_key(Line::encode);
        let header = Header {
            format: chantal_contract::Kind::Pypi,
            layout: crate::LAYOUT,
            mode: chantal_contract::Mode::Filtered,
            options: taken.options.clone(),
        };
        Self { header, lines, records, blobs }
    }
}

impl State for Snapshot {
    fn header(&self) -> &Header {
        &self.header
    }
    fn lines(&self, visit: &mut dyn FnMut(&Line) -> Result<(), FormatError>) -> Result<(), FormatError> {
        self.lines.iter().try_for_each(visit)
    }
    fn record(&self, digest: &Digest) -> Result<Vec<u8>, TreeError> {
        Ok(self.records[digest].clone())
    }
    fn read(&self, path: &RepoPath, _: u64) -> Result<Vec<u8>, TreeError> {
        Err(TreeError::NoFile(path.clone()))
    }
}

struct Published<'a> {
    blobs: &'a BTreeMap<Digest, Vec<u8>>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Tree for Published<'_> {
    fn place(&mut self, path: &RepoPath, blob: Measured, _: Role) -> Result<(), TreeError> {
        self.write(path, &self.blobs[&blob.sha256].clone())
    }
    fn write(&mut self, path: &RepoPath, bytes: &[u8]) -> Result<(), TreeError> {
        match self.files.insert(path.to_string(), bytes.to_vec()) {
            None => Ok(()),
            Some(_) => Err(TreeError::Twice(path.clone())),
        }
    }
}
