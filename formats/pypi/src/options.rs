//! The options of a PyPI repository, as the configuration writes them and as a snapshot's header keeps them.

use std::{
    io,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    environment::Environment,
    requirements::{self, RequirementsError},
};

/// What is taken from a Python package index.
///
/// The repository's `url` is the index as pip has it in `index-url`: below it stands one page for each project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PypiOptions {
    /// Requirements as pip takes them on its command line: `requests`, `flask[async]>=2`, `tomli; python_version < "3.11"`,
    /// also with `--hash=sha256:…` pins. Each brings every file that matches, or those of its `keep` newest versions.
    pub projects: Vec<String>,
    /// Requirements files, read when the configuration is: `-r`, `-c`, specifiers, markers, extras and `--hash` are honoured;
    /// URLs, editables and local paths are refused. Relative to the configuration's directory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<PathBuf>,
    /// Constraints on whatever is taken: they narrow versions and pin digests, and want nothing by themselves.
    pub constraints: Vec<String>,
    /// Whether the closure over dependencies is taken, too, for the named environments (at least one is needed). Nothing is
    /// resolved: each requirement brings the versions that match it, so that an offline resolver finds what it needs.
    pub dependencies: bool,
    /// The Python environments that clients will have; files that none of them can use are left out. None: every wheel and
    /// sdist.
    pub environments: Vec<Environment>,
    /// Whether pre-releases are taken.
    pub prereleases: Prereleases,
    /// Whether source archives are taken. Left out: `always` where no environments are named, else `when-no-wheel`, since
    /// building offline needs a compiler and build requirements that no closure knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdists: Option<Sdists>,
    /// How many of the newest versions each requirement brings, counted in each environment; left out: all. Set by the
    /// repository's `retention: { keep: N }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<NonZeroU32>,
}

/// Whether pre-releases are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prereleases {
    /// As pip does: where a specifier names one, or where nothing else matches (PEP 440).
    #[default]
    IfNeeded,
    /// Always.
    Allow,
    /// Never, even where nothing else matches.
    Never,
}

/// Whether source archives are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sdists {
    /// Of every version.
    Always,
    /// Of versions that have no wheel for an environment.
    WhenNoWheel,
    /// Never.
    Never,
}

impl PypiOptions {
    /// Reads the requirements files and returns options that stand for themselves: what the files say is in `projects` and
    /// `constraints`, and `requirements` is empty.
    ///
    /// Relative names are taken from `directory`.
    pub fn with_files_read(
        mut self,
        directory: &Path,
        read: &mut dyn FnMut(&Path) -> io::Result<String>,
    ) -> Result<Self, RequirementsError> {
        for file in std::mem::take(&mut self.requirements) {
            let found = requirements::read(&directory.join(file), read)?;
            self.projects.extend(found.requirements);
            self.constraints.extend(found.constraints);
        }
        for list in [&mut self.projects, &mut self.constraints] {
            list.sort();
            list.dedup();
        }
        Ok(self)
    }

    /// Returns the policy on source archives that holds.
    pub fn effective_sdists(&self) -> Sdists {
        self.sdists.unwrap_or(if self.environments.is_empty() { Sdists::Always } else { Sdists::WhenNoWheel })
    }
}
