//! Mirrors, directories, and what an index may not name.

use super::*;

#[test]
fn the_next_mirror_serves_what_one_has_damaged() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha")]);
    let bad = Server::empty();
    bad.put("/root", root_of(&line("a", "alpha"), ""));
    bad.put("/list", line("a", "alpha"));
    bad.put("/pool/a", "ALPHA");
    let mut job = job_at(&bad.url());
    job.upstream.bases.push(bench.server.url().parse().unwrap());
    assert_eq!(bench.sync(job).unwrap().outcome, Outcome::Updated);
    assert_eq!(bad.log_of("/pool/a").len(), 1);
    assert_eq!(bench.server.log_of("/pool/a").len(), 1);
}

#[test]
fn a_directory_is_an_upstream() {
    let bench = Bench::new();
    let scratch = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &str| {
        let file = scratch.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    };
    put("pool/a", "alpha");
    put("list", &line("a", "alpha"));
    put("root", &root_of(&line("a", "alpha"), ""));
    let job = || job_at(&format!("file://{}", scratch.path().display()));
    assert_eq!(bench.sync(job()).unwrap().outcome, Outcome::Updated);
    assert_eq!(bench.sync(job()).unwrap().outcome, Outcome::Unchanged);
    put("pool/b", "beta");
    let list = line("a", "alpha") + &line("b", "beta");
    put("list", &list);
    put("root", &root_of(&list, ""));
    assert_eq!(bench.sync(job()).unwrap().fetched.files, 1);
    assert!(bench.server.log().is_empty());
    assert!(Path::new(&scratch.path().join("root")).exists());
}

#[test]
fn an_index_cannot_name_files_of_this_machine_or_unprotected_pages() {
    let bench = Bench::new();
    let list = format!("pkg a pool/a sha256 {} 5 file:///etc/passwd\n", Digest::of(b"alpha"));
    bench.publish_list(&list, "");
    let error = bench.sync(bench.job()).unwrap_err();
    assert!(matches!(error, SyncError::Fetch(FetchError::Scheme { .. })), "{error}");
    let at = chantal_contract::At::Absolute("http://mirror.example.org/root".parse().unwrap());
    let format = Arc::new(Fake { root: Some(at), ..Fake::default() });
    let error = bench.sync(Job { format, ..job_at("https://mirror.example.org/") }).unwrap_err();
    assert!(matches!(error, SyncError::Unprotected { .. }) && error.is_refusal(), "{error}");
}

#[test]
fn mirrors_come_from_lists() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha")]);
    let lists = Server::empty();
    let list = |path: &str| -> Url { format!("{}{path}", lists.url()).parse().unwrap() };
    lists.put("/plain", format!("# mirrors\n{}/nowhere\n{}\n", bench.server.url(), bench.server.url()));
    let upstream = Upstream { bases: Vec::new(), list: Some(MirrorList::Plain(list("/plain"))) };
    assert_eq!(bench.sync(Job { upstream, ..bench.job() }).unwrap().outcome, Outcome::Updated);
    lists.put("/empty", "# none\n");
    for path in ["/empty", "/absent"] {
        let upstream = Upstream { bases: Vec::new(), list: Some(MirrorList::Plain(list(path))) };
        let error = bench.sync(Job { upstream, ..bench.job() }).unwrap_err();
        assert!(matches!(error, SyncError::NoMirrors { .. }), "{error}");
    }
}
