//! A driver in memory: a map from path to bytes, walked to the end as the contract says.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{Cursor, Read},
};

use chantal_contract::{
    Absent, Answer, At, Body, Coverage, Format, FormatError, Package, RepoPath, Step, Verifier, Want,
    codec::Codec,
};

use crate::{Rpm, RpmOptions};

/// An upstream's files by path, and those of other hosts by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upstream {
    pub files: BTreeMap<String, Vec<u8>>,
    /// Feeds later answers first.
    pub backwards: bool,
}

/// What a walk said.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub packages: Vec<(Package, String)>,
    pub files: Vec<Want>,
    pub notices: Vec<String>,
    /// Files that tell of packages and were not read.
    pub unread: Vec<String>,
    /// Paths that were fed with bytes.
    pub fed: Vec<String>,
    pub coverage: Coverage,
}

impl Outcome {
    pub fn keys(&self) -> Vec<String> {
        self.packages.iter().map(|(p, _)| p.key.to_string()).collect()
    }

    pub fn file(&self, path: &str) -> &Want {
        self.files.iter().find(|w| w.path.as_str() == path).unwrap_or_else(|| panic!("no file `{path}`"))
    }
}

impl Upstream {
    pub fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), bytes.into());
        self
    }

    /// Reads a directory, subdirectories and all.
    pub fn of_directory(root: &std::path::Path) -> Self {
        let mut upstream = Self::default();
        let mut open = vec![root.to_path_buf()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    upstream.files.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
        upstream
    }

    fn get(&self, want: &Want) -> Option<&Vec<u8>> {
        match &want.at {
            At::Relative => want.via.iter().chain([&want.path]).find_map(|p| self.files.get(p.as_str())),
            At::Absolute(url) => self.files.get(url.as_str()),
            At::Directory(path) => self.files.get(path.as_str()),
        }
    }

    /// Walks with default options.
    pub fn walk(&self, proof: &dyn Verifier) -> Result<Outcome, FormatError> {
        self.walk_with(RpmOptions::default(), proof)
    }

    /// Walks to the end, each file checked against what was expected of it.
    pub fn walk_with(&self, options: RpmOptions, proof: &dyn Verifier) -> Result<Outcome, FormatError> {
        let format = Rpm::new(options);
        let mut walk = format.walk(proof);
        let mut open: VecDeque<Want> = walk.start()?.into();
        let mut outcome = Outcome::default();
        while let Some(mut want) = if self.backwards { open.pop_back() } else { open.pop_front() } {
            let bytes = loop {
                match (self.get(&want), &want.absent) {
                    (Some(bytes), _) => break Some(bytes),
                    (None, Absent::Allowed) => break None,
                    (None, Absent::Try(next)) => want = (**next).clone(),
                    (None, Absent::Fatal) => {
                        return Err(FormatError::malformed(&want.path, "upstream", "the file", "nothing"));
                    }
                }
            };
            let mut reader = Cursor::new(bytes.map(Vec::as_slice).unwrap_or_default());
            let body = bytes.map(|bytes| {
                let mut measurer = want.expect.measure();
                measurer.update(bytes).unwrap();
                let measured = measurer.finish().unwrap_or_else(|e| panic!("{}: {e}", want.path));
                outcome.fed.push(want.path.to_string());
                Body::checked(&mut reader, measured)
            });
            let mut more = Vec::new();
            walk.feed(&want, Answer { body, base: None, next: None }, &mut |step| {
                match step {
                    Step::Want(want) => more.push(want),
                    other => outcome.take(other),
                }
                Ok(())
            })?;
            open.extend(more);
        }
        let coverage = walk.finish(&mut |step| {
            outcome.take(step);
            Ok(())
        })?;
        outcome.coverage = coverage;
        Ok(outcome)
    }

    /// Vets one of the files.
    pub fn vet(&self, path: &str, proof: &dyn Verifier) -> Result<Vec<String>, FormatError> {
        let format = Rpm::new(RpmOptions::default());
        let mut file = Cursor::new(self.files[path].as_slice());
        let by = format.vet(&RepoPath::new(path).unwrap(), &mut file, proof)?;
        Ok(by.into_iter().map(|f| f.0).collect())
    }
}

impl Outcome {
    fn take(&mut self, step: Step<'_>) {
        match step {
            Step::Package(package, record) => {
                self.packages.push((package, String::from_utf8(record.to_vec()).unwrap()));
            }
            Step::File(want) => self.files.push(want),
            Step::Notice(notice) => self.notices.push(format!("{}: {}", notice.path, notice.text)),
            Step::Unread(path) => self.unread.push(path.to_string()),
            other => panic!("unexpected step {other:?}"),
        }
    }
}

/// Compresses.
pub(crate) fn packed(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match codec {
        Codec::Plain => return bytes.to_vec(),
        Codec::Gzip => flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut out),
        Codec::Xz => liblzma::read::XzEncoder::new(bytes, 1).read_to_end(&mut out),
        Codec::Zstd => return zstd::encode_all(bytes, 1).unwrap(),
        Codec::Bzip2 => bzip2::read::BzEncoder::new(bytes, bzip2::Compression::fast()).read_to_end(&mut out),
    }
    .unwrap();
    out
}

/// Compresses with gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    packed(Codec::Gzip, bytes)
}
