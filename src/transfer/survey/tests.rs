use std::{fmt::Write as _, time::Instant};

use chantal_bundle::index::review::{FileKind, Side};
use chantal_contract::{Entry, Header, Role, SiteName};
use jiff::Timestamp;

use super::*;

/// A store with room for states of an APT mirror.
fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let site = SiteName::new("hq").unwrap();
    let store = Store::create(&dir.path().join("store"), &site, Timestamp::UNIX_EPOCH).unwrap();
    (dir, store)
}

/// Records a suite of these packages: name, version, and what the file holds.
fn suite(store: &Store, packages: &[(String, String, String)]) -> StateRef {
    let mut index = String::new();
    let mut files = Vec::new();
    for (name, version, content) in packages {
        let (sha256, size) = (Digest::of(content.as_bytes()), content.len() as u64);
        let path = format!("pool/{name}_{version}_amd64.deb");
        write!(
            index,
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: somebody <somebody@example.org>\n\
             Depends: libc6 (>= 2.36), libsomething (>= {version}), libanother | libthat\nSection: misc\nPriority: optional\n\
             Description: something that is good for {name}\n Filler, as such stanzas have some.\n\
             Filename: {path}\nSize: {size}\nSHA256: {sha256}\n\n"
        )
        .unwrap();
        files.push((path, Measured { sha256, size }, Role::Payload));
    }
    let release = format!(
        "Suite: stable\nCodename: stable\nDate: Fri, 20 Nov 2026 13:30:00 UTC\nArchitectures: amd64\nComponents: main\n\
         SHA256:\n {} {} main/binary-amd64/Packages\n",
        Digest::of(index.as_bytes()),
        index.len()
    );
    let batch = store.pool().batch().unwrap();
    for (path, text) in
        [("dists/stable/Release", &release), ("dists/stable/main/binary-amd64/Packages", &index)]
    {
        files.push((path.to_owned(), batch.put(text.as_bytes()).unwrap(), Role::Index));
    }
    batch.flush().unwrap();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let options =
        serde_json::json!({ "suites": ["stable"], "components": ["main"], "architectures": ["amd64"] });
    let header = Header { format: Kind::Apt, layout: 1, mode: Mode::Mirror, options };
    let mut manifest = store.manifests().writer(&header, None).unwrap();
    for (path, measured, role) in files {
        let entry = Entry::Present { measured, role };
        manifest.line(&Line::File { path: RepoPath::new(&path).unwrap(), entry }).unwrap();
    }
    StateRef { manifest: manifest.finish().unwrap(), evidence: None, date: None, valid_until: None }
}

fn packages(count: usize) -> Vec<(String, String, String)> {
    (0..count).map(|n| (format!("package{n:06}"), format!("1.{n}-1"), format!("content {n}"))).collect()
}

fn told(store: &Store, base: Option<&StateRef>, state: &StateRef) -> Vec<ReviewLine> {
    let repository = Name::new("bookworm").unwrap();
    let mut lines = Vec::new();
    survey(store, Advance { repository: &repository, base, state }, &|_, _| None, &mut |line| {
        lines.push(line.clone());
        Ok(())
    })
    .unwrap();
    lines
}

fn words(lines: &[ReviewLine]) -> Vec<String> {
    lines
        .iter()
        .map(|line| match line {
            ReviewLine::Begin { base, packages } => format!("{base} {packages}"),
            ReviewLine::Package(side, package) => format!("{} {}", side.mark(), package.key),
            other => other.encode(),
        })
        .collect()
}

#[test]
fn the_packages_of_two_states_of_a_mirror_are_told_apart() {
    let (_dir, store) = store();
    let mut list = packages(300);
    let old = suite(&store, &list);
    list[7].2 = "other content".into();
    list[8].1 = "2.0-1".into();
    list.remove(9);
    list.push(("package000010".into(), "2.0-1".into(), "beside".into()));
    let new = suite(&store, &list);
    assert_eq!(
        words(&told(&store, Some(&old), &new)),
        [
            "300 300",
            // by the digest, which comes after the name
            "+ package000007 1.7-1 amd64",
            "- package000007 1.7-1 amd64",
            "- package000008 1.8-1 amd64",
            "+ package000008 2.0-1 amd64",
            "- package000009 1.9-1 amd64",
            "+ package000010 2.0-1 amd64",
            "= package000010 1.10-1 amd64",
        ]
    );
    let whole = told(&store, None, &new);
    assert_eq!(words(&whole)[0], "0 300");
    assert!(whole[1..].iter().all(|line| matches!(line, ReviewLine::Package(Side::New, _))));
    assert_eq!(words(&told(&store, Some(&new), &new)), ["300 300"]);
    let digest = Digest::of(b"other content");
    let replaced = whole.iter().any(|l| matches!(l, ReviewLine::Package(_, p) if p.sha256 == Some(digest)));
    assert!(replaced, "the digest is the file's own");
}

/// Records a state again with another mode, and with further lines.
fn again(store: &Store, state: &StateRef, mode: Mode, more: &[Line]) -> StateRef {
    let snapshot = store.snapshot(&state.manifest).unwrap();
    let mut lines = more.to_vec();
    snapshot
        .each_line::<StoreError>(&mut |line| {
            lines.push(line.clone());
            Ok(())
        })
        .unwrap();
    let header = Header { mode, ..snapshot.header().clone() };
    written(store, &header, lines)
}

fn written(store: &Store, header: &Header, mut lines: Vec<Line>) -> StateRef {
    lines.sort_by_key(Line::encode);
    let mut manifest = store.manifests().writer(header, None).unwrap();
    for line in &lines {
        manifest.line(line).unwrap();
    }
    StateRef { manifest: manifest.finish().unwrap(), evidence: None, date: None, valid_until: None }
}

fn put(store: &Store, content: &[u8]) -> Measured {
    let batch = store.pool().batch().unwrap();
    let measured = batch.put(content).unwrap();
    batch.flush().unwrap();
    measured
}

fn file(store: &Store, path: &str, content: &[u8], role: Role) -> Line {
    let entry = Entry::Present { measured: put(store, content), role };
    Line::File { path: RepoPath::new(path).unwrap(), entry }
}

#[track_caller]
fn refused(store: &Store, state: &StateRef) -> String {
    let repository = Name::new("bookworm").unwrap();
    let step = Advance { repository: &repository, base: None, state };
    let error = survey(store, step, &|_, _| None, &mut |_| Ok(())).unwrap_err();
    assert!(matches!(error, TransferError::Unlisted { .. }) && error.is_refusal(), "{error}");
    error.to_string()
}

#[test]
fn a_mode_that_hides_the_packages_of_a_tree_is_refused() {
    let (_dir, store) = store();
    let state = suite(&store, &packages(2));
    for mode in [Mode::Hosted, Mode::Filtered] {
        let error = refused(&store, &again(&store, &state, mode, &[]));
        assert!(error.contains(&format!("expected `mirror` of format apt, found `{mode}`")), "{error}");
    }
    // and a mirror does not list packages beside its indexes
    let record = Digest::of(b"record");
    let line = Line::Pkg { key: Key::new("a", "1", "amd64"), record, files: Vec::new() };
    assert!(refused(&store, &again(&store, &state, Mode::Mirror, &[line])).contains("in its indexes"));
}

#[test]
fn files_that_no_index_names_are_told() {
    let (_dir, store) = store();
    let plain = suite(&store, &packages(2));
    let with = |kernel: &[u8], role| {
        let kernel = file(&store, "install/vmlinuz", kernel, role);
        let other = file(&store, "dists/extra/Release", b"of another suite", Role::Index);
        // one of several compressions, which a client may prefer and nobody read
        let index = file(&store, "dists/stable/main/binary-amd64/Packages.xz", b"evil", Role::Index);
        again(&store, &plain, Mode::Mirror, &[kernel, other, index])
    };
    let (old, new) = (with(b"good kernel", Role::Payload), with(b"evil kernel", Role::Index));
    let of = |lines: &[ReviewLine]| -> Vec<(Side, FileKind, String)> {
        let file = |line: &ReviewLine| match line {
            ReviewLine::File(side, file) => Some((*side, file.kind, file.path.to_string())),
            _ => None,
        };
        lines.iter().filter_map(file).collect()
    };
    assert_eq!(of(&told(&store, None, &plain)), [], "all of a whole mirror is named");
    let stray = |side, path: &str| (side, FileKind::Stray, path.to_owned());
    assert_eq!(
        of(&told(&store, Some(&plain), &old)),
        [
            stray(Side::New, "dists/extra/Release"),
            stray(Side::New, "dists/stable/main/binary-amd64/Packages.xz"),
            stray(Side::New, "install/vmlinuz"),
        ]
    );
    let mut changed = of(&told(&store, Some(&old), &new));
    changed.sort_by_key(|(side, ..)| *side);
    assert_eq!(changed, [stray(Side::Base, "install/vmlinuz"), stray(Side::New, "install/vmlinuz")]);
}

#[test]
fn evidence_of_what_is_not_there_is_refused() {
    let (_dir, store) = store();
    let plain = suite(&store, &packages(1));
    let key = |name: &str| chantal_contract::Fingerprint(name.into());
    let listed = |path: &str, by: &str| {
        let mut list = crate::store::Evidence::default();
        let blob = put(&store, b"public key");
        list.add(crate::store::evidence::Item::Key { fingerprint: key("AB12"), blob });
        let path = RepoPath::new(path).unwrap();
        list.add(crate::store::evidence::Item::Signed { path, by: key(by) });
        StateRef { evidence: Some(put(&store, &list.encode()).sha256), ..plain.clone() }
    };
    let good = told(&store, None, &listed("dists/stable/Release", "AB12"));
    assert_eq!(good.iter().filter(|line| matches!(line, ReviewLine::Signer(_))).count(), 2);
    refused(&store, &listed("dists/stable/InRelease", "AB12"));
    refused(&store, &listed("dists/stable/Release", "CD34"));
}

/// A state of chosen packages of which one has these paths, files and record.
fn wheels(store: &Store, key: Key, files: &[(&str, &[u8])], record: &[u8]) -> StateRef {
    let mut records = store.packs().writer().unwrap();
    let record = records.add(record).unwrap();
    records.commit().unwrap();
    let mut lines: Vec<Line> =
        files.iter().map(|(path, content)| file(store, path, content, Role::Payload)).collect();
    let mut paths: Vec<RepoPath> = files.iter().map(|(path, _)| RepoPath::new(path).unwrap()).collect();
    paths.sort();
    lines.push(Line::Pkg { key, record, files: paths });
    let options = serde_json::json!({ "projects": ["requests"] });
    written(store, &Header { format: Kind::Pypi, layout: 1, mode: Mode::Filtered, options }, lines)
}

#[test]
fn a_package_of_chosen_ones_is_what_its_file_is() {
    let (_dir, store) = store();
    let (wheel, path) = ("requests-1.0-py3-none-any.whl", "packages/requests/requests-1.0-py3-none-any.whl");
    let key = |version: &str| Key::new("requests", version, wheel);
    assert!(refused(&store, &wheels(&store, key("3.0"), &[(path, b"x")], b"{}")).contains("version 1.0"));
    let decoy = [("packages/requests/0/decoy", &b"decoy"[..]), (path, b"x")];
    assert!(refused(&store, &wheels(&store, key("1.0"), &decoy, b"{}")).contains("decoy"));
    // whatever clients see of it changes its line: the wheel, what lies beside it, what its page says
    let metadata = format!("{path}.metadata");
    let with = |wheel: &[u8], beside: &[u8], record: &[u8]| {
        wheels(&store, key("1.0"), &[(path, wheel), (&metadata, beside)], record)
    };
    let before = with(b"good", b"meta", b"{}");
    assert_eq!(words(&told(&store, Some(&before), &with(b"good", b"meta", b"{}"))), ["1 1"]);
    for (what, now) in [
        ("wheel", with(b"evil", b"meta", b"{}")),
        ("metadata", with(b"good", b"evil", b"{}")),
        ("record", with(b"good", b"meta", b"{\"yanked\":true}")),
    ] {
        let mut lines = words(&told(&store, Some(&before), &now));
        lines.sort();
        assert_eq!(
            lines,
            [
                "+ requests 1.0 requests-1.0-py3-none-any.whl",
                "- requests 1.0 requests-1.0-py3-none-any.whl",
                "1 1"
            ],
            "{what}"
        );
    }
}

#[test]
fn an_index_that_is_not_what_its_release_lists_is_refused() {
    let (_dir, store) = store();
    let state = suite(&store, &packages(3));
    // the same manifest, but for another Packages than Release lists
    let batch = store.pool().batch().unwrap();
    let other = batch.put(b"Package: evil\n").unwrap();
    batch.flush().unwrap();
    let snapshot = store.snapshot(&state.manifest).unwrap();
    let mut manifest = store.manifests().writer(snapshot.header(), None).unwrap();
    snapshot
        .each_line::<StoreError>(&mut |line| {
            let mut line = line.clone();
            if let Line::File { path, entry } = &mut line
                && path.as_str().ends_with("Packages")
            {
                *entry = Entry::Present { measured: other, role: Role::Index };
            }
            manifest.line(&line)
        })
        .unwrap();
    let lie = StateRef { manifest: manifest.finish().unwrap(), ..state };
    let repository = Name::new("bookworm").unwrap();
    let step = Advance { repository: &repository, base: None, state: &lie };
    let error = survey(&store, step, &|_, _| None, &mut |_| Ok(())).unwrap_err();
    assert!(matches!(error, TransferError::Unlisted { .. }) && error.is_refusal(), "{error}");
}

#[test]
#[ignore = "takes seconds; prints what a suite of Debian's size costs"]
fn what_a_large_suite_costs() {
    let (_dir, store) = store();
    let mut list = packages(63_440);
    let old = suite(&store, &list);
    list.iter_mut().step_by(100).for_each(|package| package.1.push_str("+deb12u1"));
    let new = suite(&store, &list);
    let memory = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned()
    };
    println!("before: {}", memory());
    let began = Instant::now();
    let lines = told(&store, Some(&old), &new);
    println!("{} lines of two states of 63,440 packages: {:?}, {}", lines.len(), began.elapsed(), memory());
    let began = Instant::now();
    let lines = told(&store, None, &new);
    println!("{} lines of one: {:?}, {}", lines.len(), began.elapsed(), memory());
}
