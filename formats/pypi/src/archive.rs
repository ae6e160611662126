//! Package files: METADATA inside a wheel, PKG-INFO inside an sdist.
//!
//! Own readers, because what they read is hostile until proved otherwise: memory does not grow with the archive, sizes that
//! lie are seen, and no name in an archive becomes a path.

use std::io::Read;

use chantal_contract::{FormatError, ReadSeek, RepoPath, limits::METADATA_BYTES};

mod sdist;
mod zip;

/// Reads the METADATA of a wheel, byte for byte, as pip finds it: `<anything>.dist-info/METADATA` at the top.
pub fn wheel_metadata(file: &RepoPath, input: &mut dyn ReadSeek) -> Result<Vec<u8>, FormatError> {
    let members = zip::members(file, input, &|name| {
        name.strip_suffix("/METADATA").is_some_and(|dir| dir.ends_with(".dist-info") && !dir.contains('/'))
    })?;
    one(file, "one `*.dist-info/METADATA`", members, input)
}

/// Reads the PKG-INFO of an sdist, a compressed tar archive or a zip archive; none where it has none.
pub fn sdist_metadata(file: &RepoPath, input: &mut dyn ReadSeek) -> Result<Option<Vec<u8>>, FormatError> {
    let wanted =
        |name: &str| name.strip_suffix("/PKG-INFO").is_some_and(|dir| !dir.is_empty() && !dir.contains('/'));
    if file.as_str().strip_suffix(".zip").is_none() {
        return sdist::member(file, input, &wanted);
    }
    let members = zip::members(file, input, &wanted)?;
    if members.is_empty() { Ok(None) } else { one(file, "one PKG-INFO", members, input).map(Some) }
}

fn one(
    file: &RepoPath,
    expected: &str,
    mut members: Vec<zip::Member>,
    input: &mut dyn ReadSeek,
) -> Result<Vec<u8>, FormatError> {
    match (members.pop(), members.len()) {
        (Some(member), 0) => zip::extract(file, input, &member),
        (None, _) => Err(FormatError::malformed(file, "archive", expected, "none")),
        (Some(_), more) => {
            Err(FormatError::malformed(file, "archive", expected, format!("{} of them", more + 1)))
        }
    }
}

/// Reads at most [`METADATA_BYTES`].
fn read_bounded(file: &RepoPath, input: &mut dyn Read) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::new();
    input
        .take(METADATA_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| FormatError::Decode { file: file.clone(), source })?;
    if bytes.len() as u64 > METADATA_BYTES {
        return Err(FormatError::Limit { file: file.clone(), what: "metadata", limit: METADATA_BYTES });
    }
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests;
