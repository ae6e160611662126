use std::{fmt::Write as _, time::Instant};

use chantal_bundle::index::review::Side;
use chantal_contract::{Header, Role, SiteName};
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
