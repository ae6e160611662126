//! Joining small packs into larger ones, and leaving out what nothing needs.

use std::{collections::HashSet, sync::Arc};

use chantal_contract::Digest;

use super::{MANY, Pack, Packs, Stage, lock, pack, table::Place};
use crate::store::{Depth, StoreError, file};

/// A pack of which gc leaves out a part.
struct Waste {
    /// What stays of it.
    live: Vec<(Digest, Place)>,
    /// The decoded bytes of that.
    live_bytes: u64,
    /// The decoded bytes of all of it.
    all: u64,
}

impl Waste {
    /// Looks at a pack; none where at least three quarters of it stay.
    fn of(pack: &Pack, keep: &HashSet<Digest>) -> Result<Option<Self>, StoreError> {
        let mut this = Self { live: Vec::new(), live_bytes: 0, all: 0 };
        pack.each_entry(&mut |name, place| {
            this.all += u64::from(place.length);
            if keep.contains(&name) {
                this.live_bytes += u64::from(place.length);
                this.live.push((name, place));
            }
            Ok(())
        })?;
        let wasted = this.live.is_empty() || this.live_bytes.saturating_mul(4) <= this.all.saturating_mul(3);
        Ok(wasted.then_some(this))
    }

    /// Estimates what leaving it out saves of so many stored bytes.
    fn saves(&self, stored: u64) -> u64 {
        let gone = u128::from(self.all.saturating_sub(self.live_bytes));
        match u128::from(stored) * gone / u128::from(self.all.max(1)) {
            _ if self.live.is_empty() => stored,
            part => u64::try_from(part).unwrap_or(stored),
        }
    }
}

impl Packs {
    /// Joins the packs that are not much larger than the newest one, so that there are few; under the packs' lock.
    ///
    /// The joined pack is named and durable before the others go: at every moment each record is in a pack.
    pub(super) fn join_small(&self, stage: &Stage, newest: u64) -> Result<(), StoreError> {
        let mut packs = self.opened().clone();
        if packs.len() < MANY {
            return Ok(());
        }
        packs.sort_by_key(|p| (p.records(), *p.name()));
        let mut total = newest;
        let mut small = Vec::new();
        for pack in packs {
            if pack.records() > total.saturating_mul(2) {
                break;
            }
            total += pack.records();
            small.push(pack);
        }
        if small.len() < 2 {
            return Ok(());
        }
        let mut draft = pack::Draft::create(&stage.path())?;
        let mut seen = HashSet::new();
        for pack in &small {
            let mut numbers = Vec::new();
            for block in 0..pack.blocks() {
                let (stored, decoded) = pack.stored_block(block)?;
                numbers.push(draft.take_block(&stored, decoded)?);
            }
            pack.each_entry(&mut |name, mut place| {
                let number = numbers.get(place.block as usize).ok_or_else(|| {
                    StoreError::damaged(pack.path(), format!("record {name}"), "its block is not there")
                })?;
                place.block = *number;
                if seen.insert(name) {
                    draft.take_entry(name, place);
                }
                Ok(())
            })?;
        }
        let (name, staged) = draft.finish()?;
        self.replace(&small, name, &staged)
    }

    /// Leaves out the records that `keep` does not want, where that saves at least a quarter of a pack; returns the bytes saved.
    ///
    /// Only for gc, under [`Lock::Exclusive`](super::super::Lock).
    pub(in crate::store) fn prune(&self, keep: &HashSet<Digest>) -> Result<u64, StoreError> {
        let _turn = lock::wait(&self.shared.lock)?;
        self.refresh()?;
        let stage = Stage::new(&self.shared.tmp)?;
        let mut saved = 0u64;
        let packs = self.opened().clone();
        for pack in packs {
            let Some(Waste { mut live, .. }) = Waste::of(&pack, keep)? else { continue };
            if live.is_empty() {
                file::remove(pack.path())?;
                saved += pack.bytes();
                continue;
            }
            // in the order of their blocks, so that neighbours stay neighbours
            live.sort_unstable_by_key(|(_, place)| (place.block, place.offset));
            let mut draft = pack::Draft::create(&stage.path())?;
            for (name, _) in live {
                draft.add(name, &self.get(&name)?)?;
            }
            let (name, staged) = draft.finish()?;
            self.replace(&[Arc::clone(&pack)], name, &staged)?;
            let now = file::stat(&pack::path(&self.shared.dir, &name))?.map_or(0, |s| s.size);
            saved += pack.bytes().saturating_sub(now);
        }
        file::sync_dir(&self.shared.dir)?;
        self.refresh()?;
        Ok(saved)
    }

    /// Estimates the bytes that [`Packs::prune`] would save: what stays is stored anew, and may shrink otherwise than it is now.
    pub(in crate::store) fn prunable(&self, keep: &HashSet<Digest>) -> Result<u64, StoreError> {
        self.refresh()?;
        let packs = self.opened().clone();
        let saved =
            |pack: &Arc<Pack>| Ok(Waste::of(pack, keep)?.map_or(0, |waste| waste.saves(pack.bytes())));
        packs.iter().map(saved).sum()
    }

    /// Names a pack that holds all that others hold, and removes those.
    fn replace(
        &self,
        former: &[Arc<Pack>],
        name: Digest,
        staged: &std::path::Path,
    ) -> Result<(), StoreError> {
        file::settle(staged, &pack::path(&self.shared.dir, &name))?;
        file::sync_dir(&self.shared.dir)?;
        for pack in former.iter().filter(|p| *p.name() != name) {
            file::remove(pack.path())?;
        }
        file::sync_dir(&self.shared.dir)?;
        self.refresh().map(drop)
    }

    /// Reads every pack whole and compares it with its name; looks at each record, too, if asked to. Returns what is wrong.
    pub(in crate::store) fn verify(&self, depth: Depth) -> Result<Vec<StoreError>, StoreError> {
        let mut faults = Vec::new();
        for name in super::names(&self.shared.dir)? {
            match self.verify_one(name, depth) {
                Ok(()) => {}
                Err(error @ (StoreError::Damaged { .. } | StoreError::Io { .. })) => faults.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(faults)
    }

    fn verify_one(&self, name: Digest, depth: Depth) -> Result<(), StoreError> {
        let path = pack::path(&self.shared.dir, &name);
        let mut measurer = chantal_contract::Expect::at_most(u64::MAX).measure();
        let mut opened = file::open(&path)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let n = std::io::Read::read(&mut opened, &mut buffer).map_err(|e| StoreError::io(&path, e))?;
            if n == 0 {
                break;
            }
            measurer.update(buffer.get(..n).unwrap_or_default())?;
        }
        if measurer.finish()?.sha256 != name {
            return Err(StoreError::damaged(&path, "the whole", "its bytes are not what its name says"));
        }
        match Pack::open(&self.shared.dir, name)? {
            Some(pack) if depth == Depth::Full => verify_records(&pack),
            _ => Ok(()),
        }
    }
}

/// Compares every record with its digest, block by block.
fn verify_records(pack: &Pack) -> Result<(), StoreError> {
    let mut entries = Vec::new();
    pack.each_entry(&mut |name, place| {
        entries.push((name, place));
        Ok(())
    })?;
    entries.sort_unstable_by_key(|(_, place)| (place.block, place.offset));
    let mut current: Option<(u32, Vec<u8>)> = None;
    for (name, place) in entries {
        let block = match &current {
            Some((number, block)) if *number == place.block => block,
            _ => &current.insert((place.block, pack.block(place.block)?)).1,
        };
        if place.of(block).map(Digest::of) != Some(name) {
            let at = format!("record {name}");
            return Err(StoreError::damaged(pack.path(), at, "its bytes are not what its name says"));
        }
    }
    Ok(())
}
