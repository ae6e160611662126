//! Looking whether the store still is what it was made.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    sync::{Mutex, PoisonError, mpsc},
};

use chantal_contract::{Digest, Entry, Line};

use super::{
    Address, Object, Store, StoreError, Verdict,
    roots::{Needs, Roots},
};
use crate::report::{Event as Said, Reporter};

/// How closely is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every manifest and pack is read and named rightly, every blob that is needed is there with the right size, every
    /// record is there.
    Quick,
    /// Every record and every blob in the pool is hashed anew, too; damaged ones are put aside into `pool/damaged/`.
    Full,
}

/// Something that is not as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it is about.
    pub what: Subject,
    /// What is wrong: lower case, no full stop.
    pub why: String,
    /// The snapshots and newest states that need it.
    pub needed_by: BTreeSet<Address>,
    /// Where damaged bytes were put aside.
    pub aside: Option<PathBuf>,
}

/// What a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The journal.
    Journal,
    /// The catalog; it can be made anew.
    Catalog,
    /// A pack of records.
    Pack,
    /// Something named by its digest.
    Object(Object, Digest),
    /// A file that does not belong where it is.
    Stray,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Entries of the journal.
    pub entries: u64,
    /// Manifests.
    pub manifests: u64,
    /// Blobs: needed ones when quick, all when full.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that are needed.
    pub records: u64,
    /// What is wrong, in order.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    fn found(&mut self, what: Subject, why: impl ToString) {
        let (why, needed_by) = (why.to_string(), BTreeSet::new());
        self.problems.push(Problem { what, why, needed_by, aside: None });
    }

    fn order(&mut self) {
        self.problems.sort_by(|a, b| (a.what, &a.why).cmp(&(b.what, &b.why)));
    }

    /// Tells whether everything is as it was made.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Store {
    /// Verifies what cannot be mirrored again: journal and catalog, every manifest, every pack with every record in it.
    ///
    /// The caller holds [`Lock::Shared`](super::Lock).
    pub fn verify_db(&self) -> Result<VerifyReport, StoreError> {
        let roots = self.roots()?;
        let (mut report, _) = self.verify_beside_the_pool(Depth::Full, &roots)?;
        self.blame(&roots, &mut report);
        report.order();
        Ok(report)
    }

    /// Verifies all that is no blob, and collects what live states need.
    fn verify_beside_the_pool(
        &self,
        depth: Depth,
        roots: &Roots,
    ) -> Result<(VerifyReport, Needs), StoreError> {
        let mut report = self.verify_decisions()?;
        for error in self.packs().verify(depth)? {
            report.found(Subject::Pack, error);
        }
        let needs = self.verify_manifests(roots, &mut report);
        for record in &needs.records {
            report.records += 1;
            if !self.packs().has(record)? {
                report.found(Subject::Object(Object::Record, *record), "it is in no pack");
            }
        }
        Ok((report, needs))
    }

    /// Verifies journal and catalog: the chain of entries, the database's structure, and that it says what the journal says.
    pub(super) fn verify_decisions(&self) -> Result<VerifyReport, StoreError> {
        let mut report = VerifyReport::default();
        match self.journal().verify() {
            Ok(found) => {
                report.entries = found.entries;
                for why in self.catalog().verify()? {
                    report.found(Subject::Catalog, why);
                }
            }
            Err(error @ StoreError::Damaged { .. }) => report.found(Subject::Journal, error),
            Err(error) => return Err(error),
        }
        Ok(report)
    }

    /// Verifies everything that live states rest on. The caller holds [`Lock::Shared`](super::Lock).
    pub fn verify(&self, depth: Depth, reporter: &dyn Reporter) -> Result<VerifyReport, StoreError> {
        let roots = self.roots()?;
        let (mut report, needs) = self.verify_beside_the_pool(depth, &roots)?;
        let hashed = match depth {
            Depth::Quick => HashSet::new(),
            Depth::Full => self.verify_blobs(&mut report, reporter)?,
        };
        for (blob, size) in &needs.blobs {
            let subject = Subject::Object(Object::Blob, *blob);
            if depth == Depth::Quick {
                report.blobs += 1;
                report.bytes += size;
            } else if hashed.contains(blob) {
                continue;
            }
            match self.pool().has(blob)? {
                Some(found) if found == *size || *size == 0 => {}
                Some(found) => report.found(subject, format!("it has {found} bytes instead of {size}")),
                None => report.found(subject, "it is not in the pool"),
            }
        }
        self.blame(&roots, &mut report);
        if !report.is_good() {
            // "nothing new" must not stand in the way of fetching what is missing
            self.catalog().forget()?;
        }
        report.order();
        Ok(report)
    }

    fn verify_manifests(&self, roots: &Roots, report: &mut VerifyReport) -> Needs {
        let mut needs = Needs::default();
        needs.blobs.extend(roots.blobs.iter().map(|blob| (*blob, 0)));
        let mut all: BTreeSet<Digest> = roots.states.keys().chain(roots.bases.keys()).copied().collect();
        for manifest in self.manifests().iter() {
            match manifest {
                Ok(manifest) => drop(all.insert(manifest)),
                Err(error) => report.found(Subject::Stray, error),
            }
        }
        for manifest in &all {
            let root = roots.states.get(manifest);
            report.manifests += 1;
            let read = self.snapshot(manifest).and_then(|snapshot| {
                snapshot.each_line::<StoreError>(&mut |line| {
                    if root.is_some() {
                        needs.add(line);
                    }
                    Ok(())
                })
            });
            if let Err(error) = read {
                report.found(Subject::Object(Object::Manifest, *manifest), error);
            }
            for list in root.into_iter().flat_map(|root| &root.evidence) {
                needs.blobs.insert(*list, 0);
                match self.evidence(list) {
                    Ok(Some(evidence)) => {
                        needs.blobs.extend(evidence.blobs().map(|blob| (blob.sha256, blob.size)));
                    }
                    Ok(None) => {}
                    Err(error) => report.found(Subject::Object(Object::Blob, *list), error),
                }
            }
        }
        needs
    }

    /// Hashes every blob, on all cores; returns those that are damaged.
    fn verify_blobs(
        &self,
        report: &mut VerifyReport,
        reporter: &dyn Reporter,
    ) -> Result<HashSet<Digest>, StoreError> {
        const TASK: &str = "verify";
        reporter.event(Said::Begin { task: TASK, items: None, bytes: None });
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (give, queue) = mpsc::sync_channel::<Digest>(1024);
        let queue = Mutex::new(queue);
        let (tell, verdicts) = mpsc::channel();
        let mut damaged = HashSet::new();
        let mut first_error = None;
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (queue, tell) = (&queue, tell.clone());
                scope.spawn(move || {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(blob) = next else { break };
                        let verdict = self.pool().verify(&blob);
                        if let Ok(Verdict::Good(measured)) = &verdict {
                            reporter.event(Said::Bytes {
                                task: TASK,
                                delta: i64::try_from(measured.size).unwrap_or(i64::MAX),
                            });
                        }
                        reporter.event(Said::Done { task: TASK, items: 1 });
                        if tell.send((blob, verdict)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(tell);
            let walk = scope.spawn(move || {
                let mut strays = Vec::new();
                for found in self.pool().iter() {
                    match found {
                        Ok((blob, _)) => {
                            if give.send(blob).is_err() {
                                break;
                            }
                        }
                        Err(error) => strays.push(error),
                    }
                }
                strays
            });
            for (blob, verdict) in verdicts {
                report.blobs += 1;
                match verdict {
                    Ok(Verdict::Good(measured)) => report.bytes += measured.size,
                    Ok(Verdict::Missing) => report.blobs -= 1,
                    Ok(Verdict::Damaged { found, size }) => {
                        damaged.insert(blob);
                        report.bytes += size;
                        let why = format!("its {size} bytes hash to {found}");
                        report.found(Subject::Object(Object::Blob, blob), why);
                    }
                    Ok(Verdict::Unreadable { why }) => {
                        damaged.insert(blob);
                        report.found(Subject::Object(Object::Blob, blob), why);
                    }
                    Err(error) => drop(first_error.get_or_insert(error)),
                }
            }
            for error in walk.join().unwrap_or_default() {
                report.found(Subject::Stray, error);
            }
        });
        if let Some(error) = first_error {
            return Err(error);
        }
        for problem in &mut report.problems {
            if let Subject::Object(Object::Blob, blob) = &problem.what
                && damaged.contains(blob)
            {
                problem.aside = Some(self.pool().quarantine(blob)?);
            }
        }
        reporter.event(Said::End { task: TASK });
        Ok(damaged)
    }

    /// Finds who needs what is damaged or missing.
    fn blame(&self, roots: &Roots, report: &mut VerifyReport) {
        let mut needed: BTreeMap<Digest, BTreeSet<Address>> = BTreeMap::new();
        for problem in &report.problems {
            if let Subject::Object(_, digest) = &problem.what {
                needed.insert(*digest, BTreeSet::new());
            }
        }
        self.find_needy(roots, &mut needed);
        for problem in &mut report.problems {
            if let Subject::Object(_, digest) = &problem.what {
                problem.needed_by = needed.get(digest).cloned().unwrap_or_default();
            }
        }
    }

    /// Returns the newest states, snapshots and published trees that need a blob, a record or a manifest.
    pub fn needed_by(&self, digest: &Digest) -> Result<BTreeSet<Address>, StoreError> {
        let mut needed = BTreeMap::from([(*digest, BTreeSet::new())]);
        self.find_needy(&self.roots()?, &mut needed);
        Ok(needed.into_values().flatten().collect())
    }

    fn find_needy(&self, roots: &Roots, needed: &mut BTreeMap<Digest, BTreeSet<Address>>) {
        if needed.is_empty() {
            return;
        }
        for (manifest, root) in &roots.states {
            let mut note = |digest: &Digest| {
                if let Some(by) = needed.get_mut(digest) {
                    by.extend(root.addresses.iter().cloned());
                }
            };
            note(manifest);
            for list in &root.evidence {
                note(list);
                if let Ok(Some(evidence)) = self.evidence(list) {
                    evidence.blobs().for_each(|blob| note(&blob.sha256));
                }
            }
            let read = self.snapshot(manifest).and_then(|snapshot| {
                snapshot.each_line::<StoreError>(&mut |line| {
                    match line {
                        Line::File { entry: Entry::Present { measured, .. }, .. } => note(&measured.sha256),
                        Line::File { entry: Entry::Absent, .. } => {}
                        Line::Doc { record, .. } | Line::Pkg { record, .. } => note(record),
                    }
                    Ok(())
                })
            });
            // an unreadable manifest is a problem of its own, and stands in the report
            drop(read);
        }
    }
}
