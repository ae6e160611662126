//! Names that people give: of repositories and views, of snapshots, of sites.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::limits::NAME_BYTES;

/// Words that the command line keeps for itself.
pub const RESERVED: [&str; 3] = ["all", "views", "snapshots"];

/// Some text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is not of the form `[a-z0-9][a-z0-9._-]{0,63}`.
    #[error(
        "`{0}` is no name: it takes a-z, 0-9, `.`, `_`, `-`, begins with a letter or digit and has at most 64 of them"
    )]
    Form(String),
    /// It is a word of the command line.
    #[error("`{0}` is a reserved word and cannot be a name")]
    Reserved(String),
}

fn check(text: &str) -> Result<(), NameError> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    if !first || !rest || text.len() > NAME_BYTES {
        return Err(NameError::Form(text.chars().take(80).flat_map(char::escape_debug).collect()));
    }
    if RESERVED.contains(&text) { Err(NameError::Reserved(text.into())) } else { Ok(()) }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Box<str>);

        impl $type {
            /// Checks `text` against `[a-z0-9][a-z0-9._-]{0,63}` and the reserved words.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text).map(|()| Self(text.into()))
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.into()
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}`", self.0)
            }
        }
    };
}

name! {
    /// The name of a repository or a view; both share one namespace.
    Name
}
name! {
    /// The name that a person gave to one state of a repository.
    SnapshotName
}
name! {
    /// The name of one installation.
    SiteName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_form_length_and_reserved_words() {
        for good in ["a", "0", "plant-7", "rhel9_base.os", &"n".repeat(NAME_BYTES)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".a", "_a", "A", "a b", "a/b", "ä", "a\n", &"n".repeat(NAME_BYTES + 1)] {
            assert!(matches!(SiteName::new(bad), Err(NameError::Form(_))), "{bad:?}");
        }
        for word in RESERVED {
            assert_eq!(SnapshotName::new(word), Err(NameError::Reserved(word.into())));
        }
    }

    #[test]
    fn is_checked_when_it_is_deserialised() {
        assert!(serde_json::from_str::<Name>("\"ok\"").is_ok());
        assert!(serde_json::from_str::<Name>("\"../x\"").is_err());
    }
}
