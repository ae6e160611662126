//! What a state changes, read from its own indexes and its base's (specification §7.1), and upstream's proof of it.
//!
//! An export writes this into the bundle; an import makes it anew from what it holds and compares, so that what was reviewed is
//! what comes. In the same walk the site's own policy is checked (docs/design.md §8): signatures against the site's keys, every
//! index and every package against the digest that the signed ones lead to. A collector that was deceived, or deceives, is found
//! out here.

pub(super) mod compare;

use std::{
    collections::HashMap,
    io::{BufReader, Cursor},
};

use chantal_bundle::index::review::{ListedPackage, ReviewLine, encode_advisory};
use chantal_contract::{
    Digest, Entry, Format, FormatError, Group, Key, Kind, Line, Measured, Mode, Name, NoProof, Policy,
    RepoPath, State as _, Step, Want,
};
use sha2::{Digest as _, Sha256};

use super::{
    TransferError,
    lines::{LineSorter, SortedLines},
};
use crate::{
    formats::{
        self,
        replay::{Held, check, replay},
    },
    store::{Holding, StateRef, Store, StoreError},
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
    let (old_packages, old_advisories) = old.map(|o| (o.packages, o.advisories)).unzip();
    compare::packages(new.format.as_ref(), old_packages, new.packages, tell)?;
    compare::advisories(old_advisories, new.advisories, tell)
}

/// What the indexes of one state list.
struct Walked {
    format: Box<dyn Format>,
    packages: SortedLines,
    advisories: SortedLines,
}

/// Files by the beginning of the SHA-256 of their path: of a million packages no more than memory should hold.
type Files = HashMap<[u8; 16], Measured>;

fn short(path: &RepoPath) -> [u8; 16] {
    let digest = Digest::of(path.as_str().as_bytes());
    let (head, _) = digest.as_bytes().split_at(16);
    head.try_into().unwrap_or_default()
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
        let format = formats::from_header(header).map_err(refused)?;
        let mut walk = Walk {
            store,
            proof,
            format: format.as_ref(),
            files: payloads(&holding)?,
            packages: LineSorter::new(&store.root().join("tmp")),
            advisories: LineSorter::new(&store.root().join("tmp")),
            listing: header.mode == Mode::Mirror,
            fault: None,
        };
        if walk.listing || proof.is_some() {
            let mut open = |path: &RepoPath| {
                let found = holding.open(path)?;
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
            replayed.map_err(|fault| match fault {
                Fault::Store(source) => TransferError::Store(source),
                Fault::Format(source) => refused(source),
            })?;
        }
        if !walk.listing {
            holding.snapshot().each_line::<TransferError>(&mut |line| match line {
                Line::Pkg { key, files, .. } => walk.listed(key, files),
                _ => Ok(()),
            })?;
        }
        let (packages, advisories) = (walk.packages.finish()?, walk.advisories.finish()?);
        Ok(Self { format, packages, advisories })
    }
}

fn payloads(holding: &Holding<'_>) -> Result<Files, StoreError> {
    let mut files = Files::new();
    holding.snapshot().each_line::<StoreError>(&mut |line| {
        if let Line::File { path, entry: Entry::Present { measured, .. } } = line {
            files.insert(short(path), *measured);
        }
        Ok(())
    })?;
    Ok(files)
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
    files: Files,
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
                let held = package.files.iter().map(|want| self.files.get(&short(&want.path)));
                let line = line(package.group, package.key, held);
                if self.listing { self.kept(|walk| walk.packages.push(&line)) } else { Ok(()) }
            }
            Step::File(want) => self.prove(&want, What::Other),
            Step::Advisory(advisory) => {
                let line = encode_advisory(&advisory);
                self.kept(|walk| walk.advisories.push(&line))
            }
            _ => Ok(()),
        }
    }

    /// Adds a package that a line of the manifest lists.
    fn listed(&mut self, key: &Key, files: &[RepoPath]) -> Result<(), TransferError> {
        let name = match self.format.kind() {
            Kind::Apt => format!("{}:{}", key.name, key.architecture),
            Kind::Rpm => format!("{}.{}", key.name, key.architecture),
            Kind::Pypi | Kind::Helm | Kind::Apk => key.name.clone(),
        };
        let held = files.iter().map(|path| self.files.get(&short(path)));
        let line = line(Group { name, stream: None }, key.clone(), held);
        self.packages.push(&line)
    }

    /// Holds a file against what a proved index promises of it, and its own signature against the site's keys.
    fn prove(&mut self, want: &Want, what: What) -> Result<(), FormatError> {
        let Some(proof) = self.proof else { return Ok(()) };
        // upstream did not have it, and nor does the collector
        let Some(measured) = self.files.get(&short(&want.path)).copied() else { return Ok(()) };
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

/// Writes a package: the digest of its first file that is there, and the bytes of all.
fn line<'a>(group: Group, key: Key, held: impl Iterator<Item = Option<&'a Measured>>) -> String {
    let (mut sha256, mut size) = (None, 0_u64);
    for measured in held.flatten() {
        sha256 = sha256.or(Some(measured.sha256));
        size = size.saturating_add(measured.size);
    }
    ListedPackage { group, key, sha256, size }.encode()
}

#[cfg(test)]
mod tests;
