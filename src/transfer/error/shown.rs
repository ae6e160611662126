//! How messages show lists of things.

use std::fmt;

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

/// Writes the first five of a list.
pub(super) struct List<'a, T>(pub &'a [T]);
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
pub(super) fn quoted(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(|address| format!("`{address}`")).collect()
}
