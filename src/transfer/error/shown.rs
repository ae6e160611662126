//! How messages show lists of things.

use std::fmt;

use chantal_bundle::BundleName;
use chantal_contract::{Digest, Name, SiteName};

use crate::store::Address;

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

/// What a state changes at a site and its review, which was made against another state, does not show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{bundle} changes what its review does not show, as that is of another state than this site holds: {what}{}",
    if *more > 0 { format!(", and {more} more") } else { String::new() }
)]
pub struct Hidden {
    /// The bundle.
    pub bundle: BundleName,
    /// The repository.
    pub repository: Name,
    /// The first such thing, in words.
    pub what: String,
    /// How many more there are.
    pub more: u64,
    /// The site.
    pub site: SiteName,
    /// The newest bundle of the stream that was imported there.
    pub since: Option<String>,
}

/// Writes the first five of a list.
pub(in crate::transfer) struct List<'a, T>(pub &'a [T]);
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

/// Says whose a bundle says that it is.
pub(super) fn claim(collector: Option<&SiteName>) -> String {
    match collector {
        Some(collector) => format!("it says that it is of collector `{collector}`, which is"),
        None => "its trust chain is of".into(),
    }
}

/// Puts addresses between backticks.
pub(in crate::transfer) fn quoted(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(|address| format!("`{address}`")).collect()
}
