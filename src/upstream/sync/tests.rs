use std::{path::Path, time::Duration};

use chantal_contract::{Algorithm, Checksum, Entry, Line, Mode, Policy, VerifyError};

use super::*;
use crate::{
    report::Silent,
    store::StoreError,
    upstream::{
        fetch::{BackOff, Download, FetchError, Proxy},
        fixtures::server::{Act, Server},
    },
};

mod fake;
mod occupied;
mod real;
mod refused;
mod sources;
use fake::{Fake, Keys};

const NOW: &str = "2026-11-20T12:00:00Z";

/// A store, an upstream on loopback and a fetcher.
struct Bench {
    server: Server,
    store: Store,
    fetcher: Fetcher,
    scratch: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let site = "hq".parse().unwrap();
        let store = Store::create(&scratch.path().join("store"), &site, NOW.parse().unwrap()).unwrap();
        let download = Download {
            retries: 1,
            proxy: Proxy::Direct,
            stall: Duration::from_secs(5),
            back_off: BackOff {
                first: Duration::from_millis(2),
                most: Duration::from_millis(5),
                ..BackOff::default()
            },
            ..Download::default()
        };
        let fetcher = Fetcher::new(download, Arc::new(Silent));
        Self { server: Server::empty(), store, fetcher, scratch }
    }

    fn job(&self) -> Job {
        job_at(&self.server.url())
    }

    fn syncing(&self, run: Run) -> Syncing<'_> {
        let clock = &|| NOW.parse().unwrap();
        Syncing { store: &self.store, fetcher: &self.fetcher, reporter: &Silent, clock, run }
    }

    fn sync(&self, job: Job) -> Result<Report, SyncError> {
        self.syncing(Run::Write).all(&[job]).remove(0)
    }

    fn newest(&self) -> Option<Digest> {
        self.store.catalog().newest(&"repo".parse().unwrap()).unwrap().map(|n| n.state.manifest)
    }

    /// Writes list and root over packages, and puts them and the packages on the server.
    fn publish(&self, packages: &[(&str, &str)]) {
        let list: String = packages.iter().map(|(name, content)| line(name, content)).collect();
        for (name, content) in packages {
            self.server.put(&format!("/pool/{name}"), *content);
        }
        self.publish_list(&list, "");
    }

    fn publish_list(&self, list: &str, extra: &str) {
        self.server.put("/list", list);
        self.server.put("/root", root_of(list, extra));
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        commit::lines_of(&self.store, &self.newest().unwrap(), &mut |line| lines.push(line)).unwrap();
        lines
    }

    fn paths(&self) -> Vec<String> {
        self.server.log().into_iter().map(|l| l.path).collect()
    }
}

fn job_at(base: &str) -> Job {
    Job {
        name: "repo".parse().unwrap(),
        format: Arc::new(Fake::default()),
        proof: Arc::new(Keys(Policy::Off)),
        keys: Vec::new(),
        settings: Digest::of(b"keys"),
        upstream: Upstream::at(base.parse().unwrap()),
        access: Vec::new(),
        missing: Missing::Fail,
        expired: Expired::Refuse,
    }
}

fn line(name: &str, content: &str) -> String {
    format!("pkg {name} pool/{name} sha256 {} {}\n", Digest::of(content.as_bytes()), content.len())
}

fn root_of(list: &str, extra: &str) -> String {
    format!("index list {} {}\n{extra}", Digest::of(list.as_bytes()), list.len())
}

#[test]
fn fetches_everything_once_and_then_only_what_is_new() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha"), ("b", "beta")]);
    let first = bench.sync(bench.job()).unwrap();
    assert_eq!(first.outcome, Outcome::Updated);
    assert_eq!((first.packages, first.fetched), (Some(2), Tally { files: 2, bytes: 9 }));
    assert_eq!(bench.newest(), first.manifest);
    let paths: Vec<String> = bench
        .lines()
        .iter()
        .map(|line| match line {
            Line::File { path, entry: Entry::Present { .. } } => path.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    let by_hash = paths[0].clone();
    assert!(by_hash.starts_with("by-hash/"));
    assert_eq!(paths[1..], ["list", "pool/a", "pool/b", "root"]);
    // the list was asked for under its digest first
    assert!(bench.paths().contains(&format!("/{by_hash}")));

    bench.server.clear_log();
    let second = bench.sync(bench.job()).unwrap();
    assert_eq!((second.outcome, second.manifest), (Outcome::Unchanged, first.manifest));
    let statuses: Vec<u16> = bench.server.log().iter().map(|l| l.status).collect();
    assert_eq!(statuses.iter().filter(|s| **s == 304).count(), 1, "{statuses:?}");
    assert_eq!(statuses.len(), 2, "only the anchors are asked for");

    bench.publish(&[("a", "alpha"), ("b", "beta"), ("c", "gamma")]);
    bench.server.clear_log();
    let third = bench.sync(bench.job()).unwrap();
    assert_eq!((third.outcome, third.fetched.files), (Outcome::Updated, 1));
    assert_eq!(third.former, first.manifest);
    assert!(!bench.paths().contains(&"/pool/a".to_owned()));
}

#[test]
fn an_index_that_did_not_change_is_not_fetched_again() {
    let bench = Bench::new();
    bench.publish_list(&line("a", "alpha"), "date 2026-11-20T10:00:00Z\n");
    bench.server.put("/pool/a", "alpha");
    bench.sync(bench.job()).unwrap();
    bench.publish_list(&line("a", "alpha"), "date 2026-11-20T11:00:00Z\n");
    bench.server.clear_log();
    assert_eq!(bench.sync(bench.job()).unwrap().outcome, Outcome::Updated);
    let mut asked = bench.paths();
    asked.sort();
    assert_eq!(asked, ["/root", "/root.sig"]);
}

#[test]
fn a_lost_catalog_costs_requests_and_no_payloads() {
    let bench = Bench::new();
    let content = "alpha";
    let mut sha512 = chantal_contract::digest::Hasher::new(Algorithm::Sha512);
    sha512.update(content.as_bytes());
    let strong = Checksum::new(Algorithm::Sha512, &sha512.finish()).unwrap();
    let mut sha1 = chantal_contract::digest::Hasher::new(Algorithm::Sha1);
    sha1.update(b"beta");
    let weak = Checksum::new(Algorithm::Sha1, &sha1.finish()).unwrap();
    bench.server.put("/pool/a", content);
    bench.server.put("/pool/b", "beta");
    let list = format!("pkg a pool/a sha512 {} 5\npkg b pool/b sha1 {} 4\n", strong.hex(), weak.hex());
    bench.publish_list(&list, "");
    let first = bench.sync(bench.job()).unwrap();
    assert_eq!(first.fetched.files, 2);
    let other = Job { name: "other".parse().unwrap(), ..bench.job() };
    // another repository takes what a SHA-512 proves from the pool, and fetches what only a SHA-1 names
    assert_eq!(bench.sync(other).unwrap().fetched.files, 1);

    let root = bench.store.root().to_path_buf();
    let Bench { server, store, fetcher, scratch } = bench;
    drop(store);
    for tail in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(root.join(format!("catalog.sqlite{tail}")));
    }
    let bench = Bench { server, store: Store::open(&root).unwrap(), fetcher, scratch };
    bench.server.clear_log();
    let again = bench.sync(bench.job()).unwrap();
    assert_eq!((again.outcome, again.fetched.files), (Outcome::Unchanged, 0));
    assert_eq!(again.manifest, first.manifest);
    assert!(!bench.paths().iter().any(|p| p.starts_with("/pool")));
}

#[test]
fn an_upstream_that_changes_while_it_is_read_is_read_anew() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha")]);
    // an index that was not there yet, and one that was still the old one
    let (old, new) = (line("a", "alpha"), line("a", "ALPHA"));
    for first in [Act::status(404), Act::Instead(old.into_bytes())] {
        bench.server.put("/list", new.clone());
        bench.server.put("/root", root_of(&new, ""));
        bench.server.put("/pool/a", "ALPHA");
        bench.server.script("/list", [first, Act::Serve]);
        bench.server.clear_log();
        let other = Job { name: format!("r{}", bench.server.log().len()).parse().unwrap(), ..bench.job() };
        bench.sync(other).unwrap();
        let roots = bench.server.log_of("/root");
        assert!(roots.len() <= 2 && roots.last().unwrap().status == 200, "the anchors are fetched anew");
    }
}

#[test]
fn what_upstream_lists_and_lacks_keeps_the_former_state_unless_it_may_be_missing() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha")]);
    let before = bench.sync(bench.job()).unwrap().manifest;
    bench.publish(&[("a", "alpha"), ("b", "beta"), ("c", "gamma")]);
    bench.server.remove("/pool/b");
    let partly = bench.sync(bench.job()).unwrap();
    assert_eq!(partly.outcome, Outcome::Incomplete);
    assert_eq!(partly.missing.iter().map(RepoPath::as_str).collect::<Vec<_>>(), ["pool/b"]);
    assert_eq!((partly.manifest, bench.newest()), (before, before));

    // what could be had is not fetched again
    bench.server.clear_log();
    let allowed = bench.sync(Job { missing: Missing::Allow, ..bench.job() }).unwrap();
    assert_eq!((allowed.outcome, allowed.fetched.files), (Outcome::Updated, 0));
    assert!(bench.server.log_of("/pool/c").is_empty());
    let absent =
        |line: &Line| matches!(line, Line::File { path, entry: Entry::Absent } if path.as_str() == "pool/b");
    assert_eq!(bench.lines().iter().filter(|l| absent(l)).count(), 1);
    let newest = bench.store.catalog().newest(&"repo".parse().unwrap()).unwrap().unwrap();
    assert!(!newest.complete);

    // an incomplete state is completed although the anchors did not change
    bench.server.put("/pool/b", "beta");
    let whole = bench.sync(bench.job()).unwrap();
    assert_eq!((whole.outcome, whole.fetched.files), (Outcome::Updated, 1));
    assert!(!bench.lines().iter().any(absent));
}

#[test]
fn a_package_that_is_gone_with_its_index_is_not_missing() {
    let bench = Bench::new();
    let old = line("a", "alpha");
    bench.publish(&[("b", "beta")]);
    bench.server.put(&format!("/by-hash/{}", Digest::of(old.as_bytes())), old.clone());
    bench.server.script("/root", [Act::Instead(root_of(&old, "").into_bytes()), Act::Serve]);
    let report = bench.sync(bench.job()).unwrap();
    assert_eq!((report.outcome, report.missing.len()), (Outcome::Updated, 0));
    assert!(bench.lines().iter().any(|l| matches!(l, Line::File { path, .. } if path.as_str() == "pool/b")));
}

#[test]
fn other_options_or_keys_are_read_anew() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha")]);
    let first = bench.sync(bench.job()).unwrap();
    let keys = Job { settings: Digest::of(b"new keys"), ..bench.job() };
    assert_eq!(bench.sync(keys).unwrap().packages, Some(1), "new keys were not tried");
    let options = Fake { options: serde_json::json!({"x": 1}), ..Fake::default() };
    let changed = bench.sync(Job { format: Arc::new(options), ..bench.job() }).unwrap();
    assert_eq!(changed.outcome, Outcome::Updated);
    assert_ne!(changed.manifest, first.manifest);
    let loose = || Job { format: Arc::new(Fake { binds: false, ..Fake::default() }), ..bench.job() };
    bench.sync(loose()).unwrap();
    assert_eq!(bench.sync(loose()).unwrap().packages, Some(1), "nothing binds these anchors");
}

/// Returns every path below a directory with its size, less what the catalog keeps beside itself while it is open.
fn below(dir: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path.clone());
            } else if name.ends_with("-shm") || name.ends_with("-wal") {
                continue;
            }
            let size = if path.is_dir() { 0 } else { std::fs::metadata(&path).unwrap().len() };
            found.push((path, size));
        }
    }
    found.sort();
    found
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha"), ("b", "beta")]);
    let before = below(bench.store.root());
    let report = bench.syncing(Run::Dry).all(&[bench.job()]).remove(0).unwrap();
    assert_eq!((report.outcome, report.fetched), (Outcome::Planned, Tally { files: 2, bytes: 9 }));
    assert_eq!(bench.newest(), None);
    assert_eq!(bench.store.pool().iter().count(), 0);
    assert!(bench.server.log_of("/pool/a").is_empty());
    assert_eq!(below(bench.store.root()), before);
    // neither does one that fails on the way
    bench.server.script("/list", [Act::Instead(b"other".to_vec())]);
    assert!(bench.syncing(Run::Dry).all(&[bench.job()]).remove(0).is_err());
    assert_eq!(below(bench.store.root()), before);
    bench.server.script("/list", [Act::Serve]);
    // and a real run afterwards is not fooled by it
    assert_eq!(bench.sync(bench.job()).unwrap().fetched.files, 2);
    assert_eq!(bench.syncing(Run::Dry).all(&[bench.job()]).remove(0).unwrap().fetched.files, 0);
}

#[test]
fn one_repository_that_fails_does_not_stop_the_others() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha")]);
    let names = ["one", "two", "three", "four", "five", "six"];
    let jobs: Vec<Job> = names
        .iter()
        .map(|name| {
            let base =
                if *name == "three" { format!("{}/nowhere", bench.server.url()) } else { bench.server.url() };
            Job { name: name.parse().unwrap(), ..job_at(&base) }
        })
        .collect();
    let results = bench.syncing(Run::Write).all(&jobs);
    let failed: Vec<bool> = results.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, false, true, false, false, false]);
    let error = results.into_iter().nth(2).unwrap().unwrap_err();
    assert!(matches!(&error, SyncError::Absent { bound: false, .. }) && !error.is_refusal(), "{error}");
}

#[test]
fn the_same_bytes_under_two_paths_are_fetched_once() {
    let bench = Bench::new();
    bench.publish(&[("a", "same"), ("b", "same"), ("c", "same")]);
    let report = bench.sync(bench.job()).unwrap();
    assert_eq!(report.fetched, Tally { files: 1, bytes: 4 });
    assert_eq!(bench.lines().len(), 6);
    // where the first path lacks it, another may have it
    bench.publish(&[("d", "other"), ("e", "other")]);
    bench.server.remove("/pool/d");
    let report = bench.sync(Job { missing: Missing::Allow, ..bench.job() }).unwrap();
    assert_eq!(report.missing.iter().map(RepoPath::as_str).collect::<Vec<_>>(), ["pool/d"]);
    assert_eq!(report.fetched.files, 1);
}

#[test]
fn another_file_is_tried_where_one_is_absent() {
    let bench = Bench::new();
    let list = line("a", "alpha");
    bench.server.put("/pool/a", "alpha");
    bench.server.put("/plain", list.clone());
    bench.server.put("/root", root_of(&list, "or plain\n"));
    bench.sync(bench.job()).unwrap();
    assert!(bench.lines().iter().any(|l| matches!(l, Line::File { path, .. } if path.as_str() == "plain")));
}

#[test]
fn a_filtered_repository_keeps_records() {
    let bench = Bench::new();
    let list = format!(
        "{}{}doc advisory A-1\nderive pool/a.meta metadata\n",
        line("a", "alpha"),
        line("a", "alpha")
    );
    bench.server.put("/pool/a", "alpha");
    bench.publish_list(&list, "");
    let job = Job { format: Arc::new(Fake { mode: Mode::Filtered, ..Fake::default() }), ..bench.job() };
    let report = bench.sync(job).unwrap();
    assert_eq!(report.packages, Some(2));
    let lines = bench.lines();
    let Line::Pkg { key, record, files } = lines.last().unwrap() else { panic!("{lines:?}") };
    assert_eq!((key.name.as_str(), files[0].as_str()), ("a", "pool/a"));
    assert_eq!(bench.store.packs().get(record).unwrap(), line("a", "alpha").trim_end().as_bytes());
    let Line::Doc { kind, key, record } = &lines[0] else { panic!("{lines:?}") };
    assert_eq!((kind.as_str(), key.as_str()), ("advisory", "A-1"));
    assert_eq!(bench.store.packs().get(record).unwrap(), b"doc advisory A-1");
    assert!(lines.iter().any(|l| matches!(l, Line::File { path, .. } if path.as_str() == "pool/a.meta")));
}
