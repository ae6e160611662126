use chantal_bundle::index::review::{ListedPackage, Side, SignerKind};
use chantal_contract::{Digest, Group as GroupName, Key as PackageKey, SiteName};

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

#[test]
fn a_group_has_no_more_text_than_the_limit() {
    use chantal_contract::limits::{GROUP_BYTES, GROUP_PACKAGE_BYTES};
    // of every package but the last a 64 KiB, and of that what is left
    let fits = |bytes: usize| {
        let mut group = Group::default();
        let mut left = bytes;
        let each = 64 << 10;
        std::iter::from_fn(|| {
            let take = if left < 2 * each { left } else { each };
            left -= take;
            (take > 0).then(|| package("p", &"1".repeat(take - GROUP_PACKAGE_BYTES - "pamd64".len()), "a"))
        })
        .all(|package| group.take(Side::New, &package))
    };
    assert!(fits(GROUP_BYTES - 1) && fits(GROUP_BYTES));
    assert!(!fits(GROUP_BYTES + 1));
}

/// A bundle of states without files, of which each tells of these packages.
fn told_of(states: &[(&str, &[(Side, ListedPackage)])]) -> Result<Review, TransferError> {
    use chantal_bundle::{Epoch, Sequence, manifest::*};
    let header = chantal_contract::Header {
        format: chantal_contract::Kind::Apt,
        layout: 1,
        mode: chantal_contract::Mode::Hosted,
        options: serde_json::json!({ "suites": ["s"], "components": ["c"], "architectures": ["amd64"] }),
    };
    let (base, now) = (Digest::of(b"base"), Digest::of(b"now"));
    let mut index = index::Writer::new(Vec::new(), NonZeroU32::new(CELL).unwrap()).unwrap();
    let mut carried = Vec::new();
    for (repository, packages) in states {
        let repository: chantal_contract::Name = repository.parse().unwrap();
        index.state(&repository, now, Some(base)).unwrap();
        index.first(&header.first_line().unwrap()).unwrap();
        index.review(&ReviewLine::Begin { base: 1, packages: 1 }).unwrap();
        for (side, package) in *packages {
            index.review(&ReviewLine::Package(*side, package.clone())).unwrap();
        }
        carried.push(CarriedState {
            repository,
            manifest: now,
            base: Some(base),
            evidence: None,
            names: Vec::new(),
            format: header.format,
            mode: header.mode,
            date: None,
            valid_until: None,
            files: 0,
            bytes: 0,
        });
    }
    let (bytes, open_size, _) = index.finish().unwrap();
    let manifest = Manifest {
        version: chantal_bundle::manifest::VERSION,
        requires: Vec::new(),
        collector: SiteName::new("hq").unwrap(),
        site: SiteName::new("plant-7").unwrap(),
        epoch: Epoch::FIRST,
        sequence: Sequence::FIRST,
        created: jiff::Timestamp::UNIX_EPOCH,
        delivery: Delivery::Assumed,
        expected_next_by: None,
        trust: Vec::new(),
        bases: Vec::new(),
        presumed: Vec::new(),
        states: carried,
        index: IndexFile { size: bytes.len() as u64, sha256: Digest::of(&bytes), open_size },
        review: crate::transfer::export::NO_REVIEW,
        cell: CELL,
        volumes: Vec::new(),
        parity: None,
        origins: Vec::new(),
        counts: Counts::default(),
    };
    make(&manifest, bytes.as_slice(), open_size)
}

#[test]
fn no_downgrade_is_hidden_behind_what_is_many() {
    let many = UNUSUAL.max(CHANGES) + 1;
    let mut replaced: Vec<(Side, ListedPackage)> = (0..many)
        .flat_map(|n| {
            let [a, b] = ["a", "b"].map(|bytes| package(&format!("p{n:06}"), "1", bytes));
            [(Side::Base, a), (Side::New, b)]
        })
        .collect();
    replaced.sort_by_key(|(_, package)| package.encode());
    let added = [(Side::New, package("new", "1", "c"))];
    let back = [(Side::New, package("openssl", "1", "d")), (Side::Base, package("openssl", "2", "e"))];
    let review = told_of(&[("aaa", &replaced), ("mmm", &added), ("zzz", &back)]).unwrap();
    assert_eq!(review.counts.replaced, many as u64);
    let back = |unusual: &Unusual| matches!(unusual, Unusual::Downgrade { name, .. } if name == "openssl");
    assert!(review.unusual.iter().any(back));
    assert_eq!(review.unusual.len(), UNUSUAL);
    // all are counted: what is to be known of the signatures, too
    assert_eq!(review.unusual.len() as u64 + review.unusual_omitted, many as u64 + 1);
    assert_eq!(review.states[2].changes.len(), 1);
    assert_eq!((review.states[0].changes.len(), review.states[0].changes_omitted), (CHANGES - 1, 2));
    assert_eq!((review.states[1].changes.len(), review.states[1].changes_omitted), (0, 1));
    let names: Vec<&str> = review.states[0].changes.iter().map(|change| change.name.as_str()).collect();
    assert!(names.is_sorted(), "those that are named stay in their order");
}

#[test]
fn a_group_that_is_too_large_is_a_refusal() {
    use chantal_contract::limits::GROUP_BYTES;
    let filler = "1".repeat(60_000);
    let packages: Vec<_> = (0..=GROUP_BYTES / filler.len())
        .map(|n| (Side::New, package("p", &format!("{n:06}{filler}"), "a")))
        .collect();
    let error = told_of(&[("aaa", &packages)]).unwrap_err();
    assert!(matches!(error, TransferError::LargeGroup { .. }) && error.is_refusal(), "{error}");
}
