//! Which bundle a fault is about.

use std::path::Path;

use chantal_bundle::BundleName;

use super::TransferError;

impl TransferError {
    /// Returns the name of the bundle that a fault is of: its own, or, of one that is not believed, that of its directory.
    pub fn bundle(&self) -> Option<String> {
        match self {
            Self::Unapproved { bundle, .. }
            | Self::OtherReview { bundle, .. }
            | Self::OtherPackages { bundle, .. }
            | Self::Index { bundle, .. }
            | Self::NoOrigin { bundle, .. }
            | Self::WrongSite { bundle, .. }
            | Self::WrongEpoch { bundle, .. }
            | Self::Older { bundle, .. }
            | Self::Replayed { bundle, .. }
            | Self::MissingBases { bundle, .. }
            | Self::MissingBlobs { bundle, .. }
            | Self::MissingRecord { bundle, .. }
            | Self::NoIndex { bundle }
            | Self::Patch { bundle, .. }
            | Self::Contradiction { bundle, .. }
            | Self::NotBack { bundle, .. }
            | Self::OwnRepository { bundle, .. }
            | Self::OtherCollector { bundle, .. }
            | Self::OldOrigin { bundle, .. }
            | Self::NothingToVerify { bundle, .. }
            | Self::LargeGroup { bundle, .. }
            | Self::Damaged { bundle, .. } => Some(bundle.to_string()),
            Self::NotShown(hidden) => Some(hidden.bundle.to_string()),
            Self::Untrusted { path, .. }
            | Self::Stranger { path, .. }
            | Self::NoTrust { path }
            | Self::NoChain { path }
            | Self::Manifest { path, .. }
            | Self::WrongStream { path, .. }
            | Self::OtherChain { path }
            | Self::OtherProof { path }
            | Self::Proof { path, .. }
            | Self::TooLong { path, .. }
            | Self::NoFile { path }
            | Self::Io { path, .. }
            | Self::Altered { path, .. } => path.ancestors().find_map(named),
            _ => None,
        }
    }
}

/// Reads the name of a bundle's directory.
fn named(dir: &Path) -> Option<String> {
    let name = dir.file_name()?.to_str()?;
    name.parse::<BundleName>().ok().map(|name| name.to_string())
}
