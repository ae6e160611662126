//! Bundles that were damaged, altered, swapped, replayed or sent to the wrong site.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    clients::{mounted, run},
    fixtures::deb::Deb,
    world::{Site, World, bundle, copy, text},
};

/// What a site would lose if a refusal were not clean: its states and its published trees.
fn state(site: &Site) -> (String, usize) {
    (site.ok(["--json", "repo", "list"]), crate::world::contents(&site.dir.join("published")).len())
}

fn flip(path: &Path, at: u64, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 1 << bit;
    let mut permissions = fs::metadata(path).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a scratch copy")]
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions).unwrap();
    fs::write(path, bytes).unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn any_bit_flipped_anywhere_is_refused_and_changes_nothing() {
    let world = World::with_files();
    let good = world.deliver(1);
    let before = state(&world.plant);
    let mut flips = 0;
    for file in files(&good) {
        let relative = file.strip_prefix(&good).unwrap().to_owned();
        if relative == Path::new("SHA256SUMS") {
            continue; // for people; what is in it is proved by nothing and believed by nobody
        }
        let size = fs::metadata(&file).unwrap().len();
        for step in 0..16 {
            let at = (size - 1) * step / 15;
            let bad = world.dir.path().join("bad");
            let _ = fs::remove_dir_all(&bad);
            fs::create_dir(&bad).unwrap();
            copy(&good, &bad);
            let bad = bad.join(good.file_name().unwrap());
            flip(&bad.join(&relative), at, u8::try_from(step % 8).unwrap());
            let verb: &[&str] = if step % 3 == 0 { &["import"] } else { &["bundle", "verify"] };
            let output = run(world
                .plant
                .command(verb.iter().copied().chain([bad.to_str().unwrap()]))
                .env("RUST_BACKTRACE", "0"));
            let said = text(&output);
            assert_eq!(
                output.status.code(),
                Some(3),
                "{} byte {at} bit {}: {said}",
                relative.display(),
                step % 8
            );
            assert!(!said.contains("panicked"), "{said}");
            flips += 1;
        }
    }
    assert!(flips >= 80, "only {flips} flips");
    assert_eq!(state(&world.plant), before, "a refused bundle left something behind");
    world.receive(&good);
}

/// A world whose first bundle has several volumes.
fn several_volumes() -> (World, PathBuf) {
    let mut world = World::with_files();
    for number in 0_u64..6 {
        let mut state = number + 1;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
        };
        let content: String = (0..2_600_000).map(|_| letter()).collect();
        world.upstreams.apt.add(Deb::new(&format!("ballast{number}"), "1").content(content));
    }
    world.upstreams.publish();
    let path = world.hq.dir.join("chantal.yaml");
    let configuration =
        fs::read_to_string(&path).unwrap().replace("wheels] }", "wheels], volume_size: 4MiB }");
    fs::write(path, configuration).unwrap();
    let bundle = world.deliver(1);
    (world, bundle)
}

fn volumes(bundle: &Path) -> Vec<PathBuf> {
    files(bundle).into_iter().filter(|p| p.to_string_lossy().ends_with(".tar.zst")).collect()
}

#[test]
fn volumes_come_in_any_order_and_over_several_visits() {
    let (world, full) = several_volumes();
    let all = volumes(&full);
    assert!(all.len() >= 3, "{all:?}");
    // a first disc with the small files and the last volume
    let disc = world.dir.path().join("disc");
    fs::create_dir(&disc).unwrap();
    copy(&full, &disc);
    let first = disc.join(full.file_name().unwrap());
    for volume in volumes(&first).iter().rev().skip(1) {
        fs::remove_file(volume).unwrap();
    }
    let before = state(&world.plant);
    let said = world.plant.fails(4, ["import", first.to_str().unwrap()]);
    assert!(said.contains(&format!("1 of {}", all.len())), "{said}");
    assert_eq!(state(&world.plant), before, "half a bundle became current");
    // nothing of it is garbage
    world.plant.ok(["gc"]);
    // then the others, backwards, as single volumes
    let mut last = String::new();
    for volume in all.iter().rev().skip(1) {
        let alone = world.dir.path().join("disc-of-one");
        let _ = fs::remove_dir_all(&alone);
        fs::create_dir(&alone).unwrap();
        copy(volume, &alone);
        let single = alone.join(volume.file_name().unwrap());
        let output = run(&mut world.plant.command(["import", single.to_str().unwrap()]));
        last = text(&output);
        let expected = if volume == &all[0] { 0 } else { 4 };
        assert_eq!(output.status.code(), Some(expected), "{last}");
    }
    assert_ne!(state(&world.plant), before, "{last}");
    world.plant.ok(["verify", "--full"]);
    world.plant.ok(["publish"]);
}

#[test]
fn volumes_missing_doubled_cut_or_foreign_are_told_apart() {
    let (world, good) = several_volumes();
    let scratch = |name: &str| {
        let dir = world.dir.path().join(name);
        fs::create_dir(&dir).unwrap();
        copy(&good, &dir);
        dir.join(good.file_name().unwrap())
    };
    let missing = scratch("missing");
    fs::remove_file(&volumes(&missing)[1]).unwrap();
    let said = world.plant.fails(4, ["bundle", "verify", missing.to_str().unwrap()]);
    assert!(said.contains("not at hand: volume 2"), "{said}");

    let cut = scratch("cut");
    let bytes = fs::read(&volumes(&cut)[0]).unwrap();
    fs::remove_file(&volumes(&cut)[0]).unwrap();
    fs::write(cut.join("volume-0001.tar.zst"), &bytes[..bytes.len() - 1]).unwrap();
    world.plant.fails(3, ["import", cut.to_str().unwrap()]);

    let long = scratch("long");
    fs::remove_file(&volumes(&long)[0]).unwrap();
    fs::write(long.join("volume-0001.tar.zst"), [&bytes[..], b"x"].concat()).unwrap();
    world.plant.fails(3, ["import", long.to_str().unwrap()]);

    let swapped = scratch("swapped");
    fs::rename(swapped.join("volume-0001.tar.zst"), swapped.join("keep")).unwrap();
    fs::rename(swapped.join("volume-0002.tar.zst"), swapped.join("volume-0001.tar.zst")).unwrap();
    fs::rename(swapped.join("keep"), swapped.join("volume-0002.tar.zst")).unwrap();
    world.plant.fails(3, ["import", swapped.to_str().unwrap()]);

    // the same volume twice is no harm
    let twice = volumes(&good)[0].clone();
    world.plant.ok(["import", good.to_str().unwrap(), twice.to_str().unwrap()]);
}

#[test]
fn a_bundle_for_another_site_a_stranger_and_a_replay_are_each_named() {
    let mut world = World::with_files();
    let first = world.deliver(1);
    let path = world.dir.path().join("ship");
    let ship = Site::receiver(&path, "ship-3");
    let said = ship.fails(3, ["import", first.to_str().unwrap()]);
    assert!(said.contains("trust"), "{said}");
    let key = world.dir.path().join("hq.pub");
    let listed = world.hq.ok(["key", "list"]);
    let fingerprint = listed.split_whitespace().find(|w| w.starts_with("SHA256:")).unwrap();
    ship.ok(["trust", "add", key.to_str().unwrap(), "--fingerprint", fingerprint]);
    let said = ship.fails(3, ["import", first.to_str().unwrap()]);
    assert!(said.contains("plant-7") && said.contains("ship-3"), "{said}");

    world.upstreams.grow();
    let second = world.deliver(2);
    world.receive(&first);
    world.receive(&second);
    // the same again is success
    world.plant.ok(["import", second.to_str().unwrap()]);
    let published = crate::world::contents(&world.plant.published("debian"));
    let output = run(&mut world.plant.command(["import", first.to_str().unwrap()]));
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", text(&output));
    world.plant.ok(["publish"]);
    assert_eq!(
        crate::world::contents(&world.plant.published("debian")),
        published,
        "a replay turned the clock back"
    );
}

#[test]
fn a_missing_base_names_the_snapshot_and_the_command_that_provides_it() {
    let mut world = World::with_files();
    let _first = world.deliver(1);
    world.upstreams.grow();
    let second = world.deliver(2);
    let before = state(&world.plant);
    let output = run(&mut world.plant.command(["import", second.to_str().unwrap()]));
    let said = text(&output);
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("chantal export --to plant-7") && said.contains("debian"), "{said}");
    assert_eq!(state(&world.plant), before);
    let media = world.dir.path().join("again");
    fs::create_dir(&media).unwrap();
    world.hq.ok(["export", "--to", "plant-7", "--since", "none", "--out", media.to_str().unwrap()]);
    world.receive(&bundle(&media, 3));
}

#[test]
fn the_medium_is_only_read() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::with_files();
    let first = world.deliver(1);
    let before: Vec<_> =
        files(&first).into_iter().map(|p| (fs::metadata(&p).unwrap().modified().unwrap(), p)).collect();
    fs::set_permissions(&first, fs::Permissions::from_mode(0o555)).unwrap();
    world.plant.ok(["bundle", "verify", first.to_str().unwrap()]);
    world.receive(&first);
    let after: Vec<_> =
        files(&first).into_iter().map(|p| (fs::metadata(&p).unwrap().modified().unwrap(), p)).collect();
    assert_eq!(before, after);
    fs::set_permissions(&first, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_was_not_copied_or_does_not_belong_is_said() {
    let world = World::with_files();
    let good = world.deliver(1);
    let scratch = |name: &str| {
        let dir = world.dir.path().join(name);
        fs::create_dir(&dir).unwrap();
        copy(&good, &dir);
        dir.join(good.file_name().unwrap())
    };
    let bare = scratch("bare");
    fs::remove_dir_all(bare.join("trust")).unwrap();
    let said = world.plant.fails(3, ["import", bare.to_str().unwrap()]);
    assert!(
        said.contains("`trust/0001.json` is not there") && said.contains("hint: copy the bundle anew"),
        "{said}"
    );

    // an import does not look at SHA256SUMS, and its rehearsal is no stricter; what is not there is not bad
    let sums = scratch("sums");
    fs::write(sums.join("SHA256SUMS"), "nonsense\n").unwrap();
    world.plant.fails(3, ["bundle", "verify", sums.to_str().unwrap()]);
    fs::remove_file(sums.join("SHA256SUMS")).unwrap();
    let said = world.plant.fails(4, ["bundle", "verify", sums.to_str().unwrap()]);
    assert!(said.contains("what is at hand is good; not at hand: `SHA256SUMS`"), "{said}");
    let rehearsed = run(&mut world.plant.command(["import", "--dry-run", sums.to_str().unwrap()]));
    assert_eq!(rehearsed.status.code(), Some(0), "{}", text(&rehearsed));
    assert!(text(&rehearsed).contains("good, every byte"), "{}", text(&rehearsed));

    let more = scratch("more");
    fs::write(more.join("README.exe"), "run me").unwrap();
    fs::write(more.join("trust/note"), "believe me").unwrap();
    for verb in ["inspect", "verify"] {
        let said = text(&run(&mut world.plant.command(["bundle", verb, more.to_str().unwrap()])));
        for name in ["`README.exe`", "`trust/note`"] {
            assert!(
                said.contains(&format!("{name} is no part of the bundle: no signature covers it")),
                "{verb}: {said}"
            );
        }
        assert_eq!(said.matches("is no part of the bundle").count(), 2, "{said}");
    }

    let strange = scratch("strange");
    let volume = volumes(&strange)[0].clone();
    type Make = fn(&Path);
    let kinds: [(&str, Make); 3] = [
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a symbolic link that leads to no file", |path| {
            std::os::unix::fs::symlink("nowhere", path).unwrap();
        }),
        ("a pipe", |path| {
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
    ];
    for (what, make) in kinds {
        let _ = fs::remove_file(&volume);
        let _ = fs::remove_dir(&volume);
        make(&volume);
        for verb in [&["import"][..], &["bundle", "verify"]] {
            let said = world.plant.fails(4, verb.iter().copied().chain([strange.to_str().unwrap()]));
            assert!(said.contains(&format!("is {what} and is not read")), "{verb:?}: {said}");
        }
    }
    world.receive(&good);
}

#[test]
fn an_import_that_does_not_fit_is_refused_before_it_begins() {
    let (world, full) = several_volumes();
    let small = world.dir.path().join("small");
    fs::create_dir(&small).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=8m tmpfs {small} && cp -a {plant}/. {small} || exit 77; cd {small}; {program} -q import {bundle}; code=$?; exit $code",
        small = small.display(),
        plant = world.plant.dir.display(),
        program = env!("CARGO_BIN_EXE_chantal"),
        bundle = full.display(),
    );
    let Some(output) = mounted(&script) else { return };
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("bytes free") && said.contains("are needed") && said.contains("hint: "), "{said}");
}
