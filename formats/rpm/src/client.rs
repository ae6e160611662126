//! The `.repo` file that sets a client up: dnf, yum and zypper read the same.

use std::fmt::Write as _;

use chantal_contract::{
    FormatError, Keeper, Place, RepoPath, SetUp, State, TreeError, limits::SIGNATURE_BYTES,
};

use crate::walk::SIGNATURE;

/// Writes `<name>.repo`.
///
/// Signatures are asked for wherever clients can check them with the published keys, and nowhere else: of packages when all
/// of them were verified, of the metadata when `repomd.xml.asc` is in the state and was verified. What is not asked for is
/// said, with the reason.
pub(crate) fn set_up(state: &dyn State, place: &Place) -> Result<Vec<SetUp>, FormatError> {
    let Place { name, base, keys, metadata_signed, packages_signed, at } = place;
    let has_signature = has_signature(state)?;
    let mut text = format!(
        "# {name}, published {}\n\
         # dnf and yum: copy this file to /etc/yum.repos.d/; zypper: to /etc/zypp/repos.d/\n\
         [{name}]\n\
         name={name}\n\
         baseurl={base}/\n\
         enabled=1\n",
        at.strftime("%Y-%m-%d %H:%M:%S UTC"),
    );
    let gpgcheck = u8::from(*packages_signed && keys.is_some());
    if gpgcheck == 0 {
        let why = if keys.is_none() { "no keys are published" } else { "they were not looked at upstream" };
        let _ = writeln!(text, "# packages' signatures cannot be checked: {why}");
    }
    let repo_gpgcheck = u8::from(*metadata_signed && has_signature && keys.is_some());
    if repo_gpgcheck == 0 && has_signature {
        let why = if keys.is_none() { "no keys are published" } else { "it was not looked at upstream" };
        let _ = writeln!(text, "# the metadata's signature cannot be checked: {why}");
    }
    let _ = writeln!(text, "gpgcheck={gpgcheck}\nrepo_gpgcheck={repo_gpgcheck}");
    if let Some(keys) = keys {
        let _ = writeln!(text, "gpgkey={base}/{}", keys.encoded());
    }
    text.push_str(
        "# the tree changes when a new state is published: look for one at least every six hours\n\
         metadata_expire=6h\n",
    );
    let install_to = format!("/etc/yum.repos.d/{name}.repo");
    Ok(vec![SetUp { name: format!("{name}.repo"), keeper: Keeper::Client, install_to, text }])
}

/// Tells whether the state holds a signature over `repomd.xml`.
fn has_signature(state: &dyn State) -> Result<bool, FormatError> {
    let Ok(path) = RepoPath::new(SIGNATURE) else { return Ok(false) };
    match state.read(&path, SIGNATURE_BYTES) {
        Ok(_) => Ok(true),
        Err(TreeError::NoFile(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
