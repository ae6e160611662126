//! The order of versions: epoch, version, release, each as `rpmvercmp` compares them.

use std::cmp::Ordering;

use chantal_contract::Version;
use rpm_version::Evr;

/// An epoch, a version and a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Digits; `0` where none is written.
    pub epoch: &'a str,
    /// What upstream calls it.
    pub version: &'a str,
    /// What the distribution adds; empty where none is written.
    pub release: &'a str,
}

impl<'a> Parts<'a> {
    /// Splits `epoch:version-release`; the epoch and the release may be missing.
    pub fn of(text: &'a str) -> Self {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => {
                (epoch, rest)
            }
            _ => ("0", text),
        };
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch, version, release }
    }
}

/// Orders two versions of the form `epoch:version-release` as rpm does.
///
/// A tilde sorts before everything, a caret after the end and before everything else; an epoch decides over all.
pub fn compare(a: &Version, b: &Version) -> Ordering {
    let (a, b) = (Parts::of(&a.0), Parts::of(&b.0));
    Evr::new(a.epoch, a.version, a.release).cmp(&Evr::new(b.epoch, b.version, b.release))
}

#[cfg(test)]
mod tests;
