//! Chooses a layout: from a percentage and the sizes of volumes to lanes, blocks and parity files.

use chantal_contract::limits::{PARITY_SHARDS, VOLUME_BYTES_LEAST};

use super::{Layout, LayoutError, Percent, SHARD, TABLE, layout::recovers};

/// Lanes that a group has at least, if its files are long enough: a stretch of bad bytes is one part in so many.
const LANES: u64 = 64;
/// Volumes that are protected together unless the percentage makes a whole file of more only. A repair reads them all.
const TOGETHER: usize = 20;

/// Returns how many volumes each group covers, in order: as equal as can be.
pub fn groups(volumes: usize, percent: Percent) -> Vec<usize> {
    if volumes == 0 {
        return Vec::new();
    }
    let most = TOGETHER.max(100_usize.div_ceil(usize::from(percent.get())));
    let count = volumes.div_ceil(most);
    (0..count).map(|n| volumes / count + usize::from(n < volumes % count)).collect()
}

/// Cuts files of these sizes so that at least `percent` is spent, and as many whole files may be lost as that is of their number.
///
/// No parity file has more than `limit` bytes, nor costs a stripe more when it is lost than a protected file does.
pub fn plan(sizes: &[u64], percent: Percent, limit: u64) -> Result<Layout, LayoutError> {
    let count = sizes.len().max(1) as u64;
    let longest = sizes.iter().max().copied().unwrap_or(0).div_ceil(SHARD as u64).max(1);
    let lanes = LANES.div_ceil(count);
    let lane = longest.div_ceil(lanes);
    let whole = count * u64::from(percent.get()) / 100;
    let most = u32::try_from(lane).unwrap_or(PARITY_SHARDS).min(PARITY_SHARDS);
    for block in (1..=most).rev() {
        // Stripes of equal length: what rounding adds is protected for nothing.
        let stripes = lane.div_ceil(u64::from(block));
        let Ok(block) = u32::try_from(lane.div_ceil(stripes)) else { continue };
        let lane = stripes * u64::from(block);
        let has = |size: &u64| size.div_ceil(SHARD as u64).div_ceil(lane);
        let all: u64 = sizes.iter().map(has).sum();
        let Ok(data) = u32::try_from(all * u64::from(block)) else { continue };
        let each = longest.div_ceil(lane) * u64::from(block);
        let share = (u64::from(data) * u64::from(percent.get())).div_ceil(100);
        let recovery = share.max(whole * each).min(u64::from(data));
        if recovers(data, recovery) {
            return Layout::cut(sizes, block, lane, files(recovery, each, stripes, limit));
        }
    }
    Err(LayoutError::Shards)
}

/// Spreads a stripe's recovery shards over files.
fn files(recovery: u64, each: u64, stripes: u64, limit: u64) -> Vec<u32> {
    let fit = (limit / stripes).saturating_sub(2 * TABLE as u64) / SHARD as u64;
    let count = recovery.div_ceil(fit.min(each).max(1));
    let share = |n| recovery / count + u64::from(n < recovery % count);
    (0..count).filter_map(|n| u32::try_from(share(n)).ok()).collect()
}

/// Returns how large volumes may be so that a parity file that makes up for a whole one fits the medium, too.
///
/// `bytes` are what all volumes will hold, about. An estimate that is off costs one more parity file.
pub fn volume_limit(limit: u64, bytes: u64, percent: Percent) -> u64 {
    let mut size = limit;
    for _ in 0..8 {
        let volumes = usize::try_from(bytes.div_ceil(size.max(1))).unwrap_or(usize::MAX);
        let Some(&together) = groups(volumes, percent).first() else { return limit };
        if together * usize::from(percent.get()) < 100 {
            return limit;
        }
        let Ok(layout) = plan(&vec![size; together], percent, u64::MAX) else { return limit };
        let over = layout.parity_bytes(0).saturating_sub(limit);
        if over == 0 {
            return size;
        }
        size = size.saturating_sub(over.next_multiple_of(SHARD as u64));
        if size < VOLUME_BYTES_LEAST {
            return limit;
        }
    }
    size
}
