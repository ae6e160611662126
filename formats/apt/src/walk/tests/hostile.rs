//! Upstreams that mean harm: signed ones, for what is not signed is not read.

use std::fmt::Write as _;

use chantal_contract::FormatError;
use serde_json::json;

use crate::harness::{Files, Repo, apt, gzip, stanza, walk, xz};

fn error_of(packages: &str) -> String {
    let repo = Repo::new("s").index("main/binary-amd64/Packages", packages);
    walk(&apt(json!({})), &repo.files()).unwrap_err().to_string()
}

#[test]
fn stanzas_that_could_do_harm_are_refused() {
    let good = stanza("a", "1", "amd64", b"a");
    let line = |field: &str| good.lines().find(|line| line.starts_with(field)).unwrap().to_owned();
    for (from, to, word) in [
        (line("Filename"), "Filename: ../../etc/passwd".to_owned(), "holds an empty, `.` or `..` segment"),
        (line("Filename"), "Filename: pool/../../etc/passwd".into(), "`..` segment"),
        (line("Filename"), "Filename: /etc/passwd".into(), "is absolute"),
        (line("Filename"), "Filename: pool\\a.deb".into(), "a backslash"),
        (line("Filename"), "Filename: pool/a\u{1b}[31m.deb".into(), "no control character"),
        (line("Filename"), "Filename: pool/a\0.deb".into(), "no control character"),
        (line("Filename"), "Filename: pool/a\r.deb".into(), "no control character"),
        (line("Filename"), format!("Filename: {}", "x".repeat(300)), "is longer than"),
        (line("Filename"), "Filename: pool/a\n b".into(), "a value on one line"),
        (line("Filename"), "Filename:".into(), "a value"),
        (line("Filename"), "X: y".into(), "a field `Filename`"),
        (line("Package"), "Package: a b".into(), "one word of printable ASCII"),
        (line("Package"), "Package: a/b".into(), "no slash"),
        (line("Package"), format!("Package: {}", "x".repeat(1025)), "passes the limit of 1024"),
        (line("Package"), "X: y".into(), "a field `Package`"),
        (line("Version"), "X: y".into(), "a field `Version`"),
        (line("Version"), "Version: 1\nversion: 2".into(), "each field once"),
        (line("Architecture"), "X: y".into(), "a field `Architecture`"),
        (line("Size"), "Size: -1".into(), "a decimal number"),
        (line("Size"), "Size: 99999999999999999999".into(), "a decimal number"),
        (line("Size"), "Size: 100000000000".into(), "a package's size passes the limit"),
        (line("Size"), "X: y".into(), "a field `Size`"),
        (
            line("SHA256"),
            "SHA1: da39a3ee5e6b4b0d3255bfef95601890afd80709".into(),
            "a field `SHA256` or `SHA512`",
        ),
        (line("SHA256"), "SHA256: e3b0".into(), "is no sha256 digest"),
        (line("SHA256"), "SHA256: x\nSha256: y".into(), "each field once"),
        (line("Description"), "Description: x\nunfolded".into(), "`Name: value`"),
    ] {
        let error = error_of(&good.replace(&from, &to));
        assert!(error.contains(word), "{to:?}: {error}");
        assert!(error.starts_with("`dists/s/main/binary-amd64/Packages.xz`"), "{error}");
    }
}

#[test]
fn a_name_of_the_longest_length_is_taken() {
    for (length, fits) in [(1023, true), (1024, true), (1025, false)] {
        let name = "x".repeat(length);
        let packages = stanza("a", "1", "amd64", b"a").replace("Package: a", &format!("Package: {name}"));
        let repo = Repo::new("s").index("main/binary-amd64/Packages", &packages);
        assert_eq!(walk(&apt(json!({})), &repo.files()).is_ok(), fits, "{length}");
    }
}

#[test]
fn line_ends_of_another_system_are_read_as_apt_reads_them() {
    let packages = format!("{}\n{}", stanza("a", "1", "amd64", b"a"), stanza("b", "1", "amd64", b"b"))
        .replace('\n', "\r\n");
    let repo = Repo::new("s").index("main/binary-amd64/Packages", &packages);
    let outcome = walk(&apt(json!({})), &repo.files()).unwrap();
    assert_eq!(outcome.keys(), ["a 1 amd64", "b 1 amd64"]);
    assert_eq!(outcome.payloads[1].path.as_str(), "pool/b_1_amd64.deb");
}

#[test]
fn sources_that_could_do_harm_are_refused() {
    let good = "Package: a\nVersion: 1\nDirectory: pool\nChecksums-Sha256:\n \
                ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb 1 a.dsc\n";
    for (from, to, word) in [
        ("pool", "../..", "`..` segment"),
        ("pool", "/etc", "is absolute"),
        ("a.dsc", "../a.dsc", "a file name without a directory"),
        ("a.dsc", "..", "`..` segment"),
        ("a.dsc", "a b", "a digest, a size and a file name"),
        ("1 a.dsc", "x a.dsc", "a decimal size"),
        ("Checksums-Sha256", "Files", "a field `Checksums-Sha256` or `Checksums-Sha512`"),
        (
            " ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb 1 a.dsc\n",
            "",
            "at least one file",
        ),
        ("Version: 1", "Version: 1\nVersion: 1", "each field once"),
    ] {
        let text = good.replace(from, to);
        let repo = Repo::new("s").index("main/binary-amd64/Packages", "").index("main/source/Sources", &text);
        let error = walk(&apt(json!({ "sources": true })), &repo.files()).unwrap_err().to_string();
        assert!(error.contains(word), "{text:?}: {error}");
    }
}

#[test]
fn an_index_of_10_gb_is_not_asked_for() {
    let mut repo = Repo::new("s").index("main/binary-amd64/Packages", "");
    repo.listed.retain(|path, _| !path.ends_with("Packages"));
    let release = repo
        .release()
        .replace("              ", "    10000000000")
        .replace("    10000000000 0", "    10000000000");
    let release: String = release
        .lines()
        .map(|line| match line.rsplit_once(' ') {
            Some((head, path)) if path.contains("Packages") => {
                format!(" {} 10000000000 {path}\n", head.split_whitespace().next().unwrap())
            }
            _ => format!("{line}\n"),
        })
        .collect::<Vec<_>>()
        .concat();
    let mut files: Files = repo.files();
    files.insert("dists/s/InRelease".into(), crate::harness::clearsigned(&release, "good AAAA"));
    let error = walk(&apt(json!({})), &files).unwrap_err();
    assert!(matches!(error, FormatError::Limit { what: "an index", .. }), "{error}");
}

#[test]
fn decompression_bombs_are_stopped() {
    // 1 GiB of one line, of empty lines, and of short lines: the first stops at the stanza's limit, the others by their ratio,
    // or, where gzip cannot reach that ratio, at the size that Release lists
    let line = vec![b'x'; 256 << 20];
    let blank = vec![b'\n'; 256 << 20];
    let zst = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    for (extension, bomb, word) in [
        (".xz", xz(&line), "a stanza passes the limit"),
        (".zst", zst(&line), "a stanza passes the limit"),
        (".gz", gzip(&line), "a stanza passes the limit"),
        (".xz", xz(&blank), "times its size"),
        (".zst", zst(&blank), "times its size"),
    ] {
        let repo = Repo::new("s").file(&format!("main/binary-amd64/Packages{extension}"), &bomb);
        let error = walk(&apt(json!({})), &repo.files()).unwrap_err().to_string();
        assert!(error.contains(word), "{extension}: {error}");
    }
    let repo = Repo::new("s")
        .index("main/binary-amd64/Packages", "")
        .file("main/binary-amd64/Packages.xz", &gzip(&blank));
    let repo =
        repo.without("main/binary-amd64/Packages.xz").file("main/binary-amd64/Packages.gz", &gzip(&blank));
    let error = walk(&apt(json!({})), &repo.files()).unwrap_err().to_string();
    assert!(error.contains("decompressed, it is not what `Release` lists: more than 0 bytes"), "{error}");
}

#[test]
fn a_cut_or_garbled_index_is_an_error_and_not_an_end() {
    let packages = stanza("a", "1", "amd64", b"a").repeat(100).replace("Package: a", "\nPackage: a");
    for codec in [xz, gzip] {
        let whole = codec(packages.as_bytes());
        let mut garbled = whole.clone();
        let middle = garbled.len() / 2;
        garbled[middle] ^= 0x55;
        for bytes in [&whole[..whole.len() - 9], &garbled] {
            let extension = if whole.starts_with(b"\xfd7zXZ") { ".xz" } else { ".gz" };
            let repo = Repo::new("s").file(&format!("main/binary-amd64/Packages{extension}"), bytes);
            assert!(walk(&apt(json!({})), &repo.files()).is_err(), "{extension}");
        }
    }
}

#[test]
fn tampered_indexes_do_not_reach_the_walk() {
    // the driver's part, shown here with the expectations that the walk gives it
    let repo = Repo::new("s").index("main/binary-amd64/Packages", &stanza("a", "1", "amd64", b"a"));
    let mut files = repo.files();
    let index = files.get_mut("dists/s/main/binary-amd64/Packages.xz").unwrap();
    index[20] ^= 1;
    let error = walk(&apt(json!({})), &files).unwrap_err().to_string();
    assert!(error.contains("expected sha256:"), "{error}");
}

#[test]
fn very_many_listed_files_take_no_more_than_their_number() {
    let mut release = Repo::new("s").index("main/binary-amd64/Packages", "").release();
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for n in 0..60_000 {
        writeln!(release, " {digest} 0 main/dep11/icons-{n}.tar.gz").unwrap();
    }
    let mut files = Files::new();
    files.insert("dists/s/InRelease".into(), crate::harness::clearsigned(&release, "good AAAA"));
    let keys = crate::harness::Keys(chantal_contract::Policy::Require);
    let apt = apt(json!({}));
    let mut walk = chantal_contract::Format::walk(&apt, &keys);
    let mut wants = 0;
    for want in walk.start().unwrap() {
        let found = files.get(want.path.as_str());
        let mut reader = std::io::Cursor::new(found.map(Vec::as_slice).unwrap_or_default());
        let measured = chantal_contract::Measured { sha256: chantal_contract::Digest::of(b""), size: 0 };
        let body = found.map(|_| chantal_contract::Body::checked(&mut reader, measured));
        let answer = chantal_contract::Answer { body, base: None, next: None };
        walk.feed(&want, answer, &mut |_| {
            wants += 1;
            Ok(())
        })
        .unwrap();
    }
    assert_eq!(wants, 60_001);
}

/// Flips bits, cuts and repeats parts of good input: everything ends in an answer or an error.
#[test]
fn garbled_input_never_panics() {
    let packages = [stanza("a", "1:1-1", "amd64", b"a"), stanza("b", "2~rc1", "all", b"b")].join("\n");
    let release = Repo::new("s")
        .field("Valid-Until: Sat, 18 Jul 2026 00:00:00 UTC")
        .index("main/a", &packages)
        .release();
    let deb = {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(packages.len() as u64);
        archive.append_data(&mut header, "control", packages.as_bytes()).unwrap();
        let control = archive.into_inner().unwrap();
        let member = |name: &str, size: usize| format!("{name:<16}{:<32}{size:<10}`\n", "0").into_bytes();
        [
            b"!<arch>\n".to_vec(),
            member("debian-binary", 4),
            b"2.0\n".to_vec(),
            member("control.tar", control.len()),
            control,
            member("data.tar", 0),
        ]
        .concat()
    };
    let path: chantal_contract::RepoPath = "x".parse().unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = |sides: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % sides
    };
    let mut answered = 0;
    for round in 0..3_000 {
        let mut bytes = [packages.as_bytes(), release.as_bytes(), &deb][round % 3].to_vec();
        for _ in 0..=dice(4) {
            let (at, other) = (dice(bytes.len()), dice(bytes.len()));
            match dice(4) {
                0 => bytes[at] ^= 1 << dice(8),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.extend_from_within(at.min(other)..at.max(other)),
                _ => bytes[at] = b"\n:\0 /.\xff-"[dice(8)],
            }
        }
        let mut input = bytes.as_slice();
        let split = crate::deb822::stanzas(&mut input, &path, &mut |stanza| {
            let _ = (crate::packages::binary(&stanza, &path), crate::packages::source(&stanza, &path));
            Ok(())
        });
        let read = crate::Release::parse(&bytes, &path);
        let inspected = crate::deb::inspect(&path, &mut std::io::Cursor::new(&bytes));
        let text = crate::clearsign::unverified_text(&crate::harness::clearsigned(
            &String::from_utf8_lossy(&bytes),
            "x",
        ));
        answered += usize::from(split.is_ok())
            + usize::from(read.is_ok())
            + usize::from(inspected.is_ok())
            + usize::from(text.is_some());
    }
    assert!(answered > 0, "not one input was left whole enough to be read");
}
