//! What a walk says of packages that several indexes list.

use chantal_contract::Algorithm;
use serde_json::json;

use crate::harness::{Repo, apt, digest, stanza, walk};

fn repo(packages: &[String]) -> Repo {
    Repo::new("s").index("main/binary-amd64/Packages", &packages.join("\n"))
}

#[test]
fn a_package_comes_with_its_record_verbatim() {
    let record = stanza("hello", "1:2.10-3", "amd64", b"hello").replace("Package:", "PACKAGE:");
    let outcome =
        walk(&apt(json!({})), &repo(&[stanza("a", "1", "amd64", b"a"), record.clone()]).files()).unwrap();
    let (package, bytes) = &outcome.packages[1];
    assert_eq!(String::from_utf8_lossy(bytes), record);
    assert_eq!(package.key.encode(), "hello 1:2.10-3 amd64");
    assert_eq!(package.group.name, "hello:amd64");
    assert_eq!(package.version.0, "1:2.10-3");
    assert_eq!(package.summary, "what hello does");
    assert_eq!(package.files.len(), 1);
    let file = &package.files[0];
    assert_eq!(file.path.as_str(), "pool/hello_1:2.10-3_amd64.deb");
    assert_eq!(file.expect, crate::harness::exactly(b"hello"));
}

#[test]
fn what_every_architecture_and_suite_lists_comes_once() {
    let shared = stanza("doc", "1", "all", b"doc");
    let mut files = Repo::new("s")
        .index("main/binary-amd64/Packages", &shared)
        .index("main/binary-arm64/Packages", &format!("{shared}\n{}", stanza("b", "1", "arm64", b"b")))
        .files();
    files.extend(
        Repo::new("t")
            .index("main/binary-amd64/Packages", &shared)
            .index("main/binary-arm64/Packages", "")
            .files(),
    );
    let outcome =
        walk(&apt(json!({ "suites": ["s", "t"], "architectures": ["amd64", "arm64"] })), &files).unwrap();
    assert_eq!(outcome.keys(), ["doc 1 all", "b 1 arm64"]);
    assert_eq!(outcome.notices, [""; 0]);
}

#[test]
fn same_name_version_and_architecture_with_other_bytes_are_both_mirrored_and_reported() {
    let first = stanza("a", "1", "amd64", b"one");
    let second = stanza("a", "1", "amd64", b"two").replace("Filename: pool/", "Filename: pool/other/");
    let again = second.clone();
    let outcome = walk(&apt(json!({})), &repo(&[first, second, again]).files()).unwrap();
    let variant = format!("a 1 amd64 sha256:{}", digest(Algorithm::Sha256, b"two"));
    assert_eq!(outcome.keys(), ["a 1 amd64", &variant]);
    assert_eq!(outcome.payloads.len(), 2);
    assert!(
        outcome.notices[0].ends_with("lists `a 1 amd64` with other bytes than before"),
        "{:?}",
        outcome.notices
    );
}

#[test]
fn one_path_cannot_hold_two_files() {
    let first = stanza("a", "1", "amd64", b"one");
    let second = stanza("b", "1", "amd64", b"two").replace("pool/b_", "pool/a_");
    let outcome = walk(&apt(json!({})), &repo(&[first, second]).files()).unwrap();
    assert_eq!(outcome.keys(), ["a 1 amd64"]);
    assert!(
        outcome.notices[0].contains("lists `b 1 amd64` with other bytes than before, under the same path")
    );
}

#[test]
fn many_contradictions_are_summed_up() {
    let packages: Vec<String> = (0..50)
        .map(|n| stanza("a", "1", "amd64", &[n]).replace("Filename: pool/", &format!("Filename: pool/{n}/")))
        .collect();
    let outcome = walk(&apt(json!({})), &repo(&packages).files()).unwrap();
    assert_eq!(outcome.packages.len(), 50);
    assert_eq!(outcome.notices.len(), 21);
    assert!(outcome.notices[20].contains("list 29 more packages"), "{}", outcome.notices[20]);
}

#[test]
fn source_packages_come_with_all_their_files() {
    let sources = format!(
        "Package: a\nBinary: a, a-doc\nVersion: 1.0-1\nFiles:\n 00 1 a.dsc\nDirectory: pool/main/a\nChecksums-Sha256:\n \
         {} 3 a_1.0-1.dsc\n {} 4 a_1.0.orig.tar.gz\n",
        digest(Algorithm::Sha256, b"dsc"),
        digest(Algorithm::Sha256, b"orig"),
    );
    let repo = repo(&[]).index("main/source/Sources", &sources);
    let outcome = walk(&apt(json!({ "sources": true })), &repo.files()).unwrap();
    assert_eq!(outcome.keys(), ["a 1.0-1 source"]);
    let paths: Vec<_> = outcome.payloads.iter().map(|want| want.path.as_str()).collect();
    assert_eq!(paths, ["pool/main/a/a_1.0-1.dsc", "pool/main/a/a_1.0.orig.tar.gz"]);
    assert_eq!(outcome.payloads[1].expect, crate::harness::exactly(b"orig"));
    let flat = Repo::flat("").index("Packages", "").index("Sources", &sources.replace("pool/main/a", "."));
    let outcome =
        walk(&apt(json!({ "suites": ["./"], "components": [], "sources": true })), &flat.files()).unwrap();
    assert_eq!(outcome.payloads[0].path.as_str(), "a_1.0-1.dsc");
}

#[test]
fn the_number_of_packages_is_limited() {
    for (count, fits) in [(4, true), (5, true), (6, false)] {
        let mut seen = super::super::seen::Seen::limited(5);
        let result = (0..count).try_for_each(|n| {
            let text = stanza(&format!("p{n}"), "1", "amd64", b"x");
            let stanza = crate::deb822::Stanza { bytes: text.as_bytes(), line: 1 };
            let index = "Packages".parse().unwrap();
            seen.take(crate::packages::binary(&stanza, &index).unwrap(), text.as_bytes(), &index, &mut |_| {
                Ok(())
            })
        });
        assert_eq!(result.is_ok(), fits, "{count}: {result:?}");
    }
}
