//! The review of a bundle: what it changes, for the person who signs it off. The same data as JSON, page and text.
//!
//! Everything here is a pure function of the data: no clock, no file, no network.

pub mod page;
pub mod summary;
pub mod turns;
mod unusual;

use serde::Serialize;

pub use unusual::Unusual;

/// The version of `review.json`.
pub const VERSION: u32 = 1;

/// Changes that one review names, all repositories together; of more it has the numbers.
pub const CHANGES: usize = 100_000;
/// Advisories that one review names.
pub const ADVISORIES: usize = 20_000;
/// Unusual things that one review names.
pub const UNUSUAL: usize = 10_000;
/// Bytes of text of the changes that one review names.
pub const CHANGE_BYTES: usize = 24 << 20;
/// Bytes of text of the advisories that one review names.
pub const ADVISORY_BYTES: usize = 8 << 20;
/// Bytes that the unusual things that one review names have as JSON.
pub const UNUSUAL_BYTES: usize = 8 << 20;
/// Largest packages that are named.
pub const LARGEST: usize = 10;

/// What a bundle changes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Review {
    /// The version of this format.
    #[serde(rename = "chantal-review")]
    pub version: u32,
    /// The bundle's name; of a comparison the second one's.
    pub bundle: String,
    /// The bundle that it is compared with; null in a bundle's own review.
    pub compared: Option<String>,
    /// Who made it.
    pub collector: String,
    /// For whom.
    pub site: String,
    /// When it was made.
    pub created: String,
    /// On whose word the site holds what it builds on.
    pub delivery: String,
    /// Blobs in its volumes.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What changes in all repositories together.
    pub counts: Counts,
    /// Unusual things that are not named, as there are too many.
    pub unusual_omitted: u64,
    /// What a person should look at.
    pub unusual: Vec<Unusual>,
    /// The largest packages that come.
    pub largest: Vec<Large>,
    /// Each state that it brings.
    pub states: Vec<StateReview>,
}

/// How many packages change, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Not there before in any version, or a further version beside a newer one.
    pub added: u64,
    /// Gone, and nothing newer or older took its place.
    pub removed: u64,
    /// A newer version is the newest now.
    pub upgraded: u64,
    /// An older version is the newest now.
    pub downgraded: u64,
    /// Other bytes under the same name and version.
    pub replaced: u64,
    /// Bytes of the packages that come.
    pub bytes: u64,
}

impl Counts {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.added += other.added;
        self.removed += other.removed;
        self.upgraded += other.upgraded;
        self.downgraded += other.downgraded;
        self.replaced += other.replaced;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Returns how many changes there are.
    pub const fn all(&self) -> u64 {
        self.added + self.removed + self.upgraded + self.downgraded + self.replaced
    }

    /// Counts a change.
    pub const fn count(&mut self, what: What) {
        match what {
            What::Added => self.added += 1,
            What::Removed => self.removed += 1,
            What::Upgraded => self.upgraded += 1,
            What::Downgraded => self.downgraded += 1,
            What::Replaced => self.replaced += 1,
        }
    }
}

/// How a package changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// It comes.
    Added,
    /// It goes.
    Removed,
    /// A newer version comes.
    Upgraded,
    /// The newest version goes, an older one is left or comes.
    Downgraded,
    /// The same version comes with other bytes.
    Replaced,
}

impl What {
    /// All of them, the gravest first.
    pub const ALL: [Self; 5] = [Self::Downgraded, Self::Replaced, Self::Removed, Self::Upgraded, Self::Added];

    /// Returns the word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Upgraded => "upgraded",
            Self::Downgraded => "downgraded",
            Self::Replaced => "replaced",
        }
    }
}

/// One package that changes.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// How.
    pub change: What,
    /// Its name.
    pub name: String,
    /// Its architecture; empty where its files have several, or the format knows none.
    pub architecture: String,
    /// The version that was the newest, or goes.
    pub old: Option<String>,
    /// The version that is the newest, or comes.
    pub new: Option<String>,
    /// Bytes of what comes, or else of what goes.
    pub size: u64,
    /// The digest of what comes, or else of what goes: of its first file.
    pub sha256: Option<String>,
}

/// One of the largest packages that come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Large {
    /// Its repository.
    pub repository: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its bytes.
    pub size: u64,
}

/// Since when a key of upstream does something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Since {
    /// It does not, and did not.
    #[default]
    Never,
    /// It did before, and does not any more.
    Gone,
    /// It did before, and does.
    Before,
    /// It does, and did not before.
    Now,
}

impl Since {
    /// Tells whether it does.
    pub const fn is_now(self) -> bool {
        matches!(self, Self::Before | Self::Now)
    }

    /// Tells whether it did before.
    pub const fn was_before(self) -> bool {
        matches!(self, Self::Before | Self::Gone)
    }
}

/// A key of upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Its fingerprint.
    pub fingerprint: String,
    /// The metadata carry a good signature of it, as the collector says.
    pub metadata: Since,
    /// Every package carries a good signature of it or of another such key, as the collector says.
    pub packages: Since,
    /// It travels as evidence.
    pub evidence: Since,
}

/// An advisory that comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdvisoryRow {
    /// Its name.
    pub id: String,
    /// What it is about.
    pub kind: String,
    /// How grave it is.
    pub severity: String,
    /// One line.
    pub title: String,
    /// The vulnerabilities that it cures.
    pub references: Vec<String>,
}

/// How upstream's own proof stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proven {
    /// The metadata carry a good signature, as the collector says.
    Signed,
    /// They carry none, but every package carries a good signature of its own, as the collector says.
    Packages,
    /// They carry none that was verified.
    #[default]
    Unsigned,
    /// The format has nothing to verify but digests that came over TLS.
    Digests,
    /// The collector's own packages.
    Own,
}

/// What one state of a repository changes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StateReview {
    /// The repository.
    pub repository: String,
    /// Its format.
    pub format: String,
    /// How it relates to its upstream.
    pub mode: String,
    /// The names that the state has.
    pub names: Vec<String>,
    /// Whether it becomes the repository's current state.
    pub current: bool,
    /// Whether it builds on one that the site holds.
    pub incremental: bool,
    /// When upstream says that it was made.
    pub date: Option<String>,
    /// Until when upstream says that it may be used.
    pub valid_until: Option<String>,
    /// Packages before.
    pub packages_before: u64,
    /// Packages from now on.
    pub packages: u64,
    /// Files that come or change, packages and others.
    pub files_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Files that go.
    pub files_out: u64,
    /// Files that come, belong to no package, and are named by nothing that was read.
    pub files_stray: u64,
    /// How many packages change, and how.
    pub counts: Counts,
    /// How upstream's own proof stands.
    pub proven: Proven,
    /// Upstream's keys.
    pub keys: Vec<Key>,
    /// Advisories that are not named, as there are too many.
    pub advisories_omitted: u64,
    /// Advisories that come.
    pub advisories: Vec<AdvisoryRow>,
    /// Changes that are not named, as there are too many.
    pub changes_omitted: u64,
    /// The packages that change.
    pub changes: Vec<Change>,
}

impl Review {
    /// Writes `review.json`: two spaces of indentation, one line feed at the end.
    pub fn json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
