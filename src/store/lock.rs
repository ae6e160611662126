//! Who may do what at the same time: advisory locks on files, released by the kernel when their holder dies.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use jiff::Timestamp;

use super::{Name, SiteName, StoreError, file};

/// What is to be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock<'a> {
    /// The store, for what adds or reads; any number at once.
    Shared,
    /// The store, for what removes (gc, delete, restore); nobody else.
    Exclusive,
    /// One repository, for what changes it (sync, publish). Taken beside [`Lock::Shared`].
    Repository(&'a Name),
    /// One site's stream (export, import). Taken beside [`Lock::Shared`].
    Site(&'a SiteName),
}

impl Lock<'_> {
    fn what(self) -> String {
        match self {
            Self::Shared | Self::Exclusive => "the store".into(),
            Self::Repository(name) => format!("repository `{name}`"),
            Self::Site(name) => format!("site `{name}`"),
        }
    }

    fn file(self) -> String {
        match self {
            Self::Shared | Self::Exclusive => "store".into(),
            Self::Repository(name) => format!("repository-{name}"),
            Self::Site(name) => format!("site-{name}"),
        }
    }
}

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its command line, shortened.
    pub command: String,
    /// Since when it holds the lock, to the second.
    pub since: Option<Timestamp>,
}
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (`{}`", self.pid, self.command)?;
        match self.since {
            Some(since) => write!(f, ", since {since})"),
            None => f.write_str(")"),
        }
    }
}

/// A lock that is held until this is dropped or the process ends.
#[derive(Debug)]
pub struct LockGuard {
    held: File,
    mark: Option<(File, PathBuf)>,
}
impl Drop for LockGuard {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.mark {
            let _ = fs::remove_file(path);
        }
        // closing would do, were it not for a child that another thread is just starting and that holds the same file
        let _ = self.held.unlock();
    }
}

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Takes a lock in the directory `locks`, or says who holds it.
pub(super) fn take(locks: &Path, lock: Lock<'_>) -> Result<LockGuard, StoreError> {
    let path = locks.join(lock.file());
    let held = open(&path)?;
    let tried = if lock == Lock::Shared { held.try_lock_shared() } else { held.try_lock() };
    match tried {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Locked { what: lock.what(), by: holders(locks, lock)? });
        }
        Err(TryLockError::Error(e)) => return Err(StoreError::io(&path, e)),
    }
    if lock != Lock::Shared {
        // nobody else holds it: whatever notes there are were left by the dead
        holders(locks, lock)?;
    }
    Ok(LockGuard { held, mark: Some(mark(locks, lock)?) })
}

/// Waits for a lock on a file of its own; for what takes no longer than an append.
pub(super) fn wait(path: &Path) -> Result<File, StoreError> {
    let file = open(path)?;
    file.lock().map_err(|e| StoreError::io(path, e))?;
    Ok(file)
}

/// Opens a lock file, making it where it is missing.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|e| StoreError::io(path, e))
}

/// Leaves a note of who holds the lock: a file of its own, locked as long as its holder lives.
fn mark(locks: &Path, lock: Lock<'_>) -> Result<(File, PathBuf), StoreError> {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = locks.join(format!("{}.{}-{count}", lock.file(), std::process::id()));
    let mut file = open(&path)?;
    let _ = file.try_lock();
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|d| Timestamp::from_second(i64::try_from(d.as_secs()).ok()?).ok());
    let since = since.map(|s| s.to_string()).unwrap_or_default();
    let text = format!("{}\n{since}\n{}\n", std::process::id(), command());
    file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(|e| StoreError::io(&path, e))?;
    Ok((file, path))
}

/// Returns this process's command line: the program's file name and its words, at most 120 characters.
fn command() -> String {
    let mut words = std::env::args_os();
    let program = words.next().map(PathBuf::from).unwrap_or_default();
    let mut text = program.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    for word in words {
        text.push(' ');
        text.push_str(&word.to_string_lossy());
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(120).collect()
}

/// Reads who holds the lock; notes of the dead are removed.
fn holders(locks: &Path, lock: Lock<'_>) -> Result<Vec<Holder>, StoreError> {
    let prefix = format!("{}.", lock.file());
    let mut found = Vec::new();
    for name in file::list(locks)? {
        let Some(tail) = name.strip_prefix(&prefix) else { continue };
        if !tail.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            continue;
        }
        let path = locks.join(&name);
        let Some(mut note) = file::open_if_there(&path)? else { continue };
        if note.try_lock().is_ok() {
            let _ = fs::remove_file(&path);
            continue;
        }
        let mut text = String::new();
        if note.read_to_string(&mut text).is_err() {
            continue;
        }
        let mut lines = text.lines();
        let Some(pid) = lines.next().and_then(|l| l.parse().ok()) else { continue };
        let since = lines.next().and_then(|l| l.parse().ok());
        found.push(Holder { pid, command: lines.next().unwrap_or_default().into(), since });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn many_may_share_and_one_may_exclude() {
        let dir = dir();
        let one = take(dir.path(), Lock::Shared).unwrap();
        let two = take(dir.path(), Lock::Shared).unwrap();
        let refused = take(dir.path(), Lock::Exclusive).unwrap_err();
        let StoreError::Locked { by, .. } = &refused else { panic!("{refused}") };
        assert_eq!(by.iter().map(|h| h.pid).collect::<Vec<_>>(), [std::process::id(); 2]);
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        assert_eq!(refused.to_string().matches("process ").count(), 1, "{refused}");
        drop((one, two));
        let alone = take(dir.path(), Lock::Exclusive).unwrap();
        assert!(matches!(take(dir.path(), Lock::Shared), Err(StoreError::Locked { .. })));
        drop(alone);
        take(dir.path(), Lock::Shared).unwrap();
    }

    #[test]
    fn repositories_and_sites_do_not_hinder_each_other() {
        let dir = dir();
        let (a, b) = (Name::new("a").unwrap(), Name::new("a.1").unwrap());
        let site = SiteName::new("a").unwrap();
        let _a = take(dir.path(), Lock::Repository(&a)).unwrap();
        let _b = take(dir.path(), Lock::Repository(&b)).unwrap();
        let _site = take(dir.path(), Lock::Site(&site)).unwrap();
        let refused = take(dir.path(), Lock::Repository(&a)).unwrap_err();
        let StoreError::Locked { what, by } = refused else { panic!() };
        assert_eq!((what.as_str(), by.len()), ("repository `a`", 1));
    }

    #[test]
    fn another_process_is_refused_and_its_lock_respected() {
        let dir = dir();
        let held = take(dir.path(), Lock::Exclusive).unwrap();
        let flock = |how: &str| {
            Command::new("flock")
                .args([how, "-n"])
                .arg(dir.path().join("store"))
                .arg("true")
                .status()
                .map(|s| s.success())
        };
        let Ok(got) = flock("-s") else {
            println!("skipped: no flock command");
            return;
        };
        assert!(!got, "another process took a shared lock beside an exclusive one");
        drop(held);
        let mut child = Command::new("flock")
            .arg("-x")
            .arg(dir.path().join("store"))
            .args(["sh", "-c", "echo held; read line"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert!(matches!(take(dir.path(), Lock::Shared), Err(StoreError::Locked { .. })));
        drop(child.stdin.take());
        child.wait().unwrap();
        take(dir.path(), Lock::Shared).unwrap();
    }

    #[test]
    fn notes_of_the_dead_are_not_believed() {
        let dir = dir();
        fs::write(dir.path().join("store.1-0"), "1\n\ninit\n").unwrap();
        let _held = take(dir.path(), Lock::Shared).unwrap();
        let StoreError::Locked { by, .. } = take(dir.path(), Lock::Exclusive).unwrap_err() else { panic!() };
        assert_eq!(by.len(), 1);
        assert_eq!(by[0].pid, std::process::id());
        assert!(!dir.path().join("store.1-0").exists());
    }
}
