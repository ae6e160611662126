//! What commands say: every refusal with its file, what was expected and what helps, and every line of talk as JSON where that is asked for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    clients::{have, ok, run},
    trust::{acquaint, export, fingerprint, json, media},
    world::{Site, World, text},
};

/// Runs a command that must succeed and returns all that it said.
fn says(site: &Site, args: &[&str]) -> String {
    let output = run(&mut site.command(args));
    assert!(output.status.success(), "{args:?}: {}", text(&output));
    text(&output)
}

#[track_caller]
fn has(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{word}` is not said:\n{said}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn file(world: &World, name: &str) -> PathBuf {
    world.dir.path().join(name)
}

/// Makes a key as ssh-keygen does; returns the private file, the public one and the fingerprint.
fn person(world: &World, name: &str) -> (String, String, String) {
    let private = file(world, name);
    ok(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&private));
    let public = format!("{}.pub", private.display());
    let said = ok(Command::new("ssh-keygen").arg("-lf").arg(&public));
    (private.display().to_string(), public, said.split(' ').nth(1).unwrap().to_owned())
}

#[test]
fn all_talk_is_json_lines_where_that_is_asked_for() {
    let mut world = World::with_files();
    acquaint(&world);
    let (out, receipt) = (media(&world), file(&world, "receipt"));
    let (out, receipt) = (path(&out), path(&receipt));
    let bundle = format!("{out}/hq.plant-7-e01-000001");
    let export = ["export", "--to", "plant-7", "--out", out];
    let (hq, plant) = (&world.hq, &world.plant);
    let commands: [(&Site, &[&str], &str); 18] = [
        (hq, &["sync"], "info"),
        (hq, &export, "info"),
        // everything travels again, and a hint says what else
        (hq, &export, "hint"),
        (hq, &["export", "--to", "plant-7", "--since", "last", "--out", out], "info"),
        (plant, &["import", &bundle], "hint"),
        (plant, &["import", &bundle, &bundle], "info"),
        (plant, &["publish"], "info"),
        (plant, &["receipt", "create", "--out", receipt], "hint"),
        (hq, &["receipt", "apply", receipt], "info"),
        (
            hq,
            &["trust", "add", "keys/hq.pub", "--role", "receiver", "--site", "plant-9", "--dry-run"],
            "warning",
        ),
        (hq, &["trust", "epoch", "--dry-run"], "info"),
        (hq, &["bundle", "verify", &bundle], ""),
        (plant, &["import", "nowhere"], "error"),
        (plant, &["receipt", "apply", receipt], "error"),
        (hq, &["export", "--to", "plnt-7", "--out", out], "error"),
        (hq, &["nonsense"], "error"),
        (plant, &["trust", "epoch"], "error"),
        (hq, &["status"], ""),
    ];
    for (site, args, level) in commands {
        let output = run(site.command(["--log-format", "json"]).args(args).stdin(Stdio::null()));
        let said = String::from_utf8(output.stderr).unwrap();
        let mut levels = Vec::new();
        for line in said.lines() {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{args:?}: {e}: {line}"));
            assert_eq!(event["version"], 1, "{args:?}: {line}");
            if !["begin", "size", "item", "progress", "end"].contains(&event["event"].as_str().unwrap()) {
                assert!(event["message"].as_str().is_some_and(|text| !text.is_empty()), "{args:?}: {line}");
                levels.push(event["level"].as_str().unwrap().to_owned());
            }
        }
        assert!(level.is_empty() || levels.iter().any(|found| found == level), "{args:?}: {level}\n{said}");
    }
    // several failures of one command, and a list of faults
    for name in ["debian", "tools"] {
        let site = fs::read_to_string(world.hq.dir.join("chantal.yaml")).unwrap();
        let url = world.upstreams.dir.join(if name == "tools" { "rpm" } else { name });
        let moved =
            site.replace(&format!("file://{}\n", url.display()), &format!("file://{}.gone\n", url.display()));
        assert_ne!(moved, site, "{name}");
        fs::write(world.hq.dir.join("chantal.yaml"), moved).unwrap();
    }
    let output = run(&mut world.hq.command(["--log-format=json", "sync"]));
    let said = String::from_utf8(output.stderr).unwrap();
    let errors = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(errors.filter(|event| event["event"] == "error").count(), 2, "{said}");
    world.hq.configure("collector", "hq", "repositories: [{ name: a }, { name: b }]\n");
    let output = run(&mut world.hq.command(["--log-format", "json", "config", "check"]));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(
        error["causes"].as_array().unwrap().iter().filter(|c| c.as_str().unwrap().contains("line")).count()
            >= 2,
        "{error}"
    );
    world.upstreams.grow();
}

#[test]
fn a_receipt_that_is_not_taken_says_why_and_what_helps() {
    let world = World::with_files();
    let name = file(&world, "plant-7.receipt");
    let receipt = path(&name);
    world.hq.ok(["sync"]);
    world.plant.ok(["import", path(&export(&world, &[], 1))]);
    world.plant.ok(["receipt", "create", "--out", receipt]);
    let key = fingerprint(&world.plant);
    // nobody knows the key yet: which key, whose, and the whole command
    for command in [
        &["receipt", "apply", receipt][..],
        &["export", "--to", "plant-7", "--out", ".", "--missing", receipt],
    ] {
        let said = world.hq.fails(3, command);
        has(
            &said,
            &[receipt, &key, "receiver key of `plant-7`", "--site plant-7", &format!("--fingerprint {key}")],
        );
    }
    // at the wrong place
    let said = world.plant.fails(3, ["receipt", "apply", receipt]);
    has(&said, &[receipt, "is for collector `hq`, this is `plant-7`", "carry it to `hq`"]);
    acquaint(&world);
    let whole = fs::read_to_string(&name).unwrap();
    for (damaged, why) in [
        (whole.replace("\"sequence\": 1", "\"sequence\": 7"), "bad signature by"),
        (whole.split("-----BEGIN").next().unwrap().to_owned(), "no signature follows"),
        (String::new(), "no signature follows"),
    ] {
        fs::write(&name, damaged).unwrap();
        for verb in ["apply", "show"] {
            let said = world.hq.fails(3, ["receipt", verb, receipt]);
            has(&said, &[receipt, why, "hint: copy it again", "chantal receipt create"]);
        }
    }
    fs::write(&name, whole).unwrap();
    world.hq.ok(["receipt", "apply", receipt]);
    // nothing is missing there
    let said = says(&world.hq, &["export", "--to", "plant-7", "--out", ".", "--missing", receipt]);
    has(&said, &["lists nothing that is missing", "no bundle was made"]);
    assert!(!said.contains("nothing new"), "{said}");
}

#[test]
fn what_was_lost_on_a_receiver_comes_back_by_a_receipt_and_one_that_says_less_is_marked() {
    let mut world = World::with_files();
    acquaint(&world);
    let (first, second) = (file(&world, "first"), file(&world, "second"));
    world.receive(&world.deliver(1));
    world.plant.ok(["receipt", "create", "--out", path(&first)]);
    world.upstreams.grow();
    world.receive(&world.deliver(2));
    world.plant.ok(["receipt", "create", "--out", path(&second)]);
    world.hq.ok(["receipt", "apply", path(&second)]);
    world.hq.fails(3, ["receipt", "apply", path(&first)]);
    world.hq.ok(["receipt", "apply", "--force", path(&first)]);
    let log = world.hq.ok(["audit", "show", "--what", "acknowledged"]);
    let forced: Vec<bool> = log.lines().map(|line| line.contains("forced")).collect();
    assert_eq!(forced, [false, true], "{log}");

    let pool = world.plant.dir.join("store/pool/sha256");
    let is_deb = |(_, bytes): &(String, Vec<u8>)| bytes.starts_with(b"!<arch>");
    let (package, _) = crate::world::contents(&pool).into_iter().find(is_deb).unwrap();
    fs::remove_file(pool.join(&package)).unwrap();
    let said = world.plant.fails(3, ["verify"]);
    has(
        &said,
        &["chantal receipt create --collector hq --out FILE", "chantal export --to plant-7 --missing FILE"],
    );
    assert!(!said.contains("chantal sync"), "{said}");
    // on the collector it is upstream that has it
    let pool = world.hq.dir.join("store/pool/sha256");
    fs::remove_file(pool.join(&package)).unwrap();
    let said = world.hq.fails(3, ["verify"]);
    has(&said, &["chantal sync "]);
    assert!(!said.contains("receipt"), "{said}");
}

#[test]
fn an_export_says_what_it_carries_and_why() {
    let world = World::with_files();
    world.hq.ok(["sync"]);
    let out = media(&world);
    let args = ["export", "--to", "plant-7", "--out", path(&out)];
    let real = json(&world.hq, &args);
    let states = real["states"].as_array().unwrap();
    assert!(
        states.len() == 3 && states.iter().all(|s| s["base"].is_null() && s["snapshot"].is_string()),
        "{real}"
    );
    let said = says(&world.hq, &[&args[..], &["--dry-run"]].concat());
    has(&said, &["hint: `--since last` takes what changed since hq.plant-7-e01-000001"]);
    // a new epoch presumes nothing of the old one: `--since last` would be everything, too
    world.hq.ok(["trust", "epoch", "--yes"]);
    for more in [&["--dry-run"][..], &[]] {
        let said = says(&world.hq, &[&args[..], more].concat());
        has(&said, &["everything travels again", "epoch 2 has begun since hq.plant-7-e01-000001"]);
        assert!(!said.contains("--since last"), "{said}");
    }
    // one rule for the size of volumes, wherever it is written
    for size in ["1MiB", "2TiB"] {
        let said = world.hq.fails(2, [&args[..], &["--volume-size", size]].concat());
        has(&said, &["is not from 4MiB to 1TiB"]);
    }
}

#[test]
fn too_few_collector_keys_name_the_option_that_gives_more() {
    if !have("ssh-keygen") {
        return;
    }
    let world = World::with_files();
    let ((alice, alice_pub, _), (mallory, _, print)) = (person(&world, "alice"), person(&world, "mallory"));
    world.hq.ok(["trust", "add", &alice_pub, "--role", "collector", "--collectors", "2", "--yes"]);
    world.hq.ok(["sync"]);
    let out = media(&world);
    let args = ["export", "--to", "plant-7", "--out", path(&out)];
    let said = world.hq.fails(3, args);
    has(&said, &["1 of 2 collector keys", "hint: `--sign-with KEY`", "chantal trust show hq"]);
    assert!(!said.contains("rotat"), "{said}");
    let said = world.hq.fails(3, [&args[..], &["--sign-with", &mallory]].concat());
    has(&said, &["1 of 2 collector keys", &print, "--sign-with KEY"]);
    assert!(!said.contains("rotat"), "{said}");
    world.hq.ok([&args[..], &["--sign-with", &alice]].concat());
}

#[test]
fn changes_of_trust_that_cannot_be_say_what_can() {
    if !have("ssh-keygen") {
        return;
    }
    let world = World::with_files();
    let hq = &world.hq;
    let own = fingerprint(hq);
    let said = hq.fails(2, ["trust", "revoke", &own, "--yes"]);
    has(
        &said,
        &["higher than there are such keys", "chantal trust rotate --revoke", &format!("--replaces {own}")],
    );
    let said = hq.fails(1, ["trust", "show", "nosuch"]);
    has(&said, &["no trust document of `nosuch`", "there is `hq`"]);
    let (alice, alice_pub, alice_print) = person(&world, "alice");
    let (mallory, _, mallory_print) = person(&world, "mallory");
    let said =
        says(hq, &["trust", "add", &alice_pub, "--role", "receiver", "--site", "plant-8", "--dry-run"]);
    has(&said, &["warning: plant-8", "is `plant-7` meant?"]);
    let said =
        says(hq, &["trust", "add", &alice_pub, "--role", "receiver", "--site", "plant-7", "--dry-run"]);
    assert!(!said.contains("warning"), "{said}");

    // a draft changes nothing and asks nobody; how many signatures it has of how many is said
    let draft = file(&world, "next.json");
    let draft = path(&draft);
    let add = ["trust", "add", &alice_pub, "--role", "root", "--root", "2"];
    let said = says(hq, &[&add[..], &["--draft", draft]].concat());
    let counted = "1 of the 1 root signatures that version 1 asks for, and 1 of the 2 root signatures that version 2 asks for";
    has(&said, &[counted]);
    // a key of no role is refused where both versions are known, and warned of elsewhere
    let said = hq.fails(2, ["trust", "sign", draft, "--sign-with", &mallory, "--yes"]);
    has(&said, &[&mallory_print, "counts for nothing", "--sign-with"]);
    let alone = tempfile::tempdir().unwrap();
    let copy = alone.path().join("next.json");
    fs::copy(draft, &copy).unwrap();
    let mut sign = hq.command(["trust", "sign", path(&copy), "--sign-with", &mallory, "--yes"]);
    let said = text(&run(sign.current_dir(alone.path())));
    has(&said, &["warning: ", &mallory_print, "1 of the 2 root signatures that version 2 asks for"]);
    let said = says(hq, &["trust", "sign", draft, "--sign-with", &alice, "--yes"]);
    has(&said, &["2 of the 2 root signatures"]);
    // changed behind its signatures
    let whole = fs::read_to_string(draft).unwrap();
    let bad = file(&world, "altered.json");
    for (from, to, why, helps) in [
        ("\"root\": 2", "\"root\": 1", "not signed by enough root keys", "chantal trust sign DRAFT"),
        ("\"approver\": 0", "\"approver\": 1", "threshold of approver", "--draft FILE"),
    ] {
        let altered = whole.replace(from, to);
        assert_ne!(altered, whole);
        fs::write(&bad, altered).unwrap();
        let said = hq.fails(3, ["trust", "apply", path(&bad), "--yes"]);
        has(&said, &[path(&bad), why, helps]);
        assert!(!said.contains("bundle"), "{said}");
    }
    says(hq, &["trust", "apply", draft, "--yes"]);
    // who signed stands in the log
    let log = hq.ok(["audit", "show", "--what", "trusted"]);
    let last = log.lines().last().unwrap();
    has(last, &[&own, &alice_print, "signed by"]);
    let log = hq.ok(["--json", "audit", "show", "--what", "trusted"]);
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["signed"].as_array().unwrap().len(), 2, "{last}");
}

#[test]
fn numbers_are_of_what_they_say() {
    let mut world = World::with_files();
    world.hq.ok(["sync"]);
    world.upstreams.pypi = crate::fixtures::pypi::Index::new(&file(&world, "upstream/pypi"));
    world.upstreams.grow();
    world.upstreams.pypi.add(crate::fixtures::pypi::Wheel::new("Greeting", "1.6"));
    world.upstreams.publish();
    world.hq.ok(["sync"]);
    let gc = ["gc", "--grace", "0s"];
    let planned = json(&world.hq, &[&gc[..], &["--dry-run"]].concat());
    assert!(planned["record_bytes"].as_u64().unwrap() > 0, "{planned}");
    has(&says(&world.hq, &[&gc[..], &["--dry-run"]].concat()), &["about ", "B of records"]);
    let removed = world.hq.ok(gc);
    assert!(removed.contains("B of records") && !removed.contains("about"), "{removed}");
    assert_eq!(json(&world.hq, &gc)["record_bytes"], 0);
    // what waits is told to monitoring, too
    let status = json(&world.hq, &["status", "--check"]);
    assert_eq!(status["sites"][0]["next"]["bundle"], "hq.plant-7-e01-000001", "{status}");
}

#[test]
fn who_asks_for_what_no_format_offers_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::collector(dir.path(), "hq", "");
    let checked = |block: &str| {
        let entry = format!("repositories:\n  - name: a\n    url: file:///nowhere\n    {block}\n");
        site.configure("collector", "hq", &entry);
        site.fails(2, ["config", "check"])
    };
    for asked in ["metadata: require", "packages: require"] {
        let said = checked(&format!("verify: {{ {asked} }}\n    pypi: {{ projects: [x] }}"));
        assert!(said.contains("could verify") && !said.contains("keys"), "{said}");
    }
    let apt = "apt: { suites: [s], components: [main], architectures: [amd64] }";
    let said = checked(&format!("verify: {{ metadata: off, packages: require }}\n    {apt}"));
    assert!(said.contains("could verify") && !said.contains("names no keys"), "{said}");
    assert!(checked(apt).contains("names no keys"));
}
