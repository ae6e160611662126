use chantal_bundle::index::review::ListedPackage;
use chantal_contract::{Digest, Group as GroupName, Key as PackageKey};

use super::*;

fn package(name: &str, version: &str, bytes: &str) -> ListedPackage {
    ListedPackage {
        group: GroupName { name: format!("{name}:amd64"), stream: None },
        key: PackageKey::new(name, version, "amd64"),
        sha256: Some(Digest::of(bytes.as_bytes())),
        size: 10,
    }
}

/// Says what becomes of a group in apt's order of versions.
fn changes(lines: &[(Side, &str, &str)]) -> Vec<String> {
    let options = serde_json::json!({ "suites": ["s"], "components": ["c"], "architectures": ["amd64"] });
    let apt = chantal_apt::Apt::from_value(options).unwrap();
    let mut group = Group::default();
    for (side, version, bytes) in lines {
        assert!(group.take(*side, &package("p", version, bytes)));
    }
    let mut found = Vec::new();
    group.changes(&apt, &mut |row| {
        let word = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".into());
        let change = row.change;
        found.push(format!(
            "{} {} {} {}",
            change.change.name(),
            word(&change.old),
            word(&change.new),
            row.bytes
        ));
    });
    found
}

#[test]
fn a_group_changes_by_its_newest_version() {
    use Side::{Base, Both, New};
    for (lines, expected) in [
        (&[(New, "1.0", "a")][..], &["added - 1.0 10"][..]),
        (&[(Base, "1.0", "a")], &["removed 1.0 - 0"]),
        (&[(Base, "1.9", "a"), (New, "1.10", "b")], &["upgraded 1.9 1.10 10"]),
        (&[(Base, "1.10", "a"), (New, "1.9", "b")], &["downgraded 1.10 1.9 10"]),
        (&[(Base, "2.0", "a"), (New, "2.0~rc1", "b")], &["downgraded 2.0 2.0~rc1 10"]),
        // the former newest stays
        (&[(New, "1.10", "b"), (Both, "1.9", "a")], &["upgraded 1.9 1.10 10"]),
        // an older version comes beside a newer one: nobody goes back
        (&[(New, "1.8", "b"), (Both, "1.9", "a")], &["added - 1.8 10"]),
        // the newest is taken away and leaves an older one: everybody goes back, and nothing comes
        (&[(Base, "1.10", "b"), (Both, "1.9", "a")], &["downgraded 1.10 1.9 0"]),
        (&[(Base, "1.8", "b"), (Both, "1.9", "a")], &["removed 1.8 - 0"]),
        (
            &[(Base, "1", "a"), (Base, "2", "b"), (New, "3", "c"), (New, "4", "d")],
            &["upgraded 2 4 10", "removed 1 - 0", "added - 3 10"],
        ),
        (&[(Base, "1", "a"), (New, "1", "b")], &["replaced 1 1 10"]),
        (&[(Base, "1", "a"), (New, "1", "b"), (New, "2", "c")], &["replaced 1 1 10", "upgraded 1 2 10"]),
        // an epoch outweighs all
        (&[(Base, "9", "a"), (New, "1:1", "b")], &["upgraded 9 1:1 10"]),
    ] {
        assert_eq!(changes(lines), expected, "{lines:?}");
    }
}

#[test]
fn what_upstream_did_not_have_comes_and_is_not_replaced() {
    let mut absent = package("p", "1", "");
    (absent.sha256, absent.size) = (None, 0);
    let options = serde_json::json!({ "suites": ["s"], "components": ["c"], "architectures": ["amd64"] });
    let apt = chantal_apt::Apt::from_value(options).unwrap();
    let mut group = Group::default();
    assert!(group.take(Side::Base, &absent) && group.take(Side::New, &package("p", "1", "a")));
    let mut found = Vec::new();
    group.changes(&apt, &mut |row| found.push(row.change.change));
    assert!(!found.contains(&What::Replaced), "{found:?}");
}

#[test]
fn a_package_that_leaves_one_repository_for_another_has_moved() {
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    let change = |what, version: &str| Change {
        change: what,
        name: "p".into(),
        architecture: String::new(),
        old: None,
        new: Some(version.into()),
        size: 1,
        sha256: None,
    };
    let mut moves = Moves::default();
    moves.note(0, &change(What::Removed, "1"), Some(&a), None);
    moves.note(0, &change(What::Upgraded, "3"), Some(&b), None);
    moves.note(1, &change(What::Added, "1"), None, Some(&a));
    // within one repository nothing moves
    moves.note(0, &change(What::Added, "2"), None, Some(&b));
    let found: Vec<Unusual> = moves.found(&["one".into(), "two".into()]).into_iter().collect();
    let (from, to) = ("one".to_owned(), "two".to_owned());
    assert_eq!(found, [Unusual::Moved { name: "p".into(), version: "1".into(), from, to }]);
}

fn signed(keys: &[(&str, Side)]) -> Vec<Unusual> {
    let signers: Vec<Signer> = keys
        .iter()
        .map(|(key, side)| Signer {
            kind: SignerKind::Signed,
            key: chantal_contract::Fingerprint((*key).into()),
            side: *side,
        })
        .collect();
    let mut state = StateReview { format: "apt".into(), mode: "mirror".into(), ..StateReview::default() };
    (state.repository, state.incremental) = ("r".into(), true);
    (state.keys, state.proven) = (super::keys(&signers), proven(&state, &signers));
    of_signers(&state)
}

#[test]
fn other_keys_and_no_keys_are_unusual() {
    use Side::{Base, Both, New};
    let repository = || "r".to_owned();
    assert_eq!(signed(&[("A", Both)]), []);
    assert_eq!(signed(&[("A", New)]), [], "there was no signature to compare with");
    assert_eq!(signed(&[]), [Unusual::Unsigned { repository: repository() }]);
    assert_eq!(signed(&[("A", Base)]), [Unusual::SignatureGone { repository: repository() }]);
    let (gone, new) = (vec!["A".to_owned()], vec!["B".to_owned()]);
    let changed = Unusual::KeyChanged { repository: repository(), gone, new };
    assert_eq!(signed(&[("A", Base), ("B", New)]), [changed]);
    let added = Unusual::KeyChanged { repository: repository(), gone: Vec::new(), new: vec!["B".into()] };
    assert_eq!(signed(&[("A", Both), ("B", New)]), [added]);
}
