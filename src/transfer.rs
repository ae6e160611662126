//! Room `transfer`: bundles out of one store and into another. See docs/design.md §7 and docs/bundle-format.md.
//!
//! Media are only read. Signatures are checked before anything is parsed, cells before anything is unpacked, and nothing
//! becomes current but by one append to the journal at the end.

mod admit;
mod content;
mod error;
mod export;
mod held;
mod import;
mod inspect;
mod medium;
mod sorter;
mod vet;
mod volume;

use jiff::Timestamp;

pub use error::{MissingBase, TransferError};
pub use export::{
    ExportPlan, ExportRequest, How, OutFault, PlannedState, VOLUME_SIZE, Written, export, plan_export,
};
pub use held::Since;
pub use import::{ImportOutcome, Imported, import};
pub use inspect::{Inspection, Verification, VolumeVerdict, inspect, verify};
pub use vet::Policies;

/// Returns what a bundle says of when it was made: `SOURCE_DATE_EPOCH`, or now.
///
/// A value that is no number of seconds is ignored by no one: the text comes back as the error.
pub fn created(now: Timestamp) -> Result<Timestamp, String> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().ok().and_then(|s| Timestamp::from_second(s).ok()).ok_or(text),
        Err(_) => Ok(now),
    }
}

#[cfg(test)]
mod tests;
