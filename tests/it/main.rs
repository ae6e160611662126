//! The one integration-test binary: the real program, real clients, upstreams of our own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    reason = "tests"
)]

#[path = "../fixtures/lib.rs"]
mod fixtures;

mod airgap;
mod anchor;
mod architecture;
mod beginnings;
mod builders;
mod clients;
mod hostile_bundle;
mod hostile_upstream;
mod kill;
mod media;
mod reference;
mod repair;
mod review;
mod served;
mod specification;
mod spread;
mod store_faults;
mod surface;
mod trust;
mod views;
mod world;
