//! A bundle on a stack of media, through the real program.

use std::{fs, path::PathBuf};

use crate::{
    clients::run,
    repair::{export, protected},
    world::text,
};

#[test]
fn a_stack_of_discs_brings_a_bundle_in_any_order_and_one_may_be_lost() {
    let world = protected(", parity: 60%");
    let (bundle, _) = export(&world, &[]);
    let bundle = bundle.to_str().unwrap();
    let out = world.dir.path().join("discs");
    fs::create_dir(&out).unwrap();
    let spread = |more: &[&str]| {
        let fixed =
            ["--json", "bundle", "spread", bundle, "--out", out.to_str().unwrap(), "--medium-size", "8MB"];
        let output = run(&mut world.hq.command(fixed.iter().chain(more)));
        let said = text(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (found, said)
    };
    let (planned, _) = spread(&["--dry-run"]);
    assert!(fs::read_dir(&out).unwrap().next().is_none(), "a dry run writes nothing");
    let (done, said) = spread(&["--verify-after-write"]);
    assert_eq!(planned["media"], done["media"]);
    assert!(said.contains("makes up for the loss of any one of them"), "{said}");
    assert!(said.contains("read back"), "{said}");
    let mut discs: Vec<PathBuf> =
        done["media"].as_array().unwrap().iter().map(|m| m["path"].as_str().unwrap().into()).collect();
    assert!(discs.len() > 2, "{discs:?}");
    let (again, said) = spread(&[]);
    assert!(again["media"].as_array().unwrap().iter().all(|m| m["before"] == true), "{again}");
    assert!(said.contains("was there, and is what was signed"), "{said}");

    // what sha256sum says of a disc alone, and of one that is spoiled
    let sums = |at: &PathBuf| {
        run(std::process::Command::new("sha256sum")
            .args(["--ignore-missing", "--quiet", "-c", "SHA256SUMS"])
            .current_dir(at))
    };
    assert!(discs.iter().all(|disc| sums(disc).status.success()));

    // the first disc never arrives; of the rest one a visit does not suffice, all at once do
    discs.remove(0);
    for disc in discs.iter().rev() {
        let said = world.plant.fails(4, ["import", disc.to_str().unwrap()]);
        assert!(said.contains("need"), "{said}");
    }
    let output = run(world.plant.command(["import"]).args(&discs));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("made anew from parity"), "{said}");
}

#[test]
fn a_medium_that_is_too_small_not_there_or_given_twice_over_is_refused_with_what_helps() {
    let world = protected("");
    let (bundle, _) = export(&world, &[]);
    let bundle = bundle.to_str().unwrap();
    let out = world.dir.path().join("discs");
    fs::create_dir(&out).unwrap();
    let out = out.to_str().unwrap();
    let said = world.hq.fails(1, ["bundle", "spread", bundle, "--out", out, "--medium-size", "2MB"]);
    assert!(said.contains("`volume-0001.tar.zst` of ") && said.contains("--volume-size"), "{said}");
    let gone = format!("{out}/not-mounted");
    let said = world.hq.fails(1, ["bundle", "spread", bundle, "--onto", &gone]);
    assert!(said.contains("mount the medium"), "{said}");
    world.hq.fails(2, ["bundle", "spread", bundle]);
    world.hq.fails(2, ["bundle", "spread", bundle, "--onto", out, "--medium-size", "3MB"]);
    let said = world.hq.fails(1, ["bundle", "spread", out, "--onto", out]);
    assert!(said.contains("manifest.json"), "{said}");
    assert!(fs::read_dir(out).unwrap().next().is_none());
    // nobody trusts this collector there
    let said = world.plant.fails(0, ["bundle", "spread", bundle, "--onto", out]);
    assert!(said.contains("every one is needed") || said.contains("all of it lies on one"), "{said}");
}
