//! The contract of a package format.

use std::{cmp::Ordering, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::FormatError,
    package::{Key, Package, Version},
    path::RepoPath,
    proof::{Fingerprint, Signer, Verifier},
    tree::{Place, SetUp, State, Tree},
    want::{Answer, ReadSeek, Step, Want},
};

/// Which package format.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Debian's and Ubuntu's.
    Apt,
    /// Fedora's, Red Hat's and SUSE's.
    Rpm,
    /// Python's simple index.
    Pypi,
    /// Kubernetes charts.
    Helm,
    /// Alpine's.
    Apk,
}

impl Kind {
    /// Returns the word that the configuration uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Rpm => "rpm",
            Self::Pypi => "pypi",
            Self::Helm => "helm",
            Self::Apk => "apk",
        }
    }

    /// Returns the architecture whose packages a client of every other one takes as well, where the format keeps
    /// architectures apart.
    pub const fn neutral(self) -> Option<&'static str> {
        match self {
            Self::Apt => Some("all"),
            Self::Rpm => Some("noarch"),
            Self::Pypi | Self::Helm | Self::Apk => None,
        }
    }

    /// Returns what a client of an architecture chooses a package's newest version within; one and the same where the format
    /// keeps none apart.
    pub const fn track(self, architecture: &str) -> &str {
        if self.neutral().is_some() { architecture } else { "" }
    }

    /// Reads a format's options as a snapshot's header holds them.
    pub fn options<T: DeserializeOwned>(self, value: serde_json::Value) -> Result<T, FormatError> {
        serde_json::from_value(value)
            .map_err(|error| FormatError::Option { option: self.name().into(), why: error.to_string() })
    }
}
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a repository relates to its upstream.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Byte for byte, signatures intact.
    Mirror,
    /// Chosen packages with upstream's records in new indexes.
    Filtered,
    /// Packages that the user uploads.
    Hosted,
}

impl Mode {
    /// Returns the word that the configuration uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Filtered => "filtered",
            Self::Hosted => "hosted",
        }
    }
}
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
impl FromStr for Mode {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Mirror, Self::Filtered, Self::Hosted].into_iter().find(|m| m.name() == text).ok_or(())
    }
}

/// One package format, set up with one repository's options.
///
/// It never opens a socket or a file and reads no clock.
pub trait Format: Send + Sync {
    /// Tells which format this is.
    fn kind(&self) -> Kind;

    /// Tells how the repository relates to its upstream.
    fn mode(&self) -> Mode;

    /// Orders two versions as the format's own client does.
    fn compare(&self, a: &Version, b: &Version) -> Ordering;

    /// Returns the options as they enter a snapshot's header: what is needed to walk and lay out the state again.
    fn options(&self) -> serde_json::Value;

    /// Tells whether unchanged anchors of [`Walk::start`] prove that nothing else changed, either.
    ///
    /// True for APT and RPM, whose `Release` and `repomd.xml` bind every index; false where pages are bound by nothing.
    fn anchors_bind(&self) -> bool;

    /// Begins a walk over the upstream's (or a snapshot's) indexes.
    fn walk<'a>(&'a self, proof: &'a dyn Verifier) -> Box<dyn Walk + 'a>;

    /// Verifies a payload's own signature under `proof.packages()`; formats whose packages carry none accept.
    ///
    /// Returns who signed it.
    fn vet(
        &self,
        path: &RepoPath,
        file: &mut dyn ReadSeek,
        proof: &dyn Verifier,
    ) -> Result<Vec<Fingerprint>, FormatError>;

    /// Refuses a `pkg` line whose key is not what its files' names say; formats whose indexes list their packages have no such
    /// lines and accept.
    fn expect_key(&self, key: &Key, files: &[RepoPath]) -> Result<(), FormatError> {
        let _ = (key, files);
        Ok(())
    }

    /// Reads a package file and returns it with the record that an index would hold.
    fn inspect(&self, name: &RepoPath, file: &mut dyn ReadSeek) -> Result<(Package, Vec<u8>), FormatError>;

    /// Lays a state out as a tree; a pure function of snapshot, key and time.
    ///
    /// A mirror's tree is its `file` lines as they stand, which is what the provided method does.
    fn lay_out(
        &self,
        state: &dyn State,
        tree: &mut dyn Tree,
        seal: Option<&dyn Signer>,
        at: Timestamp,
    ) -> Result<(), FormatError> {
        let _ = (seal, at);
        crate::tree::lay_out_files(state, tree)
    }

    /// Writes what a client needs to use the published tree (`.sources`, `.repo`, `pip.conf`).
    fn set_up(&self, state: &dyn State, place: &Place) -> Result<Vec<SetUp>, FormatError>;
}

/// A walk over indexes: says what it wants, is fed, says more.
///
/// The driver feeds answers in any order, each exactly once, and calls [`Walk::finish`] when no want is open. A walk holds
/// some 150 bytes a package, never an index. After an error it is dropped.
pub trait Walk: Send {
    /// Returns the first wants.
    fn start(&mut self) -> Result<Vec<Want>, FormatError>;

    /// Takes the answer to `want` and says what follows from it.
    fn feed(
        &mut self,
        want: &Want,
        answer: Answer<'_>,
        out: &mut dyn FnMut(Step<'_>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError>;

    /// Ends the walk, emitting what only now is known, and sums up.
    fn finish(
        self: Box<Self>,
        out: &mut dyn FnMut(Step<'_>) -> Result<(), FormatError>,
    ) -> Result<Coverage, FormatError>;
}

/// What a finished walk covered.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// When upstream says that this state was made (the latest, of several suites).
    pub date: Option<Timestamp>,
    /// Until when upstream says that it may be used (the earliest, of several suites).
    pub valid_until: Option<Timestamp>,
    /// Who signed the anchors.
    pub signers: Vec<Fingerprint>,
    /// Anchors by path that carried a good signature.
    pub signed: Vec<RepoPath>,
}

/// Something that a person should know about an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The file it is about.
    pub path: RepoPath,
    /// What is so, in lower case, without a full stop.
    pub text: String,
}
