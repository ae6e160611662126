//! Packages and documents as an index lists them.

use std::fmt;

use crate::want::Want;

/// A version as its format writes it; only that format's [`compare`](crate::Format::compare) orders it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub String);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What tells one package of a repository from every other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The package's name.
    pub name: String,
    /// Its version, as the format writes it (RPM: `epoch:version-release`).
    pub version: String,
    /// Its architecture; for PyPI the file's name.
    pub architecture: String,
    /// What still differs where two packages share all of the above (RPM: the checksum of the second); empty otherwise.
    pub variant: String,
}

impl Key {
    /// Names a package without a variant.
    pub fn new(name: impl Into<String>, version: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            architecture: architecture.into(),
            variant: String::new(),
        }
    }

    /// Writes the fields joined by blanks; `%`, blanks and control characters inside them as `%xx`.
    pub fn encode(&self) -> String {
        let fields = [&self.name, &self.version, &self.architecture, &self.variant];
        let count = if self.variant.is_empty() { 3 } else { 4 };
        join(fields.into_iter().take(count))
    }

    /// Reads what [`Key::encode`] wrote; none for any other form.
    pub fn decode(text: &str) -> Option<Self> {
        let mut fields = split(text);
        let key = Self {
            name: fields.next()??,
            version: fields.next()??,
            architecture: fields.next()??,
            variant: fields.next().unwrap_or(Some(String::new()))?,
        };
        (fields.next().is_none() && key.encode() == text).then_some(key)
    }
}

/// Joins fields by blanks; `%`, blanks and control characters inside them become `%xx`.
fn join<'a>(fields: impl Iterator<Item = &'a String>) -> String {
    let mut out = String::new();
    for (index, field) in fields.enumerate() {
        if index > 0 {
            out.push(' ');
        }
        for c in field.chars() {
            if c == '%' || c == ' ' || c.is_control() {
                let mut utf8 = [0; 4];
                for byte in c.encode_utf8(&mut utf8).bytes() {
                    out.push('%');
                    out.push_str(&crate::digest::hex(&[byte]));
                }
            } else {
                out.push(c);
            }
        }
    }
    out
}

/// Splits what [`join`] wrote; none for a field that it would not have written.
fn split(text: &str) -> impl Iterator<Item = Option<String>> {
    text.split(' ').map(|field| {
        let mut bytes = Vec::with_capacity(field.len());
        let mut rest = field.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let pair = [rest.next()?, rest.next()?];
                bytes.extend(crate::digest::unhex(std::str::from_utf8(&pair).ok()?)?);
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).ok()
    })
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.version, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, " {}", self.variant) }
    }
}

/// What retention counts within: the versions of one name and architecture, per module stream for RPM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// The package's name (with its architecture, where the format keeps those apart).
    pub name: String,
    /// The module stream `module:stream`, for modular RPMs.
    pub stream: Option<String>,
}

impl Group {
    /// Writes name and stream joined by a blank; `%`, blanks and control characters inside them as `%xx`.
    pub fn encode(&self) -> String {
        join(std::iter::once(&self.name).chain(&self.stream))
    }

    /// Reads what [`Group::encode`] wrote; none for any other form.
    pub fn decode(text: &str) -> Option<Self> {
        let mut fields = split(text);
        let group =
            Self { name: fields.next()??, stream: fields.next().map_or(Some(None), |s| s.map(Some))? };
        (fields.next().is_none() && group.encode() == text).then_some(group)
    }
}

/// One package as an index lists it.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its identity.
    pub key: Key,
    /// What retention counts it under.
    pub group: Group,
    /// Its version, to be ordered by the format.
    pub version: Version,
    /// One line for people, where the index has one.
    pub summary: String,
    /// The files it consists of: [`Role::Payload`](crate::Role::Payload) wants, with what the index promises of them.
    ///
    /// One whose path the walk was already fed with [`Keep::Tree`](crate::Keep::Tree), or gave as
    /// [`Step::Derived`](crate::Step::Derived) before or after, is there and not fetched again. One whose absence is
    /// [`Absent::Allowed`](crate::Absent::Allowed) (a detached signature) is simply left out where upstream lacks it.
    pub files: Vec<Want>,
}

/// Something in an index that is no package: a module, an advisory, a group, a translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it is, in the format's own word (`modulemd`, `updateinfo`, `comps`).
    pub kind: String,
    /// What tells it from others of its kind.
    pub key: String,
}

/// What an upstream tells of a defect and its cure, for people: RPM's `updateinfo`.
///
/// All text is one line without control characters, and no longer than the limits of [`crate::limits`] allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Advisory {
    /// Its name (`RHSA-2026:1234`); never empty.
    pub id: String,
    /// What it is about (`security`, `bugfix`, `enhancement`), as upstream writes it; may be empty.
    pub kind: String,
    /// How grave it is, as upstream writes it; may be empty.
    pub severity: String,
    /// One line for people; may be empty.
    pub title: String,
    /// The vulnerabilities that it cures (`CVE-2026-1`), rising, without blanks.
    pub references: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_encoding() {
        for key in [
            Key::new("a", "1:2-3", "amd64"),
            Key::new("with blank", "100%", "x\ty"),
            Key { variant: "sha256:00".into(), ..Key::new("a", "1", "ü") },
        ] {
            let text = key.encode();
            assert!(!text.contains('\t'));
            assert_eq!(Key::decode(&text), Some(key));
        }
        for bad in ["", "a", "a b", "a b c ", "a b c d e", "a b %", "a b %zz", "a b %41"] {
            assert_eq!(Key::decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn groups_survive_their_encoding() {
        for (name, stream) in [("a:amd64", None), ("with blank", Some("nodejs:20")), ("100%", None)] {
            let group = Group { name: name.into(), stream: stream.map(str::to_owned) };
            assert_eq!(Group::decode(&group.encode()), Some(group));
        }
        for bad in ["a b c", "a %4", "a%62"] {
            assert_eq!(Group::decode(bad), None, "{bad:?}");
        }
    }
}
