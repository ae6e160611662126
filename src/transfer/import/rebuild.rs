//! Rebuilds manifests, evidence lists and records from an index, and surveys what its volumes bring.

use std::{
    collections::BTreeMap,
    io::{Sink, sink},
};

use chantal_bundle::{
    VolumeNumber,
    delta::{Edit, Lines, Nothing, Patch, PatchError, TextLines},
    index::{Item, Member, ReviewLine},
    manifest::CarriedState,
};
use chantal_contract::{
    Digest, Header, Name,
    manifest::{ManifestError, Writer},
};

use super::Job;
use crate::{
    store::{Batch, ManifestWriter, PackWriter, StoreError},
    transfer::{
        TransferError,
        content::{self, EVIDENCE_BYTES},
        counts::Counted,
        sorter::{Entry, Sorted, Sorter},
        survey::ReviewSum,
    },
};

/// What an index says of its volumes, held against the pool.
pub(super) struct Survey {
    /// Every blob that the volumes bring, rising.
    pub listed: Sorted,
    /// What of it is not in the pool.
    pub missing: Missing,
    /// The SHA-256 of each state's review, line by line.
    pub reviews: Vec<Digest>,
}

/// What is to be read of volumes.
#[derive(Default)]
pub(super) struct Missing {
    /// Volumes of which some blob is not in the pool, with the number of such blobs.
    pub volumes: BTreeMap<VolumeNumber, u64>,
    /// Bytes of what is to be read.
    pub content: u64,
    /// Bytes that will have to be written.
    pub bytes: u64,
}

impl Missing {
    /// Counts a member whose bytes are not in the pool.
    pub fn add(&mut self, volume: VolumeNumber, member: &Member) {
        *self.volumes.entry(volume).or_default() += 1;
        // A part is kept until its blob is whole.
        let times = if member.part.is_some() { 2 } else { 1 };
        self.content = self.content.saturating_add(member.content().size);
        self.bytes = self.bytes.saturating_add(member.content().size.saturating_mul(times));
    }
}

/// Reads the whole index once and applies every delta; everything that it holds itself is durable afterwards.
pub(super) fn rebuild(job: &Job<'_>) -> Result<Survey, TransferError> {
    read(job, Held::Proved)
}

/// Reads the index of a bundle that was imported, for what is missing here since: what its lists start from may be gone by now.
pub(super) fn rebuild_again(job: &Job<'_>) -> Result<Survey, TransferError> {
    read(job, Held::ReadOver)
}

/// What becomes of the delta of a list that the store has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// It is applied and compared like any other: the review is made of its lines.
    Proved,
    /// It was applied when the bundle was imported.
    ReadOver,
}

fn read(job: &Job<'_>, held: Held) -> Result<Survey, TransferError> {
    let mut work = Work {
        job,
        held,
        batch: job.store.pool().batch()?,
        records: job.store.packs().writer()?,
        building: Building::Nothing,
        states: job.manifest().states.iter(),
        state: None,
        listed: Sorter::new(&job.store.root().join("tmp")),
        missing: Missing::default(),
        reviews: Vec::new(),
        volume: None,
        counted: Counted::new(job.manifest()),
    };
    let mut index = job.index()?;
    while let Some(item) = index.next_item().map_err(|e| job.of_index(e))? {
        work.item(item)?;
    }
    let Work { records, listed, missing, batch, reviews, .. } = work;
    records.commit()?;
    batch.flush()?;
    let reviews = reviews.into_iter().map(ReviewSum::finish).collect();
    Ok(Survey { listed: listed.finish()?, missing, reviews })
}

/// The list that a delta builds.
enum Building {
    Nothing,
    ReadOver,
    /// Its first line is due.
    Announced {
        base: Option<Digest>,
        known: bool,
    },
    Manifest {
        patch: Patch<Box<dyn Lines>>,
        to: To,
    },
    Evidence(EvidenceDelta),
}

/// Where the lines of a manifest go.
enum To {
    Store(Box<ManifestWriter>),
    /// The store has it: they are only hashed.
    Nowhere(Box<Writer<Sink>>),
}

impl To {
    fn line(&mut self, line: &str) -> Result<(), Fault> {
        match self {
            Self::Store(writer) => Ok(writer.raw(line)?),
            Self::Nowhere(writer) => writer.raw(line).map_err(of_hash),
        }
    }

    fn finish(self) -> Result<Digest, StoreError> {
        match self {
            Self::Store(writer) => writer.finish(),
            Self::Nowhere(writer) => Ok(writer.finish().0),
        }
    }
}

fn of_hash(source: ManifestError) -> Fault {
    Fault::Patch(PatchError::Base(source.into()))
}

/// The delta of an evidence list; such lists are small enough to be built in memory.
struct EvidenceDelta {
    list: Digest,
    base: String,
    first: String,
    /// Lines with whether they are added.
    edits: Vec<(bool, String)>,
    bytes: u64,
}

impl EvidenceDelta {
    fn build(&self) -> Result<String, PatchError> {
        let mut text = format!("{}\n", self.first);
        let mut add = |line: &str| -> Result<(), PatchError> {
            text.push_str(line);
            text.push('\n');
            Ok(())
        };
        let mut patch = Patch::new(TextLines::new(&self.base))?;
        for (added, line) in &self.edits {
            let edit = if *added { Edit::Added(line) } else { Edit::Removed(line) };
            patch.edit::<PatchError>(edit, &mut add)?;
        }
        patch.finish::<PatchError>(&mut add)?;
        Ok(text)
    }
}

struct Work<'a> {
    job: &'a Job<'a>,
    held: Held,
    batch: Batch,
    records: PackWriter,
    building: Building,
    states: std::slice::Iter<'a, CarriedState>,
    state: Option<&'a CarriedState>,
    listed: Sorter,
    missing: Missing,
    reviews: Vec<ReviewSum>,
    volume: Option<VolumeNumber>,
    counted: Counted<'a>,
}

impl Work<'_> {
    fn item(&mut self, item: Item<'_>) -> Result<(), TransferError> {
        self.counted.see(&item)?;
        match item {
            Item::First(line) => return self.first(line),
            Item::Removed(line) => return self.edit(Edit::Removed(line)),
            Item::Added(line) => return self.edit(Edit::Added(line)),
            _ => self.finish_list()?,
        }
        match item {
            Item::State { repository, manifest, base } => self.begin_state(repository, manifest, base),
            Item::Evidence { list, base } => self.begin_evidence(list, base),
            Item::Review(line) => {
                if matches!(line, ReviewLine::Begin { .. }) {
                    self.reviews.push(ReviewSum::default());
                }
                self.reviews.last_mut().into_iter().for_each(|sum| sum.add(line));
                Ok(())
            }
            Item::Record { bytes, .. } => Ok(self.records.add(bytes).map(drop)?),
            Item::Volume(entry) => {
                self.volume = Some(entry.number);
                Ok(())
            }
            Item::Member(member) => self.member(&member),
            Item::End(_) => self.expect_evidence(),
            _ => Ok(()),
        }
    }

    fn begin_state(
        &mut self,
        repository: &Name,
        manifest: Digest,
        base: Option<Digest>,
    ) -> Result<(), TransferError> {
        self.expect_evidence()?;
        let next = self.states.next();
        let agrees = |s: &&CarriedState| (&s.repository, s.manifest, s.base) == (repository, manifest, base);
        self.state = next.filter(agrees);
        if self.state.is_none() {
            return Err(self.job.contradiction("the states"));
        }
        let manifests = self.job.store.manifests();
        let known = manifests.has(&manifest)?;
        if known && self.held == Held::ReadOver {
            self.building = Building::ReadOver;
            return self.expect_kind(manifests.open(&manifest)?.header());
        }
        self.building = Building::Announced { base, known };
        Ok(())
    }

    /// Refuses a state of which the bundle's manifest says another format or mode than its own header.
    fn expect_kind(&self, header: &Header) -> Result<(), TransferError> {
        if self.state.is_some_and(|s| (s.format, s.mode) == (header.format, header.mode)) {
            return Ok(());
        }
        Err(self.job.contradiction("format or mode of a state"))
    }

    /// Refuses a state whose evidence list the manifest names and neither the index nor the pool has.
    fn expect_evidence(&self) -> Result<(), TransferError> {
        match self.state.and_then(|s| s.evidence) {
            Some(list) if self.batch.has(&list)?.is_none() => Err(self.job.contradiction("an evidence list")),
            _ => Ok(()),
        }
    }

    fn begin_evidence(&mut self, list: Digest, base: Option<Digest>) -> Result<(), TransferError> {
        if self.state.and_then(|s| s.evidence) != Some(list) {
            return Err(self.job.contradiction("an evidence list"));
        }
        if self.held == Held::ReadOver && self.batch.has(&list)?.is_some() {
            self.building = Building::ReadOver;
            return Ok(());
        }
        let base = match base {
            Some(base) => {
                // It may be of a state before in this very index.
                self.batch.flush()?;
                let bytes = self.job.store.pool().read(&base, EVIDENCE_BYTES)?;
                String::from_utf8(bytes)
                    .map_err(|_| self.job.contradiction("the base of an evidence list"))?
            }
            None => String::new(),
        };
        let (first, edits) = (String::new(), Vec::new());
        self.building = Building::Evidence(EvidenceDelta { list, base, first, edits, bytes: 0 });
        Ok(())
    }

    fn first(&mut self, line: &str) -> Result<(), TransferError> {
        if let Building::Evidence(delta) = &mut self.building {
            line.clone_into(&mut delta.first);
        }
        let Building::Announced { base, known } = self.building else { return Ok(()) };
        let header = Header::parse_first_line(line).map_err(|e| self.patch(PatchError::Base(e.into())))?;
        self.expect_kind(&header)?;
        let manifests = self.job.store.manifests();
        let lines: Box<dyn Lines> = match &base {
            Some(base) => Box::new(manifests.open(base)?),
            None => Box::new(Nothing),
        };
        let patch = Patch::new(lines).map_err(|e| self.patch(e))?;
        let to = if known {
            let writer = Writer::new(sink(), &header).map_err(|e| self.fault(of_hash(e)))?;
            To::Nowhere(Box::new(writer))
        } else {
            To::Store(Box::new(manifests.writer(&header, base.as_ref())?))
        };
        self.building = Building::Manifest { patch, to };
        Ok(())
    }

    fn edit(&mut self, edit: Edit<'_>) -> Result<(), TransferError> {
        if let (Building::Manifest { .. }, Edit::Added(line)) = (&self.building, edit) {
            // Of a signed bundle, and still nobody's but the collector's word: no path leaves its tree here either.
            content::need(line).map_err(|e| self.patch(PatchError::Base(e)))?;
        }
        match &mut self.building {
            Building::Manifest { patch, to } => {
                patch.edit::<Fault>(edit, &mut |line| to.line(line)).map_err(|fault| self.fault(fault))
            }
            Building::Evidence(delta) => {
                let (added, line) = match edit {
                    Edit::Removed(line) => (false, line),
                    Edit::Added(line) => (true, line),
                };
                delta.bytes += line.len() as u64 + 1;
                if delta.bytes > EVIDENCE_BYTES {
                    return Err(self.job.contradiction("an evidence list is too long"));
                }
                delta.edits.push((added, line.to_owned()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Ends the list that a delta built and compares it with its name.
    fn finish_list(&mut self) -> Result<(), TransferError> {
        match std::mem::replace(&mut self.building, Building::Nothing) {
            Building::Manifest { patch, mut to } => {
                let rest = patch.finish::<Fault>(&mut |line| to.line(line));
                rest.map_err(|fault| self.fault(fault))?;
                let found = to.finish()?;
                self.expect_same(self.state.map(|s| s.manifest), found)
            }
            Building::Evidence(delta) => {
                let text = delta.build().map_err(|e| self.patch(e))?;
                self.expect_same(Some(delta.list), Digest::of(text.as_bytes()))?;
                self.batch.put(text.as_bytes())?;
                Ok(())
            }
            Building::Nothing | Building::ReadOver | Building::Announced { .. } => Ok(()),
        }
    }

    fn expect_same(&self, promised: Option<Digest>, found: Digest) -> Result<(), TransferError> {
        match promised {
            Some(promised) if promised != found => Err(self.patch(PatchError::Other { promised, found })),
            _ => Ok(()),
        }
    }

    fn member(&mut self, member: &Member) -> Result<(), TransferError> {
        let (blob, content) = (member.blob, member.content());
        self.listed.push(Entry { digest: blob.sha256, size: blob.size, tag: 0 })?;
        let missing = self.batch.has(&blob.sha256)?.is_none() && self.batch.has(&content.sha256)?.is_none();
        if missing && let Some(volume) = self.volume {
            self.missing.add(volume, member);
        }
        Ok(())
    }

    fn patch(&self, source: PatchError) -> TransferError {
        match self.state.map(|s| s.repository.clone()) {
            Some(repository) => TransferError::Patch { bundle: self.job.name.clone(), repository, source },
            None => self.job.contradiction("a delta belongs to no state"),
        }
    }

    fn fault(&self, fault: Fault) -> TransferError {
        match fault {
            Fault::Patch(source) => self.patch(source),
            // What a signed delta makes is no manifest: the bundle's fault, not the store's.
            Fault::Store(StoreError::NewManifest { source }) => self.patch(PatchError::Base(source.into())),
            Fault::Store(error) => error.into(),
        }
    }
}

enum Fault {
    Patch(PatchError),
    Store(StoreError),
}
impl From<PatchError> for Fault {
    fn from(error: PatchError) -> Self {
        Self::Patch(error)
    }
}
impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
