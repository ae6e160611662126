//! Records every change below a directory, and plays the record back as a crash at any point would leave it.
//!
//! The model knows what a medium may forget: bytes that were not synced, and names whose directory was not.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::Op;

/// A change, kept.
#[derive(Clone, Debug)]
enum Kept {
    Create(PathBuf),
    Write(PathBuf, usize, Vec<u8>),
    Truncate(PathBuf, usize),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    MakeDir(PathBuf),
    SyncDir(PathBuf),
    SyncAll,
}

/// What is refused, and from which change on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refuse {
    Nothing,
    /// The disk is full from this change on: nothing is made or grows.
    Space(usize),
    /// Syncs fail from this change on.
    Syncs(usize),
}

/// A record of the changes below a directory; ends when it is dropped.
pub(crate) struct Record {
    root: PathBuf,
    log: Arc<Mutex<Log>>,
}

struct Log {
    kept: Vec<Kept>,
    asked: usize,
    refuse: Refuse,
}

static RECORDS: Mutex<Vec<(PathBuf, Arc<Mutex<Log>>)>> = Mutex::new(Vec::new());

fn listening(path: &Path) -> Option<(PathBuf, Arc<Mutex<Log>>)> {
    let records = RECORDS.lock().unwrap();
    records.iter().find(|(root, _)| path.starts_with(root)).map(|(r, l)| (r.clone(), Arc::clone(l)))
}

pub(super) fn before(op: &Op<'_>) -> io::Result<()> {
    let Some((_, log)) = listening(op.path()) else { return Ok(()) };
    let mut log = log.lock().unwrap();
    log.asked += 1;
    let (asked, refuse) = (log.asked, log.refuse);
    drop(log);
    match (refuse, op) {
        (Refuse::Space(from), Op::Create(_) | Op::Write(..) | Op::MakeDir(_)) if asked > from => {
            Err(io::ErrorKind::StorageFull.into())
        }
        (Refuse::Syncs(from), Op::Sync(_) | Op::SyncDir(_) | Op::SyncAll(_)) if asked > from => {
            Err(io::Error::from_raw_os_error(5))
        }
        _ => Ok(()),
    }
}

pub(super) fn after(op: &Op<'_>) {
    let Some((root, log)) = listening(op.path()) else { return };
    let at = |path: &Path| path.strip_prefix(&root).unwrap().to_path_buf();
    let length = |n: &u64| usize::try_from(*n).unwrap();
    let kept = match op {
        Op::Create(p) => Kept::Create(at(p)),
        Op::Write(p, offset, bytes) => Kept::Write(at(p), length(offset), bytes.to_vec()),
        Op::Truncate(p, n) => Kept::Truncate(at(p), length(n)),
        Op::Sync(p) => Kept::Sync(at(p)),
        Op::Rename(a, b) => Kept::Rename(at(a), at(b)),
        Op::Remove(p) => Kept::Remove(at(p)),
        Op::MakeDir(p) => Kept::MakeDir(at(p)),
        Op::SyncDir(p) => Kept::SyncDir(at(p)),
        Op::SyncAll(_) => Kept::SyncAll,
    };
    log.lock().unwrap().kept.push(kept);
}

impl Record {
    /// Listens to what happens below an empty directory.
    pub(crate) fn begin(root: &Path, refuse: Refuse) -> Self {
        let log = Arc::new(Mutex::new(Log { kept: Vec::new(), asked: 0, refuse }));
        RECORDS.lock().unwrap().push((root.into(), Arc::clone(&log)));
        Self { root: root.into(), log }
    }

    /// Returns how many changes were made.
    pub(crate) fn len(&self) -> usize {
        self.log.lock().unwrap().kept.len()
    }

    /// Returns how many changes were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.log.lock().unwrap().asked
    }

    /// Plays the first `changes` back and returns what a medium may hold after a crash there.
    pub(crate) fn crash(&self, changes: usize, forgets: Forgets) -> Medium {
        let mut medium = Medium::default();
        for kept in &self.log.lock().unwrap().kept[..changes] {
            medium.play(kept);
        }
        medium.crash(forgets);
        medium
    }
}
impl Drop for Record {
    fn drop(&mut self) {
        RECORDS.lock().unwrap().retain(|(root, _)| *root != self.root);
    }
}

/// What a crash takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forgets {
    /// Nothing: the process was killed, the system lives on.
    Nothing,
    /// All that was not synced.
    Unsynced,
    /// Some of what was not synced: names one by one; bytes, their end, or all of them but the length.
    Some(u64),
}

/// Bytes or names: as everybody sees them, and as they would survive.
#[derive(Clone, Debug, Default)]
struct Both<T> {
    now: T,
    durable: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(usize),
    Dir,
}

type Names = BTreeMap<String, Node>;

/// A file system that knows what was synced.
#[derive(Debug, Default)]
pub(crate) struct Medium {
    files: Vec<Both<Vec<u8>>>,
    dirs: BTreeMap<PathBuf, Both<Names>>,
}

impl Medium {
    fn names(&mut self, path: &Path) -> (&mut Names, String) {
        let dir = path.parent().unwrap().to_path_buf();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (&mut self.dirs.entry(dir).or_default().now, name)
    }

    fn file(&mut self, path: &Path) -> &mut Both<Vec<u8>> {
        let (names, name) = self.names(path);
        let Some(Node::File(number)) = names.get(&name).copied() else {
            panic!("no file {}", path.display())
        };
        &mut self.files[number]
    }

    fn play(&mut self, kept: &Kept) {
        match kept {
            Kept::Create(path) => {
                self.files.push(Both::default());
                let node = Node::File(self.files.len() - 1);
                let (names, name) = self.names(path);
                names.insert(name, node);
            }
            Kept::Write(path, at, bytes) => {
                let now = &mut self.file(path).now;
                now.resize(now.len().max(at + bytes.len()), 0);
                now[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Kept::Truncate(path, length) => self.file(path).now.resize(*length, 0),
            Kept::Sync(path) => {
                let file = self.file(path);
                file.durable = file.now.clone();
            }
            Kept::Rename(from, to) => {
                let (names, name) = self.names(from);
                let node = names.remove(&name).unwrap();
                let (names, name) = self.names(to);
                names.insert(name, node);
            }
            Kept::Remove(path) => {
                let (names, name) = self.names(path);
                names.remove(&name);
            }
            Kept::MakeDir(path) => {
                let (names, name) = self.names(path);
                names.insert(name, Node::Dir);
                self.dirs.entry(path.clone()).or_default();
            }
            Kept::SyncDir(path) => {
                let dir = self.dirs.entry(path.clone()).or_default();
                dir.durable = dir.now.clone();
            }
            Kept::SyncAll => {
                for dir in self.dirs.values_mut() {
                    dir.durable = dir.now.clone();
                }
                for file in &mut self.files {
                    file.durable = file.now.clone();
                }
            }
        }
    }

    fn crash(&mut self, forgets: Forgets) {
        let mut dice = match forgets {
            Forgets::Nothing => return,
            Forgets::Unsynced => {
                self.dirs.values_mut().for_each(|dir| dir.now = dir.durable.clone());
                self.files.iter_mut().for_each(|file| file.now = file.durable.clone());
                return;
            }
            Forgets::Some(seed) => StdRng::seed_from_u64(seed),
        };
        for dir in self.dirs.values_mut() {
            let mut names: Vec<String> = dir.now.keys().chain(dir.durable.keys()).cloned().collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                if dice.r#gen() {
                    match dir.durable.get(&name) {
                        Some(node) => drop(dir.now.insert(name, *node)),
                        None => drop(dir.now.remove(&name)),
                    }
                }
            }
        }
        for file in &mut self.files {
            let synced = file.durable.len().min(file.now.len());
            match dice.gen_range(0..4) {
                0 => file.now = file.durable.clone(),
                1 => {}
                2 => file.now.truncate(dice.gen_range(synced..=file.now.len())),
                // the length reached the medium, the bytes did not
                _ => file.now[synced..].fill(0),
            }
        }
    }

    /// Writes what is left into an empty directory.
    pub(crate) fn write_to(&self, root: &Path) {
        self.write_dir(Path::new(""), root);
    }

    fn write_dir(&self, dir: &Path, root: &Path) {
        let Some(names) = self.dirs.get(dir) else { return };
        for (name, node) in &names.now {
            let path = dir.join(name);
            match node {
                Node::File(number) => fs::write(root.join(&path), &self.files[*number].now).unwrap(),
                Node::Dir => {
                    fs::create_dir(root.join(&path)).unwrap();
                    self.write_dir(&path, root);
                }
            }
        }
    }
}
