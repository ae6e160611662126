//! Files of a bundle that an import can do without: parity, and second copies.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use chantal_bundle::{manifest, parity::Parity, seal};
use chantal_contract::{Digest, limits::BUNDLE_MANIFEST_BYTES};
use sha2::{Digest as _, Sha256};

use super::Inspection;
use crate::transfer::{TransferError, medium};

/// Says which of them are damaged or missing, and what had to be read from a second copy.
pub(super) fn damaged(inspection: &Inspection) -> Result<Vec<String>, TransferError> {
    let dir = &inspection.path;
    let copied = inspection.copied.iter();
    let mut found: Vec<String> =
        copied.map(|part| format!("`{part}` is damaged and was read from `copy/`")).collect();
    let Some(parity) = &inspection.manifest.parity else { return Ok(found) };
    if inspection.copied.is_empty() {
        found.extend(copies(dir)?);
    }
    found.extend(files(dir, parity));
    Ok(found)
}

fn copies(dir: &Path) -> Result<Vec<String>, TransferError> {
    let mut found = Vec::new();
    let mut compare = |name: &str| {
        let first = medium::read(&dir.join(name), BUNDLE_MANIFEST_BYTES);
        let second = medium::read(&dir.join(seal::COPY).join(name), BUNDLE_MANIFEST_BYTES);
        if !matches!((first, second), (Ok(first), Ok(second)) if first == second) {
            found.push(format!("`{}/{name}` is missing or not what `{name}` is", seal::COPY));
        }
    };
    compare(manifest::FILE);
    for sub in [seal::TRUST, seal::SIGNATURES] {
        // An approval is added later, and only to the first.
        let names = medium::names(&dir.join(sub))?.into_iter().filter(|name| !name.starts_with("approver-"));
        names.for_each(|name| compare(&format!("{sub}/{name}")));
    }
    Ok(found)
}

fn files(dir: &Path, parity: &Parity) -> Vec<String> {
    let mut found = Vec::new();
    for (number, file) in parity.files() {
        match hash(&dir.join(number.file_name())) {
            Ok(sha256) if sha256 == file.sha256 => {}
            Ok(_) => found.push(format!("`{number}` is damaged")),
            Err(error) => found.push(format!("`{number}` cannot be read: {error}")),
        }
    }
    found
}

fn hash(path: &Path) -> io::Result<Digest> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut room = vec![0; 1 << 18];
    loop {
        match file.read(&mut room)? {
            0 => return Ok(Digest::from_bytes(hash.finalize().into())),
            n => hash.update(room.get(..n).unwrap_or_default()),
        }
    }
}
