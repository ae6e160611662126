//! What a sync refuses, and leaves the repository as it was.

use super::*;

#[test]
fn an_upstream_that_never_stands_still_is_refused_after_some_starts() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha")]);
    let before = bench.sync(bench.job()).unwrap().manifest;
    // each root names a list that is not there yet
    let roots =
        ["one", "two", "three"].map(|content| Act::Instead(root_of(&line("a", content), "").into_bytes()));
    bench.server.script("/root", roots);
    bench.server.put("/root", "another ETag");
    let error = bench.sync(bench.job()).unwrap_err();
    assert!(matches!(&error, SyncError::Changing { starts: STARTS, .. }), "{error}");
    assert!(error.to_string().contains("changed while it was read") && error.is_refusal(), "{error}");
    assert_eq!(bench.newest(), before);
}

#[test]
fn what_never_fits_is_named_and_no_change_is_blamed() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha")]);
    let before = bench.sync(bench.job()).unwrap().manifest;
    bench.publish(&[("a", "ALPHA")]);
    bench.server.script("/list", [Act::Instead(line("a", "EVIL!").into_bytes())]);
    bench.server.clear_log();
    let error = bench.sync(bench.job()).unwrap_err();
    assert!(matches!(&error, SyncError::Mismatch { path, .. } if path.as_str() == "list"), "{error}");
    assert!(error.is_refusal() && error.hint().is_some());
    assert_eq!(bench.server.log_of("/root").len(), STARTS as usize);
    assert_eq!(bench.newest(), before);
    bench.server.script("/list", [Act::status(404)]);
    let gone = bench.sync(bench.job()).unwrap_err();
    assert!(!gone.is_refusal(), "{gone}");
    assert_eq!(bench.newest(), before);
}

#[test]
fn a_tampered_package_is_refused_and_nothing_changes() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha")]);
    let before = bench.sync(bench.job()).unwrap().manifest;
    bench.publish(&[("a", "alpha"), ("b", "beta")]);
    bench.server.script("/pool/b", [Act::Instead(b"BETA".to_vec())]);
    let error = bench.sync(bench.job()).unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains("/pool/b"), "{error}");
    assert_eq!(bench.newest(), before);
    bench.server.script("/pool/b", [Act::Serve]);
    assert_eq!(bench.sync(bench.job()).unwrap().outcome, Outcome::Updated);
}

#[test]
fn packages_are_vetted_even_if_another_repository_brought_them() {
    let bench = Bench::new();
    bench.publish(&[("a", "unsigned bytes")]);
    bench.sync(bench.job()).unwrap();
    let strict = |name: &str| Job {
        name: name.parse().unwrap(),
        proof: Arc::new(Keys(Policy::Require)),
        settings: Digest::of(b"other keys"),
        ..bench.job()
    };
    let error = bench.sync(strict("strict")).unwrap_err();
    assert!(matches!(
        &error,
        SyncError::Format {
            source: chantal_contract::FormatError::Verify { source: VerifyError::Unsigned, .. },
            ..
        }
    ));
    assert!(error.is_refusal());
    assert!(bench.store.catalog().newest(&"strict".parse().unwrap()).unwrap().is_none());
    // and what was accepted under other keys is looked at again, although nothing changed upstream
    assert!(bench.sync(strict("repo")).unwrap_err().is_refusal());
}

#[test]
fn expired_and_future_metadata_is_refused() {
    let bench = Bench::new();
    let list = line("a", "alpha");
    bench.server.put("/pool/a", "alpha");
    bench.publish_list(&list, "until 2026-11-20T11:59:59Z\n");
    let error = bench.sync(bench.job()).unwrap_err();
    assert!(matches!(error, SyncError::Expired { .. }) && error.is_refusal());
    assert_eq!(bench.newest(), None);
    let taken = bench.sync(Job { expired: Expired::Allow, ..bench.job() }).unwrap();
    assert_eq!(taken.outcome, Outcome::Updated);
    // unchanged anchors are no way around it
    assert!(matches!(bench.sync(bench.job()), Err(SyncError::Expired { .. })));
    for (date, good) in [("2026-11-20T12:00:10Z", true), ("2026-11-20T12:00:11Z", false)] {
        bench.publish_list(&list, &format!("date {date}\n"));
        let result = bench.sync(bench.job());
        assert_eq!(result.is_ok(), good, "{date}: {result:?}");
    }
}

#[test]
fn a_repository_in_use_is_left_alone() {
    let bench = Bench::new();
    bench.publish(&[("a", "alpha")]);
    let job = bench.job();
    let held = bench.store.lock(Lock::Repository(&job.name)).unwrap();
    let error = bench.sync(bench.job()).unwrap_err();
    assert!(matches!(error, SyncError::Store(StoreError::Locked { .. })));
    assert!(bench.server.log().is_empty());
    drop(held);
    bench.sync(job).unwrap();
}

#[test]
fn contradictions_are_named() {
    let bench = Bench::new();
    let twice = |a: &str, b: &str| {
        bench.publish_list(&format!("{a}{b}"), "");
        bench.sync(bench.job()).unwrap_err()
    };
    let error = twice(&line("a", "alpha"), &line("a", "ALPHA"));
    assert!(matches!(&error, SyncError::Conflict { path, .. } if path.as_str() == "pool/a"), "{error}");
    bench.server.put("/pool/a", "alpha");
    bench.server.put("/pool/a/b", "beta");
    let error = twice(&line("a", "alpha"), &line("a/b", "beta"));
    assert!(matches!(error, SyncError::FileAndDirectory { .. }), "{error}");
    assert_eq!(bench.newest(), None);
}

#[test]
fn what_cannot_fit_is_not_begun() {
    let bench = Bench::new();
    bench.server.put("/pool/a", "alpha");
    bench.publish_list(&format!("pkg a pool/a sha256 {} {}\n", Digest::of(b"alpha"), 1_u64 << 60), "");
    let error = bench.sync(bench.job()).unwrap_err();
    assert!(matches!(error, SyncError::NoRoom { needed, .. } if needed == 1 << 60), "{error}");
    assert!(bench.server.log_of("/pool/a").is_empty());
}
