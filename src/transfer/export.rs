//! Export: from this store's snapshots to a signed bundle for one site.

mod deltas;
mod direct;
mod error;
mod missing;
mod out;
mod parity;
mod plan;
mod reread;
mod seal;
mod volumes;

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    num::NonZeroU32,
    path::{Path, PathBuf},
    thread,
};

use chantal_bundle::{
    BundleName, Manifest,
    index::{self, Writer},
    manifest::{self, CELL, Counts, Delivery, IndexFile, ReviewFiles, SmallFile},
    parity::{Percent, volume_limit},
    proof,
    volume::Packer,
};
use chantal_contract::{Digest, Measured, Name, SiteName, limits::PROOF_BYTES};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

pub use error::ExportError;
pub use out::OutFault;
pub(super) use out::expect as expect_out;
pub use plan::{ExportPlan, News, PlannedState};
pub(super) use reread::compare as read_back;
pub(super) use seal::{expect_space, free, sync_dir};

use self::{
    deltas::{Telling, Travellers},
    parity::Protect,
    seal::{Copies, Shelf},
    volumes::{Cache, Done, MemberSpool, Press},
};
use super::{
    Since, TransferError, accepted, medium, origin,
    own::OwnTrust,
    review::{self, Reviewed},
};
use crate::{
    report::{Event as Report, Reporter},
    store::{self, Carried, Event, Lock, StateRef, Store},
    trust::SiteKey,
};

/// The size of a volume when nothing else is said, in bytes: FAT takes 4 GiB less one.
pub const VOLUME_SIZE: u64 = 3900 << 20;

/// What is to be exported.
#[derive(Clone, Debug)]
pub struct ExportRequest<'a> {
    /// For whom.
    pub to: &'a SiteName,
    /// The repositories that the site gets.
    pub repositories: &'a [Name],
    /// The directory in which the bundle's own directory is made; it must be there.
    pub out: &'a Path,
    /// What the site is believed to hold.
    pub since: Since,
    /// What is done where the site holds everything.
    pub unchanged: Unchanged,
    /// The largest size of a volume, in bytes.
    pub volume_size: u64,
    /// How much parity is written beside the volumes.
    pub parity: Option<Percent>,
    /// Whether the written bundle is read back.
    pub after_write: AfterWrite,
    /// What the bundle says of when it was made: [`created`](super::created), so that equal input gives equal bytes.
    pub created: Timestamp,
    /// Now: what the journal says.
    pub at: Timestamp,
    /// When the next one is meant to follow, as the manifest says.
    pub expected_next_by: Option<Timestamp>,
    /// The keys that sign it: the site's own, and more where the trust document asks for more.
    pub keys: &'a [&'a SiteKey],
}

/// What is done where nothing is new to a site, not even a trust document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unchanged {
    /// No bundle is made.
    #[default]
    Skip,
    /// A bundle says so, and by when the next one follows.
    Say,
}

/// What is done with a bundle once it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterWrite {
    /// It is believed to be there.
    #[default]
    Trust,
    /// It is read from the medium, past the page cache, and compared.
    ReadBack,
}

/// A bundle that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its name.
    pub bundle: BundleName,
    /// Its directory.
    pub path: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// The bytes of all its files.
    pub bytes: u64,
    /// Repositories of the site that have no snapshot yet.
    pub without: Vec<Name>,
    /// As in [`ExportPlan::unacknowledged`].
    pub unacknowledged: Option<String>,
    /// As in [`ExportPlan::news`].
    pub news: News,
    /// How it came about.
    pub how: How,
}

impl Written {
    fn new(plan: &ExportPlan, manifest: Manifest, how: How) -> Self {
        Self {
            bundle: plan.bundle.clone(),
            path: plan.path.clone(),
            bytes: manifest.total_bytes(),
            manifest,
            without: plan.without.clone(),
            unacknowledged: plan.unacknowledged.clone(),
            news: plan.news,
            how,
        }
    }
}

/// How a written bundle came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// This run wrote it.
    Now,
    /// A run that was killed had written it whole, and had not noted that.
    Before,
}

/// Says what an export would write; none when the site holds everything already.
pub fn plan_export(store: &Store, request: &ExportRequest<'_>) -> Result<Option<ExportPlan>, TransferError> {
    let plan = plan::plan(store, request)?;
    if plan.is_some() {
        out::expect(request.out)?;
    }
    Ok(plan)
}

/// What a planned bundle would carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes, which the volumes hardly exceed: what is packed already is not squeezed.
    pub bytes: u64,
}

/// Weighs what a planned bundle would carry; costs what reading the manifests of both sides costs, and writes nothing.
pub fn weigh(store: &Store, plan: &ExportPlan) -> Result<Weight, TransferError> {
    let cell = NonZeroU32::new(CELL).unwrap_or(NonZeroU32::MIN);
    let of_index = |source| TransferError::Index { bundle: plan.bundle.clone(), source };
    let mut index = Writer::new(io::sink(), cell).map_err(of_index)?;
    let (_, travellers) = deltas::write(store, plan, &mut index, Telling::Nothing)?;
    Ok(Weight { blobs: travellers.count, bytes: travellers.bytes })
}

/// Writes a bundle and notes it in the journal; none when the site holds everything already.
pub fn export(
    store: &Store,
    request: &ExportRequest<'_>,
    reporter: &dyn Reporter,
) -> Result<Option<Written>, TransferError> {
    let _shared = store.lock(Lock::Shared)?;
    let _stream = store.lock(Lock::Site(request.to))?;
    let Some(plan) = plan::plan(store, request)? else { return Ok(None) };
    let chain = OwnTrust::load(store, request.keys)?;
    chain.expect_collectors(request.keys)?;
    out::expect(request.out)?;
    let written = if let Some(written) = adopt(&plan, &chain)? {
        written
    } else {
        let mut needed = 0;
        let written = write(store, request, &plan, &chain, &mut needed, reporter);
        written.map_err(|fault| full(request.out, needed, fault))?
    };
    chain.keep(store, request.at)?;
    note(store, request, &written)?;
    Ok(Some(written))
}

/// Takes a bundle that was written whole by an export that died before it could note that.
fn adopt(plan: &ExportPlan, chain: &OwnTrust) -> Result<Option<Written>, TransferError> {
    if plan.path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let exists = || TransferError::Export(ExportError::Exists { path: plan.path.clone() });
    if !plan.path.join(manifest::FILE).is_file() {
        return Err(exists());
    }
    let front = medium::front(&plan.path)?;
    if !chain.made(&front.manifest, &front.signatures) {
        return Err(exists());
    }
    let manifest = Manifest::parse(&front.manifest).map_err(|_| exists())?;
    if manifest.name()? != plan.bundle {
        return Err(exists());
    }
    Ok(Some(Written::new(plan, manifest, How::Before)))
}

fn write(
    store: &Store,
    request: &ExportRequest<'_>,
    plan: &ExportPlan,
    chain: &OwnTrust,
    needed: &mut u64,
    reporter: &dyn Reporter,
) -> Result<Written, TransferError> {
    let planned = plan.states.iter().map(|s| (&s.repository, s.state.manifest));
    let origins = origin::of_states(store, planned)?;
    let copies = if request.parity.is_some() { Copies::Two } else { Copies::One };
    let shelf = Shelf::new(request.out.join(format!(".{}.partial", plan.bundle)), copies);
    let mut shelf = shelf.map_err(|error| out::closed(request.out, error))?;
    let cell = NonZeroU32::new(CELL).unwrap_or(NonZeroU32::MIN);
    let index_path = shelf.dir.join(index::FILE);
    let of_index = |source| TransferError::Index { bundle: plan.bundle.clone(), source };
    let out = File::create_new(&index_path).map_err(|e| TransferError::io(&index_path, e))?;
    let out = Summed { out: BufWriter::with_capacity(1 << 18, out), hash: Sha256::new(), size: 0 };
    let mut index = Writer::new(out, cell).map_err(of_index)?;

    let (states, travellers) = deltas::write(store, plan, &mut index, Telling::Changes)?;
    let Travellers { mut blobs, count, bytes, mut records, presumed } = travellers;
    let share = request.parity.map_or(0, |percent| bytes / 100 * u64::from(percent.get()));
    *needed = bytes.saturating_add(share);
    seal::expect_space(&shelf.dir, *needed)?;
    // What a member has around its content is a kibibyte, at most.
    let packed = bytes.saturating_add(count << 10);
    let limit = request.parity.map_or(request.volume_size, |p| volume_limit(request.volume_size, packed, p));
    while let Some(record) = records.take_digest()? {
        index.record(&store.packs().get(&record.digest)?).map_err(of_index)?;
    }
    let task = format!("export {}", plan.bundle);
    reporter.event(Report::Begin { task: &task, items: Some(count), bytes: Some(bytes) });
    // parity reads the volumes once more
    let cache = if request.parity.is_some() { Cache::Kept } else { Cache::Bypassed };
    let (done, members) = press(store, limit, &shelf.dir, (cell, cache), &mut blobs, (&task, reporter))?;
    describe(&done, members, &mut |step| match step {
        Step::Volume(done) => index.volume(done.entry, &done.cells).map_err(of_index),
        Step::Member(member) => index.member(member).map_err(of_index),
    })?;
    let (out, open_size, totals) = index.finish().map_err(of_index)?;
    let file = out.finish().map_err(|e| TransferError::io(&index_path, e))?;

    seal::write_chain(&mut shelf, chain)?;
    shelf.note(index::FILE, file.sha256);
    for volume in &done {
        shelf.note(&volume.entry.number.file_name(), volume.entry.measured.sha256);
    }
    let index = IndexFile { size: file.size, sha256: file.sha256, open_size };
    let volumes: Vec<_> = done.iter().filter_map(Done::file).collect();
    reporter.event(Report::End { task: &task });
    let protect = |percent| {
        let limit = request.volume_size;
        Protect { index, volumes: &volumes, percent, limit }.write(&mut shelf, reporter)
    };
    let parity = request.parity.map(protect).transpose()?;
    let delivery = match request.since {
        _ if plan.bases.is_empty() && presumed.is_empty() => Delivery::Full,
        Since::Acknowledged | Since::Missing(_) => Delivery::Acknowledged,
        _ => Delivery::Assumed,
    };
    if !origins.is_empty() {
        shelf.make_room_for_origins()?;
    }
    for file in &origins {
        let bytes = store.pool().read(&file.sha256, PROOF_BYTES as u64)?;
        shelf.put(&proof::path(&file.sha256), &bytes)?;
    }
    let mut manifest = Manifest {
        version: manifest::VERSION,
        requires: Vec::new(),
        collector: plan.stream.collector().clone(),
        site: plan.stream.site().clone(),
        epoch: plan.bundle.epoch(),
        sequence: plan.bundle.sequence(),
        created: Timestamp::from_second(request.created.as_second()).unwrap_or(request.created),
        delivery,
        expected_next_by: request.expected_next_by,
        trust: accepted::listed(chain.links()),
        bases: plan.bases.clone(),
        presumed,
        states,
        index,
        review: NO_REVIEW,
        cell: CELL,
        volumes,
        parity,
        origins,
        counts: Counts { records: totals.records, blobs: count, bytes },
    };
    let input = File::open(&index_path).map_err(|e| TransferError::io(&index_path, e))?;
    let made = Reviewed::new(&review::make(&manifest, BufReader::new(input), open_size)?)?;
    manifest.review = made.files();
    shelf.put(manifest::REVIEW_JSON, &made.json)?;
    shelf.put(manifest::REVIEW_HTML, &made.html)?;
    seal::write(&mut shelf, &manifest, request.keys)?;
    if request.after_write == AfterWrite::ReadBack {
        reread::compare(&shelf.dir, shelf.written(), reporter)?;
    }
    shelf.publish(&plan.path)?;
    Ok(Written::new(plan, manifest, How::Now))
}

/// What stands in a manifest while its review is being made of it.
pub(super) const NO_REVIEW: ReviewFiles = {
    let nothing = SmallFile { size: 0, sha256: Digest::from_bytes([0; 32]) };
    ReviewFiles { page: 1, json: nothing, html: nothing }
};

/// Says of a full medium what would have been needed; what was written is removed by then.
pub(super) fn full(out: &Path, needed: u64, fault: TransferError) -> TransferError {
    match fault {
        TransferError::Io { path, source }
            if source.kind() == io::ErrorKind::StorageFull && path.starts_with(out) =>
        {
            let free = seal::free(out).unwrap_or(0);
            TransferError::Export(ExportError::Full { path: out.into(), needed: needed.max(free), free })
        }
        other => other,
    }
}

/// Packs the blobs into volumes; this thread reads and hashes them, those of the press do the rest.
fn press(
    store: &Store,
    limit: u64,
    dir: &Path,
    (cell, cache): (NonZeroU32, Cache),
    blobs: &mut super::sorter::Sorted,
    (task, reporter): (&str, &dyn Reporter),
) -> Result<(Vec<Done>, MemberSpool), TransferError> {
    let tmp = store.root().join("tmp");
    thread::scope(|scope| {
        let press = Press::start(scope, dir, &tmp, cell, cache)?;
        let mut packer = Packer::new(limit, press)?;
        let mut pack = || -> Result<(), TransferError> {
            while let Some(blob) = blobs.take_digest()? {
                let mut content = store.pool().open(&blob.digest)?;
                packer.blob(Measured { sha256: blob.digest, size: blob.size }, &mut content)?;
                let delta = i64::try_from(blob.size).unwrap_or(i64::MAX);
                reporter.event(Report::Bytes { task, delta });
                reporter.event(Report::Done { task, items: 1 });
            }
            Ok(())
        };
        let packed = pack();
        match packed {
            Ok(()) => packer.finish()?.finish(),
            // The threads say why nobody took the work; unless they are well, and the fault is here.
            Err(fault) => Err(packer.abandon().finish().err().unwrap_or(fault)),
        }
    })
}

enum Step<'a> {
    Volume(&'a Done),
    Member(&'a chantal_bundle::index::Member),
}

/// Visits every volume and then its members.
fn describe(
    done: &[Done],
    members: MemberSpool,
    visit: &mut dyn FnMut(Step<'_>) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    let mut volumes = done.iter();
    let mut current = 0;
    members.read(&mut |volume, member| {
        while current < volume {
            let next = volumes.next().ok_or(TransferError::Interrupted)?;
            current = next.entry.number.get();
            visit(Step::Volume(next))?;
        }
        visit(Step::Member(member))
    })
}

/// Notes the export in the journal: from then on its sequence is used.
fn note(store: &Store, request: &ExportRequest<'_>, written: &Written) -> Result<(), TransferError> {
    let manifest = &written.manifest;
    let bytes = manifest.encode().map_err(ExportError::Unwritable)?;
    let carried = manifest.states.iter().map(|state| Carried {
        repository: state.repository.clone(),
        base: state.base,
        state: StateRef {
            manifest: state.manifest,
            evidence: state.evidence,
            date: state.date,
            valid_until: state.valid_until,
        },
        names: state.names.clone(),
    });
    let event = Event::Exported {
        to: manifest.site.clone(),
        bundle: written.bundle.to_string(),
        epoch: manifest.epoch.get(),
        sequence: manifest.sequence.get(),
        manifest: Digest::of(&bytes),
        states: carried.collect(),
        delivery: match request.since {
            Since::Acknowledged | Since::Missing(_) | Since::None => store::Delivery::Awaited,
            Since::Last | Since::Named(_) => store::Delivery::Assumed,
        },
        signed: request.keys.iter().map(|key| key.fingerprint().to_string()).collect(),
        trust: manifest.trust.last().map(|link| link.version),
    };
    store.journal().append(event, request.at)?;
    Ok(())
}

/// Sums what passes.
struct Summed {
    out: BufWriter<File>,
    hash: Sha256,
    size: u64,
}

impl Summed {
    fn finish(self) -> io::Result<Measured> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(Measured { sha256: Digest::from_bytes(self.hash.finalize().into()), size: self.size })
    }
}
impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hash.update(bytes.get(..n).unwrap_or_default());
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
