//! What the tests of this crate share: a driver that feeds walks from memory, verifiers, and the real tools.

mod clients;
mod driver;
mod hostile;
pub(crate) mod mirror;
pub(crate) mod package;
mod proof;

use std::{ffi::OsString, path::PathBuf};

pub(crate) use driver::{Upstream, packed};
pub(crate) use proof::{Keyring, Unsigned};

/// Finds a real tool; says so and returns none where it is missing, unless the environment demands that it be there.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "`{name}` is not installed");
        println!("skipped: `{name}` is not installed");
    }
    found
}
