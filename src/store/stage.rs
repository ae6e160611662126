//! Places where files are made before they get their names, and the sweeping up after processes that died.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    StoreError,
    file::{self, Settled},
    lock,
};

const LOCK: &str = "lock";

/// A directory `tmp/<pid>-<n>` of one writer; gone when it is dropped, and swept by others when its process died.
#[derive(Debug)]
pub(crate) struct Stage {
    dir: PathBuf,
    /// Locked as long as the writer lives.
    _alive: File,
    count: AtomicU64,
}

impl Stage {
    /// Makes one below `tmp`.
    pub(crate) fn new(tmp: &Path) -> Result<Self, StoreError> {
        let _turn = lock::wait(&tmp.join(LOCK))?;
        let pid = std::process::id();
        let mut number = 0u64;
        loop {
            let dir = tmp.join(format!("{pid}-{number}"));
            if file::make_dir(&dir)? == Settled::New {
                let path = dir.join(LOCK);
                let alive = lock::open(&path)?;
                alive.lock().map_err(|e| StoreError::io(&path, e))?;
                return Ok(Self { dir, _alive: alive, count: AtomicU64::new(0) });
            }
            number += 1;
        }
    }

    /// Returns a path that no other file of this stage has.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(self.count.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Opens the directory, for a sync of its file system.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}
impl Drop for Stage {
    fn drop(&mut self) {
        let _ = file::remove_tree(&self.dir);
    }
}

/// Removes what dead processes left below `tmp`.
pub(crate) fn sweep(tmp: &Path) -> Result<(), StoreError> {
    let names = file::list(tmp)?;
    if names.iter().all(|name| name == LOCK) {
        return Ok(());
    }
    let _turn = lock::wait(&tmp.join(LOCK))?;
    for name in names.iter().filter(|name| *name != LOCK) {
        let dir = tmp.join(name);
        if !dir.is_dir() {
            file::remove(&dir)?;
            continue;
        }
        let alive = match file::open_if_there(&dir.join(LOCK))? {
            Some(lock) => lock.try_lock().is_err(),
            None => false,
        };
        if !alive {
            file::remove_tree(&dir)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_the_dead_and_spares_the_living() {
        let tmp = tempfile::tempdir().unwrap();
        let living = Stage::new(tmp.path()).unwrap();
        std::fs::write(living.path(), "mine").unwrap();
        let dead = tmp.path().join("999-0");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("lock"), "").unwrap();
        std::fs::write(dead.join("0"), "half").unwrap();
        let unborn = tmp.path().join("998-0");
        std::fs::create_dir(&unborn).unwrap();
        sweep(tmp.path()).unwrap();
        assert!(living.dir().join("0").exists());
        assert!(!dead.exists() && !unborn.exists());
        let another = Stage::new(tmp.path()).unwrap();
        assert_ne!(another.dir(), living.dir());
        let dir = living.dir().to_path_buf();
        drop(living);
        assert!(!dir.exists());
    }
}
