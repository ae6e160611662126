//! The list that every published tree carries: what it holds, so that the next publication touches only what changed.
//!
//! ```text
//! chantal-tree⇥1⇥MANIFEST⇥DRESS⇥GENERATION⇥FILES⇥BYTES
//! PATH⇥SHA256⇥SIZE⇥link|copy|kept⇥MTIME
//! ```
//!
//! Compressed with zstd, sorted by path, inside the tree itself, so that it moves with it in every kind of switch. A tree
//! without a list is one that somebody was still building: it is thrown away.

use std::{
    fs,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use chantal_contract::{Digest, Measured, RepoPath, limits::MANIFEST_LINE_BYTES, path::TREE_LIST};

/// The list's name in a tree; no path of a repository can hold it.
pub(super) const LIST: &str = TREE_LIST;
const MAGIC: &str = "chantal-tree";
const VERSION: &str = "1";

/// How a file came into a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As a further name of a file in the pool.
    Link,
    /// As a copy.
    Copy,
    /// It is of the former generation, for clients that are in the middle of reading it.
    Kept,
    /// It was found not to be what the list says; never written, as such a file is never kept.
    Rotten,
}

/// One file of a tree as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub path: RepoPath,
    pub measured: Measured,
    pub kind: Kind,
    /// The modification time that it was given, in seconds since 1970; none for links.
    pub mtime: Option<i64>,
}

/// What a tree holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    /// The snapshot.
    pub manifest: Digest,
    /// The digest of all that stands beside the repository: set-up files, keys, the page.
    pub dress: Digest,
    /// The modification time of what was new in this generation, in seconds since 1970.
    pub generation: i64,
    /// The repository's own files, and their bytes, each blob once.
    pub weight: (u64, u64),
    /// The files, rising by path.
    pub files: Vec<Listed>,
}

impl List {
    /// Reads the list of a tree; none where it is missing or not whole.
    pub fn read(tree: &Path) -> io::Result<Option<Self>> {
        Ok(Self::open(tree)?.and_then(|(mut list, mut lines)| {
            let mut line = String::new();
            while next(&mut lines, &mut line)? {
                let listed = Listed::parse(&line)?;
                if list.files.last().is_some_and(|last| last.path >= listed.path) {
                    return None;
                }
                list.files.push(listed);
            }
            Some(list)
        }))
    }

    /// Reads only the first line: which state a tree holds.
    pub fn head(tree: &Path) -> io::Result<Option<Self>> {
        Ok(Self::open(tree)?.map(|(list, _)| list))
    }

    /// Counts the files that were found damaged.
    pub fn rotten(&self) -> u64 {
        self.files.iter().filter(|listed| listed.kind == Kind::Rotten).count() as u64
    }

    fn open(tree: &Path) -> io::Result<Option<(Self, impl BufRead)>> {
        let file = match fs::File::open(tree.join(LIST)) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut lines = BufReader::new(zstd::Decoder::new(file)?);
        let mut line = String::new();
        let head = next(&mut lines, &mut line).filter(|there| *there).and_then(|_| Self::parse(&line));
        Ok(head.map(|list| (list, lines)))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        if fields.next()? != MAGIC || fields.next()? != VERSION {
            return None;
        }
        let (manifest, dress) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let generation = fields.next()?.parse().ok()?;
        let weight = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        fields.next().is_none().then(|| Self { manifest, dress, generation, weight, files: Vec::new() })
    }

    /// Writes the list into a tree under its final name, synced. The tree's directory is the caller's to sync.
    pub fn write(&self, tree: &Path) -> io::Result<()> {
        let part = tree.join(format!("{LIST}.part"));
        let file = fs::File::create(&part)?;
        let mut out = zstd::Encoder::new(BufWriter::new(file), 1)?;
        let Self { manifest, dress, generation, weight: (files, bytes), .. } = self;
        writeln!(out, "{MAGIC}\t{VERSION}\t{manifest}\t{dress}\t{generation}\t{files}\t{bytes}")?;
        for listed in &self.files {
            listed.write(&mut out)?;
        }
        let file = out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(part, tree.join(LIST))
    }
}

/// Reads a line; none where it cannot be read, is too long or is no text, false at the end.
fn next(lines: &mut impl BufRead, line: &mut String) -> Option<bool> {
    line.clear();
    let count = io::Read::take(&mut *lines, MANIFEST_LINE_BYTES as u64).read_line(line).ok()?;
    if count > 0 && line.pop() != Some('\n') {
        return None;
    }
    Some(count > 0)
}

impl Listed {
    /// Tells whether its bytes are known to be just these.
    pub fn is(&self, measured: &Measured) -> bool {
        self.kind != Kind::Rotten && self.measured == *measured
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let path = RepoPath::new(fields.next()?).ok()?;
        let measured = Measured { sha256: fields.next()?.parse().ok()?, size: fields.next()?.parse().ok()? };
        let kind = match fields.next()? {
            "link" => Kind::Link,
            "copy" => Kind::Copy,
            "kept" => Kind::Kept,
            _ => return None,
        };
        let mtime = match fields.next()? {
            "-" => None,
            seconds => Some(seconds.parse().ok()?),
        };
        fields.next().is_none().then_some(Self { path, measured, kind, mtime })
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let kind = match self.kind {
            Kind::Link => "link",
            Kind::Copy => "copy",
            Kind::Kept => "kept",
            Kind::Rotten => "rotten",
        };
        write!(out, "{}\t{}\t{}\t{kind}\t", self.path, self.measured.sha256, self.measured.size)?;
        match self.mtime {
            Some(seconds) => writeln!(out, "{seconds}"),
            None => out.write_all(b"-\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> List {
        let file = |path: &str, kind, mtime| Listed {
            path: RepoPath::new(path).unwrap(),
            measured: Measured { sha256: Digest::of(path.as_bytes()), size: 7 },
            kind,
            mtime,
        };
        List {
            manifest: Digest::of(b"m"),
            dress: Digest::of(b"d"),
            generation: 1_700_000_000,
            weight: (3, 21),
            files: vec![
                file("a", Kind::Link, None),
                file("b c/d", Kind::Copy, Some(-5)),
                file("e", Kind::Kept, Some(9)),
            ],
        }
    }

    #[test]
    fn is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(List::read(dir.path()).unwrap(), None);
        list().write(dir.path()).unwrap();
        assert_eq!(List::read(dir.path()).unwrap(), Some(list()));
        assert_eq!(List::head(dir.path()).unwrap().unwrap().manifest, Digest::of(b"m"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_list_is_none() {
        let dir = tempfile::tempdir().unwrap();
        list().write(dir.path()).unwrap();
        let path = dir.path().join(LIST);
        let good = fs::read(&path).unwrap();
        for cut in 0..good.len() {
            fs::write(&path, &good[..cut]).unwrap();
            assert_eq!(List::read(dir.path()).unwrap(), None, "{cut}");
        }
        let mut wrong = list();
        wrong.files.reverse();
        wrong.write(dir.path()).unwrap();
        assert_eq!(List::read(dir.path()).unwrap(), None);
    }
}
