//! What is remembered from one sync to the next, so that an upstream without news costs only conditional requests.
//!
//! It lives in the catalog and costs only time when it is lost. It is believed only while it belongs to the newest state.

use chantal_contract::{Digest, Measured};

use super::{Job, SyncError};
use crate::store::{Fetched, Recorded, Store, StoreError};

/// The key under which a repository's last sync is remembered; no address looks like it.
const LAST: &str = "last sync";

/// What a repository's last sync left.
pub(super) struct Memory {
    /// The newest state.
    pub(super) newest: Option<Recorded>,
    /// The settings of this run.
    settings: Digest,
    /// The settings of the run that made the newest state; none when that is not known.
    settings_then: Option<String>,
    /// What the first anchors were when the newest state was made.
    anchors_then: Option<String>,
}

impl Memory {
    /// Recalls a repository's last sync.
    pub(super) fn of(store: &Store, job: &Job) -> Result<Self, SyncError> {
        let newest = store.catalog().newest(&job.name)?;
        let settings = settings(job);
        let row = store.catalog().fetched(&job.name, LAST)?;
        // a row that belongs to another state than the newest one says nothing
        let row = row.filter(|row| newest.as_ref().is_some_and(|n| n.state.manifest == row.measured.sha256));
        let (settings_then, anchors_then) = row.map_or((None, None), |row| (row.etag, row.last_modified));
        Ok(Self { newest, settings, settings_then, anchors_then })
    }

    /// Tells whether the newest state was made with the settings of this run.
    pub(super) fn same_settings(&self) -> bool {
        self.settings_then.as_deref() == Some(&self.settings.hex())
    }

    /// Tells whether upstream's first anchors are those of the newest state, which had all that upstream lists.
    pub(super) fn stands_for(&self, anchors: Digest) -> bool {
        self.same_settings()
            && self.newest.as_ref().is_some_and(|newest| newest.complete)
            && self.anchors_then.as_deref() == Some(&anchors.hex())
    }

    /// Remembers this sync after its state was committed.
    pub(super) fn set(
        &self,
        store: &Store,
        job: &Job,
        anchors: Option<Digest>,
        manifest: Digest,
        mut rows: Vec<(String, Fetched)>,
    ) -> Result<(), StoreError> {
        let last = Fetched {
            etag: Some(self.settings.hex()),
            last_modified: anchors.map(|digest| digest.hex()),
            final_url: String::new(),
            measured: Measured { sha256: manifest, size: 0 },
        };
        rows.push((LAST.to_owned(), last));
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        rows.dedup_by(|(a, _), (b, _)| a == b);
        store.catalog().set_fetched(&job.name, &rows)
    }
}

/// Sums up everything but upstream itself that a state depends on.
fn settings(job: &Job) -> Digest {
    let text = serde_json::json!({
        "format": job.format.kind().name(),
        "mode": job.format.mode().name(),
        "options": job.format.options(),
        "settings": job.settings,
        // a newer program may read more of the same anchors
        "version": env!("CARGO_PKG_VERSION"),
    });
    Digest::of(text.to_string().as_bytes())
}
