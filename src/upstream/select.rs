//! Which of the packages that upstream lists are taken. Pure: no file, no clock, no network.
//!
//! It runs over *all* packages of a walk before one payload is fetched. Today it takes every package that the format's
//! walk emitted, once each; filters and retention, which count within a [`Group`], stand here when they come.

use chantal_contract::{Digest, Group, Key, Version};

use super::sync::Payload;

/// A package as a walk listed it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its identity.
    pub key: Key,
    /// What retention counts it under.
    pub group: Group,
    /// Its version.
    pub version: Version,
    /// Its record.
    pub record: Digest,
    /// Its files.
    pub files: Vec<Payload>,
}

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The chosen packages, by key, each once.
    pub chosen: Vec<Listed>,
    /// Keys that upstream lists more than once with different records, of which one was taken.
    pub ambiguous: Vec<Key>,
}

/// Chooses among all packages of a walk; the order in which they were listed does not matter.
pub fn select(mut listed: Vec<Listed>) -> Selection {
    listed.sort_by(|a, b| (&a.key, a.record).cmp(&(&b.key, b.record)));
    let mut selection = Selection::default();
    for package in listed {
        match selection.chosen.last() {
            Some(last) if last.key == package.key => {
                if last.record != package.record && selection.ambiguous.last() != Some(&package.key) {
                    selection.ambiguous.push(package.key);
                }
            }
            _ => selection.chosen.push(package),
        }
    }
    selection
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, record: &[u8]) -> Listed {
        Listed {
            key: Key::new(name, "1", "all"),
            group: Group { name: name.into(), stream: None },
            version: Version("1".into()),
            record: Digest::of(record),
            files: Vec::new(),
        }
    }

    #[test]
    fn each_key_is_taken_once_in_whatever_order_it_came() {
        let all =
            [listed("b", b"1"), listed("a", b"1"), listed("b", b"2"), listed("b", b"1"), listed("a", b"1")];
        let forth = select(all.to_vec());
        let back = select(all.into_iter().rev().collect());
        let keys = |s: &Selection| s.chosen.iter().map(|p| (p.key.clone(), p.record)).collect::<Vec<_>>();
        assert_eq!(keys(&forth), keys(&back));
        assert_eq!(forth.chosen.len(), 2);
        assert_eq!(forth.ambiguous, [Key::new("b", "1", "all")]);
    }
}
