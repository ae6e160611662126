//! Brings repositories up to date: reads what upstream lists, fetches what is missing, and commits a state in one append.
//!
//! Until that append nothing of a repository has changed, and what was fetched stays in the pool, so that a run that was
//! killed anywhere is simply run again.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use chantal_contract::{Digest, Entry, Fingerprint, Format, Line, Name, RepoPath, Role, Verifier};
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;
use url::Url;

use crate::{
    report::{Event, Reporter},
    store::{Change, Lock, PackWriter, Store},
    upstream::fetch::{Access, Fetcher, Session},
};

mod commit;
mod download;
mod error;
mod memory;
mod payload;
mod plan;
mod read;
mod source;
mod supply;

pub use error::SyncError;
pub use payload::Payload;
pub use plan::Tally;
pub use source::{MirrorList, Upstream};

use commit::Committed;
use memory::Memory;
use read::{Gathered, Reading};
use supply::{Asking, Supply};

/// How often reading is begun before an upstream counts as changing all the time.
const STARTS: u32 = 3;
/// How far in the future upstream's date may be, for clocks that differ.
const AHEAD: SignedDuration = SignedDuration::from_secs(10);
/// How many repositories are synced at a time.
const REPOSITORIES: usize = 4;

/// What becomes of a sync whose upstream lists files that it does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The former state stays the newest.
    #[default]
    Fail,
    /// The new state becomes the newest without those files.
    Allow,
}

/// What becomes of metadata whose `Valid-Until` has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expired {
    /// It is refused.
    #[default]
    Refuse,
    /// It is taken, with a warning.
    Allow,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Run {
    /// Payloads are fetched and a state is committed.
    #[default]
    Write,
    /// Only indexes are read, to say what would be fetched.
    Dry,
}

/// A repository to be brought up to date.
pub struct Job {
    /// Its name.
    pub name: Name,
    /// Its format, set up with its options.
    pub format: Arc<dyn Format>,
    /// Its keys and policy.
    pub proof: Arc<dyn Verifier>,
    /// The keys that `proof` verifies with: fingerprint and public key, as they travel to the receiver.
    pub keys: Vec<(Fingerprint, Vec<u8>)>,
    /// The digest of keys and policy, and of all else that the outcome depends on beside the format's options.
    pub settings: Digest,
    /// Where it comes from.
    pub upstream: Upstream,
    /// What its origins are shown.
    pub access: Vec<Access>,
    /// What becomes of files that cannot be had.
    pub missing: Missing,
    /// What becomes of metadata that has expired.
    pub expired: Expired,
}

/// How a sync ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The newest state is what upstream has.
    Unchanged,
    /// There is a new newest state.
    Updated,
    /// Upstream lists files that it does not have: the former state stays the newest. Exit code 4.
    Incomplete,
    /// It was only looked at.
    Planned,
}

/// What a sync found and did.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The newest state's manifest, after the sync.
    pub manifest: Option<Digest>,
    /// The newest state's manifest before it.
    pub former: Option<Digest>,
    /// How many packages upstream lists; none when nothing had to be read.
    pub packages: Option<u64>,
    /// The packages and other payloads that were fetched, or would be, among them those that were read for their metadata.
    pub fetched: Tally,
    /// Files that upstream lists and does not have.
    pub missing: Vec<RepoPath>,
    /// Who signed upstream's metadata.
    pub signers: Vec<Fingerprint>,
    /// When upstream says that it made this state.
    pub date: Option<Timestamp>,
    /// Until when upstream says that it may be used.
    pub valid_until: Option<Timestamp>,
}

/// What a run of syncs shares.
pub struct Syncing<'a> {
    /// Where states go.
    pub store: &'a Store,
    /// What fetches.
    pub fetcher: &'a Fetcher,
    /// Who is told.
    pub reporter: &'a dyn Reporter,
    /// This machine's clock.
    pub clock: &'a (dyn Fn() -> Timestamp + Sync),
    /// Whether anything is written.
    pub run: Run,
}

impl Syncing<'_> {
    /// Brings repositories up to date, some at a time; one that fails does not stop the others. Results stand in the jobs' order.
    pub fn all(&self, jobs: &[Job]) -> Vec<Result<Report, SyncError>> {
        let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
        {
            Ok(runtime) => runtime,
            Err(error) => {
                let again = |_| Err(SyncError::Runtime(std::io::Error::new(error.kind(), error.to_string())));
                return jobs.iter().map(again).collect();
            }
        };
        let results: Vec<Mutex<Option<Result<Report, SyncError>>>> =
            jobs.iter().map(|_| Mutex::new(None)).collect();
        let turn = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..REPOSITORIES.min(jobs.len()) {
                scope.spawn(|| {
                    while let Some((job, slot)) = {
                        let index = turn.fetch_add(1, Ordering::Relaxed);
                        jobs.get(index).zip(results.get(index))
                    } {
                        let result = self.one(job, runtime.handle());
                        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                    }
                });
            }
        });
        // a task that was given up may still wait for a server
        runtime.shutdown_background();
        results
            .into_iter()
            .filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }

    /// Brings one repository up to date.
    fn one(&self, job: &Job, runtime: &Handle) -> Result<Report, SyncError> {
        let _shared = self.store.lock(Lock::Shared)?;
        // who only looks hinders nobody, and leaves no lock file behind
        let _repository = match self.run {
            Run::Write => Some(self.store.lock(Lock::Repository(&job.name))?),
            Run::Dry => None,
        };
        let session = Arc::new(self.fetcher.session(job.access.clone()));
        let from = job.upstream.shown();
        let back_off = self.fetcher.back_off();
        let mut wait = back_off.first;
        let mut start = Start::First;
        let anchors = Cell::new(None);
        for next in [Start::Again, Start::Last] {
            match self.attempt(job, runtime, &session, &from, start, &anchors) {
                Err(error) if error.is_upset() => {
                    let text = format!("reading it anew, in case upstream is being changed: {error}");
                    self.reporter.event(Event::Note { subject: job.name.as_str(), text: &text });
                }
                other => return self.noted(job, other),
            }
            thread::sleep(wait);
            wait = (wait * 4).min(back_off.most);
            start = next;
        }
        let before = anchors.get();
        match self.attempt(job, runtime, &session, &from, start, &anchors) {
            // an upstream that stands still is not being changed: what does not fit is damaged or forged
            Err(error) if error.is_upset() && anchors.get() != before => {
                Err(SyncError::Changing { starts: STARTS, last: Box::new(error) })
            }
            other => self.noted(job, other),
        }
    }

    /// Remembers when a repository was as its upstream is.
    fn noted(&self, job: &Job, result: Result<Report, SyncError>) -> Result<Report, SyncError> {
        let report = result?;
        if self.run == Run::Write && matches!(report.outcome, Outcome::Unchanged | Outcome::Updated) {
            self.store.catalog().set_synced(&job.name, (self.clock)())?;
        }
        Ok(report)
    }

    fn attempt(
        &self,
        job: &Job,
        runtime: &Handle,
        session: &Arc<Session>,
        from: &str,
        start: Start,
        anchors: &Cell<Option<Digest>>,
    ) -> Result<Report, SyncError> {
        let task = format!("read {}", job.name);
        self.reporter.event(Event::Begin { task: &task, items: None, bytes: None });
        let found = job.upstream.find(job.format.kind(), session, &task, runtime)?;
        let batch = Arc::new(match self.run {
            Run::Write => self.store.pool().batch()?,
            Run::Dry => self.store.pool().scratch()?,
        });
        let supply = Supply {
            store: self.store,
            name: &job.name,
            batch: Arc::clone(&batch),
            session: Arc::clone(session),
            mirrors: found.mirrors,
            root: found.root,
            task: task.as_str().into(),
            pins: found.pins,
        };
        let reading = Reading {
            supply: &supply,
            format: job.format.as_ref(),
            proof: job.proof.as_ref(),
            reporter: self.reporter,
            runtime,
            from,
            anchors,
        };
        let memory = Memory::of(self.store, job)?;
        let result = self.walk(job, &reading, &memory, start);
        if result.is_err() {
            // what arrived whole need not be fetched again by the next run; failing at this changes nothing
            let _ = batch.flush();
        }
        result
    }

    fn walk(
        &self,
        job: &Job,
        reading: &Reading<'_>,
        memory: &Memory,
        start: Start,
    ) -> Result<Report, SyncError> {
        let asking = if start == Start::First { Asking::Conditionally } else { Asking::Anew };
        let mut records = self.store.packs().writer()?;
        let binds = job.format.anchors_bind();
        let gathered = reading
            .run(asking, &|anchors| binds && memory.stands_for(anchors), &mut |record| records.add(record));
        self.reporter.event(Event::End { task: &reading.supply.task });
        let gathered = gathered?;
        let Some(gathered) = gathered else {
            return self.unchanged(job, memory);
        };
        self.check_times(job, gathered.coverage.date, gathered.coverage.valid_until)?;
        self.take(job, reading, memory, start, gathered, records)
    }

    fn unchanged(&self, job: &Job, memory: &Memory) -> Result<Report, SyncError> {
        let newest = memory.newest.as_ref();
        let (date, valid_until) = newest.map_or((None, None), |n| (n.state.date, n.state.valid_until));
        self.check_times(job, date, valid_until)?;
        let manifest = newest.map(|n| n.state.manifest);
        Ok(Report {
            outcome: if self.run == Run::Dry { Outcome::Planned } else { Outcome::Unchanged },
            manifest,
            former: manifest,
            packages: None,
            fetched: Tally::default(),
            missing: Vec::new(),
            signers: Vec::new(),
            date,
            valid_until,
        })
    }

    /// Refuses what clients refuse: metadata that has expired or comes from the future.
    fn check_times(
        &self,
        job: &Job,
        date: Option<Timestamp>,
        valid_until: Option<Timestamp>,
    ) -> Result<(), SyncError> {
        let now = (self.clock)();
        if let Some(date) = date.filter(|date| date.duration_since(now) > AHEAD) {
            return Err(SyncError::FromFuture { date, now });
        }
        let Some(until) = valid_until.filter(|until| *until < now) else { return Ok(()) };
        if job.expired == Expired::Refuse {
            return Err(SyncError::Expired { until });
        }
        let text = format!("upstream's metadata was valid until {until}; it is taken nevertheless");
        self.reporter.event(Event::Warning { subject: job.name.as_str(), text: &text });
        Ok(())
    }

    /// Plans, fetches and commits what was gathered.
    fn take(
        &self,
        job: &Job,
        reading: &Reading<'_>,
        memory: &Memory,
        start: Start,
        mut gathered: Gathered,
        records: PackWriter,
    ) -> Result<Report, SyncError> {
        let task = format!("sync {}", job.name);
        let supply = &reading.supply.for_task(&task);
        let selection = crate::upstream::select::select(std::mem::take(&mut gathered.packages));
        for key in &selection.ambiguous {
            let text =
                format!("`{key}` is listed more than once with different records; one of them was taken");
            self.reporter.event(Event::Warning { subject: job.name.as_str(), text: &text });
        }
        let chosen = selection.chosen.iter().flat_map(|p| p.files.iter().cloned()).collect();
        let former = memory.newest.as_ref().map(|newest| newest.state.manifest);
        let visit = former.map(|name| {
            let store = self.store;
            move |see: &mut dyn FnMut(chantal_contract::Line)| commit::lines_of(store, &name, see)
        });
        let visit = visit.as_ref().map(|v| v as &plan::Former<'_>);
        let same_proof = memory.same_settings();
        let plan = plan::plan(supply, &mut gathered, chosen, visit, job.proof.as_ref(), same_proof)?;
        let mut report = Report {
            outcome: Outcome::Planned,
            manifest: former,
            former,
            packages: Some(gathered.listed),
            fetched: plan.fetch + gathered.fetched,
            missing: Vec::new(),
            signers: gathered.coverage.signers.clone(),
            date: gathered.coverage.date,
            valid_until: gathered.coverage.valid_until,
        };
        if self.run == Run::Dry {
            return Ok(report);
        }
        plan.check_room(self.store.free_space()?)?;
        let (items, bytes) = (Some(plan.fetch.files), Some(plan.fetch.bytes));
        self.reporter.event(Event::Begin { task: &task, items, bytes });
        let download = download::Download {
            supply,
            format: &job.format,
            proof: &job.proof,
            reporter: self.reporter,
            runtime: reading.runtime,
            from: reading.from,
        };
        let downloaded = download.run(plan);
        self.reporter.event(Event::End { task: &task });
        let downloaded = downloaded?;
        if let Some(path) = downloaded.missing.first()
            && start != Start::Last
            && job.format.anchors_bind()
            && reading.moved_on(gathered.anchors)?
        {
            return Err(SyncError::Replaced { path: path.clone() });
        }
        report.fetched = downloaded.fetched + gathered.fetched;
        report.missing.clone_from(&downloaded.missing);
        for path in &downloaded.missing {
            let subject = format!("{}: {path}", job.name);
            self.reporter
                .event(Event::Warning { subject: &subject, text: "upstream lists it and does not have it" });
        }
        if !downloaded.missing.is_empty() && job.missing == Missing::Fail {
            supply.batch.flush()?;
            self.store.catalog().set_aliases(&downloaded.aliased)?;
            report.outcome = Outcome::Incomplete;
            return Ok(report);
        }
        let complete = downloaded.missing.is_empty();
        let made = commit::state(job, supply, &gathered, &selection.chosen, &downloaded, records, former)?;
        if let Some(former) = former {
            self.tell_replaced(job, &former, &made.manifest)?;
        }
        let rows = std::mem::take(&mut gathered.rows);
        let aliased: Vec<_> = gathered.aliased.drain(..).chain(downloaded.aliased).collect();
        let committed = commit::append(self.store, job, &made, complete, memory, (self.clock)())?;
        // the state is committed: what is only remembered must not make the run fail any more
        let remembered = self
            .store
            .catalog()
            .set_aliases(&aliased)
            .and_then(|()| memory.set(self.store, job, gathered.anchors, made.manifest, rows));
        if let Err(error) = remembered {
            tracing::warn!("{}: the next sync will read everything anew: {error}", job.name);
        }
        report.manifest = Some(made.manifest);
        report.outcome = match committed {
            Committed::Appended => Outcome::Updated,
            Committed::AsBefore => Outcome::Unchanged,
        };
        Ok(report)
    }

    /// Warns of packages whose bytes upstream replaced under an unchanged name; the former ones stay in former states.
    fn tell_replaced(&self, job: &Job, former: &Digest, made: &Digest) -> Result<(), SyncError> {
        let payload = |line: &Line| match line {
            Line::File { path, entry: Entry::Present { measured, role: Role::Payload } } => {
                Some((path.clone(), measured.sha256))
            }
            _ => None,
        };
        self.store.diff(former, made, &mut |change| {
            if let Change::Changed { old, new } = change
                && let (Some((path, was)), Some((_, is))) = (payload(&old), payload(&new))
            {
                let subject = format!("{}: {path}", job.name);
                let text = format!("was replaced under its name: sha256:{was} before, sha256:{is} now");
                self.reporter.event(Event::Warning { subject: &subject, text: &text });
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// Which of the [`STARTS`] it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    First,
    Again,
    Last,
}

/// Returns where a URL's directory lies, if it is a local one.
fn local_directory(url: &Url) -> Option<std::path::PathBuf> {
    if url.scheme() == "file" { url.to_file_path().ok() } else { None }
}

#[cfg(test)]
mod tests;
