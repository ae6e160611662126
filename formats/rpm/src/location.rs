//! Where an index says that a file is: its path in the repository, and the address it is to be had under.
//!
//! A `href` is the literal name of a file. `createrepo_c` writes it so, and dnf and zypper encode it when they ask: a `%5E`
//! in it is asked for as `%255E`. Where upstream escaped it nevertheless, the unescaped name is asked for first and the
//! file is published under the literal one, which is what clients ask for.

use chantal_contract::{At, Expect, FormatError, RepoPath, Want};
use url::Url;

/// A file's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Its path in the repository.
    pub path: RepoPath,
    /// Where it is to be had.
    pub at: At,
    /// Another name it may go by upstream, to be tried first.
    pub unescaped: Option<RepoPath>,
}

impl Location {
    /// Reads `href` and the `xml:base` beside it, as `file` lists them.
    ///
    /// A path that would leave the tree is an error, and so is an address that is neither http nor https.
    pub(crate) fn new(file: &RepoPath, href: &str, base: Option<&str>) -> Result<Self, FormatError> {
        let in_tree = |name: &str| {
            RepoPath::new(name).map_err(|source| FormatError::Path { file: file.clone(), source })
        };
        if href.contains("://") {
            let url = web(file, href)?;
            let host = url.host_str().unwrap_or_default();
            let name = unescape(url.path()).ok_or_else(|| {
                FormatError::malformed(file, "an absolute location", "a path in UTF-8", url.path())
            })?;
            let path = in_tree(&format!("{host}{name}"))?;
            return Ok(Self { path, at: At::Absolute(url), unescaped: None });
        }
        let path = in_tree(href.strip_prefix("./").unwrap_or(href))?;
        if let Some(base) = base.filter(|b| !b.is_empty()) {
            let mut url = web(file, base)?;
            url.set_query(None);
            url.set_fragment(None);
            url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), path.encoded()));
            return Ok(Self { path, at: At::Absolute(url), unescaped: None });
        }
        let unescaped =
            unescape(path.as_str()).filter(|u| u != path.as_str()).and_then(|u| RepoPath::new(&u).ok());
        Ok(Self { path, at: At::Relative, unescaped })
    }

    /// Names the file as a payload.
    pub(crate) fn payload(self, expect: Expect) -> Want {
        self.place(Want::payload, expect)
    }

    /// Asks for the file as an index.
    pub(crate) fn index(self, expect: Expect) -> Want {
        self.place(Want::index, expect)
    }

    fn place(self, make: fn(RepoPath, Expect) -> Want, expect: Expect) -> Want {
        let mut want = make(self.path, expect);
        want.at = self.at;
        want.via = self.unescaped.into_iter().collect();
        want
    }
}

/// Tells a package by its name: what is vetted for a signature of its own.
pub(crate) fn is_package(path: &RepoPath) -> bool {
    ends_in(path, "rpm")
}

/// Tells a delta package by its name.
pub(crate) fn is_delta(path: &RepoPath) -> bool {
    ends_in(path, "drpm")
}

fn ends_in(path: &RepoPath, extension: &str) -> bool {
    path.as_str().rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

fn web(file: &RepoPath, address: &str) -> Result<Url, FormatError> {
    match Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() => Ok(url),
        _ => Err(FormatError::malformed(file, "a location", "an http or https address", address)),
    }
}

/// Replaces `%xx` by the byte it stands for; none if a `%` is not followed by two digits or the bytes are no UTF-8.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.extend(chantal_contract::digest::unhex(str::from_utf8(&pair).ok()?)?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(href: &str, base: Option<&str>) -> Result<Location, FormatError> {
        Location::new(&RepoPath::new("repodata/primary.xml.gz").unwrap(), href, base)
    }

    #[test]
    fn a_href_is_the_literal_name() {
        for name in ["a-1.rpm", "p/libc++-1^git~2.rpm", "p/with blank-1.rpm", "p/100%-1.rpm", "ü.rpm"] {
            let found = at(name, None).unwrap();
            assert_eq!(
                (found.path.as_str(), found.at, found.unescaped),
                (name, At::Relative, None),
                "{name}"
            );
        }
        assert_eq!(at("./a.rpm", None).unwrap().path.as_str(), "a.rpm");
    }

    #[test]
    fn an_escaped_href_keeps_its_name_and_is_asked_for_unescaped() {
        let found = at("p/libc%2B%2B-1%5Egit.rpm", None).unwrap();
        assert_eq!(found.path.as_str(), "p/libc%2B%2B-1%5Egit.rpm");
        assert_eq!(found.unescaped.unwrap().as_str(), "p/libc++-1^git.rpm");
        // what is no path when unescaped is never asked for
        assert_eq!(at("p/%2e%2e/x.rpm", None).unwrap().unescaped, None);
        assert_eq!(at("p/%00.rpm", None).unwrap().unescaped, None);
        assert_eq!(at("p/%ff.rpm", None).unwrap().unescaped, None);
    }

    #[test]
    fn what_leaves_the_tree_is_refused() {
        for bad in ["../a.rpm", "/etc/passwd", "a/../../b.rpm", "a//b.rpm", "", ".", "a\\b.rpm", "a\u{1}.rpm"]
        {
            assert!(matches!(at(bad, None), Err(FormatError::Path { .. })), "{bad:?}");
        }
        assert!(matches!(
            at("https://other.example.org/%2e%2e/a.rpm", None).map(|l| l.path.as_str().to_owned()),
            Ok(path) if path == "other.example.org/a.rpm"
        ));
        assert!(matches!(
            at("https://other.example.org/a%2f..%2fb.rpm", None),
            Err(FormatError::Path { .. })
        ));
    }

    #[test]
    fn a_base_leads_elsewhere() {
        let found = at("p/a b^1.rpm", Some("https://other.example.org/x/")).unwrap();
        assert_eq!(found.path.as_str(), "p/a b^1.rpm");
        let At::Absolute(url) = found.at else { panic!("not absolute") };
        assert_eq!(url.as_str(), "https://other.example.org/x/p/a%20b%5E1.rpm");
        assert_eq!(at("a.rpm", Some("")).unwrap().at, At::Relative);
        for bad in ["file:///etc", "media://disc#2", "x", "ftp://h/"] {
            assert!(at("a.rpm", Some(bad)).is_err(), "{bad}");
        }
        assert!(at("file:///etc/passwd", None).is_err());
    }
}
