//! The files of one project page, of which those are kept that some environment can use.

use std::collections::BTreeMap;

use chantal_contract::{FormatError, RepoPath};

use super::{Out, notice};
use crate::{
    filename::{Distribution, Unfit},
    name::Name,
    plan::Plan,
    select::Candidate,
    simple::FileEntry,
};

/// Collects the candidates of a page.
pub(super) struct Files<'a> {
    pub(super) plan: &'a Plan,
    pub(super) name: &'a Name,
    pub(super) found: Vec<Candidate>,
    pub(super) bytes: usize,
    /// Why files were left out, how many, and one of them.
    pub(super) unfit: BTreeMap<&'static str, (usize, String)>,
}

impl Files<'_> {
    /// Takes a listed file that some environment can use.
    pub(super) fn take(&mut self, entry: FileEntry) {
        let why = match Distribution::parse(&entry.filename, self.name) {
            Ok(_) if entry.checksums.is_empty() => "have no digest that proves them (SHA-256 or longer)",
            Ok(distribution) => {
                let environments = self.plan.usable(&distribution, entry.requires_python.as_deref());
                if environments != 0 {
                    // What a candidate takes beside its record: address, digests, bookkeeping.
                    self.bytes +=
                        512 + 2 * entry.record.iter().map(|(k, v)| k.len() + weight(v)).sum::<usize>();
                    let sdist = distribution.is_sdist();
                    self.found.push(Candidate { entry, version: distribution.version, sdist, environments });
                }
                return;
            }
            Err(Unfit::Kind) => return,
            Err(Unfit::Name) => "are not named after the project",
            Err(Unfit::Version) => "have versions that PEP 440 does not know",
        };
        self.unfit.entry(why).or_insert((0, entry.filename)).0 += 1;
    }
}

fn weight(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len() + 32,
        serde_json::Value::Array(all) => all.iter().map(weight).sum::<usize>() + 32,
        serde_json::Value::Object(all) => all.iter().map(|(k, v)| k.len() + weight(v)).sum::<usize>() + 32,
        _ => 32,
    }
}

/// Keeps the first of files that share a name.
pub(super) fn distinct(
    page: &RepoPath,
    found: Vec<Candidate>,
    out: &mut Out<'_>,
) -> Result<Vec<Candidate>, FormatError> {
    let mut all: Vec<Candidate> = found;
    all.sort_by(|a, b| a.entry.filename.cmp(&b.entry.filename));
    let mut twice = Vec::new();
    all.dedup_by(|later, first| {
        let same = later.entry.filename == first.entry.filename;
        if same && later.entry.checksums != first.entry.checksums {
            twice.push(first.entry.filename.clone());
        }
        same
    });
    for filename in twice {
        notice(
            out,
            page,
            format!("`{filename}` is listed twice with different digests; the first is taken"),
        )?;
    }
    Ok(all)
}
