//! What the errors of the rooms mean for exit code and hint.

use std::error::Error;

use chantal_bundle::trust::ChangeError;
use chantal_contract::{VerifyError, name::NameError};

use crate::{
    publish::PublishError,
    transfer::{ReceiptFault, TransferError},
    trust::{KeyError, KeyringError, SshsigError, TrustError},
};

/// Exit code and hint.
type Nature = (u8, Option<String>);

/// Returns exit code and hint of a room's error; none for anything else.
pub fn nature(cause: &(dyn Error + 'static)) -> Option<Nature> {
    if let Some(error) = cause.downcast_ref::<TransferError>() {
        let code = if matches!(error, TransferError::Key(_)) { 2 } else { refusal(error.is_refusal()) };
        return Some((code, error.hint()));
    }
    if let Some(error) = cause.downcast_ref::<ReceiptFault>() {
        return Some((refusal(error.is_refusal()), error.hint()));
    }
    if let Some(error) = cause.downcast_ref::<PublishError>() {
        return Some((1, error.hint()));
    }
    #[cfg(feature = "collector")]
    if let Some(error) = cause.downcast_ref::<crate::upstream::sync::SyncError>() {
        return Some((refusal(error.is_refusal()), error.hint()));
    }
    of_trust(cause)
}

const fn refusal(is: bool) -> u8 {
    if is { 3 } else { 1 }
}

fn of_trust(cause: &(dyn Error + 'static)) -> Option<Nature> {
    if let Some(error) = cause.downcast_ref::<TrustError>() {
        let code = match error {
            TrustError::Key(_) => 2,
            _ => 3,
        };
        return Some((code, error.hint()));
    }
    // a key is what the configuration or the command line names
    if let Some(error) = cause.downcast_ref::<KeyError>() {
        return Some((2, error.hint()));
    }
    if let Some(error) = cause.downcast_ref::<KeyringError>() {
        return Some((2, error.hint()));
    }
    if cause.is::<SshsigError>() || cause.is::<VerifyError>() {
        return Some((3, None));
    }
    if cause.is::<chantal_bundle::trust::TrustError>() {
        let hint = "a draft that was changed by hand is none: the command that wrote it writes it anew by `--draft FILE`";
        return Some((3, Some(hint.to_owned())));
    }
    if cause.is::<ChangeError>() {
        let hint = "`chantal trust show` lists keys, roles and thresholds".to_owned();
        return Some((2, Some(hint)));
    }
    cause.is::<NameError>().then_some((2, None))
}
