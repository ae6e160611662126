//! Approval: a person looked at the review and signs the bundle's manifest; a site may demand several (docs/design.md §8).

use std::{
    fs::File,
    io::{self, BufReader, Seek as _, Write},
    path::{Path, PathBuf},
};

use chantal_bundle::{BundleName, KeyFingerprint, Namespace, PublicKey, TrustDocument, TrustRole, seal};
use chantal_contract::Digest;
use jiff::Timestamp;

use super::{
    TransferError,
    accepted::accept,
    admit::{self, Admitted},
    counts,
    inspect::copy_index,
    medium, review,
};
use crate::{
    report::review::Review,
    store::{Event, Lock, Store},
    trust::{SiteKey, TrustError, document::signers, sshsig},
};

/// A bundle whose signatures are good and whose review is what its index makes it.
#[derive(Clone, Debug)]
pub struct Looked {
    /// Its name.
    pub bundle: BundleName,
    /// Its directory.
    pub path: PathBuf,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// What it changes.
    pub review: Review,
    /// Which of the files that show it to people are not there.
    pub unseen: Vec<&'static str>,
    /// What is to be known of its page, where this program does not draw such ones.
    pub strange_page: Option<String>,
    /// Who has approved it, as far as its directory shows.
    pub approved: Vec<KeyFingerprint>,
    /// How many must, by the newest trust document that is known of its collector.
    pub needed: u32,
    bytes: Vec<u8>,
    document: TrustDocument,
}

/// What came of an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// It was written.
    Written(PathBuf),
    /// This key had approved it already.
    Before(PathBuf),
}

/// Looks at a bundle as somebody does who is to approve it: what it changes is read from its signed index, and a page that lies
/// beside it must say the same.
///
/// `path` is the bundle's directory, or one that holds no other.
pub fn look(store: &Store, path: &Path) -> Result<Looked, TransferError> {
    let dir = &medium::only_bundle(path)?;
    let admit::Seen { admitted, document, .. } = admit::look(store, dir)?;
    let bundle = admitted.manifest.name()?;
    let files = [chantal_bundle::manifest::REVIEW_JSON, chantal_bundle::manifest::REVIEW_HTML];
    let unseen = files.into_iter().filter(|file| !medium::is_file(&dir.join(file))).collect();
    let strange_page = review::strange_page(&admitted.manifest);
    medium::expect_review(dir, &admitted.manifest.review)?;
    let index = copy_index(store, std::slice::from_ref(dir), &bundle, admitted.manifest.index)?;
    let from_its_beginning = || {
        let mut index = index.try_clone()?;
        index.rewind()?;
        Ok(BufReader::new(index))
    };
    let fault = |e| TransferError::io(dir, e);
    let review = review::check(&admitted.manifest, from_its_beginning().map_err(fault)?)?;
    counts::expect(&admitted.manifest, from_its_beginning().map_err(fault)?)?;
    let approved = match judge(&document, &admitted.bytes, medium::approvals(dir)?) {
        Ok(keys) => keys,
        // too few is what an approval is for
        Err((TrustError::NotEnough { .. } | TrustError::Signature(_), good)) => good,
        Err((source, good)) => return Err(unapproved(&document, bundle, source, &good)),
    };
    let needed = document.threshold(TrustRole::Approver);
    let (path, manifest) = (dir.clone(), admitted.digest);
    Ok(Looked {
        bundle,
        path,
        manifest,
        review,
        unseen,
        strange_page,
        approved,
        needed,
        bytes: admitted.bytes,
        document,
    })
}

/// Returns who approved a manifest, rising, if they are enough; else why not, and those whose signatures are good all the same.
///
/// The second copies count where the first do not: damage of one is no reason to refuse.
fn judge(
    document: &TrustDocument,
    manifest: &[u8],
    copies: [Vec<Vec<u8>>; 2],
) -> Result<Vec<KeyFingerprint>, (TrustError, Vec<KeyFingerprint>)> {
    let mut first = None;
    let mut good = Vec::new();
    for mut approvals in copies {
        // the same file lies on every medium
        approvals.sort();
        approvals.dedup();
        match signers(document, TrustRole::Approver, Namespace::Approval, manifest, &approvals) {
            Ok(keys) => return Ok(fingerprints(keys)),
            Err(fault) => first = first.or(Some(fault)),
        }
        let keys = approvals.iter().filter_map(|a| sshsig::verify(Namespace::Approval, manifest, a).ok());
        good.extend(keys.filter(|key| document.keys_of(TrustRole::Approver).any(|known| known == key)));
    }
    match first {
        Some(fault) => Err((fault, fingerprints(good))),
        None => Ok(Vec::new()),
    }
}

fn fingerprints(keys: Vec<PublicKey>) -> Vec<KeyFingerprint> {
    let mut found: Vec<KeyFingerprint> = keys.iter().map(PublicKey::fingerprint).collect();
    found.sort();
    found.dedup();
    found
}

/// Signs a bundle's manifest as an approver and notes that in the journal; what its trust chain brings is recorded, as by an import.
///
/// The signature goes into the bundle's own directory, or to `out`, which an import takes beside the bundle. A key that may not
/// approve is refused: its signature would count for nothing.
pub fn approve(
    store: &Store,
    looked: &Looked,
    key: &SiteKey,
    out: Option<&Path>,
    at: Timestamp,
) -> Result<Approval, TransferError> {
    let _shared = store.lock(Lock::Shared)?;
    accept(store, &admit::judge(store, &looked.path).news, at)?;
    let (public, fingerprint) = (key.public(), key.fingerprint());
    if !looked.document.keys_of(TrustRole::Approver).any(|known| *known == public) {
        let (collector, version) = (looked.document.collector.clone(), looked.document.version);
        return Err(TransferError::NoApprover { key: fingerprint, collector, version });
    }
    let within = looked.path.join(seal::approver_signature(&fingerprint));
    if out.is_none() {
        expect_no_links(&looked.path)?;
    }
    let path = out.unwrap_or(&within);
    if out.is_none() && looked.approved.contains(&fingerprint) {
        return Ok(Approval::Before(within));
    }
    let signature = sshsig::sign(key, Namespace::Approval, &looked.bytes)?;
    put(path, signature.as_bytes()).map_err(|source| match (out, source.kind()) {
        (None, io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
            let name = within.file_name().map(PathBuf::from).unwrap_or_default();
            TransferError::ReadOnly { path: looked.path.clone(), name, source }
        }
        _ => TransferError::io(path, source),
    })?;
    let copy = looked.path.join(seal::COPY).join(seal::SIGNATURES);
    if out.is_none() && copy.is_dir() {
        let path = looked.path.join(seal::COPY).join(seal::approver_signature(&fingerprint));
        put(&path, signature.as_bytes()).map_err(|e| TransferError::io(&path, e))?;
    }
    let event = Event::Approved {
        bundle: looked.bundle.to_string(),
        manifest: looked.manifest,
        key: fingerprint.to_string(),
    };
    store.journal().append(event, at)?;
    Ok(Approval::Written(path.to_path_buf()))
}

/// Refuses a bundle whose directories for signatures are links: what is written there would go elsewhere.
fn expect_no_links(dir: &Path) -> Result<(), TransferError> {
    let copy = dir.join(seal::COPY);
    for path in [dir.join(seal::SIGNATURES), copy.clone(), copy.join(seal::SIGNATURES)] {
        if path.is_symlink() {
            return Err(TransferError::Link { path });
        }
    }
    Ok(())
}

/// Writes a small file so that nobody ever sees a half of it.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    File::open(dir)?.sync_all()
}

/// Returns who approved a manifest, as far as these directories show, be they enough or not.
pub(super) fn approvers(
    document: &TrustDocument,
    manifest: &[u8],
    dirs: &[PathBuf],
) -> Result<Vec<KeyFingerprint>, TransferError> {
    Ok(judge(document, manifest, gathered(dirs)?).unwrap_or_else(|(_, good)| good))
}

/// Reads the approvals in all directories, the second copies apart.
fn gathered(dirs: &[PathBuf]) -> Result<[Vec<Vec<u8>>; 2], TransferError> {
    let mut approvals = [Vec::new(), Vec::new()];
    for dir in dirs {
        for (all, these) in approvals.iter_mut().zip(medium::approvals(dir)?) {
            all.extend(these);
        }
    }
    Ok(approvals)
}

/// Demands as many approvals as the trust document in force does; returns who approved, rising.
///
/// `loose` are signatures that came without a bundle: those that are of this one count.
pub(super) fn demand(
    document: &TrustDocument,
    admitted: &Admitted,
    dirs: &[PathBuf],
    loose: &[Loose],
) -> Result<Vec<KeyFingerprint>, TransferError> {
    let mut approvals = gathered(dirs)?;
    for approval in loose.iter().filter(|approval| approval.is_of(&admitted.bytes)) {
        for all in &mut approvals {
            all.push(approval.signature.clone());
        }
    }
    let bundle = admitted.manifest.name()?;
    judge(document, &admitted.bytes, approvals)
        .map_err(|(source, good)| unapproved(document, bundle, source, &good))
}

/// Says that too few approved a bundle, and who still may.
fn unapproved(
    document: &TrustDocument,
    bundle: BundleName,
    source: TrustError,
    good: &[KeyFingerprint],
) -> TransferError {
    let keys = document.keys_of(TrustRole::Approver).map(PublicKey::fingerprint);
    let others = keys.filter(|key| !good.contains(key)).collect();
    TransferError::Unapproved { bundle, source: Box::new(source), others }
}

/// A signature that came without a bundle.
pub(super) struct Loose {
    pub path: PathBuf,
    signature: Vec<u8>,
}

impl Loose {
    /// Tells whether it approves this manifest, whosever it is.
    pub fn is_of(&self, manifest: &[u8]) -> bool {
        sshsig::verify(Namespace::Approval, manifest, &self.signature).is_ok()
    }
}

/// Reads a signature that came without a bundle.
pub(super) fn read_loose(path: &Path) -> Result<Loose, TransferError> {
    let signature = medium::read(path, chantal_contract::limits::SSHSIG_BYTES)?;
    Ok(Loose { path: path.into(), signature })
}
