//! One tree on its way: from a state in the store to a standby tree that waits for its turn.

use std::collections::BTreeSet;

use chantal_contract::{Digest, Format, FormatError, RepoPath, State, limits::KEYRING_BYTES};

use super::{
    Change, Notice, PublishError, Publisher, Request, Turn, change,
    list::List,
    page::{Dress, Subject},
    plan::{Plan, Planner},
    rot::Suspects,
    switch::Spot,
    tree,
};
use crate::{
    report::Event,
    store::{Address, Evidence, Recorded, Snapshot, evidence::Item},
    trust::Keyring,
};

/// Bytes of a list of evidence that are read at most.
const EVIDENCE_BYTES: u64 = 64 << 20;

pub(super) struct Job<'a> {
    publisher: &'a Publisher<'a>,
    suspects: &'a Suspects<'a>,
    pub address: &'a Address,
    pub target: String,
    pub url: String,
    pub spot: Spot,
    pub recorded: Recorded,
    snapshot: Snapshot,
    format: Box<dyn Format>,
    proofs: Proofs,
}

/// What was verified upstream, as a state's evidence says.
#[derive(Default)]
pub(super) struct Proofs {
    /// Upstream's public keys.
    pub keyring: Keyring,
    /// The anchors that carry a good signature.
    pub anchors: BTreeSet<RepoPath>,
    /// Whether every package does.
    pub packages: bool,
}

/// What became of it.
pub(super) struct Done {
    pub turn: Turn,
    pub change: Change,
    /// Number of files, and bytes, each blob once.
    pub weight: (u64, u64),
    pub notices: Vec<Notice>,
}

/// A tree as it is wanted.
struct Laid {
    plan: Plan,
    dress: Digest,
    weight: (u64, u64),
    notices: Vec<Notice>,
}

impl<'a> Job<'a> {
    pub fn new(
        publisher: &'a Publisher<'a>,
        suspects: &'a Suspects<'a>,
        request: &'a Request,
    ) -> Result<Self, PublishError> {
        let (store, settings) = (publisher.store, publisher.settings);
        let (address, target) = (&request.address, request.target());
        let recorded = store.catalog().resolve(address)?;
        let snapshot = store.snapshot(&recorded.state.manifest)?;
        let format = (publisher.formats)(snapshot.header())
            .map_err(|source| PublishError::Format { address: address.clone(), source })?;
        Ok(Self {
            spot: Spot::find(&settings.root, &target, settings.switch)?,
            proofs: proofs(publisher, address, &recorded)?,
            url: publisher.url(&target),
            publisher,
            suspects,
            address,
            target,
            recorded,
            snapshot,
            format,
        })
    }

    /// Builds the standby tree, unless clients see what is wanted already or nothing is to be touched.
    pub fn run(&self, turn: Turn) -> Result<Done, PublishError> {
        let early = if self.suspects.is_empty() { None } else { self.seen()? };
        if turn == Turn::Switched {
            self.suspects.sweep(&self.spot.standby())?;
        }
        if early.as_ref().is_none_or(|seen| seen.rotten() == 0)
            && let Some(weight) = self.shown()?
        {
            let change = Change { kept: weight.0, ..Change::default() };
            return Ok(Done { turn: Turn::Unchanged, change, weight, notices: Vec::new() });
        }
        let Laid { plan, dress, weight, mut notices } = self.plan()?;
        let manifest = self.recorded.state.manifest;
        self.suspects.expect_healed(&plan)?;
        let seen = match early {
            Some(seen) => Some(seen),
            None => self.seen()?,
        };
        let now = self.publisher.at.as_second();
        let generation = seen.as_ref().map_or(now, |seen| now.max(seen.generation + 1));
        let wanted = change::wanted(&plan, &manifest, seen.as_ref(), generation);
        let change = change::summary(&wanted, seen.as_ref());
        if turn == Turn::Switched {
            let head = List { manifest, dress, generation, weight, files: Vec::new() };
            notices.extend(self.build(&plan, &wanted, head)?);
        }
        Ok(Done { turn, change, weight, notices })
    }

    /// Reads the list of what clients see.
    fn seen(&self) -> Result<Option<List>, PublishError> {
        self.spot.live().map_or(Ok(None), |live| self.suspects.read(&live))
    }

    /// Returns the weight of what clients see, where that is just what is wanted.
    fn shown(&self) -> Result<Option<(u64, u64)>, PublishError> {
        let Some(live) = self.spot.live() else { return Ok(None) };
        let seen = List::head(&live).map_err(PublishError::io(&live))?;
        let Some(seen) = seen.filter(|seen| seen.manifest == self.recorded.state.manifest) else {
            return Ok(None);
        };
        let same = self.dress(seen.weight)?.digest() == seen.dress;
        Ok(same.then_some(seen.weight))
    }

    /// Lets the format lay the state out, and puts what is ours beside it.
    fn plan(&self) -> Result<Laid, PublishError> {
        let fault = |source| PublishError::Tree { address: self.address.clone(), source };
        let mut planner = Planner::new(self.publisher.store.root()).map_err(fault)?;
        // No index is sealed yet, and the time is the state's own: the same state gives the same bytes.
        self.format
            .lay_out(&self.snapshot, &mut planner, None, self.recorded.at)
            .map_err(|e| self.format_error(e))?;
        let weight = planner.weight();
        let dress = self.dress(weight)?;
        let mut notices = Vec::new();
        for (path, bytes) in &dress.files {
            let left_out = planner.write_beside(path, bytes).map_err(fault)?;
            if let Some(first) = left_out.first() {
                let (name, first, files) = (path.to_string(), first.to_string(), left_out.len());
                notices.push(Notice::LeftOut { name, first, files });
            }
        }
        Ok(Laid { plan: planner.finish().map_err(fault)?, dress: dress.digest(), weight, notices })
    }

    fn build(
        &self,
        plan: &Plan,
        wanted: &[change::Wanted],
        head: List,
    ) -> Result<Option<Notice>, PublishError> {
        let reporter = self.publisher.reporter;
        let task = format!("publish {}", self.address);
        reporter.event(Event::Begin { task: &task, items: None, bytes: None });
        let live = self.spot.live();
        let works = tree::Works {
            pool: self.publisher.store.pool(),
            spool: &plan.spool,
            live: live.as_deref(),
            link: self.publisher.settings.link,
            reporter,
            task: &task,
        };
        self.spot.prepare()?;
        let fallback = tree::build(&self.spot.standby(), wanted, head, &works)?;
        reporter.event(Event::End { task: &task });
        let why = fallback.why.map_or_else(String::new, |e| e.to_string());
        Ok((fallback.files > 0).then_some(Notice::Copied { files: fallback.files, why }))
    }

    fn dress(&self, weight: (u64, u64)) -> Result<Dress, PublishError> {
        Dress::of(&Subject {
            site: self.publisher.store.site(),
            address: self.address,
            url: &self.url,
            recorded: &self.recorded,
            header: self.snapshot.header(),
            state: &self.snapshot,
            format: self.format.as_ref(),
            proofs: &self.proofs,
            weight,
        })
    }

    fn format_error(&self, source: FormatError) -> PublishError {
        PublishError::Format { address: self.address.clone(), source }
    }
}

/// Reads a state's evidence.
fn proofs(publisher: &Publisher<'_>, address: &Address, recorded: &Recorded) -> Result<Proofs, PublishError> {
    let mut proofs = Proofs::default();
    let Some(evidence) = &recorded.state.evidence else { return Ok(proofs) };
    let pool = publisher.store.pool();
    for item in Evidence::parse(&pool.read(evidence, EVIDENCE_BYTES)?)?.items() {
        match item {
            Item::Key { blob, .. } => {
                let bytes = pool.read(&blob.sha256, KEYRING_BYTES)?;
                proofs
                    .keyring
                    .add(&pool.path(&blob.sha256), &bytes)
                    .map_err(|source| PublishError::Keys { address: address.clone(), source })?;
            }
            Item::Signed { path, .. } => drop(proofs.anchors.insert(path.clone())),
            Item::Packages => proofs.packages = true,
            Item::Page { .. } => {}
        }
    }
    Ok(proofs)
}
