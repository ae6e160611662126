//! Upstreams in memory, and a driver that walks them as the real one does: for tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{Cursor, Write},
};

use chantal_contract::{
    Absent, Algorithm, Answer, Body, Coverage, Expect, Fingerprint, Format, FormatError, Keep, Package,
    Policy, Role, Signed, Step, Verifier, VerifyError, Want,
    digest::{Hasher, hex},
};

use crate::{Apt, clearsign};

/// The files of a repository, upstream's or published.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Accepts signatures that say `good`, by whom they say.
pub(crate) struct Keys(pub(crate) Policy);

impl Verifier for Keys {
    fn metadata(&self) -> Policy {
        self.0
    }
    fn packages(&self) -> Policy {
        Policy::Off
    }
    fn cleartext(&self, document: &[u8]) -> Result<Signed, VerifyError> {
        let text = clearsign::unverified_text(document).ok_or(VerifyError::Unsigned)?;
        let framed = String::from_utf8_lossy(document);
        let signature = framed.lines().rev().nth(1).unwrap_or_default();
        Ok(Signed { text, by: by(signature)? })
    }
    fn detached(&self, _data: &[u8], signature: &[u8]) -> Result<Vec<Fingerprint>, VerifyError> {
        by(&String::from_utf8_lossy(signature))
    }
}

fn by(signature: &str) -> Result<Vec<Fingerprint>, VerifyError> {
    match signature.strip_prefix("good ") {
        Some(signer) => Ok(vec![Fingerprint(signer.trim().into())]),
        None => Err(VerifyError::Bad(Fingerprint("0".into()))),
    }
}

/// Frames text as a cleartext signature.
pub(crate) fn clearsigned(text: &str, signature: &str) -> Vec<u8> {
    let mut framed = String::from("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n");
    for line in text.lines() {
        framed.push_str(if line.starts_with('-') { "- " } else { "" });
        framed.push_str(line);
        framed.push('\n');
    }
    framed.push_str("-----BEGIN PGP SIGNATURE-----\n\n");
    framed.push_str(signature);
    framed.push_str("\n-----END PGP SIGNATURE-----\n");
    framed.into_bytes()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hex(&hasher.finish())
}

/// A stanza of `Packages` for a file that holds `bytes`.
pub(crate) fn stanza(name: &str, version: &str, architecture: &str, bytes: &[u8]) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nDescription: what {name} does\n more of it\n\
         Filename: pool/{name}_{version}_{architecture}.deb\nSize: {}\nMD5sum: {}\nSHA256: {}\n",
        bytes.len(),
        digest(Algorithm::Md5, bytes),
        digest(Algorithm::Sha256, bytes),
    )
}

/// One suite in the making.
#[derive(Clone)]
pub(crate) struct Repo {
    /// The suite's directory with its slash; empty for a flat repository's root.
    pub(crate) directory: String,
    /// The fields of `Release` before the lists.
    pub(crate) fields: String,
    pub(crate) algorithms: Vec<Algorithm>,
    /// What `Release` lists, by path relative to the suite.
    pub(crate) listed: Files,
    /// Which of that is not there.
    pub(crate) missing: BTreeSet<String>,
}

impl Repo {
    pub(crate) fn new(suite: &str) -> Self {
        Self {
            directory: format!("dists/{suite}/"),
            fields: format!(
                "Origin: Test\nSuite: {suite}\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nArchitectures: amd64 arm64\n\
                 Components: main\n"
            ),
            algorithms: vec![Algorithm::Md5, Algorithm::Sha256],
            listed: Files::new(),
            missing: BTreeSet::new(),
        }
    }

    pub(crate) fn flat(directory: &str) -> Self {
        Self {
            directory: directory.into(),
            fields: "Date: Sat, 11 Jul 2026 10:16:37 UTC\n".into(),
            ..Self::new("flat")
        }
    }

    pub(crate) fn field(mut self, line: &str) -> Self {
        self.fields.push_str(line);
        self.fields.push('\n');
        self
    }

    /// Lists an index plain, gz and xz, and serves it compressed, as Debian does.
    pub(crate) fn index(mut self, base: &str, text: &str) -> Self {
        self.listed.insert(format!("{base}.gz"), gzip(text.as_bytes()));
        self.listed.insert(format!("{base}.xz"), xz(text.as_bytes()));
        self.listed.insert(base.into(), text.into());
        self.missing.insert(base.into());
        self
    }

    /// Lists and serves a file as it is.
    pub(crate) fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        self.listed.insert(path.into(), bytes.into());
        self
    }

    pub(crate) fn without(mut self, path: &str) -> Self {
        self.missing.insert(path.into());
        self
    }

    pub(crate) fn release(&self) -> String {
        let mut text = self.fields.clone();
        for algorithm in &self.algorithms {
            text.push_str(match algorithm {
                Algorithm::Md5 => "MD5Sum:\n",
                Algorithm::Sha512 => "SHA512:\n",
                _ => "SHA256:\n",
            });
            for (path, bytes) in &self.listed {
                let (digest, size) = (digest(*algorithm, bytes), bytes.len());
                writeln!(text, " {digest} {size:>16} {path}").unwrap();
            }
        }
        text
    }

    pub(crate) fn files(&self) -> Files {
        let release = self.release();
        let mut files: Files = self
            .listed
            .iter()
            .filter(|(path, _)| !self.missing.contains(*path))
            .map(|(path, bytes)| (format!("{}{path}", self.directory), bytes.clone()))
            .collect();
        files.insert(format!("{}InRelease", self.directory), clearsigned(&release, "good AAAA"));
        files.insert(format!("{}Release", self.directory), release.into_bytes());
        files.insert(format!("{}Release.gpg", self.directory), b"good AAAA\n".to_vec());
        files
    }
}

/// What a walk said.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) packages: Vec<(Package, Vec<u8>)>,
    pub(crate) payloads: Vec<Want>,
    pub(crate) notices: Vec<String>,
    /// What is published, without payloads.
    pub(crate) tree: Files,
    /// Every path that was asked for, in order.
    pub(crate) asked: Vec<String>,
    pub(crate) coverage: Coverage,
}

impl Outcome {
    pub(crate) fn keys(&self) -> Vec<String> {
        self.packages.iter().map(|(package, _)| package.key.to_string()).collect()
    }

    /// Returns the published paths but those by hash.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.tree.keys().map(String::as_str).filter(|path| !path.contains("/by-hash/")).collect()
    }
}

/// Walks `upstream` to the end, feeding answers in the order of wants, or (`backwards`) the last want first.
pub(crate) fn drive(
    apt: &Apt,
    upstream: &Files,
    keys: &Keys,
    backwards: bool,
) -> Result<Outcome, FormatError> {
    let mut outcome = Outcome::default();
    let mut walk = apt.walk(keys);
    let mut wants = walk.start()?;
    let mut fed: Files = Files::new();
    while !wants.is_empty() {
        let mut want = if backwards { wants.pop().unwrap() } else { wants.remove(0) };
        assert!(matches!(want.role, Role::Anchor | Role::Index));
        let found = loop {
            let paths: Vec<_> = want.via.iter().chain([&want.path]).map(ToString::to_string).collect();
            outcome.asked.extend(paths.clone());
            if let Some(bytes) = paths.iter().find_map(|path| upstream.get(path)) {
                break Some(bytes.clone());
            }
            match want.absent {
                Absent::Try(other) => want = *other,
                Absent::Allowed => break None,
                Absent::Fatal => return Err(driver(&want, "absent")),
            }
        };
        let mut more = Vec::new();
        let mut out = |step: Step<'_>| {
            match step {
                Step::Want(want) => more.push(want),
                Step::Package(package, record) => {
                    outcome.payloads.extend(package.files.iter().cloned());
                    outcome.packages.push((package, record.to_vec()));
                }
                Step::File(want) => outcome.payloads.push(want),
                Step::Alias { path, target } => {
                    // what is being fed counts as fed
                    let bytes =
                        if target == want.path { found.clone() } else { fed.get(target.as_str()).cloned() };
                    outcome.tree.insert(path.to_string(), bytes.expect("an alias of a fed file"));
                }
                Step::Notice(notice) => outcome.notices.push(format!("{}: {}", notice.path, notice.text)),
                Step::Document(..) | Step::Advisory(_) | Step::Derived { .. } | Step::Unread(_) => {
                    panic!("{step:?}")
                }
            }
            Ok(())
        };
        match &found {
            None => walk.feed(&want, Answer { body: None, base: None, next: None }, &mut out)?,
            Some(bytes) => {
                let mut measurer = want.expect.measure();
                let measured = measurer.update(bytes).and_then(|()| measurer.finish());
                let measured = measured.map_err(|mismatch| driver(&want, &mismatch.to_string()))?;
                let mut reader = Cursor::new(bytes.as_slice());
                let body = Some(Body::checked(&mut reader, measured));
                walk.feed(&want, Answer { body, base: None, next: None }, &mut out)?;
            }
        }
        if let Some(bytes) = found {
            if want.keep == Keep::Tree {
                outcome.tree.insert(want.path.to_string(), bytes.clone());
            }
            fed.insert(want.path.to_string(), bytes);
        }
        wants.extend(more);
    }
    let notices = &mut outcome.notices;
    outcome.coverage = walk.finish(&mut |step| {
        let Step::Notice(notice) = step else { panic!("{step:?}") };
        notices.push(format!("{}: {}", notice.path, notice.text));
        Ok(())
    })?;
    Ok(outcome)
}

fn driver(want: &Want, why: &str) -> FormatError {
    FormatError::malformed(&want.path, "the driver", "a file", why)
}

/// Sets up a walk over one suite `s` with the component `main` and the architecture `amd64`, and what `more` says.
pub(crate) fn apt(more: serde_json::Value) -> Apt {
    let mut options =
        serde_json::json!({ "suites": ["s"], "components": ["main"], "architectures": ["amd64"] });
    for (key, value) in more.as_object().unwrap() {
        options[key] = value.clone();
    }
    Apt::from_value(options).unwrap()
}

/// Walks with signatures required.
pub(crate) fn walk(apt: &Apt, upstream: &Files) -> Result<Outcome, FormatError> {
    drive(apt, upstream, &Keys(Policy::Require), false)
}

/// Returns what is expected of bytes of which nothing is known but their digest.
pub(crate) fn exactly(bytes: &[u8]) -> Expect {
    Expect::exactly(bytes.len() as u64, vec![chantal_contract::Digest::of(bytes).into()])
}
