//! Everything of a bundle that is at hand, proved.

use std::{
    io::{BufReader, Seek},
    path::{Path, PathBuf},
};

use chantal_bundle::{VolumeNumber, index};

use super::{
    Inspection, Seen, VolumeVerdict, copy_checked, copy_index, see, spare, sums,
    volumes::{self, Checked},
};
use crate::{
    report::Reporter,
    store::Store,
    transfer::{
        TransferError, medium,
        repair::{Clinic, Damage},
        review,
    },
};

/// What a verification found.
#[derive(Debug)]
pub struct Verification {
    /// The bundle.
    pub inspection: Inspection,
    /// Each volume.
    pub volumes: Vec<(VolumeNumber, VolumeVerdict)>,
    /// Damage of volumes, and what became of it.
    pub damage: Vec<Damage>,
    /// Files that are damaged and that an import can do without: parity, second copies, or firsts that have one.
    pub spare: Vec<String>,
    /// Files that are not at hand and that an import can do without: parity, second copies, `SHA256SUMS`.
    pub absent: Vec<String>,
    /// Entries of `SHA256SUMS` that contradict the signed manifest, or are missing from it.
    pub sums: Vec<String>,
}

impl Verification {
    /// Tells whether nothing had to be repaired, nor may have to be once more is lost, and all that was written is at hand.
    pub fn is_sound(&self) -> bool {
        self.spare.is_empty()
            && self.absent.is_empty()
            && !self.volumes.iter().any(|(_, v)| matches!(v, VolumeVerdict::Repairable))
    }

    /// Tells whether everything that is at hand is good, or was repaired, and `SHA256SUMS` says so, too.
    pub fn is_good(&self) -> bool {
        self.sums.is_empty() && self.is_signed()
    }

    /// Tells whether everything that is at hand is what was signed: all that an import asks for.
    pub fn is_signed(&self) -> bool {
        !self.volumes.iter().any(|(_, v)| matches!(v, VolumeVerdict::Bad(_)))
    }

    /// Tells whether every volume is at hand.
    pub fn is_whole(&self) -> bool {
        !self.volumes.iter().any(|(_, v)| matches!(v, VolumeVerdict::Absent))
    }
}

/// Verifies everything of the bundles at the given paths that is at hand; what lies on several media is put together.
///
/// A bundle that is not believed is one of the errors inside.
pub fn verify(
    store: &Store,
    paths: &[PathBuf],
    reporter: &dyn Reporter,
) -> Result<Vec<Result<Verification, TransferError>>, TransferError> {
    Ok(see(store, paths)?.into_iter().map(|seen| one(store, seen?, reporter)).collect())
}

fn one(store: &Store, seen: Seen, reporter: &dyn Reporter) -> Result<Verification, TransferError> {
    let Seen { inspection, media } = seen;
    let Inspection { bundle, paths, manifest, .. } = &inspection;
    let mut spare = spare::look(&inspection, &media)?;
    let mut wrong = Vec::new();
    let mut summed = false;
    for dir in paths {
        if let Some(found) = sums::compare(dir, manifest)? {
            summed = true;
            wrong.extend(found);
        }
        medium::expect_review(dir, &manifest.review)?;
    }
    if !summed {
        spare.absent.push(format!("`{}`", chantal_bundle::sums::FILE));
    }
    let clinic = Clinic { store, manifest, media: &media, reporter };
    let copy = match copy_index(store, paths, bundle, manifest.index) {
        Ok(copy) => copy,
        Err(fault) => {
            spare.damaged.push(fault.to_string());
            let copies: Vec<PathBuf> = paths.iter().filter_map(|dir| medium::index_file(dir)).collect();
            let Some(mended) = clinic.index(&copies)? else { return Err(fault) };
            copy_checked(store, mended, Path::new(index::FILE), manifest.index).map_err(|_| fault)?
        }
    };
    let again = copy.try_clone().map_err(|e| TransferError::io(Path::new(index::FILE), e))?;
    (&again).rewind().map_err(|e| TransferError::io(Path::new(index::FILE), e))?;
    review::check(manifest, BufReader::new(again))?;
    let Checked { volumes, damage, copies } = volumes::check(&clinic, bundle, copy)?;
    spare.damaged.extend(copies);
    let spare::Spare { damaged, absent } = spare;
    Ok(Verification { inspection, volumes, damage, spare: damaged, absent, sums: wrong })
}
