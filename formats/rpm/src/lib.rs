//! RPM repositories: `repomd.xml` and what it names, version order, packages and their signatures, installer trees.
//!
//! Everything here is pure: it reads bytes that it is given and says what it wants. Specifications: the metadata as
//! `createrepo_c` writes and `librepo` reads it, packages as `rpm` reads them, installer trees as `productmd` describes them.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod client;
mod deltas;
pub mod file;
mod format;
mod location;
pub mod mirrors;
mod open;
mod options;
mod primary;
mod repomd;
mod treeinfo;
mod updateinfo;
mod version;
mod walk;
mod xml;

pub use format::Rpm;
pub use options::RpmOptions;
pub use version::{Parts, compare};
pub use walk::{REPOMD, SIGNATURE};

#[cfg(test)]
mod tests;
