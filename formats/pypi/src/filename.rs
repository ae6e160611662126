//! What the name of a distribution file says: kind, version, tags (PEP 425, 427, 491, 625).

use std::str::FromStr;

use pep440_rs::Version;

use crate::{
    environment::{Implementation, Target},
    name::Name,
};

/// A distribution that today's clients install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Its version.
    pub version: Version,
    /// What it is.
    pub kind: DistributionKind,
}

/// What a distribution is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DistributionKind {
    /// A built one.
    Wheel(Tags),
    /// A source archive.
    Sdist,
}

/// Compressed tag sets of a wheel, each joined by `.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    python: Box<str>,
    abi: Box<str>,
    platform: Box<str>,
}

/// Why a file is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unfit {
    /// It is neither wheel nor sdist (an egg, an installer).
    Kind,
    /// It is named after another project, or not as its kind is.
    Name,
    /// Its version is none that PEP 440 knows.
    Version,
}

/// Extensions of source archives that pip reads.
const SDISTS: [&str; 5] = [".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz"];

impl Distribution {
    /// Reads the name of a file of `project`.
    pub fn parse(filename: &str, project: &Name) -> Result<Self, Unfit> {
        let (version, kind) = if let Some(stem) = filename.strip_suffix(".whl") {
            let parts: Vec<&str> = stem.split('-').collect();
            let (name, version, [python, abi, platform]) = match *parts {
                [name, version, python, abi, platform] => (name, version, [python, abi, platform]),
                [name, version, build, python, abi, platform]
                    if build.starts_with(|c: char| c.is_ascii_digit()) =>
                {
                    (name, version, [python, abi, platform])
                }
                _ => return Err(Unfit::Name),
            };
            if Name::new(name).as_ref() != Some(project) {
                return Err(Unfit::Name);
            }
            let lower = |s: &str| s.to_ascii_lowercase().into_boxed_str();
            let tags = Tags { python: lower(python), abi: lower(abi), platform: lower(platform) };
            (version.replace('_', "-"), DistributionKind::Wheel(tags))
        } else {
            let stem = SDISTS.iter().find_map(|e| filename.strip_suffix(e)).ok_or(Unfit::Kind)?;
            let version = stem
                .match_indices('-')
                .filter_map(|(at, _)| stem.split_at_checked(at))
                .find(|(head, _)| Name::new(head).as_ref() == Some(project))
                .and_then(|(_, tail)| tail.get(1..))
                .ok_or(Unfit::Name)?;
            (version.to_owned(), DistributionKind::Sdist)
        };
        let version = Version::from_str(&version).map_err(|_| Unfit::Version)?;
        Ok(Self { version, kind })
    }

    /// Tells whether it is a source archive.
    pub fn is_sdist(&self) -> bool {
        self.kind == DistributionKind::Sdist
    }

    /// Tells whether an environment can use it; a source archive serves everywhere.
    pub fn serves(&self, target: &Target) -> bool {
        match &self.kind {
            DistributionKind::Sdist => true,
            DistributionKind::Wheel(tags) => tags.serve(target),
        }
    }
}

impl Tags {
    fn serve(&self, target: &Target) -> bool {
        let runs_on = |platform: &str| {
            let portable = platform == "any";
            let runs = |python: &str, abi: &str| runs(target, python, abi, portable);
            target.platform.accepts(platform)
                && self.python.split('.').any(|python| self.abi.split('.').any(|abi| runs(python, abi)))
        };
        self.platform.split('.').any(runs_on)
    }
}

/// Tells whether an interpreter tag and an ABI tag go together in an environment, as `packaging.tags` has it; `portable` is
/// the platform tag `any`.
fn runs(target: &Target, python: &str, abi: &str, portable: bool) -> bool {
    let (major, minor) = target.python;
    let split = python.find(|c: char| c.is_ascii_digit()).and_then(|at| python.split_at_checked(at));
    let Some((interpreter, digits)) = split else { return false };
    let tagged = match digits.split_at_checked(1) {
        Some((m, "")) => m.parse::<u32>().ok().map(|m| (m, None)),
        Some((m, n)) => m.parse().ok().zip(n.parse::<u32>().ok()).map(|(m, n)| (m, Some(n))),
        None => None,
    };
    let Some((tag_major, tag_minor)) = tagged else { return false };
    if tag_major != major || portable && abi != "none" {
        return false;
    }
    match (interpreter, target.implementation, tag_minor) {
        ("py", _, tag) => abi == "none" && tag.is_none_or(|n| n <= minor),
        ("cp", Implementation::Cpython, Some(n)) => match abi {
            "abi3" => major == 3 && (2..=minor).contains(&n),
            "none" => n == minor,
            _ => n == minor && own_abi(abi, major, minor),
        },
        ("pp", Implementation::Pypy, Some(n)) => {
            let own = abi == "none" || abi.starts_with(&format!("pypy{major}{minor}_"));
            n == minor && own && !portable
        }
        ("pp", Implementation::Pypy, None) => abi == "none" && portable,
        _ => false,
    }
}

/// Tells whether an ABI tag is that of the ordinary build of CPython: `cp311`; with `m` (and `u`) before 3.8.
fn own_abi(abi: &str, major: u32, minor: u32) -> bool {
    let Some(flags) = abi.strip_prefix(&format!("cp{major}{minor}")) else { return false };
    match (major, minor) {
        (3, 8..) => flags.is_empty(),
        (3, 3..=7) => flags == "m",
        _ => matches!(flags, "m" | "mu" | "u" | ""),
    }
}

#[cfg(test)]
mod tests;
