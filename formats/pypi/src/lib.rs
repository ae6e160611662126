//! Python's simple index (PEP 503, 691, 700): reads an upstream's project pages, chooses files, follows dependencies, lays
//! out pages that a plain web server can serve.
//!
//! A repository of this format is `filtered`: chosen files with upstream's records in new pages. Upstream has nothing to
//! verify beyond digests that come over TLS.

use std::cmp::Ordering;

use chantal_contract::{
    Fingerprint, Format, FormatError, Key, Kind, Mode, Package, Place, ReadSeek, RepoPath, SetUp, Signer,
    State, Tree, Verifier, Version, Walk,
};
use jiff::Timestamp;

pub mod archive;
pub mod environment;
pub mod filename;
pub mod inspect;
mod key;
mod lay_out;
mod listing;
pub mod marker;
pub mod metadata;
pub mod name;
pub mod options;
mod plan;
pub mod platform;
pub mod requirement;
pub mod requirements;
pub mod select;
mod set_up;
pub mod simple;
pub mod version;
mod walk;

#[cfg(test)]
mod clients;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod judge;

pub use environment::{Environment, Implementation};
pub use options::{Prereleases, PypiOptions, Sdists};
pub use requirements::{Requirements, RequirementsError};

use plan::Plan;

/// The version of the lay-out that is written.
pub const LAYOUT: u32 = 1;

/// Python's simple index, set up with one repository's options.
pub struct Pypi {
    options: PypiOptions,
    plan: Plan,
}

impl Pypi {
    /// Takes options whose requirements files were read ([`PypiOptions::with_files_read`]).
    ///
    /// Requirements, constraints and environments that cannot be parsed are refused, as is `dependencies` without environments.
    pub fn new(options: PypiOptions) -> Result<Self, FormatError> {
        let plan = Plan::new(&options)?;
        Ok(Self { options, plan })
    }

    /// Takes options as a snapshot's header keeps them.
    pub fn from_value(options: serde_json::Value) -> Result<Self, FormatError> {
        Self::new(Kind::Pypi.options(options)?)
    }
}

impl Format for Pypi {
    fn kind(&self) -> Kind {
        Kind::Pypi
    }

    fn mode(&self) -> Mode {
        Mode::Filtered
    }

    fn compare(&self, a: &Version, b: &Version) -> Ordering {
        version::compare(&a.0, &b.0)
    }

    fn options(&self) -> serde_json::Value {
        serde_json::to_value(&self.options).unwrap_or_default()
    }

    fn anchors_bind(&self) -> bool {
        false
    }

    fn walk<'a>(&'a self, _proof: &'a dyn Verifier) -> Box<dyn Walk + 'a> {
        Box::new(walk::Walker::new(&self.plan))
    }

    fn vet(
        &self,
        _path: &RepoPath,
        _file: &mut dyn ReadSeek,
        _proof: &dyn Verifier,
    ) -> Result<Vec<Fingerprint>, FormatError> {
        Ok(Vec::new())
    }

    fn expect_key(&self, key: &Key, files: &[RepoPath]) -> Result<(), FormatError> {
        key::expect(key, files).map(drop)
    }

    fn inspect(&self, name: &RepoPath, file: &mut dyn ReadSeek) -> Result<(Package, Vec<u8>), FormatError> {
        inspect::inspect(name, file)
    }

    fn lay_out(
        &self,
        state: &dyn State,
        tree: &mut dyn Tree,
        _seal: Option<&dyn Signer>,
        _at: Timestamp,
    ) -> Result<(), FormatError> {
        lay_out::lay_out(state, tree)
    }

    fn set_up(&self, _state: &dyn State, place: &Place) -> Result<Vec<SetUp>, FormatError> {
        Ok(set_up::files(place))
    }
}
