//! `manifest.json`: what a bundle is, for whom, from which states to which, and the digests of all the rest (specification §6).

mod rules;

use std::num::NonZeroU64;

use chantal_contract::{
    Digest, Kind, Mode, Name, SiteName, SnapshotName,
    limits::{BUNDLE_FEATURES, BUNDLE_MANIFEST_BYTES},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    json::{self, JsonError},
    name::{BundleName, BundleNameError, Epoch, Sequence, Stream, VolumeNumber},
    parity::{Layout, LayoutError, Parity, ParityNumber},
};

/// The version of this format that is written, and the newest that is read.
pub const VERSION: u32 = 1;
/// The features beyond version 1 that this program can honour.
pub const FEATURES: [&str; 0] = [];
/// The file's name in a bundle.
pub const FILE: &str = "manifest.json";
/// The name of the review as data.
pub const REVIEW_JSON: &str = "review.json";
/// The name of the review as a page.
pub const REVIEW_HTML: &str = "REVIEW.html";
/// The size of a cell that is written, in bytes.
pub const CELL: u32 = 1 << 20;

/// On whose word the bases of a bundle are believed to be at the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// The site signed a receipt for them.
    Acknowledged,
    /// Nobody: they were sent, or the operator says so.
    Assumed,
    /// There are none: the bundle stands alone.
    Full,
}

impl Delivery {
    /// Returns the word that the manifest uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Assumed => "assumed",
            Self::Full => "full",
        }
    }
}

/// A document of the trust chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustLink {
    /// Its version; `trust/0001.json` is version 1.
    pub version: u32,
    /// The SHA-256 of its bytes.
    pub sha256: Digest,
}

/// A snapshot that the site must hold for a bundle to apply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The repository.
    pub repository: Name,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The digest of its evidence list, where it has one.
    pub evidence: Option<Digest>,
    /// The bundle that brought it to the site, as far as the collector knows.
    #[serde(with = "bundle_name")]
    pub bundle: Option<BundleName>,
}

/// A snapshot that a bundle carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedState {
    /// The repository.
    pub repository: Name,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The snapshot that its delta starts from; none when it travels whole.
    pub base: Option<Digest>,
    /// The digest of its evidence list, where it has one.
    pub evidence: Option<Digest>,
    /// The names that people gave it, rising.
    pub names: Vec<SnapshotName>,
    /// The package format.
    pub format: Kind,
    /// How the repository relates to its upstream.
    pub mode: Mode,
    /// When upstream says that it was made.
    #[serde(with = "stamp")]
    pub date: Option<Timestamp>,
    /// Until when upstream says that it may be used.
    #[serde(with = "stamp")]
    pub valid_until: Option<Timestamp>,
    /// How many files it has that are there.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// `index.zst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexFile {
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its bytes after decompression.
    pub open_size: u64,
}

/// Size and digest of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmallFile {
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// What the bundle changes, for the person who signs it off: a pure function of this manifest's other members and the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewFiles {
    /// The version of the page's design: one that a reader does not draw itself is believed by its digest alone.
    pub page: u32,
    /// `review.json`.
    pub json: SmallFile,
    /// `REVIEW.html`.
    pub html: SmallFile,
}

/// A volume: the n-th entry is `volume-<n>.tar.zst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeFile {
    /// Its bytes.
    pub size: NonZeroU64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// A file that is named by its digest: `origin/<16 digits>.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginFile {
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// How much a bundle holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Records in the index.
    pub records: u64,
    /// Blobs in the volumes.
    pub blobs: u64,
    /// Bytes of those blobs.
    pub bytes: u64,
}

/// How some files of a bundle are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// How they are cut.
    pub layout: Layout,
    /// How many volumes stand before the first of them.
    pub first_volume: u32,
    /// The number of their first parity file.
    pub first_file: u32,
}

impl Protection {
    /// Returns which volume the n-th protected file is.
    pub fn volume(&self, file: usize) -> Option<VolumeNumber> {
        VolumeNumber::new(u64::from(self.first_volume) + file as u64 + 1).ok()
    }

    /// Returns which of the protected files a volume is.
    pub fn file_of(&self, volume: VolumeNumber) -> Option<usize> {
        let file = volume.get().checked_sub(self.first_volume + 1)? as usize;
        (file < self.layout.covers()).then_some(file)
    }

    /// Returns the number of the n-th parity file.
    pub fn parity(&self, file: usize) -> Option<ParityNumber> {
        ParityNumber::new(self.first_file.checked_add(u32::try_from(file).ok()?)?)
    }
}

/// The manifest of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format.
    #[serde(rename = "chantal-bundle")]
    pub version: u32,
    /// What a reader must be able to do beyond version 1, rising.
    pub requires: Vec<String>,
    /// Who made it.
    pub collector: SiteName,
    /// For whom.
    pub site: SiteName,
    /// The era of the stream.
    pub epoch: Epoch,
    /// Its place in the era.
    pub sequence: Sequence,
    /// When it was made, in whole seconds.
    #[serde(with = "stamp_always")]
    pub created: Timestamp,
    /// On whose word its bases are believed to be at the site.
    pub delivery: Delivery,
    /// When the collector means to have sent the next one. Decides nothing: `status` shows who is late.
    #[serde(with = "stamp")]
    pub expected_next_by: Option<Timestamp>,
    /// The trust chain, from version 1 on.
    pub trust: Vec<TrustLink>,
    /// What its deltas start from, rising by repository and digest.
    pub bases: Vec<Base>,
    /// Further snapshots whose blobs are presumed to be at the site, rising by repository and digest.
    pub presumed: Vec<Base>,
    /// What it brings: rising by repository; of one repository the newest state stands last.
    pub states: Vec<CarriedState>,
    /// The index.
    pub index: IndexFile,
    /// The review.
    pub review: ReviewFiles,
    /// The size of a cell, in bytes; the last cell of a volume may be shorter.
    pub cell: u32,
    /// The volumes, in order.
    pub volumes: Vec<VolumeFile>,
    /// How index and volumes are protected; none where they are not.
    pub parity: Option<Parity>,
    /// Proofs of the collectors that its states came from, rising by their digests.
    pub origins: Vec<OriginFile>,
    /// How much it holds.
    pub counts: Counts,
}

/// Why some bytes are no manifest of a bundle.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// They are not JSON of the one form.
    #[error("manifest.json: {0}")]
    Json(#[from] JsonError),
    /// They are of a version that this program does not know.
    #[error("the bundle is of format {0}, this program reads format {VERSION}")]
    Version(u32),
    /// It needs something that this program cannot do.
    #[error("the bundle requires `{0}`, which this program does not know")]
    Requires(String),
    /// Its names cannot be.
    #[error("manifest.json: {0}")]
    Name(#[from] BundleNameError),
    /// Something is larger or more numerous than is read.
    #[error("manifest.json: {what} passes the limit of {limit}")]
    Limit {
        /// What passed it.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Its parity is cut in a way that cannot be.
    #[error("manifest.json: {0}")]
    Layout(#[from] LayoutError),
    /// A rule of the specification is broken.
    #[error("manifest.json: {0}")]
    Rule(&'static str),
}

/// The part of every version of this format that says whether the rest can be read.
#[derive(Deserialize)]
struct Preamble {
    #[serde(rename = "chantal-bundle")]
    version: u32,
    requires: Vec<String>,
}

impl Manifest {
    /// Reads a manifest; every rule of the specification holds for what it returns.
    ///
    /// The caller has checked the signature over exactly these bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > BUNDLE_MANIFEST_BYTES {
            return Err(JsonError::TooLong { found: bytes.len(), limit: BUNDLE_MANIFEST_BYTES }.into());
        }
        let preamble: Preamble = serde_json::from_slice(bytes).map_err(JsonError::Parse)?;
        if preamble.version != VERSION {
            return Err(ManifestError::Version(preamble.version));
        }
        if preamble.requires.len() > BUNDLE_FEATURES {
            return Err(ManifestError::Limit { what: "requires", limit: BUNDLE_FEATURES as u64 });
        }
        if let Some(unknown) = preamble.requires.iter().find(|f| !FEATURES.contains(&f.as_str())) {
            return Err(ManifestError::Requires(
                unknown.chars().take(64).flat_map(char::escape_debug).collect(),
            ));
        }
        let manifest: Self = json::decode(bytes, BUNDLE_MANIFEST_BYTES)?;
        rules::check(&manifest)?;
        Ok(manifest)
    }

    /// Writes the manifest in its one form; refuses one that breaks a rule.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        rules::check(self)?;
        let bytes = json::encode(self).map_err(JsonError::Parse)?;
        if bytes.len() > BUNDLE_MANIFEST_BYTES {
            return Err(JsonError::TooLong { found: bytes.len(), limit: BUNDLE_MANIFEST_BYTES }.into());
        }
        Ok(bytes)
    }

    /// Returns whose stream the bundle belongs to.
    pub fn stream(&self) -> Result<Stream, BundleNameError> {
        Stream::new(self.collector.clone(), self.site.clone())
    }

    /// Returns the name of the bundle.
    pub fn name(&self) -> Result<BundleName, BundleNameError> {
        Ok(BundleName::new(&self.stream()?, self.epoch, self.sequence))
    }

    /// Returns the volumes with their numbers.
    pub fn volumes(&self) -> impl Iterator<Item = (VolumeNumber, VolumeFile)> {
        (1..).map_while(|n| VolumeNumber::new(n).ok()).zip(self.volumes.iter().copied())
    }

    /// Returns the bytes of all files that the manifest lists.
    pub fn total_bytes(&self) -> u64 {
        let parity = self.parity.as_ref().map_or(0, Parity::bytes);
        let small = [self.index.size, self.review.json.size, self.review.html.size, parity];
        self.volumes.iter().map(|v| v.size.get()).chain(small).fold(0, u64::saturating_add)
    }

    /// Returns how the index is protected; none where it is not.
    pub fn index_parity(&self) -> Option<Protection> {
        let parity = self.parity.as_ref()?;
        let layout = Layout::of(&parity.index, &[self.index.size]).ok()?;
        Some(Protection { layout, first_volume: 0, first_file: ParityNumber::INDEX.get() })
    }

    /// Returns how the volumes are protected, group by group.
    pub fn volume_parity(&self) -> Vec<Protection> {
        self.protections().unwrap_or_default()
    }

    /// Returns how the volumes are cut, group by group.
    pub fn layouts(&self) -> Vec<Layout> {
        self.volume_parity().into_iter().map(|protection| protection.layout).collect()
    }

    fn protections(&self) -> Result<Vec<Protection>, LayoutError> {
        let Some(parity) = &self.parity else { return Ok(Vec::new()) };
        let sizes: Vec<u64> = self.volumes.iter().map(|v| v.size.get()).collect();
        let (mut found, mut first_file) = (Vec::new(), ParityNumber::INDEX.get() + 1);
        let mut rest = sizes.as_slice();
        for group in &parity.groups {
            let first_volume = u32::try_from(sizes.len() - rest.len()).map_err(|_| LayoutError::Covers)?;
            let (these, others) = rest.split_at_checked(group.covers as usize).ok_or(LayoutError::Covers)?;
            rest = others;
            let layout = Layout::of(group, these)?;
            let files = u32::try_from(group.files.len()).map_err(|_| LayoutError::Shards)?;
            found.push(Protection { layout, first_volume, first_file });
            first_file = first_file.saturating_add(files);
        }
        if rest.is_empty() { Ok(found) } else { Err(LayoutError::Covers) }
    }

    /// Tells whether a state is its repository's newest: the last of that repository.
    pub fn is_newest(&self, state: &CarriedState) -> bool {
        self.states
            .iter()
            .rfind(|s| s.repository == state.repository)
            .is_some_and(|s| s.manifest == state.manifest)
    }
}

/// Whole seconds in UTC, `2026-11-20T13:30:00Z`.
pub(crate) mod stamp_always {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn text(at: Timestamp) -> String {
        Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
    }

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&text(*at))
    }

    pub(super) fn read<E: Error>(found: &str) -> Result<Timestamp, E> {
        match found.parse::<Timestamp>() {
            Ok(at) if text(at) == found => Ok(at),
            _ => Err(E::custom(format_args!("`{found}` is no time of the form 2026-11-20T13:30:00Z"))),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        read(&String::deserialize(from)?)
    }
}

/// The same, or null.
mod stamp {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.serialize_some(&super::stamp_always::text(*at)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<String>::deserialize(from)?.map(|text| super::stamp_always::read(&text)).transpose()
    }
}

/// A bundle's name.
pub(crate) mod bundle_name_always {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::name::BundleName;

    pub(crate) fn serialize<S: Serializer>(name: &BundleName, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(name)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BundleName, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The same, or null.
mod bundle_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::name::BundleName;

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(name: &Option<BundleName>, to: S) -> Result<S::Ok, S::Error> {
        match name {
            Some(name) => to.serialize_some(&name.to_string()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<BundleName>, D::Error> {
        Option::<String>::deserialize(from)?.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
pub(crate) mod tests;
