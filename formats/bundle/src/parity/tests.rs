use std::collections::BTreeSet;

use chantal_contract::limits::{PARITY_COVERS, PARITY_SHARDS, VOLUME_BYTES};

use super::*;

/// Numbers that look random and are the same on every run.
struct Dice(u64);
impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 20
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll()).unwrap() % limit
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        for chunk in bytes.chunks_mut(5) {
            chunk.copy_from_slice(&self.roll().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }
}

/// A group in memory, with sectors that cannot be read.
#[derive(Clone)]
struct Group {
    layout: Layout,
    good: Vec<Vec<u8>>,
    data: Vec<Vec<u8>>,
    parity: Vec<Vec<u8>>,
    /// Sectors of 4 KiB that give an error: protected files first, then parity files.
    unreadable: BTreeSet<(usize, u64)>,
}

impl Group {
    fn new(sizes: &[usize], percent: u8, limit: u64) -> Self {
        let lengths: Vec<u64> = sizes.iter().map(|s| *s as u64).collect();
        let layout = plan(&lengths, Percent(percent), limit).unwrap();
        let mut dice = Dice(sizes.len() as u64);
        let good: Vec<Vec<u8>> = sizes.iter().map(|size| dice.bytes(*size)).collect();
        let mut encoder = Encoder::new(&layout).unwrap();
        let mut parity = vec![Vec::new(); layout.recovery_files().len()];
        for stripe in 0..layout.stripes() {
            let sections = encoder
                .stripe::<CodeError>(stripe, |block, room| {
                    let at = usize::try_from(block.offset).unwrap();
                    room.copy_from_slice(&good[block.file][at..at + room.len()]);
                    Ok(())
                })
                .unwrap();
            for (file, section) in parity.iter_mut().zip(sections) {
                file.extend(section);
            }
        }
        for (n, file) in parity.iter().enumerate() {
            assert_eq!(file.len() as u64, layout.parity_bytes(n));
            assert!(file.len() as u64 <= limit);
        }
        Self { layout, data: good.clone(), good, parity, unreadable: BTreeSet::new() }
    }

    /// Repairs everything and tells how many shards were made anew; what is beyond repair comes back as such.
    fn repair(&mut self) -> (usize, Vec<Beyond>) {
        let layout = self.layout.clone();
        let (good, damaged) = (self.good.clone(), self.data.clone());
        let mut repairer = Repairer::new(&layout, self.clone()).unwrap();
        let (mut restored, mut beyond) = (0, Vec::new());
        // Cells of 256 KiB know what is wrong where the tables do not.
        let mut suspect = |file: usize, offset: u64| {
            let cell = usize::try_from(offset).unwrap() / (256 << 10) * (256 << 10);
            let end = (cell + (256 << 10)).min(good[file].len());
            damaged[file].get(cell..end) != Some(&good[file][cell..end])
        };
        for stripe in 0..layout.stripes() {
            let mut restore = |file: usize, offset: u64, bytes: &[u8]| {
                let at = usize::try_from(offset).unwrap();
                let whole = self.good[file].len();
                self.data[file].resize(whole, 0);
                self.data[file][at..at + bytes.len()].copy_from_slice(bytes);
            };
            match repairer.repair(stripe, &mut suspect, &mut restore) {
                Ok(count) => restored += count,
                Err(verdict) => beyond.push(verdict),
            }
        }
        (restored, beyond)
    }

    #[track_caller]
    fn expect_repair(&mut self) {
        let (_, beyond) = self.repair();
        assert_eq!(beyond, []);
        assert!(self.data == self.good, "what was repaired is not what was there");
    }

    fn scratch(&mut self, file: usize, shard: usize, dice: &mut Dice) {
        let file = &mut self.data[file];
        let (from, to) = (shard * SHARD, ((shard + 1) * SHARD).min(file.len()));
        let at = from + dice.below(to - from);
        file[at] ^= 1 << dice.below(8);
    }
}

impl Source for Group {
    fn data(&mut self, file: usize, offset: u64, room: &mut [u8]) -> bool {
        let at = usize::try_from(offset).unwrap();
        let Some(bytes) = self.data[file].get(at..at + room.len()) else { return false };
        room.copy_from_slice(bytes);
        let sectors = offset / 4096..(offset + room.len() as u64).div_ceil(4096);
        !sectors.into_iter().any(|s| self.unreadable.contains(&(file, s)))
    }

    fn parity(&mut self, file: usize, offset: u64, room: &mut [u8]) -> bool {
        let at = usize::try_from(offset).unwrap();
        let Some(bytes) = self.parity[file].get(at..at + room.len()) else { return false };
        room.copy_from_slice(bytes);
        let file = file + self.good.len();
        let sectors = offset / 4096..(offset + room.len() as u64).div_ceil(4096);
        !sectors.into_iter().any(|s| self.unreadable.contains(&(file, s)))
    }
}

const KIB: usize = 1 << 10;

/// Groups that are small enough for a test, of every shape: one volume, equal ones, very different ones, ends inside a shard.
fn shapes() -> Vec<Group> {
    [
        (vec![1], 10),
        (vec![SHARD + 1], 100),
        (vec![300 * KIB], 10),
        (vec![1700 * KIB + 13], 10),
        (vec![400 * KIB; 10], 10),
        (vec![400 * KIB, 390 * KIB, 100 * KIB + 1], 34),
        (vec![900 * KIB, 3], 50),
        (vec![160 * KIB; 3], 100),
        (vec![64 * KIB; 21], 5),
    ]
    .into_iter()
    .map(|(sizes, percent)| Group::new(&sizes, percent, u64::MAX))
    .collect()
}

#[test]
fn whatever_is_promised_is_repaired_and_more_is_reported_exactly() {
    let mut dice = Dice(7);
    for group in shapes() {
        let layout = group.layout.clone();
        for round in 0..6 {
            let mut bad = group.clone();
            let mut expected = Vec::new();
            for stripe in 0..layout.stripes() {
                let real: Vec<usize> =
                    (0..layout.data()).filter(|n| layout.place(stripe, *n).is_some()).collect();
                // As much as may be, some less, or one more.
                let most = layout.recovery();
                let count = match round {
                    0 => most,
                    1 => most + 1,
                    _ => dice.below(most + 2),
                };
                let mut chosen = BTreeSet::new();
                while chosen.len() < count.min(real.len()) {
                    chosen.insert(real[dice.below(real.len())]);
                }
                for nth in &chosen {
                    let (file, offset, _) = layout.place(stripe, *nth).unwrap();
                    if round % 2 == 0 {
                        bad.scratch(file, usize::try_from(offset).unwrap() / SHARD, &mut dice);
                    } else {
                        bad.unreadable.insert((file, offset / 4096));
                    }
                }
                if chosen.len() > most {
                    expected.push(Beyond { lost: chosen.len(), spare: most });
                }
            }
            let (_, beyond) = bad.repair();
            assert_eq!(beyond, expected, "{layout:?}");
            if expected.is_empty() {
                assert!(round % 2 == 1 || bad.data == bad.good);
            }
        }
    }
}

#[test]
fn so_many_whole_files_may_be_lost_as_is_promised() {
    for group in shapes() {
        let promised = Survival::of(std::slice::from_ref(&group.layout)).unwrap();
        let all = group.data.len() + group.parity.len();
        assert_eq!(promised.of as usize, all);
        for first in 0..all {
            let mut bad = group.clone();
            for lost in (first..first + promised.files as usize).map(|n| n % all) {
                match bad.data.get_mut(lost) {
                    Some(file) => file.clear(),
                    None => bad.parity[lost - group.data.len()].clear(),
                }
            }
            bad.expect_repair();
        }
    }
    let promised = |count: usize, percent| {
        let layout = plan(&vec![4_000_000_000; count], Percent(percent), u64::MAX).unwrap();
        Survival::of(&[layout]).unwrap()
    };
    assert_eq!((promised(10, 10).files, promised(10, 10).of), (1, 11));
    assert_eq!((promised(20, 10).files, promised(20, 10).of), (2, 22));
    assert_eq!((promised(3, 34).files, promised(3, 34).of), (1, 5));
    assert_eq!(promised(3, 10).files, 0);
    assert_eq!((promised(1, 100).files, promised(1, 100).of), (1, 2));
    assert_eq!((promised(100, 1).files, promised(100, 1).of), (1, 101));
    // Of one volume that is protected by a tenth, nearly a tenth may go in one stretch, and half of that scattered.
    let one = promised(1, 10);
    assert!(one.stretch > 370_000_000, "{one:?}");
    assert!(one.scattered > 150_000_000, "{one:?}");
}

#[test]
fn a_stretch_as_long_as_is_promised_may_go_anywhere() {
    let mut dice = Dice(3);
    for group in shapes() {
        let stretch = usize::try_from(Survival::of(std::slice::from_ref(&group.layout)).unwrap().stretch);
        let stretch = stretch.unwrap();
        for _ in 0..8 {
            let mut bad = group.clone();
            let file = dice.below(bad.data.len());
            let length = bad.data[file].len();
            let from = dice.below(length.saturating_sub(stretch) + 1);
            bad.data[file][from..(from + stretch).min(length)].fill(0x5a);
            bad.expect_repair();
            // The same at the end: a volume that was cut.
            let mut cut = group.clone();
            cut.data[file].truncate(length - stretch.min(length));
            cut.expect_repair();
        }
    }
}

#[test]
fn sectors_scattered_as_is_promised_are_repaired() {
    let group = Group::new(&[6000 * KIB, 6000 * KIB, 2000 * KIB + 5], 20, u64::MAX);
    let promised = Survival::of(std::slice::from_ref(&group.layout)).unwrap();
    let total: usize = group.data.iter().chain(&group.parity).map(Vec::len).sum();
    let sectors = usize::try_from(promised.scattered).unwrap() / SHARD;
    assert!(sectors > 10, "{promised:?}");
    let mut dice = Dice(11);
    for _ in 0..5 {
        let mut bad = group.clone();
        for _ in 0..sectors {
            let mut at = dice.below(total);
            for file in bad.data.iter_mut().chain(&mut bad.parity) {
                if let Some(rest) = at.checked_sub(file.len()) {
                    at = rest;
                    continue;
                }
                let begin = at / SHARD * SHARD;
                let end = (begin + SHARD).min(file.len());
                file[begin..end].fill(0);
                break;
            }
        }
        bad.expect_repair();
    }
}

#[test]
fn damaged_tables_do_not_matter_while_a_copy_or_the_cells_tell() {
    let group = Group::new(&[1000 * KIB, 700 * KIB], 30, u64::MAX);
    let section = usize::try_from(group.layout.section(0, 1)).unwrap();
    let mut bad = group.clone();
    bad.data[0][5] ^= 1;
    for at in (0..bad.parity[0].len()).step_by(section) {
        bad.parity[0][at + 9] ^= 4;
    }
    bad.expect_repair();
    // Both copies, in every parity file: the cells' digests say where to look, though not as closely.
    for file in 0..bad.parity.len() {
        let section = usize::try_from(bad.layout.section(file, 1)).unwrap();
        for at in (0..bad.parity[file].len()).step_by(section) {
            bad.parity[file][at] ^= 1;
            bad.parity[file][at + section - 1] ^= 1;
        }
    }
    bad.expect_repair();
    // A table of another bundle is in order, and is not believed.
    let mut foreign = group.clone();
    let mut other = Group::new(&[1000 * KIB, 700 * KIB], 30, u64::MAX);
    assert!(foreign.parity.len() == 1 || foreign.parity.len() == other.parity.len());
    other.data[0][5] ^= 1;
    foreign.data[0][5] ^= 1;
    foreign.expect_repair();
}

#[test]
fn a_parity_file_of_another_bundle_spoils_nothing() {
    let sizes = [200 * KIB; 4];
    let mut bad = Group::new(&sizes, 50, u64::MAX);
    assert_eq!(bad.parity.len(), 2);
    let mut dice = Dice(99);
    let mut other = bad.clone();
    other.good = sizes.iter().map(|s| dice.bytes(*s)).collect();
    let mut encoder = Encoder::new(&other.layout).unwrap();
    let mut foreign = Vec::new();
    for stripe in 0..other.layout.stripes() {
        let sections = encoder
            .stripe::<CodeError>(stripe, |block, room| {
                let at = usize::try_from(block.offset).unwrap();
                room.copy_from_slice(&other.good[block.file][at..at + room.len()]);
                Ok(())
            })
            .unwrap();
        foreign.extend_from_slice(&sections[0]);
    }
    bad.parity[0] = foreign;
    bad.data[2].clear();
    bad.expect_repair();
}

#[test]
fn the_code_and_the_table_never_change() {
    // What other programs must find as well; a change of this digest is a change of the format.
    let group = Group::new(&[70_000, 30_000], 50, u64::MAX);
    let all: Vec<u8> = group.parity.concat();
    assert_eq!(
        (group.layout.block(), group.layout.lane(), group.layout.recovery_files(), all.len()),
        (1, 1, &[5][..], 90_112)
    );
    assert_eq!(Digest::of(&all).hex(), "9d00433110920a0f9c1b98f5317c2e1635d2361a422b6e9ac3a434526fbdb358");
}

#[test]
fn layouts_keep_their_limits() {
    let group = |covers, block, lane, shards: &[u32], size: &dyn Fn(u32) -> u64| ParityGroup {
        covers,
        block,
        lane,
        files: shards
            .iter()
            .map(|s| ParityFile { shards: *s, size: size(*s), sha256: Digest::of(b"") })
            .collect(),
    };
    let section = |shards: u32| u64::from(shards) * SHARD as u64 + 2 * TABLE as u64;
    let one = |block, lane, shards| Layout::of(&group(1, block, lane, &[shards], &section), &[100 << 14]);
    one(100, 100, 10).unwrap();
    assert_eq!(one(0, 100, 10), Err(LayoutError::Lane));
    assert_eq!(one(100, 0, 10), Err(LayoutError::Lane));
    assert_eq!(one(100, 150, 10), Err(LayoutError::Lane));
    assert_eq!(one(100, 100_000_000, 10), Err(LayoutError::Lane));
    assert_eq!(one(100, 100, 0), Err(LayoutError::Shards));
    assert_eq!(one(100, 100, 101), Err(LayoutError::Shards));
    assert_eq!(one(1, 1, 1).map(|l| l.stripes()), Ok(1));
    // 100 × 10 shards and their recovery: n − 1, n and n + 1 of what a stripe may have
    let many = |lanes: u64, shards| {
        let size = lanes << 14;
        Layout::of(&group(1, 1, 1, &[shards], &section), &[size])
    };
    let most = u64::from(PARITY_SHARDS) - 16;
    many(most - 1, 16).unwrap();
    many(most, 16).unwrap();
    assert_eq!(many(most + 1, 16), Err(LayoutError::Shards));
    assert_eq!(many(most, 17), Err(LayoutError::Shards));
    let covers = |count: usize| {
        let group = group(u32::try_from(count).unwrap(), 1, 1, &[1], &section);
        Layout::of(&group, &vec![1; count]).map(drop)
    };
    covers(PARITY_COVERS - 1).unwrap();
    covers(PARITY_COVERS).unwrap();
    assert_eq!(covers(PARITY_COVERS + 1), Err(LayoutError::Covers));
    assert_eq!(covers(0), Err(LayoutError::Covers));
    let sized = |size| Layout::of(&group(1, 1, 1, &[1], &section), &[size]).map(drop);
    assert_eq!(sized(0), Err(LayoutError::Covers));
    assert_eq!(sized(VOLUME_BYTES + 1), Err(LayoutError::Covers));
    assert_eq!(sized(VOLUME_BYTES), Err(LayoutError::Shards));
    let wrong = Layout::of(&group(1, 1, 1, &[1], &|_| 5), &[1]);
    assert_eq!(wrong, Err(LayoutError::Size));
    let absurd = Layout::of(&group(1, 1, 1, &[u32::MAX, u32::MAX], &section), &[1]);
    assert_eq!(absurd, Err(LayoutError::Shards));
}

#[test]
fn every_plan_is_a_layout_and_spends_what_was_asked() {
    let mut dice = Dice(5);
    for round in 0..400 {
        let percent = Percent(u8::try_from(1 + dice.below(100)).unwrap());
        let count = 1 + dice.below(if round % 4 == 0 { 100 } else { 12 });
        let scale = 1 << (10 + dice.below(28));
        let sizes: Vec<u64> = (0..count).map(|_| 1 + dice.roll() % scale).collect();
        let layout = plan(&sizes, percent, u64::MAX).unwrap();
        let data = layout.data() as u64 * layout.stripes() * SHARD as u64;
        let total: u64 = sizes.iter().sum();
        assert!(data >= total);
        assert!(layout.recovery() * 100 >= layout.data() * usize::from(percent.get()), "{layout:?}");
        let promised = Survival::of(std::slice::from_ref(&layout)).unwrap();
        // As much parity as data is the most; of files of very different sizes that is fewer than the percentage of their number.
        let enough = promised.files as usize >= count * usize::from(percent.get()) / 100;
        assert!(enough || layout.recovery() == layout.data(), "{sizes:?} {percent}");
        // Every shard of every file is somewhere, and found again.
        for (file, size) in sizes.iter().enumerate() {
            let last = size.div_ceil(SHARD as u64);
            for shard in [0, dice.roll() % last, last - 1] {
                let (stripe, nth) = layout.stripe_of(file, shard).unwrap();
                let (found, offset, length) = layout.place(stripe, nth).unwrap();
                assert_eq!((found, offset), (file, shard * SHARD as u64));
                assert!(length > 0 && offset + length as u64 <= *size);
            }
            assert_eq!(layout.stripe_of(file, last), None);
        }
        let group = ParityGroup {
            covers: u32::try_from(count).unwrap(),
            block: layout.block(),
            lane: layout.lane(),
            files: layout
                .recovery_files()
                .iter()
                .enumerate()
                .map(|(n, s)| ParityFile {
                    shards: *s,
                    size: layout.parity_bytes(n),
                    sha256: Digest::of(b""),
                })
                .collect(),
        };
        assert_eq!(Layout::of(&group, &sizes), Ok(layout));
    }
}

#[test]
fn parity_files_fit_the_medium() {
    for limit in [4 << 20, 700 << 20, 3900 << 20, 23 << 30_u64] {
        for percent in [1, 5, 10, 20, 50, 100].map(Percent) {
            for volumes in [1, 2, 7, 10, 20, 33, 100] {
                let bytes = limit * volumes - limit / 3;
                let size = volume_limit(limit, bytes, percent);
                assert!(size <= limit && size > limit / 2, "{limit} {percent} {volumes}: {size}");
                let count = usize::try_from(bytes.div_ceil(size)).unwrap();
                for covers in groups(count, percent) {
                    let layout = plan(&vec![size; covers], percent, limit).unwrap();
                    let whole = covers * usize::from(percent.get()) / 100;
                    for n in 0..layout.recovery_files().len() {
                        assert!(layout.parity_bytes(n) <= limit);
                    }
                    let files = layout.recovery_files().len();
                    // The smallest volumes have too few stripes to be cut evenly.
                    let even = whole == 0 || files <= whole + 1 || limit < 100 << 20;
                    assert!(even, "{limit} {percent} {volumes}: {files} for {whole}");
                }
            }
        }
    }
}

#[test]
fn groups_are_as_equal_as_can_be() {
    let sizes = |volumes, percent| groups(volumes, Percent(percent));
    assert_eq!(sizes(0, 10), [] as [usize; 0]);
    assert_eq!(sizes(1, 10), [1]);
    assert_eq!(sizes(20, 10), [20]);
    assert_eq!(sizes(21, 10), [11, 10]);
    assert_eq!(sizes(100, 1), [100]);
    assert_eq!(sizes(9999, 1).iter().sum::<usize>(), 9999);
    assert!(sizes(9999, 1).iter().all(|n| (99..=100).contains(n)));
}

#[test]
fn names_and_percentages_have_one_form() {
    assert_eq!(ParityNumber::INDEX.file_name(), "parity-0000");
    assert_eq!(ParityNumber::parse_file_name("parity-0012"), ParityNumber::new(12));
    for bad in ["parity-12", "parity-00012", "parity-", "parity-+001", "Parity-0001", "parity-0001.par"] {
        assert_eq!(ParityNumber::parse_file_name(bad), None, "{bad}");
    }
    assert_eq!("10%".parse(), Ok(Percent(10)));
    for bad in ["", "10", "0%", "101%", "-1%", "+1%", "1.5%", "256%", "10 %", "%"] {
        assert!(bad.parse::<Percent>().is_err(), "{bad}");
    }
}
