//! The rules that a bundle's manifest keeps beyond its form.

use std::collections::BTreeSet;

use chantal_contract::limits::{
    BUNDLE_FEATURES, BUNDLE_INDEX_BYTES, BUNDLE_INDEX_OPEN_BYTES, BUNDLE_PRESUMED, BUNDLE_STATES, CELL_BYTES,
    CELL_BYTES_LEAST, ORIGINS, PARITY_FILES, PROOF_BYTES, RATIO, RATIO_FREE_BYTES, REVIEW_HTML_BYTES,
    REVIEW_JSON_BYTES, STATE_NAMES, TRUST_VERSION, VOLUME_BYTES, VOLUMES,
};

use crate::{
    parity::{Layout, SHARD},
    proof,
};

use super::{Base, Delivery, FEATURES, Manifest, ManifestError, VERSION};

/// Checks every rule of specification §6.
pub(super) fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.version != VERSION {
        return Err(ManifestError::Version(manifest.version));
    }
    limits(manifest)?;
    if let Some(unknown) = manifest.requires.iter().find(|f| !FEATURES.contains(&f.as_str())) {
        return Err(ManifestError::Requires(unknown.clone()));
    }
    rule(manifest.requires.is_sorted_by(|a, b| a < b), "`requires` does not rise")?;
    manifest.stream()?;
    chain(manifest)?;
    bases(manifest)?;
    states(manifest)?;
    rule(
        manifest.volumes.is_empty() == (manifest.counts.blobs == 0),
        "there are blobs if and only if there are volumes",
    )?;
    parity(manifest)
}

fn parity(manifest: &Manifest) -> Result<(), ManifestError> {
    let Some(parity) = &manifest.parity else { return Ok(()) };
    rule(parity.shard as usize == SHARD, "the shard is not of 16 KiB")?;
    let files: usize = parity.groups.iter().map(|g| g.files.len()).sum();
    if files > PARITY_FILES as usize {
        return Err(ManifestError::Limit { what: "parity files", limit: PARITY_FILES.into() });
    }
    rule(parity.index.files.len() == 1, "the index is not protected by one file")?;
    Layout::of(&parity.index, &[manifest.index.size])?;
    manifest.protections()?;
    Ok(())
}

fn rule(holds: bool, why: &'static str) -> Result<(), ManifestError> {
    if holds { Ok(()) } else { Err(ManifestError::Rule(why)) }
}

fn limits(manifest: &Manifest) -> Result<(), ManifestError> {
    let at_most = |what, found: u64, limit: u64| {
        if found <= limit { Ok(()) } else { Err(ManifestError::Limit { what, limit }) }
    };
    let count = |what, found: usize, limit: usize| at_most(what, found as u64, limit as u64);
    count("requires", manifest.requires.len(), BUNDLE_FEATURES)?;
    count("trust", manifest.trust.len(), TRUST_VERSION as usize)?;
    count("bases", manifest.bases.len(), BUNDLE_STATES)?;
    count("presumed", manifest.presumed.len(), BUNDLE_PRESUMED)?;
    count("states", manifest.states.len(), BUNDLE_STATES)?;
    count("volumes", manifest.volumes.len(), VOLUMES as usize)?;
    for state in &manifest.states {
        count("names of a state", state.names.len(), STATE_NAMES)?;
    }
    at_most("the index's size", manifest.index.size, BUNDLE_INDEX_BYTES)?;
    at_most("the index's open size", manifest.index.open_size, BUNDLE_INDEX_OPEN_BYTES)?;
    rule(
        manifest.index.open_size <= RATIO_FREE_BYTES.max(manifest.index.size.saturating_mul(RATIO)),
        "the index opens to more than its size can hold",
    )?;
    at_most("the review's size", manifest.review.json.size, REVIEW_JSON_BYTES)?;
    at_most("the review page's size", manifest.review.html.size, REVIEW_HTML_BYTES)?;
    for volume in &manifest.volumes {
        at_most("a volume's size", volume.size.get(), VOLUME_BYTES)?;
    }
    rule(manifest.review.page >= 1, "the review's page has no version")?;
    count("origins", manifest.origins.len(), ORIGINS)?;
    for origin in &manifest.origins {
        at_most("an origin proof's size", origin.size, PROOF_BYTES as u64)?;
    }
    rule(
        manifest.origins.is_sorted_by(|a, b| proof::path(&a.sha256) < proof::path(&b.sha256)),
        "the origin proofs do not rise",
    )?;
    rule(
        manifest.cell.is_power_of_two() && (CELL_BYTES_LEAST..=CELL_BYTES).contains(&manifest.cell),
        "the cell is no power of two between 256 KiB and 1 MiB",
    )
}

fn chain(manifest: &Manifest) -> Result<(), ManifestError> {
    rule(!manifest.trust.is_empty(), "the trust chain is empty")?;
    rule(
        manifest.trust.iter().zip(1..).all(|(link, n)| link.version == n),
        "the trust chain does not count from 1 without gaps",
    )
}

fn bases(manifest: &Manifest) -> Result<(), ManifestError> {
    let key = |base: &Base| (base.repository.clone(), base.manifest);
    rule(manifest.bases.is_sorted_by(|a, b| key(a) < key(b)), "the bases do not rise")?;
    rule(manifest.presumed.is_sorted_by(|a, b| key(a) < key(b)), "the presumed snapshots do not rise")?;
    let bases: BTreeSet<_> = manifest.bases.iter().map(key).collect();
    rule(!manifest.presumed.iter().any(|p| bases.contains(&key(p))), "a base is presumed as well")?;
    let used: BTreeSet<_> =
        manifest.states.iter().filter_map(|s| s.base.map(|b| (s.repository.clone(), b))).collect();
    rule(bases.is_subset(&used), "no state starts from one of the bases")?;
    rule(
        (manifest.delivery == Delivery::Full) == (bases.is_empty() && manifest.presumed.is_empty()),
        "the delivery is `full` if and only if there are no bases and nothing is presumed",
    )
}

fn states(manifest: &Manifest) -> Result<(), ManifestError> {
    rule(!manifest.states.is_empty(), "there are no states")?;
    rule(
        manifest.states.is_sorted_by(|a, b| a.repository <= b.repository),
        "the states do not rise by repository",
    )?;
    let mut at_hand: BTreeSet<_> = manifest.bases.iter().map(|b| (&b.repository, b.manifest)).collect();
    let (mut carried, mut named) = (BTreeSet::new(), BTreeSet::new());
    for state in &manifest.states {
        let key = (&state.repository, state.manifest);
        rule(
            state.base.is_none_or(|base| at_hand.contains(&(&state.repository, base))),
            "a state starts from what is neither a base nor an earlier state of its repository",
        )?;
        at_hand.insert(key);
        rule(carried.insert(key), "a state stands twice")?;
        rule(state.names.is_sorted_by(|a, b| a < b), "the names of a state do not rise")?;
        for name in &state.names {
            rule(named.insert((&state.repository, name)), "a name stands for two states of one repository")?;
        }
    }
    Ok(())
}
