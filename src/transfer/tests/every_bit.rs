//! A small bundle with every bit of it flipped in turn, and every file of it cut at every byte.
//!
//! `CHANTAL_EVERY_POINT=1` leaves nothing out; without it one bit of every byte is flipped, and of what is long, some.

use super::*;

/// Tells whether nothing is left out, which takes many minutes.
fn everything() -> bool {
    std::env::var_os("CHANTAL_EVERY_POINT").is_some()
}

/// Returns how far apart the bytes of a file are that are looked at: files that are compared as a whole need fewer.
fn stride(file: &str) -> usize {
    match file.split(['/', '-', '.']).next() {
        _ if everything() => 1,
        Some("REVIEW") => 199,
        Some("parity") => 997,
        Some("copy") => 41,
        Some("review" | "origin" | "SHA256SUMS") => 13,
        _ => 1,
    }
}

/// Returns which bits of a byte are flipped.
fn bits(place: usize) -> std::ops::Range<usize> {
    if everything() { 0..8 } else { place % 8..place % 8 + 1 }
}

/// A bundle that a site hands on, so that it has every kind of file, and the site that it is for.
fn handed_on(parity: Option<&str>) -> (Side, Side, Written) {
    let (collector, mut plant) = sides();
    collector.state("bookworm", &[("a", b"a"), ("b", b"bb")], 1);
    imported(plant.import(&collector.export(&["bookworm"], "none").path));
    plant.to = site("ship-3");
    plant.parity = parity.map(|percent| percent.parse().unwrap());
    let written = plant.export(&["bookworm"], "none");
    assert_eq!(written.manifest.origins.len(), 1);
    let ship = Side::new("ship-3");
    ship.trust(&plant);
    ship.trust(&collector);
    (plant, ship, written)
}

/// The files of a bundle in a directory, put back after each was spoiled.
fn spoiled(written: &Written, mut judge: impl FnMut(&str, &[u8], &Path)) {
    let media = tempfile::tempdir().unwrap();
    copy_tree(&written.path, media.path());
    let kinds =
        ["trust", "manifest", "signatures", "index", "volume", "origin", "review", "REVIEW", "SHA256SUMS"];
    let all = files(media.path());
    for kind in kinds {
        assert!(all.keys().any(|file| file.starts_with(kind)), "there is no {kind}");
    }
    for (file, bytes) in &all {
        judge(file, bytes, media.path());
        fs::write(media.path().join(file), bytes).unwrap();
    }
    assert!(files(media.path()) == all);
}

/// Asserts that a spoiled bundle changes nothing: neither an import nor a verification takes it.
fn assert_refused(ship: &Side, dir: &Path, file: &str, what: &str) {
    // an import does not read the sums: they are for people with `sha256sum`
    if file != "SHA256SUMS" {
        let error = refused(ship.import(dir));
        assert!(!error.to_string().is_empty(), "{what}");
        assert!(ship.newest("bookworm").is_none(), "{what}: {error}");
    }
    let verified = verify(&ship.store, &[dir.into()], &Silent).and_then(|mut found| found.remove(0));
    assert!(!verified.is_ok_and(|verification| verification.is_good()), "{what}");
}

#[test]
fn no_flipped_bit_of_a_small_bundle_is_accepted() {
    let (_plant, ship, written) = handed_on(None);
    let entries = ship.entries();
    let mut flips = 0;
    spoiled(&written, |file, good, dir| {
        for place in (0..good.len()).step_by(stride(file)).chain([good.len() - 1]) {
            for bit in bits(place) {
                let mut bad = good.to_vec();
                bad[place] ^= 1 << bit;
                fs::write(dir.join(file), bad).unwrap();
                assert_refused(&ship, dir, file, &format!("{file}, byte {place}, bit {bit}"));
                flips += 1;
            }
        }
    });
    println!("{flips} flips");
    assert!(flips > 3000, "{flips}");
    assert!(ship.entries() <= entries + 1, "more was decided than that a volume is waited for");
    imported(ship.import(&written.path));
}

#[test]
fn a_small_bundle_that_is_cut_at_any_byte_is_refused() {
    let (_plant, ship, written) = handed_on(None);
    let entries = ship.entries();
    let mut cuts = 0;
    spoiled(&written, |file, good, dir| {
        for length in (0..good.len()).step_by(stride(file)).chain([good.len() - 1]) {
            fs::write(dir.join(file), &good[..length]).unwrap();
            assert_refused(&ship, dir, file, &format!("{file}, {length} of {} bytes", good.len()));
            cuts += 1;
        }
        // and one byte more than there should be
        fs::write(dir.join(file), [good, b"\0"].concat()).unwrap();
        assert_refused(&ship, dir, file, &format!("{file}, with a byte behind it"));
    });
    println!("{cuts} cuts");
    assert!(cuts > 3000, "{cuts}");
    assert!(ship.entries() <= entries + 1, "more was decided than that a volume is waited for");
    imported(ship.import(&written.path));
}

/// What became of a spoiled bundle that has parity.
#[derive(Default)]
struct Tally {
    taken: usize,
    refused: usize,
}

impl Tally {
    /// Asserts that a spoiled bundle with parity is either refused, or seen to be spoiled and repaired to what was sent.
    fn judge(&mut self, plant: &Side, ship: &Side, dir: &Path, file: &str, what: &str) {
        let page = ["REVIEW", "review", "origin"].iter().any(|kind| file.starts_with(kind));
        match verify(&ship.store, &[dir.into()], &Silent).and_then(|mut found| found.remove(0)) {
            Ok(verification) if file == "SHA256SUMS" => assert!(!verification.is_good(), "{what}"),
            Ok(verification) => {
                // people have read the page, and of a proof there is no second copy: neither is made anew
                assert!(
                    !page && verification.is_signed() && verification.is_whole(),
                    "{what}: {verification:?}"
                );
                assert!(!verification.is_sound(), "{what} was not seen");
                self.taken += 1;
                // an import costs a store of its own: of some
                if self.taken.is_multiple_of(41) {
                    let fresh = ship.twin();
                    fresh.trust(plant);
                    imported(fresh.import(dir));
                    assert_eq!(fresh.newest("bookworm"), plant.newest("bookworm"), "{what}");
                    assert_eq!(fresh.read("bookworm", "b"), b"bb", "{what}");
                }
            }
            Err(error) => {
                assert!(page && error.is_refusal(), "{what}: {error}");
                refused(ship.import(dir));
                assert!(ship.newest("bookworm").is_none(), "{what}");
                self.refused += 1;
            }
        }
    }
}

#[test]
fn any_flipped_bit_or_cut_of_a_small_bundle_with_parity_is_repaired_or_refused() {
    let (plant, ship, written) = handed_on(Some("20%"));
    let mut tally = Tally::default();
    // what is not looked at here is in the tests above
    let stride = |file: &str| if everything() { 1 } else { 5 * stride(file) };
    spoiled(&written, |file, good, dir| {
        for place in (0..good.len()).step_by(stride(file)) {
            for bit in bits(place) {
                let mut bad = good.to_vec();
                bad[place] ^= 1 << bit;
                fs::write(dir.join(file), bad).unwrap();
                tally.judge(&plant, &ship, dir, file, &format!("{file}, byte {place}, bit {bit}"));
            }
        }
        for length in (0..good.len()).step_by(stride(file)) {
            fs::write(dir.join(file), &good[..length]).unwrap();
            tally.judge(&plant, &ship, dir, file, &format!("{file}, {length} of {} bytes", good.len()));
        }
    });
    let Tally { taken, refused } = tally;
    println!("{taken} were repaired or had a second copy, {refused} were refused");
    assert!(taken > 1000 && refused > 100, "{taken} and {refused}");
    imported(ship.import(&written.path));
}
