//! `SHA256SUMS`, held against the signed manifest: both ways of checking a bundle must agree.

use std::{collections::BTreeMap, path::Path};

use chantal_bundle::{
    Manifest, index, manifest,
    parity::Parity,
    proof, seal,
    sums::{self, FILE},
};
use chantal_contract::{Digest, limits::BUNDLE_MANIFEST_BYTES};

use crate::transfer::{TransferError, medium};

/// Bytes of `SHA256SUMS`.
const SUMS_BYTES: usize = 8 << 20;

/// Returns the entries that contradict the manifest or are missing from it; none where the directory has no such file.
pub(super) fn compare(dir: &Path, manifest: &Manifest) -> Result<Option<Vec<String>>, TransferError> {
    let file = dir.join(FILE);
    if !medium::is_file(&file) {
        return Ok(None);
    }
    let text = medium::read(&file, SUMS_BYTES)?;
    let Some(listed) = std::str::from_utf8(&text).ok().and_then(|t| sums::parse(t).ok()) else {
        return Ok(Some(vec![format!("`{}` is not in its one form", file.display())]));
    };
    let expected = expected(dir, manifest)?;
    let wrong = expected.iter().filter(|(name, digest)| listed.get(*name) != Some(digest));
    let unsigned = listed
        .iter()
        .filter(|(name, digest)| !expected.contains_key(*name) && !agrees(dir, name, digest, &expected));
    let names = wrong.chain(unsigned).map(|(name, _)| name);
    Ok(Some(names.map(|name| format!("`{}` says otherwise of `{name}`", file.display())).collect()))
}

/// Tells whether a sum is right of a file that the manifest does not list itself: of a second copy, or of a signature over the chain,
/// of which one copy is enough.
fn agrees(dir: &Path, name: &str, sum: &Digest, signed: &sums::Sums) -> bool {
    let first = name.strip_prefix(seal::COPY).and_then(|name| name.strip_prefix('/')).unwrap_or(name);
    let is = |path: &Path| medium::read(path, BUNDLE_MANIFEST_BYTES).is_ok_and(|b| Digest::of(&b) == *sum);
    match signed.get(first) {
        Some(digest) => digest == sum,
        None => is(&dir.join(first)) || is(&dir.join(seal::COPY).join(first)),
    }
}

fn expected(dir: &Path, manifest: &Manifest) -> Result<BTreeMap<String, Digest>, TransferError> {
    let mut expected = BTreeMap::new();
    expected.insert(index::FILE.to_owned(), manifest.index.sha256);
    let bytes = manifest.encode().map_err(|source| TransferError::Manifest { path: dir.into(), source })?;
    expected.insert(manifest::FILE.to_owned(), Digest::of(&bytes));
    expected.insert(manifest::REVIEW_JSON.to_owned(), manifest.review.json.sha256);
    expected.insert(manifest::REVIEW_HTML.to_owned(), manifest.review.html.sha256);
    expected.extend(manifest.origins.iter().map(|file| (proof::path(&file.sha256), file.sha256)));
    expected.extend(manifest.volumes().map(|(number, file)| (number.file_name(), file.sha256)));
    let parity = manifest.parity.iter().flat_map(Parity::files);
    expected.extend(parity.map(|(number, file)| (number.file_name(), file.sha256)));
    expected.extend(manifest.trust.iter().map(|link| (seal::trust_document(link.version), link.sha256)));
    Ok(expected)
}
