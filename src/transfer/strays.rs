//! What lies in a bundle's directory and is not read, so that nobody takes it for a part of the bundle.

use std::{fs, os::unix::fs::FileTypeExt, path::Path};

use chantal_bundle::{Manifest, VolumeNumber, index, manifest, parity::ParityNumber, proof, seal, sums};

use super::{TransferError, medium};

/// Names that are listed at most.
const LISTED: usize = 20;

/// Says of volumes that are there and cannot be read as files what they are instead.
pub(super) fn unusable(dir: &Path, manifest: &Manifest) -> Result<Vec<String>, TransferError> {
    let mut notes = Vec::new();
    for (name, path) in medium::entries(dir)? {
        let listed = VolumeNumber::parse_file_name(&name)
            .is_ok_and(|number| manifest.volumes().any(|(volume, _)| volume == number));
        if listed && !medium::is_file(&path) {
            notes.push(format!("`{}` is {} and is not read", path.display(), kind(&path)));
        }
    }
    Ok(notes)
}

fn kind(path: &Path) -> &'static str {
    match fs::symlink_metadata(path).map(|found| found.file_type()) {
        Ok(kind) if kind.is_symlink() => "a symbolic link that leads to no file",
        Ok(kind) if kind.is_dir() => "a directory",
        Ok(kind) if kind.is_fifo() => "a pipe",
        _ => "no regular file",
    }
}

/// Names the files that no signature covers.
pub(super) fn uncovered(dir: &Path, manifest: &Manifest) -> Result<Vec<String>, TransferError> {
    let (_, found) = sorted(dir, manifest)?;
    let more = found.len().saturating_sub(LISTED);
    let mut notes: Vec<String> = found
        .iter()
        .take(LISTED)
        .map(|name| format!("`{}` is no part of the bundle: no signature covers it", name.escape_debug()))
        .collect();
    if more > 0 {
        notes.push(format!("nor are {more} more files"));
    }
    Ok(notes)
}

/// Lists the files that are part of a bundle, by their paths in its directory.
pub(super) fn covered(dir: &Path, manifest: &Manifest) -> Result<Vec<String>, TransferError> {
    let (mut covered, _) = sorted(dir, manifest)?;
    let copies = dir.join(seal::COPY);
    if manifest.parity.is_some() && copies.is_dir() {
        let (second, _) = sorted(&copies, manifest)?;
        covered.extend(second.into_iter().map(|name| format!("{}/{name}", seal::COPY)));
    }
    covered.retain(|name| medium::is_file(&dir.join(name)));
    Ok(covered)
}

/// Sorts what lies in a bundle's directory into what is part of it and what is not.
fn sorted(dir: &Path, manifest: &Manifest) -> Result<(Vec<String>, Vec<String>), TransferError> {
    let (mut covered, mut others) = (Vec::new(), Vec::new());
    for (name, path) in medium::entries(dir)? {
        let inside: Option<&dyn Fn(&str) -> bool> = match name.as_str() {
            seal::TRUST => Some(&|name| is_trust(name, manifest)),
            seal::SIGNATURES => Some(&is_signature),
            proof::DIRECTORY => Some(&|name| is_origin(name, manifest)),
            _ => None,
        };
        match inside {
            Some(known) if path.is_dir() => {
                for (inner, _) in medium::entries(&path)? {
                    let list = if known(&inner) { &mut covered } else { &mut others };
                    list.push(format!("{name}/{inner}"));
                }
            }
            _ if is_covered(&name, manifest) => covered.push(name),
            _ => others.push(name),
        }
    }
    Ok((covered, others))
}

fn is_covered(name: &str, manifest: &Manifest) -> bool {
    // `SHA256SUMS` is held against the manifest
    let parity = manifest.parity.as_ref();
    [manifest::FILE, index::FILE, sums::FILE, manifest::REVIEW_JSON, manifest::REVIEW_HTML].contains(&name)
        // what is in it is held against the first copies
        || (name == seal::COPY && parity.is_some())
        || ParityNumber::parse_file_name(name)
            .is_some_and(|number| parity.is_some_and(|p| p.files().any(|(listed, _)| listed == number)))
        || VolumeNumber::parse_file_name(name)
            .is_ok_and(|number| manifest.volumes().any(|(volume, _)| volume == number))
}

fn is_origin(name: &str, manifest: &Manifest) -> bool {
    manifest.origins.iter().any(|file| proof::path(&file.sha256).rsplit('/').next() == Some(name))
}

fn is_trust(name: &str, manifest: &Manifest) -> bool {
    manifest.trust.iter().any(|link| {
        let document = seal::trust_document(link.version);
        let document = document.rsplit('/').next().unwrap_or_default();
        name == document || medium::is_signature(name, &format!("{:04}-", link.version))
    })
}

fn is_signature(name: &str) -> bool {
    ["collector-", "approver-"].iter().any(|prefix| medium::is_signature(name, prefix))
}
