//! `.treeinfo`: the files of an installer tree.

use std::collections::BTreeMap;

use chantal_contract::{
    Absent, Algorithm, Checksum, Expect, FormatError, RepoPath, Want,
    limits::{LISTED_INDEXES, PAYLOAD_BYTES},
};
use serde::Deserialize;

/// What a `.treeinfo` names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    /// Its files, wanted as payloads, sorted by path.
    pub files: Vec<Want>,
    /// What a person should know of it.
    pub notices: Vec<String>,
}

/// Reads a `.treeinfo`: every file of `[checksums]`, every image of `[images-*]`, and `[stage2]`.
///
/// What has a checksum must be there; what is named without one may be missing. The `repomd.xml` of the tree and of the
/// repositories below it are left out: this repository's is walked for itself, and the others are repositories of their own.
/// Every `.treeinfo` has a section `[general]` or `[tree]`; what has neither is refused, as it is the page of a portal, an
/// empty file or half of one, and a mirror without its installer would pass for whole.
pub(crate) fn read(file: &RepoPath, bytes: &[u8]) -> Result<Tree, FormatError> {
    let mut found: BTreeMap<RepoPath, Option<Checksum>> = BTreeMap::new();
    let mut notices = Vec::new();
    let mut section = "";
    let mut is_treeinfo = false;
    let refuse = |found: &str| {
        let expected = "a section `[general]` or `[tree]`, as every `.treeinfo` has";
        FormatError::malformed(file, "the whole file", expected, found)
    };
    let text = str::from_utf8(bytes).map_err(|_| refuse("bytes that are not UTF-8"))?;
    for line in text.lines() {
        // a line that begins with a blank continues a value; no value that counts here has two lines
        if line.is_empty() || line.starts_with(['#', ';', ' ', '\t']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.trim_end().strip_suffix(']')) {
            section = name.trim();
            is_treeinfo |= matches!(section, "general" | "tree");
            continue;
        }
        let Some((key, value)) = line.split_once('=').or_else(|| line.split_once(':')) else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        let checksums = section == "checksums";
        let name = if checksums { key } else { value };
        let counts = checksums || section.starts_with("images-") || section == "stage2";
        if !counts
            || name.is_empty()
            || name == "repodata/repomd.xml"
            || name.ends_with("/repodata/repomd.xml")
        {
            continue;
        }
        let path = RepoPath::new(name.strip_prefix("./").unwrap_or(name))
            .map_err(|source| FormatError::Path { file: file.clone(), source })?;
        let entry = found.entry(path.clone()).or_default();
        if checksums {
            match value.split_once(':').and_then(|(a, hex)| Some((Algorithm::named(a.trim())?, hex.trim()))) {
                Some((algorithm, hex)) => {
                    let checksum = Checksum::from_hex(algorithm, hex)
                        .map_err(|source| FormatError::Digest { file: file.clone(), source })?;
                    *entry = Some(checksum);
                }
                None => notices.push(format!("the checksum of `{path}` is of no known type")),
            }
        }
        if found.len() > LISTED_INDEXES {
            let limit = LISTED_INDEXES as u64;
            return Err(FormatError::Limit { file: file.clone(), what: "the number of files", limit });
        }
    }
    if !is_treeinfo {
        return Err(refuse(text.trim_start()));
    }
    let files = found.into_iter().map(|(path, checksum)| {
        let absent = if checksum.is_some() { Absent::Fatal } else { Absent::Allowed };
        let checksums = checksum.into_iter().collect();
        Want::payload(path, Expect { size: None, checksums, limit: PAYLOAD_BYTES }).absent(absent)
    });
    Ok(Tree { files: files.collect(), notices })
}

/// Reads `extra_files.json`: licences, keys and other files beside a tree of Red Hat's kin.
pub(crate) fn read_extra(file: &RepoPath, bytes: &[u8]) -> Result<Tree, FormatError> {
    #[derive(Deserialize)]
    struct Document {
        data: Vec<Extra>,
    }
    #[derive(Deserialize)]
    struct Extra {
        file: String,
        size: Option<u64>,
        #[serde(default)]
        checksums: BTreeMap<String, String>,
    }
    let mut tree = Tree::default();
    let Ok(document) = serde_json::from_slice::<Document>(bytes) else {
        tree.notices.push("is no list of extra files and was not looked into".into());
        return Ok(tree);
    };
    if document.data.len() > LISTED_INDEXES {
        let limit = LISTED_INDEXES as u64;
        return Err(FormatError::Limit { file: file.clone(), what: "the number of files", limit });
    }
    for extra in document.data {
        let path =
            RepoPath::new(&extra.file).map_err(|source| FormatError::Path { file: file.clone(), source })?;
        let checksums = extra
            .checksums
            .iter()
            .filter_map(|(name, hex)| Some((Algorithm::named(name)?, hex)))
            .map(|(algorithm, hex)| Checksum::from_hex(algorithm, hex))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| FormatError::Digest { file: file.clone(), source })?;
        let expect = Expect { size: extra.size, checksums, limit: PAYLOAD_BYTES };
        tree.files.push(Want::payload(path, expect));
    }
    Ok(tree)
}

#[cfg(test)]
mod tests;
