//! The formats themselves, over small upstreams that are built and signed anew by each test.

use chantal_apt::Apt;
use chantal_contract::Kind;
use chantal_pypi::Pypi;
use chantal_rpm::Rpm;

use super::*;
use crate::{
    trust::{Keyring, Proof},
    upstream::fixtures::{
        apt::Archive,
        deb::Deb,
        key::SigningKey,
        pypi::{Index, Wheel},
        rpm,
    },
};

/// A server over a directory beside the bench's store.
fn served() -> (tempfile::TempDir, Server, Bench) {
    let scratch = tempfile::tempdir().unwrap();
    let server = Server::directory(scratch.path());
    (scratch, server, Bench::new())
}

fn proof(key: &SigningKey, metadata: Policy, packages: Policy) -> Arc<dyn Verifier> {
    let keyring = Keyring::from_bytes(Path::new("key"), &key.public_binary()).unwrap();
    // the keys are made now, whatever the clock of the tests says
    Arc::new(Proof::new(keyring, metadata, packages, Timestamp::now()))
}

fn job(server: &Server, format: Arc<dyn Format>, proof: Arc<dyn Verifier>) -> Job {
    Job { format, proof, ..job_at(&server.url()) }
}

/// Syncs by the real clock, since the builders write real dates.
fn sync(bench: &Bench, job: Job) -> Result<Report, SyncError> {
    let clock = &Timestamp::now;
    let (store, fetcher) = (&bench.store, &bench.fetcher);
    Syncing { store, fetcher, reporter: &Silent, clock, run: Run::Write }.all(&[job]).remove(0)
}

fn has(bench: &Bench, end: &str) -> bool {
    bench.lines().iter().any(|line| {
        matches!(line, Line::File { path, entry: Entry::Present { .. } } if path.as_str().ends_with(end))
    })
}

#[test]
fn apt() {
    let (scratch, server, bench) = served();
    let mut archive = Archive::new(scratch.path(), "stable");
    archive.add(Deb::new("hello", "1.0")).add(Deb::new("world", "2.0"));
    archive.publish();
    let options = serde_json::json!({
        "suites": ["stable"], "components": ["main"], "architectures": ["amd64"], "languages": ["en"],
    });
    let format = || Arc::new(Apt::from_value(options.clone()).unwrap());
    let keys = proof(&archive.key, Policy::Require, Policy::Off);
    let first = sync(&bench, job(&server, format(), Arc::clone(&keys))).unwrap();
    assert_eq!((first.outcome, first.packages), (Outcome::Updated, Some(2)));
    assert!(has(&bench, "InRelease") && has(&bench, ".deb"));
    assert!(!first.signers.is_empty());

    server.clear_log();
    assert_eq!(sync(&bench, job(&server, format(), Arc::clone(&keys))).unwrap().outcome, Outcome::Unchanged);
    assert!(server.log().iter().all(|l| l.status == 304 || l.status == 404), "{:?}", server.log());

    archive.add(Deb::new("new", "1.0"));
    archive.publish();
    let second = sync(&bench, job(&server, format(), keys)).unwrap();
    assert_eq!((second.outcome, second.packages, second.fetched.files), (Outcome::Updated, Some(3), 1));

    let stranger = proof(&SigningKey::eddsa("stranger"), Policy::Require, Policy::Off);
    let settings = Digest::of(b"stranger");
    let error = sync(&bench, Job { settings, ..job(&server, format(), stranger) }).unwrap_err();
    assert!(error.is_refusal(), "{error}");
    assert_eq!(bench.newest(), second.manifest);
}

#[test]
fn rpm() {
    let (scratch, server, bench) = served();
    let mut repository = rpm::Repository::new(scratch.path());
    repository.add(rpm::Rpm::new("hello", "1.0")).add(rpm::Rpm::new("world", "2.0"));
    repository.publish();
    let format = || Arc::new(Rpm::from_value(serde_json::json!({})).unwrap());
    let keys = proof(&repository.key, Policy::Require, Policy::Require);
    let first = sync(&bench, job(&server, format(), Arc::clone(&keys))).unwrap();
    assert_eq!((first.outcome, first.packages), (Outcome::Updated, Some(2)));
    assert!(has(&bench, "repomd.xml") && has(&bench, "repomd.xml.asc") && has(&bench, ".rpm"));
    assert_eq!(sync(&bench, job(&server, format(), Arc::clone(&keys))).unwrap().outcome, Outcome::Unchanged);

    repository.add_signed_by(rpm::Rpm::new("rogue", "1.0"), SigningKey::rsa("rogue"));
    repository.publish();
    let error = sync(&bench, job(&server, format(), keys)).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("rogue"), "{error}");
    assert_eq!(bench.newest(), first.manifest);
}

#[test]
fn a_metalink_binds_repomd_and_names_the_mirrors() {
    let (scratch, server, bench) = served();
    let mut repository = rpm::Repository::new(scratch.path());
    repository.add(rpm::Rpm::new("hello", "1.0"));
    repository.publish();
    let stale = Server::empty();
    stale.put("/repodata/repomd.xml", "<repomd>an old one</repomd>");
    let repomd = std::fs::read(scratch.path().join("repodata/repomd.xml")).unwrap();
    let lists = Server::empty();
    let put = |digest: Digest| {
        let text = format!(
            "<?xml version=\"1.0\"?><metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\"><files>\
             <file name=\"repomd.xml\"><size>{}</size><verification><hash type=\"sha256\">{digest}</hash></verification>\
             <resources><url protocol=\"http\" preference=\"100\">{}/repodata/repomd.xml</url>\
             <url protocol=\"http\" preference=\"90\">{}/repodata/repomd.xml</url></resources></file></files></metalink>",
            repomd.len(),
            stale.url(),
            server.url()
        );
        lists.put("/metalink", text);
    };
    let run = || {
        let url = format!("{}/metalink", lists.url()).parse().unwrap();
        let upstream = Upstream { bases: Vec::new(), list: Some(MirrorList::Metalink(url)) };
        let format = Arc::new(Rpm::from_value(serde_json::json!({})).unwrap());
        let keys = proof(&repository.key, Policy::Require, Policy::Require);
        sync(&bench, Job { upstream, ..job(&server, format, keys) })
    };
    put(Digest::of(b"another"));
    let error = run().unwrap_err();
    assert!(matches!(error, SyncError::Unlisted { accepted: 1, .. }) && error.is_refusal(), "{error}");
    put(Digest::of(&repomd));
    assert_eq!(run().unwrap().outcome, Outcome::Updated);
    assert_eq!(
        stale.log_of("/repodata/repomd.xml").len(),
        2,
        "the preferred mirror was asked and passed over"
    );
}

#[test]
fn pypi() {
    let (scratch, server, bench) = served();
    let mut index = Index::new(scratch.path());
    index.add(Wheel::new("hello", "1.0").requires("world>=1")).add(Wheel::new("world", "2.0"));
    index.publish();
    let options = serde_json::json!({
        "projects": ["hello"], "dependencies": true,
        "environments": [{ "python": "3.11", "platform": "manylinux_2_28_x86_64" }],
    });
    let format = || -> Arc<dyn Format> { Arc::new(Pypi::from_value(options.clone()).unwrap()) };
    assert_eq!(format().kind(), Kind::Pypi);
    let keys: Arc<dyn Verifier> = Arc::new(Keys(Policy::Off));
    let from_server = || {
        let upstream = Upstream::at(format!("{}/simple/", server.url()).parse().unwrap());
        Job { upstream, ..job(&server, format(), Arc::clone(&keys)) }
    };
    let first = sync(&bench, from_server()).unwrap();
    assert_eq!((first.outcome, first.packages), (Outcome::Updated, Some(2)));
    assert!(has(&bench, ".whl") && has(&bench, ".whl.metadata"));
    let again = sync(&bench, from_server()).unwrap();
    assert_eq!((again.outcome, again.fetched.files), (Outcome::Unchanged, 0));

    // the same index as a directory is the same state
    let base = format!("file://{}/simple", scratch.path().display());
    let from_directory = Job {
        name: "local".parse().unwrap(),
        upstream: Upstream::at(base.parse().unwrap()),
        ..from_server()
    };
    let local = sync(&bench, from_directory).unwrap();
    assert_eq!((local.packages, local.fetched.files), (Some(2), 0));
}

#[test]
fn pypi_brings_a_project_that_is_added_over_an_unchanged_upstream() {
    let (scratch, server, bench) = served();
    let mut index = Index::new(scratch.path());
    index.add(Wheel::new("hello", "1.0")).add(Wheel::new("world", "2.0"));
    index.publish();
    let keys: Arc<dyn Verifier> = Arc::new(Keys(Policy::Off));
    let run = |projects: &[&str]| {
        let format = Arc::new(Pypi::from_value(serde_json::json!({ "projects": projects })).unwrap());
        let upstream = Upstream::at(format!("{}/simple/", server.url()).parse().unwrap());
        server.clear_log();
        sync(&bench, Job { upstream, ..job(&server, format, Arc::clone(&keys)) }).unwrap()
    };
    assert_eq!(run(&["hello"]).packages, Some(1));
    assert_eq!(run(&["hello"]).outcome, Outcome::Unchanged);
    let statuses = |path: &str| server.log_of(path).iter().map(|l| l.status).collect::<Vec<_>>();
    let added = run(&["hello", "world"]);
    assert_eq!(statuses("/simple/hello/"), [304], "the page that is known is asked for conditionally");
    assert_eq!(statuses("/simple/world/"), [200]);
    assert_eq!(
        (added.outcome, added.packages, added.fetched.files),
        (Outcome::Updated, Some(2), 2),
        "a wheel and its metadata"
    );
    assert!(has(&bench, "hello-1.0-py3-none-any.whl") && has(&bench, "world-2.0-py3-none-any.whl"));
}

#[test]
fn wheels_that_are_read_for_their_metadata_count_as_fetched() {
    let (scratch, server, bench) = served();
    let mut index = Index::new(scratch.path());
    index.add(Wheel::new("hello", "1.0").requires("world>=1")).add(Wheel::new("world", "2.0"));
    index.publish();
    let mut bytes = 0;
    for entry in std::fs::read_dir(scratch.path().join("files")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "metadata") {
            std::fs::remove_file(path).unwrap();
        } else {
            bytes += std::fs::metadata(path).unwrap().len();
        }
    }
    let options = serde_json::json!({
        "projects": ["hello"], "dependencies": true,
        "environments": [{ "python": "3.11", "platform": "manylinux_2_28_x86_64" }],
    });
    let run = |name: &str| {
        let format = Arc::new(Pypi::from_value(options.clone()).unwrap());
        let upstream = Upstream::at(format!("{}/simple/", server.url()).parse().unwrap());
        let keys: Arc<dyn Verifier> = Arc::new(Keys(Policy::Off));
        sync(&bench, Job { name: name.parse().unwrap(), upstream, ..job(&server, format, keys) }).unwrap()
    };
    assert_eq!(run("one").fetched, Tally { files: 2, bytes });
    assert_eq!(run("two").fetched, Tally::default(), "both are in the pool by now");
}
