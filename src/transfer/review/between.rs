//! What differs between what two bundles bring, by what they say of themselves.
//!
//! Of each repository the newest states are compared. That can be told where both bundles start from the same state, or from
//! nothing, or one from what the other brings; otherwise it is said that it cannot.

use std::{
    collections::BTreeMap,
    io::{BufReader, Seek as _},
    num::NonZeroU32,
    path::Path,
};

use chantal_bundle::{
    Manifest,
    index::{
        self, Item, ReviewLine,
        review::{Side, Signer, SignerKind, group_of},
    },
    manifest::CarriedState,
};
use chantal_contract::{Digest, Fingerprint, Format, Header, Name};

use super::{Open, Work, check, remember};
use crate::{
    formats,
    report::{
        Event as Report, Reporter,
        review::{Review, Unusual},
    },
    store::Store,
    transfer::{
        TransferError, admit,
        inspect::copy_index,
        lines::{LineSorter, SortedLines},
        medium,
        survey::compare::Group,
    },
};

/// Compares two bundles, both of which must be believed here.
///
/// One from before a change of trust is compared as well, and said to be.
pub fn between(
    store: &Store,
    old: &Path,
    new: &Path,
    reporter: &dyn Reporter,
) -> Result<Review, TransferError> {
    let (a, b) = (Bundle::read(store, old, reporter)?, Bundle::read(store, new, reporter)?);
    let (old_name, bundle) = (a.manifest.name()?, b.manifest.name()?);
    let mut work = Work::new(&b.manifest, &bundle);
    work.review.compared = Some(old_name.to_string());
    let mut a_chains = a.chains;
    for (repository, to) in b.chains {
        let Some(from) = a_chains.remove(&repository) else {
            let (repository, bundle) = (repository.to_string(), bundle.to_string());
            remember(&mut work.chosen, Unusual::OnlyIn { repository, bundle });
            continue;
        };
        work.pair(&repository, from, to)?;
    }
    for repository in a_chains.into_keys() {
        let (repository, bundle) = (repository.to_string(), old_name.to_string());
        remember(&mut work.chosen, Unusual::OnlyIn { repository, bundle });
    }
    let mut review = work.end();
    // what comes with the bundle alone says nothing of the difference
    review.unusual.retain(|u| !matches!(u, Unusual::NewRepository { .. } | Unusual::FileReplaced { .. }));
    Ok(review)
}

/// A bundle, read for its packages.
struct Bundle {
    manifest: Manifest,
    chains: BTreeMap<Name, Chain>,
}

/// The newest state of a repository, and the changes that lead to it from what the bundle starts from.
struct Chain {
    newest: CarriedState,
    /// The manifests that the changes lead through, the newest first.
    through: Vec<Digest>,
    /// What they start from; none where it is nothing.
    base: Option<Digest>,
    header: Option<Header>,
    lines: LineSorter,
    signers: Vec<Signer>,
    packages: u64,
}

impl Bundle {
    fn read(store: &Store, path: &Path, reporter: &dyn Reporter) -> Result<Self, TransferError> {
        let dir = &medium::only_bundle(path)?;
        let admit::Seen { admitted, document, newest, .. } = admit::look_back(store, dir)?;
        if let Some(newest) = newest {
            let (subject, text) =
                (dir.display().to_string(), admit::of_older_trust(document.version, newest));
            reporter.event(Report::Note { subject: &subject, text: &text });
        }
        let manifest = admitted.manifest;
        let bundle = manifest.name()?;
        let mut file = copy_index(store, std::slice::from_ref(dir), &bundle, manifest.index)?;
        let io = |e| TransferError::io(dir, e);
        file.rewind().map_err(io)?;
        check(&manifest, BufReader::new(file.try_clone().map_err(io)?))?;
        file.rewind().map_err(io)?;
        let mut chains: BTreeMap<Name, Chain> = BTreeMap::new();
        for state in manifest.states.iter().filter(|state| manifest.is_newest(state)) {
            chains.insert(state.repository.clone(), Chain::new(store, &manifest, state));
        }
        let fault = |source| TransferError::Index { bundle: bundle.clone(), source };
        let cell = NonZeroU32::new(manifest.cell).unwrap_or(NonZeroU32::MIN);
        let mut index =
            index::Reader::new(BufReader::new(file), manifest.index.open_size, cell).map_err(fault)?;
        let mut at: Option<(Name, Digest)> = None;
        let mut evidence = false;
        while let Some(item) = index.next_item().map_err(fault)? {
            match item {
                Item::State { repository, manifest, .. } => {
                    at = Some((repository.clone(), manifest));
                    evidence = false;
                }
                Item::Evidence { .. } => evidence = true,
                Item::First(line) if !evidence => {
                    if let Some((chain, step)) = step(&mut chains, at.as_ref())
                        && step == 0
                    {
                        chain.header = Header::parse_first_line(line).ok();
                    }
                }
                Item::Review(line) => {
                    if let Some((chain, step)) = step(&mut chains, at.as_ref()) {
                        chain.take(step, line)?;
                    }
                }
                Item::Record { .. } | Item::Volume(_) | Item::End(_) => break,
                _ => {}
            }
        }
        Ok(Self { manifest, chains })
    }
}

/// Finds the chain that a state is part of, and its place there: 0 for the newest.
fn step<'a>(
    chains: &'a mut BTreeMap<Name, Chain>,
    at: Option<&(Name, Digest)>,
) -> Option<(&'a mut Chain, usize)> {
    let (repository, manifest) = at?;
    let chain = chains.get_mut(repository)?;
    let step = chain.through.iter().position(|m| m == manifest)?;
    Some((chain, step))
}

impl Chain {
    fn new(store: &Store, manifest: &Manifest, newest: &CarriedState) -> Self {
        let mut through = vec![newest.manifest];
        let mut base = newest.base;
        while let Some(from) = base
            && !through.contains(&from)
            && let Some(state) =
                manifest.states.iter().find(|s| s.repository == newest.repository && s.manifest == from)
        {
            through.push(from);
            base = state.base;
        }
        let lines = LineSorter::new(&store.root().join("tmp"));
        let newest = newest.clone();
        Self { newest, through, base, header: None, lines, signers: Vec::new(), packages: 0 }
    }

    fn take(&mut self, step: usize, line: &ReviewLine) -> Result<(), TransferError> {
        match line {
            ReviewLine::Begin { packages, .. } if step == 0 => self.packages = *packages,
            ReviewLine::Signer(signer) if step == 0 => self.signers.push(signer.clone()),
            ReviewLine::Package(side, package) => {
                // a byte that no line holds, below all that they hold: what is said of one package stays together
                self.lines.push(&format!("{}\u{1}{step:04}{}", package.encode(), side.mark()))?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// How much of a chain counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// Its changes are what differs.
    All,
    /// The other one starts from where it ends.
    Nothing,
}

/// What a bundle says of one package: what its changes amount to, and whether it is said to stay.
#[derive(Clone, Copy, Default)]
struct Net {
    sum: i32,
    stays: bool,
}

/// Reads what a bundle says of packages, one after the other.
struct Nets(SortedLines);

impl Nets {
    fn current(&self) -> Option<&str> {
        self.0.current().map(|line| line.split('\u{1}').next().unwrap_or(line))
    }

    /// Takes all that is said of a package.
    fn take(&mut self, package: &str) -> Result<Net, TransferError> {
        let mut net = Net::default();
        while self.current() == Some(package) {
            match self.0.current().and_then(|line| line.chars().last()) {
                Some('+') => net.sum += 1,
                Some('-') => net.sum -= 1,
                _ => net.stays = true,
            }
            self.0.advance()?;
        }
        Ok(net)
    }
}

impl Work<'_> {
    /// Compares the newest states of a repository.
    fn pair(&mut self, repository: &Name, from: Chain, to: Chain) -> Result<(), TransferError> {
        let (ours, theirs) = if from.newest.manifest == to.newest.manifest {
            (Counts::Nothing, Counts::Nothing)
        } else if from.base == to.base {
            (Counts::All, Counts::All)
        } else if to.base == Some(from.newest.manifest) {
            (Counts::Nothing, Counts::All)
        } else if from.base == Some(to.newest.manifest) {
            (Counts::All, Counts::Nothing)
        } else {
            let repository = repository.to_string();
            remember(&mut self.chosen, Unusual::Incomparable { repository });
            return Ok(());
        };
        let mut open = Open::new(&to.newest, true);
        open.state.incremental = true;
        open.format = to.header.as_ref().and_then(|header| formats::from_header(header).ok());
        self.open = Some(open);
        let (base, packages) = (from.packages, to.packages);
        self.line(&ReviewLine::Begin { base, packages })?;
        for signer in signers(&from.signers, &to.signers) {
            self.line(&ReviewLine::Signer(signer))?;
        }
        let Some(format) = to.header.as_ref().and_then(|header| formats::from_header(header).ok()) else {
            return Err(TransferError::Unwritten { why: "the first line of a state is none" });
        };
        let (old, new) = (Nets(from.lines.finish()?), Nets(to.lines.finish()?));
        self.nets(format.as_ref(), (old, ours), (new, theirs))?;
        self.close();
        Ok(())
    }

    fn nets(
        &mut self,
        format: &dyn Format,
        (mut old, ours): (Nets, Counts),
        (mut new, theirs): (Nets, Counts),
    ) -> Result<(), TransferError> {
        let mut group = Group::default();
        while let Some(package) =
            [old.current(), new.current()].into_iter().flatten().min().map(str::to_owned)
        {
            let of = |counts, net: Net| if counts == Counts::All { net } else { Net::default() };
            let before = of(ours, old.take(&package)?);
            let after = of(theirs, new.take(&package)?);
            if group.is_other(group_of(&package)) {
                group.end(group_of(&package), &mut |line| self.line(line))?;
            }
            let both = before.sum == 1 && after.sum == 1;
            match after.sum - before.sum {
                0 if both || before.sum == 0 && after.sum == 0 && (before.stays || after.stays) => {
                    group.keep(format, &package)?;
                }
                0 => {}
                difference => {
                    let side = if difference > 0 { Side::New } else { Side::Base };
                    group.change(side, &package, &mut |line| self.line(line))?;
                }
            }
        }
        group.end("", &mut |line| self.line(line))
    }
}

/// Tells which keys two states have, by which side.
fn signers(old: &[Signer], new: &[Signer]) -> Vec<Signer> {
    let mut found: BTreeMap<(SignerKind, Fingerprint), Side> = BTreeMap::new();
    for (signers, side) in [(old, Side::Base), (new, Side::New)] {
        for signer in signers.iter().filter(|s| s.side != Side::Base) {
            let key = (signer.kind, signer.key.clone());
            let both = found.contains_key(&key);
            found.insert(key, if both { Side::Both } else { side });
        }
    }
    found.into_iter().map(|((kind, key), side)| Signer { kind, key, side }).collect()
}
