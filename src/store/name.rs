//! Addresses of states: a repository, or one of its named snapshots.

use std::{fmt, str::FromStr};

pub use chantal_contract::name::{Name, NameError, SiteName, SnapshotName};

/// What a command is about: `bookworm` is a repository's newest state, `bookworm@2026-11` a named snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The repository.
    pub repository: Name,
    /// The snapshot's name; none is the newest state.
    pub snapshot: Option<SnapshotName>,
}

impl Address {
    /// Reads `repository` or `repository@snapshot`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.split_once('@') {
            None => Ok(Self { repository: Name::new(text)?, snapshot: None }),
            Some((repository, snapshot)) => {
                Ok(Self { repository: Name::new(repository)?, snapshot: Some(SnapshotName::new(snapshot)?) })
            }
        }
    }
}
impl From<Name> for Address {
    fn from(repository: Name) -> Self {
        Self { repository, snapshot: None }
    }
}
impl FromStr for Address {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.snapshot {
            None => write!(f, "{}", self.repository),
            Some(snapshot) => write!(f, "{}@{snapshot}", self.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        for good in ["bookworm", "bookworm@2026-11", "a@b"] {
            assert_eq!(Address::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "@", "a@", "@b", "a@b@c", "A", "a@all", "a/b"] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
    }
}
