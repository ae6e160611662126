//! Manifests of snapshots, each stored whole or as what differs from a predecessor.
//!
//! A stored manifest is one header line and one zstd frame with a checksum:
//!
//! ```text
//! chantal-stored-manifest⇥1⇥full
//! chantal-stored-manifest⇥1⇥delta⇥BASE⇥DEPTH
//! ```
//!
//! A full one's frame holds the manifest's bytes. A delta's holds steps over the bytes of `BASE`: three LEB128 numbers
//! *copy*, *skip*, *insert*, and then as many bytes as are inserted. `DEPTH` counts the deltas down to a full one; there
//! are at most 15, so a chain has at most 16 files. Reading a chain passes slices of the undermost manifest up through its
//! layers, so that its cost hardly grows with its length, and memory not with its size.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use chantal_contract::{
    Digest, Header, Line,
    manifest::{ManifestError, Reader, Writer},
};

use super::{Object, StoreError, file, stage::Stage};

mod delta;
mod stored;
use delta::{Difference, Layer};
use stored::{Blame, Encoding, Frame};

/// The manifests of a store: `manifests/<64 hex>`.
#[derive(Clone, Debug)]
pub struct Manifests {
    dir: PathBuf,
    /// Of a scratch: where those of the store lie that it lies over.
    below: Option<PathBuf>,
    tmp: PathBuf,
}

/// A manifest, read line by line.
pub type ManifestReader = Reader<Box<dyn BufRead + Send>>;

/// Files of a chain, at most.
pub const CHAIN: u32 = 16;
/// A delta that inserts more than this share of the manifest's bytes (in per cent) is stored whole instead.
const WORTHWHILE_PERCENT: u64 = 40;

impl Manifests {
    pub(super) fn new(root: &Path) -> Self {
        Self { dir: root.join("manifests"), below: None, tmp: root.join("tmp") }
    }

    /// Stands over a directory of stored manifests that are not yet the store's.
    pub(super) fn at(dir: &Path, tmp: &Path) -> Self {
        Self { dir: dir.into(), below: None, tmp: tmp.into() }
    }

    /// Stands in a directory, over manifests that are only read.
    pub(super) fn over(&self, dir: &Path) -> Self {
        Self { dir: dir.into(), below: Some(self.dir.clone()), tmp: self.tmp.clone() }
    }

    /// Reads a manifest to its end and checks that it is what its name says.
    pub(super) fn prove(&self, manifest: &Digest) -> Result<(), StoreError> {
        let mut reader = self.open(manifest)?;
        loop {
            match reader.next_line() {
                Ok(Some(_)) => {}
                Ok(None) if reader.digest() == *manifest => return Ok(()),
                Ok(None) => return Err(self.misnamed(manifest)),
                Err(error) => return Err(StoreError::manifest(*manifest, error)),
            }
        }
    }

    /// Returns where a manifest lies, or would lie.
    pub fn path(&self, manifest: &Digest) -> PathBuf {
        let own = self.dir.join(manifest.hex());
        match &self.below {
            Some(below) if !own.exists() => {
                Some(below.join(manifest.hex())).filter(|path| path.exists()).unwrap_or(own)
            }
            _ => own,
        }
    }

    /// Tells whether the store has a manifest.
    pub fn has(&self, manifest: &Digest) -> Result<bool, StoreError> {
        Ok(file::stat(&self.path(manifest))?.is_some())
    }

    /// Opens a manifest. Reading to its end and comparing [`Reader::digest`] with its name is what proves it.
    pub fn open(&self, manifest: &Digest) -> Result<ManifestReader, StoreError> {
        Reader::new(self.bytes(manifest)?).map_err(|e| StoreError::manifest(*manifest, e))
    }

    /// Starts a new manifest, to be stored as what differs from `predecessor` if there is one and that is worthwhile.
    pub fn writer(
        &self,
        header: &Header,
        predecessor: Option<&Digest>,
    ) -> Result<ManifestWriter, StoreError> {
        let stage = Stage::new(&self.tmp)?;
        let path = stage.path();
        let sink = match self.base(predecessor)? {
            Some((base, depth)) => {
                let encoding = Encoding::Delta { base, depth };
                let frame = Frame::create(&path, encoding)?;
                Sink::Delta(Box::new(Difference::new(self.bytes(&base)?, frame)))
            }
            None => Sink::Full(Frame::create(&path, Encoding::Full)?),
        };
        let writer = Writer::new(sink, header).map_err(StoreError::from_new_manifest)?;
        Ok(ManifestWriter { manifests: self.clone(), stage, path, writer })
    }

    /// Lists all manifests in the order of their digests.
    pub fn iter(&self) -> impl Iterator<Item = Result<Digest, StoreError>> + use<> {
        let (names, failed) = match file::list(&self.dir) {
            Ok(names) => (names, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let dir = self.dir.clone();
        let found = names.into_iter().map(move |name| {
            name.parse().map_err(|_| StoreError::damaged(&dir.join(&name), "the name", "it is no digest"))
        });
        failed.into_iter().chain(found)
    }

    /// Returns the manifest that this one is stored against, if it is stored so.
    pub(super) fn stored_against(&self, manifest: &Digest) -> Result<Option<Digest>, StoreError> {
        Ok(match self.encoding(manifest)?.0 {
            Encoding::Full => None,
            Encoding::Delta { base, .. } => Some(base),
        })
    }

    /// Stores a manifest whole, in place of a delta, so that its base can go.
    pub(super) fn make_full(&self, manifest: &Digest) -> Result<(), StoreError> {
        let stage = Stage::new(&self.tmp)?;
        let staged = stage.path();
        let mut reader = self.open(manifest)?;
        let copied = copy_full(&mut self.bytes(manifest)?, &staged);
        let mut read = || -> Result<Digest, ManifestError> {
            while reader.next_raw()?.is_some() {}
            Ok(reader.digest())
        };
        let found = read().map_err(|e| StoreError::manifest(*manifest, e))?;
        copied?;
        if found != *manifest {
            return Err(self.misnamed(manifest));
        }
        file::rename(&staged, &self.path(manifest))?;
        file::sync_dir(&self.dir)
    }

    /// Removes a manifest and returns the bytes it took; only for gc, under [`Lock::Exclusive`](super::Lock), and after [`Manifests::make_full`] of what rests on them.
    pub(super) fn remove(&self, manifest: &Digest) -> Result<u64, StoreError> {
        let path = self.path(manifest);
        let size = file::stat(&path)?.map_or(0, |s| s.size);
        file::remove(&path)?;
        Ok(size)
    }

    /// Says that a manifest's bytes are not what its name says.
    pub(super) fn misnamed(&self, manifest: &Digest) -> StoreError {
        StoreError::damaged(&self.path(manifest), "the whole", "its bytes are not what its name says")
    }

    /// Chooses what a new manifest is stored against, and the depth that it gets.
    fn base(&self, predecessor: Option<&Digest>) -> Result<Option<(Digest, u32)>, StoreError> {
        let Some(base) = predecessor else { return Ok(None) };
        if !self.has(base)? {
            return Ok(None);
        }
        let depth = self.encoding(base)?.0.depth() + 1;
        Ok((depth < CHAIN).then_some((*base, depth)))
    }

    /// Reads how a manifest is stored, and leaves the file after that.
    fn encoding(&self, manifest: &Digest) -> Result<(Encoding, BufReader<File>), StoreError> {
        let path = &self.path(manifest);
        let opened = file::open_if_there(path)?
            .ok_or(StoreError::Missing { what: Object::Manifest, digest: *manifest })?;
        let mut input = BufReader::with_capacity(64 << 10, opened);
        let encoding = Encoding::read(&mut input, path)?;
        Ok((encoding, input))
    }

    /// Opens the bytes of a manifest through all layers of its chain.
    fn bytes(&self, manifest: &Digest) -> Result<Box<dyn BufRead + Send>, StoreError> {
        let mut layers = Vec::new();
        let mut next = *manifest;
        let mut above = None;
        loop {
            let path = self.path(&next);
            let (encoding, input) = self.encoding(&next)?;
            let frame = Blame::decode(input, &path)?;
            // gc makes one in the middle full, and what rests on it keeps the depth that it was given
            if above.is_some_and(|above| encoding.depth() >= above) {
                return Err(StoreError::damaged(&path, "the first line", "its depth is not less"));
            }
            above = Some(encoding.depth());
            match encoding {
                Encoding::Full => {
                    let mut bytes: Box<dyn BufRead + Send> =
                        Box::new(BufReader::with_capacity(128 << 10, frame));
                    while let Some((frame, path)) = layers.pop() {
                        bytes = Box::new(Layer::new(bytes, frame, path));
                    }
                    return Ok(bytes);
                }
                Encoding::Delta { base, .. } => {
                    layers.push((BufReader::with_capacity(16 << 10, frame), path));
                    next = base;
                }
            }
        }
    }
}

/// A manifest in the making; dropped without [`ManifestWriter::finish`], it leaves nothing.
pub struct ManifestWriter {
    manifests: Manifests,
    stage: Stage,
    path: PathBuf,
    writer: Writer<Sink>,
}

impl ManifestWriter {
    /// Writes the next line; lines must rise.
    pub fn line(&mut self, line: &Line) -> Result<(), StoreError> {
        self.writer.line(line).map_err(StoreError::from_new_manifest)
    }

    /// Writes the next line as text that is known to be of the one form.
    pub fn raw(&mut self, text: &str) -> Result<(), StoreError> {
        self.writer.raw(text).map_err(StoreError::from_new_manifest)
    }

    /// Ends the manifest, waits until it is durable, and returns its name.
    pub fn finish(self) -> Result<Digest, StoreError> {
        let Self { manifests, stage, mut path, writer } = self;
        let (name, sink) = writer.finish();
        let to = manifests.path(&name);
        let worthwhile = match sink {
            Sink::Full(frame) => frame.finish().map(|()| true)?,
            Sink::Delta(difference) => difference.finish(WORTHWHILE_PERCENT)?,
        };
        if file::exists(&to)? {
            return Ok(name);
        }
        if !worthwhile {
            let full = stage.path();
            copy_full(&mut manifests.staged_bytes(&path)?, &full)?;
            path = full;
        }
        file::settle(&path, &to)?;
        file::sync_dir(&manifests.dir)?;
        Ok(name)
    }
}

impl Manifests {
    /// Opens the bytes of a staged delta.
    fn staged_bytes(&self, path: &Path) -> Result<Layer, StoreError> {
        let mut input = BufReader::with_capacity(64 << 10, file::open(path)?);
        let Encoding::Delta { base, .. } = Encoding::read(&mut input, path)? else {
            return Err(StoreError::damaged(path, "the first line", "it is no delta"));
        };
        let frame = Blame::decode(input, path)?;
        Ok(Layer::new(self.bytes(&base)?, BufReader::with_capacity(16 << 10, frame), path.into()))
    }
}

/// Stores bytes whole.
fn copy_full(bytes: &mut dyn BufRead, to: &Path) -> Result<(), StoreError> {
    let mut frame = Frame::create(to, Encoding::Full)?;
    std::io::copy(bytes, &mut frame).map_err(|e| StoreError::io(to, e))?;
    frame.finish()
}

/// What takes a new manifest's bytes.
enum Sink {
    Full(Frame),
    Delta(Box<Difference>),
}
impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Full(frame) => frame.write(bytes),
            Self::Delta(difference) => difference.write(bytes),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
