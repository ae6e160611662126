//! What lies on a medium: bundles and volumes, only ever read.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use chantal_bundle::{
    VolumeNumber, index,
    manifest::{self, ReviewFiles},
    parity::ParityNumber,
    seal,
    trust::Link,
};
use chantal_contract::{
    Digest, Expect, Measured,
    limits::{BUNDLE_MANIFEST_BYTES, SIGNATURES, SSHSIG_BYTES, TRUST_BYTES, TRUST_VERSION},
};

use super::{TransferError, repair::Media};

/// Directories below a given one that are looked into: a medium holds bundles, a bundle holds its files.
const ENTRIES: usize = 100_000;

/// What the names of approvals begin with.
const APPROVER: &str = "approver-";

/// What a signature's file begins with.
const ARMOUR: &[u8] = b"-----BEGIN SSH SIGNATURE-----";

/// What was found at the paths that were given.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Directories that hold a manifest.
    pub bundles: Vec<PathBuf>,
    /// Volumes and parity files beside which no manifest lies.
    pub loose: Media,
    /// Approvals that came without their bundle.
    pub approvals: Vec<PathBuf>,
}

/// Looks for bundles at the given paths: a bundle's directory, one that holds such, or a volume.
pub(super) fn find(paths: &[PathBuf]) -> Result<Found, TransferError> {
    let mut found = Found::default();
    for path in paths {
        let kind = fs::metadata(path).map_err(|e| TransferError::io(path, e))?;
        if !kind.is_dir() {
            take_file(path, &mut found)?;
        } else if !take_directory(path, &mut found)? {
            let mut any = false;
            for (name, inner) in entries(path)? {
                if !name.starts_with('.') && inner.is_dir() {
                    any |= take_directory(&inner, &mut found)?;
                }
            }
            if !any {
                return Err(TransferError::NoBundle { path: path.clone() });
            }
        }
    }
    found.bundles.sort();
    found.bundles.dedup();
    Ok(found)
}

/// Returns the bundle's directory that a path is, or the only one that lies in it.
pub(super) fn only_bundle(path: &Path) -> Result<PathBuf, TransferError> {
    if is_bundle(path) {
        return Ok(path.into());
    }
    let mut bundles = find(&[path.into()])?.bundles;
    match (bundles.pop(), bundles.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(TransferError::NoBundle { path: path.into() }),
        (Some(last), false) => {
            bundles.push(last);
            let name = |dir: &PathBuf| dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(TransferError::ManyBundles { path: path.into(), found: bundles.iter().map(name).collect() })
        }
    }
}

fn take_file(path: &Path, found: &mut Found) -> Result<(), TransferError> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if is_bundle(parent) {
        found.bundles.push(parent.into());
        return Ok(());
    }
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if is_signature(name, APPROVER) || is_armoured(path) {
        found.approvals.push(path.into());
    } else if let Ok(number) = VolumeNumber::parse_file_name(name) {
        found.loose.volumes.entry(number).or_default().push(path.into());
    } else if let Some(number) = ParityNumber::parse_file_name(name) {
        found.loose.parity.entry(number).or_default().push(path.into());
    } else {
        return Err(TransferError::NoBundle { path: path.into() });
    }
    Ok(())
}

/// Tells whether a file is a signature, whatever it is called.
fn is_armoured(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = open(path).map(|file| file.take(ARMOUR.len() as u64).read_to_end(&mut head));
    matches!(read, Ok(Ok(_))) && head == ARMOUR
}

/// Takes what a directory holds and tells whether that is anything.
fn take_directory(dir: &Path, found: &mut Found) -> Result<bool, TransferError> {
    if is_bundle(dir) {
        found.bundles.push(dir.into());
        return Ok(true);
    }
    let before = found.loose.count();
    found.loose.add(dir)?;
    Ok(found.loose.count() > before)
}

/// Tells whether a directory holds a manifest, or a second copy of one.
fn is_bundle(dir: &Path) -> bool {
    is_file(&dir.join(manifest::FILE)) || is_file(&dir.join(seal::COPY).join(manifest::FILE))
}

/// Lists the volumes in a directory.
pub(super) fn volumes(dir: &Path) -> Result<BTreeMap<VolumeNumber, PathBuf>, TransferError> {
    numbered(dir, |name| VolumeNumber::parse_file_name(name).ok())
}

/// Lists the parity files in a directory.
pub(super) fn parity(dir: &Path) -> Result<BTreeMap<ParityNumber, PathBuf>, TransferError> {
    numbered(dir, ParityNumber::parse_file_name)
}

fn numbered<N: Ord>(
    dir: &Path,
    parse: impl Fn(&str) -> Option<N>,
) -> Result<BTreeMap<N, PathBuf>, TransferError> {
    let named = entries(dir)?.into_iter().filter_map(|(name, path)| Some((parse(&name)?, path)));
    Ok(named.filter(|(_, path)| is_file(path)).collect())
}

pub(super) fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>, TransferError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| TransferError::io(dir, e))?.take(ENTRIES) {
        let entry = entry.map_err(|e| TransferError::io(dir, e))?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

/// Lists the names of the files in a directory, rising.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, TransferError> {
    Ok(entries(dir)?.into_iter().filter(|(_, path)| is_file(path)).map(|(name, _)| name).collect())
}

pub(super) fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file())
}

/// Opens a file of a medium; what is no regular file is refused, as it may never end.
pub(super) fn open(path: &Path) -> Result<File, TransferError> {
    let kind = fs::metadata(path).map_err(|e| TransferError::io(path, e))?;
    if !kind.is_file() {
        return Err(TransferError::NoFile { path: path.into() });
    }
    File::open(path).map_err(|e| TransferError::io(path, e))
}

/// Reads a small file whole.
pub(super) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, TransferError> {
    let mut bytes = Vec::new();
    let mut file = open(path)?.take(limit as u64 + 1);
    file.read_to_end(&mut bytes).map_err(|e| TransferError::io(path, e))?;
    if bytes.len() > limit {
        return Err(TransferError::TooLong { path: path.into(), limit: limit as u64 });
    }
    Ok(bytes)
}

/// The files that are read before anything is believed.
#[derive(Debug)]
pub(super) struct Front {
    pub manifest: Vec<u8>,
    /// The collector's signatures over the manifest.
    pub signatures: Vec<Vec<u8>>,
    pub chain: Vec<Link>,
}

/// Where each of trust chain, manifest and signatures is read from: the bundle's directory, or its `copy/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(u8);

impl Places {
    /// Returns every way to read some of them from `copy/`, the first copies left out.
    pub fn others() -> impl Iterator<Item = Self> {
        (1..8).map(Self)
    }

    /// Names what is read from `copy/`.
    pub fn copied(self) -> Vec<&'static str> {
        let parts = [seal::TRUST, manifest::FILE, seal::SIGNATURES];
        parts
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| self.0 & 1 << bit != 0)
            .map(|(_, part)| part)
            .collect()
    }

    fn of(self, dir: &Path, part: &str) -> PathBuf {
        let root = if self.copied().contains(&part) { dir.join(seal::COPY) } else { dir.into() };
        root.join(part)
    }
}

/// Reads manifest, signatures and trust chain of a bundle, and parses nothing.
pub(super) fn front(dir: &Path) -> Result<Front, TransferError> {
    front_at(dir, Places::default())
}

/// Reads them from where they are said to be.
pub(super) fn front_at(dir: &Path, places: Places) -> Result<Front, TransferError> {
    let manifest = read(&places.of(dir, manifest::FILE), BUNDLE_MANIFEST_BYTES)?;
    let signatures = read_signatures(&places.of(dir, seal::SIGNATURES), "collector-")?;
    let mut chain = Vec::new();
    let trust = places.of(dir, seal::TRUST);
    for version in 1..=TRUST_VERSION {
        let path = trust.with_file_name(seal::trust_document(version));
        if !is_file(&path) {
            break;
        }
        let document = read(&path, TRUST_BYTES)?;
        let signatures = read_signatures(&trust, &format!("{version:04}-"))?;
        chain.push(Link { document, signatures });
    }
    Ok(Front { manifest, signatures, chain })
}

/// Reads the approvals that lie in a bundle's directory, and those of its second copies.
pub(super) fn approvals(dir: &Path) -> Result<[Vec<Vec<u8>>; 2], TransferError> {
    let copies = dir.join(seal::COPY).join(seal::SIGNATURES);
    Ok([read_signatures(&dir.join(seal::SIGNATURES), APPROVER)?, read_signatures(&copies, APPROVER)?])
}

fn read_signatures(dir: &Path, prefix: &str) -> Result<Vec<Vec<u8>>, TransferError> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let named = entries(dir)?.into_iter().filter(|(name, _)| is_signature(name, prefix));
    // One more than is looked at, so that too many are seen as such.
    named.take(SIGNATURES + 1).map(|(_, path)| read(&path, SSHSIG_BYTES)).collect()
}

pub(super) fn is_signature(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.strip_suffix(".sig").is_some())
}

/// Holds a bundle's review files against what its manifest says; those that do not lie there are no fault, nor are those that nobody
/// can have read, as the medium fails in them.
pub(super) fn expect_review(dir: &Path, signed: &ReviewFiles) -> Result<(), TransferError> {
    for (name, file) in [(manifest::REVIEW_JSON, signed.json), (manifest::REVIEW_HTML, signed.html)] {
        let path = dir.join(name);
        if is_file(&path) {
            let expected = Measured { sha256: file.sha256, size: file.size };
            match measure(&path, Some(&expected), &mut |_| Ok(())) {
                Ok(_) | Err(TransferError::Io { .. }) => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(())
}

/// Reads a file of a medium, shows its bytes piece by piece, and returns its digest; where it is known what the file is, another one
/// is refused.
pub(super) fn measure(
    path: &Path,
    expected: Option<&Measured>,
    see: &mut dyn FnMut(&[u8]) -> Result<(), TransferError>,
) -> Result<Digest, TransferError> {
    let expect = expected
        .map_or(Expect::at_most(u64::MAX), |known| Expect::exactly(known.size, vec![known.sha256.into()]));
    let mut measurer = expect.measure();
    let altered = |mismatch| TransferError::Altered { path: path.into(), mismatch };
    let mut input = open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = match input.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.map_err(|e| TransferError::io(path, e))?,
        };
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
        measurer.update(bytes).map_err(altered)?;
        see(bytes)?;
    }
    measurer.finish().map(|measured| measured.sha256).map_err(altered)
}

/// Returns where a bundle's index would lie, if it does.
pub(super) fn index_file(dir: &Path) -> Option<PathBuf> {
    Some(dir.join(index::FILE)).filter(|path| is_file(path))
}
