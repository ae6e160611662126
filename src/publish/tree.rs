//! Brings a standby tree from what it holds to what is wanted, and makes that durable.

use std::{
    collections::BTreeSet,
    fs::{self, File, FileTimes, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use chantal_contract::{Digest, Measured, Role};
use sha2::{Digest as _, Sha256};

use super::{
    Link,
    change::{self, Bytes, Step, Wanted},
    list::{Kind, LIST, List, Listed},
    outcome::PublishError,
    plan::{Spool, parents},
};
use crate::{
    report::{Event, Reporter},
    store::Pool,
};

/// So many touched files and directories are synced one by one; more of them by one call for the whole file system.
const SYNC_ONE_BY_ONE: usize = 256;
const COPY_BYTES: usize = 128 << 10;

/// Where files come from and how they get in.
pub(super) struct Works<'a> {
    pub pool: &'a Pool,
    pub spool: &'a Spool,
    pub live: Option<&'a Path>,
    pub link: Link,
    pub reporter: &'a dyn Reporter,
    /// What the work is called in reports.
    pub task: &'a str,
}

/// What had to be copied though it was to be linked.
#[derive(Default)]
pub(super) struct Fallback {
    pub files: u64,
    pub why: Option<io::Error>,
}

/// A standby tree while it is changed.
struct Building<'a> {
    root: &'a Path,
    works: &'a Works<'a>,
    /// Set once the file system said that it cannot link: it will not be asked again.
    cannot: bool,
    fallback: Fallback,
    touched: BTreeSet<PathBuf>,
}

/// Makes the tree at `root` hold what is wanted; `head` is its list but for the files.
///
/// The old list goes first and the new one comes last, each of them made durable: a tree with a list is whole.
pub(super) fn build(
    root: &Path,
    wanted: &[Wanted],
    head: List,
    works: &Works<'_>,
) -> Result<Fallback, PublishError> {
    let standby = List::read(root).map_err(PublishError::io(root))?;
    if let Some(list) = &standby
        && (list.manifest, list.dress, list.generation) == (head.manifest, head.dress, head.generation)
        && list.files.iter().map(|l| &l.path).eq(wanted.iter().map(|w| &w.listed.path))
    {
        return Ok(Fallback::default());
    }
    if standby.is_none() {
        discard(root)?;
        make_dir(root)?;
    } else {
        fs::remove_file(root.join(LIST)).map_err(PublishError::io(root))?;
        sync(root)?;
    }
    let (steps, gone) = change::compare(wanted, standby.as_ref());
    let puts =
        steps.iter().filter_map(|s| if let Step::Put(w) = s { Some(w.listed.measured.size) } else { None });
    let (items, bytes) = puts.fold((0, 0), |(items, bytes), size| (items + 1, bytes + size));
    works.reporter.event(Event::Size { task: works.task, items, bytes });
    let mut building =
        Building { root, works, cannot: false, fallback: Fallback::default(), touched: BTreeSet::new() };
    building.touched.insert(root.to_path_buf());
    for path in gone {
        building.remove(path.as_str())?;
    }
    let mut list = head;
    list.files.reserve(steps.len());
    for step in &steps {
        list.files.push(building.take(step)?);
    }
    building.sync()?;
    list.write(root).map_err(PublishError::io(root))?;
    sync(root)?;
    Ok(building.fallback)
}

impl Building<'_> {
    fn take(&mut self, step: &Step<'_>) -> Result<Listed, PublishError> {
        let recorded = |wanted: &Wanted, kind, mtime| Listed { kind, mtime, ..wanted.listed.clone() };
        match *step {
            Step::Keep(wanted, has) => {
                let kept = wanted.listed.kind == Kind::Kept;
                Ok(recorded(wanted, if kept { Kind::Kept } else { has.kind }, has.mtime))
            }
            Step::Touch(wanted) => {
                let path = self.root.join(wanted.listed.path.as_str());
                let file = File::open(&path).map_err(PublishError::io(&path))?;
                set_time(&file, wanted.listed.mtime).map_err(PublishError::io(&path))?;
                self.touched.insert(path);
                let kept = wanted.listed.kind == Kind::Kept;
                Ok(recorded(wanted, if kept { Kind::Kept } else { Kind::Copy }, wanted.listed.mtime))
            }
            Step::Put(wanted) => {
                let linked = self.put(wanted)?;
                let kind = match wanted.listed.kind {
                    Kind::Kept => Kind::Kept,
                    _ if linked => Kind::Link,
                    _ => Kind::Copy,
                };
                let mtime = if kind == Kind::Link { None } else { wanted.listed.mtime };
                Ok(recorded(wanted, kind, mtime))
            }
        }
    }

    /// Puts a file in its place; tells whether it is a further name of another.
    fn put(&mut self, wanted: &Wanted) -> Result<bool, PublishError> {
        let Wanted { listed, from } = wanted;
        let to = self.root.join(listed.path.as_str());
        if let Some(dir) = to.parent() {
            self.make_dirs(dir)?;
        }
        let source = match from {
            Bytes::Live => self.works.live.map(|live| live.join(listed.path.as_str())),
            Bytes::Linked | Bytes::Copied(_) => Some(self.works.pool.path(&listed.measured.sha256)),
            Bytes::Made(_) => None,
        };
        let may_link = match from {
            Bytes::Live => true,
            Bytes::Linked => self.works.link == Link::Hardlink && !self.cannot,
            Bytes::Copied(_) | Bytes::Made(_) => false,
        };
        let linked = match &source {
            Some(source) if may_link => self.link(source, &to)?,
            _ => false,
        };
        if !linked {
            if *from == Bytes::Linked && self.works.link == Link::Hardlink {
                self.fallback.files += 1;
            }
            let file = create(&to)?;
            match (&source, from) {
                (Some(source), from) => {
                    let proved = matches!(from, Bytes::Copied(role) if *role != Role::Payload);
                    self.copy(source, &file, &to, proved.then_some(listed.measured))?;
                }
                (None, Bytes::Made(at)) => {
                    let mut made =
                        self.works.spool.open(*at, listed.measured.size).map_err(PublishError::io(&to))?;
                    io::copy(&mut made, &mut &file).map_err(PublishError::io(&to))?;
                }
                (None, _) => {}
            }
            set_time(&file, listed.mtime).map_err(PublishError::io(&to))?;
            self.touched.insert(to);
        }
        let delta = i64::try_from(listed.measured.size).unwrap_or(i64::MAX);
        self.works.reporter.event(Event::Bytes { task: self.works.task, delta });
        self.works.reporter.event(Event::Done { task: self.works.task, items: 1 });
        Ok(linked)
    }

    /// Makes `to` a further name of `source`; false where the file system cannot.
    fn link(&mut self, source: &Path, to: &Path) -> Result<bool, PublishError> {
        let Err(error) = fs::hard_link(source, to) else { return Ok(true) };
        match error.kind() {
            // EXDEV, EPERM, EOPNOTSUPP: no file can be linked; EMLINK: this one cannot.
            io::ErrorKind::CrossesDevices | io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => {
                self.cannot = true;
            }
            io::ErrorKind::TooManyLinks => {}
            io::ErrorKind::NotFound => return Err(PublishError::io(source)(error)),
            _ => return Err(PublishError::Io { path: to.into(), source: error }),
        }
        self.fallback.why.get_or_insert(error);
        Ok(false)
    }

    fn copy(
        &mut self,
        source: &Path,
        file: &File,
        to: &Path,
        proved: Option<Measured>,
    ) -> Result<(), PublishError> {
        let mut input = File::open(source).map_err(PublishError::io(source))?;
        if let Some(expected) = proved {
            let found = copy_hashed(&mut input, file).map_err(PublishError::io(to))?;
            if found != expected.sha256 {
                return Err(PublishError::Damaged { blob: expected.sha256, found });
            }
            return Ok(());
        }
        if self.works.link == Link::Reflink {
            match rustix::fs::ioctl_ficlone(file, &input) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.fallback.files += 1;
                    self.fallback.why.get_or_insert(error.into());
                }
            }
        }
        io::copy(&mut input, &mut &*file).map(drop).map_err(PublishError::io(to))
    }

    fn make_dirs(&mut self, dir: &Path) -> Result<(), PublishError> {
        if self.touched.contains(dir) {
            return Ok(());
        }
        if dir != self.root && !dir.is_dir() {
            if let Some(parent) = dir.parent() {
                self.make_dirs(parent)?;
            }
            make_dir(dir)?;
        }
        self.touched.insert(dir.into());
        Ok(())
    }

    /// Removes a file and every directory that it leaves empty.
    fn remove(&mut self, path: &str) -> Result<(), PublishError> {
        let full = self.root.join(path);
        match fs::remove_file(&full) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PublishError::Io { path: full, source: error });
            }
            _ => {}
        }
        for parent in parents(path) {
            let dir = self.root.join(parent);
            if fs::remove_dir(&dir).is_err() {
                self.touched.insert(dir);
                return Ok(());
            }
            self.touched.remove(&dir);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), PublishError> {
        if self.touched.len() > SYNC_ONE_BY_ONE {
            let dir = File::open(self.root).map_err(PublishError::io(self.root))?;
            return rustix::fs::syncfs(dir).map_err(|e| PublishError::io(self.root)(e.into()));
        }
        self.touched.iter().try_for_each(|path| sync(path))
    }
}

/// Copies and hashes.
fn copy_hashed(input: &mut File, mut output: &File) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = input.read(&mut buffer)?;
        let part = buffer.get(..count).unwrap_or_default();
        if part.is_empty() {
            return Ok(Digest::from_bytes(hash.finalize().into()));
        }
        hash.update(part);
        output.write_all(part)?;
    }
}

/// Makes a new file that everybody may read.
pub(super) fn create(path: &Path) -> Result<File, PublishError> {
    let file = File::options().write(true).create_new(true).mode(0o644).open(path);
    let file = file.map_err(PublishError::io(path))?;
    // Whatever the umask says: a web server of another user reads it.
    file.set_permissions(Permissions::from_mode(0o644)).map_err(PublishError::io(path))?;
    Ok(file)
}

/// Makes a directory that everybody may read.
pub(super) fn make_dir(path: &Path) -> Result<(), PublishError> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(PublishError::io(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(PublishError::Io { path: path.into(), source: error }),
    }
}

/// Makes a file's or directory's content durable.
pub(super) fn sync(path: &Path) -> Result<(), PublishError> {
    File::open(path).and_then(|f| f.sync_all()).map_err(PublishError::io(path))
}

/// Removes a tree, a file or nothing.
pub(super) fn discard(path: &Path) -> Result<(), PublishError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PublishError::Io { path: path.into(), source: error })
        }
        _ => Ok(()),
    }
}

fn set_time(file: &File, seconds: Option<i64>) -> io::Result<()> {
    let Some(seconds) = seconds else { return Ok(()) };
    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    file.set_times(FileTimes::new().set_modified(time))
}
