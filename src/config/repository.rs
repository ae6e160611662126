//! One upstream as configured.

use std::path::{Path, PathBuf};

use chantal_contract::{
    Kind, Mode, Policy,
    name::{Name, SiteName},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::formats::{AptOptions, PypiOptions, RpmOptions};

use super::{
    fault::Place,
    not_yet,
    text::{FilePath, Location, Text},
};

/// One upstream, or the policy of a receiver for a repository that arrives by bundle.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Its name: `a-z`, `0-9`, `.`, `_`, `-`, at most 64 of them. Repositories and views share one namespace.
    #[schemars(with = "String", regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$"))]
    pub name: Name,
    /// Where its packages come from: an `http:`, `https:` or `file:` URL. Left out on a receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Location>,
    /// Whether `sync` without names and `sync all` take it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Where it is published under `storage.published`, instead of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub path: Option<PublishedPath>,
    /// `mirror` (default for apt and rpm) or `filtered` (default for pypi).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OfferedMode>")]
    pub mode: Option<Mode>,
    /// Files with the OpenPGP public keys that upstream signs with, binary or armoured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<FilePath>,
    /// How strictly signatures are asked for.
    #[serde(default, skip_serializing_if = "Verify::is_default")]
    pub verify: Verify,
    /// Certificates for this upstream's origin and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Credentials for this upstream's origin and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// What becomes of a sync whose upstream lists files that it does not have.
    #[serde(default)]
    pub missing: Missing,
    /// What becomes of metadata whose `Valid-Until` has passed.
    #[serde(default)]
    pub expired: Expired,
    /// How many versions are kept (pypi only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// A Debian or Ubuntu archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apt: Option<AptOptions>,
    /// A repository of Fedora, Red Hat or SUSE; may be empty.
    #[serde(default, deserialize_with = "maybe_empty", skip_serializing_if = "Option::is_none")]
    pub rpm: Option<RpmOptions<Location>>,
    /// Projects of a Python package index.
    #[serde(default, deserialize_with = "maybe_empty", skip_serializing_if = "Option::is_none")]
    pub pypi: Option<PypiOptions>,
    #[serde(default, deserialize_with = "not_yet::filters", skip_serializing)]
    #[schemars(skip)]
    #[expect(dead_code, reason = "known only so as to be refused")]
    filters: (),
    #[serde(default, deserialize_with = "not_yet::helm", skip_serializing)]
    #[schemars(skip)]
    #[expect(dead_code, reason = "known only so as to be refused")]
    helm: (),
    #[serde(default, deserialize_with = "not_yet::apk", skip_serializing)]
    #[schemars(skip)]
    #[expect(dead_code, reason = "known only so as to be refused")]
    apk: (),
    #[serde(default, deserialize_with = "not_yet::hosted", skip_serializing)]
    #[schemars(skip)]
    #[expect(dead_code, reason = "known only so as to be refused")]
    hosted: (),
    /// Where it stands.
    #[serde(skip)]
    pub(super) place: Place,
    #[serde(skip)]
    directory: PathBuf,
}

const fn yes() -> bool {
    true
}

/// Takes a key without a value for an empty block.
fn maybe_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Option::<T>::deserialize(from).map(|block| Some(block.unwrap_or_default()))
}

impl Repository {
    /// Returns the formats whose blocks are there; exactly one on a collector.
    pub fn kinds(&self) -> Vec<Kind> {
        [(Kind::Apt, self.apt.is_some()), (Kind::Rpm, self.rpm.is_some()), (Kind::Pypi, self.pypi.is_some())]
            .into_iter()
            .filter_map(|(kind, there)| there.then_some(kind))
            .collect()
    }

    /// Returns the format; none where the entry only holds a receiver's policy.
    pub fn kind(&self) -> Option<Kind> {
        self.kinds().first().copied()
    }

    /// Tells whether the entry says where packages come from.
    pub fn has_upstream(&self) -> bool {
        self.url.is_some() || self.has_mirrors()
    }

    /// Tells whether a mirror list or a Metalink file says where packages come from.
    pub fn has_mirrors(&self) -> bool {
        self.rpm.as_ref().is_some_and(|rpm| rpm.mirrorlist.is_some() || rpm.metalink.is_some())
    }

    /// Returns where it is published, relative to the published directory.
    pub fn published_path(&self) -> &str {
        self.path.as_ref().map_or(self.name.as_str(), PublishedPath::as_str)
    }

    /// Returns the policy for signatures over metadata; the default is that of the format.
    pub fn verify_metadata(&self, kind: Kind) -> Policy {
        self.verify.metadata.unwrap_or(match kind {
            Kind::Apt => Policy::Require,
            Kind::Rpm if !self.keys.is_empty() => Policy::IfPresent,
            _ => Policy::Off,
        })
    }

    /// Returns the policy for packages' own signatures; the default is that of the format.
    pub fn verify_packages(&self, kind: Kind) -> Policy {
        self.verify.packages.unwrap_or(match kind {
            Kind::Rpm if !self.keys.is_empty() => Policy::Require,
            _ => Policy::Off,
        })
    }

    /// Returns what of an explicit `require` a repository of this format has nothing to verify by.
    pub fn unverifiable(&self, kind: Kind) -> Option<&'static str> {
        let required = |policy: Option<Policy>| policy == Some(Policy::Require);
        match kind {
            Kind::Pypi if required(self.verify.metadata) => Some("metadata"),
            Kind::Pypi | Kind::Apt if required(self.verify.packages) => Some("packages"),
            _ => None,
        }
    }

    /// Says which directory relative paths of this entry begin at.
    pub(super) fn rebase(&mut self, directory: &Path) {
        let tls = self.tls.iter_mut().flat_map(|t| [&mut t.client_cert, &mut t.client_key, &mut t.ca]);
        let auth = self.auth.iter_mut().flat_map(|a| [&mut a.password_file, &mut a.token_file]);
        tls.chain(auth).flatten().chain(&mut self.keys).for_each(|path| path.rebase(directory));
        directory.clone_into(&mut self.directory);
    }

    /// Iterates over the files with certificates and credentials.
    pub fn secrets(&self) -> impl Iterator<Item = &FilePath> {
        let tls = self.tls.iter().flat_map(|t| [&t.client_cert, &t.client_key, &t.ca]);
        let auth = self.auth.iter().flat_map(|a| [&a.password_file, &a.token_file]);
        tls.chain(auth).flatten()
    }

    /// Returns the directory that relative paths of this entry begin at.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns where the entry stands.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

/// How strictly signatures are asked for; what is left out is the format's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Signatures over indexes: `require` (apt's default), `if-present` (rpm's, when keys are given), `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Policy>,
    /// Packages' own signatures: `require` (rpm's default, when keys are given), `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OfferedPolicy>")]
    pub packages: Option<Policy>,
    /// On a receiver: the collector that must have signed the repository's states first, whoever hands them on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub origin: Option<SiteName>,
}

/// The modes that this version offers.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the schema")]
enum OfferedMode {
    /// Byte for byte, signatures intact.
    Mirror,
    /// Chosen packages with upstream's records in new indexes.
    Filtered,
}

/// The policies that packages' own signatures can be under.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the schema")]
enum OfferedPolicy {
    /// There must be a good one.
    Require,
    /// None is looked at; every run warns.
    Off,
}

impl Verify {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Certificates, as PEM files.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The client's certificate chain; may hold the key, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<FilePath>,
    /// The client's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<FilePath>,
    /// The authorities that are trusted instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<FilePath>,
}

/// Credentials: a name with a password, or a token. Secrets come from a file or the environment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The name (HTTP basic).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<Text>,
    /// A file whose first line is the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<FilePath>,
    /// The environment variable that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// A file whose first line is the token (HTTP bearer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<FilePath>,
    /// The environment variable that holds the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
}

/// What becomes of a sync whose upstream lists files that it does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The former state stays the newest, and the exit code is 4.
    #[default]
    Fail,
    /// The new state becomes the newest without those files.
    Allow,
}

/// What becomes of metadata whose `Valid-Until` has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Expired {
    /// It is refused.
    #[default]
    Refuse,
    /// It is taken, with a warning.
    Allow,
}

/// How many versions are kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The newest so many of each project.
    #[schemars(range(min = 1))]
    pub keep: std::num::NonZeroU32,
}

/// Where a repository is published: segments of names joined by `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublishedPath(String);

impl PublishedPath {
    /// Returns the path, relative to the published directory.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl TryFrom<String> for PublishedPath {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let named = |segment: &str| {
            let first = segment.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
            first && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+~".contains(&b))
        };
        if text.len() > 512 || !text.split('/').all(named) {
            return Err(format!("`{}` is no path of names joined by `/`", text.escape_debug()));
        }
        if ["snapshots", "views"].contains(&text.split('/').next().unwrap_or_default()) {
            return Err(format!("`{text}`: `snapshots` and `views` are reserved"));
        }
        Ok(Self(text))
    }
}
impl From<PublishedPath> for String {
    fn from(path: PublishedPath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_path_stays_inside() {
        for good in ["bookworm", "rhel/9/baseos", "a-b/c.d+e~f"] {
            assert_eq!(PublishedPath::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/..", ".trees", "a b", "snapshots/x", "views", "a\\b"] {
            assert!(PublishedPath::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
