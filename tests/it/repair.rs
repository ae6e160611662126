//! Media that are damaged, incomplete, read-only, full, or go away, through the real program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    clients::{self, faulty, run},
    fixtures::deb::Deb,
    world::{World, contents, copy, text},
};

/// A world whose bundles have several volumes, and parity.
pub fn protected(more: &str) -> World {
    let mut world = World::with_files();
    for number in 0_u64..6 {
        let mut state = number + 77;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
        };
        let content: String = (0..2_600_000).map(|_| letter()).collect();
        world.upstreams.apt.add(Deb::new(&format!("ballast{number}"), "1").content(content));
    }
    world.upstreams.publish();
    let path = world.hq.dir.join("chantal.yaml");
    let configuration = fs::read_to_string(&path)
        .unwrap()
        .replace("wheels] }", &format!("wheels], volume_size: 4MiB{more} }}"));
    fs::write(path, configuration).unwrap();
    world
}

/// Syncs and exports with more arguments; returns the bundle and what was said.
pub fn export(world: &World, args: &[&str]) -> (PathBuf, String) {
    world.hq.ok(["sync"]);
    let out = world.dir.path().join("media");
    fs::create_dir_all(&out).unwrap();
    let fixed = ["export", "--to", "plant-7", "--since", "none", "--out", out.to_str().unwrap()];
    let output = run(&mut world.hq.command(fixed.iter().chain(args)));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    (crate::world::bundle(&out, 1), said)
}

fn scratch(world: &World, bundle: &Path, name: &str) -> PathBuf {
    let dir = world.dir.path().join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).unwrap();
    copy(bundle, &dir);
    dir.join(bundle.file_name().unwrap())
}

fn spoil(path: &Path, at: usize, length: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at..at + length].iter_mut().for_each(|b| *b ^= 0xa5);
    fs::write(path, bytes).unwrap();
}

/// What clients of the plant would see.
fn published(world: &World) -> Vec<(String, Vec<u8>)> {
    world.plant.ok(["publish"]);
    contents(&world.plant.published("debian"))
}

#[test]
fn a_lost_volume_bad_sectors_and_a_lost_index_are_repaired_and_said() {
    let world = protected(", parity: 34%");
    let (bundle, said) = export(&world, &["--verify-after-write"]);
    assert!(said.contains("survives the loss of any 2 of its 9 files, or of about 2."), "{said}");
    assert!(said.contains("read back from the medium"), "{said}");
    let bad = scratch(&world, &bundle, "bad");
    fs::remove_file(bad.join("volume-0002.tar.zst")).unwrap();
    fs::remove_file(bad.join("index.zst")).unwrap();
    let said = world.plant.fails(4, ["bundle", "verify", bad.to_str().unwrap()]);
    assert!(said.contains("volume-0002.tar.zst: it is lost, and was made anew from parity"), "{said}");
    let output = run(&mut world.plant.command(["--json", "import", bad.to_str().unwrap()]));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("index.zst") && said.contains("repaired from parity"), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let repaired = &report["bundles"][0]["repaired"][0];
    assert_eq!((&repaired["volume"], &repaired["lost"]), (&2.into(), &true.into()), "{report}");
    world.plant.ok(["verify", "--full"]);
    let seen = published(&world);

    let output = run(&mut world.plant.command(["import", bundle.to_str().unwrap()]));
    assert!(text(&output).contains("already"), "{}", text(&output));
    assert_eq!(published(&world), seen);
}

#[test]
fn scattered_bad_sectors_are_named_by_their_bytes() {
    let world = protected("");
    let (bundle, said) = export(&world, &["--parity", "20%"]);
    assert!(said.contains("of parity: it survives the loss of any 1 of its 8 files"), "{said}");
    let bad = scratch(&world, &bundle, "bad");
    spoil(&bad.join("volume-0001.tar.zst"), 40_000, 100);
    spoil(&bad.join("volume-0003.tar.zst"), 1_000_000, 3_000);
    let said = world.plant.fails(4, ["bundle", "verify", bad.to_str().unwrap()]);
    assert!(said.contains("volume-0001.tar.zst: repaired: 16.3 kB, bytes 32768 to 49152"), "{said}");
    let output = run(&mut world.plant.command(["import", bad.to_str().unwrap()]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("volume-0003.tar.zst"), "{}", text(&output));
    world.plant.ok(["verify", "--full"]);
}

#[test]
fn damage_beyond_repair_is_refused_with_the_next_step_and_half_is_kept() {
    let world = protected(", parity: 10%");
    let (bundle, _) = export(&world, &[]);
    let bad = scratch(&world, &bundle, "bad");
    fs::remove_file(bad.join("volume-0001.tar.zst")).unwrap();
    spoil(&bad.join("volume-0002.tar.zst"), 0, 2_000_000);
    let said = world.plant.fails(3, ["import", bad.to_str().unwrap()]);
    assert!(said.contains("beyond repair: bytes 0 to"), "{said}");
    assert!(said.contains("hint:") && said.contains("parity files"), "{said}");
    let listed = world.plant.ok(["--json", "bundle", "list"]);
    assert!(listed.contains("pending"), "{listed}");
    world.plant.ok(["gc"]);
    // The damaged ones alone complete it.
    let first = bundle.join("volume-0001.tar.zst");
    let second = bundle.join("volume-0002.tar.zst");
    let discs = [first, second].map(|volume| {
        let dir = world.dir.path().join(volume.file_stem().unwrap());
        fs::create_dir(&dir).unwrap();
        copy(&volume, &dir);
        dir
    });
    world.plant.fails(4, ["import", discs[0].to_str().unwrap()]);
    world.plant.ok(["import", discs[1].to_str().unwrap()]);
}

#[test]
fn sectors_that_cannot_be_read_count_as_lost_ones() {
    let world = protected(", parity: 34%");
    let (bundle, _) = export(&world, &[]);
    let import = world.plant.command(["import", bundle.to_str().unwrap()]);
    // The reading from the beginning meets an error, then, cell by cell, some more.
    let faults = ["read:error=EIO:when=3+40", "pread64:error=EIO:when=2"];
    let volume = bundle.join("volume-0002.tar.zst");
    let Some(output) = faulty(&import, Some(&volume), "read,pread64", &faults) else { return };
    let (code, said) = (output.status.code(), text(&output));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("volume-0002.tar.zst: repaired"), "{said}");
    world.plant.ok(["verify", "--full"]);
}

#[test]
fn a_medium_that_goes_away_is_asked_for_again() {
    let world = protected("");
    let (bundle, _) = export(&world, &[]);
    let volume = bundle.join("volume-0002.tar.zst");
    let import = world.plant.command(["import", bundle.to_str().unwrap()]);
    let fault = ["openat:error=ENODEV:when=1+"];
    let Some(output) = faulty(&import, Some(&volume), "openat", &fault) else { return };
    let (code, said) = (output.status.code(), text(&output));
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("need 2") && said.contains("run `chantal import`"), "{said}");
    world.plant.ok(["import", bundle.to_str().unwrap()]);
}

#[test]
fn a_medium_that_fills_up_or_lies_is_reported_with_what_to_do() {
    let world = protected(", parity: 34%");
    world.hq.ok(["sync"]);
    let out = world.dir.path().join("media");
    fs::create_dir_all(&out).unwrap();
    let args = [
        "export",
        "--to",
        "plant-7",
        "--since",
        "none",
        "--out",
        out.to_str().unwrap(),
        "--verify-after-write",
    ];
    let parity = out.join(".hq.plant-7-e01-000001.partial/parity-0001");
    let export = world.hq.command(args);
    let fault = ["write:error=ENOSPC:when=1+"];
    let Some(output) = faulty(&export, Some(&parity), "write", &fault) else { return };
    let (code, said) = (output.status.code(), text(&output));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("bytes free, the bundle needs") && said.contains("larger medium"), "{said}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "something was left on a full medium");

    // A medium that fails when it is read back.
    let volume = out.join(".hq.plant-7-e01-000001.partial/volume-0002.tar.zst");
    let fault = ["read:error=EIO:when=1+"];
    let Some(output) = faulty(&export, Some(&volume), "read", &fault) else { return };
    let (code, said) = (output.status.code(), text(&output));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("volume-0002.tar.zst") && said.contains("hint:"), "{said}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    // Nothing was noted: the same command again writes the first bundle.
    world.hq.ok(args);
    let bundle = crate::world::bundle(&out, 1);
    clients::ok(Command::new("sha256sum").args(["--strict", "-c", "SHA256SUMS"]).current_dir(&bundle));
    world.plant.ok(["import", bundle.to_str().unwrap()]);
}
