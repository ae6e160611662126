//! Removing what no snapshot needs.

use std::collections::{BTreeSet, HashSet};

use chantal_contract::{Digest, Entry, Line, Role};
use jiff::{SignedDuration, Timestamp};

use super::{
    Event, Lock, Store, StoreError, file,
    roots::{Needs, Roots},
};
use crate::report::{Event as Said, Reporter};

/// What gc would remove. Nothing in it is needed by a snapshot, a published tree, a pending import or a bundle in flight, and
/// nothing in it was written or asked for within the grace period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcPlan {
    /// Blobs, in order.
    pub blobs: Vec<Digest>,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests, in order.
    pub manifests: Vec<Digest>,
    /// Blobs that nothing needs and that the grace period still covers.
    pub young: u64,
    /// Bytes of records in packs, about.
    pub record_bytes: u64,
}

/// What gc removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests.
    pub manifests: u64,
    /// Bytes of records in packs.
    pub record_bytes: u64,
}

/// How long what nothing needs is kept after it was last written or asked for, unless the caller says otherwise.
pub const GRACE: SignedDuration = SignedDuration::from_hours(24);

impl Store {
    /// Finds what nothing needs; changes nothing.
    ///
    /// An unreadable manifest of a live state is an error: what it needs is unknown, so nothing may go.
    pub fn gc_plan(&self, now: Timestamp, grace: SignedDuration) -> Result<GcPlan, StoreError> {
        let roots = self.roots()?;
        let needs = self.needs(&roots)?;
        let plan = self.plan(&roots, &needs, now, grace)?;
        Ok(GcPlan { record_bytes: self.packs().prunable(&needs.records)?, ..plan })
    }

    /// Removes what nothing needs, and journals how much.
    ///
    /// It takes [`Lock::Exclusive`] itself. Killed at any moment, it has removed only what nothing needs.
    pub fn gc(
        &self,
        now: Timestamp,
        grace: SignedDuration,
        reporter: &dyn Reporter,
    ) -> Result<GcReport, StoreError> {
        let _alone = self.lock(Lock::Exclusive)?;
        let roots = self.roots()?;
        let needs = self.needs(&roots)?;
        let plan = self.plan(&roots, &needs, now, grace)?;
        reporter.event(Said::Begin {
            task: "gc",
            items: Some(plan.blobs.len() as u64),
            bytes: Some(plan.bytes),
        });
        let mut report = GcReport::default();
        self.unbind(&plan.manifests)?;
        for manifest in &plan.manifests {
            self.manifests().remove(manifest)?;
            report.manifests += 1;
        }
        for blob in &plan.blobs {
            report.bytes += self.pool().remove(blob)?;
            report.blobs += 1;
            reporter.event(Said::Done { task: "gc", items: 1 });
        }
        report.record_bytes = self.packs().prune(&needs.records)?;
        self.catalog().forget_aside()?;
        if report != GcReport::default() {
            self.journal().append(Event::Collected { blobs: report.blobs, bytes: report.bytes }, now)?;
        }
        reporter.event(Said::End { task: "gc" });
        Ok(report)
    }

    /// Collects all that the roots refer to.
    pub(super) fn needs(&self, roots: &Roots) -> Result<Needs, StoreError> {
        let mut needs = Needs::default();
        needs.blobs.extend(roots.blobs.iter().map(|blob| (*blob, 0)));
        for (manifest, root) in &roots.states {
            self.snapshot(manifest)?.each_line::<StoreError>(&mut |line| {
                needs.add(line);
                Ok(())
            })?;
            self.need_evidence(&root.evidence, &mut needs)?;
        }
        for (manifest, lists) in &roots.bases {
            if roots.states.contains_key(manifest) || !self.manifests().has(manifest)? {
                continue;
            }
            self.snapshot(manifest)?.each_line::<StoreError>(&mut |line| {
                // what its packages were, the next review asks; the packages themselves nobody does
                if let Line::File { entry: Entry::Present { role: Role::Index, .. }, .. } = line {
                    needs.add(line);
                }
                Ok(())
            })?;
            self.need_evidence(lists, &mut needs)?;
        }
        Ok(needs)
    }

    fn need_evidence(&self, lists: &BTreeSet<Digest>, needs: &mut Needs) -> Result<(), StoreError> {
        for list in lists {
            needs.blobs.insert(*list, 0);
            if let Some(evidence) = self.evidence(list)? {
                needs.blobs.extend(evidence.blobs().map(|blob| (blob.sha256, blob.size)));
            }
        }
        Ok(())
    }

    fn plan(
        &self,
        roots: &Roots,
        needs: &Needs,
        now: Timestamp,
        grace: SignedDuration,
    ) -> Result<GcPlan, StoreError> {
        // A pending import keeps what came since it began: its parts are in no manifest yet.
        let pending = self.catalog().pending()?.into_iter().map(|row| row.since.as_second()).min();
        let mut before = now.as_second().saturating_sub(grace.as_secs());
        if let Some(since) = pending {
            before = before.min(since.saturating_sub(PENDING_SECONDS));
        }
        let mut plan = GcPlan::default();
        for found in self.pool().walk() {
            let (blob, stat) = found?;
            if needs.blobs.contains_key(&blob) {
                continue;
            }
            if stat.changed > before {
                plan.young += 1;
                continue;
            }
            plan.blobs.push(blob);
            plan.bytes += stat.size;
        }
        for manifest in self.manifests().iter() {
            let manifest = manifest?;
            if roots.states.contains_key(&manifest) || roots.bases.contains_key(&manifest) {
                continue;
            }
            let stat = file::stat(&self.manifests().path(&manifest))?;
            if stat.is_some_and(|stat| stat.changed <= before) {
                plan.manifests.push(manifest);
            }
        }
        Ok(plan)
    }

    /// Stores whole what rests on manifests that go, so that it can still be read.
    fn unbind(&self, going: &[Digest]) -> Result<(), StoreError> {
        let going: HashSet<Digest> = going.iter().copied().collect();
        if going.is_empty() {
            return Ok(());
        }
        let mut resting = BTreeSet::new();
        for manifest in self.manifests().iter() {
            let manifest = manifest?;
            let base = self.manifests().stored_against(&manifest)?;
            if !going.contains(&manifest) && base.is_some_and(|base| going.contains(&base)) {
                resting.insert(manifest);
            }
        }
        for manifest in resting {
            self.manifests().make_full(&manifest)?;
        }
        Ok(())
    }
}

/// A pending import's first volume is read for at most so long before it is journalled.
const PENDING_SECONDS: i64 = 7 * 24 * 3600;
