//! SHA-256 by itself: the floor under every transfer.

use sha2::{Digest as _, Sha256};

use crate::table::{Row, timed};

/// Hashes as many bytes once, twice, and twice in turns, as an export does with a volume and its cells.
pub fn measure(quick: bool) {
    let bytes: Vec<u8> = (0..251).cycle().take(if quick { 32 << 20 } else { 256 << 20 }).collect();
    let best =
        |work: &mut dyn FnMut()| (0..5).map(|_| timed(&mut *work)).min_by_key(|cost| cost.wall).unwrap();
    let of = |piece| {
        let (mut a, mut b) = (Sha256::new(), Sha256::new());
        for piece in bytes.chunks(piece) {
            a.update(piece);
            b.update(piece);
        }
        assert_eq!(a.finalize(), b.finalize());
    };
    let once = best(&mut || _ = std::hint::black_box(Sha256::digest(&bytes)));
    let row = |work: &str, cost| Row::new(work, cost).bytes(bytes.len() as u64);
    row("SHA-256, one pass", once).print();
    row("SHA-256, two passes, a mebibyte each in turn", best(&mut || of(1 << 20)))
        .beside("one pass", once)
        .print();
    row("SHA-256, two passes, 64 bytes each in turn", best(&mut || of(64))).beside("one pass", once).print();
}
