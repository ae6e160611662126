//! What may go wrong between two stores, and what helps.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use chantal_bundle::{
    BundleName, BundleNameError, Epoch, KeyFingerprint, VolumeNumber,
    cells::CellError,
    delta::{LinesError, PatchError},
    index::IndexError,
    manifest::ManifestError,
    parity::{CodeError, LayoutError},
    proof::ProofError,
    volume::{PackError, UnpackError},
};
use chantal_contract::{Digest, Mismatch, Name, SiteName};

use super::export::OutFault;
use crate::{
    store::{Address, Object, StoreError},
    trust::{KeyError, TrustError},
};

/// A snapshot that a bundle starts from and the site does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingBase {
    /// Its repository.
    pub repository: Name,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The bundle that brought it, as far as the collector knew.
    pub bundle: Option<String>,
}
impl fmt::Display for MissingBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.manifest.hex();
        write!(f, "`{}` {}", self.repository, digest.get(..12).unwrap_or(&digest))?;
        match &self.bundle {
            Some(bundle) => write!(f, " (brought by {bundle})"),
            None => Ok(()),
        }
    }
}

struct List<'a, T>(&'a [T]);
impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, item) in self.0.iter().take(5).enumerate() {
            write!(f, "{}{item}", if n > 0 { ", " } else { "" })?;
        }
        match self.0.len() {
            0..=5 => Ok(()),
            more => write!(f, " and {} more", more - 5),
        }
    }
}

/// Why a bundle was not written, believed or imported.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    /// A file cannot be read or written.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The file system is full, or will be.
    #[error("`{}` has {free} bytes free, {needed} are needed", path.display())]
    NoSpace {
        /// A directory on it.
        path: PathBuf,
        /// What is needed, in bytes.
        needed: u64,
        /// What is there, in bytes.
        free: u64,
    },
    /// The site's key cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Names do not fit.
    #[error(transparent)]
    Name(#[from] BundleNameError),

    /// Another thread of the same transfer failed, and says why.
    #[error("another thread of this transfer failed")]
    Interrupted,

    // --- export ---
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
    /// No trust document was accepted of this site itself, so that nobody could verify what it signs.
    #[error("site `{site}` has no trust document that names its key")]
    NoOwnTrust {
        /// This site.
        site: SiteName,
    },
    /// The site's key may not sign bundles, or not alone.
    #[error("the site's key cannot sign this bundle: {source}")]
    OwnTrust {
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
    Parity {
        /// Why.
        source: CodeError,
    },
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

    // --- reading ---
    /// Neither a bundle nor a volume lies there.
    #[error("`{}` holds neither a bundle nor a volume of one", path.display())]
    NoBundle {
        /// What was given.
        path: PathBuf,
    },
    /// A file of a bundle is a device, a pipe or a directory.
    #[error("`{}` is no regular file", path.display())]
    NoFile {
        /// What it is called.
        path: PathBuf,
    },
    /// A file of a bundle is larger than such files are.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most it may have, in bytes.
        limit: u64,
    },
    /// Volumes without a manifest fit no bundle that is being imported.
    #[error("no manifest lies beside `{}`, and no import waits for it", path.display())]
    Loose {
        /// One of the volumes.
        path: PathBuf,
    },
    /// No collector is trusted at all.
    #[error("`{}` cannot be verified: this site trusts no collector yet", path.display())]
    NoTrust {
        /// The bundle.
        path: PathBuf,
    },
    /// The trust chain was not copied along.
    #[error("`{}` cannot be verified: `trust/0001.json` is not there", path.display())]
    NoChain {
        /// The bundle.
        path: PathBuf,
    },
    /// Trust chain or signatures of a bundle prove nothing.
    #[error("`{}` is not believed: {source}", path.display())]
    Untrusted {
        /// The bundle.
        path: PathBuf,
        /// Why.
        source: TrustError,
    },
    /// The trust chain begins with none of the documents that are trusted here.
    #[error("`{}` is not believed: its trust chain is of none of the collectors trusted here ({})", path.display(), List(known))]
    Stranger {
        /// The bundle.
        path: PathBuf,
        /// The collectors that are trusted.
        known: Vec<SiteName>,
    },
    /// Upstream's proof does not satisfy the site's own policy.
    #[error("`{repository}` does not satisfy this site's own policy: {source}")]
    Policy {
        /// The repository.
        repository: Name,
        /// Why.
        source: Box<chantal_contract::FormatError>,
    },
    /// A state's own indexes cannot be read.
    #[error("the indexes of `{repository}` cannot be read: {source}")]
    Unlisted {
        /// The repository.
        repository: Name,
        /// Why.
        source: Box<chantal_contract::FormatError>,
    },
    /// A line that was written for a review is none.
    #[error("a line of the review is not of its form: {why}")]
    Unwritten {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Too few have approved a bundle, or an approval is none.
    #[error("{bundle} is not approved: {source}")]
    Unapproved {
        /// The bundle.
        bundle: BundleName,
        /// Why.
        source: TrustError,
    },
    /// The key may not approve bundles.
    #[error(
        "key {key} is no approver in trust document version {version} of `{collector}`: its signature would count for nothing"
    )]
    NoApprover {
        /// The key.
        key: KeyFingerprint,
        /// Whose trust document.
        collector: SiteName,
        /// Which version of it.
        version: u32,
    },
    /// The medium takes no signature.
    #[error("`{}` takes no signature: {source}", path.display())]
    ReadOnly {
        /// The bundle's directory.
        path: PathBuf,
        /// What the signature would be called.
        name: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The review cannot be written.
    #[error("the review cannot be written: {source}")]
    Unreviewed {
        /// Why.
        source: io::Error,
    },
    /// A review is not what manifest and index make it.
    #[error("{bundle}: `{file}` is not the review of what this bundle holds")]
    OtherReview {
        /// The bundle.
        bundle: BundleName,
        /// `review.json` or `REVIEW.html`.
        file: &'static str,
    },
    /// What the index tells of a state's packages is not what its own indexes list.
    #[error("{bundle}: what was reviewed of `{repository}` is not what it holds")]
    OtherPackages {
        /// The bundle.
        bundle: BundleName,
        /// The repository.
        repository: Name,
    },
    /// The signature is good, and the manifest is none.
    #[error("`{}`: {source}", path.display())]
    Manifest {
        /// The bundle.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// The manifest is of another stream than the keys that signed it.
    #[error("`{}` says that it is of collector `{found}`, its signature is of collector `{proven}`", path.display())]
    WrongStream {
        /// The bundle.
        path: PathBuf,
        /// What the manifest says.
        found: SiteName,
        /// Whose keys signed it.
        proven: SiteName,
    },
    /// The files of the trust chain are not those that the manifest lists.
    #[error("`{}`: the trust chain is not the one that the manifest lists", path.display())]
    OtherChain {
        /// The bundle.
        path: PathBuf,
    },
    /// A file is not what a signed manifest says.
    #[error("`{}` is damaged or altered: {mismatch}", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// How it differs.
        mismatch: Mismatch,
    },
    /// The index was signed and is none.
    #[error("{bundle}: {source}")]
    Index {
        /// The bundle.
        bundle: BundleName,
        /// Why.
        source: IndexError,
    },
    /// A volume is damaged, altered or of another bundle.
    #[error("`{}`: {source}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: CellError,
    },
    /// A volume was signed and cannot be unpacked.
    #[error("`{}`: {source}", path.display())]
    Volume {
        /// The file.
        path: PathBuf,
        /// Why.
        source: UnpackError,
    },
    /// A volume was signed and holds something else than the index says.
    #[error("`{}` holds {found} where the index says {expected}", path.display())]
    Member {
        /// The file.
        path: PathBuf,
        /// What the index says.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A proof of a collector before this one is not the one that the manifest lists.
    #[error("`{}` is not the proof of origin that the manifest lists", path.display())]
    OtherProof {
        /// The file.
        path: PathBuf,
    },
    /// A proof of a collector before this one was listed and is none.
    #[error("`{}`: {source}", path.display())]
    Proof {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ProofError,
    },
    /// What proves this bundle cannot be written as a proof.
    #[error(transparent)]
    OwnProof(ProofError),

    // --- import ---
    /// The site demands the first collector's signature, and it is not there.
    #[error("{bundle}: nothing proves that `{collector}` made this state of `{repository}`")]
    NoOrigin {
        /// The bundle.
        bundle: BundleName,
        /// The repository.
        repository: Name,
        /// Whose signature this site demands.
        collector: SiteName,
    },
    /// It is for somebody else.
    #[error("{bundle} is for site `{addressee}`, this is site `{here}`")]
    WrongSite {
        /// The bundle.
        bundle: BundleName,
        /// Whom it is for.
        addressee: SiteName,
        /// Who we are.
        here: SiteName,
    },
    /// It is of an epoch that is over, or that has not begun.
    #[error(
        "{bundle} is not of epoch {epoch}, which trust document version {version} of its collector is about"
    )]
    WrongEpoch {
        /// The bundle.
        bundle: BundleName,
        /// The epoch that bundles are believed in.
        epoch: Epoch,
        /// The trust document that says so.
        version: u32,
    },
    /// A newer one was imported already.
    #[error("{bundle} is older than {newest}, which was imported already")]
    Older {
        /// The bundle.
        bundle: BundleName,
        /// The newest of its stream.
        newest: String,
    },
    /// Another bundle was imported under the same number.
    #[error("{bundle} is not the bundle of that name that was imported on {at}")]
    Replayed {
        /// The bundle.
        bundle: BundleName,
        /// When the other one was imported.
        at: String,
    },
    /// The site does not hold what the deltas start from.
    #[error("{bundle} starts from snapshots that this site does not hold: {}", List(missing))]
    MissingBases {
        /// The bundle.
        bundle: BundleName,
        /// For whom it is.
        site: SiteName,
        /// What is missing.
        missing: Vec<MissingBase>,
    },
    /// Blobs that the collector presumed to be here are not, and are not in the bundle either.
    #[error("{bundle} presumes {count} blobs that this site does not hold: {}", List(missing))]
    MissingBlobs {
        /// The bundle.
        bundle: BundleName,
        /// For whom it is.
        site: SiteName,
        /// How many.
        count: u64,
        /// The first few.
        missing: Vec<Digest>,
    },
    /// A record that a snapshot refers to is neither here nor in the bundle.
    #[error(
        "{bundle}: repository `{repository}` refers to record {record}, which neither the bundle nor this site has"
    )]
    MissingRecord {
        /// The bundle.
        bundle: BundleName,
        /// The repository.
        repository: Name,
        /// The record.
        record: Digest,
    },
    /// The index lies on none of the media at hand.
    #[error("{bundle}: `index.zst` lies on none of the media at hand")]
    NoIndex {
        /// The bundle.
        bundle: BundleName,
    },
    /// A delta does not apply, or gives something else than was promised.
    #[error("{bundle}: repository `{repository}`: {source}")]
    Patch {
        /// The bundle.
        bundle: BundleName,
        /// The repository.
        repository: Name,
        /// Why.
        source: PatchError,
    },
    /// Manifest and index were signed and contradict each other.
    #[error("{bundle}: manifest and index contradict each other: {what}")]
    Contradiction {
        /// The bundle.
        bundle: BundleName,
        /// In what.
        what: &'static str,
    },
    /// A state replaces what was synced here.
    #[error("{bundle} brings repository `{repository}`, which this site syncs itself")]
    OwnRepository {
        /// The bundle.
        bundle: BundleName,
        /// The repository.
        repository: Name,
    },
    /// Some volumes were read and are damaged; what was good stays.
    #[error("{bundle}: {} of its volumes are damaged: {}", damaged.len(), List(damaged))]
    Damaged {
        /// The bundle.
        bundle: BundleName,
        /// Which.
        damaged: Vec<VolumeNumber>,
        /// What was wrong with the first.
        source: Box<TransferError>,
    },
}

impl TransferError {
    /// Says that `path` could not be read or written; a full file system is told apart.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// Tells whether a file or its medium was not there any more when it was to be read.
    pub(super) fn is_gone(&self) -> bool {
        use rustix::io::Errno;
        let gone = [Errno::NOENT, Errno::NODEV, Errno::NXIO, Errno::NOMEDIUM, Errno::STALE, Errno::NOTCONN];
        let (Self::Io { source, .. } | Self::Volume { source: UnpackError::Io(source), .. }) = self else {
            return false;
        };
        Errno::from_io_error(source).is_some_and(|errno| gone.contains(&errno))
    }

    /// Tells whether a proof failed, as opposed to a machine: exit code 3.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Untrusted { .. }
            | Self::Stranger { .. }
            | Self::Policy { .. }
            | Self::Unlisted { .. }
            | Self::OtherReview { .. }
            | Self::Unapproved { .. }
            | Self::NoApprover { .. }
            | Self::OtherPackages { .. }
            | Self::NoTrust { .. }
            | Self::NoChain { .. }
            | Self::Manifest { .. }
            | Self::WrongStream { .. }
            | Self::OtherChain { .. }
            | Self::OtherProof { .. }
            | Self::Proof { .. }
            | Self::OwnProof(_)
            | Self::NoOrigin { .. }
            | Self::Altered { .. }
            | Self::Index { .. }
            | Self::Cell { .. }
            | Self::Member { .. }
            | Self::WrongSite { .. }
            | Self::WrongEpoch { .. }
            | Self::Older { .. }
            | Self::Replayed { .. }
            | Self::MissingBases { .. }
            | Self::MissingBlobs { .. }
            | Self::MissingRecord { .. }
            | Self::Patch { .. }
            | Self::Contradiction { .. }
            | Self::TooLong { .. }
            | Self::NoFile { .. }
            | Self::Damaged { .. } => true,
            Self::Volume { source, .. } => {
                !matches!(source, UnpackError::Io(e) if e.raw_os_error().is_some())
            }
            Self::Store(source) => matches!(source, StoreError::Mismatch { .. }),
            _ => false,
        }
    }

    /// Returns what helps.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(source) => source.hint(),
            Self::Key(source) => source.hint(),
            Self::OwnTrust { source: TrustError::NotEnough { strangers, .. } } if !strangers.is_empty() => Some(
                "`chantal trust show` lists the keys that may; `chantal trust rotate` finishes a rotation that was interrupted".into(),
            ),

            Self::NoTrust { .. } | Self::Stranger { .. } => Some(
                "`chantal key show` on the collector prints its key; `chantal trust add KEYFILE` here trusts it".into(),
            ),
            Self::Policy { .. } => Some(
                "compare the repository's `keys` and `verify` here with what upstream publishes; nothing became current".into(),
            ),
            Self::Lacks { again, .. } if !again.is_empty() => Some(format!(
                "`chantal sync {}` brings back what upstream still has; `chantal verify` lists all that is missing",
                again.join(" ")
            )),
            Self::Lacks { .. } => Some(
                "import a bundle that was exported with `--since none`; `chantal verify` lists all that is missing".into(),
            ),
            Self::NoChain { .. } => Some(
                "copy the bundle anew: `trust/`, `signatures/` and `manifest.json` belong on every medium".into(),
            ),
            Self::Unapproved { source: TrustError::NotEnough { .. } | TrustError::Signature(_), .. } => Some(
                "each approver runs `chantal bundle approve DIR`; a signature that was written elsewhere with `--out FILE` is imported with the bundle: `chantal import DIR FILE`".into(),
            ),
            Self::OwnTrust { source } | Self::Untrusted { source, .. } | Self::Unapproved { source, .. } => source.hint(),
            Self::NoApprover { .. } => Some(
                "on the collector `chantal trust add KEYFILE --role approver` gives a key the role; the next bundle carries that".into(),
            ),
            Self::ReadOnly { name, .. } => Some(format!(
                "`--out {}` writes it elsewhere; the import takes it beside the bundle: `chantal import DIR {}`",
                name.display(),
                name.display()
            )),
            Self::OtherReview { .. } | Self::OtherPackages { .. } => Some(
                "whoever made this bundle shows one thing and sends another: ask its collector, and trust neither until it is explained".into(),
            ),
            Self::OtherReceipt { asked, .. } => Some(format!("give `--to {asked}`")),
            Self::Forgotten { site, .. } => Some(format!(
                "`chantal export --to {site}` carries the present states, and all that they need"
            )),
            Self::NoOrigin { collector, .. } => Some(format!(
                "`chantal trust show` lists whose signatures count here: the key of `{collector}` is added by `chantal trust add`; \
                 whoever hands the repository on must have imported it from a bundle of `{collector}`"
            )),
            Self::OtherProof { .. } => Some("copy the directory `origin` of the bundle again".into()),
            Self::NothingThere { .. } => Some("`chantal sync` first".into()),
            Self::UnknownBase { .. } => Some(
                "`chantal snapshot list` and `chantal bundle list` show what there is; `--since none` writes everything".into(),
            ),
            Self::MissingBases { site, missing, .. } => {
                let known: Vec<&str> = missing.iter().filter_map(|m| m.bundle.as_deref()).collect();
                let export = export_command(site);
                Some(match known.first() {
                    Some(first) => format!("import {first} first, or on the collector run {export}"),
                    None => format!("on the collector run {export}"),
                })
            }
            Self::MissingBlobs { site, .. } => {
                Some(format!("on the collector run {}", export_command(site)))
            }
            Self::NoIndex { .. } => Some("insert the first medium, too".into()),
            Self::WrongEpoch { .. } => Some(
                "a bundle that the collector exports now is of its present epoch".into(),
            ),
            Self::Older { .. } => Some(
                "there is nothing to gain from it; to go back in time, publish a named snapshot. If the collector never made the newer one, its key was stolen: there, `chantal trust revoke` shuts it out".into(),
            ),
            Self::Replayed { .. } => Some(
                "the collector was set back: there, `chantal trust epoch` begins a new one. Or its key was stolen: there, `chantal trust revoke` shuts it out".into(),
            ),
            Self::Damaged { .. } => Some(
                "what was good is kept: copy the damaged volumes again, or bring all media of the bundle with their parity files \
                 together, and run the import once more; a receipt (`chantal receipt create`) asks for what is missing"
                    .into(),
            ),
            Self::Full { .. } => Some(
                "nothing was left there or noted: run the same command with `--out` on a larger medium, or free some of this one"
                    .into(),
            ),
            Self::ReadBack { .. } => Some(
                "medium or drive fail: run the same command with `--out` on another one; nothing was noted".into(),
            ),
            Self::Out { path, source } => Some(source.hint(path)),
            Self::Io { source, .. } => device(source),
            Self::Exists { path } => Some(format!("move `{}` away", path.display())),
            Self::NoSpace { .. } => Some("`chantal gc` frees what no snapshot needs".into()),
            Self::WrongSite { addressee, .. } => {
                Some(format!("carry it to site `{addressee}`, or export to this one"))
            }
            Self::OwnRepository { repository, .. } => Some(format!(
                "rename one of the two repositories `{repository}`: a site either syncs one or receives it"
            )),
            _ => None,
        }
    }
}

fn quoted(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(|address| format!("`{address}`")).collect()
}

/// What helps where a medium is gone, fails, or takes no writing.
fn device(source: &io::Error) -> Option<String> {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(source)?;
    if [Errno::IO, Errno::NODEV, Errno::NXIO, Errno::NOMEDIUM, Errno::STALE].contains(&errno) {
        Some("the medium fails or is gone: insert it again, or another copy, and run the same command".into())
    } else if errno == Errno::ROFS {
        Some("it is mounted read-only".into())
    } else {
        None
    }
}

fn export_command(site: &SiteName) -> String {
    format!("`chantal export --to {site} --since none --out DIR`")
}
