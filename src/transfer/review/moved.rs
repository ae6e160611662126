//! Packages that leave one repository and come in another, told by the digest of their first file.

use std::collections::{BTreeSet, HashMap};

use chantal_contract::Digest;

use crate::report::review::{CHANGES, Change, Unusual};

/// What came and went, as far as it is remembered.
#[derive(Default)]
pub(super) struct Moves {
    /// Digests that went, with the number of the state that they left.
    gone: HashMap<Digest, usize>,
    come: Vec<(Digest, usize, String, String)>,
}

impl Moves {
    pub fn note(&mut self, state: usize, change: &Change, old: Option<&Digest>, new: Option<&Digest>) {
        if let Some(old) = old
            && self.gone.len() < CHANGES
        {
            self.gone.insert(*old, state);
        }
        if let Some(new) = new
            && self.come.len() < CHANGES
        {
            let version = change.new.clone().unwrap_or_default();
            self.come.push((*new, state, change.name.clone(), version));
        }
    }

    /// Returns what left a repository and came in another, given the repositories of the states by number.
    pub fn found(self, repositories: &[String]) -> BTreeSet<Unusual> {
        let name = |state: usize| repositories.get(state).cloned().unwrap_or_default();
        let moved = |(digest, to, package, version): (Digest, usize, String, String)| {
            let (from, to) = (name(*self.gone.get(&digest)?), name(to));
            (from != to).then_some(Unusual::Moved { name: package, version, from, to })
        };
        self.come.into_iter().filter_map(moved).collect()
    }
}
