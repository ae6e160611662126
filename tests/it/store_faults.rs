//! A store in trouble: a second process, a full disk, a catalog that is gone or from last week.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    clients::{have, run},
    fixtures::server::Server,
    world::{World, copy, text},
};

#[test]
fn a_second_process_is_told_who_holds_the_repository() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::directory(dir.path().join("upstream"));
    let url = server.url();
    let world = World::new(dir, &url);
    server.delay(Duration::from_millis(1_500));
    let mut first =
        world.hq.command(["sync", "debian"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let said = world.hq.fails(1, ["sync", "debian"]);
    assert!(said.contains("in use") && said.contains(&first.id().to_string()), "{said}");
    server.delay(Duration::ZERO);
    assert!(first.wait().unwrap().success());
    world.hq.ok(["sync", "debian"]);
}

#[test]
fn a_full_disk_is_one_clear_error_and_nothing_is_lost() {
    if !have("strace") {
        return;
    }
    let world = World::with_files();
    let pristine = world.dir.path().join("pristine");
    copy(&world.hq.dir, &pristine);
    let mut failures = 0;
    let mut judge = |what: &str, output: std::process::Output| {
        let said = text(&output);
        assert!(!said.contains("panicked"), "{what}: {said}");
        if !output.status.success() {
            failures += 1;
            assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        }
        world.hq.ok(["sync"]);
        world.hq.ok(["verify", "--full"]);
    };
    for (call, from) in [
        ("pwrite64", 1),
        ("pwrite64", 3),
        ("pwrite64", 9),
        ("fsync", 1),
        ("fsync", 4),
        ("ftruncate", 1),
        ("mkdir", 1),
    ] {
        fs::remove_dir_all(&world.hq.dir).unwrap();
        copy(&pristine, &world.hq.dir);
        let plain = world.hq.command(["-q", "sync"]);
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={call}"));
        traced
            .arg("-e")
            .arg(format!("inject={call}:error=ENOSPC:when={from}+"))
            .arg(plain.get_program())
            .args(plain.get_args());
        judge(&format!("{call} {from}"), run(traced.current_dir(&world.hq.dir).env("RUST_BACKTRACE", "0")));
    }
    // a real file system that is full at some point of the run; needs a mount namespace
    for kib in [300, 360, 420, 480, 560, 700, 900] {
        fs::remove_dir_all(&world.hq.dir).unwrap();
        copy(&pristine, &world.hq.dir);
        let small = world.dir.path().join("small");
        let out = world.dir.path().join("out");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&small).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={kib}k tmpfs {small} && cp -a {hq}/. {small} || exit 77; cd {small}; {program} -q sync; code=$?; cp -a {small} {out}; exit $code",
            small = small.display(),
            hq = world.hq.dir.display(),
            out = out.display(),
            program = env!("CARGO_BIN_EXE_chantal"),
        );
        let output =
            run(Command::new("unshare").args(["-rm", "sh", "-c", &script]).env("RUST_BACKTRACE", "0"));
        if output.status.code() == Some(77) || !out.is_dir() {
            continue;
        }
        fs::remove_dir_all(&world.hq.dir).unwrap();
        copy(&out, &world.hq.dir);
        judge(&format!("{kib} KiB"), output);
    }
    assert!(failures >= 4, "only {failures} runs noticed the full disk");
}

#[test]
fn a_catalog_that_is_deleted_damaged_or_from_last_week_is_replayed() {
    let mut world = World::with_files();
    let first = world.deliver(1);
    world.receive(&first);
    let catalog: Vec<_> = fs::read_dir(world.plant.dir.join("store"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().contains("catalog"))
        .collect();
    assert!(!catalog.is_empty());
    let old = world.dir.path().join("old");
    fs::create_dir(&old).unwrap();
    for file in &catalog {
        copy(file, &old);
    }
    world.upstreams.grow();
    let second = world.deliver(2);
    world.receive(&second);
    let expected = world.plant.ok(["--json", "repo", "list"]);
    let remove = || {
        for entry in fs::read_dir(world.plant.dir.join("store")).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().contains("catalog") {
                fs::remove_file(path).unwrap();
            }
        }
    };
    // deleted
    remove();
    assert_eq!(world.plant.ok(["--json", "repo", "list"]), expected);
    // from last week
    remove();
    for entry in fs::read_dir(&old).unwrap() {
        copy(&entry.unwrap().path(), &world.plant.dir.join("store"));
    }
    assert_eq!(world.plant.ok(["--json", "repo", "list"]), expected);
    // no database at all
    remove();
    fs::write(
        world.plant.dir.join("store").join(catalog.iter().map(|p| p.file_name().unwrap()).min().unwrap()),
        "not a database, but long enough to be looked at".repeat(100),
    )
    .unwrap();
    assert_eq!(world.plant.ok(["--json", "repo", "list"]), expected);
    // an older bundle is still refused or known: no sequence was lowered
    world.plant.ok(["import", second.to_str().unwrap()]);
    world.plant.ok(["db", "verify"]);
    world.plant.ok(["audit", "verify"]);
}

#[test]
fn garbage_goes_and_what_is_needed_stays() {
    let mut world = World::with_files();
    world.hq.ok(["sync"]);
    world.hq.ok(["snapshot", "create", "--name", "first"]);
    world.upstreams.grow();
    world.upstreams.apt.remove("greeting");
    world.upstreams.publish();
    world.hq.ok(["sync"]);
    world.hq.ok(["gc"]);
    world.hq.ok(["verify", "--full"]);
    world.hq.ok(["publish", "debian@first"]);
    assert!(world.hq.published("snapshots/debian/first/pool/main/g/greeting_2.0_all.deb").is_file());
    let said = world.hq.ok(["snapshot", "diff", "debian@first", "debian"]);
    assert!(said.contains("greeting"), "{said}");
}

#[test]
fn a_blob_that_rotted_is_found_named_and_healed_by_the_next_sync() {
    let world = World::with_files();
    world.hq.ok(["sync"]);
    let deb = fs::read(world.upstreams.dir.join("debian/pool/main/h/hello_1.0-1_all.deb")).unwrap();
    let sha256 = crate::fixtures::sha256(&deb);
    let blob = world.hq.dir.join("store/pool/sha256").join(&sha256[..2]).join(&sha256);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[100] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    let said = world.hq.fails(3, ["verify", "--full"]);
    assert!(said.contains(&sha256[..12]) && said.contains("debian"), "{said}");
    world.hq.ok(["sync"]);
    world.hq.ok(["verify", "--full"]);
    assert_eq!(fs::read(&blob).unwrap(), deb);
}

#[test]
fn a_published_directory_that_is_gone_is_made_again() {
    let world = World::with_files();
    world.hq.ok(["sync"]);
    fs::remove_dir_all(world.hq.dir.join("published")).unwrap();
    world.hq.ok(["publish"]);
    assert!(world.hq.published("debian/dists/stable/InRelease").is_file());
}
