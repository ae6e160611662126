//! Paths inside a repository: the only way to name a file in a tree.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::limits::{PATH_BYTES, SEGMENT_BYTES};

/// The name of the list that every published tree carries of what it holds; no file of a repository may be called so.
pub const TREE_LIST: &str = ".chantal-tree";

/// A relative path of UTF-8 segments joined by `/` that cannot leave its tree.
///
/// It never holds an empty, `.` or `..` segment, a leading or trailing `/`, a control character, NUL or a backslash; a
/// segment is at most 255 bytes and the whole at most 1024. No segment is [`TREE_LIST`], by which published trees are told
/// from anything else. It is the literal name, never percent-encoded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(Box<str>);

/// Why some text is not a [`RepoPath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path `{shown}` {why}")]
pub struct PathError {
    shown: String,
    why: PathFault,
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Nothing at all.
    #[error("is empty")]
    Empty,
    /// Longer than a path or segment may be.
    #[error("is longer than 1024 bytes, or has a segment longer than 255")]
    TooLong,
    /// It starts at the root.
    #[error("is absolute")]
    Absolute,
    /// A segment `.` or `..`, or an empty one.
    #[error("holds an empty, `.` or `..` segment")]
    Segment,
    /// A control character, a NUL or a backslash.
    #[error("holds a control character or a backslash")]
    Character,
    /// A segment is [`TREE_LIST`].
    #[error("holds the segment `{TREE_LIST}`, which is kept for the list in a published tree")]
    Reserved,
}

impl PathError {
    fn new(text: &str, why: PathFault) -> Self {
        let mut shown: String = text.chars().take(120).flat_map(char::escape_debug).collect();
        if text.chars().nth(120).is_some() {
            shown.push('…');
        }
        Self { shown, why }
    }

    /// Returns what is wrong.
    pub fn fault(&self) -> PathFault {
        self.why
    }
}

impl RepoPath {
    /// Checks `text` and takes it as a path.
    pub fn new(text: &str) -> Result<Self, PathError> {
        let fault = if text.is_empty() {
            Some(PathFault::Empty)
        } else if text.len() > PATH_BYTES || text.split('/').any(|s| s.len() > SEGMENT_BYTES) {
            Some(PathFault::TooLong)
        } else if text.starts_with('/') {
            Some(PathFault::Absolute)
        } else if text.chars().any(|c| c.is_control() || c == '\\') {
            Some(PathFault::Character)
        } else if text.split('/').any(|s| matches!(s, "" | "." | "..")) {
            Some(PathFault::Segment)
        } else if text.split('/').any(|s| s == TREE_LIST) {
            Some(PathFault::Reserved)
        } else {
            None
        };
        match fault {
            Some(why) => Err(PathError::new(text, why)),
            None => Ok(Self(text.into())),
        }
    }

    /// Appends a relative path, which is checked.
    pub fn join(&self, tail: &str) -> Result<Self, PathError> {
        Self::new(&format!("{}/{tail}", self.0))
    }

    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns all but the last segment, or none for a single one.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(head, _)| head)
    }

    /// Returns the segments in order.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Returns the path percent-encoded for a URL (RFC 3986 §3.3): unreserved characters, sub-delims, `:` and `@` stay.
    pub fn encoded(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push('%');
                out.push_str(&crate::digest::hex(&[byte]).to_uppercase());
            }
        }
        out
    }
}

impl FromStr for RepoPath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}
impl TryFrom<String> for RepoPath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::new(&text)
    }
}
impl From<RepoPath> for String {
    fn from(path: RepoPath) -> Self {
        path.0.into()
    }
}
impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
impl Borrow<str> for RepoPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl AsRef<str> for RepoPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_leave_the_tree() {
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            "a//b",
            "a/",
            ".",
            "a/./b",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            "a\u{85}",
        ] {
            assert!(RepoPath::new(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "a/b", "...", "a/..b", ".hidden", "libc++-1^git~2.rpm", "ü/é"] {
            assert_eq!(RepoPath::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_the_name_of_a_trees_list_anywhere() {
        for bad in [".chantal-tree", ".chantal-tree/x", "a/.chantal-tree", "a/.chantal-tree/b"] {
            let error = RepoPath::new(bad).unwrap_err();
            assert_eq!(error.fault(), PathFault::Reserved);
            assert!(error.to_string().contains("`.chantal-tree`"), "{error}");
        }
        for good in ["chantal-tree", ".chantal-tree2", "x.chantal-tree/a"] {
            assert!(RepoPath::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn keeps_its_limits_exactly() {
        let segment = |n| "s".repeat(n);
        assert!(RepoPath::new(&segment(SEGMENT_BYTES)).is_ok());
        assert_eq!(RepoPath::new(&segment(SEGMENT_BYTES + 1)).unwrap_err().fault(), PathFault::TooLong);
        let long = format!("{0}/{0}/{0}/{0}/", segment(SEGMENT_BYTES));
        assert_eq!(long.len(), PATH_BYTES);
        assert!(RepoPath::new(&long[..PATH_BYTES - 1]).is_ok());
        let exact = format!("{0}/{0}/{0}/{1}/b", segment(SEGMENT_BYTES), segment(SEGMENT_BYTES - 2));
        assert_eq!(exact.len(), PATH_BYTES - 1);
        assert!(RepoPath::new(&format!("{exact}b")).is_ok());
        assert_eq!(RepoPath::new(&format!("{exact}bb")).unwrap_err().fault(), PathFault::TooLong);
    }

    #[test]
    fn encodes_what_a_url_cannot_hold() {
        assert_eq!(
            RepoPath::new("p/libc++-1^git~2 x%.rpm").unwrap().encoded(),
            "p/libc++-1%5Egit~2%20x%25.rpm"
        );
    }
}
