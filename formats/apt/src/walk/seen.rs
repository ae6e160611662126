//! Which packages were listed already: by several architectures, components and suites.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use chantal_contract::{FormatError, Package, RepoPath, Step, limits::PACKAGES};

use super::{Out, notice};

/// How many packages that contradict others are named one by one.
const NAMED: u64 = 20;

/// What was emitted, as keyed hashes: some 70 bytes a package.
pub(super) struct Seen {
    limit: usize,
    hasher: RandomState,
    /// Key of a package → what it consists of.
    packages: HashMap<u64, u64>,
    /// Path of a file → its digest.
    files: HashMap<u64, u64>,
    contradictions: u64,
    last: Option<RepoPath>,
}

impl Default for Seen {
    fn default() -> Self {
        Self::limited(PACKAGES)
    }
}

impl Seen {
    /// Takes at most `limit` packages.
    pub(super) fn limited(limit: usize) -> Self {
        Self {
            limit,
            hasher: RandomState::new(),
            packages: HashMap::new(),
            files: HashMap::new(),
            contradictions: 0,
            last: None,
        }
    }

    /// Emits a package that was not listed before.
    ///
    /// The same key with other bytes elsewhere is another variant of the package, which clients cannot tell apart: both are
    /// mirrored, and a notice says so. Other bytes under the same path cannot be had: the first listed stands.
    pub(super) fn take(
        &mut self,
        mut package: Package,
        record: &[u8],
        index: &RepoPath,
        out: Out<'_>,
    ) -> Result<(), FormatError> {
        let fresh = self.files(&package);
        let Ok(fresh) = fresh else {
            return self.contradict(
                index,
                format!("lists `{}` with other bytes than before, under the same path", package.key),
                out,
            );
        };
        let consists_of = self.hasher.hash_one(
            package.files.iter().map(|file| (&file.path, &file.expect.checksums)).collect::<Vec<_>>(),
        );
        let mut key = self.hasher.hash_one(&package.key);
        match self.packages.get(&key) {
            Some(known) if *known == consists_of => return Ok(()),
            Some(_) => {
                self.contradict(index, format!("lists `{}` with other bytes than before", package.key), out)?;
                let checksum = package.files.iter().flat_map(|file| &file.expect.checksums).next();
                package.key.variant = checksum.map(ToString::to_string).unwrap_or_default();
                key = self.hasher.hash_one(&package.key);
                if self.packages.contains_key(&key) {
                    return Ok(());
                }
            }
            None => {}
        }
        if self.packages.len() == self.limit {
            let what = "the number of packages";
            return Err(FormatError::Limit { file: index.clone(), what, limit: self.limit as u64 });
        }
        self.packages.insert(key, consists_of);
        self.files.extend(fresh);
        out(Step::Package(package, record))
    }

    /// Returns a package's files that were not listed before, or refuses one whose path was, with other bytes.
    fn files(&self, package: &Package) -> Result<Vec<(u64, u64)>, ()> {
        let mut fresh = Vec::with_capacity(package.files.len());
        for file in &package.files {
            let path = self.hasher.hash_one(&file.path);
            let digest = self.hasher.hash_one(&file.expect.checksums);
            match self.files.get(&path) {
                Some(known) if *known != digest => return Err(()),
                Some(_) => {}
                None => fresh.push((path, digest)),
            }
        }
        Ok(fresh)
    }

    fn contradict(&mut self, index: &RepoPath, text: String, out: Out<'_>) -> Result<(), FormatError> {
        self.contradictions += 1;
        self.last = Some(index.clone());
        if self.contradictions <= NAMED { notice(index, text, out) } else { Ok(()) }
    }

    /// Sums up what was not named one by one.
    pub(super) fn finish(&self, out: Out<'_>) -> Result<(), FormatError> {
        match &self.last {
            Some(index) if self.contradictions > NAMED => {
                let more = self.contradictions - NAMED;
                notice(
                    index,
                    format!("and other indexes list {more} more packages with other bytes than before"),
                    out,
                )
            }
            _ => Ok(()),
        }
    }
}
