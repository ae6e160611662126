//! What a suite is proved from, and what of it is published.

use chantal_contract::{FormatError, Policy, VerifyError};
use serde_json::json;

use crate::harness::{Files, Keys, Outcome, Repo, apt, clearsigned, drive, stanza, walk};

const POLICIES: [Policy; 3] = [Policy::Require, Policy::IfPresent, Policy::Off];

fn repo() -> Repo {
    Repo::new("s").index("main/binary-amd64/Packages", &stanza("a", "1", "amd64", b"a"))
}

fn walk_under(policy: Policy, files: &Files) -> Result<Outcome, FormatError> {
    drive(&apt(json!({})), files, &Keys(policy), false)
}

fn refusal(result: Result<Outcome, FormatError>) -> VerifyError {
    match result {
        Err(FormatError::Verify { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_forms_are_published_byte_for_byte_where_they_agree() {
    let files = repo().files();
    for policy in POLICIES {
        for backwards in [false, true] {
            let outcome = drive(&apt(json!({})), &files, &Keys(policy), backwards).unwrap();
            assert_eq!(
                outcome.names(),
                [
                    "dists/s/InRelease",
                    "dists/s/Release",
                    "dists/s/Release.gpg",
                    "dists/s/main/binary-amd64/Packages.xz"
                ]
            );
            for (path, bytes) in &outcome.tree {
                assert_eq!(files.get(path), Some(bytes), "{path}");
            }
            assert_eq!(outcome.notices, [""; 0]);
            assert_eq!(outcome.keys(), ["a 1 amd64"]);
        }
    }
}

#[test]
fn a_release_of_another_generation_is_left_out_with_its_signature() {
    let mut files = repo().files();
    let older = repo().release().replace("11 Jul", "10 Jul");
    files.insert("dists/s/Release".into(), older.into_bytes());
    for policy in POLICIES {
        let outcome = walk_under(policy, &files).unwrap();
        assert_eq!(outcome.names(), ["dists/s/InRelease", "dists/s/main/binary-amd64/Packages.xz"]);
        assert_eq!(outcome.notices.len(), 1);
        assert!(
            outcome.notices[0].contains("dists/s/Release: is of another generation"),
            "{:?}",
            outcome.notices
        );
    }
}

#[test]
fn a_second_form_whose_signature_is_bad_is_left_out() {
    let mut files = repo().files();
    files.insert("dists/s/Release.gpg".into(), b"forged".to_vec());
    let outcome = walk_under(Policy::Require, &files).unwrap();
    assert_eq!(outcome.names(), ["dists/s/InRelease", "dists/s/main/binary-amd64/Packages.xz"]);
    assert!(outcome.notices[0].contains("Release.gpg: is left out with what it signs: bad signature"));
    assert_eq!(outcome.coverage.signed.len(), 1);
}

#[test]
fn either_form_alone_suffices() {
    let mut only_in_release = repo().files();
    only_in_release.remove("dists/s/Release");
    only_in_release.remove("dists/s/Release.gpg");
    let outcome = walk_under(Policy::Require, &only_in_release).unwrap();
    assert_eq!(outcome.names(), ["dists/s/InRelease", "dists/s/main/binary-amd64/Packages.xz"]);
    let mut only_release = repo().files();
    only_release.remove("dists/s/InRelease");
    let outcome = walk_under(Policy::Require, &only_release).unwrap();
    assert_eq!(
        outcome.names(),
        ["dists/s/Release", "dists/s/Release.gpg", "dists/s/main/binary-amd64/Packages.xz"]
    );
    assert_eq!(
        outcome.coverage.signed.iter().map(AsRef::<str>::as_ref).collect::<Vec<_>>(),
        ["dists/s/Release"]
    );
    assert_eq!(outcome.coverage.signers[0].0, "AAAA");
}

#[test]
fn without_a_good_signature_nothing_is_read() {
    let mut forged = repo().files();
    forged.insert("dists/s/InRelease".into(), clearsigned(&repo().release(), "forged"));
    assert!(matches!(refusal(walk_under(Policy::Require, &forged)), VerifyError::Bad(_)));
    assert!(matches!(refusal(walk_under(Policy::IfPresent, &forged)), VerifyError::Bad(_)));
    // a good Release.gpg beside it does not make up for a bad InRelease
    assert!(forged.contains_key("dists/s/Release.gpg"));

    let mut unsigned = repo().files();
    unsigned.remove("dists/s/InRelease");
    unsigned.remove("dists/s/Release.gpg");
    assert_eq!(refusal(walk_under(Policy::Require, &unsigned)), VerifyError::Unsigned);
    let outcome = walk_under(Policy::IfPresent, &unsigned).unwrap();
    assert_eq!(outcome.notices, ["dists/s/Release: is not signed"]);
    assert!(outcome.coverage.signers.is_empty() && outcome.coverage.signed.is_empty());
    assert!(walk_under(Policy::Off, &unsigned).is_ok());

    let mut plain = unsigned.clone();
    plain.insert("dists/s/InRelease".into(), repo().release().into_bytes());
    assert_eq!(refusal(walk_under(Policy::Require, &plain)), VerifyError::Unsigned);
    assert!(walk_under(Policy::IfPresent, &plain).unwrap().notices[0].contains("InRelease: is not signed"));
}

#[test]
fn only_what_is_inside_the_frame_is_read() {
    let evil = "SHA256:\n 0000000000000000000000000000000000000000000000000000000000000000 1 main/binary-amd64/Packages\n";
    for policy in POLICIES {
        let mut files = repo().files();
        let signed = String::from_utf8(files["dists/s/InRelease"].clone()).unwrap();
        files.insert("dists/s/InRelease".into(), format!("{evil}\n{signed}").into_bytes());
        let result = walk_under(policy, &files);
        assert!(result.is_err(), "{policy:?}: {result:?}");
        // behind the frame: the verifier's affair (this one refuses), and without one it is not read
        files.insert("dists/s/InRelease".into(), format!("{signed}{evil}").into_bytes());
        match walk_under(policy, &files) {
            Ok(outcome) => assert!(policy == Policy::Off && outcome.keys() == ["a 1 amd64"]),
            Err(error) => assert!(policy != Policy::Off && error.is_refusal(), "{policy:?}: {error}"),
        }
    }
}

#[test]
fn a_suite_that_is_not_there_is_named() {
    let error = walk(&apt(json!({ "suites": ["bookwurm"] })), &repo().files()).unwrap_err();
    assert!(matches!(error, FormatError::NotOffered { .. }));
    assert_eq!(
        error.to_string(),
        "`dists/bookwurm/InRelease`: suite `bookwurm` is not there; it has neither `InRelease` nor `Release` in that directory"
    );
}

#[test]
fn several_suites_are_covered_from_the_latest_date_to_the_earliest_end() {
    let at = |suite: &str, date: &str, until: &str| {
        let mut repo =
            Repo::new(suite).index("main/binary-amd64/Packages", &stanza(suite, "1", "amd64", b"a"));
        repo.fields = repo.fields.replace("11 Jul 2026", date);
        if until.is_empty() { repo } else { repo.field(&format!("Valid-Until: {until} UTC")) }
    };
    let mut files = at("one", "11 Jul 2026", "Sat, 18 Jul 2026 00:00:00").files();
    files.extend(at("two", "12 Jul 2026", "Fri, 17 Jul 2026 00:00:00").files());
    files.extend(at("three", "10 Jul 2026", "").files());
    files.insert(
        "dists/two/InRelease".into(),
        clearsigned(&String::from_utf8_lossy(&files["dists/two/Release"]), "good BBBB"),
    );
    for backwards in [false, true] {
        let apt = apt(json!({ "suites": ["one", "two", "three"] }));
        let outcome = drive(&apt, &files, &Keys(Policy::Require), backwards).unwrap();
        assert_eq!(outcome.coverage.date.unwrap().to_string(), "2026-07-12T10:16:37Z");
        assert_eq!(outcome.coverage.valid_until.unwrap().to_string(), "2026-07-17T00:00:00Z");
        assert_eq!(outcome.coverage.signers.iter().map(|f| &*f.0).collect::<Vec<_>>(), ["AAAA", "BBBB"]);
        assert_eq!(outcome.coverage.signed.len(), 6);
        let mut keys = outcome.keys();
        keys.sort();
        assert_eq!(keys, ["one 1 amd64", "three 1 amd64", "two 1 amd64"]);
    }
}

#[test]
fn a_date_that_cannot_be_read_is_a_notice() {
    let mut repo = repo();
    repo.fields = repo.fields.replace("Sat, 11 Jul 2026 10:16:37 UTC", "someday");
    let outcome = walk(&apt(json!({})), &repo.files()).unwrap();
    assert!(outcome.notices[0].contains("has no `Date`"));
    assert_eq!(outcome.coverage.date, None);
}

#[test]
fn a_release_of_another_suite_is_reported() {
    let named = |suite: &str, fields: &str| {
        let mut repo = Repo::new(suite).index("main/binary-amd64/Packages", "");
        repo.fields = repo.fields.replace(&format!("Suite: {suite}\n"), fields);
        walk(&apt(json!({ "suites": [suite] })), &repo.files()).unwrap().notices
    };
    assert_eq!(named("bookworm", "Suite: stable\nCodename: bookworm\n"), [""; 0]);
    assert_eq!(named("stable", "Suite: stable\nCodename: bookworm\n"), [""; 0]);
    assert_eq!(named("stretch/updates", "Suite: oldoldstable\nCodename: stretch\n"), [""; 0]);
    assert_eq!(named("nodistro", ""), [""; 0]);
    assert_eq!(
        named("trixie", "Suite: stable\nCodename: bookworm\n"),
        [
            "dists/trixie/InRelease: calls itself `stable` and `bookworm`, not `trixie`: clients will warn of it"
        ]
    );
}
