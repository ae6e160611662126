//! A Python environment that an offline client will have: what its markers say, and which files it can use.

use std::str::FromStr;

use pep440_rs::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    marker::{Marker, Values, Variable},
    name::Name,
    platform::{Platform, PlatformError},
    version::Specifiers,
};

/// The patch release up to which an environment without one is taken to go.
const LAST_PATCH: u64 = 50;

/// Which implementation of Python runs.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Implementation {
    /// The reference implementation.
    #[default]
    Cpython,
    /// PyPy.
    Pypy,
}

/// One Python environment that an offline client will have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The version of Python, `3.11` or `3.11.4`; quoted, since YAML takes 3.10 for 3.1. Without a patch release whatever some
    /// patch release can use is taken.
    pub python: String,
    /// The platform as wheels name it, with the newest C library or system that they may ask for: `manylinux_2_28_x86_64`,
    /// `musllinux_1_2_aarch64`, `macosx_14_0_arm64`, `win_amd64`.
    pub platform: String,
    /// The implementation: `cpython` or `pypy`.
    #[serde(default)]
    pub implementation: Implementation,
}

/// Why an environment is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// The version of Python is none.
    #[error("python `{0}` is no version such as `3.11` or `3.11.4`")]
    Python(String),
    /// The platform is none.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

/// An environment, parsed.
#[derive(Clone, Debug)]
pub struct Target {
    shown: String,
    /// Major and minor version of Python.
    pub python: (u32, u32),
    /// The implementation of Python.
    pub implementation: Implementation,
    /// Where it runs.
    pub platform: Platform,
    version: String,
    /// The patch releases that it may turn out to be.
    full: Vec<(String, Version)>,
}

impl Target {
    /// Reads an environment.
    pub fn new(environment: &Environment) -> Result<Self, EnvironmentError> {
        let fault = || EnvironmentError::Python(environment.python.chars().take(40).collect());
        let numbers = environment
            .python
            .split('.')
            .map(|part| part.parse::<u32>().ok().filter(|n| n.to_string() == part))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(fault)?;
        let (major, minor, patches) = match *numbers {
            [major @ 2..=9, minor] => (major, minor, 0..=LAST_PATCH),
            [major @ 2..=9, minor, patch] => (major, minor, u64::from(patch)..=u64::from(patch)),
            _ => return Err(fault()),
        };
        let full = patches
            .map(|patch| {
                let version = Version::new([u64::from(major), u64::from(minor), patch]);
                (version.to_string(), version)
            })
            .collect();
        let implementation = match environment.implementation {
            Implementation::Cpython => "CPython",
            Implementation::Pypy => "PyPy",
        };
        Ok(Self {
            shown: format!("{implementation} {} on {}", environment.python, environment.platform),
            python: (major, minor),
            implementation: environment.implementation,
            platform: Platform::from_str(&environment.platform)?,
            version: format!("{major}.{minor}"),
            full,
        })
    }

    /// Returns it for people: `CPython 3.11 on manylinux_2_28_x86_64`.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Tells whether some patch release that it may be satisfies a file's `requires-python`.
    pub fn satisfies(&self, requires_python: &Specifiers) -> bool {
        self.full.iter().any(|(_, version)| requires_python.contain(version))
    }

    /// Tells whether a marker holds in it, for some patch release that it may be, with these extras.
    ///
    /// As pip does, the marker is asked once for each extra, or once for none.
    pub fn meets(&self, marker: &Marker, extras: &[Name]) -> bool {
        let patches = if marker.is_exact() { self.full.len() } else { 1 };
        self.full.iter().take(patches).any(|(full, _)| {
            let values = Exactly { target: self, full };
            marker.holds(&values, "") || extras.iter().any(|extra| marker.holds(&values, extra.as_str()))
        })
    }
}

/// A target at one patch release.
struct Exactly<'a> {
    target: &'a Target,
    full: &'a str,
}

impl Values for Exactly<'_> {
    fn value(&self, variable: Variable) -> Option<&str> {
        let platform = &self.target.platform;
        let cpython = self.target.implementation == Implementation::Cpython;
        Some(match variable {
            Variable::PythonVersion => &self.target.version,
            Variable::PythonFullVersion => self.full,
            Variable::OsName => platform.os_name(),
            Variable::SysPlatform => platform.sys_platform(),
            Variable::PlatformSystem => platform.system(),
            Variable::PlatformMachine => platform.machine(),
            Variable::PlatformPythonImplementation => {
                if cpython {
                    "CPython"
                } else {
                    "PyPy"
                }
            }
            Variable::ImplementationName => {
                if cpython {
                    "cpython"
                } else {
                    "pypy"
                }
            }
            Variable::ImplementationVersion if cpython => self.full,
            Variable::ImplementationVersion
            | Variable::PlatformRelease
            | Variable::PlatformVersion
            | Variable::Extra => return None,
        })
    }
}

#[cfg(test)]
mod tests;
