//! What a standby tree needs to become the wanted one: pure, decided before anything is touched.

use std::cmp::Ordering;

use chantal_contract::{Digest, RepoPath, Role};

use super::{
    list::{Kind, List, Listed},
    outcome::Change,
    plan::{Entry, Plan, Source, parents},
};

/// How a file gets its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// It may be a further name of the pool's file.
    Linked,
    /// It is a copy of the pool's file; an index's is hashed on its way.
    Copied(Role),
    /// It was made by the lay-out and lies in the spool at this offset.
    Made(u64),
    /// It lies in the live tree, which keeps it, too.
    Live,
}

/// A file of the tree to come.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub listed: Listed,
    pub from: Bytes,
}

/// Something to be done to the standby tree.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// Nothing: it is there and right.
    Keep(&'a Wanted, &'a Listed),
    /// Only its time is to be set.
    Touch(&'a Wanted),
    /// It is to be put there; another file of its name was removed.
    Put(&'a Wanted),
}

/// Decides what the tree to come holds, given what clients see now.
///
/// A file that clients see unchanged keeps its time, so that their caches stay good; any other copy is given `generation`,
/// which is later than every time that they saw.
pub(super) fn wanted(plan: &Plan, manifest: &Digest, live: Option<&List>, generation: i64) -> Vec<Wanted> {
    let mut out = Vec::with_capacity(plan.entries.len());
    let seen = files(live);
    let same_state = live.is_some_and(|l| l.manifest == *manifest);
    merge(
        &plan.entries,
        |e| &e.path,
        seen,
        |l| &l.path,
        |entry, seen| match (entry, seen) {
            (Some(entry), seen) => out.push(decide(entry, seen, generation)),
            (None, Some(seen)) if stays(seen, same_state) && fits(&plan.entries, &seen.path) => {
                out.push(Wanted { listed: Listed { kind: Kind::Kept, ..seen.clone() }, from: Bytes::Live });
            }
            (None, _) => {}
        },
    );
    out
}

/// Tells whether a file that the state does not have is kept for clients that are in the middle of reading the former one.
fn stays(seen: &Listed, same_state: bool) -> bool {
    is_by_hash(&seen.path)
        && match seen.kind {
            Kind::Kept => same_state,
            Kind::Link | Kind::Copy => true,
            Kind::Rotten => false,
        }
}

/// Tells whether a file can stand beside the wanted ones, which rise by path: in none of them, and around none.
fn fits(entries: &[Entry], path: &RepoPath) -> bool {
    let is_file = |text: &str| entries.binary_search_by(|e| e.path.as_str().cmp(text)).is_ok();
    let inside = format!("{path}/");
    let next = entries.partition_point(|e| e.path.as_str() < inside.as_str());
    !parents(path.as_str()).any(is_file)
        && entries.get(next).is_none_or(|e| !e.path.as_str().starts_with(&inside))
}

fn decide(entry: &Entry, seen: Option<&Listed>, generation: i64) -> Wanted {
    let unchanged = seen.filter(|s| s.is(&entry.measured));
    // A payload of other bytes under a known name is copied: two files of the pool may share size and time.
    let linkable = match entry.source {
        Source::Pool(Role::Payload) => seen.is_none() || unchanged.is_some_and(|u| u.kind == Kind::Link),
        // What is named by its digest never changes.
        Source::Pool(_) => is_by_hash(&entry.path),
        Source::Spool(_) => false,
    };
    let from = match entry.source {
        _ if linkable => Bytes::Linked,
        Source::Pool(role) => Bytes::Copied(role),
        Source::Spool(at) => Bytes::Made(at),
    };
    let kind = if linkable { Kind::Link } else { Kind::Copy };
    let mtime = unchanged.and_then(|u| u.mtime).unwrap_or(generation);
    let listed = Listed { path: entry.path.clone(), measured: entry.measured, kind, mtime: Some(mtime) };
    Wanted { listed, from }
}

/// Compares the wanted files with what the standby tree holds; returns the steps, and what is to be removed first.
pub(super) fn compare<'a>(
    wanted: &'a [Wanted],
    standby: Option<&'a List>,
) -> (Vec<Step<'a>>, Vec<&'a RepoPath>) {
    let mut steps = Vec::with_capacity(wanted.len());
    let mut gone = Vec::new();
    let has = files(standby);
    merge(
        wanted,
        |w| &w.listed.path,
        has,
        |l| &l.path,
        |wanted, has| match (wanted, has) {
            (Some(wanted), None) => steps.push(Step::Put(wanted)),
            (None, Some(has)) => gone.push(&has.path),
            (Some(wanted), Some(has)) => {
                // A link that had to be a copy stays one; what is to be a copy is never a link.
                let fits = has.is(&wanted.listed.measured)
                    && (wanted.listed.kind != Kind::Copy || has.kind != Kind::Link);
                let timely = has.kind == Kind::Link
                    || wanted.listed.mtime.is_none()
                    || has.mtime == wanted.listed.mtime;
                match (fits, timely) {
                    (true, true) => steps.push(Step::Keep(wanted, has)),
                    (true, false) => steps.push(Step::Touch(wanted)),
                    (false, _) => {
                        gone.push(&has.path);
                        steps.push(Step::Put(wanted));
                    }
                }
            }
            (None, None) => {}
        },
    );
    (steps, gone)
}

/// Says how the tree to come differs from what clients see now.
pub(super) fn summary(wanted: &[Wanted], live: Option<&List>) -> Change {
    let mut change = Change::default();
    let seen = files(live);
    merge(
        wanted,
        |w| &w.listed.path,
        seen,
        |l| &l.path,
        |wanted, seen| match (wanted, seen) {
            (Some(_), None) => change.added += 1,
            (None, Some(_)) => change.removed += 1,
            (Some(w), Some(s)) if s.is(&w.listed.measured) => change.kept += 1,
            (Some(_), Some(_)) => change.replaced += 1,
            (None, None) => {}
        },
    );
    change
}

fn files(list: Option<&List>) -> &[Listed] {
    list.map_or(&[], |l| &l.files)
}

/// Tells whether a file is named by its own digest (`…/by-hash/SHA256/…`).
fn is_by_hash(path: &RepoPath) -> bool {
    let mut segments = path.as_str().rsplit('/');
    segments.nth(2) == Some("by-hash")
}

/// Walks two sorted lists side by side.
fn merge<'a, A, B>(
    a: &'a [A],
    path_a: impl Fn(&A) -> &RepoPath,
    b: &'a [B],
    path_b: impl Fn(&B) -> &RepoPath,
    mut visit: impl FnMut(Option<&'a A>, Option<&'a B>),
) {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) => path_a(x).cmp(path_b(y)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        match order {
            Ordering::Less => visit(a.next(), None),
            Ordering::Greater => visit(None, b.next()),
            Ordering::Equal => visit(a.next(), b.next()),
        }
    }
}
