//! The vocabulary and the traits that every package format of Chantal speaks.
//!
//! Nothing here opens a file or a socket, reads a clock or prints. A [`Format`] *walks*: it says what it
//! wants, is fed bytes that were checked against the digest it named, and says what more it wants. The same
//! walk serves syncing, re-verifying on a receiver, and fuzzing.

pub mod codec;
pub mod digest;
pub mod error;
pub mod format;
pub mod limits;
pub mod manifest;
pub mod name;
pub mod package;
pub mod path;
pub mod proof;
pub mod tree;
pub mod want;

pub use digest::{Algorithm, Checksum, Digest, Expect, Measured, Measurer, Mismatch};
pub use error::FormatError;
pub use format::{Coverage, Format, Kind, Mode, Notice, Walk};
pub use manifest::{Entry, Header, Line};
pub use name::{Name, NameError, SiteName, SnapshotName};
pub use package::{Advisory, Document, Group, Key, Package, Version};
pub use path::{PathError, RepoPath};
pub use proof::{Fingerprint, NoProof, Policy, Signed, Signer, Verifier, VerifyError};
pub use tree::{Keeper, Place, SetUp, State, Tree, TreeError};
pub use want::{Absent, Answer, At, Body, Keep, ReadSeek, Role, Step, Want};
