//! Room `trust`: keys and policy. Ed25519 for bundles, OpenPGP for upstreams.

pub mod openpgp;
