//! The one layer through which the store changes the file system: every error names its path, and every change can be
//! recorded or refused by a test.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::StoreError;

mod watch;
use watch::Op;
#[cfg(test)]
pub(crate) mod trace;

/// Runs a change with a test's consent and under its eyes.
fn change<T>(path: &Path, op: &Op<'_>, act: impl FnOnce() -> io::Result<T>) -> Result<T, StoreError> {
    let done = watch::before(op).and_then(|()| act()).map_err(|e| StoreError::io(path, e))?;
    watch::after(op);
    Ok(done)
}

/// A file that is being written from its end on.
#[derive(Debug)]
pub(crate) struct Output {
    file: File,
    path: PathBuf,
    at: u64,
}

impl Output {
    /// Makes a new file, readable and writable by its owner.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        let open = || OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(path);
        let file = change(path, &Op::Create(path), open)?;
        Ok(Self { file, path: path.into(), at: 0 })
    }

    /// Opens a file to write on at its end.
    pub(crate) fn append(path: &Path) -> Result<Self, StoreError> {
        let file =
            OpenOptions::new().read(true).write(true).open(path).map_err(|e| StoreError::io(path, e))?;
        let at = file.metadata().map_err(|e| StoreError::io(path, e))?.len();
        Ok(Self { file, path: path.into(), at })
    }

    /// Returns the path that it was opened under.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the next byte goes.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Writes all of `bytes`; the error carries the path and is one of the store's.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.write_all(bytes).map_err(|e| StoreError::io(&path, e))
    }

    /// Cuts the file to `length` bytes and goes on from there.
    pub(crate) fn truncate(&mut self, length: u64) -> Result<(), StoreError> {
        change(&self.path, &Op::Truncate(&self.path, length), || self.file.set_len(length))?;
        self.at = length;
        Ok(())
    }

    /// Waits until the content has reached the medium.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        change(&self.path, &Op::Sync(&self.path), || self.file.sync_data())
    }

    /// Makes the file read-only for everybody.
    pub(crate) fn seal(&self) -> Result<(), StoreError> {
        self.file
            .set_permissions(fs::Permissions::from_mode(0o444))
            .map_err(|e| StoreError::io(&self.path, e))
    }
}
impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wrap = |e| StoreError::io(&self.path, e).into_io();
        watch::before(&Op::Write(&self.path, self.at, bytes)).map_err(wrap)?;
        let n = std::os::unix::fs::FileExt::write_at(&self.file, bytes, self.at).map_err(wrap)?;
        watch::after(&Op::Write(&self.path, self.at, bytes.get(..n).unwrap_or(bytes)));
        self.at += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a name was free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It was, and is taken now.
    New,
    /// It was taken; nothing changed.
    Existed,
}

/// Gives a finished file its name, unless that is taken.
pub(crate) fn settle(from: &Path, to: &Path) -> Result<Settled, StoreError> {
    if exists(to)? {
        return Ok(Settled::Existed);
    }
    rename(from, to)?;
    Ok(Settled::New)
}

/// Gives a file another name; what had that name is gone.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    change(to, &Op::Rename(from, to), || fs::rename(from, to))
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    let gone = || match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    change(path, &Op::Remove(path), gone)
}

/// Makes a directory, and tells whether it was not there.
pub(crate) fn make_dir(path: &Path) -> Result<Settled, StoreError> {
    if path.is_dir() {
        return Ok(Settled::Existed);
    }
    change(path, &Op::MakeDir(path), || match fs::create_dir(path) {
        Ok(()) => Ok(Settled::New),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(Settled::Existed),
        Err(e) => Err(e),
    })
}

/// Waits until the content of a file that is no longer written to has reached the medium.
pub(crate) fn sync_file(path: &Path) -> Result<(), StoreError> {
    change(path, &Op::Sync(path), || File::open(path)?.sync_data())
}

/// Waits until the names in a directory have reached the medium.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    change(path, &Op::SyncDir(path), || File::open(path)?.sync_all())
}

/// Waits until everything on the file system of `any` has reached the medium.
///
/// Far cheaper than syncing thousands of small files one by one. The kernel reports what failed since `any` was opened.
pub(crate) fn sync_all(any: &File, root: &Path) -> Result<(), StoreError> {
    change(root, &Op::SyncAll(root), || Ok(rustix::fs::syncfs(any)?))
}

/// Replaces the file at `path` by `bytes`, or leaves it as it was.
pub(crate) fn replace(stage: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut out = Output::create(stage)?;
    out.put(bytes)?;
    out.sync()?;
    rename(stage, path)?;
    sync_dir(parent(path))
}

/// Returns the directory that a path lies in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Returns the directory that a path lies in, which is the current one for a bare name.
pub(crate) fn parent_or_here(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens a file to read.
pub(crate) fn open(path: &Path) -> Result<File, StoreError> {
    File::open(path).map_err(|e| StoreError::io(path, e))
}

/// Opens a file to read, if it is there.
pub(crate) fn open_if_there(path: &Path) -> Result<Option<File>, StoreError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io(path, e)),
    }
}

/// Reads a file whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|e| StoreError::io(path, e))?;
    Ok(bytes)
}

/// Reads exactly `length` bytes from `at` on.
pub(crate) fn read_at(file: &File, path: &Path, at: u64, length: usize) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; length];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, at).map_err(|e| StoreError::io(path, e))?;
    Ok(bytes)
}

/// Tells whether something has that name.
pub(crate) fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|e| StoreError::io(path, e))
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970 when its inode last changed: written, linked, or touched.
    pub changed: i64,
}

/// Looks at a regular file; none if there is none.
pub(crate) fn stat(path: &Path) -> Result<Option<Stat>, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(Some(Stat { size: found.len(), changed: found.ctime() })),
        Ok(_) => Err(StoreError::damaged(path, "the name", "it is no regular file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io(path, e)),
    }
}

/// Renews the time at which a sealed file's inode last changed, and nothing else.
pub(crate) fn touch(path: &Path) -> Result<(), StoreError> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).map_err(|e| StoreError::io(path, e))
}

/// Lists a directory's names in order; one that is not there has none.
pub(crate) fn list(path: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io(path, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::io(path, e))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes a staging directory and what is in it.
pub(crate) fn remove_tree(path: &Path) -> Result<(), StoreError> {
    for name in list(path)? {
        let inner = path.join(name);
        if inner.is_dir() {
            remove_tree(&inner)?;
        } else {
            remove(&inner)?;
        }
    }
    match fs::remove_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, e)),
        _ => Ok(()),
    }
}
