//! Where trees lie and how one takes the place of another.
//!
//! ```text
//! PUBLISHED/rhel/9/baseos -> ../../.trees/rhel=9=baseos/a     switch: symlink
//! PUBLISHED/.trees/rhel=9=baseos/{a,b}                        one is live, the other stands by
//! PUBLISHED/rhel/9/baseos/                                    switch: exchange: the live tree itself
//! PUBLISHED/.trees/rhel=9=baseos/a                            and its standby
//! ```

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{
    Switch,
    list::LIST,
    outcome::PublishError,
    tree::{discard, make_dir, sync},
};

/// The directory of all trees, below the published one.
pub(super) const TREES: &str = ".trees";

/// What stands where a tree is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Live {
    Nothing,
    Link(&'static str),
    Directory,
}

/// A place below the published directory where a tree is, or will be, published.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    root: PathBuf,
    target: String,
    live: Live,
    switch: Switch,
}

impl Spot {
    /// Looks at a place; `target` is a path of plain names.
    pub fn find(root: &Path, target: &str, switch: Switch) -> Result<Self, PublishError> {
        let mut spot = Self { root: root.into(), target: target.into(), live: Live::Nothing, switch };
        let place = spot.place();
        let occupied = || PublishError::Occupied { path: place.clone() };
        for outer in super::plan::parents(target) {
            match fs::symlink_metadata(root.join(outer)) {
                Ok(found) if found.is_dir() && !root.join(outer).join(LIST).exists() => {}
                Ok(_) => return Err(PublishError::Inside { inner: target.into(), outer: outer.into() }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(PublishError::Io { path: root.join(outer), source: error }),
            }
        }
        spot.live = match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Live::Nothing,
            Err(error) => return Err(PublishError::Io { path: place, source: error }),
            Ok(found) if found.is_symlink() => {
                let to = fs::read_link(&place).map_err(PublishError::io(&place))?;
                let slot = ["a", "b"].into_iter().find(|slot| to == spot.link_to(slot));
                Live::Link(slot.ok_or_else(occupied)?)
            }
            Ok(found) if found.is_dir() && place.join(LIST).exists() => Live::Directory,
            Ok(_) => return Err(occupied()),
        };
        Ok(spot)
    }

    /// Returns the place itself.
    pub fn place(&self) -> PathBuf {
        self.root.join(&self.target)
    }

    /// Returns the tree that clients see, if one is there.
    pub fn live(&self) -> Option<PathBuf> {
        match self.live {
            Live::Nothing => None,
            Live::Link(slot) => Some(self.home().join(slot)),
            Live::Directory => Some(self.place()),
        }
    }

    /// Returns where the other tree is built.
    pub fn standby(&self) -> PathBuf {
        self.home().join(if self.live == Live::Link("a") { "b" } else { "a" })
    }

    /// Returns the directory of this place's trees.
    pub fn home(&self) -> PathBuf {
        // No name holds a `=`, so that two places never share a directory.
        self.root.join(TREES).join(self.target.replace('/', "="))
    }

    fn link_to(&self, slot: &str) -> PathBuf {
        let up = "../".repeat(self.target.matches('/').count());
        PathBuf::from(format!("{up}{TREES}/{}/{slot}", self.target.replace('/', "=")))
    }

    /// Makes the directories that trees and place need.
    pub fn prepare(&self) -> Result<(), PublishError> {
        let mut above: Vec<&str> = super::plan::parents(&self.target).collect();
        above.reverse();
        for path in [self.root.clone(), self.root.join(TREES), self.home()]
            .into_iter()
            .chain(above.iter().map(|a| self.root.join(a)))
        {
            if !path.is_dir() {
                // the parent of a bare name is the directory that the command runs in
                let named = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let above = named.unwrap_or(Path::new("."));
                fs::create_dir_all(above).map_err(PublishError::io(above))?;
                make_dir(&path)?;
                sync(above)?;
            }
        }
        // A tree of the other kind of switch, out of the way since the last one.
        discard(&self.next())
    }

    fn next(&self) -> PathBuf {
        self.home().join("next")
    }

    /// Lets the standby tree take the place, in one rename; what was there before stands by from then on.
    pub fn turn(&self) -> Result<(), PublishError> {
        let (place, standby) = (self.place(), self.standby());
        match (self.switch, self.live) {
            (Switch::Symlink, live) => {
                let next = self.next();
                let slot = if self.live == Live::Link("a") { "b" } else { "a" };
                symlink(self.link_to(slot), &next).map_err(PublishError::io(&next))?;
                if live == Live::Directory {
                    // The directory comes to stand as `next` and is swept away by the next `prepare`.
                    exchange(&next, &place)?;
                } else {
                    fs::rename(&next, &place).map_err(PublishError::io(&place))?;
                }
            }
            (Switch::Exchange, Live::Nothing) => {
                fs::rename(&standby, &place).map_err(PublishError::io(&place))?;
            }
            (Switch::Exchange, Live::Directory) => exchange(&standby, &place)?,
            (Switch::Exchange, Live::Link(_)) => {
                exchange(&standby, &place)?;
                // A symbolic link came to stand there.
                discard(&standby)?;
            }
        }
        Ok(())
    }

    /// Makes the turn durable.
    pub fn settle(&self) -> Result<(), PublishError> {
        let place = self.place();
        sync(place.parent().unwrap_or(&self.root))?;
        sync(&self.home())
    }

    /// Takes the tree away: the place first, in one step, then what stood behind it.
    pub fn clear(&self) -> Result<(), PublishError> {
        let (place, home) = (self.place(), self.home());
        match self.live {
            Live::Nothing => {}
            Live::Link(_) => fs::remove_file(&place).map_err(PublishError::io(&place))?,
            Live::Directory => {
                make_dir(&home)?;
                discard(&self.next())?;
                fs::rename(&place, self.next()).map_err(PublishError::io(&place))?;
            }
        }
        if let Some(parent) = place.parent().filter(|p| p.is_dir()) {
            sync(parent)?;
        }
        discard(&home)?;
        for outer in super::plan::parents(&self.target) {
            if fs::remove_dir(self.root.join(outer)).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn exchange(a: &Path, b: &Path) -> Result<(), PublishError> {
    use rustix::io::Errno;
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(|error| match error {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => PublishError::NoExchange { path: b.into() },
        _ => PublishError::Io { path: b.into(), source: error.into() },
    })
}
