//! All that is proved of a bundle before its volumes are read.

use std::path::PathBuf;

use chantal_bundle::BundleName;
use chantal_contract::Digest;
use jiff::Timestamp;

use super::{
    ImportOutcome, Job, Others, Rules, again,
    check::{self, Standing},
    closure,
    gather::{Approvals, Gathered, Loose},
    rebuild::{self, Survey},
};
use crate::{
    report::{Event as Report, Reporter},
    store::Store,
    transfer::{TransferError, accepted, admit, approval, medium, origin, repair::Media, review, strays},
};

/// One look at media, whatever it is for.
pub(super) struct Visit<'a, 'r> {
    pub store: &'a Store,
    pub loose: Loose<'a>,
    pub rules: Rules<'r>,
    pub reporter: &'a dyn Reporter,
}

/// A bundle that only its volumes can still refuse.
pub(super) struct Prepared {
    pub media: Media,
    /// The digest of what proves the bundle.
    pub proof: Digest,
    pub survey: Survey,
}

impl Visit<'_, '_> {
    /// Answers a bundle that was imported already; refuses one that is not for here, or not now.
    pub fn answer(
        &self,
        bundle: &Gathered,
        name: &BundleName,
    ) -> Result<Option<ImportOutcome>, TransferError> {
        let (store, admitted) = (self.store, &bundle.admitted);
        match check::standing(store, admitted, name, self.rules.origins)? {
            Standing::Already(at) => {
                let before = again::Before { store, admitted, name, at };
                before.bring_back(&bundle.dirs, self.loose.media, self.reporter).map(Some)
            }
            Standing::New => Ok(None),
        }
    }

    /// Begins the work on a bundle that enough have approved.
    pub fn job<'b>(&'b self, bundle: &'b Gathered, name: &'b BundleName) -> Result<Job<'b>, TransferError> {
        let Gathered { admitted, dirs, approvals } = bundle;
        let approved = match approvals {
            Approvals::Here => {
                let document = accepted::document(self.store, &admitted.manifest.collector)?;
                let document =
                    document.ok_or_else(|| TransferError::NoTrust { path: admitted.dir.clone() })?;
                approval::demand(&document, admitted, dirs, self.loose.approvals)?
            }
            Approvals::Before(approved) => approved.clone(),
        };
        let (store, reporter) = (self.store, self.reporter);
        Ok(Job { store, admitted, name, approved, only: None, others: Others::PassedOver, reporter })
    }

    /// Refuses a state of which the site asks what nothing could prove.
    fn expect_verifiable(&self, job: &Job<'_>) -> Result<(), TransferError> {
        for state in &job.manifest().states {
            if let Some(what) = (self.rules.unverifiable)(&state.repository, state.format) {
                let (bundle, repository) = (job.name.clone(), state.repository.clone());
                return Err(TransferError::NothingToVerify {
                    bundle,
                    repository,
                    format: state.format,
                    what,
                });
            }
        }
        Ok(())
    }

    /// Proves all of a bundle but its volumes; what its index holds is in the store afterwards.
    pub fn prepare(&self, job: &Job<'_>, dirs: &[PathBuf], at: Timestamp) -> Result<Prepared, TransferError> {
        // a page that says something else was read by somebody: nothing of its bundle is kept
        dirs.iter().try_for_each(|dir| medium::expect_review(dir, &job.manifest().review))?;
        let mut media = self.loose.media.clone();
        for dir in dirs {
            media.add(dir)?;
        }
        let proof = job.keep_front(dirs, &media)?;
        let origins = origin::take(self.store, &job.manifest().origins, dirs, at)?;
        admit::expect_still(self.store, job.admitted)?;
        origins.expect(self.store, job.manifest(), self.rules.origins)?;
        self.expect_verifiable(job)?;
        let mut survey = rebuild::rebuild(job)?;
        review::check(job.manifest(), job.index_file()?)?;
        if let Some(text) = review::strange_page(job.manifest()) {
            self.reporter.event(Report::Warning { subject: &job.name.to_string(), text: &text });
        }
        closure::expect_whole(job, &mut survey.listed)?;
        for dir in dirs {
            for text in &strays::unusable(dir, job.manifest())? {
                self.reporter.event(Report::Warning { subject: &job.name.to_string(), text });
            }
        }
        job.expect_space(&survey.missing)?;
        Ok(Prepared { media, proof, survey })
    }
}
