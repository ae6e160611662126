//! The list of formats.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use chantal_apt::AptOptions;
/// Temporary.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RpmOptions {
    /// s
    pub mirrorlist: Option<String>,
    /// s
    pub metalink: Option<String>,
}
/// Temporary.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PypiOptions {
    /// s
    #[serde(default)]
    pub projects: Vec<String>,
}
