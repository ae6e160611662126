//! The packages of one group: which versions come and go, and what that makes of the newest of each architecture.

mod twins;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use chantal_bundle::index::review::{ListedPackage, Side};
use chantal_contract::{
    Digest, Format, Key, Version,
    limits::{GROUP_BYTES, GROUP_PACKAGE_BYTES},
    package::Group as GroupName,
};

use crate::report::review::{Change, What};

/// The lines of a group.
#[derive(Default)]
pub(super) struct Group {
    name: Option<GroupName>,
    base: Vec<ListedPackage>,
    new: Vec<ListedPackage>,
    both: Vec<ListedPackage>,
    text: usize,
}

/// A change, and what is not written of it.
pub(super) struct Row {
    pub change: Change,
    pub old_sha256: Option<Digest>,
    pub new_sha256: Option<Digest>,
    /// Bytes that come.
    pub bytes: u64,
}

/// All packages of a group that have one version.
#[derive(Clone, Default)]
struct Versioned {
    name: String,
    architecture: String,
    sha256: Option<Digest>,
    size: u64,
}

impl Group {
    /// Tells whether a package belongs to another group than those before.
    pub fn is_other(&self, group: &GroupName) -> bool {
        self.name.as_ref().is_some_and(|name| name != group)
    }

    /// Returns the group's name, once a line of it was taken.
    pub fn name(&self) -> Option<&GroupName> {
        self.name.as_ref()
    }

    /// Takes a line; false where the group has more than is looked at.
    pub fn take(&mut self, side: Side, package: &ListedPackage) -> bool {
        self.name.get_or_insert_with(|| package.group.clone());
        let Key { name, version, architecture, variant } = &package.key;
        self.text += GROUP_PACKAGE_BYTES + name.len() + version.len() + architecture.len() + variant.len();
        if self.text > GROUP_BYTES {
            return false;
        }
        match side {
            Side::Base => self.base.push(package.clone()),
            Side::New => self.new.push(package.clone()),
            Side::Both => self.both.push(package.clone()),
        }
        true
    }

    /// Visits what changes: what is replaced, then what becomes of the newest version of each architecture, then the others by
    /// version.
    pub fn changes(self, format: &dyn Format, visit: &mut dyn FnMut(Row)) {
        let Self { base, new, both, .. } = self;
        let mut stays = both;
        let (base, new) = replaced(base, new, &mut stays, visit);
        let (base, new) = twins::replaced(format, base, new, &mut stays, visit);
        let (mut goes, mut comes) = (Versions::of(format, &base), Versions::of(format, &new));
        let stays = Versions::of(format, &stays);
        let (before, after) = (stays.newest(format, &goes), stays.newest(format, &comes));
        let neutral = format.kind().neutral().unwrap_or_default();
        let mut tracks: BTreeSet<&str> = before.keys().chain(after.keys()).map(String::as_str).collect();
        if tracks.len() > 1 {
            // whoever takes it takes those of another architecture as well
            tracks.remove(neutral);
        }
        let mut told = BTreeSet::new();
        for track in tracks {
            let of = |newest: &BTreeMap<String, Place>| {
                let served = [track, neutral].into_iter().filter_map(|track| newest.get(track));
                served.max_by(|a, b| compare(format, &a.version, &b.version)).cloned()
            };
            let (Some(old), Some(now)) = (of(&before), of(&after)) else { continue };
            let what = match exact(format, &old.version, &now.version) {
                Ordering::Less => What::Upgraded,
                Ordering::Greater => What::Downgraded,
                Ordering::Equal => continue,
            };
            if told.insert((old.clone(), now.clone())) {
                visit(Row::newest(what, &old, &now, [&mut goes, &mut comes], &stays));
            }
        }
        for (place, gone) in goes.left(format) {
            let (old_sha256, new_sha256) = (gone.sha256, None);
            let change = gone.change(What::Removed, Some(place.version), None);
            visit(Row { change, old_sha256, new_sha256, bytes: 0 });
        }
        for (place, come) in comes.left(format) {
            let (old_sha256, new_sha256, bytes) = (None, come.sha256, come.size);
            let change = come.change(What::Added, None, Some(place.version));
            visit(Row { change, old_sha256, new_sha256, bytes });
        }
    }
}

impl Versioned {
    fn of(package: &ListedPackage) -> Self {
        let Key { name, architecture, .. } = &package.key;
        let (name, architecture) = (name.clone(), architecture.clone());
        Self { name, architecture, sha256: package.sha256, size: package.size }
    }

    fn add(&mut self, package: &ListedPackage) {
        if self.architecture != package.key.architecture {
            self.architecture.clear();
        }
        self.sha256 = self.sha256.or(package.sha256);
        self.size = self.size.saturating_add(package.size);
    }

    fn change(self, change: What, old: Option<String>, new: Option<String>) -> Change {
        let sha256 = self.sha256.map(|digest| digest.hex());
        Change { change, name: self.name, architecture: self.architecture, old, new, size: self.size, sha256 }
    }
}

/// Visits the packages that have other bytes under their whole name, and returns the others.
fn replaced(
    base: Vec<ListedPackage>,
    mut new: Vec<ListedPackage>,
    stays: &mut Vec<ListedPackage>,
    visit: &mut dyn FnMut(Row),
) -> (Vec<ListedPackage>, Vec<ListedPackage>) {
    let before: BTreeMap<Key, Option<Digest>> =
        base.iter().filter(|p| p.sha256.is_some()).map(|p| (p.key.clone(), p.sha256)).collect();
    let mut seen = BTreeSet::new();
    new.retain(|package| {
        let Some(old) = before.get(&package.key).copied().filter(|_| package.sha256.is_some()) else {
            return true;
        };
        seen.insert(package.key.clone());
        if old != package.sha256 {
            visit(Row::replaced(package.key.version.clone(), old, package));
        }
        stays.push(package.clone());
        false
    });
    (base.into_iter().filter(|p| !seen.contains(&p.key)).collect(), new)
}

/// Where a package stands: the architecture that it is chosen within, and its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    track: String,
    version: String,
}

/// Packages by architecture and version.
struct Versions {
    packages: BTreeMap<Place, Versioned>,
    /// Those that a change told of.
    told: BTreeSet<Place>,
}

impl Versions {
    fn of(format: &dyn Format, packages: &[ListedPackage]) -> Self {
        let mut places: BTreeMap<Place, Versioned> = BTreeMap::new();
        for package in packages {
            let track = format.kind().track(&package.key.architecture).to_owned();
            let place = Place { track, version: package.key.version.clone() };
            match places.get_mut(&place) {
                Some(there) => there.add(package),
                None => drop(places.insert(place, Versioned::of(package))),
            }
        }
        Self { packages: places, told: BTreeSet::new() }
    }

    /// Returns the newest version of each architecture, of these packages and of others.
    fn newest(&self, format: &dyn Format, others: &Self) -> BTreeMap<String, Place> {
        let mut newest: BTreeMap<String, Place> = BTreeMap::new();
        for place in self.packages.keys().chain(others.packages.keys()) {
            match newest.get_mut(&place.track) {
                Some(there) if compare(format, &there.version, &place.version) == Ordering::Less => {
                    *there = place.clone();
                }
                Some(_) => {}
                None => drop(newest.insert(place.track.clone(), place.clone())),
            }
        }
        newest
    }

    /// Returns what stands at a place, and whether a change told of it before.
    fn tell(&mut self, place: &Place) -> Option<(Versioned, bool)> {
        let found = self.packages.get(place)?.clone();
        Some((found, !self.told.insert(place.clone())))
    }

    /// Returns those that no change told of, from the newest version to the oldest.
    fn left(self, format: &dyn Format) -> Vec<(Place, Versioned)> {
        let told = self.told;
        let mut left: Vec<_> = self.packages.into_iter().filter(|(place, _)| !told.contains(place)).collect();
        left.sort_by(|(a, _), (b, _)| compare(format, &b.version, &a.version));
        left
    }
}

impl Row {
    /// Tells that a package comes with other bytes under a version that was there.
    fn replaced(old: String, old_sha256: Option<Digest>, package: &ListedPackage) -> Self {
        let now = Some(package.key.version.clone());
        let change = Versioned::of(package).change(What::Replaced, Some(old), now);
        Self { change, old_sha256, new_sha256: package.sha256, bytes: package.size }
    }

    /// Tells what becomes of the newest version.
    fn newest(
        what: What,
        old: &Place,
        now: &Place,
        [goes, comes]: [&mut Versions; 2],
        stays: &Versions,
    ) -> Self {
        let (before, after) = (goes.tell(old), comes.tell(now));
        // what several architectures take comes once
        let bytes = after.as_ref().map_or(0, |(come, told)| if *told { 0 } else { come.size });
        let (before, after) = (before.map(|(gone, _)| gone), after.map(|(come, _)| come));
        let old_sha256 = before.as_ref().and_then(|v| v.sha256);
        let new_sha256 = after.as_ref().and_then(|v| v.sha256);
        let stayed = || stays.packages.get(now).cloned();
        let shown = after.or_else(stayed).or(before).unwrap_or_default();
        let change = shown.change(what, Some(old.version.clone()), Some(now.version.clone()));
        Self { change, old_sha256, new_sha256, bytes }
    }
}

/// Compares two versions as the format's own client does.
fn exact(format: &dyn Format, a: &str, b: &str) -> Ordering {
    format.compare(&Version(a.to_owned()), &Version(b.to_owned()))
}

/// Compares two versions, and those that are the same to the client by their text.
fn compare(format: &dyn Format, a: &str, b: &str) -> Ordering {
    exact(format, a, b).then_with(|| a.cmp(b))
}
