//! `Release`: what a suite holds, since when, until when, and the digests that bind its indexes.

use std::collections::{BTreeMap, BTreeSet};

use chantal_contract::{
    Algorithm, Checksum, Expect, FormatError, RepoPath,
    limits::{INDEX_BYTES, LISTED_INDEXES, RELEASE_FIELDS},
};
use jiff::Timestamp;

use crate::deb822::{self, Field, Fields};

/// What a `Release` file says (<https://wiki.debian.org/DebianRepository/Format>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// Who makes the repository.
    pub origin: Option<String>,
    /// What the repository is called; clients ask before they accept a change.
    pub label: Option<String>,
    /// The suite's name, such as `stable`.
    pub suite: Option<String>,
    /// The suite's lasting name, such as `bookworm`.
    pub codename: Option<String>,
    /// The version of the distribution.
    pub version: Option<String>,
    /// When it was made; none where the field is missing or, as apt has it, no date.
    pub date: Option<Timestamp>,
    /// Until when clients accept it.
    pub valid_until: Option<Timestamp>,
    /// The architectures there are packages for; empty where the field is missing.
    pub architectures: Vec<String>,
    /// The components there are; empty where the field is missing.
    pub components: Vec<String>,
    /// Whether indexes can be had under the names of their digests.
    pub acquire_by_hash: bool,
    /// The kinds of index (`Packages`, `Contents`) in which `all` is not apart from the other architectures.
    pub no_support_for_all: Vec<String>,
    listed: BTreeMap<String, Listed>,
}

/// One index as a `Release` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its size in bytes.
    pub size: u64,
    /// Its digests, strongest first.
    pub checksums: Vec<Checksum>,
    /// Whether the lists contradict each other about it.
    pub contradicted: bool,
}

impl Listed {
    /// Returns what must be true of the index that `file` is; refuses what only MD5 or SHA-1 bind and what is too large.
    pub fn expect(&self, file: &RepoPath) -> Result<Expect, FormatError> {
        if self.contradicted {
            let found = "two that contradict each other";
            return Err(FormatError::malformed(file, "its entry in Release", "one size and digest", found));
        }
        if self.size > INDEX_BYTES {
            return Err(FormatError::Limit { file: file.clone(), what: "an index", limit: INDEX_BYTES });
        }
        let expect = Expect::exactly(self.size, self.checksums.clone());
        if expect.is_proof() {
            Ok(expect)
        } else {
            let found = self.checksums.first().map_or("none", |c| c.algorithm().name());
            Err(FormatError::malformed(file, "its entry in Release", "a SHA256 or SHA512 digest", found))
        }
    }
}

/// Returns the paths under which the index at `path` can be had by its digests, in their order (`by-hash/SHA512/…`).
pub fn by_hash(path: &RepoPath, checksums: &[Checksum]) -> Vec<RepoPath> {
    let directory = path.parent().map(|parent| format!("{parent}/")).unwrap_or_default();
    let at = |c: &Checksum| {
        RepoPath::new(&format!("{directory}by-hash/{}/{}", list_name(c.algorithm())?, c.hex())).ok()
    };
    checksums.iter().filter_map(at).collect()
}

/// Returns the field of a `Release` that lists digests of an algorithm, which is also its directory under `by-hash`.
fn list_name(algorithm: Algorithm) -> Option<&'static str> {
    Some(match algorithm {
        Algorithm::Md5 => "MD5Sum",
        Algorithm::Sha1 => "SHA1",
        Algorithm::Sha256 => "SHA256",
        Algorithm::Sha512 => "SHA512",
        Algorithm::Sha224 | Algorithm::Sha384 => return None,
    })
}

impl Release {
    /// Reads a `Release`, or the text that an `InRelease` signs; names `file` in errors.
    ///
    /// Refuses a file without a SHA256 or SHA512 list, a listed path that would leave the tree, and a field given twice.
    pub fn parse(text: &[u8], file: &RepoPath) -> Result<Self, FormatError> {
        if let Some(at) = deb822::forbidden(text) {
            return Err(deb822::control_character(text, at, 1).of(file));
        }
        let mut release = Self::default();
        let mut names = BTreeSet::new();
        let mut strong = false;
        for field in Fields::of(text.trim_ascii_end()) {
            let field = field.map_err(|fault| fault.of(file))?;
            let name = field.name.to_ascii_lowercase();
            if names.len() >= RELEASE_FIELDS {
                let what = "the number of fields";
                return Err(FormatError::Limit { file: file.clone(), what, limit: RELEASE_FIELDS as u64 });
            }
            if let Some(algorithm) = ["md5sum", "sha1", "sha256", "sha512"].iter().find(|list| **list == name)
            {
                let Some(algorithm) = Algorithm::named(algorithm) else { continue };
                strong |= algorithm.is_proof();
                release.list(&field, algorithm, file)?;
            } else {
                release.take(&field, &name).map_err(|fault| fault.of(file))?;
            }
            if let Some(twice) = names.replace(name) {
                let found = format!("`{twice}` twice");
                return Err(FormatError::malformed(
                    file,
                    format!("line {}", field.line),
                    "each field once",
                    found,
                ));
            }
        }
        if !strong {
            return Err(FormatError::malformed(file, "its lists", "a SHA256 or SHA512 list", "none"));
        }
        for listed in release.listed.values_mut() {
            listed.checksums.sort_by_key(|c| std::cmp::Reverse(c.algorithm()));
        }
        Ok(release)
    }

    fn take(&mut self, field: &Field<'_>, name: &str) -> Result<(), deb822::Fault> {
        let text = || field.line_value().ok().map(str::to_owned);
        let words = || Ok(field.words()?.map(str::to_owned).collect());
        match name {
            "origin" => self.origin = text(),
            "label" => self.label = text(),
            "suite" => self.suite = text(),
            "codename" => self.codename = text(),
            "version" => self.version = text(),
            // a client that cannot read Date warns and goes on, one that cannot read Valid-Until refuses
            "date" => self.date = field.line_value().ok().and_then(parse_date),
            "valid-until" => {
                let value = field.line_value()?;
                let date = parse_date(value)
                    .ok_or_else(|| field.fault("a date in UTC (RFC 5322)", value.as_bytes()))?;
                self.valid_until = Some(date);
            }
            "architectures" => self.architectures = words()?,
            "components" => self.components = words()?,
            "no-support-for-architecture-all" => self.no_support_for_all = words()?,
            "acquire-by-hash" => self.acquire_by_hash = field.line_value().is_ok_and(is_yes),
            _ => {}
        }
        Ok(())
    }

    fn list(&mut self, field: &Field<'_>, algorithm: Algorithm, file: &RepoPath) -> Result<(), FormatError> {
        for (number, line) in field.lines() {
            let fault = |expected| deb822::Fault::new(number, expected, line).of(file);
            let text = std::str::from_utf8(line).map_err(|_| fault("UTF-8"))?;
            let mut words = text.split_ascii_whitespace();
            let (Some(digest), Some(size), Some(path), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(fault("a digest, a size and a path"));
            };
            let size = deb822::decimal(size).ok_or_else(|| fault("a decimal size"))?;
            let checksum = Checksum::from_hex(algorithm, digest)
                .map_err(|source| FormatError::Digest { file: file.clone(), source })?;
            let path = path.strip_prefix("./").unwrap_or(path);
            if path.starts_with('/') || path.contains('\\') || path.split('/').any(|segment| segment == "..")
            {
                RepoPath::new(path).map_err(|source| FormatError::Path { file: file.clone(), source })?;
            }
            if let Some(known) = self.listed.get_mut(path) {
                known.contradicted |= known.size != size
                    || known.checksums.iter().any(|c| c.algorithm() == algorithm && *c != checksum);
                if known.checksums.iter().all(|c| c.algorithm() != algorithm) {
                    known.checksums.push(checksum);
                }
            } else if self.listed.len() == LISTED_INDEXES {
                let what = "the number of listed files";
                return Err(FormatError::Limit { file: file.clone(), what, limit: LISTED_INDEXES as u64 });
            } else {
                let listed = Listed { size, checksums: vec![checksum], contradicted: false };
                self.listed.insert(path.to_owned(), listed);
            }
        }
        Ok(())
    }

    /// Returns the entry of a path relative to the suite's directory.
    pub fn listed(&self, path: &str) -> Option<&Listed> {
        self.listed.get(path)
    }

    /// Visits, in order, every listed path below `directory` (with its trailing `/`).
    pub fn below(&self, directory: &str) -> impl Iterator<Item = &str> {
        self.listed
            .range::<str, _>((std::ops::Bound::Included(directory), std::ops::Bound::Unbounded))
            .map(|(path, _)| path.as_str())
            .take_while(move |path| path.starts_with(directory))
    }

    /// Tells whether clients look for packages of architecture `all` in an index of their own, of the kind `target`.
    pub fn has_all_apart(&self, target: &str) -> bool {
        (self.architectures.is_empty() || self.architectures.iter().any(|a| a == "all"))
            && !self.no_support_for_all.iter().any(|kind| kind == target)
    }
}

fn is_yes(value: &str) -> bool {
    ["yes", "true", "with", "on", "enable", "1"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// Reads a date as `Release` files write it: `Sat, 11 Jul 2026 10:16:37 UTC`, or with `GMT`, `Z` or a numeric zone.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let (date, zone) = text.trim().rsplit_once(' ')?;
    let zone = match zone {
        "UTC" | "GMT" | "Z" => "+0000",
        zone => zone,
    };
    jiff::fmt::rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(format!("{date} {zone}"))
        .ok()
}

#[cfg(test)]
mod tests;
