//! The names of bundles, volumes and members; all of them fit FAT and Joliet.

use std::{fmt, str::FromStr};

use chantal_contract::{
    Digest, SiteName,
    limits::{BLOB_PARTS, EPOCH, SEQUENCE, STREAM_BYTES, VOLUMES},
};
use serde::{Deserialize, Serialize};

/// Some text or number that names nothing in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleNameError {
    /// Collector and site together are too long for a bundle's name.
    #[error(
        "the names of collector `{collector}` and site `{site}` have {} characters with the dot between them, \
         {STREAM_BYTES} are the most that fit a bundle's name",
        collector.as_str().len() + 1 + site.as_str().len()
    )]
    TooLong {
        /// The collector.
        collector: SiteName,
        /// The site.
        site: SiteName,
    },
    /// It is not of the form that the specification gives.
    #[error("`{found}` is no {what}")]
    Form {
        /// `bundle name`, `volume name`, `member name`.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// A number is out of its range.
    #[error("{what} {found} is not within 1 and {limit}")]
    Range {
        /// `epoch`, `sequence`, `volume`, `part`.
        what: &'static str,
        /// What was found.
        found: u64,
        /// The most it may be.
        limit: u64,
    },
}

fn form(what: &'static str, found: &str) -> BundleNameError {
    BundleNameError::Form { what, found: found.chars().take(100).flat_map(char::escape_debug).collect() }
}

macro_rules! number {
    ($(#[$doc:meta])* $type:ident, $int:ident, $limit:expr, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $type($int);

        impl $type {
            /// The first of them.
            pub const FIRST: Self = Self(1);

            /// Takes a number from 1 up to the limit.
            pub fn new(number: u64) -> Result<Self, BundleNameError> {
                let range = || BundleNameError::Range { what: $what, found: number, limit: u64::from($limit) };
                match $int::try_from(number) {
                    Ok(n @ 1..=$limit) => Ok(Self(n)),
                    _ => Err(range()),
                }
            }

            /// Returns the number.
            pub const fn get(self) -> $int {
                self.0
            }

            /// Returns the next one; an error past the limit.
            pub fn next(self) -> Result<Self, BundleNameError> {
                Self::new(u64::from(self.0) + 1)
            }
        }
        impl TryFrom<u64> for $type {
            type Error = BundleNameError;
            fn try_from(number: u64) -> Result<Self, BundleNameError> {
                Self::new(number)
            }
        }
        impl From<$type> for u64 {
            fn from(number: $type) -> Self {
                Self::from(number.0)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// An era of a stream: a new one cures a sequence that was pushed up.
    Epoch, u32, EPOCH, "epoch"
}
number! {
    /// The place of a bundle in its epoch; it orders bundles and refuses replays.
    Sequence, u64, SEQUENCE, "sequence"
}
number! {
    /// Which volume of a bundle, counted from 1.
    VolumeNumber, u32, VOLUMES, "volume"
}

/// What a collector sends to one site: the way that its bundles take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    collector: SiteName,
    site: SiteName,
}

impl Stream {
    /// Takes collector and site, whose names must fit a bundle's name together.
    pub fn new(collector: SiteName, site: SiteName) -> Result<Self, BundleNameError> {
        if collector.as_str().len() + 1 + site.as_str().len() > STREAM_BYTES {
            return Err(BundleNameError::TooLong { collector, site });
        }
        Ok(Self { collector, site })
    }

    /// Returns who sends.
    pub fn collector(&self) -> &SiteName {
        &self.collector
    }

    /// Returns who receives.
    pub fn site(&self) -> &SiteName {
        &self.site
    }
}
impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.collector, self.site)
    }
}

/// The name of a bundle: `<collector>.<site>-e<epoch>-<sequence>` (specification §2).
///
/// Names of sites may hold dots, so the text alone does not tell where the collector ends; the manifest does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleName {
    stream: Box<str>,
    epoch: Epoch,
    sequence: Sequence,
}

impl BundleName {
    /// Names the bundle of a stream's epoch and sequence.
    pub fn new(stream: &Stream, epoch: Epoch, sequence: Sequence) -> Self {
        Self { stream: stream.to_string().into(), epoch, sequence }
    }

    /// Returns `<collector>.<site>`.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Returns the epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the sequence.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }
}
impl fmt::Display for BundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-e{:02}-{:06}", self.stream, self.epoch.get(), self.sequence.get())
    }
}
impl fmt::Debug for BundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}
impl FromStr for BundleName {
    type Err = BundleNameError;
    fn from_str(text: &str) -> Result<Self, BundleNameError> {
        let fault = || form("bundle name", text);
        let (rest, sequence) = text.rsplit_once('-').ok_or_else(fault)?;
        let (stream, epoch) = rest.rsplit_once("-e").ok_or_else(fault)?;
        let is_name = |part: Option<&str>| part.is_some_and(|p| SiteName::new(p).is_ok());
        let dots = stream.match_indices('.').map(|(at, _)| at);
        let mut splits = dots.map(|at| (stream.get(..at), stream.get(at + 1..)));
        if stream.len() > STREAM_BYTES || !splits.any(|(c, s)| is_name(c) && is_name(s)) {
            return Err(fault());
        }
        let name = Self {
            stream: stream.into(),
            epoch: Epoch::new(epoch.parse().map_err(|_| fault())?)?,
            sequence: Sequence::new(sequence.parse().map_err(|_| fault())?)?,
        };
        if name.to_string() == text { Ok(name) } else { Err(fault()) }
    }
}
impl TryFrom<String> for BundleName {
    type Error = BundleNameError;
    fn try_from(text: String) -> Result<Self, BundleNameError> {
        text.parse()
    }
}

impl VolumeNumber {
    /// Returns the file name of the volume: `volume-0001.tar.zst`.
    pub fn file_name(self) -> String {
        format!("volume-{:04}.tar.zst", self.get())
    }

    /// Reads a volume's file name; there is one form only.
    pub fn parse_file_name(text: &str) -> Result<Self, BundleNameError> {
        let fault = || form("volume name", text);
        let digits =
            text.strip_prefix("volume-").and_then(|t| t.strip_suffix(".tar.zst")).ok_or_else(fault)?;
        let number = Self::new(digits.parse().map_err(|_| fault())?)?;
        if number.file_name() == text { Ok(number) } else { Err(fault()) }
    }
}

/// Which part of a blob a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// All of it.
    Whole,
    /// The n-th part, counted from 1, of several.
    Nth(u32),
}

/// The name of a member of a volume: `blobs/sha256/<hex>`, or `blobs/sha256/<hex>.0001` for a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberName {
    /// The blob.
    pub blob: Digest,
    /// All of it, or which part.
    pub part: Part,
}

const MEMBERS: &str = "blobs/sha256/";

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MEMBERS}{}", self.blob)?;
        match self.part {
            Part::Whole => Ok(()),
            Part::Nth(n) => write!(f, ".{n:04}"),
        }
    }
}
impl FromStr for MemberName {
    type Err = BundleNameError;
    fn from_str(text: &str) -> Result<Self, BundleNameError> {
        let fault = || form("member name", text);
        let rest = text.strip_prefix(MEMBERS).ok_or_else(fault)?;
        let (hex, part) = match rest.split_once('.') {
            None => (rest, Part::Whole),
            Some((hex, digits)) => match digits.parse() {
                Ok(n @ 1..=BLOB_PARTS) => (hex, Part::Nth(n)),
                _ => return Err(fault()),
            },
        };
        let name = Self { blob: hex.parse().map_err(|_| fault())?, part };
        if name.to_string() == text { Ok(name) } else { Err(fault()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(collector: &str, site: &str) -> Result<Stream, BundleNameError> {
        Stream::new(SiteName::new(collector).unwrap(), SiteName::new(site).unwrap())
    }

    #[test]
    fn a_bundle_name_is_read_as_it_is_written() {
        let name =
            BundleName::new(&stream("hq", "plant-7").unwrap(), Epoch::FIRST, Sequence::new(42).unwrap());
        assert_eq!(name.to_string(), "hq.plant-7-e01-000042");
        assert_eq!("hq.plant-7-e01-000042".parse(), Ok(name));
        for good in ["a-e1.b-e2-e10-1000000", "a.b.c-e9999-99999999", "h.s-e01-000001-e01-000001"] {
            assert_eq!(good.parse::<BundleName>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "hq-e01-000042",
            "hq.-e01-000042",
            "hq.-7-e01-000042",
            "hq.plant-7-e1-000042",
            "hq.plant-7-e01-42",
            "hq.plant-7-e01-0000042",
            "hq.plant-7-e01-+00042",
            "hq.plant-7-e00-000042",
            "hq.plant-7-e01-000000",
            "hq.plant-7-e10000-000001",
            "hq.plant-7-e01-100000000",
            "../hq.plant-7-e01-000042",
            ".hq.plant-7-e01-000042",
            "HQ.plant-7-e01-000042",
            "hq.plant-7-e01-000042/",
            "hq.plant-7-e01-000042.partial",
        ] {
            assert!(bad.parse::<BundleName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_longest_bundle_name_fits_joliet() {
        let fits = stream(&"c".repeat(24), &"s".repeat(24)).unwrap();
        let name =
            BundleName::new(&fits, Epoch::new(EPOCH.into()).unwrap(), Sequence::new(SEQUENCE).unwrap());
        assert_eq!(name.to_string().len(), 64);
        assert!(matches!(stream(&"c".repeat(24), &"s".repeat(25)), Err(BundleNameError::TooLong { .. })));
        assert!(Epoch::new(u64::from(EPOCH) + 1).is_err());
        assert!(Sequence::new(SEQUENCE + 1).is_err());
        assert!(Sequence::new(0).is_err());
    }

    #[test]
    fn a_volume_name_has_one_form() {
        assert_eq!(VolumeNumber::new(7).unwrap().file_name(), "volume-0007.tar.zst");
        assert_eq!(VolumeNumber::parse_file_name("volume-9999.tar.zst").unwrap().get(), VOLUMES);
        for bad in ["volume-7.tar.zst", "volume-0000.tar.zst", "volume-10000.tar.zst", "volume-0001.tar", "x"]
        {
            assert!(VolumeNumber::parse_file_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_member_name_is_parsed_and_never_joined() {
        let blob = Digest::of(b"x");
        for part in [Part::Whole, Part::Nth(1), Part::Nth(BLOB_PARTS)] {
            let name = MemberName { blob, part };
            assert_eq!(name.to_string().parse(), Ok(name));
            assert!(name.to_string().len() <= 100);
        }
        let hex = blob.hex();
        for bad in [
            format!("blobs/sha256/{}", hex.to_uppercase()),
            format!("./blobs/sha256/{hex}"),
            format!("blobs/sha256/../{hex}"),
            format!("blobs/sha256/{hex}.0000"),
            format!("blobs/sha256/{hex}.1"),
            format!("blobs/sha256/{hex}.10000"),
            format!("blobs/sha256/{hex}/"),
            format!("/blobs/sha256/{hex}"),
            hex,
        ] {
            assert!(bad.parse::<MemberName>().is_err(), "{bad}");
        }
    }
}
