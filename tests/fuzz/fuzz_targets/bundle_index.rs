#![no_main]

use libfuzzer_sys::fuzz_target;

use std::num::NonZeroU32;

fuzz_target!(|data: &[u8]| {
    let cell = NonZeroU32::new(256 << 10).expect("a constant");
    // as it comes, and as the content of a good frame
    let packed = zstd_of(data);
    for (input, open) in [(data, 1 << 20), (packed.as_slice(), data.len() as u64)] {
        if let Ok(mut reader) = chantal_bundle::index::Reader::new(input, open, cell) {
            while let Ok(Some(_)) = reader.next_item() {}
        }
    }
});

/// Wraps bytes into one raw frame.
fn zstd_of(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    let mut rest = data;
    loop {
        let (block, next) = rest.split_at(rest.len().min(128 << 10));
        let last = u32::from(next.is_empty());
        out.extend(&((block.len() as u32) << 3 | last).to_le_bytes()[..3]);
        out.extend(block);
        rest = next;
        if last == 1 {
            return out;
        }
    }
}
