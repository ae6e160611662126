//! What a repository's `rpm` block may say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// How an RPM repository is mirrored. Every key has a default: `rpm: {}` is a whole block.
// an address is of a type of its reader's choice: a configuration may name variables of the environment in one
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RpmOptions")]
pub struct RpmOptions<A = Url> {
    /// Whether the installer tree that `.treeinfo` describes (kernels, boot images, stage2) is mirrored where there is one.
    pub treeinfo: bool,
    /// Whether source packages (`src`, `nosrc`) that the repository lists are fetched.
    ///
    /// The metadata stays byte for byte as upstream wrote it and lists them in any case.
    pub sources: bool,
    /// Whether delta packages (`drpm`) that the repository lists are fetched; clients do without them.
    pub deltas: bool,
    /// A list of mirrors, one URL per line, to take instead of `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub mirrorlist: Option<A>,
    /// A metalink to take mirrors from instead of `url`; the digests of `repomd.xml` that it lists must be met.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub metalink: Option<A>,
}

impl<A> Default for RpmOptions<A> {
    fn default() -> Self {
        Self { treeinfo: true, sources: true, deltas: true, mirrorlist: None, metalink: None }
    }
}

impl<A> RpmOptions<A> {
    /// Returns the same options with other addresses.
    pub fn map<B>(self, address: impl Fn(A) -> B) -> RpmOptions<B> {
        let Self { treeinfo, sources, deltas, mirrorlist, metalink } = self;
        let (mirrorlist, metalink) = (mirrorlist.map(&address), metalink.map(&address));
        RpmOptions { treeinfo, sources, deltas, mirrorlist, metalink }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_block_is_whole() {
        assert_eq!(serde_json::from_str::<RpmOptions>("{}").unwrap(), RpmOptions::default());
        let error = serde_json::from_str::<RpmOptions>(r#"{"tree": true}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `tree`"), "{error}");
    }

    #[test]
    fn options_survive_a_snapshot() {
        let options = RpmOptions {
            sources: false,
            metalink: Some("https://mirrors.example.org/metalink?repo=a&arch=b".parse().unwrap()),
            ..RpmOptions::default()
        };
        let value = serde_json::to_value(&options).unwrap();
        assert_eq!(serde_json::from_value::<RpmOptions>(value).unwrap(), options);
    }
}
