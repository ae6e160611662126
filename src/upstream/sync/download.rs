//! Fetches payloads, many at a time, and looks at their own signatures.

use std::{collections::HashMap, sync::Arc};

use chantal_contract::{Absent, Checksum, Format, FormatError, Measured, RepoPath, Verifier};
use tokio::{runtime::Handle, task::JoinSet};

use super::{
    SyncError,
    payload::Payload,
    plan::{Plan, Planned, Tally},
    read::IN_FLIGHT,
    supply::{self, Answered, Asking, Supply},
};
use crate::{
    report::{Event, Reporter},
    store::{Batch, StoreError},
};

/// How many files may fail before the rest is not tried any more.
const FAILURES: usize = 16;

/// What became of the payloads.
#[derive(Debug, Default)]
pub(super) struct Downloaded {
    /// Path and blob of those that are here, by path.
    pub(super) here: Vec<(RepoPath, Measured)>,
    /// Those that upstream lists and does not have, by path.
    pub(super) missing: Vec<RepoPath>,
    /// Those that upstream need not have and does not, by path.
    pub(super) left_out: Vec<RepoPath>,
    /// What was fetched.
    pub(super) fetched: Tally,
    /// Digests other than SHA-256 that were found true.
    pub(super) aliased: Vec<(Checksum, Measured)>,
}

/// Fetches one repository's payloads.
pub(super) struct Download<'a> {
    pub(super) supply: &'a Supply<'a>,
    pub(super) format: &'a Arc<dyn Format>,
    pub(super) proof: &'a Arc<dyn Verifier>,
    pub(super) reporter: &'a dyn Reporter,
    pub(super) runtime: &'a Handle,
    /// Named in errors.
    pub(super) from: &'a str,
}

/// One payload's end: its place in the plan and what came of it.
type Ended = (usize, Option<Box<chantal_contract::Want>>, Result<Option<Measured>, SyncError>);

impl Download<'_> {
    /// Fetches everything that is not here. A file that fails for good does not keep the others from being fetched; its
    /// error is returned at the end. A refusal ends it at once.
    pub(super) fn run(&self, plan: Plan) -> Result<Downloaded, SyncError> {
        let Plan { planned, .. } = plan;
        let mut out = Downloaded::default();
        let mut blobs: Vec<Option<Measured>> = planned.iter().map(|p| p.here).collect();
        let mut leaders: HashMap<Checksum, usize> = HashMap::new();
        let mut followers: Vec<(usize, usize)> = Vec::new();
        let mut todo: Vec<usize> = Vec::new();
        for (index, item) in planned.iter().enumerate() {
            if item.here.is_some() && !item.vet {
                continue;
            }
            // the same bytes under several paths are fetched once
            let proof = item.payload.expect().checksums.into_iter().find(|c| c.algorithm().is_proof());
            match proof.filter(|_| item.here.is_none()).map(|c| leaders.entry(c).or_insert(index)) {
                Some(leader) if *leader != index => followers.push((*leader, index)),
                _ => todo.push(index),
            }
        }
        todo.reverse();
        let mut failed: Vec<(usize, SyncError)> = Vec::new();
        let mut tasks: JoinSet<Ended> = JoinSet::new();
        loop {
            while tasks.len() < IN_FLIGHT
                && failed.len() < FAILURES
                && let Some(index) = todo.pop()
            {
                let Some(item) = planned.get(index) else { continue };
                self.begin(&mut tasks, index, item, item.payload.want())?;
            }
            let Some(joined) = self.runtime.block_on(tasks.join_next()) else {
                // a follower whose leader was not to be had may be had under its own path
                let open = std::mem::take(&mut followers);
                for (leader, index) in open {
                    let found = blobs.get(leader).copied().flatten();
                    let fits = |blob: &Measured| {
                        planned.get(index).is_some_and(|p| p.payload.size().is_none_or(|s| s == blob.size))
                    };
                    match found.filter(fits) {
                        Some(blob) => set(&mut blobs, index, blob),
                        None => todo.push(index),
                    }
                }
                if todo.is_empty() || failed.len() >= FAILURES {
                    break;
                }
                continue;
            };
            let (index, other, result) = match joined {
                Ok(ended) => ended,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            let Some(item) = planned.get(index) else { continue };
            match (result, other) {
                (Ok(None), Some(other)) => {
                    self.begin(&mut tasks, index, item, *other)?;
                    continue;
                }
                (Ok(Some(blob)), _) => {
                    if item.here.is_none() {
                        out.fetched.files += 1;
                        out.fetched.bytes += blob.size;
                        out.note(&item.payload, blob);
                    }
                    set(&mut blobs, index, blob);
                }
                (Ok(None), None) => {}
                (Err(SyncError::Fetch(error)), _) if !error.is_mismatch() => {
                    tracing::warn!("{error}");
                    failed.push((index, SyncError::Fetch(error)));
                }
                (Err(error), _) => return Err(error),
            }
            if item.here.is_none() {
                self.reporter.event(Event::Done { task: &self.supply.task, items: 1 });
            }
        }
        if let Some((_, error)) = failed.into_iter().min_by_key(|(index, _)| *index) {
            return Err(error);
        }
        for (item, blob) in planned.into_iter().zip(blobs) {
            match blob {
                Some(blob) => out.here.push((item.payload.path, blob)),
                None if item.payload.is_optional() => out.left_out.push(item.payload.path),
                None => out.missing.push(item.payload.path),
            }
        }
        Ok(out)
    }

    fn begin(
        &self,
        tasks: &mut JoinSet<Ended>,
        index: usize,
        item: &Planned,
        want: chantal_contract::Want,
    ) -> Result<(), SyncError> {
        let vetting = item.vet.then(|| Vetting {
            format: Arc::clone(self.format),
            proof: Arc::clone(self.proof),
            batch: Arc::clone(&self.supply.batch),
            path: want.path.clone(),
            from: self.from.to_owned(),
        });
        let errand = match item.here {
            Some(blob) => Ok(blob),
            None => match self.supply.prepare(&want, Asking::Anew)? {
                Ok(found) => Ok(found.measured),
                Err(errand) => Err(errand),
            },
        };
        let other = match want.absent {
            Absent::Try(other) => Some(other),
            Absent::Fatal | Absent::Allowed => None,
        };
        let work = async move {
            let blob = match errand {
                Ok(blob) => blob,
                Err(errand) => match errand.run().await? {
                    Answered::Found(found) => found.measured,
                    Answered::Absent { .. } => return Ok(None),
                },
            };
            if let Some(vetting) = vetting {
                vetting.run(blob).await?;
            }
            Ok(Some(blob))
        };
        tasks.spawn_on(async move { (index, other, work.await) }, self.runtime);
        Ok(())
    }
}

impl Downloaded {
    fn note(&mut self, payload: &Payload, blob: Measured) {
        let others = payload.expect().checksums.into_iter().filter(|c| *c != blob.sha256.into());
        self.aliased.extend(others.map(|c| (c, blob)));
    }
}

fn set(blobs: &mut [Option<Measured>], index: usize, blob: Measured) {
    if let Some(slot) = blobs.get_mut(index) {
        *slot = Some(blob);
    }
}

/// A look at a package's own signature, on a thread.
struct Vetting {
    format: Arc<dyn Format>,
    proof: Arc<dyn Verifier>,
    batch: Arc<Batch>,
    path: RepoPath,
    from: String,
}

impl Vetting {
    async fn run(self, blob: Measured) -> Result<(), SyncError> {
        let look = move || -> Result<(), SyncError> {
            let mut file = supply::open(&self.batch, &blob)?;
            match self.format.vet(&self.path, &mut file, self.proof.as_ref()) {
                Ok(_) => Ok(()),
                Err(FormatError::Tree(error)) => Err(StoreError::io(
                    std::path::Path::new(self.path.as_str()),
                    std::io::Error::other(error),
                )
                .into()),
                Err(source) => Err(SyncError::Format { from: self.from, source }),
            }
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
