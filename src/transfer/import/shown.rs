//! Holds what becomes current against what is current here, where its review was made against something else.
//!
//! A receipt that has not come back yet, a bundle that was lost, a named state that becomes the newest: the review of such a bundle
//! tells truly what changes against its own base, and little of what changes at this site.

use std::collections::HashSet;

use chantal_bundle::manifest::CarriedState;
use chantal_contract::Name;

use super::{Job, state_of};
use crate::{
    report::{Event as Report, review::Unusual},
    store::{StateRef, StoreError},
    transfer::{
        TransferError,
        error::Hidden,
        review::{Mark, graves},
        survey::Advance,
    },
};

/// Whose word made what is current here current.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Former {
    /// This collector's, in this epoch.
    Same,
    /// Another collector's, or one of an epoch that is over: it cannot be expected to know what is here.
    Other,
}

impl Job<'_> {
    /// Refuses a state that becomes current, follows another than the one that is current here, and changes something about that one
    /// which asks for a decision and which its review does not show.
    pub(super) fn expect_shown(
        &self,
        state: &CarriedState,
        base: Option<&StateRef>,
    ) -> Result<(), TransferError> {
        if !self.manifest().is_newest(state) {
            return Ok(());
        }
        let (repository, now) = (&state.repository, state_of(state));
        let Some(held) = self.store.catalog().newest(repository)? else { return Ok(()) };
        let held = held.state;
        let is_held = |other: &StateRef| (other.manifest, other.evidence) == (held.manifest, held.evidence);
        if is_held(&now) || base.is_some_and(is_held) {
            return Ok(());
        }
        let here = Advance { repository, base: Some(&held), state: &now };
        let mut hidden: HashSet<Mark> = HashSet::new();
        match graves(self.store, self.name, here, &mut |_, mark| hidden.extend([mark])) {
            // after a restore, or read otherwise by an earlier version: what is here cannot be compared with anything
            Err(
                fault @ (TransferError::Store(StoreError::Missing { .. }) | TransferError::Unlisted { .. }),
            ) => {
                let text = format!("what it changes of `{repository}` here is not known: {fault}");
                self.warn(&text);
                return Ok(());
            }
            other => other?,
        }
        if hidden.is_empty() {
            return Ok(());
        }
        let reviewed = Advance { repository, base, state: &now };
        let mut show = |_, mark: Mark| {
            hidden.remove(&mark);
        };
        graves(self.store, self.name, reviewed, &mut show)?;
        if hidden.is_empty() {
            return Ok(());
        }
        let mut first: Option<Unusual> = None;
        graves(self.store, self.name, here, &mut |found, mark| {
            if first.is_none() && hidden.contains(&mark) {
                first = Some(found);
            }
        })?;
        let (what, more) = (first.map(|f| f.to_string()).unwrap_or_default(), hidden.len() as u64 - 1);
        let (bundle, since) = (self.name.clone(), self.newest_import()?);
        let (repository, site) = (repository.clone(), self.store.site().clone());
        let fault = TransferError::NotShown(Box::new(Hidden { bundle, repository, what, more, site, since }));
        match self.former(&state.repository)? {
            Former::Same => Err(fault),
            Former::Other => {
                self.warn(&fault.to_string());
                Ok(())
            }
        }
    }

    fn former(&self, repository: &Name) -> Result<Former, TransferError> {
        let manifest = self.manifest();
        let imports = self.store.catalog().imports(None)?;
        let by = imports.iter().rfind(|i| i.states.iter().any(|s| s.repository == *repository));
        let same = by.is_none_or(|i| (&i.from, i.epoch) == (&manifest.collector, manifest.epoch.get()));
        Ok(if same { Former::Same } else { Former::Other })
    }

    /// Returns the name of the newest bundle of the stream that was imported here.
    fn newest_import(&self) -> Result<Option<String>, TransferError> {
        let imports = self.store.catalog().imports(Some(&self.manifest().collector))?;
        Ok(imports.into_iter().max_by_key(|i| (i.epoch, i.sequence)).map(|i| i.bundle))
    }

    fn warn(&self, text: &str) {
        self.reporter.event(Report::Warning { subject: &self.name.to_string(), text });
    }
}
