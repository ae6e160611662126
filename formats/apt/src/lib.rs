//! APT repositories: reads `InRelease`, `Packages` and what else clients ask for, orders versions as dpkg does, reads `.deb`
//! files, and writes the `.sources` file that sets a client up.
//!
//! Mode `mirror`: byte for byte what upstream signed. The specification is <https://wiki.debian.org/DebianRepository/Format>,
//! the judge is apt.

use std::cmp::Ordering;

use chantal_contract::{
    Fingerprint, Format, FormatError, Kind, Mode, Package, Place, ReadSeek, RepoPath, SetUp, State, Verifier,
    Version, Walk,
};

pub mod ar;
pub mod clearsign;
pub mod deb;
pub mod deb822;
#[cfg(test)]
mod harness;
pub mod options;
pub mod packages;
pub mod release;
mod set_up;
mod suite;
mod targets;
pub mod version;
mod walk;

pub use options::{AptOptions, Compressions};
pub use release::Release;

/// An APT repository, set up with its options.
#[derive(Clone, Debug)]
pub struct Apt {
    options: AptOptions,
    suites: Vec<suite::Suite>,
}

impl Apt {
    /// Checks the options and takes them.
    pub fn new(options: AptOptions) -> Result<Self, FormatError> {
        let suites = options.to_suites()?;
        Ok(Self { options, suites })
    }

    /// Reads the options from a snapshot's header.
    pub fn from_value(options: serde_json::Value) -> Result<Self, FormatError> {
        Self::new(Kind::Apt.options(options)?)
    }

    /// Tells whether packages of an architecture are asked for by clients of the chosen ones.
    fn takes_architecture(&self, architecture: &str) -> bool {
        matches!(architecture, "all" | "source")
            || self.options.architectures.iter().any(|a| a == architecture)
    }
}

impl Format for Apt {
    fn kind(&self) -> Kind {
        Kind::Apt
    }

    fn mode(&self) -> Mode {
        Mode::Mirror
    }

    fn compare(&self, a: &Version, b: &Version) -> Ordering {
        version::compare(&a.0, &b.0)
    }

    fn options(&self) -> serde_json::Value {
        serde_json::to_value(&self.options).unwrap_or_default()
    }

    fn anchors_bind(&self) -> bool {
        true
    }

    fn walk<'a>(&'a self, proof: &'a dyn Verifier) -> Box<dyn Walk + 'a> {
        Box::new(walk::AptWalk::new(self, proof))
    }

    /// Accepts: a `.deb` carries no signature that clients look at; the signed indexes bind it.
    fn vet(
        &self,
        _path: &RepoPath,
        _file: &mut dyn ReadSeek,
        _proof: &dyn Verifier,
    ) -> Result<Vec<Fingerprint>, FormatError> {
        Ok(Vec::new())
    }

    fn inspect(&self, name: &RepoPath, file: &mut dyn ReadSeek) -> Result<(Package, Vec<u8>), FormatError> {
        deb::inspect(name, file)
    }

    fn set_up(&self, state: &dyn State, place: &Place) -> Result<Vec<SetUp>, FormatError> {
        set_up::set_up(&self.options, &self.suites, state, place)
    }
}
