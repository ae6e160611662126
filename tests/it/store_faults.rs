//! A store in trouble: a second process, a full disk, a catalog that is gone or from last week.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    clients::{have, run},
    fixtures::server::Server,
    world::{World, contents, copy, text},
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

#[test]
fn a_receiver_that_lost_its_packages_gets_them_from_its_bundles_again() {
    let mut world = World::with_files();
    let first = world.deliver(1);
    world.receive(&first);
    world.upstreams.grow();
    let second = world.deliver(2);
    world.receive(&second);
    // what is served, but for the tree's own note and what is only kept beside of states before
    let files = |name: &&str| contents(&world.plant.published(name));
    let served = || -> Vec<_> {
        let files = ["debian", "tools", "wheels"].iter().flat_map(files);
        files.filter(|(name, _)| name != ".chantal-tree" && !name.contains("/by-hash/")).collect()
    };
    let seen = served();
    let backup = world.dir.path().join("backup.tar.zst");
    world.plant.ok(["db", "backup", backup.to_str().unwrap()]);
    fs::remove_dir_all(world.plant.dir.join("store")).unwrap();
    fs::remove_dir_all(world.plant.dir.join("published")).unwrap();
    world.plant.ok(["init"]);
    world.plant.ok(["db", "restore", backup.to_str().unwrap()]);
    world.plant.fails(1, ["publish"]);
    // the medium still holds both, in their order
    let media = first.parent().unwrap().to_str().unwrap();
    let import = || {
        let output = run(&mut world.plant.command(["import", media]));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        text(&output)
    };
    let said = import();
    assert_eq!(said.matches("imported already").count(), 2, "{said}");
    assert_eq!(said.matches("brought back").count(), 2, "{said}");
    world.plant.ok(["publish"]);
    world.plant.ok(["verify", "--full"]);
    for (now, before) in served().iter().zip(&seen) {
        assert!(now == before, "{} is not what it was ({})", now.0, before.0);
    }
    assert_eq!(served().len(), seen.len());
    let said = import();
    assert!(said.contains("imported already") && !said.contains("brought back"), "{said}");

    // A blob that rotted is put aside, and comes back as well.
    let blobs = contents(&world.plant.dir.join("store/pool/sha256"));
    let packages = contents(&world.plant.published("debian"));
    let package = packages
        .into_iter()
        .find(|(name, _)| name.contains("_amd64.deb") || name.contains("_all.deb"))
        .unwrap()
        .1;
    let (path, mut bytes) = blobs.into_iter().find(|(_, bytes)| *bytes == package).unwrap();
    let path = world.plant.dir.join("store/pool/sha256").join(path);
    bytes[0] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    run(&mut world.plant.command(["verify", "--full"]));
    assert!(!path.exists());
    let said = import();
    assert!(said.contains("1 missing blob brought back"), "{said}");
    world.plant.ok(["publish"]);
    world.plant.ok(["verify", "--full"]);
    assert!(path.exists());
}
