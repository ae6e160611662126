//! Inspecting and verifying a bundle without importing it: nothing is written but a nameless copy of its index.

mod spare;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufReader, Read, Seek, Write},
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use chantal_bundle::{
    BundleName, Manifest, VolumeNumber,
    cells::CellList,
    index::{self, Item, Member},
    manifest::{self, IndexFile},
    parity::Parity,
    proof, seal, sums,
};
use chantal_contract::{Digest, Expect, SiteName, limits::BUNDLE_MANIFEST_BYTES};
use sha2::{Digest as _, Sha256};

use super::{
    TransferError, admit,
    counts::Counted,
    medium, origin,
    repair::{Clinic, Damage, Media, cell_lists},
    review, strays,
    volume::{OpenVolume, VolumeSource},
};
use crate::{
    report::{Event as Report, Reporter},
    store::Store,
};

/// Bytes of `SHA256SUMS`.
const SUMS_BYTES: usize = 8 << 20;

/// A bundle whose signature is good, as its manifest describes it.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Its name.
    pub bundle: BundleName,
    /// Its directory.
    pub path: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Volumes of it that lie in this directory.
    pub at_hand: Vec<VolumeNumber>,
    /// The collectors before this one whose proofs it holds; none for one that is not trusted here.
    pub origins: Vec<Option<SiteName>>,
    /// What else lies there and is not read, in words.
    pub notes: Vec<String>,
    /// What was read from `copy/`, as the first of it could not be read or believed.
    pub copied: Vec<&'static str>,
}

/// What was found of one volume.
#[derive(Debug)]
pub enum VolumeVerdict {
    /// Every cell and every blob is what was signed.
    Good,
    /// It is not at hand.
    Absent,
    /// It is damaged or lost, and was made anew from parity: an import will do the same.
    Repairable,
    /// It is not what was signed.
    Bad(TransferError),
}

/// What a verification found.
#[derive(Debug)]
pub struct Verification {
    /// The bundle.
    pub inspection: Inspection,
    /// Each volume.
    pub volumes: Vec<(VolumeNumber, VolumeVerdict)>,
    /// Damage of volumes, and what became of it.
    pub damage: Vec<Damage>,
    /// Files that are damaged or missing and that an import can do without: parity, second copies, or firsts that have one.
    pub spare: Vec<String>,
    /// Entries of `SHA256SUMS` that contradict the signed manifest, or are missing from it.
    pub sums: Vec<String>,
}

impl Verification {
    /// Tells whether nothing had to be repaired, nor may have to be once more is lost.
    pub fn is_sound(&self) -> bool {
        self.spare.is_empty() && !self.volumes.iter().any(|(_, v)| matches!(v, VolumeVerdict::Repairable))
    }

    /// Tells whether everything that is at hand is good, or was repaired, and `SHA256SUMS` says so, too.
    pub fn is_good(&self) -> bool {
        self.sums.is_empty() && self.is_signed()
    }

    /// Tells whether everything that is at hand is what was signed: all that an import asks for.
    pub fn is_signed(&self) -> bool {
        !self.volumes.iter().any(|(_, v)| matches!(v, VolumeVerdict::Bad(_)))
    }

    /// Tells whether every volume is at hand.
    pub fn is_whole(&self) -> bool {
        !self.volumes.iter().any(|(_, v)| matches!(v, VolumeVerdict::Absent))
    }
}

/// Reads manifests of the bundles at the given paths; signatures are checked before anything is parsed.
pub fn inspect(store: &Store, paths: &[PathBuf]) -> Result<Vec<Inspection>, TransferError> {
    let found = medium::find(paths)?;
    if let Some(path) = found.loose.any()
        && found.bundles.is_empty()
    {
        return Err(TransferError::Loose { path: path.clone() });
    }
    found.bundles.into_iter().map(|dir| look(store, &dir)).collect()
}

fn look(store: &Store, dir: &Path) -> Result<Inspection, TransferError> {
    let admit::Judged { verdict, copied, .. } = admit::judge(store, dir);
    let admitted = verdict?;
    let at_hand = medium::volumes(dir)?.into_keys().collect();
    let mut notes = strays::unusable(dir, &admitted.manifest)?;
    notes.extend(strays::uncovered(dir, &admitted.manifest)?);
    let origins = origin::look(store, &admitted.manifest.origins, dir)?;
    let (bundle, path) = (admitted.manifest.name()?, admitted.dir);
    Ok(Inspection { bundle, path, manifest: admitted.manifest, at_hand, origins, notes, copied })
}

/// Verifies everything of the bundles at the given paths that is at hand.
pub fn verify(
    store: &Store,
    paths: &[PathBuf],
    reporter: &dyn Reporter,
) -> Result<Vec<Verification>, TransferError> {
    inspect(store, paths)?.into_iter().map(|inspection| verify_one(store, inspection, reporter)).collect()
}

fn verify_one(
    store: &Store,
    inspection: Inspection,
    reporter: &dyn Reporter,
) -> Result<Verification, TransferError> {
    let sums = compare_sums(&inspection)?;
    let mut spare = spare::damaged(&inspection)?;
    let Inspection { bundle, manifest, .. } = &inspection;
    let mut media = Media::default();
    media.add(&inspection.path)?;
    let clinic = Clinic { store, manifest, media: &media, reporter };
    let copy = match copy_index(store, &inspection.path, bundle, manifest.index) {
        Ok(copy) => copy,
        Err(fault) => {
            spare.push(fault.to_string());
            let path = medium::index_file(&inspection.path);
            let Some(mended) = clinic.index(path.as_slice())? else { return Err(fault) };
            copy_checked(store, mended, Path::new(index::FILE), manifest.index).map_err(|_| fault)?
        }
    };
    medium::expect_review(&inspection.path, &manifest.review)?;
    let again = copy.try_clone().map_err(|e| TransferError::io(&inspection.path, e))?;
    (&again).rewind().map_err(|e| TransferError::io(&inspection.path, e))?;
    review::check(manifest, BufReader::new(again))?;
    let mut check = Check { manifest, bundle, copy, task: format!("verify {bundle}"), reporter };
    let mut files = BTreeMap::new();
    for (number, paths) in &media.volumes {
        files.extend(paths.first().map(|path| (*number, VolumeSource::File(path))));
    }
    let mut bad = check.run(&files)?;
    let mut wanted: BTreeSet<VolumeNumber> = bad.keys().copied().collect();
    wanted.extend(clinic.revivable());
    let mut damage = Vec::new();
    let mut repaired = BTreeSet::new();
    if !wanted.is_empty() {
        let mut mended = BTreeMap::new();
        for healed in clinic.heal(check.cells(&wanted)?)? {
            if healed.damage.is_repaired() {
                mended.insert(healed.damage.volume, VolumeSource::Mended(healed.mended));
            }
            damage.push(healed.damage);
        }
        repaired = mended.keys().copied().collect();
        let still = check.run(&mended)?;
        repaired.retain(|number| !still.contains_key(number));
        bad.retain(|number, _| !repaired.contains(number));
    }
    let volumes = manifest.volumes().map(|(number, _)| match bad.remove(&number) {
        _ if repaired.contains(&number) => (number, VolumeVerdict::Repairable),
        Some(fault) => (number, VolumeVerdict::Bad(fault)),
        None if files.contains_key(&number) => (number, VolumeVerdict::Good),
        None => (number, VolumeVerdict::Absent),
    });
    let volumes = volumes.collect();
    drop(files);
    Ok(Verification { inspection, volumes, damage, spare, sums })
}

/// Compares `SHA256SUMS` with what the manifest says, so that both ways of checking agree.
fn compare_sums(inspection: &Inspection) -> Result<Vec<String>, TransferError> {
    let Inspection { path, manifest, .. } = inspection;
    let file = path.join(sums::FILE);
    if !file.is_file() {
        return Ok(vec![format!("`{}` is missing", sums::FILE)]);
    }
    let text = medium::read(&file, SUMS_BYTES)?;
    let Some(listed) = std::str::from_utf8(&text).ok().and_then(|t| sums::parse(t).ok()) else {
        return Ok(vec![format!("`{}` is not in its one form", sums::FILE)]);
    };
    let mut expected = BTreeMap::new();
    expected.insert(index::FILE.to_owned(), manifest.index.sha256);
    let bytes = manifest.encode().map_err(|source| TransferError::Manifest { path: path.clone(), source })?;
    expected.insert(manifest::FILE.to_owned(), Digest::of(&bytes));
    expected.insert(manifest::REVIEW_JSON.to_owned(), manifest.review.json.sha256);
    expected.insert(manifest::REVIEW_HTML.to_owned(), manifest.review.html.sha256);
    expected.extend(manifest.origins.iter().map(|file| (proof::path(&file.sha256), file.sha256)));
    expected.extend(manifest.volumes().map(|(number, file)| (number.file_name(), file.sha256)));
    let parity = manifest.parity.iter().flat_map(Parity::files);
    expected.extend(parity.map(|(number, file)| (number.file_name(), file.sha256)));
    expected.extend(manifest.trust.iter().map(|link| (seal::trust_document(link.version), link.sha256)));
    let wrong = expected.iter().filter(|(name, digest)| listed.get(*name) != Some(digest));
    let unsigned = listed
        .iter()
        .filter(|(name, digest)| !expected.contains_key(*name) && !agrees(path, name, digest, &expected));
    let names = wrong.chain(unsigned).map(|(name, _)| name);
    Ok(names.map(|name| format!("`{}` says otherwise of `{name}`", sums::FILE)).collect())
}

/// Tells whether a sum is right of a file that the manifest does not list itself: of a second copy, or of a signature over the chain,
/// of which one copy is enough.
fn agrees(dir: &Path, name: &str, sum: &Digest, signed: &sums::Sums) -> bool {
    let first = name.strip_prefix(seal::COPY).and_then(|name| name.strip_prefix('/')).unwrap_or(name);
    let is = |path: &Path| medium::read(path, BUNDLE_MANIFEST_BYTES).is_ok_and(|b| Digest::of(&b) == *sum);
    match signed.get(first) {
        Some(digest) => digest == sum,
        None => is(&dir.join(first)) || is(&dir.join(seal::COPY).join(first)),
    }
}

/// Copies the index into a nameless file and checks it as it passes: a medium may answer otherwise the second time.
pub(super) fn copy_index(
    store: &Store,
    dir: &Path,
    bundle: &BundleName,
    file: IndexFile,
) -> Result<File, TransferError> {
    let path = medium::index_file(dir).ok_or_else(|| TransferError::NoIndex { bundle: bundle.clone() })?;
    copy_checked(store, medium::open(&path)?, &path, file)
}

fn copy_checked(
    store: &Store,
    mut input: impl Read,
    path: &Path,
    file: IndexFile,
) -> Result<File, TransferError> {
    let tmp = store.root().join("tmp");
    let mut copy = tempfile::tempfile_in(&tmp).map_err(|e| TransferError::io(&tmp, e))?;
    let mut measurer = Expect::exactly(file.size, vec![file.sha256.into()]).measure();
    let mut buffer = vec![0; 1 << 18];
    let altered = |mismatch| TransferError::Altered { path: path.into(), mismatch };
    loop {
        let n = input.read(&mut buffer).map_err(|e| TransferError::io(path, e))?;
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
        measurer.update(bytes).map_err(altered)?;
        copy.write_all(bytes).map_err(|e| TransferError::io(&tmp, e))?;
    }
    measurer.finish().map_err(altered)?;
    Ok(copy)
}

struct Check<'a> {
    manifest: &'a Manifest,
    bundle: &'a BundleName,
    /// The index, checked.
    copy: File,
    task: String,
    reporter: &'a dyn Reporter,
}

type Bad = BTreeMap<VolumeNumber, TransferError>;

impl Check<'_> {
    fn fault(&self, source: index::IndexError) -> TransferError {
        TransferError::Index { bundle: self.bundle.clone(), source }
    }

    fn cell(&self) -> NonZeroU32 {
        NonZeroU32::new(self.manifest.cell).unwrap_or(NonZeroU32::MIN)
    }

    fn index(&mut self) -> Result<index::Reader<BufReader<&File>>, TransferError> {
        self.copy.rewind().map_err(|e| TransferError::io(Path::new(index::FILE), e))?;
        let input = BufReader::with_capacity(1 << 17, &self.copy);
        let fault = |source| TransferError::Index { bundle: self.bundle.clone(), source };
        index::Reader::new(input, self.manifest.index.open_size, self.cell()).map_err(fault)
    }

    /// Returns what cells some volumes have.
    fn cells(
        &mut self,
        wanted: &BTreeSet<VolumeNumber>,
    ) -> Result<BTreeMap<VolumeNumber, CellList>, TransferError> {
        let (cell, bundle) = (self.cell(), self.bundle.clone());
        cell_lists(&mut self.index()?, cell, wanted).map_err(|source| TransferError::Index { bundle, source })
    }

    /// Reads volumes along with the index, and returns those that are not what was signed.
    fn run(&mut self, files: &BTreeMap<VolumeNumber, VolumeSource<'_>>) -> Result<Bad, TransferError> {
        // what is counted is what comes out of the volumes; how much that is, the manifest says of all together
        let whole = self.manifest.volumes().all(|(number, _)| files.contains_key(&number));
        let bytes = whole.then_some(self.manifest.counts.bytes);
        self.reporter.event(Report::Begin { task: &self.task, items: None, bytes });
        self.copy.rewind().map_err(|e| TransferError::io(Path::new(index::FILE), e))?;
        let bad = self.read(files);
        self.reporter.event(Report::End { task: &self.task });
        bad
    }

    fn read(&self, files: &BTreeMap<VolumeNumber, VolumeSource<'_>>) -> Result<Bad, TransferError> {
        let mut bad = Bad::new();
        let (manifest, cell) = (self.manifest, self.cell());
        let input = BufReader::with_capacity(1 << 17, &self.copy);
        let mut index =
            index::Reader::new(input, manifest.index.open_size, cell).map_err(|e| self.fault(e))?;
        let mut announced: Option<CellList> = None;
        let mut open: Option<OpenVolume> = None;
        let mut counted = Counted::new(manifest);
        let mut buffer = vec![0; 1 << 18];
        while let Some(item) = index.next_item().map_err(|e| self.fault(e))? {
            counted.see(&item)?;
            match item {
                Item::Volume(entry) => {
                    close(open.take(), &mut bad);
                    let size = entry.measured.size;
                    let list = CellList { volume: entry.number, size, cell, cells: Vec::new() };
                    announced = files.contains_key(&entry.number).then_some(list);
                }
                Item::Cell(digest) => {
                    if let Some(list) = &mut announced {
                        list.cells.push(digest);
                    }
                }
                Item::Member(member) => {
                    if let Some(list) = announced.take()
                        && let Some(source) = files.get(&list.volume)
                    {
                        let number = list.volume;
                        match OpenVolume::begin(source, list) {
                            Ok(begun) => open = Some(begun),
                            Err(fault) => drop(bad.insert(number, fault)),
                        }
                    }
                    if let Some(mut volume) = open.take() {
                        match self.member(&mut volume, &member, &mut buffer) {
                            Ok(()) => open = Some(volume),
                            Err(fault) => drop(bad.insert(volume.number(), fault)),
                        }
                    }
                }
                Item::End(_) => close(open.take(), &mut bad),
                _ => {}
            }
        }
        Ok(bad)
    }

    fn member(
        &self,
        volume: &mut OpenVolume,
        member: &Member,
        buffer: &mut [u8],
    ) -> Result<(), TransferError> {
        volume.step(member)?;
        let mut hash = Sha256::new();
        loop {
            let n = volume.read(buffer)?;
            let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
            hash.update(bytes);
            let delta = i64::try_from(n).unwrap_or(i64::MAX);
            self.reporter.event(Report::Bytes { task: &self.task, delta });
        }
        if Digest::from_bytes(hash.finalize().into()) == member.content().sha256 {
            return Ok(());
        }
        Err(TransferError::Contradiction { bundle: self.bundle.clone(), what: "the content of a blob" })
    }
}

fn close(volume: Option<OpenVolume>, bad: &mut Bad) {
    let Some(volume) = volume else { return };
    let number = volume.number();
    if let Err(fault) = volume.finish() {
        bad.insert(number, fault);
    }
}
