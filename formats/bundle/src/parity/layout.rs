//! How files are cut into lanes, stripes and shards.

use std::ops::Range;

use chantal_contract::limits::{PARITY_COVERS, PARITY_SHARDS, VOLUME_BYTES};

use super::{ParityGroup, SHARD, TABLE};

const SHARD_BYTES: u64 = SHARD as u64;
const TABLES: u64 = 2 * TABLE as u64;

/// Why a group's numbers describe no layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// It protects nothing, or more than may be.
    #[error("a parity group covers no file, or more than {PARITY_COVERS}, or one that is empty or too large")]
    Covers,
    /// Lane and block fit neither each other nor the files.
    #[error("the lane of a parity group is no multiple of its block, or longer than its longest file needs")]
    Lane,
    /// A stripe has too many shards, or none to recover with.
    #[error("a stripe has no recovery shards, or more than {PARITY_SHARDS} shards")]
    Shards,
    /// A parity file's size is not what its shards make.
    #[error("a parity file has another size than its shards")]
    Size,
}

/// A file that is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Covered {
    size: u64,
    first_lane: u32,
    lanes: u32,
}

impl Covered {
    fn shards(&self) -> u64 {
        self.size.div_ceil(SHARD_BYTES)
    }
}

/// Where every shard of a group lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    files: Vec<Covered>,
    block: u32,
    lane: u64,
    lanes: u32,
    recovery: Vec<u32>,
}

/// Consecutive bytes of one protected file that a stripe takes; what a stripe takes beyond a file's end is zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which of the protected files, from 0.
    pub file: usize,
    /// Where in it, in bytes.
    pub offset: u64,
    /// Where they go among the stripe's data.
    pub range: Range<usize>,
}

impl Layout {
    /// Reads a layout from what a manifest says of a group and the sizes of the files that it covers.
    pub fn of(group: &ParityGroup, sizes: &[u64]) -> Result<Self, LayoutError> {
        if group.covers as usize != sizes.len() {
            return Err(LayoutError::Covers);
        }
        let recovery = group.files.iter().map(|f| f.shards).collect();
        let layout = Self::cut(sizes, group.block, group.lane, recovery)?;
        let sized = group.files.iter().enumerate().all(|(n, f)| layout.parity_bytes(n) == f.size);
        if sized { Ok(layout) } else { Err(LayoutError::Size) }
    }

    /// Cuts files of these sizes, in bytes.
    pub(super) fn cut(sizes: &[u64], block: u32, lane: u64, recovery: Vec<u32>) -> Result<Self, LayoutError> {
        if sizes.is_empty()
            || sizes.len() > PARITY_COVERS
            || !sizes.iter().all(|size| (1..=VOLUME_BYTES).contains(size))
        {
            return Err(LayoutError::Covers);
        }
        let longest = sizes.iter().max().copied().unwrap_or(0).div_ceil(SHARD_BYTES);
        let whole = block > 0 && lane > 0 && lane.is_multiple_of(u64::from(block));
        if !whole || lane >= longest + u64::from(PARITY_SHARDS) {
            return Err(LayoutError::Lane);
        }
        let (mut files, mut lanes) = (Vec::with_capacity(sizes.len()), 0_u32);
        for &size in sizes {
            let has = u32::try_from(size.div_ceil(SHARD_BYTES).div_ceil(lane));
            let has = has.ok().filter(|l| *l <= PARITY_SHARDS).ok_or(LayoutError::Shards)?;
            files.push(Covered { size, first_lane: lanes, lanes: has });
            lanes += has;
        }
        let data = lanes.checked_mul(block).ok_or(LayoutError::Shards)?;
        if recovery.contains(&0) || !recovers(data, recovery.iter().map(|r| u64::from(*r)).sum()) {
            return Err(LayoutError::Shards);
        }
        Ok(Self { files, block, lane, lanes, recovery })
    }

    /// Returns how many shards of data a stripe has.
    pub fn data(&self) -> usize {
        self.lanes as usize * self.block as usize
    }

    /// Returns how many recovery shards a stripe has: what it may lose.
    pub fn recovery(&self) -> usize {
        self.recovery.iter().map(|r| *r as usize).sum()
    }

    /// Returns how many recovery shards of a stripe each parity file holds.
    pub fn recovery_files(&self) -> &[u32] {
        &self.recovery
    }

    /// Returns how many files are protected.
    pub fn covers(&self) -> usize {
        self.files.len()
    }

    /// Returns the size of a protected file in bytes.
    pub fn size(&self, file: usize) -> u64 {
        self.files.get(file).map_or(0, |f| f.size)
    }

    /// Returns how many shards a stripe takes of every lane.
    pub fn block(&self) -> u32 {
        self.block
    }

    /// Returns how many shards a lane has.
    pub fn lane(&self) -> u64 {
        self.lane
    }

    /// Returns how many stripes there are.
    pub fn stripes(&self) -> u64 {
        self.lane / u64::from(self.block)
    }

    /// Returns the bytes of a stripe's data.
    pub fn stripe_bytes(&self) -> usize {
        self.data() * SHARD
    }

    /// Returns the most shards of one stripe that a protected file holds: what its loss costs.
    pub fn cost(&self, file: usize) -> u64 {
        self.files.get(file).map_or(0, |f| f.shards().min(u64::from(f.lanes) * u64::from(self.block)))
    }

    /// Returns the size in bytes of a parity file.
    pub fn parity_bytes(&self, file: usize) -> u64 {
        self.stripes() * self.section_bytes(file)
    }

    /// Returns where a stripe's section of a parity file begins, in bytes.
    pub fn section(&self, file: usize, stripe: u64) -> u64 {
        stripe * self.section_bytes(file)
    }

    /// Returns the bytes of a section: a table, recovery shards, the table again.
    fn section_bytes(&self, file: usize) -> u64 {
        self.recovery.get(file).map_or(0, |r| u64::from(*r) * SHARD_BYTES + TABLES)
    }

    /// Returns what a stripe takes of the files, in the order of its shards.
    pub fn blocks(&self, stripe: u64) -> impl Iterator<Item = Block> {
        let (block, at) = (u64::from(self.block), stripe * u64::from(self.block));
        let bytes = self.block as usize * SHARD;
        self.files.iter().enumerate().flat_map(move |(file, covered)| {
            (0..covered.lanes).filter_map(move |lane| {
                let offset = (u64::from(lane) * self.lane + at) * SHARD_BYTES;
                let length = covered.size.checked_sub(offset).filter(|l| *l > 0)?.min(block * SHARD_BYTES);
                let start = (covered.first_lane + lane) as usize * bytes;
                let length = usize::try_from(length).ok()?;
                Some(Block { file, offset, range: start..start + length })
            })
        })
    }

    /// Returns which stripe a shard of a protected file belongs to, and which of its data shards it is.
    pub fn stripe_of(&self, file: usize, shard: u64) -> Option<(u64, usize)> {
        let covered = self.files.get(file).filter(|f| shard < f.shards())?;
        let (lane, inside) = (shard / self.lane, shard % self.lane);
        let block = u64::from(self.block);
        let nth = (u64::from(covered.first_lane) + lane) * block + inside % block;
        Some((inside / block, usize::try_from(nth).ok()?))
    }

    /// Returns which bytes of which protected file a stripe's data shard is; none where it is zeros beyond a file's end.
    pub fn place(&self, stripe: u64, nth: usize) -> Option<(usize, u64, usize)> {
        let nth = u64::try_from(nth).ok()?;
        let block = u64::from(self.block);
        let lane = u32::try_from(nth / block).ok()?;
        let file = self.files.partition_point(|f| f.first_lane <= lane).checked_sub(1)?;
        let covered = self.files.get(file)?;
        let lane = lane.checked_sub(covered.first_lane).filter(|l| *l < covered.lanes)?;
        let offset = (u64::from(lane) * self.lane + stripe * block + nth % block) * SHARD_BYTES;
        let length = covered.size.checked_sub(offset).filter(|l| *l > 0)?.min(SHARD_BYTES);
        Some((file, offset, usize::try_from(length).ok()?))
    }
}

/// Tells whether a stripe of these shards is within the limits: memory while it is repaired, and room in a table.
pub(super) fn recovers(data: u32, recovery: u64) -> bool {
    let data = u64::from(data);
    let limit = u64::from(PARITY_SHARDS);
    data > 0 && recovery > 0 && recovery <= data && data + recovery.next_power_of_two() <= limit
}
