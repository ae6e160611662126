//! RPM as a [`Format`].

use std::cmp::Ordering;

use chantal_contract::{
    Format, FormatError, Kind, Mode, Package, Place, ReadSeek, RepoPath, SetUp, State, Verifier, Version,
    Walk, proof::Fingerprint,
};

use crate::{client, file, options::RpmOptions, version, walk::RpmWalk};

/// A repository of RPM packages, mirrored byte for byte.
#[derive(Clone, Debug)]
pub struct Rpm {
    options: RpmOptions,
}

impl Rpm {
    /// Takes the options of one repository.
    pub fn new(options: RpmOptions) -> Self {
        Self { options }
    }

    /// Takes options as a snapshot's header holds them.
    pub fn from_value(options: serde_json::Value) -> Result<Self, FormatError> {
        Ok(Self { options: Kind::Rpm.options(options)? })
    }

    /// Returns the options.
    pub fn settings(&self) -> &RpmOptions {
        &self.options
    }
}

impl Format for Rpm {
    fn kind(&self) -> Kind {
        Kind::Rpm
    }

    fn mode(&self) -> Mode {
        Mode::Mirror
    }

    fn compare(&self, a: &Version, b: &Version) -> Ordering {
        version::compare(a, b)
    }

    /// Returns what decides over the files of the state; where they came from is nobody's affair on the other side.
    fn options(&self) -> serde_json::Value {
        let RpmOptions { treeinfo, sources, deltas, mirrorlist: _, metalink: _ } = self.options;
        serde_json::json!({ "deltas": deltas, "sources": sources, "treeinfo": treeinfo })
    }

    /// True: `repomd.xml` binds every index by its digest, and `.treeinfo` the images of an installer.
    ///
    /// Files that a `.treeinfo` names without a checksum, and `extra_files.json`, are fetched anew only when an anchor changed;
    /// both are made together with it.
    fn anchors_bind(&self) -> bool {
        true
    }

    fn walk<'a>(&'a self, proof: &'a dyn Verifier) -> Box<dyn Walk + 'a> {
        Box::new(RpmWalk::new(&self.options, proof))
    }

    fn vet(
        &self,
        path: &RepoPath,
        file: &mut dyn ReadSeek,
        proof: &dyn Verifier,
    ) -> Result<Vec<Fingerprint>, FormatError> {
        file::vet(path, file, proof)
    }

    fn inspect(&self, name: &RepoPath, file: &mut dyn ReadSeek) -> Result<(Package, Vec<u8>), FormatError> {
        file::inspect(name, file)
    }

    fn set_up(&self, state: &dyn State, place: &Place) -> Result<Vec<SetUp>, FormatError> {
        client::set_up(state, place)
    }
}
