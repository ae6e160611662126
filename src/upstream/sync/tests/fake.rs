//! A small format whose indexes a test writes by hand.
//!
//! ```text
//! root:   date 2026-11-20T00:00:00Z      list: pkg NAME PATH ALGORITHM DIGEST SIZE [URL]
//!         until 2026-11-27T00:00:00Z           doc KIND KEY
//!         index PATH SHA256 SIZE               file PATH SHA256 SIZE
//!         or PATH (tried for the index above)  derive PATH TEXT
//! ```

use std::{cmp::Ordering, io::BufRead as _, sync::Mutex};

use chantal_contract::{
    Absent, Algorithm, Answer, At, Checksum, Coverage, Document, Expect, Fingerprint, Format, FormatError,
    Group, Key, Kind, Mode, Package, Place, Policy, ReadSeek, RepoPath, SetUp, Signed, State, Step, Verifier,
    VerifyError, Version, Walk, Want,
};

pub struct Fake {
    pub mode: Mode,
    pub binds: bool,
    pub options: serde_json::Value,
    /// Where the root is asked for, if not beside everything else.
    pub root: Option<At>,
}

impl Default for Fake {
    fn default() -> Self {
        Self { mode: Mode::Mirror, binds: true, options: serde_json::json!({}), root: None }
    }
}

struct FakeWalk<'a> {
    format: &'a Fake,
    coverage: Mutex<Coverage>,
}

const ROOT: u64 = 1;
const LIST: u64 = 2;

fn path(text: &str) -> RepoPath {
    text.parse().unwrap()
}

fn sha256(hex: &str) -> Checksum {
    Checksum::from_hex(Algorithm::Sha256, hex).unwrap()
}

impl Walk for FakeWalk<'_> {
    fn start(&mut self) -> Result<Vec<Want>, FormatError> {
        let mut root = Want::anchor(path("root"), 1 << 20).tag(ROOT);
        if let Some(at) = &self.format.root {
            root.at = at.clone();
        }
        let signature = Want::anchor(path("root.sig"), 1 << 10).absent(Absent::Allowed);
        Ok(vec![root, signature])
    }

    fn feed(
        &mut self,
        want: &Want,
        mut answer: Answer<'_>,
        out: &mut dyn FnMut(Step<'_>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        let Some(body) = &mut answer.body else { return Ok(()) };
        let lines: Vec<String> = body.reader().lines().map(Result::unwrap).collect();
        let mut wants: Vec<Want> = Vec::new();
        for line in &lines {
            let words: Vec<&str> = line.split(' ').collect();
            match (want.tag, words.as_slice()) {
                (ROOT, ["date", at]) => self.coverage.lock().unwrap().date = Some(at.parse().unwrap()),
                (ROOT, ["until", at]) => {
                    self.coverage.lock().unwrap().valid_until = Some(at.parse().unwrap());
                }
                (ROOT, ["index", at, digest, size]) => {
                    let expect = Expect::exactly(size.parse().unwrap(), vec![sha256(digest)]);
                    let mut index = Want::index(path(at), expect).tag(LIST);
                    index.via = vec![path(&format!("by-hash/{digest}"))];
                    wants.push(index);
                }
                (ROOT, ["or", at]) => {
                    let before = wants.pop().unwrap();
                    let mut other = before.clone();
                    other.path = path(at);
                    wants.push(before.absent(Absent::Try(Box::new(other))));
                }
                (LIST, ["pkg", name, at, algorithm, digest, size, rest @ ..]) => {
                    let checksum = Checksum::from_hex(Algorithm::named(algorithm).unwrap(), digest).unwrap();
                    let mut file =
                        Want::payload(path(at), Expect::exactly(size.parse().unwrap(), vec![checksum]));
                    if let [url] = rest {
                        file.at = At::Absolute(url.parse().unwrap());
                    }
                    let package = Package {
                        key: Key::new(*name, "1", "all"),
                        group: Group { name: (*name).into(), stream: None },
                        version: Version("1".into()),
                        summary: String::new(),
                        files: vec![file],
                    };
                    out(Step::Package(package, line.as_bytes()))?;
                }
                (LIST, ["doc", kind, key]) => {
                    let document = Document { kind: (*kind).into(), key: (*key).into() };
                    out(Step::Document(document, line.as_bytes()))?;
                }
                (LIST, ["file", at, digest, size]) => {
                    let expect = Expect::exactly(size.parse().unwrap(), vec![sha256(digest)]);
                    out(Step::File(Want::payload(path(at), expect)))?;
                }
                (LIST, ["derive", at, text]) => {
                    out(Step::Derived { path: path(at), bytes: text.as_bytes() })?;
                }
                _ => return Err(FormatError::malformed(&want.path, "a line", "one of the fake's", line)),
            }
        }
        if want.tag == LIST {
            let digest = want.expect.sha256().unwrap();
            out(Step::Alias { path: path(&format!("by-hash/{digest}")), target: want.path.clone() })?;
        }
        wants.into_iter().try_for_each(|want| out(Step::Want(want)))
    }

    fn finish(
        self: Box<Self>,
        _: &mut dyn FnMut(Step<'_>) -> Result<(), FormatError>,
    ) -> Result<Coverage, FormatError> {
        Ok(self.coverage.into_inner().unwrap())
    }
}

impl Format for Fake {
    fn kind(&self) -> Kind {
        Kind::Apt
    }
    fn mode(&self) -> Mode {
        self.mode
    }
    fn compare(&self, a: &Version, b: &Version) -> Ordering {
        a.0.cmp(&b.0)
    }
    fn options(&self) -> serde_json::Value {
        self.options.clone()
    }
    fn anchors_bind(&self) -> bool {
        self.binds
    }
    fn walk<'a>(&'a self, _: &'a dyn Verifier) -> Box<dyn Walk + 'a> {
        Box::new(FakeWalk { format: self, coverage: Mutex::default() })
    }
    fn vet(
        &self,
        path: &RepoPath,
        file: &mut dyn ReadSeek,
        _: &dyn Verifier,
    ) -> Result<Vec<Fingerprint>, FormatError> {
        let mut text = String::new();
        std::io::Read::read_to_string(file, &mut text).unwrap();
        if text.starts_with("unsigned") {
            return Err(FormatError::Verify { file: path.clone(), source: VerifyError::Unsigned });
        }
        Ok(Vec::new())
    }
    fn inspect(&self, _: &RepoPath, _: &mut dyn ReadSeek) -> Result<(Package, Vec<u8>), FormatError> {
        unreachable!("nobody uploads in these tests")
    }
    fn set_up(&self, _: &dyn State, _: &Place) -> Result<Vec<SetUp>, FormatError> {
        unreachable!("nobody publishes in these tests")
    }
}

/// Keys that accept everything, and a policy for packages.
pub struct Keys(pub Policy);

impl Verifier for Keys {
    fn metadata(&self) -> Policy {
        Policy::Off
    }
    fn packages(&self) -> Policy {
        self.0
    }
    fn cleartext(&self, _: &[u8]) -> Result<Signed, VerifyError> {
        Err(VerifyError::NoKeys)
    }
    fn detached(&self, _: &[u8], _: &[u8]) -> Result<Vec<Fingerprint>, VerifyError> {
        Err(VerifyError::NoKeys)
    }
}
