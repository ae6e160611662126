//! Room `upstream`: fetches from servers, directories and mirror lists, and drives a format's walk over what it finds.
//!
//! It stands on `store` and `trust` and is the only room that opens a socket.

pub mod fetch;
pub mod select;
pub mod sync;

#[cfg(test)]
#[path = "../tests/fixtures/lib.rs"]
mod fixtures;
