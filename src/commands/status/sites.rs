//! What `status` says of sites that bundles go to and come from.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    commands::context::Context,
    config::{Config, Site},
    report::human::{age, count, size, time},
    store::{Imported, Store},
    transfer::{self, ExportRequest, News, Since},
};

/// A site that bundles go to.
#[derive(Serialize)]
pub(super) struct Outbound {
    site: String,
    /// What it signed for last; none before its first receipt.
    acknowledged: Option<Acknowledged>,
    /// Bundles of this epoch that it has not signed for.
    in_flight: Vec<String>,
    /// What the next bundle would be; none where nothing is new.
    next: Option<Next>,
}

#[derive(Serialize)]
struct Acknowledged {
    epoch: u32,
    sequence: u64,
    at: String,
    trust_version: u32,
    /// Its newest import is no bundle that was exported here.
    foreign: bool,
    #[serde(skip)]
    when: Timestamp,
}

#[derive(Serialize)]
struct Next {
    bundle: String,
    blobs: u64,
    bytes: u64,
    /// The version of the trust document that is all there is to tell.
    trust: Option<u32>,
}

/// How old the newest bundle of a collector is.
#[derive(Serialize)]
pub(super) struct Inbound {
    site: String,
    bundle: String,
    at: String,
    /// When the collector says that it made it.
    created: Option<String>,
    /// When it meant to have sent the next one.
    expected_next_by: Option<String>,
    /// That time has passed by this machine's clock, which decides nothing else.
    pub late: bool,
    #[serde(skip)]
    when: Timestamp,
    #[serde(skip)]
    made: Option<Timestamp>,
    #[serde(skip)]
    expected: Option<Timestamp>,
}

/// Whether the next bundles are weighed, which costs as much as reading the manifests of what they carry and of what the site holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Weigh {
    Yes,
    No,
}

/// Says of every configured site what it acknowledged, what is under way, and what comes next.
pub(super) fn outbound(
    config: &Config,
    store: &Store,
    weigh: Weigh,
    context: &Context,
) -> anyhow::Result<Vec<Outbound>> {
    let epoch = transfer::document(store, store.site())?.map_or(1, |document| document.epoch.get());
    let mut sites = Vec::new();
    for site in &config.sites {
        let exports = store.catalog().exports(Some(&site.name))?;
        let receipt = transfer::acknowledged_by(store, &site.name)?;
        let place = receipt.as_ref().map(|r| (r.epoch, r.sequence));
        let under_way = |e: &&crate::store::Exported| {
            e.epoch == epoch && place.is_none_or(|place| (e.epoch, e.sequence) > place)
        };
        sites.push(Outbound {
            site: site.name.to_string(),
            in_flight: exports.iter().filter(under_way).map(|e| e.bundle.clone()).collect(),
            acknowledged: receipt.map(|r| Acknowledged {
                epoch: r.epoch,
                sequence: r.sequence,
                at: r.at.to_string(),
                trust_version: r.trust,
                foreign: r.bundle.is_some_and(|bundle| exports.iter().all(|e| e.manifest != bundle)),
                when: r.at,
            }),
            next: if weigh == Weigh::Yes { next(site, store, context)? } else { None },
        });
    }
    Ok(sites)
}

fn next(site: &Site, store: &Store, context: &Context) -> anyhow::Result<Option<Next>> {
    let request = ExportRequest {
        to: &site.name,
        repositories: &site.repositories,
        out: std::path::Path::new("."),
        since: Since::Acknowledged,
        unchanged: transfer::Unchanged::Skip,
        volume_size: site.volume_size.bytes(),
        parity: None,
        after_write: transfer::AfterWrite::Trust,
        created: context.now,
        at: context.now,
        expected_next_by: None,
        keys: &[],
    };
    // a site that cannot be exported to yet has no next bundle; `export` says why
    let Ok(Some(plan)) = transfer::plan_export(store, &request) else { return Ok(None) };
    let weight = transfer::weigh(store, &plan)?;
    let trust = if let News::Trust { version } = plan.news { Some(version) } else { None };
    Ok(Some(Next { bundle: plan.bundle.to_string(), blobs: weight.blobs, bytes: weight.bytes, trust }))
}

/// Says of every collector what came last, and whether the next is overdue.
pub(super) fn inbound(store: &Store, now: Timestamp) -> anyhow::Result<Vec<Inbound>> {
    let mut imports = store.catalog().imports(None)?;
    imports.retain(|import| !import.closed);
    let mut newest: Vec<Imported> = Vec::new();
    for row in imports {
        newest.retain(|other| {
            other.from != row.from || (other.epoch, other.sequence) > (row.epoch, row.sequence)
        });
        if newest.iter().all(|other| other.from != row.from) {
            newest.push(row);
        }
    }
    newest.sort_by(|a, b| a.from.cmp(&b.from));
    let rows = newest.into_iter().map(|row| Inbound {
        site: row.from.to_string(),
        bundle: row.bundle,
        at: row.at.to_string(),
        created: row.created.map(|at| at.to_string()),
        expected_next_by: row.expected_next_by.map(|at| at.to_string()),
        late: row.expected_next_by.is_some_and(|by| by < now),
        when: row.at,
        made: row.created,
        expected: row.expected_next_by,
    });
    Ok(rows.collect())
}

impl Outbound {
    /// Says it in a few lines.
    pub(super) fn lines(&self, now: Timestamp) -> Vec<String> {
        let mut lines = vec![match &self.acknowledged {
            None => format!("`{}` has acknowledged nothing", self.site),
            Some(it) => {
                let what = match it.sequence {
                    0 => "that it has imported nothing".to_owned(),
                    sequence => format!("epoch {} sequence {sequence}", it.epoch),
                };
                format!("`{}` acknowledged {what}, applied {}", self.site, age(it.when, now))
            }
        }];
        if self.acknowledged.as_ref().is_some_and(|it| it.foreign) {
            lines.push(
                "  its newest import was never exported here: was this store set back, or the key stolen?"
                    .into(),
            );
        }
        if let Some(last) = self.in_flight.last() {
            let all = count(self.in_flight.len() as u64, "bundle");
            lines.push(format!("  in flight: {all}, the last {last}"));
        }
        if let Some(next) = &self.next {
            let blobs = count(next.blobs, "blob");
            lines.push(match next.trust {
                Some(version) => format!(
                    "  the next would be {}: it has not heard of trust version {version}",
                    next.bundle
                ),
                None => format!("  the next would be {}: {blobs} ({})", next.bundle, size(next.bytes)),
            });
        }
        lines
    }
}

impl Inbound {
    /// Says it in a line or two.
    pub(super) fn lines(&self, now: Timestamp) -> Vec<String> {
        let made = self.made.map(|at| format!(", made {}", age(at, now))).unwrap_or_default();
        let mut lines =
            vec![format!("last from {}: {}, imported {}{made}", self.site, self.bundle, age(self.when, now))];
        match self.expected {
            Some(by) if self.late => {
                lines.push(format!("  LATE: the next was expected by {}", time(by)));
            }
            Some(by) => lines.push(format!("  the next is expected by {}", time(by))),
            None => {}
        }
        lines
    }
}
