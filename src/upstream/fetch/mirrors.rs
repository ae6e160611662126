//! The mirrors of one repository: the next one when one fails, and failing ones last.

use std::sync::{Mutex, PoisonError};

use chantal_contract::RepoPath;
use url::Url;

/// How many mirrors are asked for one file before it counts as failed.
const ASKED: usize = 6;

/// Addresses that serve the same repository, in the order of the configuration or the mirror list.
#[derive(Debug)]
pub struct Mirrors {
    bases: Vec<Url>,
    faults: Mutex<Vec<u32>>,
}

/// One address that a file may be had from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The file's address.
    pub url: Url,
    /// Which of the repository's mirrors it is on; none for a file elsewhere.
    pub mirror: Option<usize>,
}

impl From<Url> for Candidate {
    fn from(url: Url) -> Self {
        Self { url, mirror: None }
    }
}

impl Mirrors {
    /// Takes base addresses; a missing trailing slash is added, since they all are directories.
    pub fn new(bases: impl IntoIterator<Item = Url>) -> Self {
        let bases: Vec<Url> = bases
            .into_iter()
            .map(|mut base| {
                if !base.path().ends_with('/') {
                    base.set_path(&format!("{}/", base.path()));
                }
                base
            })
            .collect();
        let faults = Mutex::new(vec![0; bases.len()]);
        Self { bases, faults }
    }

    /// Returns the base addresses.
    pub fn bases(&self) -> &[Url] {
        &self.bases
    }

    /// Returns the addresses of a file, best mirror first, on each mirror the `via` names before the plain one.
    pub fn candidates(&self, path: &RepoPath, via: &[RepoPath]) -> Vec<Candidate> {
        let mut order: Vec<(u32, usize)> = self.lock().iter().copied().zip(0..).collect();
        order.sort_unstable();
        let names = || via.iter().chain([path]);
        order
            .iter()
            .take(ASKED)
            .filter_map(|(_, index)| Some((*index, self.bases.get(*index)?)))
            .flat_map(|(index, base)| {
                names().map(move |name| Candidate { url: under(base, name), mirror: Some(index) })
            })
            .collect()
    }

    /// Takes note that a mirror failed: it is asked after those that did not.
    pub fn failed(&self, mirror: Option<usize>) {
        self.note(mirror, |faults| faults.saturating_add(1));
    }

    /// Takes note that a mirror served a file: half of its faults are forgiven.
    pub fn served(&self, mirror: Option<usize>) {
        self.note(mirror, |faults| faults / 2);
    }

    fn note(&self, mirror: Option<usize>, change: impl FnOnce(u32) -> u32) {
        let mut faults = self.lock();
        if let Some(slot) = mirror.and_then(|index| faults.get_mut(index)) {
            *slot = change(*slot);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the address of a path under a base; a query of the base (a token of some CDNs) stays.
pub fn under(base: &Url, path: &RepoPath) -> Url {
    let mut url = base.clone();
    let head = base.path().strip_suffix('/').unwrap_or(base.path());
    // the path is encoded already, and what is encoded is not encoded again
    url.set_path(&format!("{head}/{}", path.encoded()));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(mirrors: &Mirrors, path: &str, via: &[&str]) -> Vec<String> {
        let via: Vec<RepoPath> = via.iter().map(|v| v.parse().unwrap()).collect();
        mirrors.candidates(&path.parse().unwrap(), &via).into_iter().map(|c| c.url.to_string()).collect()
    }

    fn mirrors(bases: &[&str]) -> Mirrors {
        Mirrors::new(bases.iter().map(|b| Url::parse(b).unwrap()))
    }

    #[test]
    fn names_are_escaped_once() {
        let one = mirrors(&["https://mirror.example.org/pub?token=t"]);
        assert_eq!(
            urls(&one, "p/libc++-1^git~2 x%.rpm", &["by-hash/SHA256/00"]),
            [
                "https://mirror.example.org/pub/by-hash/SHA256/00?token=t",
                "https://mirror.example.org/pub/p/libc++-1%5Egit~2%20x%25.rpm?token=t"
            ]
        );
    }

    #[test]
    fn failing_mirrors_come_last_and_recover() {
        let three = mirrors(&["http://a.example.org", "http://b.example.org", "http://c.example.org"]);
        three.failed(Some(0));
        three.failed(Some(0));
        three.failed(Some(1));
        let order = ["http://c.example.org/x", "http://b.example.org/x", "http://a.example.org/x"];
        assert_eq!(urls(&three, "x", &[]), order);
        three.served(Some(1));
        three.failed(None);
        assert_eq!(urls(&three, "x", &[])[0], "http://b.example.org/x");
    }

    #[test]
    fn a_long_list_is_not_asked_to_its_end() {
        let many: Vec<String> = (0..300).map(|n| format!("http://m{n}.example.org")).collect();
        let many = mirrors(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(urls(&many, "x", &[]).len(), ASKED);
    }
}
