//! Where a site's trust in a collector begins and ends, from the command line.

use std::{fs, path::PathBuf};

use crate::{
    clients::run,
    world::{Site, World, text},
};

/// Prints the anchor of `hq` into a file; returns that and the fingerprint that is said beside it.
fn anchor(world: &World) -> (PathBuf, String) {
    let output = run(&mut world.hq.command(["trust", "anchor"]));
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let fingerprint = said.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap().to_owned();
    let file = world.dir.path().join("hq.trust");
    fs::write(&file, output.stdout).unwrap();
    (file, fingerprint)
}

fn version(site: &Site) -> u64 {
    let shown: serde_json::Value = serde_json::from_str(&site.ok(["--json", "trust", "show", "hq"])).unwrap();
    shown["collectors"][0]["version"].as_u64().unwrap()
}

#[test]
fn a_site_that_comes_late_begins_from_the_newest_trust_document() {
    let world = World::with_files();
    world.deliver(1);
    world.hq.ok(["trust", "rotate", "--revoke", "--yes"]);
    let out = world.dir.path().join("media");
    world.hq.ok(["export", "--to", "plant-7", "--since", "last", "--out", out.to_str().unwrap()]);
    let bundle = out.join("hq.plant-7-e02-000001");
    let bundle = bundle.to_str().unwrap();
    let late = Site::receiver(&world.dir.path().join("late"), "plant-7");
    // the present key as if it were the first: what is said then is what helps
    let key = world.dir.path().join("now.pub");
    fs::write(&key, world.hq.ok(["key", "show"])).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&world.hq.ok(["--json", "key", "list"])).unwrap();
    let fingerprint = shown["keys"][0]["fingerprint"].as_str().unwrap();
    late.ok(["trust", "add", key.to_str().unwrap(), "--fingerprint", fingerprint]);
    let said = late.fails(3, ["import", bundle]);
    assert!(said.contains("trust anchor") && said.contains("trust forget"), "{said}");
    let (file, fingerprint) = anchor(&world);
    let add = ["trust", "add", file.to_str().unwrap(), "--fingerprint", &fingerprint];
    let said = late.fails(2, add);
    assert!(said.contains("chantal trust forget hq"), "{said}");
    late.fails(2, ["trust", "forget", "hq"]);
    late.ok(["trust", "forget", "hq", "--yes"]);
    // nobody is believed then, and another fingerprint is not believed either
    late.fails(3, ["import", bundle]);
    let other = fingerprint.replace(&fingerprint[10..14], "AAAA");
    late.fails(3, ["trust", "add", file.to_str().unwrap(), "--fingerprint", &other]);
    late.fails(2, ["trust", "add", file.to_str().unwrap()]);
    late.fails(2, [&add[..], &["--collector", "lab"]].concat());
    late.ok(add);
    late.ok(add);
    assert_eq!(version(&late), 2);
    late.ok(["import", bundle]);
    // later versions follow from there, by bundles as ever
    world.hq.ok(["trust", "epoch", "--yes"]);
    world.hq.ok(["export", "--to", "plant-7", "--since", "last", "--out", out.to_str().unwrap()]);
    late.ok(["import", out.join("hq.plant-7-e03-000001").to_str().unwrap()]);
    assert_eq!(version(&late), 3);
}

#[test]
fn a_collector_that_was_set_up_anew_is_believed_again_from_the_beginning() {
    let world = World::with_files();
    world.receive(&world.deliver(1));
    world.hq.ok(["sync"]);
    let release = world.plant.published("debian/dists/stable/InRelease");
    let before = fs::read(&release).unwrap();
    // all keys are lost: store, key and configuration begin anew
    let dir = &world.hq.dir;
    let configuration = fs::read_to_string(dir.join("chantal.yaml")).unwrap();
    fs::remove_dir_all(dir).unwrap();
    let reborn = Site::collector(dir, "hq", "");
    fs::write(dir.join("chantal.yaml"), configuration).unwrap();
    reborn.ok(["sync"]);
    let out = world.dir.path().join("reborn");
    fs::create_dir(&out).unwrap();
    reborn.ok(["export", "--to", "plant-7", "--out", out.to_str().unwrap()]);
    let bundle = crate::world::bundle(&out, 1);
    let bundle = bundle.to_str().unwrap();
    world.plant.fails(3, ["import", bundle]);
    world.plant.ok(["trust", "forget", "hq", "--yes"]);
    let said = world.plant.fails(2, ["trust", "forget", "hq", "--yes"]);
    assert!(said.contains("nothing is believed of `hq`"), "{said}");
    world.plant.fails(2, ["trust", "forget", "plant-7", "--yes"]);
    let (file, fingerprint) = anchor(&world);
    world.plant.ok(["trust", "add", file.to_str().unwrap(), "--fingerprint", &fingerprint]);
    // the same number in a stream that began anew is no replay
    world.plant.ok(["import", bundle]);
    world.plant.ok(["publish"]);
    assert!(fs::read(&release).unwrap() == before);
    world.plant.ok(["db", "rebuild"]);
    let output = run(&mut world.plant.command(["import", bundle]));
    assert!(text(&output).contains("imported already"), "{}", text(&output));
    let said = world.plant.ok(["audit", "show", "--what", "forgotten"]);
    assert!(said.contains("`hq`"), "{said}");
}
