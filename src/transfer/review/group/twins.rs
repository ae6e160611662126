//! Packages that come with other bytes under a version that clients hold to be one that is there already.

use std::collections::{BTreeSet, HashSet};

use chantal_bundle::index::review::ListedPackage;
use chantal_contract::{Digest, Format, Key};

use super::{Row, exact};

/// A package that was there before, or stays.
struct Known {
    version: String,
    track: String,
    sha256: Option<Digest>,
    /// Its key, where it goes.
    goes: Option<Key>,
}

/// The packages that others may be taken for.
struct Twins<'a> {
    format: &'a dyn Format,
    /// By version as the client orders them, then by architecture and text.
    known: Vec<Known>,
    bytes: HashSet<Digest>,
}

impl<'a> Twins<'a> {
    fn new(format: &'a dyn Format, base: &[ListedPackage], stays: &[ListedPackage]) -> Self {
        let known = |package: &ListedPackage, goes| Known {
            version: package.key.version.clone(),
            track: format.kind().track(&package.key.architecture).to_owned(),
            sha256: package.sha256,
            goes,
        };
        let base = base.iter().map(|package| known(package, Some(package.key.clone())));
        let all = base.chain(stays.iter().map(|package| known(package, None)));
        // what upstream did not have is not replaced
        let mut known: Vec<Known> = all.filter(|known| known.sha256.is_some()).collect();
        known.sort_by(|a, b| {
            let by_text = || (&a.track, &a.version).cmp(&(&b.track, &b.version));
            exact(format, &a.version, &b.version).then_with(by_text)
        });
        let bytes = known.iter().filter_map(|known| known.sha256).collect();
        Self { format, known, bytes }
    }

    /// Finds one that a package of other bytes would be taken for.
    fn find(&self, package: &ListedPackage) -> Option<&Known> {
        let version = &package.key.version;
        let begin = self.known.partition_point(|k| exact(self.format, &k.version, version).is_lt());
        let end = self.known.partition_point(|k| exact(self.format, &k.version, version).is_le());
        let same = self.known.get(begin..end).unwrap_or_default();
        let Some(neutral) = self.format.kind().neutral() else {
            // many files of one version are no rarity; one version that is written in two ways is
            return [same.first(), same.last()].into_iter().flatten().find(|known| known.version != *version);
        };
        let track = self.format.kind().track(&package.key.architecture);
        if track == neutral {
            return same.first();
        }
        let of = |track: &str| {
            let at = same.partition_point(|known| known.track.as_str() < track);
            same.get(at).filter(|known| known.track == track)
        };
        of(track).or_else(|| of(neutral))
    }
}

/// Visits the packages that are taken for others of other bytes, and returns the rest.
pub(super) fn replaced(
    format: &dyn Format,
    base: Vec<ListedPackage>,
    mut new: Vec<ListedPackage>,
    stays: &mut Vec<ListedPackage>,
    visit: &mut dyn FnMut(Row),
) -> (Vec<ListedPackage>, Vec<ListedPackage>) {
    if new.is_empty() {
        return (base, new);
    }
    let twins = Twins::new(format, &base, stays);
    let plain: BTreeSet<Key> = new
        .iter()
        .filter(|package| package.key.variant.is_empty())
        .map(|package| package.key.clone())
        .collect();
    let mut gone = BTreeSet::new();
    let mut found = Vec::new();
    new.retain(|package| {
        let Some(sha256) = package.sha256.filter(|sha256| !twins.bytes.contains(sha256)) else { return true };
        // a second one of the same name is told by its variant, even where nothing is said of the first
        let first = Key { variant: String::new(), ..package.key.clone() };
        let second = !package.key.variant.is_empty() && !plain.contains(&first);
        match twins.find(package) {
            Some(known) => {
                gone.extend(known.goes.clone());
                visit(Row::replaced(known.version.clone(), known.sha256, package));
            }
            None if second => visit(Row::replaced(package.key.version.clone(), None, package)),
            None => return true,
        }
        found.push(ListedPackage { sha256: Some(sha256), ..package.clone() });
        false
    });
    stays.append(&mut found);
    (base.into_iter().filter(|package| !gone.contains(&package.key)).collect(), new)
}
