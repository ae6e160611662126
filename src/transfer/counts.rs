//! Holds what an index lists against what its manifest says that it does: people decide by these numbers.

use std::{io::BufRead, num::NonZeroU32};

use chantal_bundle::{
    Manifest,
    index::{self, Item, Member, Totals},
    manifest::VolumeFile,
};

use super::TransferError;

/// What has been seen of an index.
pub(super) struct Counted<'a> {
    manifest: &'a Manifest,
    volumes: std::slice::Iter<'a, VolumeFile>,
    /// Bytes of the blobs, however they are split.
    bytes: u64,
}

impl<'a> Counted<'a> {
    pub fn new(manifest: &'a Manifest) -> Self {
        Self { manifest, volumes: manifest.volumes.iter(), bytes: 0 }
    }

    /// Looks at the next item; refuses a volume that the manifest does not list in its place, and at the end other counts.
    pub fn see(&mut self, item: &Item<'_>) -> Result<(), TransferError> {
        match item {
            Item::Volume(entry) => {
                let (size, sha256) = (entry.measured.size, entry.measured.sha256);
                let listed = self.volumes.next();
                self.agree(listed.is_some_and(|v| (v.size.get(), v.sha256) == (size, sha256)), "the volumes")
            }
            Item::Member(Member { blob, part }) => {
                if part.is_none_or(|part| part.number == 1) {
                    self.bytes = self.bytes.saturating_add(blob.size);
                }
                Ok(())
            }
            Item::End(totals) => self.end(totals),
            _ => Ok(()),
        }
    }

    fn end(&self, totals: &Totals) -> Result<(), TransferError> {
        let Manifest { states, volumes, counts, .. } = self.manifest;
        let found = (totals.states, totals.volumes, totals.records, totals.blobs, self.bytes);
        let (states, volumes) = (states.len() as u64, volumes.len() as u64);
        self.agree(found == (states, volumes, counts.records, counts.blobs, counts.bytes), "the counts")
    }

    fn agree(&self, holds: bool, what: &'static str) -> Result<(), TransferError> {
        if holds { Ok(()) } else { Err(TransferError::Contradiction { bundle: self.manifest.name()?, what }) }
    }
}

/// Reads an index to its end and refuses one that holds something else than its manifest says.
pub(super) fn expect(manifest: &Manifest, input: impl BufRead) -> Result<(), TransferError> {
    let bundle = manifest.name()?;
    let fault = |source| TransferError::Index { bundle: bundle.clone(), source };
    let cell = NonZeroU32::new(manifest.cell).unwrap_or(NonZeroU32::MIN);
    let mut index = index::Reader::new(input, manifest.index.open_size, cell).map_err(fault)?;
    let mut counted = Counted::new(manifest);
    while let Some(item) = index.next_item().map_err(fault)? {
        counted.see(&item)?;
    }
    Ok(())
}
