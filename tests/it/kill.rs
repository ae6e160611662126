//! SIGKILL at every kind of system call: a plain re-run must end where an undisturbed run ends.
//!
//! `strace` kills the process instead of executing the N-th call of a name. N runs until the command ends by itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    clients::have,
    world::{Site, World, contents, copy},
};

/// Calls that change a file system, or order such changes.
const CALLS: [&str; 22] = [
    "openat",
    "write",
    "pwrite64",
    "rename",
    "renameat2",
    "linkat",
    "symlink",
    "symlinkat",
    "mkdir",
    "unlink",
    "fsync",
    "fdatasync",
    "syncfs",
    "ftruncate",
    "fchmod",
    "copy_file_range",
    "utimensat",
    "unlinkat",
    "mkdirat",
    "link",
    "flock",
    "close",
];

/// What makes something last or visible.
const COMMITS: [&str; 12] = [
    "write",
    "pwrite64",
    "rename",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "unlink",
    "fsync",
    "fdatasync",
    "syncfs",
    "ftruncate",
];

/// Tells whether a call is interrupted at every one of its points, as `CHANTAL_EVERY_POINT=1` asks for: that takes many minutes.
fn every_point(call: &str) -> bool {
    std::env::var_os("CHANTAL_EVERY_POINT").is_some() && COMMITS.contains(&call)
}

/// Kills `args` in copies of `site` at up to `most` points of every call, re-runs it, and lets `check` look; returns the points.
fn kill_everywhere(
    site: &Path,
    scratch: &Path,
    args: &[&str],
    most: usize,
    check: &dyn Fn(&Site, &str),
) -> usize {
    let mut points = 0;
    for call in CALLS {
        let mut when = 1;
        let every = every_point(call);
        for _ in 0..if every { usize::MAX } else { most } {
            let dir = scratch.join("killed");
            let _ = fs::remove_dir_all(&dir);
            copy(site, &dir);
            let site = Site { dir: dir.clone() };
            let plain = site.command(args);
            let mut traced = Command::new("strace");
            traced.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={call}"));
            traced
                .arg("-e")
                .arg(format!("inject={call}:signal=KILL:when={when}"))
                .arg(plain.get_program())
                .args(plain.get_args());
            traced.current_dir(&dir).stdout(Stdio::null()).stderr(Stdio::null());
            if traced.status().unwrap().success() {
                break;
            }
            points += 1;
            let at = format!("`{}` killed at {call} {when}", args.join(" "));
            let again = site.command(args).output().unwrap();
            assert!(
                again.status.success(),
                "{at}: a plain re-run failed: {}",
                String::from_utf8_lossy(&again.stderr)
            );
            check(&site, &at);
            when += if every { 1 } else { 1 + when / 6 };
        }
    }
    points
}

/// Returns the digests of every repository's newest state.
fn states(site: &Site) -> Vec<String> {
    let text = site.ok(["--json", "repo", "list"]);
    let mut found: Vec<String> = text
        .split('"')
        .filter(|w| w.len() == 64 && w.bytes().all(|b| b.is_ascii_hexdigit()))
        .map(str::to_owned)
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{text}");
    found
}

fn prepared(name: &str) -> Option<(World, PathBuf)> {
    if !have("strace") {
        return None;
    }
    let world = World::with_files();
    let scratch = world.dir.path().join(name);
    fs::create_dir(&scratch).unwrap();
    Some((world, scratch))
}

#[test]
fn sync_killed_anywhere_converges() {
    let Some((world, scratch)) = prepared("scratch") else { return };
    let reference = scratch.join("reference");
    copy(&world.hq.dir, &reference);
    let reference = Site { dir: reference };
    reference.ok(["sync"]);
    let expected = states(&reference);
    let points = kill_everywhere(&world.hq.dir, &scratch, &["sync"], 18, &|site, at| {
        assert_eq!(states(site), expected, "{at}");
        site.ok(["verify", "--full"]);
    });
    eprintln!("killed at {points} points of sync");
    assert!(points >= 70, "only {points} points");
}

#[test]
fn import_killed_anywhere_converges() {
    let Some((world, scratch)) = prepared("scratch") else { return };
    let bundle = world.deliver(1);
    let args = ["import", bundle.to_str().unwrap()];
    let reference = scratch.join("reference");
    copy(&world.plant.dir, &reference);
    let reference = Site { dir: reference };
    reference.ok(args);
    let expected = states(&reference);
    let kept = |site: &Site| {
        let mut all = contents(&site.dir.join("store/pool/sha256"));
        all.extend(contents(&site.dir.join("store/manifests")));
        all.extend(contents(&site.dir.join("store/packs")));
        all
    };
    let whole = kept(&reference);
    assert!(whole.len() > 20, "{}", whole.len());
    let points = kill_everywhere(&world.plant.dir, &scratch, &args, 12, &|site, at| {
        assert_eq!(states(site), expected, "{at}");
        assert!(
            kept(site) == whole,
            "{at}: pool, manifests or packs are not byte for byte those of an undisturbed import"
        );
        let log = site.ok(["audit", "show", "--what", "imported"]);
        assert_eq!(log.lines().count(), 1, "{at}: {log}");
        site.ok(["verify", "--full"]);
    });
    eprintln!("killed at {points} points of import");
    assert!(points >= 70, "only {points} points");
}

#[test]
fn publish_killed_anywhere_converges() {
    let Some((mut world, scratch)) = prepared("scratch") else { return };
    let first = world.deliver(1);
    world.receive(&first);
    world.upstreams.grow();
    let second = world.deliver(2);
    world.plant.ok(["import", second.to_str().unwrap()]);
    let trees = |site: &Site| -> Vec<(String, Vec<u8>)> {
        // pages tell when they were made; everything that a client reads must be the same
        let mut all = Vec::new();
        for name in ["debian/dists", "debian/pool", "tools/repodata", "tools/Packages", "wheels/simple"] {
            all.extend(contents(&site.published(name)));
        }
        all
    };
    let reference = scratch.join("reference");
    copy(&world.plant.dir, &reference);
    let reference = Site { dir: reference };
    let before = trees(&reference);
    reference.ok(["publish"]);
    let expected = trees(&reference);
    assert_ne!(before, expected);
    let points = kill_everywhere(&world.plant.dir, &scratch, &["publish"], 12, &|site, at| {
        assert!(trees(site) == expected, "{at}: trees differ");
    });
    eprintln!("killed at {points} points of publish");
    assert!(points >= 60, "only {points} points");
}

#[test]
fn a_rotation_killed_anywhere_leaves_a_key_that_signs() {
    let Some((world, scratch)) = prepared("scratch") else { return };
    let points = kill_everywhere(
        &world.hq.dir,
        &scratch,
        &["trust", "rotate", "--revoke", "--yes"],
        8,
        &|site, at| {
            let key = site.ok(["--json", "key", "list"]);
            let shown = site.ok(["--json", "trust", "show"]);
            let own = key.split('"').find(|word| word.starts_with("SHA256:")).unwrap().to_owned();
            let listed = shown.split("\"thresholds\"").next().unwrap();
            assert!(listed.contains(&own), "{at}: the site's key is not the one that is trusted");
            // it can sign the next version, which needs what the former keys signed
            site.ok(["trust", "epoch", "--yes"]);
        },
    );
    eprintln!("killed at {points} points of a rotation");
    assert!(points >= 40, "only {points} points");
}
