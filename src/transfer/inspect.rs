//! Inspecting and verifying bundles without importing them: nothing is written but a nameless copy of an index.

mod spare;
mod sums;
mod verify;
mod volumes;

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use chantal_bundle::{BundleName, KeyFingerprint, Manifest, VolumeNumber, manifest::IndexFile};
use chantal_contract::{Digest, Expect, SiteName};

use super::{TransferError, admit, approval, medium, origin, repair::Media, review, strays};
use crate::store::Store;

pub use verify::{Verification, verify};
pub use volumes::VolumeVerdict;

/// A bundle whose signature is good, as its manifest describes it.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Its name.
    pub bundle: BundleName,
    /// Its directories, one on each medium.
    pub paths: Vec<PathBuf>,
    /// Its manifest.
    pub manifest: Manifest,
    /// The collector's keys that signed it, rising by their text.
    pub signed: Vec<KeyFingerprint>,
    /// Who approved it, as far as the media show, rising.
    pub approved: Vec<KeyFingerprint>,
    /// How many must, by the trust document that it was believed by.
    pub needed: u32,
    /// The newest version of its collector's trust document that was accepted, where it was made before that: it may be looked
    /// at, and is not imported any more.
    pub newest: Option<u32>,
    /// Volumes of it that are at hand.
    pub at_hand: Vec<VolumeNumber>,
    /// The collectors before this one whose proofs it holds; none for one that is not trusted here.
    pub origins: Vec<Option<SiteName>>,
    /// What else lies there and is not read, in words.
    pub notes: Vec<String>,
    /// What was read from `copy/`, as the first of it could not be read or believed.
    pub copied: Vec<&'static str>,
}

/// A bundle that is looked at, and its files on all media.
struct Seen {
    inspection: Inspection,
    media: Media,
}

/// Reads manifests of the bundles at the given paths; signatures are checked before anything is parsed.
///
/// What lies on several media is put together. A bundle that is not believed is one of the errors inside.
pub fn inspect(
    store: &Store,
    paths: &[PathBuf],
) -> Result<Vec<Result<Inspection, TransferError>>, TransferError> {
    Ok(see(store, paths)?.into_iter().map(|seen| seen.map(|seen| seen.inspection)).collect())
}

/// Looks at the front of every bundle, in the order of their directories.
fn see(store: &Store, paths: &[PathBuf]) -> Result<Vec<Result<Seen, TransferError>>, TransferError> {
    let found = medium::find(paths)?;
    if let Some(path) = found.loose.any()
        && found.bundles.is_empty()
    {
        return Err(TransferError::Loose { path: path.clone() });
    }
    if let Some(path) = found.approvals.first()
        && found.bundles.is_empty()
    {
        return Err(TransferError::NoBundle { path: path.clone() });
    }
    let mut places: HashMap<Digest, usize> = HashMap::new();
    let mut all: Vec<Result<Front, TransferError>> = Vec::new();
    for dir in &found.bundles {
        match Front::read(store, dir) {
            Err(fault) => all.push(Err(fault)),
            Ok(front) => {
                let known = places.get(&front.seen.admitted.digest).and_then(|place| all.get_mut(*place));
                if let Some(Ok(known)) = known {
                    known.join(front);
                } else {
                    places.insert(front.seen.admitted.digest, all.len());
                    all.push(Ok(front));
                }
            }
        }
    }
    Ok(all.into_iter().map(|front| front?.look(store, &found.loose)).collect())
}

/// What is believed of a bundle, and where it lies.
struct Front {
    seen: admit::Seen,
    dirs: Vec<PathBuf>,
}

impl Front {
    fn read(store: &Store, dir: &Path) -> Result<Self, TransferError> {
        Ok(Self { seen: admit::look_back(store, dir)?, dirs: vec![dir.into()] })
    }

    fn join(&mut self, other: Self) {
        self.dirs.extend(other.dirs);
        self.seen.copied.extend(other.seen.copied);
    }

    fn look(self, store: &Store, loose: &Media) -> Result<Seen, TransferError> {
        let Self { seen: admit::Seen { admitted, document, newest, copied }, dirs } = self;
        let manifest = admitted.manifest;
        let mut media = loose.clone();
        let (mut notes, mut told) = (Vec::new(), BTreeSet::new());
        notes.extend(newest.map(|newest| admit::of_older_trust(document.version, newest)));
        notes.extend(review::strange_page(&manifest));
        for dir in &dirs {
            media.add(dir)?;
            let mut found = strays::unusable(dir, &manifest)?;
            found.extend(strays::uncovered(dir, &manifest)?);
            notes.extend(found.into_iter().filter(|note| told.insert(note.clone())));
        }
        let at_hand = manifest.volumes().map(|(n, _)| n).filter(|n| media.volumes.contains_key(n)).collect();
        let origins = origin::look(store, &manifest.origins, &dirs)?;
        let approved = approval::approvers(&document, &admitted.bytes, &dirs)?;
        let needed = document.threshold(chantal_bundle::TrustRole::Approver);
        let (bundle, paths, signed) = (manifest.name()?, dirs, admitted.signed);
        let inspection = Inspection {
            bundle,
            paths,
            manifest,
            signed,
            approved,
            needed,
            newest,
            at_hand,
            origins,
            notes,
            copied,
        };
        Ok(Seen { inspection, media })
    }
}

/// Copies the index, from the first directory that has it as it was signed, into a nameless file and checks it as it passes: a medium may answer otherwise the second time.
pub(super) fn copy_index(
    store: &Store,
    dirs: &[PathBuf],
    bundle: &BundleName,
    file: IndexFile,
) -> Result<File, TransferError> {
    let mut last = TransferError::NoIndex { bundle: bundle.clone() };
    for path in dirs.iter().filter_map(|dir| medium::index_file(dir)) {
        match medium::open(&path).and_then(|input| copy_checked(store, input, &path, file)) {
            Ok(copy) => return Ok(copy),
            Err(fault) => last = fault,
        }
    }
    Err(last)
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
