//! Room `trust`: keys and policy. Ed25519 for bundles, OpenPGP for upstreams.

pub mod agent;
pub mod document;
pub mod key;
pub mod openpgp;
pub mod sshsig;
#[cfg(test)]
#[path = "../tests/fixtures/token.rs"]
mod token;

pub use agent::{Agent, AgentError};
pub use document::{TrustError, admit, first_document};
pub use key::{Home, KeyError, Passphrase, SiteKey, read_public_key};
pub use openpgp::{Keyring, KeyringError, Proof};
pub use sshsig::{SshsigError, Strict};
