//! What a snapshot needs to be whole: blobs and records of its lines, blobs of its evidence.

use std::io::BufRead;

use chantal_bundle::delta::{Lines, LinesError};
use chantal_contract::{
    Digest, Entry as FileEntry, Line, Measured, manifest::ManifestError, manifest::Reader,
};

use super::TransferError;
use crate::store::{Evidence, StateRef, Store, StoreError};

/// Bytes of an evidence list.
pub(super) const EVIDENCE_BYTES: u64 = 256 << 20;

/// What one line of a manifest needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Blob(Measured),
    Record(Digest),
    Nothing,
}

/// Reads what a line of a manifest needs.
pub(super) fn need(line: &str) -> Result<Need, LinesError> {
    let parsed = Line::parse(line).map_err(|why| ManifestError::Form { line: 0, why })?;
    Ok(match parsed {
        Line::File { entry: FileEntry::Present { measured, .. }, .. } => Need::Blob(measured),
        Line::File { entry: FileEntry::Absent, .. } => Need::Nothing,
        Line::Doc { record, .. } | Line::Pkg { record, .. } => Need::Record(record),
    })
}

/// Reads a list and counts its files and their bytes as they pass.
pub(super) struct Tally<R> {
    pub reader: Reader<R>,
    pub files: u64,
    pub bytes: u64,
}

impl<R: BufRead> Tally<R> {
    pub fn new(reader: Reader<R>) -> Self {
        Self { reader, files: 0, bytes: 0 }
    }
}
impl<R: BufRead> Lines for Tally<R> {
    fn advance(&mut self) -> Result<bool, LinesError> {
        let Some(line) = self.reader.next_raw()? else { return Ok(false) };
        // Every line passes here, also of an export of little: its size is all that is looked at.
        let mut fields = line.rsplitn(3, '\t');
        let (role, size) = (fields.next(), fields.next());
        if line.starts_with("file\t")
            && role != Some("absent")
            && let Some(size) = size.and_then(|s| s.parse::<u64>().ok())
        {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(size);
        }
        Ok(true)
    }

    fn current(&self) -> Option<&str> {
        self.reader.current()
    }
}

/// Visits everything that a state needs: blobs and records of its manifest, blobs of its evidence; proves the manifest.
///
/// Returns how many files the state has that are there, and their bytes.
pub(super) fn visit(
    store: &Store,
    state: &StateRef,
    visit: &mut dyn FnMut(Need) -> Result<(), TransferError>,
) -> Result<(u64, u64), TransferError> {
    let damaged = |source| StoreError::Manifest { digest: state.manifest, source };
    let mut reader = store.manifests().open(&state.manifest)?;
    let (mut files, mut bytes) = (0, 0_u64);
    while let Some(line) = reader.next_raw().map_err(damaged)? {
        let found = need(line).map_err(|e| match e {
            LinesError::Manifest(source) => damaged(source),
            _ => damaged(ManifestError::Form { line: 0, why: "it cannot be read" }),
        })?;
        if let Need::Blob(blob) = found {
            (files, bytes) = (files + 1, bytes.saturating_add(blob.size));
        }
        if found != Need::Nothing {
            visit(found)?;
        }
    }
    prove(&state.manifest, reader.digest())?;
    visit_evidence(store, state, visit)?;
    Ok((files, bytes))
}

/// Visits the blobs of a state's evidence.
pub(super) fn visit_evidence(
    store: &Store,
    state: &StateRef,
    visit: &mut dyn FnMut(Need) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    if let Some(list) = &state.evidence {
        for blob in Evidence::parse(&store.pool().read(list, EVIDENCE_BYTES)?)?.blobs() {
            visit(Need::Blob(blob))?;
        }
    }
    Ok(())
}

/// Compares what a manifest's bytes hash to with its name.
pub(super) fn prove(name: &Digest, found: Digest) -> Result<(), TransferError> {
    if found == *name {
        return Ok(());
    }
    let source = ManifestError::Form { line: 0, why: "its bytes are not what its name says" };
    Err(StoreError::Manifest { digest: *name, source }.into())
}
