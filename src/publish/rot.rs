//! Which files of a tree share the fate of a blob that rotted: a hard link to it, or a copy that was made of it.
//!
//! `verify --full` puts a damaged blob aside under its own name, and what lies there is the mark: without one nothing is
//! looked at, so that an unchanged tree costs one directory's names. Of a digest that is marked, the tree's file is sound if it
//! is a further name of the pool's present file, damaged if it is one of what was put aside; anything else is hashed.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use chantal_contract::Digest;
use sha2::{Digest as _, Sha256};

use super::{
    list::{Kind, LIST, List},
    outcome::PublishError,
    plan::{Plan, Source},
    tree,
};
use crate::store::{Object, Pool, StoreError};

/// The digests of which damaged bytes were put aside.
pub(super) struct Suspects<'a> {
    pool: &'a Pool,
    digests: BTreeSet<Digest>,
}

impl<'a> Suspects<'a> {
    /// Looks at what was put aside.
    pub fn of(pool: &'a Pool) -> Result<Self, PublishError> {
        Ok(Self { pool, digests: pool.suspects()? })
    }

    /// Tells whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Reads the list of a tree and marks the files in it that are damaged; none where the tree has no whole list.
    pub fn read(&self, tree: &Path) -> Result<Option<List>, PublishError> {
        let mut list = List::read(tree).map_err(PublishError::io(tree))?;
        for listed in list.iter_mut().flat_map(|list| &mut list.files) {
            let blob = listed.measured.sha256;
            if self.digests.contains(&blob) && !self.is_sound(&tree.join(listed.path.as_str()), &blob) {
                listed.kind = Kind::Rotten;
            }
        }
        Ok(list)
    }

    /// Counts the damaged files of a tree.
    pub fn count(&self, tree: &Path) -> Result<u64, PublishError> {
        if self.is_empty() {
            return Ok(0);
        }
        Ok(self.read(tree)?.map_or(0, |list| list.rotten()))
    }

    /// Gives a tree that nobody sees up if it holds damaged files: without its list it is built anew.
    pub fn sweep(&self, standby: &Path) -> Result<(), PublishError> {
        if self.count(standby)? == 0 {
            return Ok(());
        }
        fs::remove_file(standby.join(LIST)).map_err(PublishError::io(standby))?;
        tree::sync(standby)
    }

    /// Refuses a plan that needs a blob which was put aside and did not come back.
    pub fn expect_healed(&self, plan: &Plan) -> Result<(), PublishError> {
        for entry in &plan.entries {
            let digest = entry.measured.sha256;
            if matches!(entry.source, Source::Pool(_))
                && self.digests.contains(&digest)
                && self.pool.has(&digest)?.is_none()
            {
                return Err(StoreError::Missing { what: Object::Blob, digest }.into());
            }
        }
        Ok(())
    }

    fn is_sound(&self, path: &Path, blob: &Digest) -> bool {
        let inode = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        let Some(own) = inode(path) else { return false };
        if inode(&self.pool.aside(blob)) == Some(own) {
            return false;
        }
        // a medium that cannot be read serves nobody either
        inode(&self.pool.path(blob)) == Some(own) || hash(path).is_ok_and(|found| found == *blob)
    }
}

fn hash(path: &Path) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(Digest::from_bytes(hash.finalize().into()))
}
