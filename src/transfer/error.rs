//! What may go wrong between two stores, and what helps.

mod judge;
pub(super) mod shown;
mod subject;

use std::{
    io,
    path::{Path, PathBuf},
};

use chantal_bundle::{
    BundleName, BundleNameError, Epoch, KeyFingerprint, Sequence, VolumeNumber, cells::CellError,
    delta::PatchError, index::IndexError, manifest::ManifestError, proof::ProofError, volume::UnpackError,
};
use chantal_contract::{Digest, Kind, Mismatch, Name, SiteName, limits::GROUP_BYTES};

pub use shown::{Hidden, MissingBase};

use self::shown::{List, claim};
use super::export::ExportError;
use crate::{
    store::StoreError,
    trust::{KeyError, TrustError},
};

/// Why a bundle was not written, believed or imported.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
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

    /// No bundle can be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Another thread of the same transfer failed, and says why.
    #[error("another thread of this transfer failed")]
    Interrupted,
    /// No trust document was accepted of this site itself, so that nobody could verify what it signs.
    #[error("site `{site}` has no trust document that names its key")]
    NoOwnTrust {
        /// This site.
        site: SiteName,
    },
    /// This site's own trust document cannot be used, or not be followed by the next version.
    #[error("the trust document of this site: {source}")]
    OwnTrust {
        /// Why.
        source: TrustError,
    },

    // --- reading ---
    /// Neither a bundle nor a volume lies there.
    #[error("`{}` holds neither a bundle nor a volume or an approval of one", path.display())]
    NoBundle {
        /// What was given.
        path: PathBuf,
    },
    /// Several bundles lie where one is asked for.
    #[error("`{}` holds {} bundles: {}", path.display(), found.len(), List(found))]
    ManyBundles {
        /// What was given.
        path: PathBuf,
        /// The names of their directories.
        found: Vec<String>,
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
    #[error("`{}` is not believed: {} none of the collectors trusted here ({})", path.display(), claim(claimed.as_ref()), List(known))]
    Stranger {
        /// The bundle.
        path: PathBuf,
        /// Whose it says that it is, which nothing proves.
        claimed: Option<SiteName>,
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
    /// What a state changes here is more than its review, which was made against another state, shows.
    #[error(transparent)]
    NotShown(Box<Hidden>),
    /// A group of packages is larger than a review looks at.
    #[error(
        "{bundle}: `{repository}` has more than {GROUP_BYTES} bytes of packages that are versions of one"
    )]
    LargeGroup {
        /// The bundle.
        bundle: BundleName,
        /// The repository.
        repository: String,
    },
    /// Too few have approved a bundle, or an approval is none.
    #[error("{bundle} is not approved: {source}")]
    Unapproved {
        /// The bundle.
        bundle: BundleName,
        /// Why.
        source: Box<TrustError>,
        /// Approvers who have not signed.
        others: Box<[KeyFingerprint]>,
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
    /// A directory that is written to is a link to another place.
    #[error("`{}` is a symbolic link: a signature would be written elsewhere", path.display())]
    Link {
        /// The link.
        path: PathBuf,
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
    /// The site asks for a proof that the repository's format has not.
    #[error("{bundle}: `verify: {{ {what}: require }}` of `{repository}` asks for signatures, and a repository of format {} has none", format.name())]
    NothingToVerify {
        /// The bundle.
        bundle: BundleName,
        /// The repository.
        repository: Name,
        /// Its format.
        format: Kind,
        /// `metadata` or `packages`.
        what: &'static str,
    },
    /// What proves a state is older than what proved the one before it.
    #[error(
        "{bundle}: `{collector}` made this state of `{repository}` in epoch {} sequence {}, and the one here in epoch {} sequence {}",
        found.0, found.1.get(), known.0, known.1.get()
    )]
    OldOrigin {
        /// The bundle.
        bundle: BundleName,
        /// The repository.
        repository: Name,
        /// Whose signature this site demands.
        collector: SiteName,
        /// Where in its stream that collector made the state.
        found: (Epoch, Sequence),
        /// Where it made the one that is held.
        known: (Epoch, Sequence),
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
    /// What an imported bundle could bring back is not taken from it.
    #[error(
        "{bundle} was imported already, and what its repositories lack here since is not brought back: {source}"
    )]
    NotBack {
        /// The bundle.
        bundle: BundleName,
        /// Why.
        source: Box<TransferError>,
    },
    /// A state replaces what was synced here.
    #[error("{bundle} brings repository `{repository}`, which this site syncs itself")]
    OwnRepository {
        /// The bundle.
        bundle: BundleName,
        /// The repository.
        repository: Name,
    },
    /// A state replaces what another collector brings.
    #[error("{bundle} brings repository `{repository}`, which collector `{from}` brings here")]
    OtherCollector {
        /// The bundle.
        bundle: BundleName,
        /// The repository.
        repository: Name,
        /// Whose bundles brought it until now.
        from: SiteName,
        /// Whose bundle this is.
        by: SiteName,
    },
    /// Some volumes were read and are damaged; what was good stays.
    #[error("{bundle}: {} of its volumes {} damaged: {}", damaged.len(), if damaged.len() == 1 { "is" } else { "are" }, List(damaged))]
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
}
