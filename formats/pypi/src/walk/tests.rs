use std::{collections::BTreeSet, num::NonZeroU32};

use chantal_contract::{Absent, Digest, FormatError, RepoPath};
use serde_json::json;

use crate::{
    Prereleases, PypiOptions, Sdists,
    harness::{self, INDEX, Mirrored, Offer, Source, Upstream, closure, linux, plain},
};

fn mirror(options: PypiOptions, upstream: &Upstream) -> Mirrored {
    harness::mirror(options, &Source::Served(&upstream.served())).unwrap()
}

fn refused(options: PypiOptions, upstream: &Upstream) -> String {
    match harness::mirror(options, &Source::Served(&upstream.served())) {
        Ok(taken) => panic!("accepted: {:?}", taken.filenames()),
        Err(error) => error.to_string(),
    }
}

fn set(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|s| (*s).to_owned()).collect()
}

fn keep(n: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(n)
}

#[test]
fn takes_what_specifiers_ask_for() {
    let mut upstream = Upstream::default();
    for version in ["1.0", "1.5", "2.0", "2.1rc1", "2.1.dev1"] {
        upstream.wheel("foo", version, &[]);
    }
    upstream.sdist("foo", "1.5", "2.1", &[]);
    upstream.sdist("foo", "0.9", "2.1", &[]);
    let all = mirror(plain(&["Foo"]), &upstream);
    assert_eq!(all.versions(), set(&["foo 0.9", "foo 1.0", "foo 1.5", "foo 2.0"]));
    assert_eq!(all.filenames().len(), 5, "without environments sdists come, too");
    assert_eq!(all.asked.first().map(String::as_str), Some("https://mirror.example.org/simple/foo/"));
    let some = |projects: &[&str]| mirror(plain(projects), &upstream).versions();
    assert_eq!(some(&["foo>=1,<2"]), set(&["foo 1.0", "foo 1.5"]));
    assert_eq!(some(&["foo==1.0", "foo>1.9"]), set(&["foo 1.0", "foo 2.0"]));
    assert_eq!(some(&["foo>=2.1.dev0"]), set(&["foo 2.1.dev1", "foo 2.1rc1"]));
    assert_eq!(some(&["foo>2.0"]), set(&["foo 2.1.dev1", "foo 2.1rc1"]), "nothing else matches");
    let newest = PypiOptions { keep: keep(2), ..plain(&["foo"]) };
    assert_eq!(mirror(newest, &upstream).versions(), set(&["foo 1.5", "foo 2.0"]));
    let allow = PypiOptions { prereleases: Prereleases::Allow, keep: keep(1), ..plain(&["foo"]) };
    assert_eq!(mirror(allow, &upstream).versions(), set(&["foo 2.1rc1"]));
    let never = PypiOptions { prereleases: Prereleases::Never, ..plain(&["foo>2.0"]) };
    assert!(refused(never, &upstream).contains("6 versions"));
}

#[test]
fn what_nobody_offers_is_refused_by_name() {
    let mut upstream = Upstream::default();
    upstream.wheel("foo", "1.0", &[]);
    upstream.wheel("foo", "1.1", &[]);
    let error = refused(plain(&["foo>=9"]), &upstream);
    assert!(error.contains("`foo>=9`") && error.contains("1.0 to 1.1"), "{error}");
    assert!(refused(plain(&["bar"]), &upstream).contains("project `bar` is not there"));
    let windows =
        PypiOptions { environments: vec![linux("3.11")], ..plain(&["foo; sys_platform == 'win32'"]) };
    assert!(mirror(windows, &upstream).asked.is_empty(), "no environment means it");
}

#[test]
fn environments_choose_files() {
    let mut upstream = Upstream::default();
    for tag in [
        "cp311-cp311-manylinux_2_17_x86_64",
        "cp311-cp311-win_amd64",
        "cp310-cp310-manylinux2014_x86_64",
        "cp38-abi3-manylinux2014_x86_64",
    ] {
        upstream.tagged("foo", "1.0", tag, &[]);
    }
    upstream.tagged("foo", "2.0", "cp311-cp311-win_amd64", &[]);
    upstream.sdist("foo", "1.0", "2.1", &[]);
    upstream.sdist("foo", "2.0", "2.1", &[]);
    upstream.tagged("foo", "3.0", "py3-none-any", &[])["requires-python"] = json!(">=3.12");
    let linux_only = PypiOptions { environments: vec![linux("3.11")], ..plain(&["foo"]) };
    assert_eq!(
        mirror(linux_only.clone(), &upstream).filenames(),
        [
            "foo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
            "foo-1.0-cp38-abi3-manylinux2014_x86_64.whl",
            "foo-2.0.tar.gz",
        ]
    );
    let never = PypiOptions { sdists: Some(Sdists::Never), ..linux_only.clone() };
    assert_eq!(mirror(never, &upstream).versions(), set(&["foo 1.0"]));
    let always = PypiOptions { sdists: Some(Sdists::Always), ..linux_only.clone() };
    assert_eq!(mirror(always, &upstream).filenames().len(), 4);
    let both =
        PypiOptions { environments: vec![linux("3.11"), linux("3.12")], keep: keep(1), ..plain(&["foo"]) };
    assert_eq!(mirror(both, &upstream).filenames(), ["foo-2.0.tar.gz", "foo-3.0-py3-none-any.whl"]);
}

#[test]
fn yanked_files_are_taken_only_where_a_version_is_pinned() {
    let mut upstream = Upstream::default();
    upstream.wheel("foo", "1.0", &[]);
    upstream.wheel("foo", "1.1", &[])["yanked"] = json!("broken <b>");
    assert_eq!(mirror(plain(&["foo"]), &upstream).versions(), set(&["foo 1.0"]));
    assert_eq!(mirror(plain(&["foo==1.*"]), &upstream).versions(), set(&["foo 1.0"]));
    let pinned = mirror(plain(&["foo==1.1"]), &upstream);
    assert_eq!(pinned.versions(), set(&["foo 1.1"]));
    assert!(String::from_utf8_lossy(&pinned.packages[0].1).contains(r#""yanked":"broken <b>""#));
}

#[test]
fn constraints_narrow_and_pins_bind() {
    let mut upstream = Upstream::default();
    for version in ["1.0", "1.1", "2.0"] {
        upstream.wheel("foo", version, &["bar"]);
        upstream.wheel("bar", version, &[]);
    }
    let constrained = PypiOptions {
        constraints: vec!["foo<2".into(), "bar==1.0".into(), "bar<1; sys_platform == 'win32'".into()],
        ..closure(&["foo"])
    };
    assert_eq!(mirror(constrained, &upstream).versions(), set(&["foo 1.0", "foo 1.1", "bar 1.0"]));
    let digest = Digest::of(&upstream.files["https://files.example.org/bar-1.1-py3-none-any.whl"]).hex();
    let pin = format!("bar --hash=sha256:{digest} --hash=sha256:{}", "0".repeat(64));
    assert_eq!(mirror(plain(&[&pin]), &upstream).versions(), set(&["bar 1.1"]));
    let through = mirror(closure(&["foo==2.0", &pin]), &upstream);
    assert_eq!(through.versions(), set(&["foo 2.0", "bar 1.1"]), "a pin holds for whoever wants the project");
    let wrong = format!("foo --hash=sha256:{digest}");
    assert!(refused(plain(&[&wrong]), &upstream).contains("with the pinned digests"));
}

/// A small ecosystem in which versions, extras, markers and a circle meet.
fn ecosystem(metadata: Offer) -> Upstream {
    let mut upstream = Upstream { metadata, ..Upstream::default() };
    upstream.wheel(
        "app",
        "1.0",
        &[
            "lib>=1,<3",
            "net[socks]~=1.0",
            "tomli; python_version < '3.11'",
            "colorama; sys_platform == 'win32'",
            "mock; extra == 'test'",
        ],
    );
    upstream.wheel("lib", "1.0", &["old-only"]);
    upstream.wheel("lib", "2.0", &["app"]);
    upstream.wheel("lib", "3.0", &["never"]);
    upstream.wheel("net", "1.0", &["pysocks; extra == 'socks'", "brotli; extra == 'brotli'"]);
    upstream.wheel("net", "1.2", &["pysocks; extra == \"socks\"", "Idna (>=2)"]);
    for name in ["old-only", "pysocks", "brotli", "idna", "mock", "tomli", "colorama", "never"] {
        upstream.wheel(name, "5.0", &[]);
    }
    upstream
}

#[test]
fn the_closure_follows_metadata_and_markers() {
    let wanted = set(&[
        "app 1.0",
        "lib 1.0",
        "lib 2.0",
        "net 1.0",
        "net 1.2",
        "old-only 5.0",
        "pysocks 5.0",
        "idna 5.0",
    ]);
    for offer in [Offer::Digest, Offer::Unproved, Offer::Nothing] {
        let upstream = ecosystem(offer);
        let taken = mirror(closure(&["app"]), &upstream);
        assert_eq!(taken.versions(), wanted);
        assert!(taken.notices.is_empty(), "{:?}", taken.notices);
        for (package, _) in &taken.packages {
            let metadata = package.files.iter().find(|w| w.path.as_str().ends_with(".metadata")).unwrap();
            let wheel = &taken.tree[&package.files[0].path];
            let inside =
                crate::archive::wheel_metadata(&metadata.path, &mut std::io::Cursor::new(wheel)).unwrap();
            assert_eq!(taken.tree[&metadata.path], inside, "published metadata is the wheel's own");
        }
        let fetched = |name: &str| taken.asked.iter().any(|url| url.ends_with(name));
        assert_eq!(
            fetched("net-1.2-py3-none-any.whl"),
            offer != Offer::Digest,
            "a wheel is read only where it must be"
        );
    }
    let newest = PypiOptions { keep: keep(1), ..closure(&["app"]) };
    assert_eq!(
        mirror(newest, &ecosystem(Offer::Digest)).versions(),
        set(&["app 1.0", "lib 2.0", "net 1.2", "pysocks 5.0", "idna 5.0"])
    );
    let extra = PypiOptions { keep: keep(1), ..closure(&["app[Test]"]) };
    assert!(mirror(extra, &ecosystem(Offer::Digest)).versions().contains("mock 5.0"));
    let older = PypiOptions { environments: vec![linux("3.11"), linux("3.10")], ..closure(&["app"]) };
    assert!(mirror(older, &ecosystem(Offer::Digest)).versions().contains("tomli 5.0"));
}

#[test]
fn advertised_metadata_that_is_not_there_is_read_from_the_wheel() {
    let mut upstream = ecosystem(Offer::Digest);
    upstream.files.retain(|url, _| !url.ends_with("net-1.2-py3-none-any.whl.metadata"));
    let taken = mirror(closure(&["app"]), &upstream);
    assert!(taken.versions().contains("idna 5.0"));
    assert!(taken.tree.keys().any(|p| p.as_str().ends_with("net-1.2-py3-none-any.whl.metadata")));
}

#[test]
fn what_a_dependency_lacks_is_told_and_goes_on() {
    let mut upstream = Upstream::default();
    upstream.wheel(
        "foo",
        "1.0",
        &["gone", "bar>9", "x @ https://example.org/x.whl", "what is this", "bar; nonsense"],
    );
    upstream.wheel("bar", "1.0", &[]);
    let taken = mirror(closure(&["foo"]), &upstream);
    assert_eq!(taken.versions(), set(&["foo 1.0"]));
    for text in [
        "project `gone`, wanted by foo-1.0-py3-none-any.whl, is not there",
        "`bar>9`",
        "from a URL",
        "`what is this` is left out",
        "`bar; nonsense` is left out",
    ] {
        assert!(taken.noticed(text), "{text}: {:?}", taken.notices);
    }
}

#[test]
fn a_source_archive_tells_what_it_binds() {
    let mut upstream = Upstream::default();
    upstream.sdist("foo", "1.0", "2.2", &["bar"]);
    upstream.sdist("old", "1.0", "2.1", &["baz"]);
    upstream.wheel("bar", "1.0", &[]);
    let taken = mirror(closure(&["foo", "old"]), &upstream);
    assert_eq!(taken.versions(), set(&["foo 1.0", "old 1.0", "bar 1.0"]));
    assert!(taken.noticed("what building it needs") && taken.noticed("does not bind its dependencies"));
    upstream.wheel("foo", "1.0", &[]);
    let always = PypiOptions { sdists: Some(Sdists::Always), ..closure(&["foo"]) };
    let taken = mirror(always, &upstream);
    assert_eq!(taken.versions(), set(&["foo 1.0"]), "where there is a wheel, it tells");
    assert_eq!(taken.filenames().len(), 2);
}

#[test]
fn what_nothing_proves_is_left_out_and_told() {
    let mut upstream = Upstream::default();
    upstream.wheel("foo", "1.0", &[]);
    upstream.wheel("foo", "2.0", &[])["hashes"] = json!({ "md5": "d41d8cd98f00b204e9800998ecf8427e" });
    upstream.wheel("foo", "3.0", &[])["hashes"] = json!({});
    let page = mirror(plain(&["foo"]), &upstream);
    assert_eq!(page.versions(), set(&["foo 1.0"]));
    assert!(page.noticed("2 of the listed files have no digest"), "{:?}", page.notices);
    let mut strong = Upstream::default();
    let sum = {
        use chantal_contract::{Algorithm, digest::Hasher};
        strong.wheel("foo", "1.0", &[]);
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(&strong.files["https://files.example.org/foo-1.0-py3-none-any.whl"]);
        chantal_contract::digest::hex(&hasher.finish())
    };
    let mut only = Upstream::default();
    only.wheel("foo", "1.0", &[])["hashes"] = json!({ "sha512": sum });
    assert_eq!(mirror(plain(&["foo"]), &only).versions(), set(&["foo 1.0"]));
}

#[test]
fn a_name_that_leaves_the_tree_is_refused() {
    for name in ["../../etc/passwd", "a/b-1.0.tar.gz", "foo-1.0\u{0}.tar.gz", "..", "foo\\bar.whl", ""] {
        let mut upstream = Upstream::default();
        upstream.wheel("foo", "1.0", &[])["filename"] = json!(name);
        let error = harness::mirror(plain(&["foo"]), &Source::Served(&upstream.served())).err().unwrap();
        assert!(
            matches!(error, FormatError::Path { .. } | FormatError::Malformed { .. }),
            "{name:?}: {error}"
        );
    }
    let mut upstream = Upstream::default();
    upstream.wheel("foo", "1.0", &[])["url"] = json!("file:///etc/passwd");
    assert!(refused(plain(&["foo"]), &upstream).contains("https or http"));
}

#[test]
fn two_files_of_one_name_are_one_and_told() {
    let mut upstream = Upstream::default();
    upstream.wheel("foo", "1.0", &[]);
    upstream.wheel("foo", "1.0", &[])["hashes"] = json!({ "sha256": "0".repeat(64) });
    let taken = mirror(plain(&["foo"]), &upstream);
    assert_eq!(taken.packages.len(), 1);
    assert!(taken.noticed("listed twice with different digests"));
}

#[test]
fn signatures_and_attestations_travel_where_they_are() {
    let mut upstream = Upstream::default();
    let entry = upstream.wheel("foo", "1.0", &[]);
    entry["gpg-sig"] = json!(true);
    entry["provenance"] = json!("https://mirror.example.org/integrity/foo/provenance");
    let entry = upstream.wheel("foo", "2.0", &[]);
    entry["gpg-sig"] = json!(true);
    entry["provenance"] = json!("https://mirror.example.org/gone");
    upstream.files.insert("https://files.example.org/foo-1.0-py3-none-any.whl.asc".into(), b"sig".to_vec());
    upstream.files.insert("https://mirror.example.org/integrity/foo/provenance".into(), b"{}".to_vec());
    let taken = mirror(plain(&["foo"]), &upstream);
    let names: Vec<&str> = taken.tree.keys().map(RepoPath::file_name).collect();
    assert_eq!(
        names,
        [
            "foo-1.0-py3-none-any.whl",
            "foo-1.0-py3-none-any.whl.asc",
            "foo-1.0-py3-none-any.whl.metadata",
            "foo-1.0-py3-none-any.whl.provenance",
            "foo-2.0-py3-none-any.whl",
            "foo-2.0-py3-none-any.whl.metadata",
        ]
    );
    for (package, _) in &taken.packages {
        assert!(package.files.is_sorted_by(|a, b| a.path < b.path));
        assert_eq!(package.files[0].absent, Absent::Fatal);
        assert!(package.files[1..].iter().all(|want| want.absent == Absent::Allowed));
    }
}

#[test]
fn a_receiver_walks_its_snapshot_again_without_files_or_network() {
    for offer in [Offer::Digest, Offer::Nothing] {
        let taken = mirror(closure(&["app"]), &ecosystem(offer));
        let again: PypiOptions = serde_json::from_value(taken.options.clone()).unwrap();
        let again = harness::mirror(again, &Source::Held(&taken)).unwrap();
        assert_eq!(again.versions(), taken.versions());
        let records =
            |m: &Mirrored| m.packages.iter().map(|(p, r)| (p.key.encode(), r.clone())).collect::<Vec<_>>();
        assert_eq!(records(&again), records(&taken));
        assert_eq!(again.options, taken.options);
        assert_eq!(again.publish(), taken.publish());
    }
}

#[test]
fn options_stand_for_themselves_once_files_are_read() {
    let read = |path: &std::path::Path| match path.to_str() {
        Some("/etc/r.txt") => Ok("lib>=1\napp\n-c c.txt\n".to_owned()),
        Some("/etc/c.txt") => Ok("lib<2".to_owned()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let options = PypiOptions { requirements: vec!["r.txt".into()], ..closure(&["app"]) };
    let whole = options.with_files_read(std::path::Path::new("/etc"), &mut { read }).unwrap();
    assert_eq!(
        (&whole.projects[..], &whole.constraints[..]),
        (&["app".to_owned(), "lib>=1".into()][..], &["lib<2".to_owned()][..])
    );
    let value = serde_json::to_value(&whole).unwrap();
    assert!(value.get("requirements").is_none());
    assert_eq!(serde_json::from_value::<PypiOptions>(value).unwrap(), whole);
    let missing = PypiOptions { requirements: vec!["gone.txt".into()], ..plain(&[]) };
    assert!(missing.with_files_read(std::path::Path::new("/etc"), &mut { read }).is_err());
}

#[test]
fn options_that_cannot_be_honoured_are_refused() {
    let upstream = Upstream::default();
    for (options, text) in [
        (PypiOptions { environments: Vec::new(), ..closure(&["foo"]) }, "environments"),
        (PypiOptions { requirements: vec!["r.txt".into()], ..plain(&[]) }, "r.txt"),
        (plain(&["../foo"]), "projects"),
        (PypiOptions { constraints: vec!["foo[x]<1".into()], ..plain(&[]) }, "extras"),
        (PypiOptions { environments: vec![linux("three")], ..plain(&[]) }, "python"),
        (PypiOptions { environments: vec![linux("3.11"); 65], ..plain(&[]) }, "more than 64"),
    ] {
        let error = refused(options, &upstream);
        assert!(error.starts_with("option `pypi.") && error.contains(text), "{error}");
    }
    assert!(crate::Pypi::new(PypiOptions { environments: vec![linux("3.11"); 64], ..plain(&[]) }).is_ok());
    assert!(crate::Pypi::from_value(json!({ "project": ["x"] })).is_err());
    assert_eq!(INDEX.rsplit('/').next(), Some("simple"));
}

#[test]
fn keeps_its_limits_exactly() {
    use chantal_contract::limits::{CANDIDATE_BYTES, JUDGEMENTS, PROJECTS, REQUIREMENTS};

    let plan = crate::plan::Plan::new(&plain(&[])).unwrap();
    let mut walker = super::Walker::new(&plan);
    let (name, page) = (crate::name::Name::new("foo").unwrap(), RepoPath::new("simple/foo/index").unwrap());
    walker.judgements = JUDGEMENTS - 2;
    assert!(walker.judge(1, &name).is_ok() && walker.judge(1, &name).is_ok());
    assert!(matches!(walker.judge(1, &name), Err(FormatError::Limit { .. })));
    assert!(walker.hold(CANDIDATE_BYTES - 1, &page).is_ok() && walker.hold(1, &page).is_ok());
    assert!(matches!(walker.hold(1, &page), Err(FormatError::Limit { .. })));
    let want = |walker: &mut super::Walker<'_>, name: String| {
        let wanted = super::Wanted {
            specifiers: crate::version::Specifiers::default(),
            extras: Vec::new(),
            pins: Vec::new(),
            environments: 1,
            by: None,
        };
        walker.want(&crate::name::Name::new(&name).unwrap(), wanted, &mut |_| Ok(()))
    };
    for number in 0..PROJECTS {
        want(&mut walker, format!("p{number}")).unwrap();
    }
    assert!(want(&mut walker, "p0".into()).is_ok(), "a project that is known is no further one");
    assert!(matches!(want(&mut walker, "one-more".into()), Err(FormatError::Limit { .. })));
    walker.requirements = REQUIREMENTS - 2;
    assert!(want(&mut walker, "p0".into()).is_ok() && want(&mut walker, "p0".into()).is_ok());
    assert!(matches!(want(&mut walker, "p0".into()), Err(FormatError::Limit { .. })));
}
