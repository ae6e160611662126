//! Where a suite's files lie in its repository.

use std::fmt;

use chantal_contract::{PathError, RepoPath};

/// A suite as the configuration and its clients name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    pub(crate) name: String,
    /// Whether it is a flat repository: one directory, no components (sources.list(5), a suite that ends in `/`).
    pub(crate) flat: bool,
    /// The directory of its `Release`; none for the repository's root.
    directory: Option<RepoPath>,
}

/// Why text cannot name a suite.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SuiteError {
    #[error("it holds a blank, which clients take for the end of a suite's name")]
    Blank,
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Suite {
    pub(crate) fn new(name: &str) -> Result<Self, SuiteError> {
        if name.contains(|c: char| c.is_ascii_whitespace()) {
            return Err(SuiteError::Blank);
        }
        let flat = name.ends_with('/');
        let directory = match name.strip_suffix('/') {
            None => Some(RepoPath::new(&format!("dists/{}", RepoPath::new(name)?))?),
            Some("" | ".") => None,
            Some(inner) => Some(RepoPath::new(inner.strip_prefix("./").unwrap_or(inner))?),
        };
        Ok(Self { name: name.into(), flat, directory })
    }

    /// Returns the repository's path of what lies at `tail` below the suite's directory.
    pub(crate) fn path(&self, tail: &str) -> Result<RepoPath, PathError> {
        match &self.directory {
            Some(directory) => directory.join(tail),
            None => RepoPath::new(tail),
        }
    }
}

impl Suite {
    /// Tells whether both lie in the same directory.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        self.directory == other.directory
    }

    /// Tells whether a suite that calls itself `name` is the one that was asked for, by the rule by which apt warns.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        // Debian's security suites of old: `stretch/updates` calls itself `stretch`
        self.flat
            || self.name == name
            || self.name.split('/').next() == Some(name)
            || self.name.rsplit('/').next() == Some(name)
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Takes a path that an index gives relative to the repository's root: `./` and doubled slashes inside go, `..` is refused.
pub(crate) fn listed_path(text: &str) -> Result<RepoPath, PathError> {
    if !text.starts_with("./") && !text.contains("/./") && !text.contains("//") || text.starts_with('/') {
        return RepoPath::new(text);
    }
    let segments: Vec<&str> = text.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
    if text.ends_with('/') { RepoPath::new(text) } else { RepoPath::new(&segments.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_lie_where_clients_look() {
        for (name, release) in [
            ("bookworm", "dists/bookworm/Release"),
            ("stretch/updates", "dists/stretch/updates/Release"),
            ("/", "Release"),
            ("./", "Release"),
            ("stable/", "stable/Release"),
            ("./stable/x/", "stable/x/Release"),
        ] {
            assert_eq!(Suite::new(name).unwrap().path("Release").unwrap().as_str(), release, "{name}");
        }
        for bad in ["", "../x", "a/../b/", "//", ".//", "a\nb", "a b"] {
            assert!(Suite::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn listed_paths_are_taken_as_servers_take_them_but_never_leave_the_tree() {
        for (text, path) in
            [("./a.deb", "a.deb"), ("a/./b", "a/b"), ("a//b", "a/b"), ("././a", "a"), ("pool/a", "pool/a")]
        {
            assert_eq!(listed_path(text).unwrap().as_str(), path, "{text}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "//x",
            "../x",
            "./../x",
            "a/../../x",
            "a//../x",
            "./",
            "a/",
            "a//",
            ".",
            "a\\b",
        ] {
            assert!(listed_path(bad).is_err(), "{bad:?}");
        }
    }
}
