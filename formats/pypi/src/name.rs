//! Names of projects and extras, in the one form that PEP 503 gives them.

use std::{borrow::Borrow, fmt};

use chantal_contract::{FormatError, RepoPath};

/// A project's or extra's name: lower case, runs of `-`, `_` and `.` as one `-` (PEP 503).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(RepoPath);

/// Characters of the longest name that is taken.
const LONGEST: usize = 200;

impl Name {
    /// Normalises `text`; none where it is no name (PEP 508: ASCII letters, digits, `-`, `_`, `.`, a letter or digit at both
    /// ends).
    pub fn new(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (first, last) = (bytes.first()?, bytes.last()?);
        let inner = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
        if bytes.len() > LONGEST
            || !first.is_ascii_alphanumeric()
            || !last.is_ascii_alphanumeric()
            || !bytes.iter().all(inner)
        {
            return None;
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            if c.is_ascii_alphanumeric() {
                out.push(c.to_ascii_lowercase());
            } else if !out.ends_with('-') {
                out.push('-');
            }
        }
        RepoPath::new(&out).ok().map(Self)
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the directory of the project's page, below the address of the index.
    pub fn directory(&self) -> RepoPath {
        self.0.clone()
    }

    /// Returns a path of the published project pages: `simple/<name>/<file>`.
    pub fn page(&self, file: &str) -> Result<RepoPath, FormatError> {
        RepoPath::new(&format!("simple/{self}/{file}"))
            .map_err(|source| FormatError::Path { file: self.directory(), source })
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_one_form() {
        for (given, normal) in
            [("Flask", "flask"), ("zope.interface", "zope-interface"), ("a__b-.c", "a-b-c"), ("X", "x")]
        {
            assert_eq!(Name::new(given).unwrap().as_str(), normal);
        }
        for bad in ["", "-a", "a-", "a b", "a/b", "é", "..", &"a".repeat(201)] {
            assert_eq!(Name::new(bad), None, "{bad:?}");
        }
        assert!(Name::new(&"a".repeat(200)).is_some());
    }
}
