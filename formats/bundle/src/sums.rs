//! `SHA256SUMS`: what `sha256sum -c` checks a bundle's files by (specification §9).
//!
//! It is for people and their tools: an import never believes it. Signatures are not in it, as they may be added later.

use std::collections::BTreeMap;

use chantal_contract::{
    Digest,
    limits::{TRUST_VERSION, VOLUMES},
};

/// The file's name in a bundle.
pub const FILE: &str = "SHA256SUMS";
/// Entries that are read: volumes, parity files, trust documents with some signatures each, twice, and the few other files.
const ENTRIES: usize = 2 * VOLUMES as usize + 8 * TRUST_VERSION as usize;
/// Bytes of a path inside a bundle.
const PATH_BYTES: usize = 64;

/// The digests of a bundle's files by their paths.
pub type Sums = BTreeMap<String, Digest>;

/// Some text that is no list of sums in its one form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SHA256SUMS line {line}: {why}")]
pub struct SumsError {
    line: usize,
    why: &'static str,
}

/// Writes the list, sorted by path.
pub fn encode(sums: &Sums) -> String {
    sums.iter().fold(String::new(), |text, (path, digest)| text + &digest.hex() + "  " + path + "\n")
}

/// Reads a list in its one form.
pub fn parse(text: &str) -> Result<Sums, SumsError> {
    let mut sums = Sums::new();
    let mut last = "";
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let fault = |why| SumsError { line: n + 1, why };
        if n >= ENTRIES {
            return Err(fault("there are more entries than a bundle has files"));
        }
        let line = line.strip_suffix('\n').ok_or_else(|| fault("it ends without a line feed"))?;
        let (digest, path) =
            line.split_once("  ").ok_or_else(|| fault("it is not a digest, two spaces and a path"))?;
        let digest = digest.parse().map_err(|_| fault("a digest is not 64 lower-case hexadecimal digits"))?;
        let plain = |segment: &str| {
            !segment.is_empty()
                && !segment.starts_with('.')
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if path.len() > PATH_BYTES || !path.split('/').all(plain) {
            return Err(fault("the path is none of a bundle's files"));
        }
        if last >= path {
            return Err(fault("the paths do not rise"));
        }
        last = path;
        sums.insert(path.to_owned(), digest);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        let sums: Sums = ["manifest.json", "index.zst", "trust/0001.json", "volume-0001.tar.zst"]
            .iter()
            .map(|path| ((*path).to_owned(), Digest::of(path.as_bytes())))
            .collect();
        let text = encode(&sums);
        assert_eq!(parse(&text).unwrap(), sums);
        let hex = Digest::of(b"");
        for bad in [
            text.trim_end().to_owned(),
            text.replace('\n', "\r\n"),
            text.replace("  ", " "),
            text.replace("  ", " *"),
            format!("{text}{text}"),
            format!("{hex}  ../x\n"),
            format!("{hex}  /x\n"),
            format!("{hex}  a//b\n"),
            format!("{hex}  {}\n", "a".repeat(PATH_BYTES + 1)),
            format!("{}  a\n", hex.hex().to_uppercase()),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
        parse(&format!("{hex}  {}\n", "a".repeat(PATH_BYTES))).unwrap();
        let many =
            |count: usize| (0..count).fold(String::new(), |text, n| text + &format!("{hex}  {n:08}\n"));
        assert_eq!(parse(&many(ENTRIES)).unwrap().len(), ENTRIES);
        assert!(parse(&many(ENTRIES + 1)).is_err());
    }
}
