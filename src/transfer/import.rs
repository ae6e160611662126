//! Import: from media to this store, proved in every byte before anything becomes current.

mod again;
mod blobs;
mod check;
mod closure;
mod front;
mod heal;
mod rebuild;
mod reviewed;
mod shown;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::File,
    io::BufReader,
    num::NonZeroU32,
    path::PathBuf,
};

use chantal_bundle::{
    BundleName, KeyFingerprint, Manifest, VolumeNumber,
    index::{self, Member},
    manifest::CarriedState,
};
use chantal_contract::{Digest, SiteName, SnapshotName, limits::BUNDLE_MANIFEST_BYTES};
use jiff::Timestamp;

use self::{check::Standing, rebuild::Missing};
use super::{
    TransferError,
    admit::{self, Admitted},
    approval, medium,
    origin::{self, Demands},
    own,
    repair::{Damage, Media},
    review, strays,
    survey::Policies,
};
use crate::{
    report::{Event as Report, Reporter},
    store::{Carried, Event, Lock, StateRef, Store},
};

/// What came of one bundle.
#[derive(Clone, Debug)]
pub enum ImportOutcome {
    /// It was imported before; nothing became current.
    Already {
        /// Its name.
        bundle: BundleName,
        /// When.
        at: Timestamp,
        /// Blobs that its repositories lacked here, and that it brought back.
        back: u64,
    },
    /// It is imported: its states are current.
    Imported(Box<Imported>),
    /// Some of its volumes are still to come; what was there is verified and kept.
    Waiting {
        /// Its name.
        bundle: BundleName,
        /// Volumes that need not be seen again.
        have: Vec<VolumeNumber>,
        /// Volumes that are needed.
        need: Vec<VolumeNumber>,
    },
}

/// A bundle that was imported.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its name.
    pub bundle: BundleName,
    /// Its manifest.
    pub manifest: Manifest,
    /// Blobs that came in by it, and were not here before.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Names that were not taken over, as this site gave them to other states.
    pub kept_names: Vec<(CarriedState, SnapshotName)>,
    /// Volumes that were damaged or lost, and were repaired.
    pub repaired: Vec<Damage>,
}

/// What the site itself asks of what arrives.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Upstream's signatures, by repository and format.
    pub policies: &'a Policies<'a>,
    /// The first collector's signature, by repository.
    pub origins: &'a Demands,
}

/// All directories and loose volumes of one bundle.
struct Gathered {
    admitted: Admitted,
    dirs: Vec<PathBuf>,
    approvals: Approvals,
}

/// When a bundle's approvals are looked at.
enum Approvals {
    /// Now: they lie beside its manifest.
    Here,
    /// They were, at the visit that brought its manifest: by whom they are.
    Before(Vec<KeyFingerprint>),
}

/// The order in which bundles are imported: by collector, epoch and sequence.
type Place = (SiteName, u32, u64, Digest);

fn place(admitted: &Admitted) -> Place {
    let m = &admitted.manifest;
    (m.collector.clone(), m.epoch.get(), m.sequence.get(), admitted.digest)
}

/// Imports what lies at the given paths: bundle directories, media that hold such, or volumes, in any order.
///
/// Bundles are taken in the order of their sequence; after one that fails, none of its stream is tried.
/// A bundle that is not believed is one of the errors inside; the outer one is of finding any. Nothing becomes current that the
/// site's own rules refuse.
pub fn import(
    store: &Store,
    paths: &[PathBuf],
    rules: Rules<'_>,
    at: Timestamp,
    reporter: &dyn Reporter,
) -> Result<Vec<Result<ImportOutcome, TransferError>>, TransferError> {
    let _shared = store.lock(Lock::Shared)?;
    let found = medium::find(paths)?;
    let mut gathered: BTreeMap<Place, Gathered> = BTreeMap::new();
    let mut outcomes = Vec::new();
    let only_loose = found.bundles.is_empty();
    for dir in found.bundles {
        let judged = admit::judge(store, &dir).and_then(|judged| {
            accept(store, &judged.news, at)?;
            for part in &judged.copied {
                let subject = dir.display().to_string();
                let text = format!("`{part}` is damaged and was read from `copy/`");
                reporter.event(Report::Warning { subject: &subject, text: &text });
            }
            judged.verdict
        });
        // trust may have moved on since a bundle was imported; that it was stays so
        let judged = match judged {
            Err(fault) => match admit::imported(store, &dir)? {
                Some(known) => {
                    outcomes.push(again::unbelieved(store, &known, fault));
                    continue;
                }
                None => Err(fault),
            },
            good => good,
        };
        match judged {
            Ok(admitted) => {
                let new = |admitted| Gathered { admitted, dirs: Vec::new(), approvals: Approvals::Here };
                gathered.entry(place(&admitted)).or_insert_with(|| new(admitted)).dirs.push(dir);
            }
            Err(fault) => outcomes.push(Err(fault)),
        }
    }
    pass_by(store, &mut gathered, reporter);
    if only_loose {
        gathered.extend(waiting(store)?.into_iter().map(|pending| (place(&pending.admitted), pending)));
    }
    if only_loose
        && gathered.is_empty()
        && let Some(path) = found.loose.any()
    {
        return Err(TransferError::Loose { path: path.clone() });
    }
    if outcomes.is_empty()
        && gathered.is_empty()
        && let Some(path) = found.approvals.first()
    {
        return Err(TransferError::NoBundle { path: path.clone() });
    }
    let approvals = found.approvals.iter().map(|path| approval::read_loose(path));
    let approvals = approvals.collect::<Result<Vec<_>, _>>()?;
    let loose = Loose { media: &found.loose, approvals: &approvals };
    let mut failed = BTreeSet::new();
    for ((collector, ..), bundle) in gathered {
        if failed.contains(&collector) {
            continue;
        }
        let outcome = one(store, bundle, loose, rules, at, reporter);
        // what was imported already stands in the way of nothing
        if outcome.as_ref().is_err_and(|fault| !matches!(fault, TransferError::NotBack { .. })) {
            failed.insert(collector);
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Leaves out what is for other sites, where a medium that goes round brings something for this one.
fn pass_by(store: &Store, gathered: &mut BTreeMap<Place, Gathered>, reporter: &dyn Reporter) {
    let here = |bundle: &Gathered| bundle.admitted.manifest.site == *store.site();
    if !gathered.values().any(here) {
        return;
    }
    gathered.retain(|_, bundle| {
        if !here(bundle) {
            let subject = bundle.admitted.dir.display().to_string();
            let text = format!("it is for site `{}` and was left alone", bundle.admitted.manifest.site);
            reporter.event(Report::Note { subject: &subject, text: &text });
        }
        here(bundle)
    });
}

/// Records new trust documents at once, whatever becomes of the bundle that brought them.
fn accept(store: &Store, news: &[admit::New], at: Timestamp) -> Result<(), TransferError> {
    news.iter().try_for_each(|new| own::record(store, Some(&new.former), &new.document, &new.link, at))
}

/// Finds the bundles that were begun and wait for volumes; their manifests were believed then, and nothing was revoked since.
fn waiting(store: &Store) -> Result<Vec<Gathered>, TransferError> {
    let mut waiting = Vec::new();
    for row in store.catalog().pending()? {
        if store.pool().has(&row.manifest)?.is_none() {
            continue;
        }
        let bytes = store.pool().read(&row.manifest, BUNDLE_MANIFEST_BYTES as u64)?;
        let path = store.pool().path(&row.manifest);
        let manifest = Manifest::parse(&bytes).map_err(|source| TransferError::Manifest { path, source })?;
        let trusted = store.catalog().trust(&manifest.collector)?.map(|(version, _)| version);
        if trusted != manifest.trust.last().map(|link| link.version) {
            // Whether the newer trust document still admits it, its signatures must tell: the front is needed again.
            continue;
        }
        let signed = row.signed.iter().filter_map(|key| key.parse().ok()).collect();
        let Some(proof) = row.proof.map(|digest| origin::read_proof(store, &digest)).transpose()? else {
            continue;
        };
        let admitted = Admitted { dir: PathBuf::new(), manifest, bytes, digest: row.manifest, signed, proof };
        let approvals = Approvals::Before(row.approved.iter().filter_map(|key| key.parse().ok()).collect());
        waiting.push(Gathered { admitted, dirs: Vec::new(), approvals });
    }
    Ok(waiting)
}

/// What came without a bundle around it.
#[derive(Clone, Copy)]
struct Loose<'a> {
    media: &'a Media,
    approvals: &'a [Vec<u8>],
}

fn one(
    store: &Store,
    bundle: Gathered,
    loose: Loose<'_>,
    rules: Rules<'_>,
    at: Timestamp,
    reporter: &dyn Reporter,
) -> Result<ImportOutcome, TransferError> {
    let Gathered { admitted, dirs, approvals } = bundle;
    let name = admitted.manifest.name()?;
    let _stream = store.lock(Lock::Site(&admitted.manifest.collector))?;
    match check::standing(store, &admitted, &name, rules.origins)? {
        Standing::Already(at) => {
            let before = again::Before { store, admitted: &admitted, name: &name, at };
            return before.bring_back(&dirs, loose.media, reporter);
        }
        Standing::New => {}
    }
    let approved = match approvals {
        Approvals::Here => approval::demand(store, &admitted, &dirs, loose.approvals)?,
        Approvals::Before(approved) => approved,
    };
    let job = Job { store, admitted: &admitted, name: &name, approved, only: None, reporter };
    // a page that says something else was read by somebody: nothing of its bundle is kept
    dirs.iter().try_for_each(|dir| medium::expect_review(dir, &admitted.manifest.review))?;
    let mut media = loose.media.clone();
    for dir in &dirs {
        media.add(dir)?;
    }
    let proof = job.keep_front(&dirs, &media)?;
    let origins = job.keep_origins(&dirs)?;
    accept(store, &origins.news, at)?;
    origins.expect(job.manifest(), rules.origins)?;
    let mut survey = rebuild::rebuild(&job)?;
    review::check(&admitted.manifest, job.index_file()?)?;
    closure::expect_whole(&job, &mut survey.listed)?;
    for dir in &dirs {
        for text in &strays::unusable(dir, job.manifest())? {
            reporter.event(Report::Warning { subject: &name.to_string(), text });
        }
    }
    job.expect_space(&survey.missing)?;
    let missing = &survey.missing;
    if !missing.volumes.is_empty() {
        let have: Vec<VolumeNumber> = job.volumes().filter(|n| !missing.volumes.contains_key(n)).collect();
        job.note_pending(&have, proof, at)?;
    }
    let mut taken = blobs::take(&job, missing, &media.volumes)?;
    let repaired = heal::heal(&job, missing, &media, &mut taken)?;
    let left = blobs::assemble(&job)?;
    if !left.is_empty() {
        let have = job.volumes().filter(|n| !left.contains(n)).collect::<Vec<_>>();
        job.note_pending(&have, proof, at)?;
    }
    // Refused even if nothing is missing: what a damaged volume holds beside its blobs was signed as well.
    job.expect_undamaged(taken.damaged)?;
    if !left.is_empty() {
        let have = job.volumes().filter(|n| !left.contains(n)).collect();
        let need = left.into_iter().collect();
        return Ok(ImportOutcome::Waiting { bundle: name, have, need });
    }
    let vetted = job.expect_reviewed(&survey, rules.policies);
    if matches!(vetted, Err(TransferError::Policy { .. })) {
        // All of it came; what is pending is that the site takes it.
        let have: Vec<VolumeNumber> = job.volumes().collect();
        job.note_pending(&have, proof, at)?;
    }
    vetted?;
    let kept_names = job.commit(proof, at)?;
    let manifest = admitted.manifest.clone();
    let (blobs, bytes) = (taken.blobs, taken.bytes);
    let imported = Imported { bundle: name, manifest, blobs, bytes, kept_names, repaired };
    Ok(ImportOutcome::Imported(Box::new(imported)))
}

/// One bundle that is being imported.
struct Job<'a> {
    store: &'a Store,
    admitted: &'a Admitted,
    name: &'a BundleName,
    /// Who approved it, rising.
    approved: Vec<KeyFingerprint>,
    /// The blobs that are asked for, where it is not all.
    only: Option<HashSet<Digest>>,
    reporter: &'a dyn Reporter,
}

impl Job<'_> {
    fn manifest(&self) -> &Manifest {
        &self.admitted.manifest
    }

    fn volumes(&self) -> impl Iterator<Item = VolumeNumber> + use<'_> {
        self.manifest().volumes().map(|(number, _)| number)
    }

    /// Tells whether a member is asked for.
    fn wants(&self, member: &Member) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&member.blob.sha256))
    }

    fn expect_undamaged(&self, damaged: Vec<(VolumeNumber, TransferError)>) -> Result<(), TransferError> {
        let mut numbers: Vec<VolumeNumber> = damaged.iter().map(|(number, _)| *number).collect();
        numbers.dedup();
        let Some((_, source)) = damaged.into_iter().next() else { return Ok(()) };
        let (bundle, source) = (self.name.clone(), Box::new(source));
        Err(TransferError::Damaged { bundle, damaged: numbers, source })
    }

    fn contradiction(&self, what: &'static str) -> TransferError {
        TransferError::Contradiction { bundle: self.name.clone(), what }
    }

    /// Opens the index, whose bytes were checked as they entered the pool.
    fn index(&self) -> Result<index::Reader<BufReader<File>>, TransferError> {
        let (file, input) = (self.manifest().index, self.index_file()?);
        let cell = NonZeroU32::new(self.manifest().cell).unwrap_or(NonZeroU32::MIN);
        index::Reader::new(input, file.open_size, cell).map_err(|e| self.of_index(e))
    }

    fn index_file(&self) -> Result<BufReader<File>, TransferError> {
        Ok(BufReader::with_capacity(1 << 17, self.store.pool().open(&self.manifest().index.sha256)?))
    }

    fn of_index(&self, source: index::IndexError) -> TransferError {
        TransferError::Index { bundle: self.name.clone(), source }
    }

    fn expect_space(&self, missing: &Missing) -> Result<(), TransferError> {
        let (needed, free) = (missing.bytes, self.store.free_space()?);
        if free < needed {
            return Err(TransferError::NoSpace { path: self.store.root().into(), needed, free });
        }
        Ok(())
    }

    fn note_pending(&self, have: &[VolumeNumber], proof: Digest, at: Timestamp) -> Result<(), TransferError> {
        let volumes: Vec<u32> = have.iter().map(|n| n.get()).collect();
        let known = self.store.catalog().pending()?;
        if known.iter().any(|row| row.manifest == self.admitted.digest && row.volumes == volumes) {
            return Ok(());
        }
        let event = Event::Pending {
            bundle: self.name.to_string(),
            manifest: self.admitted.digest,
            volumes,
            signed: self.admitted.signed.iter().map(ToString::to_string).collect(),
            approved: self.approved.iter().map(ToString::to_string).collect(),
            proof: Some(proof),
        };
        self.store.journal().append(event, at)?;
        Ok(())
    }

    /// Makes all states current and the sequence the newest, in one append.
    fn commit(
        &self,
        proof: Digest,
        at: Timestamp,
    ) -> Result<Vec<(CarriedState, SnapshotName)>, TransferError> {
        let manifest = self.manifest();
        let mut kept = Vec::new();
        let mut states = Vec::new();
        for state in &manifest.states {
            let mut names = Vec::new();
            for name in &state.names {
                match self.store.catalog().named(&state.repository, name)? {
                    Some(own) if own.state.manifest != state.manifest => {
                        kept.push((state.clone(), name.clone()));
                    }
                    _ => names.push(name.clone()),
                }
            }
            let (repository, base) = (state.repository.clone(), state.base);
            states.push(Carried { repository, base, state: state_of(state), names });
        }
        let event = Event::Imported {
            from: manifest.collector.clone(),
            bundle: self.name.to_string(),
            epoch: manifest.epoch.get(),
            sequence: manifest.sequence.get(),
            manifest: self.admitted.digest,
            states,
            created: Some(manifest.created),
            expected_next_by: manifest.expected_next_by,
            signed: self.admitted.signed.iter().map(ToString::to_string).collect(),
            approved: self.approved.iter().map(ToString::to_string).collect(),
            proof: Some(proof),
            origins: manifest.origins.iter().map(|file| file.sha256).collect(),
        };
        self.store.journal().append(event, at)?;
        Ok(kept)
    }
}

fn state_of(carried: &CarriedState) -> StateRef {
    StateRef {
        manifest: carried.manifest,
        evidence: carried.evidence,
        date: carried.date,
        valid_until: carried.valid_until,
    }
}
