//! The list of formats.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use chantal_apt::AptOptions;
pub use chantal_rpm::RpmOptions;
/// Temporary.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PypiOptions {
    /// s
    #[serde(default)]
    pub projects: Vec<String>,
}
