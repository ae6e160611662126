//! OpenPGP of upstreams (RFC 9580): which bytes carry a good signature of a configured key.
//!
//! The crate `pgp` reads packets and does the mathematics. Everything that makes a proof out of them is here: the frames,
//! whose key it is, whether that key was bound, unexpired, unrevoked and strong enough *when it signed*.
//!
//! Decisions that are not the specification's:
//!
//! - **A key that expired after it signed is believed** (gpgv says `EXPKEYSIG`): every judgement is made at the time that the
//!   signature carries, so that the same evidence gives the same verdict on a receiver whose clock is years off. A stolen
//!   expired key is answered by a revocation, which needs no clock. [`Proof::expired_since`] tells which, so that a collector
//!   warns: stock `apt` refuses such a repository.
//! - **A hard revocation** (no reason, compromised, unknown reason) refuses whatever the key ever signed; a soft one (superseded,
//!   retired) what it signed later.
//! - **A signature that its signer let expire** is refused from then on, as gpgv does (`EXPSIG`): the only look at the clock.
//! - **SHA-1 and MD5 never prove data.** In self-signatures of a configured key SHA-1 is read, since many distributions'
//!   keys carry nothing else and the administrator vouches for the file; MD5 is not.
//! - **A key file stripped to its newest self-signature** still judges older signatures: where none is as old as the signature,
//!   the oldest there is speaks.

pub(in crate::trust) mod armour;
mod certificate;
mod cleartext;
mod keyring;
mod packets;
mod proof;
mod strength;

pub use keyring::{CertificateInfo, Keyring, KeyringError};
pub use proof::Proof;

#[cfg(test)]
mod tests;
