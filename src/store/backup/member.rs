//! The members of a backup.

use std::{io, path::Path};

use chantal_contract::Digest;

use crate::store::{StoreError, file};

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Journal,
    Manifest(Digest),
    Pack(Digest),
    Blob(Digest),
}

impl Member {
    /// Returns its name.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Journal => "journal.jsonl".into(),
            Self::Manifest(name) => format!("manifests/{name}"),
            Self::Pack(name) => format!("packs/{name}.pack"),
            Self::Blob(name) => format!("blobs/{name}"),
        }
    }

    /// Reads a name; there are no others.
    pub(super) fn parse(path: &str) -> Option<Self> {
        if path == "journal.jsonl" {
            return Some(Self::Journal);
        }
        let (head, tail) = path.split_once('/')?;
        match head {
            "manifests" => tail.parse().ok().map(Self::Manifest),
            "packs" => tail.strip_suffix(".pack")?.parse().ok().map(Self::Pack),
            "blobs" => tail.parse().ok().map(Self::Blob),
            _ => None,
        }
    }
}

/// Appends a member from memory; nothing of the machine or the hour enters its header.
pub(super) fn append<W: io::Write>(
    tar: &mut tar::Builder<W>,
    member: &Member,
    size: u64,
    bytes: &mut dyn io::Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, member.path(), bytes)
}

/// Appends a file of the store.
pub(super) fn append_file<W: io::Write>(
    tar: &mut tar::Builder<W>,
    member: &Member,
    from: &Path,
    backup: &Path,
) -> Result<(), StoreError> {
    let mut opened = file::open(from)?;
    let size = opened.metadata().map_err(|e| StoreError::io(from, e))?.len();
    append(tar, member, size, &mut opened).map_err(|e| StoreError::io(backup, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_names_and_no_others() {
        let name = Digest::of(b"x");
        for member in [Member::Journal, Member::Manifest(name), Member::Pack(name), Member::Blob(name)] {
            assert_eq!(Member::parse(&member.path()), Some(member));
        }
        for bad in ["", "x", "/journal.jsonl", "manifests/..", "../manifests/x", "packs/x.pack", "blobs/"] {
            assert_eq!(Member::parse(bad), None);
        }
    }
}
