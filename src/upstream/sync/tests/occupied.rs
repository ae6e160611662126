//! Packages and files that an index names at a path where something else was read.

use super::*;

#[test]
fn a_package_in_an_indexs_place_is_refused_unless_it_is_that_index() {
    let bench = Bench::new();
    let other = Digest::of(b"evil");
    for promise in [
        format!("pkg a root sha256 {other} 4\n"),
        format!("file root {other} 4\n"),
        format!("derive made text\npkg a made sha256 {other} 4\n"),
    ] {
        bench.publish_list(&promise, "");
        let error = bench.sync(bench.job()).unwrap_err();
        let SyncError::Conflict { one, other: promised, .. } = &error else { panic!("{promise}: {error}") };
        assert!(one.contains("as it was read"), "{one}");
        assert_eq!(*promised, format!("sha256:{other} (4 bytes)"));
        assert_eq!(bench.newest(), None);
    }
    // what is promised of it is true: one file, fetched once
    let signature = "";
    bench.server.put("/root.sig", signature);
    bench.publish_list(
        &format!("file root.sig {} {}\n", Digest::of(signature.as_bytes()), signature.len()),
        "",
    );
    bench.sync(bench.job()).unwrap();
    let there = bench.lines().into_iter().filter(|line| line.encode().contains("root.sig")).count();
    assert_eq!(there, 1);
}
