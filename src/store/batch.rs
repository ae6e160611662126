//! Many new blobs at once: staged, synced, named, and their directories synced, in that order.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chantal_contract::{Digest, Expect, Measured, Measurer, Mismatch};

use super::{
    Pool, StoreError,
    file::{self, Output},
    stage::Stage,
};

mod syncer;
use syncer::Syncer;

/// Staged bytes at which a batch flushes by itself.
const FLUSH_BYTES: u64 = 256 << 20;
/// Staged blobs at which a batch flushes by itself.
const FLUSH_BLOBS: usize = 2_000;
/// Size in bytes from which a file is synced by itself, in the background, as soon as it is whole.
const LARGE: u64 = 1 << 20;
/// Small files or directories up to which each is synced by itself; from there on the whole file system is.
const FEW: usize = 8;

/// A batch of new blobs, for many writers at once.
///
/// A finished blob is staged; [`Batch::flush`] makes it durable and gives it its name. A batch flushes by itself every
/// 256 MiB or 2,000 blobs. What was not flushed when it is dropped is gone.
#[derive(Debug)]
pub struct Batch {
    inner: Arc<Inner>,
}

/// What becomes of what a batch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It becomes part of the pool.
    Kept,
    /// It is gone with the batch, and the pool is only read.
    Dropped,
}

#[derive(Debug)]
struct Inner {
    pool: Pool,
    fate: Fate,
    stage: Stage,
    /// For syncs of the whole file system: the kernel reports what failed since it was opened.
    anchor: File,
    staged: Mutex<Staged>,
    flushing: Mutex<()>,
    syncer: Syncer,
}

#[derive(Debug, Default)]
struct Staged {
    blobs: BTreeMap<Digest, Held>,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Held {
    path: PathBuf,
    size: u64,
}

/// Takes the lock even if another holder panicked: what it guards is consistent between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Batch {
    pub(super) fn new(pool: Pool, tmp: &Path, fate: Fate) -> Result<Self, StoreError> {
        let stage = Stage::new(tmp)?;
        let anchor = file::open(stage.dir())?;
        let inner = Inner {
            pool,
            fate,
            stage,
            anchor,
            staged: Mutex::default(),
            flushing: Mutex::default(),
            syncer: Syncer::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Starts a new blob of which `expect` must be true.
    pub fn writer(&self, expect: &Expect) -> Result<BlobWriter, StoreError> {
        let draft = Draft { path: self.inner.stage.path() };
        let output = Output::create(&draft.path)?;
        Ok(BlobWriter {
            batch: Arc::clone(&self.inner),
            draft,
            output,
            measurer: expect.measure(),
            expect: expect.clone(),
            failed: None,
        })
    }

    /// Returns the size of a blob that is staged or in the pool, and guards it from gc for its grace period.
    pub fn has(&self, blob: &Digest) -> Result<Option<u64>, StoreError> {
        self.inner.has(blob)
    }

    /// Opens a blob that is staged or in the pool.
    pub fn open(&self, blob: &Digest) -> Result<File, StoreError> {
        let staged = lock(&self.inner.staged).blobs.get(blob).map(|held| held.path.clone());
        if let Some(path) = staged
            && let Some(file) = file::open_if_there(&path)?
        {
            return Ok(file);
        }
        self.inner.pool.open(blob)
    }

    /// Stages a blob that is in memory.
    pub fn put(&self, bytes: &[u8]) -> Result<Measured, StoreError> {
        let measured = Measured { sha256: Digest::of(bytes), size: bytes.len() as u64 };
        if self.has(&measured.sha256)?.is_some() {
            return Ok(measured);
        }
        let draft = Draft { path: self.inner.stage.path() };
        let mut output = Output::create(&draft.path)?;
        output.put(bytes)?;
        self.inner.take(draft, output, measured)?;
        Ok(measured)
    }

    /// Makes everything that is staged durable and part of the pool.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush()
    }
}

impl Inner {
    fn has(&self, blob: &Digest) -> Result<Option<u64>, StoreError> {
        if let Some(held) = lock(&self.staged).blobs.get(blob) {
            return Ok(Some(held.size));
        }
        match self.fate {
            Fate::Kept => self.pool.renew(blob),
            Fate::Dropped => self.pool.has(blob),
        }
    }

    /// Stages a whole and verified file, and flushes when enough has come together.
    fn take(&self, mut draft: Draft, output: Output, measured: Measured) -> Result<(), StoreError> {
        if self.has(&measured.sha256)?.is_some() {
            return Ok(());
        }
        output.seal()?;
        let held = Held { path: draft.path.clone(), size: measured.size };
        if measured.size >= LARGE {
            self.syncer.begin(output);
        }
        let full = {
            let mut staged = lock(&self.staged);
            if staged.blobs.contains_key(&measured.sha256) {
                return Ok(());
            }
            staged.blobs.insert(measured.sha256, held);
            staged.bytes += measured.size;
            draft.path = PathBuf::new();
            staged.bytes >= FLUSH_BYTES || staged.blobs.len() >= FLUSH_BLOBS
        };
        if full { self.flush() } else { Ok(()) }
    }

    fn flush(&self) -> Result<(), StoreError> {
        if self.fate == Fate::Dropped {
            return Ok(());
        }
        let _one = lock(&self.flushing);
        let blobs = lock(&self.staged).blobs.clone();
        if blobs.is_empty() {
            return Ok(());
        }
        self.sync_content(&blobs)?;
        self.name(&blobs)?;
        let mut staged = lock(&self.staged);
        for (blob, held) in blobs {
            if staged.blobs.remove(&blob).is_some() {
                staged.bytes -= held.size;
            }
        }
        Ok(())
    }

    fn sync_content(&self, blobs: &BTreeMap<Digest, Held>) -> Result<(), StoreError> {
        self.syncer.wait()?;
        let small: Vec<&Held> = blobs.values().filter(|held| held.size < LARGE).collect();
        if small.len() > FEW {
            return file::sync_all(&self.anchor, self.stage.dir());
        }
        for held in small {
            // a former flush may have failed halfway, after this one got its name
            if file::exists(&held.path)? {
                file::sync_file(&held.path)?;
            }
        }
        Ok(())
    }

    fn name(&self, blobs: &BTreeMap<Digest, Held>) -> Result<(), StoreError> {
        let mut dirs = BTreeSet::new();
        let mut new_dir = false;
        for (blob, held) in blobs {
            new_dir |= self.pool.make_place(blob)? == file::Settled::New;
            let to = self.pool.path(blob);
            if file::exists(&held.path)? && file::settle(&held.path, &to)? == file::Settled::Existed {
                file::remove(&held.path)?;
            }
            dirs.insert(file::parent(&to).to_path_buf());
        }
        if dirs.len() > FEW {
            return file::sync_all(&self.anchor, self.stage.dir());
        }
        for dir in &dirs {
            file::sync_dir(dir)?;
        }
        if new_dir { file::sync_dir(self.pool.blobs()) } else { Ok(()) }
    }
}

/// A staged file that is removed unless it was taken over.
#[derive(Debug)]
struct Draft {
    path: PathBuf,
}
impl Drop for Draft {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = file::remove(&self.path);
        }
    }
}

/// A blob in the making: hashes and counts as it is written.
///
/// A write past the bound fails with [`io::ErrorKind::InvalidData`] around a [`Mismatch`]; every other failed write with a
/// [`StoreError`] inside. [`StoreError::io`] takes either out. Dropped without [`BlobWriter::finish`], it leaves nothing.
pub struct BlobWriter {
    batch: Arc<Inner>,
    draft: Draft,
    output: Output,
    measurer: Measurer,
    expect: Expect,
    failed: Option<Mismatch>,
}

impl BlobWriter {
    /// Returns how many bytes have been written.
    pub fn written(&self) -> u64 {
        self.measurer.size()
    }

    /// Throws away what was written and starts anew.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.output.truncate(0)?;
        self.measurer = self.expect.measure();
        self.failed = None;
        Ok(())
    }

    /// Ends the blob: stages it if everything expected of it is true, and removes it otherwise.
    pub fn finish(self) -> Result<Measured, StoreError> {
        let Self { batch, draft, output, measurer, failed, .. } = self;
        if let Some(mismatch) = failed {
            return Err(mismatch.into());
        }
        let measured = measurer.finish()?;
        batch.take(draft, output, measured)?;
        Ok(measured)
    }
}
impl std::fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobWriter").field("written", &self.written()).finish_non_exhaustive()
    }
}
impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bound = self.expect.bound();
        if bytes.len() as u64 > bound.saturating_sub(self.measurer.size()) {
            let mismatch = Mismatch::TooLong { bound };
            self.failed = Some(mismatch.clone());
            return Err(io::Error::new(io::ErrorKind::InvalidData, mismatch));
        }
        let n = self.output.write(bytes)?;
        self.measurer
            .update(bytes.get(..n).unwrap_or(bytes))
            .map_err(|mismatch| io::Error::new(io::ErrorKind::InvalidData, mismatch))?;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
