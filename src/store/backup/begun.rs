//! A store that `init` has just begun, and nothing has worked in.

use std::{collections::BTreeSet, io::Read, path::Path};

use chantal_contract::Digest;

use super::Staged;
use crate::store::{
    Catalog, Event, Manifests, Pool, StoreError, file,
    journal::{self, Line},
    packs,
};

/// Reads the lines of the store's own journal in order; none for one that is not what was written.
pub(super) fn lines(root: &Path) -> Result<Vec<Option<Line>>, StoreError> {
    let own = journal::path(root);
    let Some(mut opened) = file::open_if_there(&own)? else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes).map_err(|e| StoreError::io(&own, e))?;
    let texts = bytes.split(|b| *b == b'\n').filter(|text| !text.is_empty());
    Ok(texts.map(|text| std::str::from_utf8(text).ok().and_then(|text| Line::parse(text).ok())).collect())
}

/// Tells whether the store holds another life of the backup's site than the backup, and nothing but what `init` wrote: its own
/// first lines and its own trust document. Nobody outside knows of that life, so that it can give way.
///
/// What an earlier, killed restore of the same backup has brought already does not count. Anything else does, a damaged line,
/// too: it may be the rest of a journal whose sequences must not be forgotten.
pub(super) fn is_only(root: &Path, staged: &Staged) -> Result<bool, StoreError> {
    let Some(own) = lines(root)?.into_iter().collect::<Option<Vec<Line>>>() else { return Ok(false) };
    let (Some(first), Some(theirs)) = (own.first(), staged.journal.first()) else { return Ok(false) };
    let Event::Init { site, .. } = &first.entry().event else { return Ok(false) };
    if first == theirs || !matches!(&theirs.entry().event, Event::Init { site: other, .. } if other == site) {
        return Ok(false);
    }
    let mut documents = BTreeSet::new();
    let copies = Catalog::copies(root);
    // a killed restore may have left the backup's journal to a catalog of the former life, but never the reverse
    for line in own.iter().chain(&copies).filter(|line| !staged.journal.contains(line)) {
        match &line.entry().event {
            Event::Init { site: named, .. } if named == site => {}
            Event::Trusted { collector, version: 1, document, .. } if collector == site => {
                documents.insert(*document);
            }
            _ => return Ok(false),
        }
    }
    holds_only(root, staged, &documents)
}

fn holds_only(root: &Path, staged: &Staged, documents: &BTreeSet<Digest>) -> Result<bool, StoreError> {
    for manifest in Manifests::new(root).iter() {
        if !staged.manifests.has(&manifest?)? {
            return Ok(false);
        }
    }
    let known: BTreeSet<Digest> = staged.packs.iter().map(|(name, _)| *name).collect();
    if packs::names(&root.join("packs"))?.iter().any(|name| !known.contains(name)) {
        return Ok(false);
    }
    let known: BTreeSet<Digest> = staged.blobs.iter().map(|(name, _)| *name).collect();
    for found in Pool::new(root).iter() {
        let (blob, _) = found?;
        if !known.contains(&blob) && !documents.contains(&blob) {
            return Ok(false);
        }
    }
    Ok(true)
}
