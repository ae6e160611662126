//! A bundle that was imported already, and what it can bring back of what its repositories lack here since.

use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
};

use chantal_bundle::{BundleName, VolumeNumber, index::Item};
use chantal_contract::{Digest, Name};
use jiff::Timestamp;

use super::{
    ImportOutcome, Job, Others, blobs, heal,
    rebuild::{self, Missing},
};
use crate::{
    report::{Event as Report, Reporter},
    store::{Imported, StateRef, Store, StoreError},
    transfer::{
        TransferError,
        admit::Admitted,
        content::{self, Need},
        repair::Media,
    },
};

/// A state as a bundle carried it: repository, manifest, evidence.
type Carried<'a> = (&'a Name, Digest, Option<Digest>);

/// What the states that stand lack: after a restore, or where damaged bytes were put aside.
#[derive(Default)]
struct Lack {
    /// Blobs of any of them.
    blobs: HashSet<Digest>,
    /// Whether one that the bundle itself carried lacks its manifest, its evidence list or a record.
    lists: bool,
}

impl Lack {
    /// Looks at every state that stands of the repositories that a bundle carried: newest, named or published. What the newest
    /// lacks, a bundle before the one that made it may have brought.
    fn of(store: &Store, carried: &[Carried<'_>]) -> Result<Self, TransferError> {
        let catalog = store.catalog();
        let repositories: BTreeSet<&Name> = carried.iter().map(|(repository, ..)| *repository).collect();
        let mut seen = BTreeSet::new();
        let mut lack = Self::default();
        for repository in repositories {
            let named = catalog.names(Some(repository))?.into_iter().map(|(_, _, named)| named.state);
            let published = catalog.published()?.into_iter().filter(|row| row.repository == *repository);
            let newest = catalog.newest(repository)?.map(|newest| newest.state);
            for state in newest.into_iter().chain(named).chain(published.map(|row| row.state)) {
                if seen.insert((state.manifest, state.evidence)) {
                    let own = carried.iter().any(|(_, m, e)| (*m, *e) == (state.manifest, state.evidence));
                    lack.look(store, &state, own)?;
                }
            }
        }
        Ok(lack)
    }

    fn look(&mut self, store: &Store, state: &StateRef, own: bool) -> Result<(), TransferError> {
        let visited = content::visit(store, state, &mut |need| {
            match need {
                Need::Blob(blob) if store.pool().has(&blob.sha256)?.is_none() => {
                    self.blobs.insert(blob.sha256);
                }
                Need::Record(record) if own && !store.packs().has(&record)? => self.lists = true,
                Need::Blob(_) | Need::Record(_) | Need::Nothing => {}
            }
            Ok(())
        });
        match visited {
            Err(TransferError::Store(StoreError::Missing { .. })) => self.lists |= own,
            other => drop(other?),
        }
        Ok(())
    }

    fn is_nothing(&self) -> bool {
        self.blobs.is_empty() && !self.lists
    }

    /// Counts what is still not in the pool.
    fn left(&self, store: &Store) -> Result<u64, TransferError> {
        let mut left = 0;
        for blob in &self.blobs {
            left += u64::from(store.pool().has(blob)?.is_none());
        }
        Ok(left)
    }
}

/// Answers a bundle that was imported, and is not believed any more: nothing is taken from it, and where something is missing that is
/// said.
pub(super) fn unbelieved(
    store: &Store,
    known: &Imported,
    fault: TransferError,
) -> Result<ImportOutcome, TransferError> {
    let (bundle, at): (BundleName, _) = (known.bundle.parse()?, known.at);
    let carried: Vec<Carried<'_>> =
        known.states.iter().map(|s| (&s.repository, s.state.manifest, s.state.evidence)).collect();
    if Lack::of(store, &carried)?.is_nothing() {
        return Ok(ImportOutcome::Already { bundle, at, back: 0 });
    }
    Err(TransferError::NotBack { bundle, source: Box::new(fault) })
}

/// A bundle that is believed, and was imported.
pub(super) struct Before<'a> {
    pub store: &'a Store,
    pub admitted: &'a Admitted,
    pub name: &'a BundleName,
    pub at: Timestamp,
}

impl Before<'_> {
    /// Puts into the pool again what the states that stand lack and the bundle holds; nothing else changes, and nothing is noted.
    pub fn bring_back(
        &self,
        dirs: &[PathBuf],
        media: &Media,
        reporter: &dyn Reporter,
    ) -> Result<ImportOutcome, TransferError> {
        let states = &self.admitted.manifest.states;
        let carried: Vec<Carried<'_>> =
            states.iter().map(|s| (&s.repository, s.manifest, s.evidence)).collect();
        let lack = Lack::of(self.store, &carried)?;
        if lack.is_nothing() {
            return Ok(ImportOutcome::Already { bundle: self.name.clone(), at: self.at, back: 0 });
        }
        let read = || {
            let mut media = media.clone();
            for dir in dirs {
                media.add(dir)?;
            }
            self.read(lack, &carried, dirs, &media, reporter)
        };
        read()
            .map_err(|source| TransferError::NotBack { bundle: self.name.clone(), source: Box::new(source) })
    }

    fn read(
        &self,
        mut lack: Lack,
        carried: &[Carried<'_>],
        dirs: &[PathBuf],
        media: &Media,
        reporter: &dyn Reporter,
    ) -> Result<ImportOutcome, TransferError> {
        let (store, admitted, name) = (self.store, self.admitted, self.name);
        let others = Others::PassedOver;
        let mut job = Job { store, admitted, name, approved: Vec::new(), only: None, others, reporter };
        let subject = name.to_string();
        job.keep_front(dirs, media)?;
        if lack.lists {
            rebuild::rebuild_again(&job)?;
            let text = "manifests, evidence lists or records that were missing here were made anew from it";
            reporter.event(Report::Warning { subject: &subject, text });
            // the evidence that is known again names further blobs
            lack = Lack::of(store, carried)?;
        }
        job.only = Some(lack.blobs.clone());
        let missing = missing(&job)?;
        job.expect_space(&missing)?;
        let mut taken = blobs::take(&job, &missing, &media.volumes)?;
        heal::heal(&job, &missing, media, &mut taken)?;
        let need = blobs::assemble(&job)?;
        job.expect_undamaged(taken.damaged)?;
        if !need.is_empty() {
            let have: Vec<VolumeNumber> = job.volumes().filter(|number| !need.contains(number)).collect();
            let (bundle, need) = (name.clone(), need.into_iter().collect());
            return Ok(ImportOutcome::Waiting { bundle, have, need });
        }
        let left = lack.left(store)?;
        if left > 0 {
            let text = format!(
                "{left} blobs that its repositories need are missing here, and are not in it: `chantal verify` lists them"
            );
            reporter.event(Report::Warning { subject: &subject, text: &text });
        }
        let back = lack.blobs.len() as u64 - left;
        Ok(ImportOutcome::Already { bundle: name.clone(), at: self.at, back })
    }
}

/// Reads the index: which volumes hold what is asked for.
fn missing(job: &Job<'_>) -> Result<Missing, TransferError> {
    let mut missing = Missing::default();
    let mut index = job.index()?;
    let mut volume = VolumeNumber::FIRST;
    while let Some(item) = index.next_item().map_err(|e| job.of_index(e))? {
        match item {
            Item::Volume(entry) => volume = entry.number,
            // a part may be here from a medium before this one
            Item::Member(member)
                if job.wants(&member) && job.store.pool().has(&member.content().sha256)?.is_none() =>
            {
                missing.add(volume, &member);
            }
            _ => {}
        }
    }
    Ok(missing)
}
