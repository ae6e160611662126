use chantal_bundle::index::review::{FileKind, ListedFile, ListedPackage, Side, SignerKind};
use chantal_contract::{Digest, Group as GroupName, Key as PackageKey, SiteName};

use super::*;

fn package(name: &str, version: &str, bytes: &str) -> ListedPackage {
    ListedPackage {
        group: GroupName { name: name.into(), stream: None },
        key: PackageKey::new(name, version, "amd64"),
        sha256: Some(Digest::of(bytes.as_bytes())),
        size: 10,
    }
}

fn apt() -> chantal_apt::Apt {
    let options = serde_json::json!({ "suites": ["s"], "components": ["c"], "architectures": ["amd64"] });
    chantal_apt::Apt::from_value(options).unwrap()
}

/// Says what becomes of a group in apt's order of versions.
fn changes(lines: &[(Side, &str, &str)]) -> Vec<String> {
    changed(lines.iter().map(|(side, version, bytes)| (*side, package("p", version, bytes))))
}

fn changed(lines: impl Iterator<Item = (Side, ListedPackage)>) -> Vec<String> {
    let mut group = Group::default();
    for (side, package) in lines {
        assert!(group.take(side, &package));
    }
    let mut found = Vec::new();
    group.changes(&apt(), &mut |row| {
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
fn an_architecture_is_judged_with_what_is_for_all_of_them() {
    use Side::{Base, Both, New};
    for (lines, expected) in [
        // whoever has the one gets the other
        (&[(Base, "2.0", "amd64", "a"), (New, "1.0", "all", "b")][..], &["downgraded 2.0 1.0 10"][..]),
        (&[(Base, "2.0", "all", "a"), (New, "1.0", "amd64", "b")], &["downgraded 2.0 1.0 10"]),
        (&[(Base, "1.0", "amd64", "a"), (New, "1.0", "all", "b")], &["replaced 1.0 1.0 10"]),
        // another architecture's newer version covers nothing
        (
            &[(Base, "2.0", "amd64", "a"), (New, "1.0", "amd64", "b"), (Both, "2.0", "i386", "c")],
            &["downgraded 2.0 1.0 10"],
        ),
        (
            &[
                (Base, "1", "amd64", "a"),
                (Base, "1", "i386", "b"),
                (New, "2", "amd64", "c"),
                (New, "2", "i386", "d"),
            ],
            &["upgraded 1 2 10", "upgraded 1 2 10"],
        ),
        // what is for all comes once
        (
            &[
                (Base, "1", "all", "a"),
                (New, "2", "all", "b"),
                (Both, "0", "amd64", "c"),
                (Both, "0", "i386", "d"),
            ],
            &["upgraded 1 2 10"],
        ),
        (
            &[(Base, "2", "amd64", "a"), (Base, "2", "i386", "b"), (New, "1", "all", "c")],
            &["downgraded 2 1 10", "downgraded 2 1 0"],
        ),
    ] {
        let packages = lines.iter().map(|(side, version, architecture, bytes)| {
            let key = PackageKey::new("p", *version, *architecture);
            (*side, ListedPackage { key, ..package("p", version, bytes) })
        });
        assert_eq!(changed(packages), expected, "{lines:?}");
    }
}

#[test]
fn other_bytes_under_a_version_that_is_there_are_replaced() {
    use Side::{Base, Both, New};
    let twin = |version: &str, bytes: &str| {
        let key = PackageKey { variant: "sha256:0".into(), ..PackageKey::new("p", version, "amd64") };
        ListedPackage { key, ..package("p", version, bytes) }
    };
    let p = |version: &str, bytes: &str| package("p", version, bytes);
    for (lines, expected) in [
        (vec![(New, twin("1", "evil")), (Both, p("1", "good"))], vec!["replaced 1 1 10"]),
        // nothing is said of the good one, as it is not the newest
        (vec![(New, twin("1", "evil")), (Both, p("2", "good"))], vec!["replaced 1 1 10"]),
        (
            vec![(Base, p("1", "good")), (New, p("1", "evil")), (New, twin("1", "evil too"))],
            vec!["replaced 1 1 10", "replaced 1 1 10"],
        ),
        // both of them are new
        (vec![(New, p("1", "a")), (New, twin("1", "b"))], vec!["added - 1 20"]),
        // equal to dpkg, and so is nothing newer
        (vec![(Base, p("1.0", "good")), (New, p("1.0-0", "evil"))], vec!["replaced 1.0 1.0-0 10"]),
        (vec![(New, p("1.0-0", "evil")), (Both, p("1.0", "good"))], vec!["replaced 1.0 1.0-0 10"]),
        // the same bytes under another name of the version
        (vec![(Base, p("1.0", "a")), (New, p("1.0-0", "a"))], vec!["removed 1.0 - 0", "added - 1.0-0 10"]),
    ] {
        assert_eq!(changed(lines.clone().into_iter()), expected, "{lines:?}");
    }
}

/// Says what is unusual about files of these lines of a delta and of the review.
fn unusual_files(edits: &[(bool, &str, &str, &str)], listed: &[(Side, &str, FileKind, &str)]) -> Vec<String> {
    let mut state = StateReview { repository: "r".into(), current: true, ..StateReview::default() };
    let mut files = Files::default();
    files.replaced(&Digest::of(b"old").hex(), &Digest::of(b"new").hex());
    for (added, path, content, role) in edits {
        let digest = Digest::of(content.as_bytes());
        files.edit(&mut state, *added, &format!("file\t{path}\t{digest}\t3\t{role}"));
    }
    for (side, path, kind, content) in listed {
        let measured = chantal_contract::Measured { sha256: Digest::of(content.as_bytes()), size: 3 };
        let path = chantal_contract::RepoPath::new(path).unwrap();
        files.listed(&mut state, *side, &ListedFile { path, kind: *kind, measured });
    }
    let (found, omitted) = files.end("r");
    assert_eq!(omitted, 0);
    let mut found: Vec<String> = found.iter().map(ToString::to_string).collect();
    found.insert(0, format!("{} in, {} out, {} stray", state.files_in, state.files_out, state.files_stray));
    found
}

#[test]
fn a_file_that_changes_under_its_path_is_named_whatever_it_is_called() {
    use FileKind::{Listed, Stray, Unread};
    use Side::{Base, New};
    let other = "r: k has other bytes than before".to_owned();
    let stray = "r: k comes, belongs to no package, and no index names it".to_owned();
    let change = |before, now, role| [(true, "k", now, role), (false, "k", before, "payload")];
    for role in ["payload", "index"] {
        assert_eq!(
            unusual_files(&change("a", "b", role), &[]),
            ["1 in, 0 out, 0 stray".to_owned(), other.clone()]
        );
    }
    // a package's own file, when the package is named; not what only has the bytes of one from now on
    assert_eq!(unusual_files(&change("old", "new", "payload"), &[]).len(), 1);
    assert_eq!(unusual_files(&change("a", "new", "payload"), &[])[1..], std::slice::from_ref(&other)[..]);
    // indexes that are read change with every state
    assert_eq!(unusual_files(&[(true, "k", "a", "index"), (false, "k", "b", "index")], &[]).len(), 1);
    // what belongs to no package is named by the lines that tell of it, once
    let lines = |before, now| [(Base, "k", before, "a"), (New, "k", now, "b")];
    let named =
        |kinds: (FileKind, FileKind)| unusual_files(&change("a", "b", "index"), &lines(kinds.0, kinds.1));
    assert_eq!(named((Listed, Listed)), ["1 in, 0 out, 0 stray".to_owned(), other.clone()]);
    assert_eq!(named((Listed, Stray)), ["1 in, 0 out, 1 stray".to_owned(), stray.clone(), other.clone()]);
    assert_eq!(named((Stray, Stray)), ["1 in, 0 out, 1 stray".to_owned(), stray.clone(), other]);
    assert!(named((Unread, Unread))[1].contains("was not compared"));
    assert_eq!(unusual_files(&[], &[(New, "k", Stray, "a")])[1..], [stray]);
    assert_eq!(unusual_files(&[], &[(Base, "k", Stray, "a"), (New, "l", Listed, "a")]).len(), 1);
}

#[test]
fn what_upstream_did_not_have_comes_and_is_not_replaced() {
    let mut absent = package("p", "1", "");
    (absent.sha256, absent.size) = (None, 0);
    let mut group = Group::default();
    assert!(group.take(Side::Base, &absent) && group.take(Side::New, &package("p", "1", "a")));
    let mut found = Vec::new();
    group.changes(&apt(), &mut |row| found.push(row.change.change));
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
        mode: chantal_contract::Mode::Mirror,
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
    // all are counted: that none of the three is signed, too
    assert_eq!(review.unusual.len() as u64 + review.unusual_omitted, many as u64 + 1 + 3);
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
