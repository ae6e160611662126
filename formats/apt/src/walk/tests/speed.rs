//! How long it takes to read a large suite; run by hand, in release mode:
//! `cargo test --release -p chantal-apt speed -- --ignored --nocapture`.

use std::{fmt::Write as _, time::Instant};

use serde_json::json;

use crate::harness::{Repo, apt, gzip, walk, xz};

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

#[test]
#[ignore = "a measurement"]
fn of_a_walk_over_a_large_suite() {
    let text = packages();
    println!("{} bytes in 63440 stanzas", text.len());
    let plain = xz(text.as_bytes());
    let start = Instant::now();
    let mut decoded = Vec::new();
    let mut input = plain.as_slice();
    let mut reader = chantal_contract::codec::Codec::Xz.decode(&mut input, u64::MAX).unwrap();
    std::io::copy(&mut reader, &mut decoded).unwrap();
    println!("xz alone: {:.3} s for {} bytes", start.elapsed().as_secs_f64(), plain.len());
    for (name, bytes) in [
        ("Packages.xz", plain.clone()),
        ("Packages.gz", gzip(text.as_bytes())),
        ("Packages", text.clone().into_bytes()),
    ] {
        let mut repo = Repo::new("s").file(&format!("main/binary-amd64/{name}"), &bytes);
        repo.listed.insert("main/binary-amd64/Packages".into(), text.clone().into_bytes());
        if name != "Packages" {
            repo = repo.without("main/binary-amd64/Packages");
        }
        let files = repo.files();
        let start = Instant::now();
        let outcome = walk(&apt(json!({})), &files).unwrap();
        println!(
            "{name}: {:.3} s for {} packages, the harness' own hashing included",
            start.elapsed().as_secs_f64(),
            outcome.packages.len()
        );
    }
}
