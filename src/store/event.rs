//! What the journal records.

use chantal_contract::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Name, SiteName, SnapshotName};

/// The version of the store's layout on disk that is written, and the newest that is read.
pub const FORMAT: u32 = 1;

/// One state of a repository: a snapshot and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateRef {
    /// The snapshot's name: its manifest's digest.
    pub manifest: Digest,
    /// The blob that lists what upstream signed, and with which keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
    /// When upstream says that it made this state.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "stamp::optional")]
    pub date: Option<Timestamp>,
    /// Until when upstream says that it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "stamp::optional")]
    pub valid_until: Option<Timestamp>,
}

/// A repository's state as a bundle carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The repository.
    pub repository: Name,
    /// The manifest that the bundle's delta starts from; none where all of it travels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Digest>,
    /// What it becomes.
    pub state: StateRef,
    /// The named snapshots that are this state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<SnapshotName>,
}

/// Whether an exported bundle counts as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// Only a receipt of the site says so.
    Awaited,
    /// There is no way back from the site: it counts as received at once.
    Assumed,
}

/// Something that was decided. An entry of the journal is the commit of what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The store was made; always the first entry.
    Init {
        /// The site that it belongs to.
        site: SiteName,
        /// The version of the store's layout.
        format: u32,
    },
    /// A repository has a new newest state, by sync or upload.
    State {
        /// The repository.
        repository: Name,
        /// Its state.
        state: StateRef,
        /// Whether everything that upstream lists was to be had.
        complete: bool,
    },
    /// A state was given a name.
    Named {
        /// The repository.
        repository: Name,
        /// The name.
        name: SnapshotName,
        /// What it names from now on.
        state: StateRef,
    },
    /// A name was taken away.
    Unnamed {
        /// The repository.
        repository: Name,
        /// The name.
        name: SnapshotName,
    },
    /// A repository with all its states and names was given up.
    Removed {
        /// The repository.
        repository: Name,
    },
    /// A bundle was written for a site.
    Exported {
        /// The site.
        to: SiteName,
        /// The bundle's name.
        bundle: String,
        /// The stream's epoch.
        epoch: u32,
        /// The bundle's number in the epoch.
        sequence: u64,
        /// The SHA-256 of the bundle's `manifest.json`.
        manifest: Digest,
        /// What it carries.
        states: Vec<Carried>,
        /// Whether it counts as received.
        delivery: Delivery,
        /// The fingerprints of the keys that signed it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        signed: Vec<String>,
        /// The newest version of this site's trust document that it carries.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trust: Option<u32>,
    },
    /// A site signed a receipt: from then on it is believed to hold what that lists, and nothing else.
    Acknowledged {
        /// The site.
        to: SiteName,
        /// The SHA-256 of the receipt's text.
        receipt: Digest,
        /// The epoch of the site's newest import.
        epoch: u32,
        /// Its number in the epoch; 0 when it had imported nothing.
        sequence: u64,
        /// The SHA-256 of that bundle's `manifest.json`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bundle: Option<Digest>,
        /// What it holds, as far as this store knows it; of one repository the newest state stands last.
        states: Vec<Carried>,
        /// The version of this site's trust document that it accepted.
        trust: u32,
        /// The fingerprint of the key that signed the receipt.
        key: String,
    },
    /// Parts of a bundle were verified and entered the pool; others are still missing. Guards them from gc.
    Pending {
        /// The bundle's name.
        bundle: String,
        /// The SHA-256 of the bundle's `manifest.json`.
        manifest: Digest,
        /// The volumes that are in the pool.
        volumes: Vec<u32>,
        /// The fingerprints of the collector's keys that signed it, for when it becomes current without being seen again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        signed: Vec<String>,
        /// The fingerprints of those who approved it, rising.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approved: Vec<String>,
        /// The blob that proves what the collector signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Digest>,
    },
    /// A bundle was imported: all its states became current, and its sequence the newest, at once.
    Imported {
        /// The collector.
        from: SiteName,
        /// The bundle's name.
        bundle: String,
        /// The stream's epoch.
        epoch: u32,
        /// The bundle's number in the epoch.
        sequence: u64,
        /// The SHA-256 of the bundle's `manifest.json`.
        manifest: Digest,
        /// What it carried.
        states: Vec<Carried>,
        /// When the collector says that it made it.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "stamp::optional")]
        created: Option<Timestamp>,
        /// When the collector meant to have sent the next one.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "stamp::optional")]
        expected_next_by: Option<Timestamp>,
        /// The fingerprints of the collector's keys that signed it, rising.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        signed: Vec<String>,
        /// The fingerprints of those who approved it, rising.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approved: Vec<String>,
        /// The blob that proves to others what the collector signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Digest>,
        /// The same of collectors before it, whose bundles it brought on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        origins: Vec<Digest>,
    },
    /// Somebody looked at a bundle's review here and signed its manifest.
    Approved {
        /// The bundle's name.
        bundle: String,
        /// The SHA-256 of the bundle's `manifest.json`.
        manifest: Digest,
        /// The fingerprint of the key that signed.
        key: String,
    },
    /// A trust document was accepted, or further signatures over it.
    Trusted {
        /// The collector whose keys it lists.
        collector: SiteName,
        /// Its version.
        version: u32,
        /// The blob that holds it.
        document: Digest,
        /// The blobs that hold the signatures over it: a later key cannot make them any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        signatures: Vec<Digest>,
    },
    /// What was accepted of a collector counts no more, on a person's word; its stream begins anew.
    Forgotten {
        /// The collector.
        collector: SiteName,
    },
    /// A state was published.
    Published {
        /// The tree's path below the published root.
        target: String,
        /// The repository.
        repository: Name,
        /// The snapshot's name, unless it is the newest state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<SnapshotName>,
        /// What was published.
        state: StateRef,
    },
    /// A tree was taken away.
    Unpublished {
        /// The tree's path below the published root.
        target: String,
    },
    /// Blobs that nothing needed were removed.
    Collected {
        /// Their number.
        blobs: u64,
        /// Their size in bytes.
        bytes: u64,
    },
}

/// Reads and writes times as RFC 3339.
pub(super) mod stamp {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }

    pub(crate) mod optional {
        use super::{Deserialize, Deserializer, Error, Serializer, Timestamp};

        #[expect(clippy::ref_option, reason = "serde's signature")]
        pub(crate) fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => to.collect_str(at),
                None => to.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
            let text: Option<String> = Option::deserialize(from)?;
            text.map(|t| t.parse().map_err(D::Error::custom)).transpose()
        }
    }
}
