//! Files of a bundle that an import can do without: parity, and second copies.

use std::path::Path;

use chantal_bundle::{manifest, parity::Parity, seal};
use chantal_contract::{Measured, limits::BUNDLE_MANIFEST_BYTES};

use super::Inspection;
use crate::transfer::{TransferError, medium, repair::Media};

/// What is wrong with them, in words.
#[derive(Default)]
pub(super) struct Spare {
    /// Those that are not what they should be, and what had to be read from a second copy.
    pub damaged: Vec<String>,
    /// Those that are not at hand.
    pub absent: Vec<String>,
}

/// Looks at all of them.
pub(super) fn look(inspection: &Inspection, media: &Media) -> Result<Spare, TransferError> {
    let copied = inspection.copied.iter();
    let damaged = copied.map(|part| format!("`{part}` is damaged or missing and was read from `copy/`"));
    let mut spare = Spare { damaged: damaged.collect(), absent: Vec::new() };
    let Some(parity) = &inspection.manifest.parity else { return Ok(spare) };
    if inspection.copied.is_empty() {
        for dir in &inspection.paths {
            spare.compare_copies(dir)?;
        }
    }
    spare.read(parity, media);
    Ok(spare)
}

impl Spare {
    /// Holds the second copies against the first.
    fn compare_copies(&mut self, dir: &Path) -> Result<(), TransferError> {
        let copy = dir.join(seal::COPY);
        if !copy.is_dir() {
            self.absent.push(format!("`{}`", copy.display()));
            return Ok(());
        }
        self.compare(dir, manifest::FILE);
        for sub in [seal::TRUST, seal::SIGNATURES] {
            // An approval is added later, and only to the first.
            let names = medium::names(&dir.join(sub))?;
            for name in names.into_iter().filter(|name| !name.starts_with("approver-")) {
                self.compare(dir, &format!("{sub}/{name}"));
            }
        }
        Ok(())
    }

    fn compare(&mut self, dir: &Path, name: &str) {
        let second = dir.join(seal::COPY).join(name);
        if !second.exists() {
            self.absent.push(format!("`{}`", second.display()));
            return;
        }
        let read = |path: &Path| medium::read(path, BUNDLE_MANIFEST_BYTES);
        if !matches!((read(&dir.join(name)), read(&second)), (Ok(first), Ok(second)) if first == second) {
            self.damaged.push(format!("`{}` is not what `{name}` is", second.display()));
        }
    }

    /// Reads the parity files, every copy of each.
    fn read(&mut self, parity: &Parity, media: &Media) {
        for (number, file) in parity.files() {
            let Some(paths) = media.parity.get(&number) else {
                self.absent.push(format!("`{number}`"));
                continue;
            };
            for path in paths {
                let expected = Measured { sha256: file.sha256, size: file.size };
                match medium::measure(path, Some(&expected), &mut |_| Ok(())) {
                    Ok(_) => {}
                    Err(TransferError::Altered { .. }) => {
                        self.damaged.push(format!("`{}` is damaged", path.display()));
                    }
                    Err(fault) => self.damaged.push(format!("{fault}")),
                }
            }
        }
    }
}
