//! Chantal carries package repositories across an air gap.
//!
//! The way of the data is upstream → store → transfer → medium → transfer → store → publish. `upstream`, `transfer`
//! and `publish` never import each other; all stand on `store` and `trust`. Only `commands` prints.

pub mod commands;
pub mod config;
pub mod formats;
pub mod publish;
pub mod report;
pub mod store;
pub mod transfer;
pub mod trust;
#[cfg(feature = "collector")]
pub mod upstream;
