//! Which files of a project serve a requirement: versions, environments, pre-releases, yanked files, sdists, pins.

use std::collections::BTreeSet;

use chantal_contract::Checksum;
use pep440_rs::Version;

use crate::{
    options::{Prereleases, Sdists},
    simple::FileEntry,
    version::Specifiers,
};

/// The most environments that one set of them holds.
pub type Environments = u64;

/// A file of a project that some environment can use.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What the page says of it.
    pub entry: FileEntry,
    /// Its version.
    pub version: Version,
    /// Whether it is a source archive.
    pub sdist: bool,
    /// The environments that can use it.
    pub environments: Environments,
}

/// Policies that hold for every requirement.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Pre-releases.
    pub prereleases: Prereleases,
    /// Source archives.
    pub sdists: Sdists,
    /// How many of the newest versions; none: all.
    pub keep: Option<usize>,
}

/// What a requirement asks of candidates, constraints included.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What versions serve.
    pub specifiers: &'a Specifiers,
    /// Sets of pins; a file must meet one of each set that is not empty.
    pub pins: [&'a [Checksum]; 2],
}

/// Orders candidates as [`choose`] wants them: newest version first, then by file name.
pub fn sort(candidates: &mut [Candidate]) {
    candidates
        .sort_by(|a, b| b.version.cmp(&a.version).then_with(|| a.entry.filename.cmp(&b.entry.filename)));
}

/// Returns the indices of the candidates that serve a requirement in one environment (a set of one).
///
/// Versions as PEP 440 compares them; yanked files only where a version is pinned (PEP 592).
pub fn choose(
    candidates: &[Candidate],
    asked: &Asked<'_>,
    environment: Environments,
    policy: Policy,
) -> Vec<usize> {
    let yanked = asked.specifiers.pins();
    let serves = |candidate: &Candidate| {
        candidate.environments & environment != 0
            && (yanked || !candidate.entry.yanked)
            && asked.pins.iter().all(|set| meets(candidate, set))
            && asked.specifiers.contain(&candidate.version)
    };
    let all: Vec<(usize, &Candidate)> = candidates.iter().enumerate().filter(|(_, c)| serves(c)).collect();
    let stable = |(_, c): &(usize, &Candidate)| !c.version.any_prerelease();
    let allowed = match policy.prereleases {
        Prereleases::Allow => true,
        Prereleases::Never => false,
        Prereleases::IfNeeded => asked.specifiers.names_prerelease() || !all.iter().any(stable),
    };
    let mut chosen = Vec::new();
    let mut versions = 0;
    let mut rest = all.into_iter().filter(|c| allowed || stable(c)).peekable();
    while let Some(first) = rest.next() {
        versions += 1;
        if policy.keep.is_some_and(|keep| versions > keep) {
            break;
        }
        let mut same = vec![first];
        while let Some(next) = rest.next_if(|(_, c)| c.version == first.1.version) {
            same.push(next);
        }
        let wheel = same.iter().any(|(_, c)| !c.sdist);
        let sources = policy.sdists == Sdists::Always || !wheel;
        chosen.extend(same.into_iter().filter(|(_, c)| sources || !c.sdist).map(|(index, _)| index));
    }
    chosen
}

/// Of chosen files, returns those whose metadata tells what they depend on: wheels, and sdists of versions without one.
pub fn telling(candidates: &[Candidate], chosen: &[usize]) -> Vec<usize> {
    let candidate = |index: &usize| candidates.get(*index);
    let with_wheel: BTreeSet<&Version> =
        chosen.iter().filter_map(candidate).filter(|c| !c.sdist).map(|c| &c.version).collect();
    let tells =
        |index: &usize| candidate(index).is_some_and(|c| !c.sdist || !with_wheel.contains(&c.version));
    chosen.iter().copied().filter(tells).collect()
}

fn meets(candidate: &Candidate, pins: &[Checksum]) -> bool {
    pins.is_empty() || candidate.entry.checksums.iter().any(|c| pins.contains(c))
}

#[cfg(test)]
mod tests;
