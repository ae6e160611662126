//! What damage a layout survives.

use super::{Layout, SHARD};

/// Damage that is always repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survival {
    /// So many whole files, whichever they are.
    pub files: u32,
    /// Of so many: volumes and parity files.
    pub of: u32,
    /// Or so many bytes in one stretch, wherever it lies.
    pub stretch: u64,
    /// Or about so many bytes that are scattered evenly over all files. This one is a matter of chance: less than one in a million
    /// stripes fails there.
    pub scattered: u64,
}

impl Survival {
    /// Judges the groups of a bundle; none where nothing is protected.
    pub fn of(layouts: &[Layout]) -> Option<Self> {
        let total = layouts.iter().map(bytes).sum();
        let of = layouts.iter().map(|l| l.covers() + l.recovery_files().len()).sum::<usize>();
        Some(Self {
            files: layouts.iter().map(files).min()?,
            of: u32::try_from(of).unwrap_or(u32::MAX),
            stretch: layouts.iter().map(stretch).min()?,
            scattered: layouts.iter().map(|layout| scattered(layout, total)).min()?,
        })
    }
}

fn bytes(layout: &Layout) -> u64 {
    let data: u64 = (0..layout.covers()).map(|n| layout.size(n)).sum();
    (0..layout.recovery_files().len()).fold(data, |sum, n| sum.saturating_add(layout.parity_bytes(n)))
}

/// Counts files, the costliest first, while their loss leaves as many recovery shards as data shards are gone.
fn files(layout: &Layout) -> u32 {
    let mut costs: Vec<u64> = (0..layout.covers()).map(|n| layout.cost(n)).collect();
    costs.extend(layout.recovery_files().iter().map(|r| u64::from(*r)));
    costs.sort_unstable_by(|a, b| b.cmp(a));
    let mut left = layout.recovery() as u64;
    let mut count = 0;
    for cost in costs {
        let Some(rest) = left.checked_sub(cost) else { break };
        (left, count) = (rest, count + 1);
    }
    count
}

/// A stretch of a lane costs a block; one that begins inside a shard touches one more.
fn stretch(layout: &Layout) -> u64 {
    let (recovery, block) = (layout.recovery() as u64, u64::from(layout.block()));
    let shards = recovery / block * layout.lane() + recovery % block;
    let longest = (0..layout.covers()).map(|n| layout.size(n)).max().unwrap_or(0);
    ((shards - 1) * SHARD as u64).min(longest)
}

/// Six deviations above the mean stay below what a stripe may lose: x + 6·√x = recovery.
fn scattered(layout: &Layout, total: u64) -> u64 {
    let recovery = layout.recovery() as u64;
    let root = (recovery + 9).isqrt();
    let root = if root * root < recovery + 9 { root + 1 } else { root };
    let mean = (recovery + 18).saturating_sub(6 * root);
    let shards = layout.data() as u64 + recovery;
    let bytes = u128::from(total) * u128::from(mean) / u128::from(shards);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
