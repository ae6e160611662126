//! Finds damaged shards and makes them anew.

use reed_solomon_simd::ReedSolomonDecoder;

use super::{Block, CodeError, Layout, SHARD, TABLE, stripe::Table};

/// Where the bytes of a group's files come from; what cannot be read, because a file is lost or cut or a sector is bad, is not there.
pub trait Source {
    /// Fills `room` from byte `offset` of a protected file on; tells whether all of it could be read.
    fn data(&mut self, file: usize, offset: u64, room: &mut [u8]) -> bool;

    /// Fills `room` from byte `offset` of a parity file on; tells whether all of it could be read.
    fn parity(&mut self, file: usize, offset: u64, room: &mut [u8]) -> bool;
}

/// A stripe has lost more than its recovery shards can make up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stripe lacks {lost} shards, and {spare} recovery shards are left of it")]
pub struct Beyond {
    /// Data shards that are damaged or lost.
    pub lost: usize,
    /// Recovery shards that are good.
    pub spare: usize,
}

/// Repairs stripes of one group, one at a time, in the memory of one stripe.
pub struct Repairer<S> {
    layout: Layout,
    source: S,
    code: ReedSolomonDecoder,
    room: Vec<u8>,
    /// The tables of the stripe that was looked at last, one for each parity file.
    tables: (u64, Vec<Option<Table>>),
}

impl<S: Source> Repairer<S> {
    /// Begins; every layout is within what the code can do, so none is refused but for want of memory.
    pub fn new(layout: &Layout, source: S) -> Result<Self, CodeError> {
        let code = ReedSolomonDecoder::new(layout.data(), layout.recovery(), SHARD)?;
        let room = vec![0; layout.block() as usize * SHARD];
        Ok(Self { layout: layout.clone(), source, code, room, tables: (u64::MAX, Vec::new()) })
    }

    /// Returns where the bytes come from.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// Tells whether a shard of a protected file is damaged; nothing where no table is left that could tell.
    pub fn is_damaged(&mut self, file: usize, shard: u64) -> Option<bool> {
        let (stripe, nth) = self.layout.stripe_of(file, shard)?;
        self.look_up(stripe);
        let mut sums = self.tables.1.iter().flatten().filter_map(|table| table.data.get(nth).copied());
        let sum = sums.next()?;
        if sums.any(|other| other != sum) {
            return None;
        }
        let (file, offset, length) = self.layout.place(stripe, nth)?;
        let mut shard = vec![0; SHARD];
        let read = shard.get_mut(..length).is_some_and(|room| self.source.data(file, offset, room));
        Some(!read || crc32fast::hash(&shard) != sum)
    }

    /// Makes every damaged or lost shard of a stripe anew and hands its bytes out with their place; returns how many there were.
    ///
    /// Checksums tell which are damaged. Where no table is left, `suspect` tells: the cells' digests know. What is handed out is
    /// proved by nothing yet but checksums.
    pub fn repair(
        &mut self,
        stripe: u64,
        suspect: &mut dyn FnMut(usize, u64) -> bool,
        restore: &mut dyn FnMut(usize, u64, &[u8]),
    ) -> Result<usize, Beyond> {
        self.look_up(stripe);
        let tables = self.tables.1.clone();
        // All tables agree, unless one of them is another bundle's.
        let mut kinds: Vec<&[u32]> = Vec::new();
        for table in tables.iter().flatten() {
            if !kinds.contains(&table.data.as_slice()) {
                kinds.push(&table.data);
            }
        }
        let mut verdict = Beyond { lost: 0, spare: 0 };
        for kind in kinds.into_iter().map(Some).chain([None]) {
            match self.attempt(stripe, kind, &tables, suspect, restore) {
                Ok(restored) => return Ok(restored),
                Err(beyond) if verdict.lost == 0 => verdict = beyond,
                Err(_) => {}
            }
        }
        Err(verdict)
    }

    fn attempt(
        &mut self,
        stripe: u64,
        sums: Option<&[u32]>,
        tables: &[Option<Table>],
        suspect: &mut dyn FnMut(usize, u64) -> bool,
        restore: &mut dyn FnMut(usize, u64, &[u8]),
    ) -> Result<usize, Beyond> {
        let lost = self.feed_data(stripe, sums, suspect);
        if lost.is_empty() {
            self.reset();
            return Ok(0);
        }
        let spare = self.feed_recovery(stripe, sums, tables, lost.len());
        let beyond = Beyond { lost: lost.len(), spare };
        if spare < lost.len() {
            self.reset();
            return Err(beyond);
        }
        let decoded = self.code.decode().map_err(|_| beyond)?;
        let good = |nth: &usize| match (sums.and_then(|s| s.get(*nth)), decoded.restored_original(*nth)) {
            (Some(sum), Some(shard)) => crc32fast::hash(shard) == *sum,
            (None, Some(_)) => sums.is_none(),
            (_, None) => false,
        };
        if !lost.iter().all(good) {
            return Err(beyond);
        }
        for nth in &lost {
            let shard = decoded.restored_original(*nth).unwrap_or_default();
            if let Some((file, offset, length)) = self.layout.place(stripe, *nth) {
                restore(file, offset, shard.get(..length).unwrap_or_default());
            }
        }
        Ok(lost.len())
    }

    /// Forgets the shards that were fed.
    fn reset(&mut self) {
        // The counts are those that it was made with.
        let _ = self.code.reset(self.layout.data(), self.layout.recovery(), SHARD);
    }

    /// Feeds all good data shards to the decoder and returns the others.
    fn feed_data(
        &mut self,
        stripe: u64,
        sums: Option<&[u32]>,
        suspect: &mut dyn FnMut(usize, u64) -> bool,
    ) -> Vec<usize> {
        let blocks: Vec<Block> = self.layout.blocks(stripe).collect();
        let mut blocks = blocks.into_iter().peekable();
        let mut lost = Vec::new();
        let (data, each) = (self.layout.data(), self.layout.block() as usize);
        for lane in 0..data / each {
            let mut readable = vec![true; each];
            self.room.fill(0);
            if let Some(block) = blocks.next_if(|b| b.range.start == lane * self.room.len()) {
                let length = block.range.len();
                if !self
                    .room
                    .get_mut(..length)
                    .is_some_and(|room| self.source.data(block.file, block.offset, room))
                {
                    // One bad sector must not cost the whole block.
                    let pieces = self.room.get_mut(..length).unwrap_or_default().chunks_mut(SHARD);
                    let offsets = (block.offset..).step_by(SHARD);
                    for ((piece, offset), good) in pieces.zip(offsets).zip(&mut readable) {
                        *good = self.source.data(block.file, offset, piece);
                    }
                }
            }
            for ((inside, shard), readable) in self.room.chunks_exact(SHARD).enumerate().zip(readable) {
                let nth = lane * each + inside;
                let good = readable
                    && if let Some(sums) = sums {
                        sums.get(nth).is_some_and(|sum| crc32fast::hash(shard) == *sum)
                    } else {
                        let place = self.layout.place(stripe, nth);
                        !place.is_some_and(|(file, offset, _)| suspect(file, offset))
                    };
                if !good || self.code.add_original_shard(nth, shard).is_err() {
                    lost.push(nth);
                }
            }
        }
        lost
    }

    /// Feeds recovery shards until there are enough: first those that a table vouches for, then the others.
    fn feed_recovery(
        &mut self,
        stripe: u64,
        sums: Option<&[u32]>,
        tables: &[Option<Table>],
        needed: usize,
    ) -> usize {
        let files: Vec<u32> = self.layout.recovery_files().to_vec();
        let mut shard = vec![0; SHARD];
        let mut fed = 0;
        for vouched in [true, false] {
            let mut first = 0;
            for (file, (count, table)) in files.iter().zip(tables).enumerate() {
                let count = *count as usize;
                let table = table.as_ref().filter(|t| sums.is_none_or(|sums| sums == t.data));
                for inside in 0..count {
                    if fed == needed {
                        return fed;
                    }
                    if table.is_some() != vouched {
                        break;
                    }
                    let offset = self.layout.section(file, stripe) + (TABLE + inside * SHARD) as u64;
                    let good = self.source.parity(file, offset, &mut shard)
                        && table.is_none_or(|t| t.own.get(inside) == Some(&crc32fast::hash(&shard)));
                    if good && self.code.add_recovery_shard(first + inside, &shard).is_ok() {
                        fed += 1;
                    }
                }
                first += count;
            }
        }
        fed
    }

    /// Reads the tables of a stripe, the second copy where the first is damaged.
    fn look_up(&mut self, stripe: u64) {
        if self.tables.0 == stripe {
            return;
        }
        let data = self.layout.data();
        let mut tables = Vec::new();
        let mut bytes = vec![0; TABLE];
        for (file, own) in self.layout.recovery_files().iter().enumerate() {
            let own = *own as usize;
            let begin = self.layout.section(file, stripe);
            let copies = [begin, begin + (TABLE + own * SHARD) as u64];
            let mut read = |at: &u64| {
                let whole = self.source.parity(file, *at, &mut bytes);
                whole.then(|| Table::parse(&bytes, data, own)).flatten()
            };
            tables.push(copies.iter().find_map(&mut read));
        }
        self.tables = (stripe, tables);
    }
}
