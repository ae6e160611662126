//! Inspecting and verifying a bundle without importing it: nothing is written but a nameless copy of its index.

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
    manifest, seal, sums,
};
use chantal_contract::{Digest, Expect};
use sha2::{Digest as _, Sha256};

use super::{TransferError, admit, medium, review, strays, volume::OpenVolume};
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
    /// What else lies there and is not read, in words.
    pub notes: Vec<String>,
}

/// What was found of one volume.
#[derive(Debug)]
pub enum VolumeVerdict {
    /// Every cell and every blob is what was signed.
    Good,
    /// It is not at hand.
    Absent,
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
    /// Entries of `SHA256SUMS` that contradict the signed manifest, or are missing from it.
    pub sums: Vec<String>,
}

impl Verification {
    /// Tells whether everything that is at hand is good, and `SHA256SUMS` says so, too.
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
    if let Some(path) = found.loose.values().flatten().next()
        && found.bundles.is_empty()
    {
        return Err(TransferError::Loose { path: path.clone() });
    }
    found.bundles.into_iter().map(|dir| look(store, &dir)).collect()
}

fn look(store: &Store, dir: &Path) -> Result<Inspection, TransferError> {
    let admitted = admit::judge(store, dir)?.verdict?;
    let at_hand = medium::volumes(dir)?.into_keys().collect();
    let mut notes = strays::unusable(dir, &admitted.manifest)?;
    notes.extend(strays::uncovered(dir, &admitted.manifest)?);
    let (bundle, path) = (admitted.manifest.name()?, admitted.dir);
    Ok(Inspection { bundle, path, manifest: admitted.manifest, at_hand, notes })
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
    let mut copy = copy_index(store, &inspection)?;
    let again = copy.try_clone().map_err(|e| TransferError::io(&inspection.path, e))?;
    medium::expect_review(&inspection.path, &inspection.manifest.review)?;
    review::check(&inspection.manifest, BufReader::new(again))?;
    copy.rewind().map_err(|e| TransferError::io(&inspection.path, e))?;
    let files = medium::volumes(&inspection.path)?;
    let task = format!("verify {}", inspection.bundle);
    // what is counted is what comes out of the volumes; how much that is, the manifest says of all together
    let whole = inspection.manifest.volumes().all(|(number, _)| files.contains_key(&number));
    let bytes = whole.then_some(inspection.manifest.counts.bytes);
    reporter.event(Report::Begin { task: &task, items: None, bytes });
    let mut check = Check { bundle: &inspection.bundle, task: &task, reporter, bad: BTreeMap::new() };
    check.run(&inspection.manifest, copy, &files)?;
    let mut bad = check.bad;
    reporter.event(Report::End { task: &task });
    let volumes = inspection.manifest.volumes().map(|(number, _)| match bad.remove(&number) {
        Some(fault) => (number, VolumeVerdict::Bad(fault)),
        None if files.contains_key(&number) => (number, VolumeVerdict::Good),
        None => (number, VolumeVerdict::Absent),
    });
    let volumes = volumes.collect();
    Ok(Verification { inspection, volumes, sums })
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
    expected.extend(manifest.volumes().map(|(number, file)| (number.file_name(), file.sha256)));
    expected.extend(manifest.trust.iter().map(|link| (seal::trust_document(link.version), link.sha256)));
    let wrong = expected.iter().filter(|(name, digest)| listed.get(*name) != Some(digest));
    Ok(wrong.map(|(name, _)| format!("`{}` says otherwise of `{name}`", sums::FILE)).collect())
}

/// Copies the index into a nameless file and checks it as it passes: a medium may answer otherwise the second time.
fn copy_index(store: &Store, inspection: &Inspection) -> Result<File, TransferError> {
    let tmp = store.root().join("tmp");
    let path = medium::index_file(&inspection.path)
        .ok_or_else(|| TransferError::NoIndex { bundle: inspection.bundle.clone() })?;
    let mut copy = tempfile::tempfile_in(&tmp).map_err(|e| TransferError::io(&tmp, e))?;
    let file = inspection.manifest.index;
    let mut measurer = Expect::exactly(file.size, vec![file.sha256.into()]).measure();
    let mut input = medium::open(&path)?;
    let mut buffer = vec![0; 1 << 18];
    let altered = |mismatch| TransferError::Altered { path: path.clone(), mismatch };
    loop {
        let n = input.read(&mut buffer).map_err(|e| TransferError::io(&path, e))?;
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
        measurer.update(bytes).map_err(altered)?;
        copy.write_all(bytes).map_err(|e| TransferError::io(&tmp, e))?;
    }
    measurer.finish().map_err(altered)?;
    copy.rewind().map_err(|e| TransferError::io(&tmp, e))?;
    Ok(copy)
}

struct Check<'a> {
    bundle: &'a BundleName,
    task: &'a str,
    reporter: &'a dyn Reporter,
    bad: BTreeMap<VolumeNumber, TransferError>,
}

impl Check<'_> {
    fn run(
        &mut self,
        manifest: &Manifest,
        copy: File,
        files: &BTreeMap<VolumeNumber, PathBuf>,
    ) -> Result<(), TransferError> {
        let bundle = self.bundle;
        let fault = |source| TransferError::Index { bundle: bundle.clone(), source };
        let cell = NonZeroU32::new(manifest.cell).unwrap_or(NonZeroU32::MIN);
        let input = BufReader::with_capacity(1 << 17, copy);
        let mut index = index::Reader::new(input, manifest.index.open_size, cell).map_err(fault)?;
        let mut announced: Option<CellList> = None;
        let mut open: Option<OpenVolume> = None;
        let mut seen = BTreeSet::new();
        let mut buffer = vec![0; 1 << 18];
        while let Some(item) = index.next_item().map_err(fault)? {
            match item {
                Item::Volume(entry) => {
                    self.close(open.take());
                    seen.insert((entry.number, entry.measured.size, entry.measured.sha256));
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
                        && let Some(path) = files.get(&list.volume)
                    {
                        let number = list.volume;
                        match OpenVolume::begin(path, list) {
                            Ok(begun) => open = Some(begun),
                            Err(fault) => drop(self.bad.insert(number, fault)),
                        }
                    }
                    if let Some(mut volume) = open.take() {
                        match self.member(&mut volume, &member, &mut buffer) {
                            Ok(()) => open = Some(volume),
                            Err(fault) => drop(self.bad.insert(volume.number(), fault)),
                        }
                    }
                }
                Item::End(_) => self.close(open.take()),
                _ => {}
            }
        }
        let listed: BTreeSet<_> = manifest.volumes().map(|(n, f)| (n, f.size.get(), f.sha256)).collect();
        if seen == listed {
            return Ok(());
        }
        Err(TransferError::Contradiction { bundle: bundle.clone(), what: "the volumes" })
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
            self.reporter.event(Report::Bytes { task: self.task, delta });
        }
        if Digest::from_bytes(hash.finalize().into()) == member.content().sha256 {
            return Ok(());
        }
        Err(TransferError::Contradiction { bundle: self.bundle.clone(), what: "the content of a blob" })
    }

    fn close(&mut self, volume: Option<OpenVolume>) {
        let Some(volume) = volume else { return };
        let number = volume.number();
        if let Err(fault) = volume.finish() {
            self.bad.insert(number, fault);
        }
    }
}
