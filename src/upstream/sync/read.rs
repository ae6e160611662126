//! Reads an upstream: drives its format's walk and gathers what that says.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
};

use chantal_contract::{
    Absent, Answer, Body, Checksum, Coverage, Digest, Expect, Format, FormatError, Keep, Measured, Mode,
    RepoPath, Role, Step, Verifier, Want,
};
use sha2::{Digest as _, Sha256};
use tokio::{runtime::Handle, task::JoinSet};

use super::{
    SyncError,
    payload::Payload,
    plan::Tally,
    supply::{self, Answered, Asking, Found, Supply},
};
use crate::{
    report::{Event, Reporter},
    store::{Fetched, StoreError},
    upstream::select::Listed,
};

/// How many files are asked for at a time; how many of them one host answers is the fetcher's affair.
pub(super) const IN_FLIGHT: usize = 64;

/// A file that the walk was fed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fed {
    pub(super) measured: Measured,
    pub(super) keep: Keep,
    /// An anchor counts as an index.
    pub(super) role: Role,
}

/// All that a walk said.
#[derive(Default)]
pub(super) struct Gathered {
    /// Files that were read, by path.
    pub(super) fed: BTreeMap<RepoPath, Fed>,
    /// Further names of them.
    pub(super) aliases: BTreeMap<RepoPath, RepoPath>,
    /// Files that the walk made of others.
    pub(super) derived: BTreeMap<RepoPath, Measured>,
    /// Packages of a filtered repository; of a mirror only their files matter.
    pub(super) packages: Vec<Listed>,
    /// How many packages upstream lists.
    pub(super) listed: u64,
    /// Payloads that were fetched so as to be read.
    pub(super) fetched: Tally,
    /// Payloads besides.
    pub(super) files: Vec<Payload>,
    /// Documents of a filtered repository: kind, key, record.
    pub(super) documents: Vec<(String, String, Digest)>,
    /// What to remember of servers.
    pub(super) rows: Vec<(String, Fetched)>,
    /// Digests other than SHA-256 that were found true.
    pub(super) aliased: Vec<(Checksum, Measured)>,
    /// What the first anchors were.
    pub(super) anchors: Option<Digest>,
    /// What the walk covered.
    pub(super) coverage: Coverage,
}

/// Stores a record and returns its digest.
pub(super) type Keeping<'a> = dyn FnMut(&[u8]) -> Result<Digest, StoreError> + 'a;

/// Reads one upstream once.
pub(super) struct Reading<'a> {
    pub(super) supply: &'a Supply<'a>,
    pub(super) format: &'a dyn Format,
    pub(super) proof: &'a dyn Verifier,
    pub(super) reporter: &'a dyn Reporter,
    pub(super) runtime: &'a Handle,
    /// Named in errors.
    pub(super) from: &'a str,
    /// What the first anchors were when they were read last, whatever came of the reading.
    pub(super) anchors: &'a Cell<Option<Digest>>,
}

/// A want with what came of it; the want is the one that was answered, which may have been tried in another's stead.
type Reply = (Want, Option<Found>);

impl Reading<'_> {
    /// Reads everything; none if `unchanged` says so of the first anchors.
    pub(super) fn run(
        &self,
        asking: Asking,
        unchanged: &dyn Fn(Digest) -> bool,
        keeping: &mut Keeping<'_>,
    ) -> Result<Option<Gathered>, SyncError> {
        let refused = |source| SyncError::Format { from: self.from.to_owned(), source };
        let mut walk = self.format.walk(self.proof);
        let (anchors, others): (Vec<Want>, Vec<Want>) =
            walk.start().map_err(refused)?.into_iter().partition(|want| want.role == Role::Anchor);
        let mut gathered = Gathered::default();
        let mut desk = Desk { reading: self, asking, queue: anchors.into(), tasks: JoinSet::new() };
        let mut first: Vec<Reply> = Vec::new();
        while let Some(reply) = desk.next()? {
            first.push(reply);
        }
        let state = anchors_digest(&first);
        self.anchors.set(Some(state));
        if asking == Asking::Conditionally && unchanged(state) {
            return Ok(None);
        }
        gathered.anchors = Some(state);
        first.sort_by(|(a, _), (b, _)| (&a.path, a.tag).cmp(&(&b.path, b.tag)));
        desk.queue.extend(others);
        let mut first = VecDeque::from(first);
        loop {
            let Some((want, found)) = first.pop_front().map_or_else(|| desk.next(), |r| Ok(Some(r)))? else {
                break;
            };
            let mut wants = Vec::new();
            self.feed(walk.as_mut(), &want, found, &mut gathered, &mut wants, keeping)?;
            desk.queue.extend(wants);
        }
        let mut wants = Vec::new();
        let mut fault = None;
        let coverage =
            walk.finish(&mut |step| self.take(step, &mut gathered, &mut wants, keeping, &mut fault));
        gathered.coverage = settle(coverage, fault, refused)?;
        Ok(Some(gathered))
    }

    /// Tells whether the first anchors are others by now.
    pub(super) fn moved_on(&self, anchors: Option<Digest>) -> Result<bool, SyncError> {
        let now = std::cell::Cell::new(None);
        let look = |found| {
            now.set(Some(found));
            true
        };
        self.run(Asking::Conditionally, &look, &mut |record| Ok(Digest::of(record)))?;
        Ok(now.get() != anchors)
    }

    fn feed(
        &self,
        walk: &mut dyn chantal_contract::Walk,
        want: &Want,
        found: Option<Found>,
        gathered: &mut Gathered,
        wants: &mut Vec<Want>,
        keeping: &mut Keeping<'_>,
    ) -> Result<(), SyncError> {
        let mut fault = None;
        if let Some(found) = found.as_ref().filter(|found| found.asked && want.role == Role::Payload) {
            gathered.fetched = gathered.fetched + Tally { files: 1, bytes: found.measured.size };
        }
        let (base, next, measured, row) = match found {
            Some(found) => (found.base, found.next, Some(found.measured), found.row),
            None => (None, None, None, None),
        };
        if let Some(measured) = measured {
            gathered.note_fed(want, measured);
            gathered.rows.extend(row.filter(|_| want.role == Role::Anchor));
        }
        let mut reader = measured.map(|m| supply::open(&self.supply.batch, &m)).transpose()?;
        let body = reader.as_mut().zip(measured).map(|(reader, measured)| Body::checked(reader, measured));
        let answer = Answer { body, base: base.as_ref(), next: next.as_ref() };
        let fed = walk.feed(want, answer, &mut |step| self.take(step, gathered, wants, keeping, &mut fault));
        settle(fed, fault, |source| SyncError::Format { from: self.from.to_owned(), source })
    }

    /// Takes what a walk says; a fault of the store is put aside, since a walk can pass on only its own kind.
    fn take(
        &self,
        step: Step<'_>,
        gathered: &mut Gathered,
        wants: &mut Vec<Want>,
        keeping: &mut Keeping<'_>,
        fault: &mut Option<SyncError>,
    ) -> Result<(), FormatError> {
        let mut kept = |result: Result<Digest, StoreError>| {
            result.map_err(|error| {
                *fault = Some(error.into());
                interrupted()
            })
        };
        let filtered = self.format.mode() != Mode::Mirror;
        match step {
            Step::Want(want) => wants.push(want),
            Step::Package(package, record) => {
                gathered.listed += 1;
                let files = package.files.into_iter().map(Payload::of_package);
                if filtered {
                    let record = kept(keeping(record))?;
                    let files = files.collect();
                    let (key, group, version) = (package.key, package.group, package.version);
                    gathered.packages.push(Listed { key, group, version, record, files });
                } else {
                    gathered.files.extend(files);
                }
            }
            Step::Document(document, record) => {
                if filtered {
                    let record = kept(keeping(record))?;
                    gathered.documents.push((document.kind, document.key, record));
                }
            }
            // the files that tell of them travel as they are
            Step::Advisory(_) | Step::Unread(_) => {}
            Step::File(want) => gathered.files.push(Payload::loose(want)),
            Step::Alias { path, target } => {
                gathered.aliases.insert(path, target);
            }
            Step::Derived { path, bytes } => match self.supply.batch.put(bytes) {
                Ok(measured) => {
                    gathered.derived.insert(path, measured);
                }
                Err(error) => {
                    *fault = Some(error.into());
                    return Err(interrupted());
                }
            },
            Step::Notice(notice) => {
                let subject = format!("{}: {}", self.supply.name, notice.path);
                self.reporter.event(Event::Note { subject: &subject, text: &notice.text });
            }
        }
        Ok(())
    }
}

impl Gathered {
    fn note_fed(&mut self, want: &Want, measured: Measured) {
        let others = want.expect.checksums.iter().filter(|c| c.algorithm().is_proof());
        self.aliased.extend(
            others
                .filter(|c| want.expect.sha256().is_none_or(|s| **c != s.into()))
                .map(|c| (c.clone(), measured)),
        );
        let role = if want.role == Role::Payload { Role::Payload } else { Role::Index };
        let fed = Fed { measured, keep: want.keep, role };
        // what is published outweighs what is only read, when a file is read twice
        match self.fed.get_mut(&want.path) {
            Some(there) if there.keep == Keep::Tree && want.keep != Keep::Tree => {}
            Some(there) => *there = fed,
            None => {
                self.fed.insert(want.path.clone(), fed);
            }
        }
    }
}

/// What a walk is told when it is stopped for a reason of the store's.
fn interrupted() -> FormatError {
    FormatError::Tree(chantal_contract::TreeError::Io {
        path: "store".into(),
        source: std::io::ErrorKind::Interrupted.into(),
    })
}

fn settle<T>(
    result: Result<T, FormatError>,
    fault: Option<SyncError>,
    refused: impl FnOnce(FormatError) -> SyncError,
) -> Result<T, SyncError> {
    match fault {
        Some(fault) => Err(fault),
        None => result.map_err(refused),
    }
}

/// Sums up what the first anchors are: paths and digests, or that they are absent.
fn anchors_digest(replies: &[Reply]) -> Digest {
    let mut lines: Vec<String> = replies
        .iter()
        .map(|(want, found)| match found {
            Some(found) => format!("{}\t{}\n", want.path, found.measured.sha256),
            None => format!("{}\t-\n", want.path),
        })
        .collect();
    lines.sort_unstable();
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line);
    }
    Digest::from_bytes(hash.finalize().into())
}

/// The open wants: those that wait and those that are asked for.
struct Desk<'r, 'a> {
    reading: &'r Reading<'a>,
    asking: Asking,
    queue: VecDeque<Want>,
    tasks: JoinSet<(Want, Result<Answered, SyncError>)>,
}

impl Desk<'_, '_> {
    /// Returns the next reply in whatever order they come; none when no want is open.
    fn next(&mut self) -> Result<Option<Reply>, SyncError> {
        let supply = self.reading.supply;
        loop {
            while self.tasks.len() < IN_FLIGHT
                && let Some(want) = self.queue.pop_front()
            {
                match supply.prepare(&want, self.asking)? {
                    Ok(found) => return Ok(Some((want, Some(found)))),
                    Err(errand) => {
                        let task = async move { (want, errand.run().await) };
                        self.tasks.spawn_on(task, self.reading.runtime);
                    }
                }
            }
            let Some(joined) = self.reading.runtime.block_on(self.tasks.join_next()) else { return Ok(None) };
            let (want, answered) = match joined {
                Ok(ended) => ended,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            match (answered?, want.absent.clone()) {
                (Answered::Found(found), _) => return Ok(Some((want, Some(*found)))),
                (Answered::Absent { .. }, Absent::Allowed) => return Ok(Some((want, None))),
                (Answered::Absent { .. }, Absent::Try(other)) => self.queue.push_front(*other),
                (Answered::Absent { url, status }, Absent::Fatal) => {
                    let bound = is_bound(&want.expect) && want.role != Role::Anchor;
                    return Err(SyncError::Absent { path: want.path, url, status, bound });
                }
            }
        }
    }
}

fn is_bound(expect: &Expect) -> bool {
    expect.size.is_some() || !expect.checksums.is_empty()
}
