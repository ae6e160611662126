//! Holds what two states list against each other, in memory that does not grow with them.

use std::{cmp::Ordering, collections::BTreeMap};

use chantal_bundle::index::review::{
    ListedPackage, ReviewLine, Side, Signer, SignerKind, group_of, parse_advisory,
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
    /// The newest package that both sides have; empty while there is none.
    kept: String,
}

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
        let newer = self.kept.is_empty() || {
            let order = format.compare(&version(&self.kept)?, &version(line)?);
            // of equal versions the line that comes last
            order != Ordering::Greater
        };
        if newer {
            line.clone_into(&mut self.kept);
        }
        Ok(())
    }

    /// Ends the group before the next one begins: tells the newest that both sides have, where something changed.
    pub fn end(&mut self, next: &str, tell: Tell<'_>) -> Result<(), TransferError> {
        if self.changed && !self.kept.is_empty() {
            tell(&ReviewLine::Package(Side::Both, parse(&self.kept)?))?;
        }
        self.changed = false;
        self.kept.clear();
        next.clone_into(&mut self.name);
        Ok(())
    }
}

fn parse(line: &str) -> Result<ListedPackage, TransferError> {
    ListedPackage::parse(line).map_err(|why| TransferError::Unwritten { why })
}

fn version(line: &str) -> Result<Version, TransferError> {
    Ok(Version(parse(line)?.key.version))
}

/// Tells the packages that only one side has, and of each group of such the newest that both have.
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
