//! Upstream's own proof, checked once more under the site's own policy before a state becomes current (docs/design.md §8).
//!
//! The indexes are walked as the collector walked them: signatures against the site's keys, every index and every package
//! against the digest that the signed ones lead to. A collector that was deceived, or deceives, is found out here.

use std::{
    collections::HashMap,
    io::{BufReader, Cursor},
};

use chantal_contract::{
    Entry, FormatError, Kind, Line, Measured, Name, Policy, RepoPath, State as _, Step, Want,
};

use super::TransferError;
use crate::{
    formats::{
        self,
        replay::{Held, check, replay},
    },
    store::{StateRef, Store, StoreError},
    trust::Proof,
};

/// Returns the site's own policy for a repository of a format; none where the collector's word is enough.
pub type Policies<'a> = dyn Fn(&Name, Kind) -> Option<&'a Proof> + 'a;

/// What went wrong while a state was walked.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// What an index lists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// It may carry a signature of its own.
    Package,
    /// An installer image, a file of a tree.
    Other,
}

/// Checks a state that is whole in the store; refuses it where the site's policy is not met.
pub(super) fn vet(
    store: &Store,
    repository: &Name,
    state: &StateRef,
    policies: &Policies<'_>,
) -> Result<(), TransferError> {
    let holding = store.holding(state)?;
    let header = holding.snapshot().header();
    let Some(proof) = policies(repository, header.format) else { return Ok(()) };
    if proof.metadata == Policy::Off && proof.packages == Policy::Off {
        return Ok(());
    }
    let refused = |source| TransferError::Policy { repository: repository.clone(), source: Box::new(source) };
    let format = formats::from_header(header).map_err(refused)?;
    let mut listed: Vec<(Want, What)> = Vec::new();
    let mut open = |path: &RepoPath| {
        let found = holding.open(path)?;
        Ok(found.map(|(file, measured)| -> Held { (Box::new(file), measured) }))
    };
    let mut keep = |step: Step<'_>| {
        match step {
            Step::Package(package, _) => {
                listed.extend(package.files.into_iter().map(|want| (want, What::Package)));
            }
            Step::File(want) => listed.push((want, What::Other)),
            _ => {}
        }
        Ok(())
    };
    replay::<Fault>(format.as_ref(), proof, &mut open, &mut keep).map_err(|fault| match fault {
        Fault::Store(source) => TransferError::Store(source),
        Fault::Format(source) => refused(source),
    })?;
    let mut held: HashMap<RepoPath, Measured> = HashMap::new();
    holding.snapshot().each_line::<StoreError>(&mut |line| {
        if let Line::File { path, entry: Entry::Present { measured, .. } } = line {
            held.insert(path.clone(), *measured);
        }
        Ok(())
    })?;
    for (want, what) in &listed {
        // upstream did not have it, and nor does the collector
        let Some(measured) = held.get(&want.path) else { continue };
        let signed = *what == What::Package && proof.packages != Policy::Off;
        if want.expect.sha256().is_some() && !signed {
            check(want, *measured, &mut Cursor::new([])).map_err(refused)?;
            continue;
        }
        let mut file = BufReader::with_capacity(1 << 16, store.pool().open(&measured.sha256)?);
        check(want, *measured, &mut file).map_err(refused)?;
        if signed {
            format.vet(&want.path, &mut file, proof).map_err(refused)?;
        }
    }
    Ok(())
}
