//! Why a bundle is not written, and what helps.

use std::{io, path::PathBuf};

use chantal_bundle::{
    BundleName,
    delta::LinesError,
    manifest::ManifestError,
    parity::{CodeError, LayoutError},
    volume::PackError,
};
use chantal_contract::{Digest, Name, SiteName};

use super::OutFault;
use crate::{
    store::{Address, Object},
    transfer::{
        TransferError,
        error::shown::{List, quoted},
    },
    trust::TrustError,
};

/// Why a bundle is not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// States lack what they need, as after a restore: packages are in no backup.
    #[error("{} {} {what} {digest}, which is not in the store", List(&quoted(needed_by)), if needed_by.len() == 1 { "lacks" } else { "lack" })]
    Lacks {
        /// What is missing.
        what: Object,
        /// Its name.
        digest: Digest,
        /// The newest states and snapshots that need it.
        needed_by: Vec<Address>,
        /// Those of their repositories that are synced here.
        again: Vec<String>,
    },
    /// Nothing was chosen that could be exported.
    #[error("there is nothing to export for site `{site}`: none of its repositories has a snapshot")]
    NothingThere {
        /// The site.
        site: SiteName,
    },
    /// The base that was asked for is neither a snapshot of any chosen repository nor a bundle.
    #[error(
        "`{asked}` is neither a snapshot of a repository of site `{site}` nor a bundle that was exported to it"
    )]
    UnknownBase {
        /// What was asked for.
        asked: String,
        /// The site.
        site: SiteName,
    },
    /// The receipt that says what is missing is another site's.
    #[error("the receipt is of site `{asked}`, the bundle would be for site `{site}`")]
    OtherReceipt {
        /// Whose it is.
        asked: SiteName,
        /// For whom the bundle would be.
        site: SiteName,
    },
    /// A blob that a receipt misses is gone here as well.
    #[error("blob {blob}, which site `{site}` misses, is not in this store any more")]
    Forgotten {
        /// The site.
        site: SiteName,
        /// The blob.
        blob: Digest,
    },
    /// The keys that were given may not sign bundles, or are too few.
    #[error("the keys that are given cannot sign this bundle: {source}")]
    OwnKeys {
        /// Why.
        source: TrustError,
    },
    /// There is no directory that the bundle could be written to.
    #[error("no bundle can be written to `{}`: {source}", path.display())]
    Out {
        /// What was asked for.
        path: PathBuf,
        /// Why.
        source: OutFault,
    },
    /// The parity code refused.
    #[error(transparent)]
    Parity(#[from] CodeError),
    /// The numbers that parity would be cut by do not fit.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// What was written reads back otherwise.
    #[error("`{}` reads back otherwise than it was written", path.display())]
    ReadBack {
        /// The file.
        path: PathBuf,
    },
    /// The medium is too small for the bundle, or filled up while it was being written; nothing of it was left.
    #[error("`{}` has {free} bytes free, the bundle needs {needed}", path.display())]
    Full {
        /// Where the bundle was to be.
        path: PathBuf,
        /// What the bundle needs, in bytes, as far as is known.
        needed: u64,
        /// What was free for it, in bytes.
        free: u64,
    },
    /// A bundle is to be spread, and a file of it is not at hand.
    #[error("`{}` lacks `{name}`: only a whole bundle is spread", path.display())]
    NotWhole {
        /// The bundle's directory.
        path: PathBuf,
        /// The first file that is missing.
        name: String,
    },
    /// A file of a bundle has room on no medium.
    #[error(
        "{bundle}: `{name}` of {size} bytes fits on no medium: of {media} the emptiest has room for {room}"
    )]
    Misfit {
        /// The bundle.
        bundle: BundleName,
        /// The file.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// How many media there are.
        media: usize,
        /// The most that one of them takes beside the small files, in bytes.
        room: u64,
    },
    /// A directory stands where the bundle would.
    #[error("`{}` exists and is not the bundle that would be written there", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// Blobs cannot be packed into volumes.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The manifest that would be written breaks a rule of the format.
    #[error("this bundle cannot be written: {0}")]
    Unwritable(ManifestError),
    /// A state's list cannot be read.
    #[error("repository `{repository}`: {source}")]
    Lines {
        /// The repository.
        repository: Name,
        /// Why.
        source: LinesError,
    },
    /// The review cannot be written.
    #[error("the review cannot be written: {source}")]
    Unreviewed {
        /// Why.
        source: io::Error,
    },
}

// each of these faults arises nowhere but in an export
impl From<PackError> for TransferError {
    fn from(error: PackError) -> Self {
        Self::Export(error.into())
    }
}
impl From<LayoutError> for TransferError {
    fn from(error: LayoutError) -> Self {
        Self::Export(error.into())
    }
}
impl From<CodeError> for TransferError {
    fn from(error: CodeError) -> Self {
        Self::Export(error.into())
    }
}

impl ExportError {
    /// Returns what helps.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::OwnKeys { source } => own_keys(source),
            Self::Lacks { again, .. } if !again.is_empty() => Some(format!(
                "`chantal sync {}` brings back what upstream still has; `chantal verify` lists all that is missing",
                again.join(" ")
            )),
            Self::Lacks { .. } => Some(
                "import a bundle that was exported with `--since none`; `chantal verify` lists all that is missing".into(),
            ),
            Self::OtherReceipt { asked, .. } => Some(format!("give `--to {asked}`")),
            Self::Forgotten { site, .. } => Some(format!(
                "`chantal export --to {site}` carries the present states, and all that they need"
            )),
            Self::Unwritable(ManifestError::Limit { .. }) => Some(
                "let less travel: give the site fewer repositories in the configuration, or delete snapshots that it need not get \
                 (`chantal snapshot delete`)"
                    .into(),
            ),
            Self::NothingThere { .. } => Some("`chantal sync` first".into()),
            Self::UnknownBase { .. } => Some(
                "`chantal snapshot list` and `chantal bundle list` show what there is; `--since none` writes everything".into(),
            ),
            Self::Full { .. } => Some(
                "nothing was left there or noted: run the same command with `--out` on a larger medium, or free some of this one"
                    .into(),
            ),
            Self::ReadBack { .. } => Some(
                "medium or drive fail: run the same command with `--out` on another one; nothing was noted".into(),
            ),
            Self::Out { path, source } => Some(source.hint(path)),
            Self::NotWhole { .. } => Some(
                "bring all files of the bundle into one directory first; `chantal bundle verify DIR` lists what is missing".into(),
            ),
            Self::Misfit { .. } => Some(
                "name one more medium (`--onto DIR`) or a larger one; a file larger than a medium wants an export with a smaller `--volume-size`".into(),
            ),
            Self::Exists { path } => Some(format!("move `{}` away", path.display())),
            _ => None,
        }
    }
}

/// What helps where the keys that are to sign a bundle do not suffice.
fn own_keys(source: &TrustError) -> Option<String> {
    let TrustError::NotEnough { collector, signed, strangers, .. } = source else { return source.hint() };
    let more =
        format!("`--sign-with KEY` gives another collector key; `chantal trust show {collector}` lists them");
    Some(match strangers.as_slice() {
        [] => more,
        // the site's own key comes first, and is none
        _ if *signed == 0 => {
            format!("`chantal trust rotate` finishes a rotation that was interrupted; {more}")
        }
        strangers => {
            let keys: Vec<String> = strangers.iter().map(ToString::to_string).collect();
            format!("{} may not sign bundles: {more}", keys.join(", "))
        }
    })
}
