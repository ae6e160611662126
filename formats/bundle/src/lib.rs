//! The wire format of a bundle: what moves a site from snapshots it holds to newer ones (docs/bundle-format.md).
//!
//! Everything here is a function over bytes, readers and writers that the caller brings: no file is opened, no clock read,
//! no key held.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

pub mod cells;
pub mod delta;
pub mod frame;
pub mod index;
pub mod json;
pub mod key;
pub mod manifest;
pub mod name;
pub mod parity;
pub mod proof;
pub mod receipt;
pub mod seal;
pub mod sums;
pub mod trust;
pub mod ustar;
pub mod volume;
pub mod wire;

pub use key::{Application, KeyError, KeyFingerprint, PublicKey};
pub use manifest::Manifest;
pub use name::{BundleName, BundleNameError, Epoch, MemberName, Part, Sequence, Stream, VolumeNumber};
pub use receipt::Receipt;
pub use seal::{Namespace, SignatureCheck};
pub use trust::{TrustDocument, TrustRole};
