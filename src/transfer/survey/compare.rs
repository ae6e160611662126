//! Holds what two states list against each other, in memory that does not grow with them.

use std::{cmp::Ordering, collections::BTreeMap};

use chantal_bundle::index::review::{
    ListedFile, ListedPackage, ReviewLine, Side, Signer, SignerKind, group_of, parse_advisory,
};
use chantal_contract::{Digest, Fingerprint, Format, Version};

use crate::{
    store::{Evidence, StateRef, Store, evidence::Item},
    transfer::{TransferError, content::EVIDENCE_BYTES, lines::SortedLines},
};

type Tell<'a> = &'a mut dyn FnMut(&ReviewLine) -> Result<(), TransferError>;

/// Visits the lines of two lists in order, each with the side that has it.
fn merge(
    mut old: Option<SortedLines>,
    mut new: SortedLines,
    visit: &mut dyn FnMut(Side, &str) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    loop {
        let before = old.as_ref().and_then(SortedLines::current);
        let order = match (before, new.current()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.cmp(b),
        };
        match (order, before, new.current()) {
            (Ordering::Less, Some(line), _) => visit(Side::Base, line)?,
            (Ordering::Greater, _, Some(line)) => visit(Side::New, line)?,
            (_, _, Some(line)) => visit(Side::Both, line)?,
            _ => {}
        }
        if order != Ordering::Greater
            && let Some(old) = &mut old
        {
            old.advance()?;
        }
        if order != Ordering::Less {
            new.advance()?;
        }
    }
}

/// A group of packages, as far as its lines were seen.
#[derive(Default)]
pub(in crate::transfer) struct Group {
    name: String,
    /// Whether one side has a package that the other has not.
    changed: bool,
    /// The first package that both sides have, while there is no second one.
    only: String,
    /// The newest package that both sides have, of each architecture that the format keeps apart.
    kept: BTreeMap<String, ListedPackage>,
}

/// Architectures of one package; no repository has so many.
const ARCHITECTURES: usize = 4096;

impl Group {
    /// Tells whether a package's group is another than this.
    pub fn is_other(&self, group: &str) -> bool {
        self.name != group
    }

    /// Tells a package that only one side has.
    pub fn change(&mut self, side: Side, line: &str, tell: Tell<'_>) -> Result<(), TransferError> {
        self.changed = true;
        tell(&ReviewLine::Package(side, parse(line)?))
    }

    /// Takes a package that both sides have.
    pub fn keep(&mut self, format: &dyn Format, line: &str) -> Result<(), TransferError> {
        // most groups have one package, of which nothing has to be known
        if self.only.is_empty() && self.kept.is_empty() {
            line.clone_into(&mut self.only);
            return Ok(());
        }
        if !self.only.is_empty() {
            let only = std::mem::take(&mut self.only);
            self.weigh(format, parse(&only)?)?;
        }
        self.weigh(format, parse(line)?)
    }

    /// Keeps a package if it is the newest of its architecture so far.
    fn weigh(&mut self, format: &dyn Format, package: ListedPackage) -> Result<(), TransferError> {
        let track = format.kind().track(&package.key.architecture);
        let version = |package: &ListedPackage| Version(package.key.version.clone());
        if let Some(kept) = self.kept.get_mut(track) {
            // of equal versions the line that comes last
            if format.compare(&version(kept), &version(&package)) != Ordering::Greater {
                *kept = package;
            }
            return Ok(());
        }
        if self.kept.len() == ARCHITECTURES {
            return Err(TransferError::Unwritten { why: "a package has too many architectures" });
        }
        self.kept.insert(track.to_owned(), package);
        Ok(())
    }

    /// Ends the group before the next one begins: tells the newest that both sides have, where something changed.
    pub fn end(&mut self, next: &str, tell: Tell<'_>) -> Result<(), TransferError> {
        let mut kept: Vec<ListedPackage> = std::mem::take(&mut self.kept).into_values().collect();
        let only = std::mem::take(&mut self.only);
        if self.changed {
            if !only.is_empty() {
                kept.push(parse(&only)?);
            }
            kept.sort_by_cached_key(ListedPackage::encode);
            kept.into_iter().try_for_each(|package| tell(&ReviewLine::Package(Side::Both, package)))?;
        }
        self.changed = false;
        next.clone_into(&mut self.name);
        Ok(())
    }
}

fn parse(line: &str) -> Result<ListedPackage, TransferError> {
    ListedPackage::parse(line).map_err(|why| TransferError::Unwritten { why })
}

/// Tells the packages that only one side has, and of each group of such the newest that both have of each architecture.
pub(super) fn packages(
    format: &dyn Format,
    old: Option<SortedLines>,
    new: SortedLines,
    tell: Tell<'_>,
) -> Result<(), TransferError> {
    let mut group = Group::default();
    merge(old, new, &mut |side, line| {
        if group.is_other(group_of(line)) {
            group.end(group_of(line), tell)?;
        }
        if side == Side::Both {
            return group.keep(format, line);
        }
        group.change(side, line, tell)
    })?;
    group.end("", tell)
}

/// Tells the files of no package that only one side has with these bytes.
pub(super) fn files(old: Option<SortedLines>, new: SortedLines, tell: Tell<'_>) -> Result<(), TransferError> {
    merge(old, new, &mut |side, line| {
        if side == Side::Both {
            return Ok(());
        }
        let file = ListedFile::parse(line).map_err(|why| TransferError::Unwritten { why })?;
        tell(&ReviewLine::File(side, file))
    })
}

/// Tells the advisories that only the new side has.
pub(super) fn advisories(
    old: Option<SortedLines>,
    new: SortedLines,
    tell: Tell<'_>,
) -> Result<(), TransferError> {
    merge(old, new, &mut |side, line| {
        if side != Side::New {
            return Ok(());
        }
        let advisory = parse_advisory(line).map_err(|why| TransferError::Unwritten { why })?;
        tell(&ReviewLine::Advisory(advisory))
    })
}

/// Returns the keys of upstream that the evidence of either side names, rising.
pub(super) fn signers(
    store: &Store,
    base: Option<&StateRef>,
    state: &StateRef,
) -> Result<Vec<Signer>, TransferError> {
    let mut found: BTreeMap<(SignerKind, Fingerprint), Side> = BTreeMap::new();
    for (list, side) in [(base.and_then(|b| b.evidence), Side::Base), (state.evidence, Side::New)] {
        for key in keys(store, list)? {
            found
                .entry(key)
                .and_modify(|there| {
                    if *there != side {
                        *there = Side::Both;
                    }
                })
                .or_insert(side);
        }
    }
    Ok(found.into_iter().map(|((kind, key), side)| Signer { kind, key, side }).collect())
}

fn keys(store: &Store, list: Option<Digest>) -> Result<Vec<(SignerKind, Fingerprint)>, TransferError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let evidence = Evidence::parse(&store.pool().read(&list, EVIDENCE_BYTES)?)?;
    let packages = evidence.items().any(|item| matches!(item, Item::Packages));
    let mut keys = Vec::new();
    for item in evidence.items() {
        match item {
            Item::Key { fingerprint, .. } => {
                keys.push((SignerKind::Key, fingerprint.clone()));
                if packages {
                    keys.push((SignerKind::Packages, fingerprint.clone()));
                }
            }
            Item::Signed { by, .. } => keys.push((SignerKind::Signed, by.clone())),
            Item::Packages | Item::Page { .. } => {}
        }
    }
    Ok(keys)
}
