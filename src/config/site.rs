//! Where things lie, how they are fetched, and to whom they go.

use chantal_bundle::parity::Percent;
use chantal_contract::{
    limits::{VOLUME_BYTES, VOLUME_BYTES_LEAST},
    name::{Name, SiteName},
};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    fault::Place,
    quantity::{QuantityError, Rate, Size, Time},
    text::{FilePath, Text},
};

/// Which side of the gap an installation stands on; it sets defaults, a site can be both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Mirrors upstreams and writes bundles.
    Collector,
    /// Imports bundles and publishes; its entries under `repositories` may be policies only.
    Receiver,
}

impl Role {
    /// Returns the word that the configuration uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Receiver => "receiver",
        }
    }
}

/// Where the store and the published trees lie.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The directory of the store: blobs, snapshots, journal. On a local disk.
    pub root: FilePath,
    /// The directory that a web server serves. Best on the store's file system, so that packages are linked.
    pub published: FilePath,
    /// How packages get into published trees; what a file system cannot do falls back to copies.
    #[serde(default)]
    pub link: Link,
    /// How a new tree takes the place of the old one.
    #[serde(default)]
    pub switch: Switch,
    /// The address under which clients reach the published directory, for their set-up files; `file:` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Text>,
    /// Where it stands.
    #[serde(skip)]
    pub(super) place: Place,
}

impl Storage {
    /// Returns the address under which clients reach the published directory, without a trailing slash.
    pub fn base_url(&self) -> String {
        if let Some(url) = &self.url {
            return url.value().trim_end_matches('/').to_owned();
        }
        let path = self.published.resolve();
        let path = std::path::absolute(&path).unwrap_or(path);
        let url = url::Url::from_directory_path(&path)
            .map_or_else(|()| format!("file://{}", path.display()), |url| url.to_string());
        url.trim_end_matches('/').to_owned()
    }
}

/// How packages get into published trees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// As further names of the pool's files.
    #[default]
    Hardlink,
    /// As copies that share blocks (XFS, Btrfs).
    Reflink,
    /// As copies.
    Copy,
}

/// How a new tree takes the place of the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// A symbolic link is renamed over the old one.
    #[default]
    Symlink,
    /// Two directories are exchanged, for servers that follow no symbolic links.
    Exchange,
}

/// The rules of every download.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Download {
    /// How many requests one host answers at a time.
    #[schemars(range(min = 1, max = 256))]
    pub parallel: Parallel,
    /// How often a request is repeated that failed for a reason that may pass. A server that asks for a pause (`Retry-After`) gets it, up to
    /// five minutes each time.
    pub retries: u32,
    /// The most bytes a second over all downloads: `50MB/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Rate>,
    /// A proxy (`http://host:port`, `socks5://host:port`), or `none`; when left out, `HTTPS_PROXY` and its kin count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Text>,
    /// How long a connection may take to be made.
    pub connect_timeout: Time,
    /// How long a server may send nothing.
    pub stall_timeout: Time,
    /// How long one file may take in all.
    pub deadline: Time,
    /// What the program calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Text>,
}

impl Default for Download {
    fn default() -> Self {
        Self {
            parallel: Parallel(8),
            retries: 5,
            rate_limit: None,
            proxy: None,
            connect_timeout: Time::seconds(30),
            stall_timeout: Time::seconds(60),
            deadline: Time::seconds(24 * 3600),
            user_agent: None,
        }
    }
}

/// How many things are done at a time: 1 to 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u16", into = "u16")]
#[schemars(with = "u16", inline)]
pub struct Parallel(u16);

impl Parallel {
    /// Returns the number.
    pub const fn get(self) -> u16 {
        self.0
    }
}
impl TryFrom<u16> for Parallel {
    type Error = String;
    fn try_from(number: u16) -> Result<Self, String> {
        if (1..=256).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("{number} is not from 1 to 256"))
        }
    }
}
impl From<Parallel> for u16 {
    fn from(parallel: Parallel) -> Self {
        parallel.0
    }
}

/// A site that bundles are made for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its name, as its own configuration says under `site`.
    #[schemars(with = "String", regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$"))]
    pub name: SiteName,
    /// The repositories that it gets.
    #[schemars(with = "Vec<String>")]
    pub repositories: Vec<Name>,
    /// The most bytes of one volume: what the medium takes, from `4MiB` to `1TiB`.
    #[serde(default = "default_volume_size", deserialize_with = "fitting")]
    pub volume_size: Size,
    /// How much parity is written beside the volumes, of their size: `10%`. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9]{1,3}%$"))]
    pub parity: Option<Percent>,
    /// How often it is meant to get a bundle (`30d`): every manifest says until when the next one is expected, and `status` there
    /// shows who is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Time>,
    /// Where it stands.
    #[serde(skip)]
    pub(super) place: Place,
}

impl Site {
    /// Returns until when the bundle after one made at `created` is expected; none where nothing is said.
    pub fn expected_next(&self, created: Timestamp) -> Option<Timestamp> {
        created.checked_add(SignedDuration::try_from(self.every?.duration()).ok()?).ok()
    }
}

/// What fits on FAT, whose files end at 4 GiB.
pub const VOLUME_SIZE: Size = Size::new(3900 << 20);

/// Reads a size that a volume may have.
fn fitting<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Size, D::Error> {
    within(Size::deserialize(input)?).map_err(serde::de::Error::custom)
}

/// Reads a size that a volume may have, as the command line gives it.
pub fn volume_size(text: &str) -> Result<Size, String> {
    within(text.parse().map_err(|error: QuantityError| error.to_string())?)
}

fn within(size: Size) -> Result<Size, String> {
    if (VOLUME_BYTES_LEAST..=VOLUME_BYTES).contains(&size.bytes()) {
        return Ok(size);
    }
    let (least, most) = (Size::new(VOLUME_BYTES_LEAST), Size::new(VOLUME_BYTES));
    Err(format!("a volume of {size} is not from {least} to {most}"))
}

const fn default_volume_size() -> Size {
    VOLUME_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_have_the_sizes_that_an_export_takes() {
        let read = |bytes: u64| {
            let text = format!("{{ name: p, repositories: [a], volume_size: {bytes} }}");
            serde_yaml::from_str::<Site>(&text).map(|site| site.volume_size.bytes())
        };
        for (bytes, taken) in [
            (VOLUME_BYTES_LEAST - 1, false),
            (VOLUME_BYTES_LEAST, true),
            (VOLUME_BYTES, true),
            (VOLUME_BYTES + 1, false),
        ] {
            assert_eq!(read(bytes).ok(), taken.then_some(bytes), "{bytes}");
            let written = volume_size(&bytes.to_string()).map(Size::bytes);
            assert_eq!(written.ok(), taken.then_some(bytes), "{bytes}");
        }
        assert!(read(1).unwrap_err().to_string().contains("is not from 4MiB to 1TiB"));
    }
}
