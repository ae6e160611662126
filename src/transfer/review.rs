//! Makes the review of a bundle from its manifest and index, and nothing else (specification §9.1).

mod between;
mod files;
mod grave;
mod group;
mod moved;
mod signers;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
    num::NonZeroU32,
};

use chantal_bundle::{
    BundleName, Manifest,
    index::{self, Item, ReviewLine, review::Signer},
    manifest::{CarriedState, ReviewFiles, SmallFile},
};
use chantal_contract::{Digest, Format, Header};

pub use between::between;
pub(super) use grave::{Mark, graves};

use self::{
    files::Files,
    group::Group,
    moved::Moves,
    signers::{keys, of_signers, proven},
};
use super::{ExportError, TransferError};
use crate::{
    formats,
    report::review::{
        ADVISORIES, ADVISORY_BYTES, AdvisoryRow, CHANGE_BYTES, CHANGES, Change, LARGEST, Large, Review,
        StateReview, UNUSUAL, UNUSUAL_BYTES, Unusual, VERSION, What, page,
        turns::{Lot, Turns},
    },
};

/// A review, and the files that it becomes.
pub(super) struct Reviewed {
    pub json: Vec<u8>,
    pub html: Vec<u8>,
}

impl Reviewed {
    /// Makes the files of a review.
    pub fn new(review: &Review) -> Result<Self, TransferError> {
        let json = review
            .json()
            .map_err(|e| TransferError::Export(ExportError::Unreviewed { source: io::Error::other(e) }))?;
        let html = page::render(review)
            .map_err(|e| TransferError::Export(ExportError::Unreviewed { source: io::Error::other(e) }))?;
        Ok(Self { json, html })
    }

    /// Returns what the manifest says of them.
    pub fn files(&self) -> ReviewFiles {
        let file = |bytes: &[u8]| SmallFile { size: bytes.len() as u64, sha256: Digest::of(bytes) };
        ReviewFiles { page: page::VERSION, json: file(&self.json), html: file(&self.html) }
    }
}

/// Makes the review of a bundle whose index `input` holds, decompressed to `open_size` bytes.
pub(super) fn make<R: BufRead>(
    manifest: &Manifest,
    input: R,
    open_size: u64,
) -> Result<Review, TransferError> {
    let bundle = manifest.name()?;
    let fault = |source| TransferError::Index { bundle: bundle.clone(), source };
    let cell = NonZeroU32::new(manifest.cell).unwrap_or(NonZeroU32::MIN);
    let mut index = index::Reader::new(input, open_size, cell).map_err(fault)?;
    let mut work = Work::new(manifest, &bundle);
    while let Some(item) = index.next_item().map_err(fault)? {
        // what follows says nothing of packages
        if matches!(item, Item::Record { .. } | Item::Volume(_) | Item::End(_)) {
            break;
        }
        work.item(item)?;
    }
    work.finish()
}

/// Says so where a bundle's page is of a version that this program does not draw: its digest is all that is known of it.
pub(super) fn strange_page(manifest: &Manifest) -> Option<String> {
    (manifest.review.page != page::VERSION).then(|| {
        format!(
            "its page is of version {}, which this program does not draw: nothing proves that it shows what the bundle changes; \
             `chantal bundle approve` shows that, and draws a page with `--html`",
            manifest.review.page
        )
    })
}

/// Makes the review of an admitted bundle anew and holds what its manifest says of it against that.
///
/// A page of another version than this program draws is believed by its digest, and not compared: [`strange_page`] says so.
pub(super) fn check(manifest: &Manifest, index: BufReader<File>) -> Result<Review, TransferError> {
    let review = make(manifest, index, manifest.index.open_size)?;
    let made = Reviewed::new(&review)?;
    let bundle = manifest.name()?;
    let other = |file| TransferError::OtherReview { bundle: bundle.clone(), file };
    let (signed, ours) = (manifest.review, made.files());
    if signed.json != ours.json {
        return Err(other(chantal_bundle::manifest::REVIEW_JSON));
    }
    if signed.page == ours.page && signed.html != ours.html {
        return Err(other(chantal_bundle::manifest::REVIEW_HTML));
    }
    Ok(review)
}

/// What of many things a review names, all states together.
struct Chosen {
    unusual: Turns<String, Unusual>,
    /// Changes by state, each with its place among those that came.
    changes: Turns<usize, (u64, Change)>,
    came: u64,
    /// Advisories for which there is room, and bytes of their text.
    advisories: (usize, usize),
}

impl Chosen {
    fn new() -> Self {
        Self {
            unusual: Turns::new(UNUSUAL, UNUSUAL_BYTES),
            changes: Turns::new(CHANGES, CHANGE_BYTES),
            came: 0,
            advisories: (ADVISORIES, ADVISORY_BYTES),
        }
    }

    fn change(&mut self, state: usize, change: Change) {
        let text = change.name.len()
            + change.architecture.len()
            + [&change.old, &change.new].into_iter().flatten().map(String::len).sum::<usize>();
        self.changes.push(change.lot(state), text, (self.came, change));
        self.came += 1;
    }

    /// Writes into a review what it names, and how much it does not.
    fn fill(self, review: &mut Review) {
        for (_, unusual, omitted) in self.unusual.finish() {
            review.unusual.extend(unusual);
            review.unusual_omitted += omitted;
        }
        review.unusual.sort_by_cached_key(|unusual| (!unusual.is_grave(), unusual.clone()));
        let mut changes: BTreeMap<usize, Vec<(u64, Change)>> = BTreeMap::new();
        for (lot, some, omitted) in self.changes.finish() {
            changes.entry(lot.place).or_default().extend(some);
            if let Some(state) = review.states.get_mut(lot.place) {
                state.changes_omitted += omitted;
            }
        }
        for (state, mut some) in changes {
            some.sort_by_key(|(came, _)| *came);
            if let Some(state) = review.states.get_mut(state) {
                state.changes = some.into_iter().map(|(_, change)| change).collect();
            }
        }
    }
}

struct Work<'a> {
    manifest: &'a Manifest,
    review: Review,
    states: std::slice::Iter<'a, CarriedState>,
    open: Option<Open>,
    chosen: Chosen,
    largest: Vec<Large>,
    moves: Moves,
}

/// A state whose lines are being read.
struct Open {
    state: StateReview,
    format: Option<Box<dyn Format>>,
    evidence: bool,
    signers: Vec<Signer>,
    group: Group,
    files: Files,
}

impl Open {
    fn new(state: &CarriedState, current: bool) -> Self {
        let state = StateReview {
            repository: state.repository.to_string(),
            format: state.format.name().into(),
            mode: state.mode.name().into(),
            names: state.names.iter().map(ToString::to_string).collect(),
            current,
            incremental: state.base.is_some(),
            date: state.date.map(|at| at.to_string()),
            valid_until: state.valid_until.map(|at| at.to_string()),
            ..StateReview::default()
        };
        Self {
            state,
            format: None,
            evidence: false,
            signers: Vec::new(),
            group: Group::default(),
            files: Files::default(),
        }
    }
}

impl<'a> Work<'a> {
    fn new(manifest: &'a Manifest, bundle: &BundleName) -> Self {
        let review = Review {
            version: VERSION,
            bundle: bundle.to_string(),
            collector: manifest.collector.to_string(),
            site: manifest.site.to_string(),
            created: manifest.created.to_string(),
            delivery: manifest.delivery.name().into(),
            blobs: manifest.counts.blobs,
            bytes: manifest.counts.bytes,
            ..Review::default()
        };
        Self {
            manifest,
            review,
            states: manifest.states.iter(),
            open: None,
            chosen: Chosen::new(),
            largest: Vec::new(),
            moves: Moves::default(),
        }
    }

    fn item(&mut self, item: Item<'_>) -> Result<(), TransferError> {
        match item {
            Item::State { repository, manifest, base } => {
                self.close();
                let next = self.states.next();
                let agrees =
                    |s: &&CarriedState| (&s.repository, s.manifest, s.base) == (repository, manifest, base);
                let Some(state) = next.filter(agrees) else {
                    let bundle = self.manifest.name()?;
                    return Err(TransferError::Contradiction { bundle, what: "the states" });
                };
                self.open = Some(Open::new(state, self.manifest.is_newest(state)));
                Ok(())
            }
            Item::Evidence { .. } => {
                if let Some(open) = &mut self.open {
                    open.evidence = true;
                }
                Ok(())
            }
            Item::First(line) => self.first(line),
            Item::Removed(line) => {
                self.edit(false, line);
                Ok(())
            }
            Item::Added(line) => {
                self.edit(true, line);
                Ok(())
            }
            Item::Review(line) => self.line(line),
            _ => Ok(()),
        }
    }

    fn first(&mut self, line: &str) -> Result<(), TransferError> {
        let bundle = self.manifest.name()?;
        let Some(open) = self.open.as_mut().filter(|open| !open.evidence) else { return Ok(()) };
        let repository = || open.state.repository.parse().ok();
        let unlisted = |source| match repository() {
            Some(repository) => TransferError::Unlisted { repository, source: Box::new(source) },
            None => TransferError::Unwritten { why: "a repository's name is none" },
        };
        let contradiction = |what| TransferError::Contradiction { bundle: bundle.clone(), what };
        let header =
            Header::parse_first_line(line).map_err(|_| contradiction("the first line of a state"))?;
        let told = (open.state.format.as_str(), open.state.mode.as_str());
        if (header.format.name(), header.mode.name()) != told {
            return Err(contradiction("format or mode of a state"));
        }
        open.format = Some(formats::from_header(&header).map_err(unlisted)?);
        Ok(())
    }

    fn edit(&mut self, added: bool, line: &str) {
        if let Some(open) = self.open.as_mut().filter(|open| !open.evidence) {
            open.files.edit(&mut open.state, added, line);
        }
    }

    fn line(&mut self, line: &ReviewLine) -> Result<(), TransferError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        match line {
            ReviewLine::Begin { base, packages } => {
                (open.state.packages_before, open.state.packages) = (*base, *packages);
                Ok(())
            }
            ReviewLine::Signer(signer) => {
                open.signers.push(signer.clone());
                Ok(())
            }
            ReviewLine::Package(side, package) => {
                if open.group.is_other(&package.group) {
                    self.end_group();
                }
                let Some(open) = &mut self.open else { return Ok(()) };
                if open.group.take(*side, package) {
                    return Ok(());
                }
                let (bundle, repository) = (self.manifest.name()?, open.state.repository.clone());
                Err(TransferError::LargeGroup { bundle, repository })
            }
            ReviewLine::File(side, file) => {
                open.files.listed(&mut open.state, *side, file);
                Ok(())
            }
            ReviewLine::Advisory(advisory) => {
                let text =
                    advisory.title.len() + advisory.references.iter().map(|r| r.len() + 16).sum::<usize>();
                let (count, room) = &mut self.chosen.advisories;
                if *count == 0 || *room < text {
                    open.state.advisories_omitted += 1;
                    return Ok(());
                }
                *count -= 1;
                *room -= text;
                open.state.advisories.push(AdvisoryRow {
                    id: advisory.id.clone(),
                    kind: advisory.kind.clone(),
                    severity: advisory.severity.clone(),
                    title: advisory.title.clone(),
                    references: advisory.references.clone(),
                });
                Ok(())
            }
        }
    }

    /// Turns the lines of a group into changes.
    fn end_group(&mut self) {
        let Some(open) = &mut self.open else { return };
        let Some(format) = &open.format else { return };
        let group = std::mem::take(&mut open.group);
        let files = &mut open.files;
        let state = &mut open.state;
        let (number, current) = (self.review.states.len(), state.current);
        group.changes(format.as_ref(), &mut |row| {
            state.counts.count(row.change.change);
            state.counts.bytes = state.counts.bytes.saturating_add(row.bytes);
            let change = row.change;
            if current {
                self.moves.note(number, &change, row.old_sha256.as_ref(), row.new_sha256.as_ref());
                if change.new.is_some() && !change.name.is_ascii() {
                    let (repository, name) = (state.repository.clone(), change.name.clone());
                    remember(&mut self.chosen, Unusual::OddName { repository, name });
                }
                if let Some(unusual) = unusual(&state.repository, &change, row.old_sha256) {
                    if let Unusual::Replaced { old, new, .. } = &unusual {
                        files.replaced(old, new);
                    }
                    remember(&mut self.chosen, unusual);
                }
            }
            if row.bytes > 0 {
                large(&mut self.largest, &state.repository, &change, row.bytes);
            }
            self.chosen.change(number, change);
        });
    }

    fn close(&mut self) {
        self.end_group();
        let Some(open) = self.open.take() else { return };
        let mut state = open.state;
        (state.keys, state.proven) = (keys(&open.signers), proven(&state, &open.signers));
        if state.current {
            for unusual in of_signers(&state) {
                remember(&mut self.chosen, unusual);
            }
            let (unusual, omitted) = open.files.end(&state.repository);
            for unusual in unusual {
                remember(&mut self.chosen, unusual);
            }
            self.review.unusual_omitted += omitted;
        }
        self.review.counts.add(&state.counts);
        self.review.states.push(state);
    }

    fn finish(mut self) -> Result<Review, TransferError> {
        self.close();
        if self.states.next().is_some() {
            return Err(TransferError::Contradiction { bundle: self.manifest.name()?, what: "the states" });
        }
        Ok(self.end())
    }

    /// Ends the review: what is told of all states together.
    fn end(mut self) -> Review {
        let names: Vec<String> = self.review.states.iter().map(|s| s.repository.clone()).collect();
        for moved in self.moves.found(&names) {
            remember(&mut self.chosen, moved);
        }
        self.chosen.fill(&mut self.review);
        self.review.largest = self.largest;
        self.review
    }
}

/// Adds something unusual, or counts it where there are too many.
fn remember(chosen: &mut Chosen, unusual: Unusual) {
    let text = serde_json::to_string(&unusual).map_or(0, |text| text.len());
    let Lot { weight, rank, place } = unusual.lot();
    chosen.unusual.push(Lot { weight, rank, place: place.to_owned() }, text, unusual);
}

/// Returns what is unusual about a change by itself.
fn unusual(repository: &str, change: &Change, old: Option<Digest>) -> Option<Unusual> {
    let repository = repository.to_owned();
    let name = change.name.clone();
    let (before, now) = (change.old.clone()?, change.new.clone()?);
    match change.change {
        What::Downgraded => Some(Unusual::Downgrade { repository, name, old: before, new: now }),
        What::Replaced => Some(Unusual::Replaced {
            repository,
            name,
            version: now,
            old: old.map(|digest| digest.hex()).unwrap_or_default(),
            new: change.sha256.clone().unwrap_or_default(),
        }),
        _ => None,
    }
}

/// Keeps a package if it is one of the largest.
fn large(largest: &mut Vec<Large>, repository: &str, change: &Change, size: u64) {
    if largest.len() == LARGEST && largest.last().is_some_and(|least| least.size >= size) {
        return;
    }
    let version = change.new.clone().unwrap_or_default();
    let this = Large { repository: repository.to_owned(), name: change.name.clone(), version, size };
    // of equal ones the first stands before
    let at = largest.partition_point(|there| there.size >= size);
    largest.insert(at, this);
    largest.truncate(LARGEST);
}

#[cfg(test)]
mod tests;
