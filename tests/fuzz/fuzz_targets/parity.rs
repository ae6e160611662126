#![no_main]

use chantal_bundle::parity::{Layout, ParityFile, ParityGroup, Repairer, SHARD, Source, TABLE};
use chantal_contract::Digest;
use libfuzzer_sys::fuzz_target;

/// Protected files of zeros, and parity files of whatever the fuzzer makes.
struct Medium<'a>(&'a [u8]);

impl Source for Medium<'_> {
    fn data(&mut self, _: usize, offset: u64, room: &mut [u8]) -> bool {
        room.fill(0);
        offset % 3 != 0
    }
    fn parity(&mut self, file: usize, offset: u64, room: &mut [u8]) -> bool {
        let at = usize::try_from(offset).unwrap_or(0) / 7 + file;
        for (n, byte) in room.iter_mut().enumerate() {
            *byte = self.0.get((at + n) % self.0.len().max(1)).copied().unwrap_or(0);
        }
        // A table whose own checksum is right, so that what lies behind it is reached.
        if room.len() == TABLE {
            let (content, sum) = room.split_at_mut(TABLE - 4);
            sum.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
        }
        true
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((head, rest)) = data.split_at_checked(12) else { return };
    let number = |at: usize| u32::from(head[at]) | u32::from(head[at + 1]) << 8;
    let sizes = [u64::from(number(0)) + 1, u64::from(number(2)) << 4];
    let (block, lane) = (number(4), u64::from(number(6)));
    let stripes = lane.checked_div(u64::from(block)).unwrap_or(0);
    let file = |shards: u32| ParityFile {
        shards,
        size: stripes * (u64::from(shards) * SHARD as u64 + 2 * TABLE as u64),
        sha256: Digest::of(b""),
    };
    let files = vec![file(number(8)), file(number(10))];
    let group = ParityGroup { covers: 2, block, lane, files };
    let Ok(layout) = Layout::of(&group, &sizes) else { return };
    let Ok(mut repairer) = Repairer::new(&layout, Medium(rest)) else { return };
    for stripe in 0..layout.stripes().min(3) {
        let _ = repairer.is_damaged(0, stripe);
        let mut placed = |file: usize, offset: u64, bytes: &[u8]| {
            assert!(offset + bytes.len() as u64 <= layout.size(file));
        };
        let _ = repairer.repair(stripe, &mut |_, offset| offset % 3 == 0, &mut placed);
    }
});
