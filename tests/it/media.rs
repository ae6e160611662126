//! Media that vanish in the middle, fill up or are read-only, and a store's own disk that fills up under an import.

use std::{fs, path::PathBuf};

use crate::{
    clients::{faulty, mounted},
    fixtures::deb::Deb,
    world::{Site, World, bundle, contents, copy, text},
};

/// What would be lost, or half there, if an import left something behind.
fn decided(site: &Site) -> (String, String, usize) {
    let imported = site.ok(["audit", "show", "--what", "imported"]);
    let published = site.dir.join("published");
    (site.ok(["--json", "repo", "list"]), imported, contents(&published).len())
}

/// A bundle of all three formats, with some ballast and parity or without.
fn delivered(parity: &str) -> (World, PathBuf) {
    let mut world = World::with_files();
    let content: String = (0..60_000_u64)
        .map(|n| char::from(b'!' + u8::try_from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57).unwrap() % 90))
        .collect();
    world.upstreams.apt.add(Deb::new("ballast", "1").content(content));
    world.upstreams.publish();
    let path = world.hq.dir.join("chantal.yaml");
    let configured = fs::read_to_string(&path).unwrap();
    fs::write(path, configured.replace("wheels] }", &format!("wheels]{parity} }}"))).unwrap();
    let bundle = world.deliver(1);
    copy(&world.plant.dir, &world.dir.path().join("pristine"));
    (world, bundle)
}

#[test]
fn a_medium_that_vanishes_in_the_middle_of_any_file_costs_nothing_but_another_visit() {
    for parity in ["", ", parity: 20%"] {
        let (world, medium) = delivered(parity);
        let before = decided(&world.plant);
        let import = world.plant.command(["import", medium.to_str().unwrap()]);
        let mut failed = 0;
        for (name, _) in contents(&medium) {
            for from in [1, 2] {
                // from a read of this file on, there is no device any more for it
                let faults = ["read", "pread64"].map(|call| format!("{call}:error=ENODEV:when={from}+"));
                let file = medium.join(&name);
                let Some(output) = faulty(&import, Some(&file), "read,pread64", &faults) else { return };
                let said = text(&output);
                assert!(!said.contains("panicked"), "{name}: {said}");
                match output.status.code() {
                    // it was not read, or there was a second copy or parity: another store would have it as well
                    Some(0) => {
                        assert_ne!(decided(&world.plant), before, "{name}: {said}");
                        world.plant.ok(["verify", "--full"]);
                        fs::remove_dir_all(&world.plant.dir).unwrap();
                        copy(&world.dir.path().join("pristine"), &world.plant.dir);
                    }
                    Some(code) => {
                        failed += 1;
                        assert!([1, 3, 4].contains(&code), "{name}: {code}: {said}");
                        assert!(
                            said.contains(name.rsplit('/').next().unwrap()) || code == 4,
                            "{name}: {said}"
                        );
                        assert!(
                            said.contains("hint: ") || said.contains("run `chantal import`"),
                            "{name}: {said}"
                        );
                        assert_eq!(decided(&world.plant), before, "{name}: {said}");
                        // a clean-up meanwhile takes nothing that was proved
                        world.plant.ok(["gc"]);
                    }
                    None => panic!("{name}: {said}"),
                }
            }
        }
        assert!(failed > 4 || !parity.is_empty(), "only {failed} reads failed");
        world.plant.ok(["import", medium.to_str().unwrap()]);
        world.plant.ok(["publish"]);
        world.plant.ok(["verify", "--full"]);
    }
}

#[test]
fn a_medium_that_fills_up_at_any_file_is_said_and_holds_nothing_half() {
    let (world, made) = delivered(", parity: 20%");
    let names: Vec<String> = contents(&made).into_iter().map(|(name, _)| name).collect();
    let out = world.dir.path().join("full");
    fs::create_dir(&out).unwrap();
    let args = ["export", "--to", "plant-7", "--since", "none", "--out", out.to_str().unwrap()];
    let listed = world.hq.ok(["--json", "bundle", "list"]);
    for name in &names {
        let file = out.join(".hq.plant-7-e01-000002.partial").join(name);
        let Some(output) = faulty(
            &world.hq.command(args),
            Some(&file),
            "write,pwrite64,copy_file_range",
            &["write", "pwrite64", "copy_file_range"].map(|call| format!("{call}:error=ENOSPC:when=1+")),
        ) else {
            return;
        };
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains("hint: ") && said.contains("larger medium"), "{name}: {said}");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "{name}: something was left on a full medium");
        assert_eq!(world.hq.ok(["--json", "bundle", "list"]), listed, "{name}: an export was noted");
    }
    // a real file system with too little room, however much of the bundle fits
    let whole: usize = contents(&made).iter().map(|(_, bytes)| bytes.len()).sum();
    for part in 1..6 {
        let script = format!(
            "mount -t tmpfs -o size={} tmpfs {out} || exit 77; {program} {args}; code=$?; ls -A {out} >&2; exit $code",
            whole * part / 6,
            out = out.display(),
            program = env!("CARGO_BIN_EXE_chantal"),
            args = args.join(" "),
        );
        let Some(output) = mounted(&format!("cd {}; {script}", world.hq.dir.display())) else { return };
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{part}: {said}");
        assert!(said.contains("larger medium") && !said.contains(".partial\n"), "{part}: {said}");
        assert_eq!(world.hq.ok(["--json", "bundle", "list"]), listed, "{part}: an export was noted");
    }
    // nothing was noted: the same command writes what it would have written
    world.hq.ok(args);
    world.plant.ok(["import", bundle(&out, 2).to_str().unwrap()]);
}

#[test]
fn a_medium_that_is_mounted_read_only_is_imported_and_repaired_and_never_written() {
    let (world, medium) = delivered(", parity: 20%");
    let volume = medium.join("volume-0001.tar.zst");
    let mut bytes = fs::read(&volume).unwrap();
    bytes[20..60].fill(0);
    fs::write(&volume, bytes).unwrap();
    let before = contents(&medium);
    let program = env!("CARGO_BIN_EXE_chantal");
    let within = |site: &Site, command: &str| {
        let (at, dir) = (medium.display(), site.dir.display());
        let mount = format!("mount --bind {at} {at} && mount -o remount,ro,bind {at} || exit 77");
        mounted(&format!("{mount}; touch {at}/x 2>/dev/null && exit 77; cd {dir}; {program} {command}"))
    };
    let at = medium.to_str().unwrap();
    // an export to it is refused, and noted nowhere
    let listed = world.hq.ok(["--json", "bundle", "list"]);
    let Some(output) = within(&world.hq, &format!("export --to plant-7 --since none --out {at}")) else {
        return;
    };
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Read-only") && said.contains("hint: mount the medium writable"), "{said}");
    assert_eq!(world.hq.ok(["--json", "bundle", "list"]), listed);
    // what is damaged is repaired beside it
    let verified = within(&world.plant, &format!("bundle verify {at}")).unwrap();
    assert_eq!(verified.status.code(), Some(4), "{}", text(&verified));
    let imported = within(&world.plant, &format!("import {at}")).unwrap();
    assert_eq!(imported.status.code(), Some(0), "{}", text(&imported));
    assert!(text(&imported).contains("repaired"), "{}", text(&imported));
    assert!(contents(&medium) == before, "the medium was written");
    world.plant.ok(["verify", "--full"]);
    world.plant.ok(["publish"]);
}

#[test]
fn an_import_onto_a_disk_that_fills_up_is_said_and_done_again() {
    let (world, medium) = delivered("");
    let args = ["import", medium.to_str().unwrap()];
    let pristine = world.dir.path().join("pristine");
    let before = decided(&world.plant);
    let mut failures = 0;
    for (call, errno) in [
        ("pwrite64", "ENOSPC"),
        ("write", "ENOSPC"),
        ("fsync", "EIO"),
        ("fdatasync", "EIO"),
        ("syncfs", "ENOSPC"),
        ("rename", "ENOSPC"),
        ("renameat2", "ENOSPC"),
        ("mkdir", "ENOSPC"),
        ("ftruncate", "ENOSPC"),
    ] {
        for from in [1, 2, 4, 7, 11, 16, 25] {
            fs::remove_dir_all(&world.plant.dir).unwrap();
            copy(&pristine, &world.plant.dir);
            let fault = [format!("{call}:error={errno}:when={from}+")];
            let Some(output) = faulty(&world.plant.command(args), None, call, &fault) else { return };
            let said = text(&output);
            assert!(!said.contains("panicked"), "{call} {from}: {said}");
            if output.status.success() {
                break;
            }
            failures += 1;
            assert_eq!(output.status.code(), Some(1), "{call} {from}: {said}");
            let now = decided(&world.plant);
            let whole = now.1.lines().count() == 1;
            assert!(now == before || whole, "{call} {from}: half of it is current: {said}");
            world.plant.ok(args);
            world.plant.ok(["verify", "--full"]);
            assert_eq!(world.plant.ok(["audit", "show", "--what", "imported"]).lines().count(), 1);
        }
    }
    assert!(failures > 15, "only {failures} faults were noticed");
}
