//! Evidence of where a state came from: what upstream signed, with which keys, and the bytes to check it again.
//!
//! ```text
//! chantal-evidence⇥1
//! key⇥FINGERPRINT⇥SHA256⇥SIZE     a blob with that public key
//! packages⇥verified               every package carries a good signature of one of the keys
//! page⇥PATH⇥SHA256⇥SIZE           a file that was read and is not published
//! signed⇥PATH⇥FINGERPRINT         an anchor, and whose good signature it carries
//! ```
//!
//! Lines are UTF-8, end in one LF, and rise strictly by their bytes. The list is a blob itself, named by its digest.

use std::collections::BTreeSet;

use chantal_contract::{Digest, Measured, RepoPath, proof::Fingerprint};

use super::StoreError;

const HEAD: &str = "chantal-evidence\t1";

/// A list of evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    items: BTreeSet<Item>,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A public key that verified something.
    Key {
        /// The key.
        fingerprint: Fingerprint,
        /// The blob that holds it.
        blob: Measured,
    },
    /// Every package carries a good signature of one of the keys.
    Packages,
    /// A file that was read and is not published.
    Page {
        /// Its name in the repository.
        path: RepoPath,
        /// Its bytes.
        blob: Measured,
    },
    /// An anchor that carries a good signature.
    Signed {
        /// Its name in the repository.
        path: RepoPath,
        /// Whose signature.
        by: Fingerprint,
    },
}

impl Item {
    fn encode(&self) -> String {
        match self {
            Self::Key { fingerprint, blob } => format!("key\t{fingerprint}\t{}\t{}", blob.sha256, blob.size),
            Self::Packages => "packages\tverified".into(),
            Self::Page { path, blob } => format!("page\t{path}\t{}\t{}", blob.sha256, blob.size),
            Self::Signed { path, by } => format!("signed\t{path}\t{by}"),
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let fields: Vec<&str> = text.split('\t').collect();
        match fields.as_slice() {
            ["key", key, sha256, size] => {
                Ok(Self::Key { fingerprint: fingerprint(key)?, blob: blob(sha256, size)? })
            }
            ["packages", "verified"] => Ok(Self::Packages),
            ["page", path, sha256, size] => {
                Ok(Self::Page { path: repo_path(path)?, blob: blob(sha256, size)? })
            }
            ["signed", path, key] => Ok(Self::Signed { path: repo_path(path)?, by: fingerprint(key)? }),
            _ => Err("it is none of key, packages, page, signed with their fields"),
        }
    }
}

fn fingerprint(text: &str) -> Result<Fingerprint, &'static str> {
    let fits = !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    if fits { Ok(Fingerprint(text.into())) } else { Err("a fingerprint is no upper-case hexadecimal number") }
}

fn repo_path(text: &str) -> Result<RepoPath, &'static str> {
    RepoPath::new(text).map_err(|_| "a path is none that a tree may hold")
}

fn blob(sha256: &str, size: &str) -> Result<Measured, &'static str> {
    let sha256 = sha256.parse().map_err(|_| "a digest is not 64 lower-case hexadecimal digits")?;
    match size.parse::<u64>() {
        Ok(number) if number.to_string() == size => Ok(Measured { sha256, size: number }),
        _ => Err("the size is no plain decimal number"),
    }
}

impl Evidence {
    /// Adds a piece; one that is there already is no error.
    pub fn add(&mut self, item: Item) {
        self.items.insert(item);
    }

    /// Returns the pieces: keys, pages, signatures, each in order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    /// Returns the blobs that the list needs, without the list itself.
    pub fn blobs(&self) -> impl Iterator<Item = Measured> {
        self.items.iter().filter_map(|item| match item {
            Item::Key { blob, .. } | Item::Page { blob, .. } => Some(*blob),
            Item::Packages | Item::Signed { .. } => None,
        })
    }

    /// Writes the list in its one form.
    pub fn encode(&self) -> Vec<u8> {
        let mut lines: Vec<String> = self.items.iter().map(Item::encode).collect();
        lines.sort_unstable();
        let mut text = String::from(HEAD);
        text.push('\n');
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        text.into_bytes()
    }

    /// Returns the digest of the list: the name of its blob.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// Reads a list; there is one form only.
    pub fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let fault = |line: usize, why| StoreError::Evidence { line: line as u64 + 1, why };
        let text = std::str::from_utf8(bytes).map_err(|_| fault(0, "it is not UTF-8"))?;
        let text = text.strip_suffix('\n').ok_or_else(|| fault(0, "its last line has no line feed"))?;
        let mut lines = text.split('\n').enumerate();
        if lines.next().map(|(_, line)| line) != Some(HEAD) {
            return Err(fault(0, "it does not begin with chantal-evidence and version 1"));
        }
        let (mut list, mut last) = (Self::default(), "");
        for (number, line) in lines {
            if line <= last {
                return Err(fault(number, "lines do not rise"));
            }
            list.items.insert(Item::parse(line).map_err(|why| fault(number, why))?);
            last = line;
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Evidence {
        let blob = Measured { sha256: Digest::of(b"k"), size: 1 };
        let path = RepoPath::new("dists/x/InRelease").unwrap();
        let key = Fingerprint("ABCDEF0123456789ABCDEF0123456789ABCDEF01".into());
        let mut list = Evidence::default();
        list.add(Item::Signed { path: path.clone(), by: key.clone() });
        list.add(Item::Key { fingerprint: key, blob });
        list.add(Item::Page { path, blob });
        list.add(Item::Packages);
        list
    }

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let list = sample();
        let bytes = list.encode();
        assert_eq!(Evidence::parse(&bytes).unwrap(), list);
        assert_eq!(list.digest(), Digest::of(&bytes));
        assert_eq!(list.blobs().count(), 2);
        let good = String::from_utf8(bytes).unwrap();
        for bad in [
            good.trim_end().to_owned(),
            good.replace('\n', "\r\n"),
            good.replace("evidence\t1", "evidence\t2"),
            good.replace("\t1\n", "\t01\n"),
            good.replace("ABC", "abc"),
            good.replace("verified", "trusted"),
            good.replace("dists/", "../"),
            format!("{good}page\ta\n"),
            format!("{good}{}\n", good.lines().last().unwrap()),
            format!("{good}\n"),
            String::new(),
        ] {
            assert!(Evidence::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(Evidence::parse(b"chantal-evidence\t1\n").unwrap(), Evidence::default());
    }
}
