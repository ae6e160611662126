//! Room `transfer`: bundles out of one store and into another. See docs/design.md §7 and docs/bundle-format.md.
//!
//! Media are only read. Signatures are checked before anything is parsed, cells before anything is unpacked, and nothing
//! becomes current but by one append to the journal at the end.

mod accepted;
mod admit;
mod approval;
mod content;
mod counts;
mod error;
mod export;
mod held;
mod import;
mod inspect;
mod lines;
mod medium;
mod missing;
mod origin;
mod own;
mod pending;
pub mod receipt;
mod repair;
mod review;
mod sorter;
mod spread;
mod strays;
mod survey;
mod volume;

use jiff::Timestamp;

use crate::{report::Reporter, store::Store};

pub use accepted::{document, links, record};
pub use approval::{Approval, Looked, approve, look};
pub use error::{Hidden, MissingBase, TransferError};
pub use export::{
    AfterWrite, ExportError, ExportPlan, ExportRequest, How, News, OutFault, PlannedState, Unchanged,
    VOLUME_SIZE, Weight, Written, plan_export, weigh,
};
pub use held::{Since, acknowledged_by};
pub use import::{ImportOutcome, Imported, Ready, Rules, import, try_out};
pub use inspect::{Inspection, Verification, VolumeVerdict, inspect, verify};
pub use origin::Demands;
pub use own::{OwnTrust, own_document, signers};
pub use pending::manifest as pending_manifest;
pub use receipt::{Applied, Backwards, Heard, ReceiptFault};
pub use repair::Damage;
pub use review::between;
pub use spread::{Onto, Share, Spread, SpreadRequest, plan_spread, spread};
pub use survey::Policies;

/// Writes a bundle, or finds that nothing is new; see [`ExportRequest`]. What the store lacks for it is named with who needs it.
pub fn export(
    store: &Store,
    request: &ExportRequest<'_>,
    reporter: &dyn Reporter,
) -> Result<Option<Written>, TransferError> {
    export::export(store, request, reporter).map_err(|error| missing::blame(store, error))
}

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
