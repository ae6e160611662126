//! Repairs damaged and lost volumes of a bundle that is being imported, and reads them again.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use chantal_bundle::VolumeNumber;

use super::{
    Job,
    blobs::{self, Taken},
    rebuild::Missing,
};
use crate::{
    report::Event as Report,
    transfer::{
        TransferError,
        repair::{Clinic, Damage, Media, cell_lists},
    },
};

/// Looks at the volumes that could not be read and at those that are needed and not at hand, and takes what can be repaired.
///
/// Returns what was repaired whole. What is beyond repair stays among the damaged, or missing.
pub(super) fn heal(
    job: &Job<'_>,
    missing: &Missing,
    media: &Media,
    taken: &mut Taken,
) -> Result<Vec<Damage>, TransferError> {
    let (store, manifest, reporter) = (job.store, job.manifest(), job.reporter);
    let clinic = Clinic { store, manifest, media, reporter };
    let lost = clinic.revivable().into_iter().filter(|number| missing.volumes.contains_key(number));
    let damaged = taken.damaged.iter().map(|(number, _)| *number);
    let wanted: BTreeSet<VolumeNumber> = damaged.chain(lost).collect();
    let mut repaired = Vec::new();
    if !wanted.is_empty() {
        let cell = NonZeroU32::new(manifest.cell).unwrap_or(NonZeroU32::MIN);
        let lists = cell_lists(&mut job.index()?, cell, &wanted).map_err(|e| job.of_index(e))?;
        let mut mended = BTreeMap::new();
        for healed in clinic.heal(lists)? {
            let damage = healed.damage;
            let (subject, text) = (damage.volume.file_name(), damage.words());
            reporter.event(Report::Warning { subject: &subject, text: &text });
            if damage.is_repaired() || damage.beyond != damage.ranges {
                mended.insert(damage.volume, healed.mended);
            }
            if damage.is_repaired() {
                repaired.push(damage);
            }
        }
        if !mended.is_empty() {
            blobs::take_mended(job, mended, taken)?;
        }
    }
    // A medium that went away is one that has to come again, not one that is damaged.
    taken.damaged.retain(|(_, fault)| !fault.is_gone());
    Ok(repaired)
}
