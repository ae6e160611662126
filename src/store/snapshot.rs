//! A snapshot, read: its manifest, its records, its files.

use std::{collections::BTreeMap, sync::OnceLock};

use chantal_contract::{
    Digest, FormatError, Header, Line, Measured, RepoPath, Role, State, TreeError, manifest::Entry,
};

use super::{Manifests, Packs, Pool, StoreError, manifests::ManifestReader};

/// An immutable state of a repository, named by the digest of its manifest.
///
/// It implements [`State`], so a format can lay it out.
#[derive(Debug)]
pub struct Snapshot {
    name: Digest,
    header: Header,
    pool: Pool,
    packs: Packs,
    manifests: Manifests,
    /// Where the indexes are: few, and asked for one by one.
    indexes: OnceLock<BTreeMap<RepoPath, Measured>>,
}

impl Snapshot {
    pub(super) fn open(
        name: Digest,
        pool: &Pool,
        packs: &Packs,
        manifests: &Manifests,
    ) -> Result<Self, StoreError> {
        let header = manifests.open(&name)?.header().clone();
        Ok(Self {
            name,
            header,
            pool: pool.clone(),
            packs: packs.clone(),
            manifests: manifests.clone(),
            indexes: OnceLock::new(),
        })
    }

    /// Returns the snapshot's name: the digest of its manifest.
    pub fn name(&self) -> &Digest {
        &self.name
    }

    /// Opens the manifest.
    pub fn reader(&self) -> Result<ManifestReader, StoreError> {
        self.manifests.open(&self.name)
    }

    /// Visits every line in order, and at the end proves that they are what the name says.
    ///
    /// What was visited before an error is not proved; undo or throw away what was made of it.
    pub fn each_line<E: From<StoreError>>(
        &self,
        visit: &mut dyn FnMut(&Line) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = self.reader()?;
        while let Some(line) = reader.next_line().map_err(|e| StoreError::manifest(self.name, e))? {
            visit(&line)?;
        }
        if reader.digest() == self.name { Ok(()) } else { Err(self.manifests.misnamed(&self.name).into()) }
    }

    /// Returns what lies at a path; none if the snapshot has no such file, or upstream did not have it.
    pub fn file(&self, path: &RepoPath) -> Result<Option<Measured>, StoreError> {
        if let Some(found) = self.indexes()?.get(path) {
            return Ok(Some(*found));
        }
        let subject = format!("file\t{path}\t");
        let mut reader = self.reader()?;
        let fault = |e| StoreError::manifest(self.name, e);
        while let Some(text) = reader.next_raw().map_err(fault)? {
            if text.starts_with(&subject) {
                return Ok(match Line::parse(text) {
                    Ok(Line::File { entry: Entry::Present { measured, .. }, .. }) => Some(measured),
                    _ => None,
                });
            }
            if text > subject.as_str() {
                break;
            }
        }
        Ok(None)
    }

    fn indexes(&self) -> Result<&BTreeMap<RepoPath, Measured>, StoreError> {
        if let Some(known) = self.indexes.get() {
            return Ok(known);
        }
        let mut found = BTreeMap::new();
        self.each_line::<StoreError>(&mut |line| {
            if let Line::File { path, entry: Entry::Present { measured, role: Role::Index } } = line {
                found.insert(path.clone(), *measured);
            }
            Ok(())
        })?;
        Ok(self.indexes.get_or_init(|| found))
    }
}

/// Carries both a visitor's error and one of our own.
enum Visit {
    Format(FormatError),
    Store(StoreError),
}
impl From<StoreError> for Visit {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl State for Snapshot {
    fn header(&self) -> &Header {
        &self.header
    }

    fn lines(&self, visit: &mut dyn FnMut(&Line) -> Result<(), FormatError>) -> Result<(), FormatError> {
        self.each_line(&mut |line| visit(line).map_err(Visit::Format)).map_err(|error| match error {
            Visit::Format(error) => error,
            Visit::Store(error) => FormatError::Tree(error.into()),
        })
    }

    fn record(&self, digest: &Digest) -> Result<Vec<u8>, TreeError> {
        Ok(self.packs.get(digest)?)
    }

    fn read(&self, path: &RepoPath, limit: u64) -> Result<Vec<u8>, TreeError> {
        let found = self.file(path)?.ok_or_else(|| TreeError::NoFile(path.clone()))?;
        Ok(self.pool.read(&found.sha256, limit)?)
    }
}
