//! Parity: Reed–Solomon shards from which damaged sectors and lost volumes are made anew (specification §8.1).
//!
//! Files that are protected together are cut into *lanes* of equal length, a file's first lane at its beginning. A *stripe* takes a
//! block of shards at the same place of every lane, so that any stretch of bad bytes is thin in every stripe: a stretch of a whole
//! lane costs a stripe one block. What a stripe may lose is the number of its recovery shards, wherever the damage lies.
//!
//! Checksums in the parity files only locate damage. What is repaired counts when the cell's signed digest says so.

mod layout;
mod plan;
mod repair;
mod stripe;
mod survival;

use std::{fmt, str::FromStr};

use chantal_contract::{Digest, limits::PARITY_FILES};
use serde::{Deserialize, Serialize};

pub use layout::{Block, Layout, LayoutError};
pub use plan::{groups, plan, volume_limit};
pub use repair::{Beyond, Repairer, Source};
pub use stripe::Encoder;
pub use survival::Survival;

/// Bytes of a shard.
pub const SHARD: usize = 16 << 10;
/// Bytes of a table of checksums; one stands before and one after a stripe's recovery shards in each parity file.
pub const TABLE: usize = 4 << 10;

/// The code refused counts or sizes of shards; of a layout that was checked, it does not.
#[derive(Debug, thiserror::Error)]
#[error("parity: {0}")]
pub struct CodeError(#[from] reed_solomon_simd::Error);

/// How much parity is made, in per cent of what it protects: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u8);

impl Percent {
    /// As much parity as data.
    pub const FULL: Self = Self(100);

    /// Returns the number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Some text that is no percentage from 1 to 100.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no percentage from 1 to 100: write it as in `10%`")]
pub struct PercentError {
    found: String,
}

impl FromStr for Percent {
    type Err = PercentError;
    fn from_str(text: &str) -> Result<Self, PercentError> {
        let digits = text.strip_suffix('%').filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        match digits.and_then(|d| d.parse().ok()) {
            Some(percent @ 1..=100) => Ok(Self(percent)),
            _ => Err(PercentError { found: text.chars().take(40).flat_map(char::escape_debug).collect() }),
        }
    }
}
impl TryFrom<String> for Percent {
    type Error = PercentError;
    fn try_from(text: String) -> Result<Self, PercentError> {
        text.parse()
    }
}
impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// What a bundle's manifest says of its parity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// Bytes of a shard: [`SHARD`].
    pub shard: u32,
    /// How `index.zst` is protected: by one file, `parity-0000`.
    pub index: ParityGroup,
    /// How the volumes are protected: groups of consecutive ones, in order, every volume in one.
    pub groups: Vec<ParityGroup>,
}

/// Files that are protected together, and how they are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParityGroup {
    /// How many files it protects.
    pub covers: u32,
    /// Shards that a stripe takes of every lane.
    pub block: u32,
    /// Shards of a lane: a multiple of `block`.
    pub lane: u64,
    /// The parity files, in order.
    pub files: Vec<ParityFile>,
}

/// A parity file; the n-th of all groups is `parity-<n>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParityFile {
    /// Recovery shards that it holds of every stripe.
    pub shards: u32,
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// Which parity file of a bundle: 0 protects the index, the others the volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParityNumber(u32);

impl ParityNumber {
    /// The file that protects the index.
    pub const INDEX: Self = Self(0);

    /// Takes a number up to the limit.
    pub fn new(number: u32) -> Option<Self> {
        (number <= PARITY_FILES).then_some(Self(number))
    }

    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the file's name: `parity-0001`.
    pub fn file_name(self) -> String {
        format!("parity-{:04}", self.0)
    }

    /// Reads a file's name; there is one form only.
    pub fn parse_file_name(text: &str) -> Option<Self> {
        let number = Self::new(text.strip_prefix("parity-")?.parse().ok()?)?;
        (number.file_name() == text).then_some(number)
    }
}
impl fmt::Display for ParityNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file_name())
    }
}

impl Parity {
    /// Returns every parity file with its number.
    pub fn files(&self) -> impl Iterator<Item = (ParityNumber, ParityFile)> {
        let all = std::iter::once(&self.index).chain(&self.groups).flat_map(|group| &group.files);
        (0..).map_while(ParityNumber::new).zip(all.copied())
    }

    /// Returns the bytes of all parity files.
    pub fn bytes(&self) -> u64 {
        self.files().fold(0, |sum, (_, file)| sum.saturating_add(file.size))
    }
}

#[cfg(test)]
mod tests;
