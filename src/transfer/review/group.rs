//! The packages of one group: which versions come and go, and what that makes of the newest.

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
    both: Option<ListedPackage>,
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
            Side::Both => self.both = Some(package.clone()),
        }
        true
    }

    /// Visits what changes: first what becomes of the newest version, then the others by version.
    pub fn changes(self, format: &dyn Format, visit: &mut dyn FnMut(Row)) {
        let Self { base, new, both, .. } = self;
        let mut stays: Vec<(String, Versioned)> = Vec::new();
        if let Some(package) = &both {
            stays.push((package.key.version.clone(), Versioned::of(package)));
        }
        let (base, new) = replaced(base, new, &mut stays, visit);
        let (mut goes, mut comes) = (by_version(&base), by_version(&new));
        let newest = |side: &BTreeMap<String, Versioned>| {
            let all = side.keys().chain(stays.iter().map(|(version, _)| version));
            all.max_by(|a, b| compare(format, a, b)).cloned()
        };
        if let (Some(old), Some(now)) = (newest(&goes), newest(&comes)) {
            let what = match compare(format, &old, &now) {
                Ordering::Less => Some(What::Upgraded),
                Ordering::Greater => Some(What::Downgraded),
                Ordering::Equal => None,
            };
            if let Some(what) = what {
                let before = goes.remove(&old);
                let after = comes.remove(&now);
                let bytes = after.as_ref().map_or(0, |v| v.size);
                let old_sha256 = before.as_ref().and_then(|v| v.sha256);
                let new_sha256 = after.as_ref().and_then(|v| v.sha256);
                let stayed = || stays.iter().find(|(version, _)| *version == now).map(|(_, v)| v.clone());
                let shown = after.or_else(stayed).or(before).unwrap_or_default();
                let change = shown.change(what, Some(old), Some(now));
                visit(Row { change, old_sha256, new_sha256, bytes });
            }
        }
        for (version, gone) in sorted(format, goes) {
            let (old_sha256, new_sha256) = (gone.sha256, None);
            let change = gone.change(What::Removed, Some(version), None);
            visit(Row { change, old_sha256, new_sha256, bytes: 0 });
        }
        for (version, come) in sorted(format, comes) {
            let (old_sha256, new_sha256, bytes) = (None, come.sha256, come.size);
            let change = come.change(What::Added, None, Some(version));
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
    stays: &mut Vec<(String, Versioned)>,
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
        let versioned = Versioned::of(package);
        let version = package.key.version.clone();
        stays.push((version.clone(), versioned.clone()));
        if old != package.sha256 {
            let change = versioned.change(What::Replaced, Some(version.clone()), Some(version));
            visit(Row { change, old_sha256: old, new_sha256: package.sha256, bytes: package.size });
        }
        false
    });
    (base.into_iter().filter(|p| !seen.contains(&p.key)).collect(), new)
}

fn by_version(packages: &[ListedPackage]) -> BTreeMap<String, Versioned> {
    let mut versions: BTreeMap<String, Versioned> = BTreeMap::new();
    for package in packages {
        match versions.get_mut(&package.key.version) {
            Some(there) => there.add(package),
            None => drop(versions.insert(package.key.version.clone(), Versioned::of(package))),
        }
    }
    versions
}

fn compare(format: &dyn Format, a: &str, b: &str) -> Ordering {
    format.compare(&Version(a.to_owned()), &Version(b.to_owned())).then_with(|| a.cmp(b))
}

/// Returns versions from the newest to the oldest.
fn sorted(format: &dyn Format, versions: BTreeMap<String, Versioned>) -> Vec<(String, Versioned)> {
    let mut all: Vec<_> = versions.into_iter().collect();
    all.sort_by(|(a, _), (b, _)| compare(format, b, a));
    all
}
