//! What a state changes, read from its own indexes and its base's (specification §7.1), and upstream's proof of it.
//!
//! An export writes this into the bundle; an import makes it anew from what it holds and compares, so that what was reviewed is
//! what comes. In the same walk the site's own policy is checked (docs/design.md §8): signatures against the site's keys, every
//! index and every package against the digest that the signed ones lead to. A collector that was deceived, or deceives, is found
//! out here.

pub(super) mod compare;
mod evidence;
mod files;

use std::io::{BufReader, Cursor};

use chantal_bundle::index::review::{ListedPackage, ReviewLine, encode_advisory};
use chantal_contract::{
    Digest, Format, FormatError, Group, Key, Kind, Line, Measured, Mode, Name, NoProof, Policy, RepoPath,
    State as _, Step, Want,
};
use sha2::{Digest as _, Sha256};

use self::files::{Files, Known};
use super::{
    TransferError,
    lines::{LineSorter, SortedLines},
};
use crate::{
    formats::{
        self,
        replay::{Held, check, replay},
    },
    store::{StateRef, Store, StoreError},
    trust::Proof,
};

/// Returns the site's own policy for a repository of a format; none where the collector's word is enough.
pub type Policies<'a> = dyn Fn(&Name, Kind) -> Option<&'a Proof> + 'a;

/// Sums the lines of a review, so that two can be compared.
#[derive(Default)]
pub(super) struct ReviewSum(Sha256);

impl ReviewSum {
    pub fn add(&mut self, line: &ReviewLine) {
        self.0.update(line.encode());
        self.0.update(b"\n");
    }

    pub fn finish(self) -> Digest {
        Digest::from_bytes(self.0.finalize().into())
    }
}

/// A repository's state, and the one that it follows.
#[derive(Clone, Copy)]
pub(super) struct Advance<'a> {
    pub repository: &'a Name,
    pub base: Option<&'a StateRef>,
    pub state: &'a StateRef,
}

/// Tells line by line what a state changes against its base; refuses a state that does not meet the site's policy.
pub(super) fn survey(
    store: &Store,
    step: Advance<'_>,
    policies: &Policies<'_>,
    tell: &mut dyn FnMut(&ReviewLine) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    let new = Walked::of(store, step.repository, step.state, policies)?;
    let same = |base: &&StateRef| base.manifest == step.state.manifest;
    // what the base meets was judged when it came
    let walk = |base| Walked::of(store, step.repository, base, &|_, _| None);
    let signers = compare::signers(store, step.base, step.state)?;
    if step.base.is_some_and(|base| same(&base)) {
        let packages = new.packages.count();
        tell(&ReviewLine::Begin { base: packages, packages })?;
        return signers.into_iter().try_for_each(|signer| tell(&ReviewLine::Signer(signer)));
    }
    let old = step.base.map(walk).transpose()?;
    let base = old.as_ref().map_or(0, |old| old.packages.count());
    tell(&ReviewLine::Begin { base, packages: new.packages.count() })?;
    signers.into_iter().try_for_each(|signer| tell(&ReviewLine::Signer(signer)))?;
    let (old_packages, old_rest) = old.map(|o| (o.packages, (o.files, o.advisories))).unzip();
    let (old_files, old_advisories) = old_rest.unzip();
    compare::packages(new.format.as_ref(), old_packages, new.packages, tell)?;
    compare::files(old_files, new.files, tell)?;
    compare::advisories(old_advisories, new.advisories, tell)
}

/// What the indexes of one state list.
struct Walked {
    format: Box<dyn Format>,
    packages: SortedLines,
    /// Files that belong to no package and are no index that was read.
    files: SortedLines,
    advisories: SortedLines,
}

impl Walked {
    fn of(
        store: &Store,
        repository: &Name,
        state: &StateRef,
        policies: &Policies<'_>,
    ) -> Result<Self, TransferError> {
        let holding = store.holding(state)?;
        let header = holding.snapshot().header();
        let proof = policies(repository, header.format)
            .filter(|p| p.metadata != Policy::Off || p.packages != Policy::Off);
        let refused = |source| {
            let (repository, source) = (repository.clone(), Box::new(source));
            match proof {
                Some(_) => TransferError::Policy { repository, source },
                None => TransferError::Unlisted { repository, source },
            }
        };
        let of_fault = |fault| match fault {
            Fault::Store(source) => TransferError::Store(source),
            Fault::Format(source) => refused(source),
        };
        let format = formats::from_header(header).map_err(refused)?;
        let files = Files::of::<Fault>(&holding).map_err(of_fault)?;
        evidence::expect::<Fault>(store, state, &files).map_err(of_fault)?;
        let listing = header.mode == Mode::Mirror;
        let mut walk = Walk {
            store,
            proof,
            format: format.as_ref(),
            files: &files,
            packages: LineSorter::new(&store.root().join("tmp")),
            advisories: LineSorter::new(&store.root().join("tmp")),
            listing,
            fault: None,
        };
        if listing || proof.is_some() {
            let mut open = |path: &RepoPath| {
                let found = holding.open(path)?;
                if listing {
                    files.note(path, Known::Told);
                }
                Ok(found.map(|(file, measured)| -> Held { (Box::new(file), measured) }))
            };
            let replayed = match proof {
                Some(proof) => {
                    replay::<Fault>(format.as_ref(), proof, &mut open, &mut |step| walk.take(step))
                }
                None => replay::<Fault>(format.as_ref(), &NoProof, &mut open, &mut |step| walk.take(step)),
            };
            if let Some(fault) = walk.fault.take() {
                return Err(fault);
            }
            replayed.map_err(of_fault)?;
        }
        if !listing {
            holding.snapshot().each_line::<TransferError>(&mut |line| match line {
                Line::Pkg { key, record, files } => {
                    format.expect_key(key, files).map_err(refused)?;
                    walk.listed(key, record, files)
                }
                _ => Ok(()),
            })?;
        }
        let (packages, advisories) = (walk.packages.finish()?, walk.advisories.finish()?);
        let mut rest = LineSorter::new(&store.root().join("tmp"));
        files.rest(holding.snapshot(), &mut rest)?;
        Ok(Self { format, packages, files: rest.finish()?, advisories })
    }
}

/// What went wrong while a state was walked.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// What an index lists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// It may carry a signature of its own.
    Package,
    /// An installer image, a file of a tree.
    Other,
}

struct Walk<'a> {
    store: &'a Store,
    proof: Option<&'a Proof>,
    format: &'a dyn Format,
    files: &'a Files,
    packages: LineSorter,
    advisories: LineSorter,
    /// Whether the packages are those that the indexes list, and not lines of the manifest.
    listing: bool,
    fault: Option<TransferError>,
}

impl Walk<'_> {
    fn take(&mut self, step: Step<'_>) -> Result<(), FormatError> {
        match step {
            Step::Package(package, _) => {
                for want in &package.files {
                    self.prove(want, What::Package)?;
                }
                if !self.listing {
                    return Ok(());
                }
                let mut line = PackageLine::new(package.group.stream, package.key);
                for want in &package.files {
                    line.add(&want.path, self.files.note(&want.path, Known::Told));
                }
                self.kept(|walk| walk.packages.push(&line.encode()))
            }
            Step::File(want) => {
                self.note(&want.path, Known::Listed);
                self.prove(&want, What::Other)
            }
            Step::Unread(path) => {
                self.note(&path, Known::Unread);
                Ok(())
            }
            Step::Alias { path, target } => {
                if self.listing {
                    self.files.alias(&path, &target);
                }
                Ok(())
            }
            Step::Advisory(advisory) => {
                let line = encode_advisory(&advisory);
                self.kept(|walk| walk.advisories.push(&line))
            }
            _ => Ok(()),
        }
    }

    /// Notes what an index says of a file; where packages are lines of the manifest, only those publish files.
    fn note(&self, path: &RepoPath, known: Known) {
        if self.listing {
            self.files.note(path, known);
        }
    }

    /// Adds a package that a line of the manifest lists.
    fn listed(&mut self, key: &Key, record: &Digest, files: &[RepoPath]) -> Result<(), TransferError> {
        let mut line = PackageLine::new(None, key.clone());
        line.record = Some(*record);
        for path in files {
            line.add(path, self.files.note(path, Known::Told));
        }
        self.packages.push(&line.encode())
    }

    /// Holds a file against what a proved index promises of it, and its own signature against the site's keys.
    fn prove(&mut self, want: &Want, what: What) -> Result<(), FormatError> {
        let Some(proof) = self.proof else { return Ok(()) };
        // upstream did not have it, and nor does the collector
        let Some(measured) = self.files.get(&want.path) else { return Ok(()) };
        let signed = what == What::Package && proof.packages != Policy::Off;
        if want.expect.sha256().is_some() && !signed {
            return check(want, measured, &mut Cursor::new([]));
        }
        let file = match self.store.pool().open(&measured.sha256) {
            Ok(file) => file,
            // a trial proved its bytes and did not keep them
            Err(StoreError::Missing { .. }) if self.is_promised(&measured) => {
                return match want.expect.sha256() {
                    Some(_) => check(want, measured, &mut Cursor::new([])),
                    None => Ok(()),
                };
            }
            Err(error) => return self.kept(|_| Err(error.into())),
        };
        let mut file = BufReader::with_capacity(1 << 16, file);
        check(want, measured, &mut file)?;
        if signed {
            self.format.vet(&want.path, &mut file, proof)?;
        }
        Ok(())
    }

    /// Tells whether a file that is not here is taken to be.
    fn is_promised(&self, measured: &Measured) -> bool {
        self.store.pool().has(&measured.sha256).is_ok_and(|size| size == Some(measured.size))
    }

    /// Puts a fault of our own aside, since a walk can pass on only its own kind.
    fn kept(&mut self, work: impl FnOnce(&mut Self) -> Result<(), TransferError>) -> Result<(), FormatError> {
        work(self).map_err(|fault| {
            self.fault = Some(fault);
            FormatError::Option { option: "survey".into(), why: "interrupted".into() }
        })
    }
}

/// The line of a package in the making.
struct PackageLine {
    stream: Option<String>,
    key: Key,
    record: Option<Digest>,
    files: Vec<(RepoPath, Option<Measured>)>,
}

impl PackageLine {
    fn new(stream: Option<String>, key: Key) -> Self {
        Self { stream, key, record: None, files: Vec::new() }
    }

    fn add(&mut self, path: &RepoPath, measured: Option<Measured>) {
        self.files.push((path.clone(), measured));
    }

    /// Writes the line: the digest of the only file, or else one of all that clients see of the package.
    fn encode(self) -> String {
        let Self { stream, key, record, files } = self;
        let there = || files.iter().filter_map(|(_, measured)| *measured);
        let size = there().fold(0_u64, |sum, measured| sum.saturating_add(measured.size));
        let sha256 = match (files.as_slice(), record) {
            ([(_, measured)], None) => measured.map(|m| m.sha256),
            _ if there().next().is_none() => None,
            _ => Some(whole(record, &files)),
        };
        let group = Group { name: key.name.clone(), stream };
        ListedPackage { group, key, sha256, size }.encode()
    }
}

/// Sums up a record and files: other bytes or another name of any of them give another digest.
fn whole(record: Option<Digest>, files: &[(RepoPath, Option<Measured>)]) -> Digest {
    let mut hash = Sha256::new();
    let mut line = |text: String| hash.update(text + "\n");
    if let Some(record) = record {
        line(record.hex());
    }
    for (path, measured) in files {
        line(match measured {
            Some(Measured { sha256, size }) => format!("{path}\t{sha256}\t{size}"),
            None => format!("{path}\t-\t-"),
        });
    }
    Digest::from_bytes(hash.finalize().into())
}

#[cfg(test)]
mod tests;
