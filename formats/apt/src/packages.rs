//! What the stanzas of `Packages` and `Sources` say.

use chantal_contract::{
    Algorithm, Checksum, Expect, FormatError, Group, Key, Package, RepoPath, Version, Want,
    limits::{KEY_FIELD_BYTES, PAYLOAD_BYTES, SUMMARY_BYTES},
};

use crate::{
    deb822::{Fault, Field, Stanza, decimal},
    suite::listed_path,
};

/// The fields of a binary package's stanza that a mirror reads; each may stand there once.
#[derive(Default)]
struct Binary<'a> {
    package: Option<Field<'a>>,
    version: Option<Field<'a>>,
    architecture: Option<Field<'a>>,
    description: Option<Field<'a>>,
    filename: Option<Field<'a>>,
    size: Option<Field<'a>>,
    sha256: Option<Field<'a>>,
    sha512: Option<Field<'a>>,
}

/// Reads a stanza of `Packages`: a package with its one file.
///
/// Refuses a stanza whose file only MD5 or SHA-1 bind, whose `Filename` would leave the tree, or that gives a field twice.
pub fn binary(stanza: &Stanza<'_>, index: &RepoPath) -> Result<Package, FormatError> {
    let mut found = Binary::default();
    for field in stanza.fields() {
        let field = field.map_err(|fault| fault.of(index))?;
        // the first byte tells most fields apart without a comparison each
        let slot = match field.name.as_bytes().first().map(u8::to_ascii_lowercase) {
            Some(b'p') if field.is("Package") => &mut found.package,
            Some(b'v') if field.is("Version") => &mut found.version,
            Some(b'a') if field.is("Architecture") => &mut found.architecture,
            Some(b'd') if field.is("Description") => &mut found.description,
            Some(b'f') if field.is("Filename") => &mut found.filename,
            Some(b's') if field.is("Size") => &mut found.size,
            Some(b's') if field.is("SHA256") => &mut found.sha256,
            Some(b's') if field.is("SHA512") => &mut found.sha512,
            _ => continue,
        };
        put(slot, field).map_err(|fault| fault.of(index))?;
    }
    let key = Key::new(
        key_field(found.package, "a field `Package`", stanza, index)?,
        key_field(found.version, "a field `Version`", stanza, index)?,
        key_field(found.architecture, "a field `Architecture`", stanza, index)?,
    );
    let filename = required(found.filename, "a field `Filename`", stanza, index)?;
    let path = filename.line_value().map_err(|fault| fault.of(index))?;
    let path = listed_path(path).map_err(|source| FormatError::Path { file: index.clone(), source })?;
    let size =
        required(found.size, "a field `Size`", stanza, index)?.number().map_err(|fault| fault.of(index))?;
    let (digest, algorithm) = match (found.sha256, found.sha512) {
        (Some(field), _) => (field, Algorithm::Sha256),
        (None, Some(field)) => (field, Algorithm::Sha512),
        (None, None) => {
            let fault = Fault::new(stanza.line, "a field `SHA256` or `SHA512`", key.name.as_bytes());
            return Err(fault.of(index));
        }
    };
    let digest = checksum(algorithm, digest.word().map_err(|fault| fault.of(index))?, index)?;
    let file = payload(path, size, digest, index)?;
    Ok(package(key, found.description.map(|field| summary(field.head())).unwrap_or_default(), vec![file]))
}

/// Reads a stanza of `Sources`: a package of architecture `source` with all its files.
///
/// Refuses a stanza that has neither `Checksums-Sha256` nor `Checksums-Sha512`, and a file in another directory.
pub fn source(stanza: &Stanza<'_>, index: &RepoPath) -> Result<Package, FormatError> {
    let (mut name, mut version, mut directory, mut sha256, mut sha512) = (None, None, None, None, None);
    for field in stanza.fields() {
        let field = field.map_err(|fault| fault.of(index))?;
        let slot = match &*field.name.to_ascii_lowercase() {
            "package" => &mut name,
            "version" => &mut version,
            "directory" => &mut directory,
            "checksums-sha256" => &mut sha256,
            "checksums-sha512" => &mut sha512,
            _ => continue,
        };
        put(slot, field).map_err(|fault| fault.of(index))?;
    }
    let key = Key::new(
        key_field(name, "a field `Package`", stanza, index)?,
        key_field(version, "a field `Version`", stanza, index)?,
        "source",
    );
    let directory = match directory {
        Some(field) if !field.head().is_empty() => field.line_value().map_err(|fault| fault.of(index))?,
        _ => ".",
    };
    let (list, algorithm) = match (sha256, sha512) {
        (Some(field), _) => (field, Algorithm::Sha256),
        (None, Some(field)) => (field, Algorithm::Sha512),
        (None, None) => {
            let fault = Fault::new(
                stanza.line,
                "a field `Checksums-Sha256` or `Checksums-Sha512`",
                key.name.as_bytes(),
            );
            return Err(fault.of(index));
        }
    };
    let mut files = Vec::new();
    for (number, line) in list.lines() {
        let fault = |expected| Fault::new(number, expected, line).of(index);
        let text = std::str::from_utf8(line).map_err(|_| fault("UTF-8"))?;
        let mut words = text.split_ascii_whitespace();
        let (Some(digest), Some(size), Some(file), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(fault("a digest, a size and a file name"));
        };
        if file.contains('/') {
            return Err(fault("a file name without a directory"));
        }
        let size = decimal(size).ok_or_else(|| fault("a decimal size"))?;
        let path = listed_path(&format!("{}/{file}", directory.trim_end_matches('/')))
            .map_err(|source| FormatError::Path { file: index.clone(), source })?;
        files.push(payload(path, size, checksum(algorithm, digest, index)?, index)?);
    }
    if files.is_empty() {
        return Err(list.fault("at least one file", b"").of(index));
    }
    Ok(package(key, String::new(), files))
}

/// Reads a line of `SHA256SUMS`: a file below the sums' own directory.
pub fn sum(line: &str, directory: &str, sums: &RepoPath, number: u64) -> Result<Want, FormatError> {
    let fault = || Fault::new(number, "a SHA-256 digest and a path", line.as_bytes()).of(sums);
    let (digest, path) = line.split_once(' ').ok_or_else(fault)?;
    // coreutils write a second blank, or an asterisk for binary mode
    let path = path.trim_start_matches(' ');
    let path = path.strip_prefix('*').unwrap_or(path);
    let path = listed_path(path).map_err(|source| FormatError::Path { file: sums.clone(), source })?;
    let path = RepoPath::new(&format!("{directory}/{path}"))
        .map_err(|source| FormatError::Path { file: sums.clone(), source })?;
    let digest = checksum(Algorithm::Sha256, digest, sums)?;
    Ok(Want::payload(path, Expect { size: None, checksums: vec![digest], limit: PAYLOAD_BYTES }))
}

fn put<'a>(slot: &mut Option<Field<'a>>, field: Field<'a>) -> Result<(), Fault> {
    match slot.replace(field) {
        None => Ok(()),
        Some(_) => Err(Fault::new(field.line, "each field once", field.name.as_bytes())),
    }
}

fn required<'a>(
    field: Option<Field<'a>>,
    expected: &'static str,
    stanza: &Stanza<'_>,
    index: &RepoPath,
) -> Result<Field<'a>, FormatError> {
    let first = stanza.bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    field.ok_or_else(|| Fault::new(stanza.line, expected, first).of(index))
}

/// Takes a field that enters a package's key: one word without a slash.
fn key_field<'a>(
    field: Option<Field<'a>>,
    expected: &'static str,
    stanza: &Stanza<'_>,
    index: &RepoPath,
) -> Result<&'a str, FormatError> {
    let field = required(field, expected, stanza, index)?;
    let word = field.word().map_err(|fault| fault.of(index))?;
    if word.contains('/') {
        return Err(field.fault("no slash", word.as_bytes()).of(index));
    }
    if word.len() > KEY_FIELD_BYTES {
        let (what, limit) = ("a name, version or architecture", KEY_FIELD_BYTES as u64);
        return Err(FormatError::Limit { file: index.clone(), what, limit });
    }
    Ok(word)
}

fn checksum(algorithm: Algorithm, digest: &str, index: &RepoPath) -> Result<Checksum, FormatError> {
    Checksum::from_hex(algorithm, digest)
        .map_err(|source| FormatError::Digest { file: index.clone(), source })
}

fn payload(path: RepoPath, size: u64, digest: Checksum, index: &RepoPath) -> Result<Want, FormatError> {
    if size > PAYLOAD_BYTES {
        return Err(FormatError::Limit {
            file: index.clone(),
            what: "a package's size",
            limit: PAYLOAD_BYTES,
        });
    }
    Ok(Want::payload(path, Expect::exactly(size, vec![digest])))
}

fn package(key: Key, summary: String, files: Vec<Want>) -> Package {
    let group = Group { name: format!("{}:{}", key.name, key.architecture), stream: None };
    let version = Version(key.version.clone());
    Package { key, group, version, summary, files }
}

/// Cuts one line for people to what is kept of it.
pub(crate) fn summary(line: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(line).into_owned();
    if text.len() > SUMMARY_BYTES {
        let end = (0..=SUMMARY_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_cut_between_characters() {
        for (length, kept) in [
            (SUMMARY_BYTES - 1, SUMMARY_BYTES - 1),
            (SUMMARY_BYTES, SUMMARY_BYTES),
            (SUMMARY_BYTES + 1, SUMMARY_BYTES),
        ] {
            assert_eq!(summary("x".repeat(length).as_bytes()).len(), kept);
        }
        assert_eq!(summary("ü".repeat(SUMMARY_BYTES).as_bytes()).len(), SUMMARY_BYTES);
        assert_eq!(summary(format!("x{}", "ü".repeat(SUMMARY_BYTES)).as_bytes()).len(), SUMMARY_BYTES - 1);
        assert_eq!(summary(b"caf\xe9"), "caf\u{fffd}");
    }
}
