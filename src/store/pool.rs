//! The pool: blobs named by their SHA-256, each verified before it got its name.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use chantal_contract::{Digest, Expect, Measured};

use super::{
    Batch, StoreError,
    batch::Fate,
    error::Object,
    file::{self, Settled},
};

/// The blobs of a store: `pool/sha256/ab/<64 hex>`, read-only, one file each.
#[derive(Clone, Debug)]
pub struct Pool {
    places: Arc<Places>,
}

#[derive(Debug)]
struct Places {
    blobs: PathBuf,
    /// Of a scratch: the blobs of the store that it lies over.
    below: Option<PathBuf>,
    /// Of a scratch: blobs that are taken to be there, with their sizes.
    promised: Mutex<HashMap<Digest, u64>>,
    damaged: PathBuf,
    tmp: PathBuf,
}

/// What re-hashing a blob found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes are what their name says.
    Good(Measured),
    /// They are not.
    Damaged {
        /// What they hash to instead.
        found: Digest,
        /// How many there are.
        size: u64,
    },
    /// The medium could not be read.
    Unreadable {
        /// The system's word.
        why: String,
    },
    /// There is no such blob.
    Missing,
}

/// Bytes that are read and hashed at a time.
const CHUNK: usize = 256 << 10;

impl Pool {
    /// Stands below a store's root.
    pub(super) fn new(root: &Path) -> Self {
        let places = Places {
            blobs: root.join("pool/sha256"),
            below: None,
            promised: Mutex::default(),
            damaged: root.join("pool/damaged"),
            tmp: root.join("tmp"),
        };
        Self { places: Arc::new(places) }
    }

    /// Stands in a directory, over a pool that is only read.
    pub(super) fn over(&self, dir: &Path) -> Self {
        let places = Places {
            blobs: dir.to_path_buf(),
            below: Some(self.places.blobs.clone()),
            promised: Mutex::default(),
            damaged: self.places.damaged.clone(),
            tmp: self.places.tmp.clone(),
        };
        Self { places: Arc::new(places) }
    }

    /// Takes a blob to be there from now on; only of a scratch.
    pub(super) fn promise(&self, blob: Digest, size: u64) {
        self.places.promised.lock().unwrap_or_else(PoisonError::into_inner).insert(blob, size);
    }

    /// Returns the size of a blob that was verified when it entered; none if the pool has none of that name.
    pub fn has(&self, blob: &Digest) -> Result<Option<u64>, StoreError> {
        let found = file::stat(&self.path(blob))?.map(|found| found.size);
        if found.is_some() || self.places.below.is_none() {
            return Ok(found);
        }
        Ok(self.places.promised.lock().unwrap_or_else(PoisonError::into_inner).get(blob).copied())
    }

    /// Opens a blob to read.
    pub fn open(&self, blob: &Digest) -> Result<File, StoreError> {
        file::open_if_there(&self.path(blob))?
            .ok_or(StoreError::Missing { what: Object::Blob, digest: *blob })
    }

    /// Reads a blob whole; refuses one larger than `limit` bytes.
    pub fn read(&self, blob: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path(blob);
        let opened = self.open(blob)?;
        let mut measurer = Expect::at_most(limit).measure();
        let mut bytes = Vec::new();
        opened.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| StoreError::io(&path, e))?;
        measurer.update(&bytes)?;
        if measurer.finish()?.sha256 == *blob {
            Ok(bytes)
        } else {
            Err(StoreError::damaged(&path, "the whole", "its bytes are not what its name says"))
        }
    }

    /// Returns where a blob lies, or would lie.
    pub fn path(&self, blob: &Digest) -> PathBuf {
        let hex = blob.hex();
        let place = |dir: &Path| dir.join(hex.get(..2).unwrap_or_default()).join(&hex);
        let own = place(&self.places.blobs);
        match &self.places.below {
            Some(below) if !own.exists() => Some(place(below)).filter(|path| path.exists()).unwrap_or(own),
            _ => own,
        }
    }

    /// Starts a batch of new blobs.
    pub fn batch(&self) -> Result<Batch, StoreError> {
        Batch::new(self.clone(), &self.places.tmp, Fate::Kept)
    }

    /// Starts a batch that never becomes part of the pool: for who only looks.
    pub fn scratch(&self) -> Result<Batch, StoreError> {
        Batch::new(self.clone(), &self.places.tmp, Fate::Dropped)
    }

    /// Hashes a blob anew.
    pub fn verify(&self, blob: &Digest) -> Result<Verdict, StoreError> {
        let path = self.path(blob);
        let Some(mut opened) = file::open_if_there(&path)? else { return Ok(Verdict::Missing) };
        let mut measurer = Expect::at_most(u64::MAX).measure();
        let mut buffer = vec![0; CHUNK];
        loop {
            match opened.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => measurer.update(buffer.get(..n).unwrap_or_default())?,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Ok(Verdict::Unreadable { why: e.to_string() }),
            }
        }
        let found = measurer.finish()?;
        Ok(if found.sha256 == *blob {
            Verdict::Good(found)
        } else {
            Verdict::Damaged { found: found.sha256, size: found.size }
        })
    }

    /// Walks the blobs in the order of their digests, with their sizes.
    pub fn iter(&self) -> impl Iterator<Item = Result<(Digest, u64), StoreError>> + use<> {
        self.walk().map(|found| found.map(|(blob, stat)| (blob, stat.size)))
    }

    /// Walks the blobs with what the file system knows of them.
    pub(super) fn walk(&self) -> impl Iterator<Item = Result<(Digest, file::Stat), StoreError>> + use<> {
        let root = self.places.blobs.clone();
        let (heads, failed) = match file::list(&root) {
            Ok(heads) => (heads, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let blobs = heads.into_iter().flat_map(move |head| {
            let dir = root.join(head);
            match file::list(&dir) {
                Ok(names) => {
                    let found = names.into_iter().filter_map(move |name| {
                        let path = dir.join(&name);
                        match name.parse() {
                            Ok(blob) => file::stat(&path).map(|s| s.map(|s| (blob, s))).transpose(),
                            Err(_) => Some(Err(StoreError::damaged(&path, "the name", "it is no digest"))),
                        }
                    });
                    Box::new(found) as Box<dyn Iterator<Item = _>>
                }
                Err(error) => Box::new(std::iter::once(Err(error))),
            }
        });
        failed.into_iter().chain(blobs)
    }

    /// Removes a blob and returns its size; one that is not there has none.
    ///
    /// Only for gc, under [`Lock::Exclusive`](super::Lock): whoever holds a digest relies on its blob.
    pub fn remove(&self, blob: &Digest) -> Result<u64, StoreError> {
        let path = self.path(blob);
        let size = file::stat(&path)?.map_or(0, |found| found.size);
        file::remove(&path)?;
        Ok(size)
    }

    /// Puts a damaged blob aside, so that its name is free for good bytes, and returns where it lies now.
    pub(super) fn quarantine(&self, blob: &Digest) -> Result<PathBuf, StoreError> {
        let (from, to) = (self.path(blob), self.aside(blob));
        file::make_dir(&self.places.damaged)?;
        file::rename(&from, &to)?;
        file::sync_dir(&self.places.damaged)?;
        file::sync_dir(file::parent(&from))?;
        Ok(to)
    }

    /// Lists the digests whose bytes were once found damaged and put aside; what was made of those bytes may be damaged, too.
    pub fn suspects(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let names = file::list(&self.places.damaged)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Returns where a blob's damaged bytes lie, or would lie.
    pub fn aside(&self, blob: &Digest) -> PathBuf {
        self.places.damaged.join(blob.hex())
    }

    /// Makes sure that a blob's directory is there, and tells whether it was not.
    pub(super) fn make_place(&self, blob: &Digest) -> Result<Settled, StoreError> {
        file::make_dir(file::parent(&self.path(blob)))
    }

    /// Returns the directory that holds the directories of blobs.
    pub(super) fn blobs(&self) -> &Path {
        &self.places.blobs
    }

    /// Marks a blob as wanted just now, so that gc's grace period covers it; tells its size.
    pub(super) fn renew(&self, blob: &Digest) -> Result<Option<u64>, StoreError> {
        if self.places.below.is_some() {
            return self.has(blob);
        }
        let path = self.path(blob);
        let Some(found) = file::stat(&path)? else { return Ok(None) };
        let now = std::time::SystemTime::now()
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        if now.saturating_sub(found.changed) > RENEW_SECONDS {
            file::touch(&path)?;
        }
        Ok(Some(found.size))
    }
}

/// Age in seconds from which a blob that is wanted again is marked so.
const RENEW_SECONDS: i64 = 3600;
