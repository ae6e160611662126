//! What of several media belongs together: one bundle's directories, volumes and approvals.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use chantal_bundle::KeyFingerprint;
use chantal_contract::{Digest, SiteName};
use jiff::Timestamp;

use super::{ImportOutcome, again};
use crate::{
    report::{Event as Report, Reporter},
    store::Store,
    transfer::{
        TransferError,
        accepted::accept,
        admit::{self, Admitted},
        approval::{self, Loose as LooseApproval},
        medium, origin, pending,
        repair::Media,
    },
};

/// All directories of one bundle.
pub(super) struct Gathered {
    pub admitted: Admitted,
    pub dirs: Vec<PathBuf>,
    pub approvals: Approvals,
}

/// When a bundle's approvals are looked at.
pub(super) enum Approvals {
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

type Outcome = Result<ImportOutcome, TransferError>;

/// All that was found, sorted by bundle.
pub(super) struct Finding {
    bundles: BTreeMap<Place, Gathered>,
    /// What is answered without looking further.
    answered: Vec<Outcome>,
    media: Media,
    approvals: Vec<LooseApproval>,
}

/// What came without a bundle around it.
#[derive(Clone, Copy)]
pub(super) struct Loose<'a> {
    pub media: &'a Media,
    pub approvals: &'a [LooseApproval],
}

impl Finding {
    pub fn loose(&self) -> Loose<'_> {
        Loose { media: &self.media, approvals: &self.approvals }
    }

    /// Takes one bundle after the other in the order of their sequence, and of a collector none after one that fails.
    pub fn in_order(&mut self, take: &mut dyn FnMut(&Self, &Gathered) -> Outcome) -> Vec<Outcome> {
        let mut outcomes = std::mem::take(&mut self.answered);
        let mut failed = BTreeSet::new();
        for ((collector, ..), bundle) in &self.bundles {
            if failed.contains(collector) {
                continue;
            }
            let outcome = take(self, bundle);
            if outcome.as_ref().is_err_and(|fault| !stands_aside(fault)) {
                failed.insert(collector);
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    fn take(&mut self, admitted: Admitted, dir: PathBuf) {
        let new = |admitted| Gathered { admitted, dirs: Vec::new(), approvals: Approvals::Here };
        self.bundles.entry(place(&admitted)).or_insert_with(|| new(admitted)).dirs.push(dir);
    }

    /// Leaves out what is for other sites, where a medium that goes round brings something for this one.
    fn pass_by(&mut self, here: &SiteName, reporter: &dyn Reporter) {
        let is_ours = |bundle: &Gathered| bundle.admitted.manifest.site == *here;
        if !self.bundles.values().any(is_ours) {
            return;
        }
        self.bundles.retain(|_, bundle| {
            if !is_ours(bundle) {
                let subject = bundle.admitted.dir.display().to_string();
                let text = format!("it is for site `{}` and was left alone", bundle.admitted.manifest.site);
                reporter.event(Report::Note { subject: &subject, text: &text });
            }
            is_ours(bundle)
        });
    }

    /// Says which signatures approve none of the bundles: they count for nothing.
    fn warn_of_strays(&self, reporter: &dyn Reporter) {
        for approval in &self.approvals {
            if !self.bundles.values().any(|bundle| approval.is_of(&bundle.admitted.bytes)) {
                let subject = approval.path.display().to_string();
                let text = "it approves none of the bundles that are given here, and counts for nothing";
                reporter.event(Report::Warning { subject: &subject, text });
            }
        }
    }
}

/// Tells whether what comes after a bundle in its stream may be tried though it failed: it was imported already, its signer is shut
/// out, or its epoch is over.
fn stands_aside(fault: &TransferError) -> bool {
    use crate::trust::TrustError::Revoked;
    use TransferError::{NotBack, Untrusted, WrongEpoch};
    matches!(fault, NotBack { .. } | WrongEpoch { .. } | Untrusted { source: Revoked { .. }, .. })
}

/// Judges every bundle at the given paths, and sorts what lies there.
///
/// New trust documents are recorded at once, whatever becomes of the bundle that brought them.
pub(super) fn gather(
    store: &Store,
    paths: &[PathBuf],
    at: Timestamp,
    reporter: &dyn Reporter,
) -> Result<Finding, TransferError> {
    let found = medium::find(paths)?;
    let mut finding =
        Finding { bundles: BTreeMap::new(), answered: Vec::new(), media: found.loose, approvals: Vec::new() };
    let only_loose = found.bundles.is_empty();
    for dir in found.bundles {
        match judged(store, &dir, at, reporter) {
            Ok(admitted) => finding.take(admitted, dir),
            // trust may have moved on since a bundle was imported; that it was stays so
            Err(fault) => finding.answered.push(match admit::imported(store, &dir)? {
                Some(known) => again::unbelieved(store, &known, fault),
                // from before a change of trust, and for somebody else: that is what its bearer has to know
                None => match admit::look_back(store, &dir) {
                    Ok(seen) if seen.admitted.manifest.site != *store.site() => {
                        finding.take(seen.admitted, dir);
                        continue;
                    }
                    _ => Err(fault),
                },
            }),
        }
    }
    finding.pass_by(store.site(), reporter);
    if only_loose {
        finding
            .bundles
            .extend(waiting(store)?.into_iter().map(|pending| (place(&pending.admitted), pending)));
    }
    if only_loose
        && finding.bundles.is_empty()
        && let Some(path) = finding.media.any()
    {
        return Err(TransferError::Loose { path: path.clone() });
    }
    if finding.answered.is_empty()
        && finding.bundles.is_empty()
        && let Some(path) = found.approvals.first()
    {
        return Err(TransferError::NoBundle { path: path.clone() });
    }
    let approvals = found.approvals.iter().map(|path| approval::read_loose(path));
    finding.approvals = approvals.collect::<Result<_, _>>()?;
    finding.warn_of_strays(reporter);
    Ok(finding)
}

fn judged(
    store: &Store,
    dir: &Path,
    at: Timestamp,
    reporter: &dyn Reporter,
) -> Result<Admitted, TransferError> {
    let judged = admit::judge(store, dir);
    accept(store, &judged.news, at)?;
    for part in &judged.copied {
        let subject = dir.display().to_string();
        let text = format!("`{part}` is damaged and was read from `copy/`");
        reporter.event(Report::Warning { subject: &subject, text: &text });
    }
    judged.verdict
}

/// Finds the bundles that were begun and wait for volumes; their manifests were believed then, and nothing was revoked since.
fn waiting(store: &Store) -> Result<Vec<Gathered>, TransferError> {
    let mut waiting = Vec::new();
    for row in store.catalog().pending()? {
        let Some((bytes, manifest)) = pending::manifest(store, &row)? else { continue };
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
