//! What a person is told who looks at bundles before an import: on several media, incomplete, not approved, of a site's own rules.

use std::{fs, path::Path, process::Command};

use crate::{
    clients::{ok, run},
    repair::{export, protected},
    world::{Site, World, contents, copy, text},
};

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn fingerprint(key: &Path) -> String {
    let said = ok(Command::new("ssh-keygen").arg("-lf").arg(key));
    said.split(' ').nth(1).unwrap().to_owned()
}

/// The files of a store, but for what only opening it may touch.
fn store(site: &Site) -> Vec<(String, Vec<u8>)> {
    let mut found = contents(&site.dir.join("store"));
    found.retain(|(name, _)| !name.starts_with("catalog") && !name.starts_with("locks"));
    found
}

#[test]
fn media_are_verified_together_and_each_bundle_is_answered() {
    let world = protected(", parity: 34%");
    let (bundle, _) = export(&world, &[]);
    let discs = world.dir.path().join("discs");
    fs::create_dir(&discs).unwrap();
    world.hq.ok(["bundle", "spread", path(&bundle), "--out", path(&discs), "--medium-size", "5MB"]);
    let listed = fs::read_dir(&discs).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let mut media: Vec<String> = listed.collect();
    media.sort();
    let look = |verb: &[&str], media: &[String]| {
        let output = run(world.plant.command(verb).args(media));
        (output.status.code().unwrap(), text(&output))
    };
    let (code, said) = look(&["bundle", "verify"], &media);
    assert!(code == 0 && said.contains("good, every byte"), "{code}: {said}");
    assert_eq!(said.matches("good, every byte").count(), 1, "{said}");
    // one of them alone is incomplete, and not bad
    let (code, said) = look(&["bundle", "verify"], &media[..1]);
    assert!(code == 4 && said.contains("what is at hand is good; not at hand: volume"), "{code}: {said}");
    assert!(said.contains("`parity-000"), "{said}");
    // whether the others make up for a lost one can be known beforehand
    let (code, said) = look(&["bundle", "verify"], &media[1..]);
    let (tried, foreseen) = look(&["import", "--dry-run"], &media[1..]);
    assert!(code == 4 && said.contains("was made anew from parity"), "{code}: {said}");
    assert!(tried == 0 && foreseen.contains("was made anew from parity"), "{tried}: {foreseen}");

    // a bundle that is not believed hides none of the others
    let all = world.dir.path().join("all");
    fs::create_dir(&all).unwrap();
    copy(&bundle, &all);
    let bad = all.join("hq.plant-7-e01-000000");
    copy(&bundle, &bad);
    fs::write(bad.join("manifest.json"), "{}").unwrap();
    fs::remove_dir_all(bad.join("copy")).unwrap();
    for verb in ["verify", "inspect"] {
        let said = world.plant.fails(3, ["bundle", verb, path(&all)]);
        assert!(said.contains("hq.plant-7-e01-000001") && said.contains("000000` is not believed"), "{said}");
    }
}

#[test]
fn an_import_is_foreseen_and_nothing_is_written() {
    let mut world = World::with_files();
    let first = world.deliver(1);
    let before = store(&world.plant);
    let output = run(&mut world.plant.command(["import", "--dry-run", "--json", path(&first)]));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["bundles"][0]["outcome"], "ready", "{report}");
    assert!(store(&world.plant) == before, "a trial wrote");

    // the site's own key policy: with keys that did not sign, both refuse
    let stranger = world.dir.path().join("upstream/rpm.asc");
    let asks = |key: &Path| {
        format!(
            "repositories:\n  - name: debian\n    keys: [{}]\n    verify: {{ metadata: require }}\n",
            key.display()
        )
    };
    world.plant.configure("receiver", "plant-7", &asks(&stranger));
    let said = world.plant.fails(3, ["import", "--dry-run", path(&first)]);
    assert!(said.contains("does not satisfy this site's own policy"), "{said}");
    assert!(store(&world.plant) == before, "a trial wrote");
    world.plant.configure("receiver", "plant-7", &asks(&world.dir.path().join("upstream/apt.asc")));
    world.plant.ok(["import", "--dry-run", path(&first)]);

    world.upstreams.grow();
    let second = world.deliver(2);
    let said = world.plant.fails(3, ["import", "--dry-run", path(&second)]);
    assert!(said.contains("starts from snapshots that this site does not hold"), "{said}");
    world.plant.ok(["import", "--dry-run", path(&first), path(&second)]);
    world.plant.ok(["import", path(&first)]);
    let output = run(&mut world.plant.command(["import", "--dry-run", path(&first)]));
    assert!(output.status.success() && text(&output).contains("imported already"), "{}", text(&output));

    // what is missing is said even to who asks for silence, and a refusal names its bundle once
    let half = world.dir.path().join("half");
    copy(&second, &half);
    fs::remove_file(half.join("volume-0001.tar.zst")).unwrap();
    let said = world.plant.fails(4, ["import", "-q", path(&half)]);
    assert!(said.contains("have 0 of 1, need 1"), "{said}");
    world.plant.ok(["import", path(&second)]);
    world.upstreams.apt.remove("hello");
    world.upstreams.publish();
    let third = world.deliver(3);
    let other = Site::receiver(&world.dir.path().join("other"), "plant-8");
    let key = world.dir.path().join("hq.pub");
    other.ok(["trust", "add", path(&key), "--fingerprint", &fingerprint(&key)]);
    let output = run(&mut other.command(["import", "--json", path(&third)]));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &report["bundles"][0];
    assert_eq!(row["bundle"], "hq.plant-7-e01-000003", "{report}");
    assert_eq!(row["error"].as_str().unwrap().matches("is for site").count(), 1, "{report}");
}

#[test]
fn an_officer_sees_what_was_signed_even_where_the_page_is_not() {
    let world = World::with_files();
    let office = Site::receiver(&world.dir.path().join("office"), "office");
    let key = |site: &Site| {
        let path = site.dir.join("own.pub");
        fs::write(&path, site.ok(["key", "show"])).unwrap();
        (path.display().to_string(), fingerprint(&path))
    };
    let (hq, hq_print) = key(&world.hq);
    office.ok(["trust", "add", &hq, "--fingerprint", &hq_print]);
    let (officer, print) = key(&office);
    world.hq.ok(["trust", "add", &officer, "--role", "approver", "--fingerprint", &print, "--yes"]);
    world.hq.ok(["trust", "threshold", "--approvers", "1", "--yes"]);
    let first = world.deliver(1);

    // not approved: a trial says so as the import does
    let said = world.plant.fails(3, ["import", "--dry-run", path(&first)]);
    assert!(said.contains("signed by 0 of 1 approver keys") && said.contains(&print), "{said}");
    let said = office.ok(["bundle", "inspect", path(&first)]);
    assert!(said.contains("approved  0 of 1: by nobody yet"), "{said}");
    assert!(said.contains(&format!("signed    by {hq_print}; trust document version 3")), "{said}");

    let page = fs::read(first.join("REVIEW.html")).unwrap();
    fs::remove_file(first.join("REVIEW.html")).unwrap();
    fs::remove_file(first.join("review.json")).unwrap();
    let (drawn, loose) = (world.dir.path().join("drawn.html"), world.dir.path().join("foo.sig"));
    let medium = first.parent().unwrap();
    let mut approve = office.command(["bundle", "approve", path(medium), "--yes", "--html", path(&drawn)]);
    let output = run(approve.args(["--out", path(&loose)]));
    let said = text(&output);
    assert!(output.status.success() && said.contains("2 added"), "{said}");
    assert!(said.contains("`review.json` and `REVIEW.html` are not in"), "{said}");
    assert!(!said.contains("trust neither"), "{said}");
    assert!(fs::read(&drawn).unwrap() == page, "the page that was drawn is not the one that was signed");

    // the signature counts under any name, and beside its bundle only
    world.plant.ok(["import", path(&first), path(&loose)]);
    let second = {
        world.hq.ok(["export", "--to", "plant-7", "--since", "none", "--out", path(medium)]);
        crate::world::bundle(medium, 2)
    };
    let said = world.plant.fails(3, ["import", path(&second), path(&loose)]);
    assert!(said.contains("foo.sig: it approves none of the bundles that are given here"), "{said}");
    let said = office.fails(1, ["bundle", "approve", path(medium), "--yes"]);
    assert!(said.contains("holds 2 bundles") && said.contains("hint: name one of them"), "{said}");
}

#[test]
fn a_bundle_that_a_receipt_covers_is_awaited_no_longer() {
    let world = World::with_files();
    world.hq.ok(["sync"]);
    let out = world.dir.path().join("media");
    fs::create_dir(&out).unwrap();
    world.hq.ok(["export", "--to", "plant-7", "--out", path(&out)]);
    let listed = || {
        let listed: serde_json::Value =
            serde_json::from_str(&world.hq.ok(["bundle", "list", "--json"])).unwrap();
        listed["bundles"][0]["delivery"].clone()
    };
    assert_eq!(listed(), "awaited");
    world.plant.ok(["import", path(&crate::world::bundle(&out, 1))]);
    let receipt = world.dir.path().join("plant-7.receipt");
    world.plant.ok(["receipt", "create", "--out", path(&receipt)]);
    let key = world.dir.path().join("plant.pub");
    fs::write(&key, world.plant.ok(["key", "show"])).unwrap();
    let print = fingerprint(&key);
    let role = ["--role", "receiver", "--site", "plant-7", "--fingerprint", &print, "--yes"];
    world.hq.ok(["trust", "add", path(&key)].iter().chain(&role));
    world.hq.ok(["receipt", "apply", path(&receipt)]);
    assert_eq!(listed(), "acknowledged");
}

#[test]
fn whose_a_bundle_is_is_said_and_one_from_before_a_rotation_can_be_looked_at() {
    let mut world = World::with_files();
    let first = world.deliver(1);
    world.receive(&first);
    world.hq.ok(["trust", "rotate", "--yes"]);
    world.upstreams.grow();
    let second = world.deliver(2);
    // the collector compares its own bundles across the change, and the site what it got
    for site in [&world.hq, &world.plant] {
        let said = text(&run(&mut site.command(["bundle", "diff", path(&first), path(&second)])));
        assert!(said.contains("upgraded    hello 1.0-1 -> 1.1-1"), "{said}");
        world.plant.ok(["import", path(&second)]);
    }
    for site in [&world.hq, &world.plant] {
        for verb in ["inspect", "verify"] {
            let output = run(&mut site.command(["bundle", verb, path(&first)]));
            let said = text(&output);
            assert!(output.status.success(), "{said}");
            assert!(said.contains("of an older trust version: 1, and version 2 was accepted"), "{said}");
        }
        let said = site.fails(3, ["bundle", "approve", "--yes", path(&first)]);
        assert!(
            said.contains("version 2 was accepted already") && said.contains("`chantal export`"),
            "{said}"
        );
    }

    // what a stolen key signed is not even shown
    world.hq.ok(["trust", "rotate", "--revoke", "--yes"]);
    let said = world.hq.fails(3, ["bundle", "inspect", path(&second)]);
    assert!(said.contains("was revoked by trust document version 3"), "{said}");

    // a collector that nobody here trusts is named by what it says of itself
    let upstreams = fs::read_to_string(world.hq.dir.join("chantal.yaml")).unwrap();
    let more = upstreams.lines().skip(3).collect::<Vec<_>>().join("\n");
    let lab = Site::collector(&world.dir.path().join("lab"), "lab", &more);
    lab.ok(["sync"]);
    let out = world.dir.path().join("lab-out");
    fs::create_dir(&out).unwrap();
    lab.ok(["export", "--to", "plant-7", "--since", "none", "--out", path(&out)]);
    let foreign = crate::world::bundle(&out, 1);
    let said = world.plant.fails(3, ["import", path(&foreign)]);
    assert!(said.contains("it says that it is of collector `lab`") && said.contains("(hq)"), "{said}");
    assert!(said.contains("chantal trust add KEYFILE"), "{said}");
}
