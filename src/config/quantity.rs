//! Sizes, rates and times as people write them.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why some text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It has not the form of a number and a unit.
    #[error("`{found}` is no {what}: write a number and a unit, as in `{example}`")]
    Form {
        /// What it should be.
        what: &'static str,
        /// What it is.
        found: String,
        /// One that is right.
        example: &'static str,
    },
    /// It is zero.
    #[error("a {what} must be more than zero")]
    Zero {
        /// What it should be.
        what: &'static str,
    },
    /// It is more than 64 bits hold.
    #[error("`{found}` is too large")]
    TooLarge {
        /// What it is.
        found: String,
    },
}

const BYTES: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

fn parse(
    text: &str,
    what: &'static str,
    example: &'static str,
    units: &[(&str, u64)],
) -> Result<u64, QuantityError> {
    let found = || text.chars().take(40).collect::<String>();
    let malformed = || QuantityError::Form { what, found: found(), example };
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim_start();
    if number.is_empty() {
        return Err(malformed());
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
    let too_large = || QuantityError::TooLarge { found: found() };
    let number: u64 = number.parse().map_err(|_| too_large())?;
    match number.checked_mul(*factor) {
        Some(0) => Err(QuantityError::Zero { what }),
        Some(value) => Ok(value),
        None => Err(too_large()),
    }
}

/// Writes with the largest unit that divides.
fn shortest(value: u64, units: &[(&str, u64)], skip: usize) -> String {
    let (name, factor) = units
        .iter()
        .skip(skip)
        .filter(|(_, factor)| value.is_multiple_of(*factor))
        .max_by_key(|(_, factor)| *factor)
        .copied()
        .unwrap_or(("", 1));
    format!("{}{name}", value / factor)
}

macro_rules! quantity {
    ($(#[$doc:meta])* $type:ident, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(u64);

        impl TryFrom<String> for $type {
            type Error = QuantityError;
            fn try_from(text: String) -> Result<Self, QuantityError> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "integer"], "pattern": $pattern })
            }
        }
    };
}

quantity! {
    /// A number of bytes: `3900MiB`, `4GB`, `700000`.
    Size, "^[0-9]+ *(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?$"
}
quantity! {
    /// Bytes a second: `50MB/s`.
    Rate, "^[0-9]+ *(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)/s$"
}
quantity! {
    /// A time: `30s`, `5m`, `12h`, `500ms`, `2d`.
    Time, "^[0-9]+ *(ms|s|m|h|d)$"
}

impl Size {
    /// Takes a number of bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}
impl FromStr for Size {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text, "size", "3900MiB", &BYTES).map(Self)
    }
}
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&shortest(self.0, &BYTES, 2))
    }
}

impl Rate {
    /// Returns the bytes a second.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}
impl FromStr for Rate {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let malformed = || QuantityError::Form {
            what: "rate",
            found: text.chars().take(40).collect(),
            example: "50MB/s",
        };
        let size = text.trim().strip_suffix("/s").ok_or_else(malformed)?;
        parse(size, "rate", "50MB/s", &BYTES).map(Self).map_err(|error| match error {
            QuantityError::Form { .. } => malformed(),
            other => other,
        })
    }
}
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", shortest(self.0, &BYTES, 1))
    }
}

impl Time {
    /// Takes seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    /// Returns the time.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}
impl FromStr for Time {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text, "time", "30s", &TIMES).map(Self)
    }
}
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&shortest(self.0, &TIMES, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (text, bytes) in
            [("3900MiB", 3900 << 20), ("4GB", 4_000_000_000), ("700001", 700_001), ("1kB", 1000)]
        {
            let size: Size = text.parse().unwrap();
            assert_eq!(size.bytes(), bytes);
            assert_eq!(size.to_string(), text);
        }
        assert_eq!("50 MB/s".parse::<Rate>().unwrap().bytes(), 50_000_000);
        assert_eq!("50MB/s".parse::<Rate>().unwrap().to_string(), "50MB/s");
        assert_eq!("90s".parse::<Time>().unwrap().duration(), Duration::from_secs(90));
        assert_eq!(Time::seconds(120).to_string(), "2m");
    }

    #[test]
    fn refuses_what_can_be_misread() {
        for bad in ["", "MB", "1.5GB", "4G", "4gb", "-1", "1 000", "0x10", "1MB/s"] {
            assert!(matches!(bad.parse::<Size>(), Err(QuantityError::Form { .. })), "{bad}");
        }
        assert!(matches!("0".parse::<Size>(), Err(QuantityError::Zero { .. })));
        assert_eq!("18446744073709551615".parse::<Size>().unwrap().bytes(), u64::MAX);
        for large in ["18446744073709551616", "16777216TiB"] {
            assert!(matches!(large.parse::<Size>(), Err(QuantityError::TooLarge { .. })), "{large}");
        }
        for bad in ["50MB", "50/s/s", "MB/s"] {
            assert!(matches!(bad.parse::<Rate>(), Err(QuantityError::Form { .. })), "{bad}");
        }
        for bad in ["30", "30sec", "s"] {
            assert!(matches!(bad.parse::<Time>(), Err(QuantityError::Form { .. })), "{bad}");
        }
    }
}
