//! Room `config`: the YAML file as types, its checks, its JSON schema.
//!
//! Unknown keys, wrong types, missing variables and what does not fit together are refused with file, line, column, the
//! line itself and a hint. Secrets never stand in it: they come from files or from the environment.

use std::{
    io,
    path::{Path, PathBuf},
};

use chantal_contract::name::{Name, SiteName};
use serde::Serialize;

mod check;
mod fault;
mod load;
mod not_yet;
pub mod quantity;
pub mod repository;
pub mod site;
pub mod text;

#[cfg(test)]
mod tests;

pub use fault::{Fault, Place, closest};
pub use load::matches;
pub use quantity::{Rate, Size, Time};
pub use repository::{Auth, Expired, Missing, PublishedPath, Repository, Retention, Tls, Verify};
pub use site::{Download, Link, Role, Site, Storage, Switch, volume_size};
pub use text::{FilePath, Location, Text};

/// A configuration that was read and checked.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// The main file.
    #[serde(skip)]
    pub path: PathBuf,
    /// Which side of the gap this is.
    pub role: Role,
    /// The name of this installation.
    pub site: SiteName,
    /// The file of the site's own private key, or of the public line of one that an ssh-agent holds.
    pub key: FilePath,
    /// Where that is written: the main file as a whole where it is not.
    #[serde(skip)]
    pub key_place: Place,
    /// Where the store and the published trees lie.
    pub storage: Storage,
    /// The rules of every download.
    pub download: Download,
    /// The upstreams, or a receiver's policies.
    pub repositories: Vec<Repository>,
    /// The sites that bundles are made for.
    pub sites: Vec<Site>,
    /// Every file that was read, the main one first.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
}

/// Why there is no configuration to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// None was named and none is where one would be.
    #[error("there is no configuration: looked for {}", list(.looked))]
    NotFound {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// A file cannot be read.
    #[error("`{}`: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Something is wrong with it.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Several things are wrong with it.
    #[error("{} faults in the configuration", .0.len())]
    Faults(Vec<Fault>),
}

impl ConfigError {
    /// Returns what would help.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some(
                "`chantal init --role collector --site NAME DIR` writes one; `--config FILE` names one"
                    .into(),
            ),
            Self::Fault(fault) => fault.hint().map(str::to_owned),
            Self::Io { .. } | Self::Faults(_) => None,
        }
    }

    /// Returns what is wrong with the text of the files.
    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::Fault(fault) => std::slice::from_ref(fault),
            Self::Faults(faults) => faults,
            Self::NotFound { .. } | Self::Io { .. } => &[],
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

impl Config {
    /// Reads a file and what it includes, and checks it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config = load::load(path)?;
        let mut faults = check::check(&config);
        match faults.len() {
            0 => Ok(config),
            1 => Err(faults.remove(0).into()),
            _ => Err(ConfigError::Faults(faults)),
        }
    }

    /// Finds the configuration: the named file, or `./chantal.yaml`, the user's, the system's.
    ///
    /// `$CHANTAL_CONFIG` comes as `named`, too: the command line reads it.
    pub fn find(named: Option<&Path>) -> Result<PathBuf, ConfigError> {
        if let Some(path) = named {
            return Ok(path.to_owned());
        }
        let user = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
        let looked: Vec<PathBuf> = std::iter::once(PathBuf::from("chantal.yaml"))
            .chain(user.map(|base| base.join("chantal/chantal.yaml")))
            .chain(std::iter::once(PathBuf::from("/etc/chantal/chantal.yaml")))
            .collect();
        let there = looked.iter().find(|path| path.is_file()).cloned();
        there.ok_or(ConfigError::NotFound { looked })
    }

    /// Returns the entry of a repository.
    pub fn repository(&self, name: &Name) -> Option<&Repository> {
        self.repositories.iter().find(|repository| repository.name == *name)
    }

    /// Returns the entry of a site.
    pub fn site_entry(&self, name: &SiteName) -> Option<&Site> {
        self.sites.iter().find(|site| site.name == *name)
    }

    /// Returns the JSON schema of the main file.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(load::MainFile)
    }

    /// Writes the configuration that is in force as YAML: includes merged, defaults filled in, `${NAME}` left as it is.
    pub fn show(&self) -> Result<String, serde_yaml::SerializeError> {
        serde_yaml::to_string(self)
    }
}
