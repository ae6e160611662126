//! Spreads a bundle over several media: the small files on each, every volume and parity file on one (specification §2).

mod copy;
mod plan;

use std::{
    fs,
    path::{Path, PathBuf},
};

use chantal_bundle::{BundleName, Manifest, index};
use chantal_contract::Digest;

use self::{
    copy::Copier,
    plan::{Item, Slot},
};
use super::{
    ExportError, TransferError, admit,
    export::{AfterWrite, expect_out, expect_space, free},
    medium, strays,
};
use crate::{
    report::{Event as Report, Reporter},
    store::Store,
};

/// Where the files of a bundle go.
#[derive(Clone, Copy, Debug)]
pub enum Onto<'a> {
    /// Onto media that are mounted there, as far as each has room.
    Media(&'a [PathBuf]),
    /// Into directories `medium-01`, `medium-02` … that are made in this one.
    Made {
        /// The directory; it must be there.
        out: &'a Path,
        /// Bytes that a medium takes.
        size: u64,
    },
}

/// What is to be spread.
#[derive(Clone, Copy, Debug)]
pub struct SpreadRequest<'a> {
    /// The bundle's directory, with all its files.
    pub bundle: &'a Path,
    /// Where they go.
    pub onto: Onto<'a>,
    /// Whether what was written is read back.
    pub after_write: AfterWrite,
}

/// One medium's share of a bundle.
#[derive(Clone, Debug)]
pub struct Share {
    /// The bundle's directory on that medium.
    pub path: PathBuf,
    /// The volumes and parity files that lie there; the small files do besides.
    pub files: Vec<String>,
    /// The bytes of all its files.
    pub bytes: u64,
    /// Whether parity makes up for its loss, if all others arrive.
    pub spare: bool,
    /// Whether an earlier run had put it there.
    pub before: bool,
}

/// A bundle that was spread, or would be.
#[derive(Clone, Debug)]
pub struct Spread {
    /// Its name.
    pub bundle: BundleName,
    /// Whether it has parity.
    pub parity: bool,
    /// What goes where.
    pub shares: Vec<Share>,
}

/// A bundle whose signature is good, and all of whose files are at hand.
struct Whole {
    name: BundleName,
    manifest: Manifest,
    digest: Digest,
    /// Files that go onto every medium, with their sizes in bytes.
    small: Vec<(String, u64)>,
    /// Files each of which goes onto one.
    items: Vec<Item>,
}

/// Says where each file of a bundle would go, and writes nothing.
pub fn plan_spread(store: &Store, request: &SpreadRequest<'_>) -> Result<Spread, TransferError> {
    let whole = Whole::read(store, request.bundle)?;
    let shares = whole.place(request)?;
    Ok(whole.into_spread(shares))
}

/// Copies each file of a bundle to where it goes.
///
/// What the manifest lists is held against it as it is read. A medium gets the bundle's directory under its name once all of its
/// share is there; what an earlier run finished is held against the manifest and left as it is.
pub fn spread(
    store: &Store,
    request: &SpreadRequest<'_>,
    reporter: &dyn Reporter,
) -> Result<Spread, TransferError> {
    let whole = Whole::read(store, request.bundle)?;
    let shares = whole.place(request)?;
    let task = format!("spread {}", whole.name);
    let fresh: Vec<&Share> = shares.iter().filter(|share| !share.before).collect();
    let items = fresh.iter().map(|share| (share.files.len() + whole.small.len()) as u64).sum();
    let bytes = fresh.iter().map(|share| share.bytes).sum();
    reporter.event(Report::Begin { task: &task, items: Some(items), bytes: Some(bytes) });
    let copier = Copier::new(request.bundle, &whole.manifest, (&task, reporter));
    for share in fresh {
        let small = whole.small.iter().map(|(name, _)| name);
        copier.write(share, small.chain(&share.files), request.after_write)?;
    }
    reporter.event(Report::End { task: &task });
    Ok(whole.into_spread(shares))
}

impl Whole {
    fn read(store: &Store, dir: &Path) -> Result<Self, TransferError> {
        let admitted = admit::judge(store, dir).verdict?;
        let items = plan::items(&admitted.manifest);
        for name in items.iter().map(|item| item.name.as_str()).chain([index::FILE]) {
            if !medium::is_file(&dir.join(name)) {
                return Err(TransferError::Export(ExportError::NotWhole {
                    path: dir.into(),
                    name: name.into(),
                }));
            }
        }
        let mut small = Vec::new();
        for name in strays::covered(dir, &admitted.manifest)? {
            if !items.iter().any(|item| item.name == name) {
                let path = dir.join(&name);
                let size = fs::metadata(&path).map_err(|e| TransferError::io(&path, e))?.len();
                small.push((name, size));
            }
        }
        let (name, digest) = (admitted.manifest.name()?, admitted.digest);
        Ok(Self { name, manifest: admitted.manifest, digest, small, items })
    }

    /// Finds a medium for each file.
    fn place(&self, request: &SpreadRequest<'_>) -> Result<Vec<Share>, TransferError> {
        let small = self.small.iter().map(|(_, size)| plan::taken(*size)).fold(0, u64::saturating_add);
        let there = |dir: &Path| copy::finished(&dir.join(self.name.to_string()), self);
        match request.onto {
            Onto::Media(media) => {
                let mut slots = Vec::new();
                for dir in media {
                    expect_out(dir)?;
                    slots.push(match there(dir)? {
                        Some(held) => Slot::there(held),
                        None => Slot::new(free(dir)?.saturating_sub(small)),
                    });
                }
                let filled = plan::fill(&self.items, &slots).map_err(|at| self.misfit(at, &slots))?;
                Ok(media.iter().zip(filled).map(|(dir, slot)| self.share(dir, slot)).collect())
            }
            Onto::Made { out, size } => {
                expect_out(out)?;
                let empty = Slot::new(size.saturating_sub(small));
                let dirs = (1_usize..).map(|number| out.join(format!("medium-{number:02}")));
                // A killed run may have left a gap.
                let mut slots = Vec::new();
                for (number, dir) in (1..=self.items.len()).zip(dirs.clone()) {
                    if let Some(held) = there(&dir)? {
                        slots.resize(number - 1, empty.clone());
                        slots.push(Slot::there(held));
                    }
                }
                let filled = plan::fewest(&self.items, slots, &empty)
                    .map_err(|at| self.misfit(at, std::slice::from_ref(&empty)))?;
                let shares: Vec<Share> = dirs.zip(filled).map(|(dir, slot)| self.share(&dir, slot)).collect();
                let fresh = shares.iter().filter(|share| !share.before);
                expect_space(out, fresh.map(|share| share.bytes).fold(0, u64::saturating_add))?;
                Ok(shares)
            }
        }
    }

    fn share(&self, dir: &Path, slot: Slot) -> Share {
        let spare = plan::is_spare(&self.items, &self.manifest, &slot);
        let before = slot.there;
        let held: Vec<&Item> = slot.held.iter().filter_map(|at| self.items.get(*at)).collect();
        let sizes = held.iter().map(|item| item.size).chain(self.small.iter().map(|(_, size)| *size));
        Share {
            path: dir.join(self.name.to_string()),
            bytes: sizes.fold(0, u64::saturating_add),
            files: held.into_iter().map(|item| item.name.clone()).collect(),
            spare,
            before,
        }
    }

    fn misfit(&self, at: usize, slots: &[Slot]) -> TransferError {
        let (name, size) = self.items.get(at).map_or((String::new(), 0), |i| (i.name.clone(), i.size));
        let room = slots.iter().map(|slot| slot.room).max().unwrap_or(0);
        TransferError::Export(ExportError::Misfit {
            bundle: self.name.clone(),
            name,
            size,
            media: slots.len(),
            room,
        })
    }

    fn into_spread(self, shares: Vec<Share>) -> Spread {
        Spread { bundle: self.name, parity: self.manifest.parity.is_some(), shares }
    }
}
