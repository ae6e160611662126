//! A chosen file as the contract's package: its key, its files, its record.

use chantal_contract::{
    Absent, At, Expect, FormatError, Group, Key, Package, RepoPath, Version, Want,
    limits::{METADATA_BYTES, PAYLOAD_BYTES, PROVENANCE_BYTES, SIGNATURE_BYTES},
};
use url::Url;

use crate::{
    name::Name,
    select::Candidate,
    simple::{FileEntry, Metadata},
};

/// Appended to a wheel's name for its metadata (PEP 658).
pub const METADATA: &str = ".metadata";
/// Appended for attestations (PEP 740 names no place; this is where they are published).
pub const PROVENANCE: &str = ".provenance";
/// What is asked for of attestations (PEP 740).
const PROVENANCE_TYPE: &str = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5, */*;q=0.1";
/// Appended for a detached OpenPGP signature (PEP 503).
pub const SIGNATURE: &str = ".asc";

/// Returns where a file is published.
pub fn path(project: &Name, filename: &str) -> Result<RepoPath, FormatError> {
    RepoPath::new(&format!("packages/{project}/{filename}"))
        .map_err(|source| FormatError::Path { file: project.directory(), source })
}

/// Wants the file itself.
pub fn payload(project: &Name, entry: &FileEntry) -> Result<Want, FormatError> {
    let expect = Expect {
        size: entry.size,
        checksums: entry.checksums.clone(),
        limit: entry.size.unwrap_or(PAYLOAD_BYTES).min(PAYLOAD_BYTES),
    };
    Ok(at(Want::payload(path(project, &entry.filename)?, expect), entry.url.clone()))
}

/// Wants a wheel's metadata, where upstream offers it with a digest.
pub fn metadata(project: &Name, entry: &FileEntry) -> Result<Option<Want>, FormatError> {
    let Metadata::Proved(checksums) = &entry.metadata else { return Ok(None) };
    let expect = Expect { size: None, checksums: checksums.clone(), limit: METADATA_BYTES };
    beside(project, entry, METADATA, expect).map(Some)
}

/// Describes a candidate; `derived` is what its metadata is known to be, where it was read from the wheel.
pub fn package(
    project: &Name,
    candidate: &Candidate,
    derived: Option<&Expect>,
) -> Result<Package, FormatError> {
    let entry = &candidate.entry;
    let mut files = vec![payload(project, entry)?];
    if entry.gpg_sig {
        files.push(beside(project, entry, SIGNATURE, Expect::at_most(SIGNATURE_BYTES))?);
    }
    match derived {
        Some(expect) => files.push(beside(project, entry, METADATA, expect.clone())?),
        None => files.extend(metadata(project, entry)?),
    }
    if let Some(url) = &entry.provenance {
        let want = beside(project, entry, PROVENANCE, Expect::at_most(PROVENANCE_BYTES))?;
        files.push(Want { accept: Some(PROVENANCE_TYPE), ..at(want, url.clone()) });
    }
    let version = candidate.version.to_string();
    Ok(Package {
        key: Key::new(project.as_str(), &version, &entry.filename),
        group: Group { name: project.to_string(), stream: None },
        version: Version(version),
        summary: String::new(),
        files,
    })
}

/// Wants a file that lies beside another; upstreams advertise some that they do not have.
fn beside(project: &Name, entry: &FileEntry, suffix: &str, expect: Expect) -> Result<Want, FormatError> {
    let mut url = entry.url.clone();
    url.set_path(&format!("{}{suffix}", entry.url.path()));
    let path = path(project, &format!("{}{suffix}", entry.filename))?;
    Ok(at(Want::payload(path, expect).absent(Absent::Allowed), url))
}

fn at(want: Want, url: Url) -> Want {
    Want { at: At::Absolute(url), ..want }
}
