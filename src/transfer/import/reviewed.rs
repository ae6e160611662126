//! Holds what the index tells of packages against what the states themselves list.

use chantal_contract::{Digest, Name};

use super::{Job, rebuild::Survey, state_of};
use crate::{
    store::StateRef,
    transfer::{
        TransferError,
        survey::{Advance, Policies, ReviewSum, survey},
    },
};

impl Job<'_> {
    /// Walks every state, now whole in the store: it must meet the site's policy, and change what was reviewed.
    pub(super) fn expect_reviewed(
        &self,
        survey_of_index: &Survey,
        policies: &Policies<'_>,
    ) -> Result<(), TransferError> {
        for (state, told) in self.manifest().states.iter().zip(&survey_of_index.reviews) {
            let mut sum = ReviewSum::default();
            let base = state.base.map(|base| self.base(&state.repository, base));
            let (repository, now) = (&state.repository, state_of(state));
            let step = Advance { repository, base: base.as_ref(), state: &now };
            survey(self.store, step, policies, &mut |line| {
                sum.add(line);
                Ok(())
            })?;
            if sum.finish() != *told {
                let (bundle, repository) = (self.name.clone(), repository.clone());
                return Err(TransferError::OtherPackages { bundle, repository });
            }
            self.expect_shown(state, base.as_ref())?;
        }
        Ok(())
    }

    /// Returns the state that a delta starts from: a base, or one that the bundle brings itself.
    fn base(&self, repository: &Name, manifest: Digest) -> StateRef {
        let bases = self.manifest().bases.iter().map(|b| (&b.repository, b.manifest, b.evidence));
        let states = self.manifest().states.iter().map(|s| (&s.repository, s.manifest, s.evidence));
        let evidence = bases.chain(states).find(|(r, m, _)| (*r, *m) == (repository, manifest));
        StateRef { manifest, evidence: evidence.and_then(|(_, _, e)| e), date: None, valid_until: None }
    }
}
