//! How long it takes to read a large suite; run by hand, in release mode:
//! `cargo test --release -p chantal-apt speed -- --ignored --nocapture`.

use std::fmt::Write as _;

use chantal_contract::{Answer, Body, Policy, Step, Walk, codec::Codec};
use serde_json::json;

use crate::{
    deb822::stanzas,
    harness::{Keys, Repo, apt, gzip, xz},
    packages,
    walk::AptWalk,
};

/// Writes some 63,000 stanzas, 50 MB, that compress as real ones do.
fn packages() -> String {
    let mut text = String::new();
    for n in 0..63_440_u64 {
        let digest = crate::harness::digest(chantal_contract::Algorithm::Sha256, &n.to_le_bytes());
        let rest = format!("{}{}", &digest[7..], &digest[..40]).repeat(4);
        write!(
            text,
            "Package: lib{}-{n}\nSource: src{}\nVersion: {}.{}-{}\nInstalled-Size: {n}\nMaintainer: Somebody <some@example.org>\n\
             Architecture: {}\nReplaces: lib{n}-old\nDepends: libc6 (>= 2.34), libgcc-s1 (>= 3.4), lib{}, lib{} (>= 1.2)\n\
             Description: library number {n} of many\nMulti-Arch: same\nHomepage: https://www.example.org/{}\n\
             Description-md5: {}\nTag: role::shared-lib, {}\nSection: libs\nPriority: optional\n\
             Filename: pool/main/l/lib{n}/lib{n}_{n}_amd64.deb\nSize: {}\nMD5sum: {}\nSHA256: {digest}\n\n",
            &digest[..6], &digest[..5], n % 30, n % 7, n % 5, if n % 3 == 0 { "all" } else { "amd64" },
            &digest[6..10], &digest[10..15], &digest[3..9], &digest[..32], &rest[..180], n * 1000, &digest[32..],
        ).unwrap();
    }
    text
}

/// Returns the processor's seconds that this thread has taken: what other programs of the machine take does not count.
fn seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn measured<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let start = seconds();
    let result = work();
    println!("{name}: {:.3} s", seconds() - start);
    result
}

#[test]
#[ignore = "a measurement"]
fn of_a_walk_over_a_large_suite() {
    let text = packages();
    println!("{} bytes in 63440 stanzas", text.len());
    let path = "dists/s/main/binary-amd64/Packages".parse().unwrap();
    let (xz, gz) = (xz(text.as_bytes()), gzip(text.as_bytes()));
    for (codec, bytes) in [(Codec::Plain, text.as_bytes()), (Codec::Gzip, &gz), (Codec::Xz, &xz)] {
        measured(&format!("{codec:?}, decoded"), || {
            let mut input = bytes;
            std::io::copy(&mut codec.decode(&mut input, u64::MAX).unwrap(), &mut std::io::sink()).unwrap()
        });
    }
    measured("split", || stanzas(&mut text.as_bytes(), &path, &mut |_| Ok(())).unwrap());
    measured("split and read", || {
        stanzas(&mut text.as_bytes(), &path, &mut |stanza| packages::binary(&stanza, &path).map(drop))
            .unwrap();
    });
    measured("digest of the plain text", || chantal_contract::Digest::of(text.as_bytes()));
    let apt = apt(json!({}));
    let keys = Keys(Policy::Off);
    let anchor = "dists/s/InRelease".parse().unwrap();
    let release = Repo::new("s").file("main/binary-amd64/Packages", text.as_bytes()).release();
    for (extension, bytes) in [("", text.as_bytes()), (".gz", &gz), (".xz", &xz)] {
        let mut walk = AptWalk::new(&apt, &keys);
        let mut wants = Vec::new();
        walk.unfold(&apt.suites[0], release.as_bytes(), &anchor, &mut |step| {
            if let Step::Want(want) = step {
                wants.push(want);
            }
            Ok(())
        })
        .unwrap();
        let mut want = wants.remove(0);
        want.path = format!("{path}{extension}").parse().unwrap();
        let mut reader = std::io::Cursor::new(bytes);
        let whole = chantal_contract::Measured {
            sha256: chantal_contract::Digest::of(bytes),
            size: bytes.len() as u64,
        };
        let mut count = 0;
        measured(&format!("walk over Packages{extension}"), || {
            let answer = Answer { body: Some(Body::checked(&mut reader, whole)), base: None, next: None };
            walk.feed(&want, answer, &mut |step| {
                count += usize::from(matches!(step, Step::Package(..)));
                Ok(())
            })
            .unwrap();
        });
        assert_eq!(count, 63_440);
    }
}
