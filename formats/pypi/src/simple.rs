//! Project pages of a simple index: HTML (PEP 503) and JSON (PEP 691), read into one form.

use std::io::Read;

use chantal_contract::{
    Algorithm, Body, Checksum, FormatError, RepoPath,
    limits::{ANCHOR_BYTES, PROJECT_FILES, RECORD_BYTES},
};
use serde_json::{Map, Value};
use url::Url;

pub mod html;
mod json;

/// What is asked for: JSON before HTML, whatever else there may be last.
pub const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1, */*;q=0.01";

/// The media type of PEP 691's JSON.
pub const JSON_TYPE: &str = "application/vnd.pypi.simple.v1+json";

/// A file entry as PEP 691 writes it.
pub type Record = Map<String, Value>;

/// Where a wheel's metadata can be had by itself (PEP 658, 714).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// Nowhere.
    No,
    /// Upstream offers it without a digest that proves it.
    Unproved,
    /// Upstream offers it with these digests.
    Proved(Vec<Checksum>),
}

/// A file that a project page lists.
#[derive(Clone, Debug)]
pub struct FileEntry {
    /// Its name: one path segment.
    pub filename: String,
    /// Where it is, without a fragment.
    pub url: Url,
    /// The digests that prove it; the weak ones are only in the record.
    pub checksums: Vec<Checksum>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// What Python it asks for.
    pub requires_python: Option<String>,
    /// Whether it was withdrawn (PEP 592).
    pub yanked: bool,
    /// Its metadata.
    pub metadata: Metadata,
    /// Its attestations (PEP 740).
    pub provenance: Option<Url>,
    /// Whether a detached OpenPGP signature stands beside it.
    pub gpg_sig: bool,
    /// The entry without what depends on where it is: [`lay_out`](crate::lay_out) writes that anew.
    pub record: Record,
}

/// What a project page says besides its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The project's status (PEP 792), as JSON.
    pub status: Option<Value>,
    /// Where the same page is to be had as JSON: HTML that this program wrote says so, since HTML cannot hold sizes and times.
    pub alternate: Option<Url>,
}

/// Keys of an entry that depend on where it is served, and are written anew.
const ADDRESSES: [&str; 4] = ["url", "provenance", "core-metadata", "dist-info-metadata"];

/// Reads a page of either form, told by its first byte, and visits its files in order.
pub fn read(
    file: &RepoPath,
    body: &mut Body<'_>,
    base: &Url,
    visit: &mut dyn FnMut(FileEntry) -> Result<(), FormatError>,
) -> Result<Page, FormatError> {
    let mut bytes = Vec::new();
    body.reader()
        .take(ANCHOR_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| FormatError::Decode { file: file.clone(), source })?;
    if bytes.len() as u64 > ANCHOR_BYTES {
        return Err(FormatError::Limit { file: file.clone(), what: "project page", limit: ANCHOR_BYTES });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut seen = 0_usize;
    let mut count = |entry: FileEntry| {
        seen += 1;
        if seen > PROJECT_FILES {
            return Err(FormatError::Limit {
                file: file.clone(),
                what: "number of files",
                limit: PROJECT_FILES as u64,
            });
        }
        visit(entry)
    };
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        json::read(file, bytes, base, &mut count)
    } else {
        html::read(file, &String::from_utf8_lossy(bytes), base, &mut count)
    }
}

impl FileEntry {
    /// Reads an entry in the form of PEP 691; addresses are resolved against `base`.
    fn from_record(file: &RepoPath, mut record: Record, base: &Url) -> Result<Self, FormatError> {
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        let field = |key: &str, expected: &str, found: &str| {
            FormatError::malformed(file, format!("file entry, field {key}"), expected, found)
        };
        let filename = text("filename").ok_or_else(|| field("filename", "a text", ""))?.to_owned();
        let path =
            RepoPath::new(&filename).map_err(|source| FormatError::Path { file: file.clone(), source })?;
        if path.parent().is_some() {
            return Err(field("filename", "a name without `/`", &filename));
        }
        let address = text("url").ok_or_else(|| field("url", "a text", ""))?;
        let mut url = base.join(address).map_err(|_| field("url", "a URL", address))?;
        url.set_fragment(None);
        if !is_reachable(&url, base) {
            return Err(field("url", "an https or http URL", address));
        }
        let metadata = record.get("core-metadata").or_else(|| record.get("dist-info-metadata"));
        let metadata = match metadata {
            None | Some(Value::Bool(false) | Value::Null) => Metadata::No,
            Some(Value::Object(hashes)) => match proofs(file, hashes)? {
                proofs if proofs.is_empty() => Metadata::Unproved,
                proofs => Metadata::Proved(proofs),
            },
            Some(_) => Metadata::Unproved,
        };
        let checksums = match record.get("hashes") {
            Some(Value::Object(hashes)) => proofs(file, hashes)?,
            _ => Vec::new(),
        };
        let yanked = match record.get("yanked") {
            None | Some(Value::Bool(false) | Value::Null) => false,
            Some(_) => true,
        };
        let entry = Self {
            checksums,
            size: record.get("size").and_then(Value::as_u64),
            requires_python: text("requires-python").filter(|t| !t.trim().is_empty()).map(str::to_owned),
            yanked,
            metadata,
            provenance: text("provenance")
                .and_then(|p| base.join(p).ok())
                .filter(|provenance| is_reachable(provenance, base)),
            gpg_sig: record.get("gpg-sig") == Some(&Value::Bool(true)),
            url,
            filename,
            record: Record::new(),
        };
        for key in ADDRESSES {
            record.remove(key);
        }
        record.retain(|_, value| !value.is_null());
        if serde_json::to_string(&record).map_or(0, |t| t.len()) > RECORD_BYTES {
            return Err(FormatError::Limit {
                file: file.clone(),
                what: "file entry",
                limit: RECORD_BYTES as u64,
            });
        }
        Ok(Self { record, ..entry })
    }
}

/// Tells whether a page may send a reader there: a page from the network must not name files of this machine.
fn is_reachable(url: &Url, base: &Url) -> bool {
    matches!(url.scheme(), "https" | "http") || url.scheme() == "file" && base.scheme() == "file"
}

/// Takes the digests that prove identity by themselves; others stay in the record only.
fn proofs(file: &RepoPath, hashes: &Map<String, Value>) -> Result<Vec<Checksum>, FormatError> {
    let mut found = Vec::new();
    for (name, value) in hashes {
        if let (Some(algorithm), Some(digits)) =
            (Algorithm::named(name).filter(|a| a.is_proof()), value.as_str())
        {
            found.push(
                Checksum::from_hex(algorithm, digits)
                    .map_err(|source| FormatError::Digest { file: file.clone(), source })?,
            );
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
