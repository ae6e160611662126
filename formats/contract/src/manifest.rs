//! The manifest of a snapshot: a header and sorted lines, in one form only.
//!
//! ```text
//! chantal-manifest⇥1⇥{"format":"apt","layout":1,"mode":"mirror","options":{…}}
//! doc⇥KIND⇥KEY⇥RECORD
//! file⇥PATH⇥SHA256⇥SIZE⇥index|payload
//! file⇥PATH⇥-⇥-⇥absent
//! pkg⇥KEY⇥RECORD⇥PATH…
//! ```
//!
//! Lines are UTF-8, end in one LF, and rise strictly by their bytes; a TAB sorts below every byte that a field may hold, so
//! that order is also the order of paths and keys. A snapshot's name is the SHA-256 of exactly these bytes. There is no
//! name, date or key in them. `RECORD` is the SHA-256 of an index record; every `PATH` of a `pkg` line has a `file` line.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    digest::{Digest, Measured},
    format::{Kind, Mode},
    limits::MANIFEST_LINE_BYTES,
    package::Key,
    path::RepoPath,
    want::Role,
};

/// The version of this format that is written, and the newest that is read.
pub const VERSION: u32 = 1;
const MAGIC: &str = "chantal-manifest";

/// What a manifest says before its lines: all that a lay-out needs but keys and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The package format.
    pub format: Kind,
    /// The version of the format's lay-out.
    pub layout: u32,
    /// How it relates to its upstream.
    pub mode: Mode,
    /// The format's options, keys sorted.
    pub options: serde_json::Value,
}

impl Header {
    /// Writes the first line of a manifest, without its LF.
    pub fn first_line(&self) -> Result<String, ManifestError> {
        let json = serde_json::to_string(self).map_err(io::Error::other)?;
        Ok(format!("{MAGIC}\t{VERSION}\t{json}"))
    }

    /// Reads the first line of a manifest, without its LF.
    pub fn parse_first_line(line: &str) -> Result<Self, ManifestError> {
        let fault = |why| ManifestError::Form { line: 1, why };
        let mut fields = line.splitn(3, '\t');
        if fields.next() != Some(MAGIC) {
            return Err(fault("it does not begin with chantal-manifest"));
        }
        let version = fields.next().unwrap_or_default();
        match version.parse() {
            Ok(VERSION) if version == VERSION.to_string() => {}
            Ok(newer) if newer > VERSION => return Err(ManifestError::Version(newer)),
            _ => return Err(fault("the version is no plain number")),
        }
        let json = fields.next().unwrap_or_default();
        let header: Self =
            serde_json::from_str(json).map_err(|_| fault("the header is no JSON of its one form"))?;
        if serde_json::to_string(&header).ok().as_deref() != Some(json) {
            return Err(fault("the header is not written in its one form"));
        }
        Ok(header)
    }
}

/// What a path of a state holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// These bytes.
    Present {
        /// Digest and size.
        measured: Measured,
        /// Index or payload; an anchor counts as an index.
        role: Role,
    },
    /// Upstream lists it and does not have it.
    Absent,
}

/// One line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A record that is no package.
    Doc {
        /// What it is.
        kind: String,
        /// What tells it from others of its kind.
        key: String,
        /// Its record.
        record: Digest,
    },
    /// A file.
    File {
        /// Its path.
        path: RepoPath,
        /// What is there.
        entry: Entry,
    },
    /// A package of a filtered or hosted repository.
    Pkg {
        /// Its identity.
        key: Key,
        /// Its record.
        record: Digest,
        /// Its files, sorted; each has a `file` line.
        files: Vec<RepoPath>,
    },
}

/// Why some bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// They cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line is not of the one form.
    #[error("manifest line {line}: {why}")]
    Form {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// It is of a version that this program does not know.
    #[error("manifest version {0} is newer than {VERSION}, the newest this program reads")]
    Version(u32),
}

impl Line {
    /// Reads a line without its LF.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut fields = text.split('\t');
        let mut field = || fields.next().ok_or("a field is missing");
        let line = match field()? {
            "doc" => {
                let (kind, key) = (field()?, field()?);
                check_text(kind)?;
                check_text(key)?;
                Self::Doc { kind: kind.into(), key: key.into(), record: digest(field()?)? }
            }
            "file" => {
                let path = RepoPath::new(field()?).map_err(|_| "a path is none that a tree may hold")?;
                let (sha256, size, role) = (field()?, field()?, field()?);
                let entry = match role {
                    "absent" if sha256 == "-" && size == "-" => Entry::Absent,
                    "index" | "payload" => {
                        let role = if role == "index" { Role::Index } else { Role::Payload };
                        if size.len() > 1 && size.starts_with('0')
                            || !size.bytes().all(|b| b.is_ascii_digit())
                        {
                            return Err("the size is no plain decimal number");
                        }
                        let size = size.parse().map_err(|_| "the size is no plain decimal number")?;
                        Entry::Present { measured: Measured { sha256: digest(sha256)?, size }, role }
                    }
                    _ => return Err("the role is none of index, payload, absent"),
                };
                Self::File { path, entry }
            }
            "pkg" => {
                let key = Key::decode(field()?).ok_or("the key is not of its one form")?;
                let record = digest(field()?)?;
                let files = fields
                    .by_ref()
                    .map(RepoPath::new)
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|_| "a path is none that a tree may hold")?;
                if !files.is_sorted_by(|a, b| a < b) {
                    return Err("a package's paths do not rise");
                }
                Self::Pkg { key, record, files }
            }
            _ => return Err("it begins with none of doc, file, pkg"),
        };
        if fields.next().is_some() { Err("it has too many fields") } else { Ok(line) }
    }

    /// Writes the line without its LF.
    pub fn encode(&self) -> String {
        match self {
            Self::Doc { kind, key, record } => format!("doc\t{kind}\t{key}\t{record}"),
            Self::File { path, entry: Entry::Absent } => format!("file\t{path}\t-\t-\tabsent"),
            Self::File { path, entry: Entry::Present { measured, role } } => {
                let role = if *role == Role::Payload { "payload" } else { "index" };
                format!("file\t{path}\t{}\t{}\t{role}", measured.sha256, measured.size)
            }
            Self::Pkg { key, record, files } => {
                let mut text = format!("pkg\t{}\t{record}", key.encode());
                for path in files {
                    text.push('\t');
                    text.push_str(path.as_str());
                }
                text
            }
        }
    }
}

fn digest(text: &str) -> Result<Digest, &'static str> {
    text.parse().map_err(|_| "a digest is not 64 lower-case hexadecimal digits")
}

fn check_text(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) {
        Err("a field is empty or holds a control character")
    } else {
        Ok(())
    }
}

/// Returns what a line is about: all that stays when its content changes (`file⇥PATH`, `pkg⇥KEY`, `doc⇥KIND⇥KEY`).
pub fn subject(line: &str) -> &str {
    let tabs = if line.starts_with("doc\t") { 3 } else { 2 };
    line.match_indices('\t').nth(tabs - 1).map_or(line, |(at, _)| line.get(..at).unwrap_or(line))
}

/// Writes a manifest and names it.
pub struct Writer<W> {
    out: W,
    hash: Sha256,
    last: String,
    lines: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(out: W, header: &Header) -> Result<Self, ManifestError> {
        let mut writer = Self { out, hash: Sha256::new(), last: String::new(), lines: 0 };
        writer.emit(&header.first_line()?)?;
        writer.last.clear();
        Ok(writer)
    }

    /// Writes the next line; lines must rise.
    pub fn line(&mut self, line: &Line) -> Result<(), ManifestError> {
        self.raw(&line.encode())
    }

    /// Writes a line that is known to be of the one form.
    pub fn raw(&mut self, text: &str) -> Result<(), ManifestError> {
        check_order(&self.last, text).map_err(|why| ManifestError::Form { line: self.lines + 1, why })?;
        self.emit(text)
    }

    fn emit(&mut self, text: &str) -> Result<(), ManifestError> {
        if text.len() > MANIFEST_LINE_BYTES {
            return Err(ManifestError::Form { line: self.lines + 1, why: "it is longer than 64 KiB" });
        }
        for part in [text.as_bytes(), b"\n"] {
            self.hash.update(part);
            self.out.write_all(part)?;
        }
        self.lines += 1;
        self.last.clear();
        self.last.push_str(text);
        Ok(())
    }

    /// Ends the manifest and returns its name and what it was written to.
    pub fn finish(self) -> (Digest, W) {
        (Digest::from_bytes(self.hash.finalize().into()), self.out)
    }
}

fn check_order(last: &str, next: &str) -> Result<(), &'static str> {
    if last.is_empty() || (last < next && subject(last) != subject(next)) {
        Ok(())
    } else if subject(last) == subject(next) {
        Err("the same path or key stands twice")
    } else {
        Err("lines do not rise")
    }
}

/// Reads a manifest line by line, hashing as it goes.
pub struct Reader<R> {
    input: R,
    header: Header,
    hash: Sha256,
    line: String,
    last: String,
    lines: u64,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    pub fn new(input: R) -> Result<Self, ManifestError> {
        let header =
            Header { format: Kind::Apt, layout: 0, mode: Mode::Mirror, options: serde_json::Value::Null };
        let mut reader = Self {
            input,
            header,
            hash: Sha256::new(),
            line: String::new(),
            last: String::new(),
            lines: 0,
            ended: false,
        };
        if !reader.fill()? {
            return Err(ManifestError::Form { line: 1, why: "it is empty" });
        }
        reader.header = Header::parse_first_line(&reader.line)?;
        reader.line.clear();
        Ok(reader)
    }

    /// Returns the header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the next line, order checked and otherwise as it stands; none at the end.
    pub fn next_raw(&mut self) -> Result<Option<&str>, ManifestError> {
        std::mem::swap(&mut self.last, &mut self.line);
        if !self.fill()? {
            return Ok(None);
        }
        check_order(&self.last, &self.line).map_err(|why| ManifestError::Form { line: self.lines, why })?;
        Ok(Some(&self.line))
    }

    /// Returns the next line, parsed; none at the end.
    pub fn next_line(&mut self) -> Result<Option<Line>, ManifestError> {
        if self.next_raw()?.is_none() {
            return Ok(None);
        }
        Line::parse(&self.line).map(Some).map_err(|why| ManifestError::Form { line: self.lines, why })
    }

    /// Returns the line that was read last; none before the first and after the end.
    pub fn current(&self) -> Option<&str> {
        (!self.line.is_empty()).then_some(self.line.as_str())
    }

    fn fill(&mut self) -> Result<bool, ManifestError> {
        self.line.clear();
        if self.ended {
            return Ok(false);
        }
        let mut bytes = std::mem::take(&mut self.line).into_bytes();
        let n =
            io::Read::take(&mut self.input, MANIFEST_LINE_BYTES as u64 + 1).read_until(b'\n', &mut bytes)?;
        if n == 0 {
            self.ended = true;
            return Ok(false);
        }
        self.lines += 1;
        let fault = |why| ManifestError::Form { line: self.lines, why };
        self.hash.update(&bytes);
        if bytes.pop() != Some(b'\n') {
            return Err(fault("it has no line feed within 64 KiB"));
        }
        self.line = String::from_utf8(bytes).map_err(|_| fault("it is not UTF-8"))?;
        if self.line.is_empty() {
            return Err(fault("it is empty"));
        }
        Ok(true)
    }

    /// Returns the SHA-256 of all that was read; the manifest's name once the end was reached.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }
}

/// One difference between two manifests; lines without their LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Only the first has it.
    Removed(&'a str),
    /// Only the second has it.
    Added(&'a str),
    /// Both have the subject, with other content.
    Changed {
        /// The first's line.
        old: &'a str,
        /// The second's line.
        new: &'a str,
    },
}

/// Walks two manifests side by side and visits their differences in order; memory does not grow with them.
pub fn diff<A: BufRead, B: BufRead, E: From<ManifestError>>(
    old: &mut Reader<A>,
    new: &mut Reader<B>,
    visit: &mut dyn FnMut(Change<'_>) -> Result<(), E>,
) -> Result<(), E> {
    old.next_raw()?;
    new.next_raw()?;
    loop {
        let (step_old, step_new) = match (old.current(), new.current()) {
            (None, None) => return Ok(()),
            (Some(a), None) => {
                visit(Change::Removed(a))?;
                (true, false)
            }
            (None, Some(b)) => {
                visit(Change::Added(b))?;
                (false, true)
            }
            (Some(a), Some(b)) if a == b => (true, true),
            (Some(a), Some(b)) => {
                let (key_a, key_b) = (subject(a), subject(b));
                if key_a == key_b {
                    visit(Change::Changed { old: a, new: b })?;
                    (true, true)
                } else if a < b {
                    visit(Change::Removed(a))?;
                    (true, false)
                } else {
                    visit(Change::Added(b))?;
                    (false, true)
                }
            }
        };
        if step_old {
            old.next_raw()?;
        }
        if step_new {
            new.next_raw()?;
        }
    }
}

#[cfg(test)]
mod tests;
