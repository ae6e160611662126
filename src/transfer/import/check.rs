//! Whether a believed bundle is one for this site, and its turn.

use chantal_bundle::BundleName;
use jiff::Timestamp;

use crate::{
    store::{Origin, Store},
    transfer::{MissingBase, TransferError, admit::Admitted, origin::Demands},
};

/// Where a bundle stands in its stream.
pub(super) enum Standing {
    /// This very bundle was imported.
    Already(Timestamp),
    /// It is newer than all that were imported, and everything that it starts from is here.
    New,
}

/// Answers a bundle for what it is: for another site, replayed, older, imported already, of what others bring, without its bases, or
/// new.
pub(super) fn standing(
    store: &Store,
    admitted: &Admitted,
    name: &BundleName,
    demands: &Demands,
) -> Result<Standing, TransferError> {
    let manifest = &admitted.manifest;
    let bundle = || name.clone();
    if manifest.site != *store.site() {
        let (addressee, here) = (manifest.site.clone(), store.site().clone());
        return Err(TransferError::WrongSite { bundle: bundle(), addressee, here });
    }
    let imports = store.catalog().imports(Some(&manifest.collector))?;
    if let Some(same) = imports.iter().find(|i| i.manifest == admitted.digest) {
        return Ok(Standing::Already(same.at));
    }
    let place = (manifest.epoch.get(), manifest.sequence.get());
    let stream = || imports.iter().filter(|import| !import.closed);
    if let Some(other) = stream().find(|i| (i.epoch, i.sequence) == place) {
        return Err(TransferError::Replayed { bundle: bundle(), at: other.at.to_string() });
    }
    let newest = stream().max_by_key(|i| (i.epoch, i.sequence));
    if let Some(newer) = newest.filter(|i| (i.epoch, i.sequence) > place) {
        return Err(TransferError::Older { bundle: bundle(), newest: newer.bundle.clone() });
    }
    let all = store.catalog().imports(None)?;
    for state in &manifest.states {
        let repository = state.repository.clone();
        let Some(here) = store.catalog().newest(&repository)? else { continue };
        if here.origin == Origin::Synced {
            return Err(TransferError::OwnRepository { bundle: bundle(), repository });
        }
        // Whose word counts where a demand is made, the proofs tell.
        let brought = all.iter().rfind(|i| i.states.iter().any(|s| s.repository == repository));
        let other = brought.filter(|i| i.from != manifest.collector && !demands.contains_key(&repository));
        if let Some(former) = other {
            let (from, by) = (former.from.clone(), manifest.collector.clone());
            return Err(TransferError::OtherCollector { bundle: bundle(), repository, from, by });
        }
    }
    let mut missing = Vec::new();
    for base in &manifest.bases {
        let list = base.evidence.as_ref().map(|e| store.pool().has(e)).transpose()?;
        if !store.manifests().has(&base.manifest)? || list == Some(None) {
            missing.push(MissingBase {
                repository: base.repository.clone(),
                manifest: base.manifest,
                bundle: base.bundle.as_ref().map(ToString::to_string),
            });
        }
    }
    if missing.is_empty() {
        return Ok(Standing::New);
    }
    Err(TransferError::MissingBases { bundle: bundle(), site: manifest.site.clone(), missing })
}
