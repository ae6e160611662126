//! How a site begins, and begins again: what `init` writes and leaves alone, keys, examples, a lost disk.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use crate::{
    clients::{self, chantal},
    world::{Site, World, text},
};

#[test]
fn init_makes_a_site_and_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("hq");
    let mut init = chantal();
    init.args(["init", "--role", "collector", "--site", "hq"]).arg(&at);
    let said = text(&clients::run(&mut init));
    assert!(said.contains("SHA256:") && said.contains("Next:"), "{said}");
    let mode = |path: &str| fs::metadata(at.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("keys/hq"), 0o600);
    for path in ["chantal.yaml", "keys/hq.pub", "store", "published"] {
        assert!(at.join(path).exists(), "{path}");
    }
    // again: nothing is missing, nothing is touched
    let lasting = |at: &std::path::Path| -> Vec<(String, Vec<u8>)> {
        let mut all = crate::world::contents(at);
        all.retain(|(path, _)| !path.contains("catalog.sqlite") && !path.contains("locks/"));
        all
    };
    let before = lasting(&at);
    let said = text(&clients::run(&mut init));
    assert!(said.contains("nothing was missing"), "{said}");
    assert_eq!(lasting(&at), before);
    // what contradicts the file that is there is refused
    for (role, site, named) in [("receiver", "hq", "role: collector"), ("collector", "other", "site: hq")] {
        let output = clients::run(chantal().args(["init", "--role", role, "--site", site]).arg(&at));
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(named), "{}", text(&output));
        assert_eq!(lasting(&at), before);
    }

    let site = Site { dir: at.clone() };
    let listed = site.ok(["trust", "show"]);
    assert!(listed.contains("hq") && listed.contains("root, collector"), "{listed}");
    // an init that died before it wrote the configuration is simply run again
    let key = fs::read(at.join("keys/hq")).unwrap();
    fs::remove_file(at.join("chantal.yaml")).unwrap();
    clients::ok(&mut init);
    assert_eq!(fs::read(at.join("keys/hq")).unwrap(), key);
}

#[test]
fn the_key_is_one_that_openssh_reads() {
    if !clients::have("ssh-keygen") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let site = Site::collector(&dir.path().join("hq"), "hq", "");
    let line = site.ok(["key", "show"]);
    let derived = clients::ok(Command::new("ssh-keygen").arg("-yf").arg(site.dir.join("keys/hq")));
    assert_eq!(line.trim(), derived.trim());
    let listed = clients::ok(Command::new("ssh-keygen").arg("-lf").arg(site.dir.join("keys/hq.pub")));
    let fingerprint = listed.split(' ').nth(1).unwrap();
    assert!(site.ok(["key", "list"]).contains(fingerprint));
    fs::set_permissions(site.dir.join("keys/hq"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(site.fails(2, ["key", "show"]).contains("hint: chmod 600"));
    assert!(site.fails(2, ["config", "check"]).contains("hint: chmod 600"));
    fs::write(site.dir.join("keys/hq"), "no key").unwrap();
    fs::set_permissions(site.dir.join("keys/hq"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(site.fails(2, ["config", "check"]).contains("is no OpenSSH private key"));
    fs::remove_file(site.dir.join("keys/hq")).unwrap();
    let said = site.fails(2, ["config", "check"]);
    assert!(said.contains("`chantal.yaml`: key `keys/hq`") && said.contains("hint: on a new site"), "{said}");
    // a store that had a key gets no other one unasked
    let said = site.fails(2, ["init"]);
    assert!(said.contains("keys/hq") && !site.dir.join("keys/hq").exists(), "{said}");
}

#[test]
fn wrong_key_files_are_shown_where_the_configuration_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::receiver(&dir.path().join("plant"), "plant-7");
    site.configure(
        "receiver",
        "plant-7",
        "repositories:\n  - name: bookworm\n    path: debian\n    keys: [none.asc]\n    verify: { metadata: require }\n",
    );
    let said = site.fails(2, ["config", "check"]);
    assert!(said.contains("`chantal.yaml`, line 7, column 12: `bookworm`: key file `none.asc`"), "{said}");
    assert!(said.contains("7 |     keys: [none.asc]"), "{said}");
    site.configure("receiver", "plant-7", "key: elsewhere/key\n");
    let said = site.fails(2, ["config", "check"]);
    assert!(said.contains("`chantal.yaml`, line 4, column 6: key `elsewhere/key`"), "{said}");
    let hq = Site::collector(
        &dir.path().join("hq"),
        "hq",
        "repositories:\n  - name: wheels\n    url: https://pypi.example.org/simple\n    auth: { token_file: none.token }\n    pypi: { projects: [a] }\n",
    );
    let said = hq.fails(2, ["config", "check"]);
    assert!(said.contains("`chantal.yaml`, line 7, column 25: `wheels`: `none.token`"), "{said}");
}

/// Every example, in an empty directory as README and guide say: `init`, `config check`, and a command on the new store.
#[test]
fn every_example_is_a_site_after_init() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key.asc");
    fs::write(&key, crate::fixtures::key::SigningKey::eddsa("x").public_armored()).unwrap();
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut tried = 0;
    for entry in fs::read_dir(&examples).unwrap() {
        let from = entry.unwrap().path();
        if from.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let site = Site { dir: dir.path().to_owned() };
        clients::ok(
            Command::new("cp")
                .arg("-r")
                .args([examples.join("conf.d"), examples.join("requirements.txt")])
                .arg(dir.path()),
        );
        // keys and certificates that a machine has or has not
        let own = |text: &str| {
            let mut out = String::new();
            for word in text.split_inclusive([' ', ',', '[', ']', '\n']) {
                let path = word.trim_end_matches([' ', ',', ']', '\n']);
                let machine =
                    ["/usr/share/keyrings/", "/etc/pki/", "/etc/rhsm/"].iter().any(|at| path.starts_with(at));
                out += &if machine { word.replace(path, key.to_str().unwrap()) } else { word.to_owned() };
            }
            out
        };
        fs::write(dir.path().join("chantal.yaml"), own(&fs::read_to_string(&from).unwrap())).unwrap();
        let included = dir.path().join("conf.d/tools.yaml");
        fs::write(&included, own(&fs::read_to_string(&included).unwrap())).unwrap();
        let before = fs::read(dir.path().join("chantal.yaml")).unwrap();
        let run = |args: &[&str]| {
            let mut command = site.command(args.iter().copied());
            for name in ["DEBIAN_MIRROR", "DEBIAN_SECURITY_MIRROR", "PIP_INDEX_URL", "RHEL_CDN"] {
                command.env(name, "https://mirror.example.org/x");
            }
            clients::ok(&mut command)
        };
        run(&["init"]);
        run(&["config", "check"]);
        run(&["repo", "list"]);
        run(&["db", "verify"]);
        for made in ["store/journal.jsonl", "published", "keys"] {
            assert!(dir.path().join(made).exists(), "{}: {made}", from.display());
        }
        assert_eq!(fs::read(dir.path().join("chantal.yaml")).unwrap(), before);
        tried += 1;
    }
    assert!(tried >= 5, "only {tried} examples");
}

#[test]
fn a_lost_disk_comes_back_from_a_backup_with_and_without_init() {
    let world = World::with_files();
    world.deliver(1);
    let backup = world.dir.path().join("backup.tar.zst");
    let backup = backup.to_str().unwrap();
    world.hq.ok(["db", "backup", backup]);
    let kept = fs::read(world.hq.dir.join("keys/hq")).unwrap();
    let configuration = fs::read(world.hq.dir.join("chantal.yaml")).unwrap();
    let exported = world.hq.ok(["--json", "bundle", "list"]);
    fs::remove_dir_all(&world.hq.dir).unwrap();
    // install, init, restore: the key is not the one that others believe
    fs::create_dir(&world.hq.dir).unwrap();
    fs::write(world.hq.dir.join("chantal.yaml"), &configuration).unwrap();
    world.hq.ok(["init"]);
    let dry = world.hq.ok(["--json", "db", "restore", "--dry-run", backup]);
    assert!(dry.contains("\"dry_run\":true"), "{dry}");
    assert!(world.hq.ok(["--json", "bundle", "list"]).contains("\"bundles\":[]"));
    let output = clients::run(&mut world.hq.command(["db", "restore", backup]));
    let said = text(&output);
    assert!(output.status.success() && said.contains("put the key that it names back"), "{said}");
    assert_eq!(world.hq.ok(["--json", "bundle", "list"]), exported, "no sequence was lowered");
    fs::write(world.hq.dir.join("keys/hq"), &kept).unwrap();
    let said = text(&clients::run(&mut world.hq.command(["db", "restore", backup])));
    assert!(!said.contains("put the key"), "{said}");
    world.hq.ok(["sync"]);
    let out = world.dir.path().join("again");
    fs::create_dir(&out).unwrap();
    world.hq.ok(["export", "--to", "plant-7", "--since", "none", "--out", out.to_str().unwrap()]);
    world.receive(&crate::world::bundle(&out, 2));
    // somebody else's backup, and what is none
    let said = world.plant.fails(2, ["db", "restore", backup]);
    assert!(said.contains("is of site `hq`, this is site `plant-7`"), "{said}");
    let said = world.hq.fails(2, ["db", "restore", "/etc/passwd"]);
    assert!(said.contains("is no backup") && said.contains("hint: "), "{said}");
    let said = world.hq.fails(2, ["db", "backup", "none/backup"]);
    assert!(said.contains("there is no directory `none`") && said.contains("hint: mkdir -p none"), "{said}");
}

#[test]
fn trust_is_not_added_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let hq = Site::collector(&dir.path().join("hq"), "hq", "");
    let plant = Site::receiver(&dir.path().join("plant"), "plant-7");
    let key = dir.path().join("hq.pub");
    fs::write(&key, hq.ok(["key", "show"])).unwrap();
    let key = key.to_str().unwrap();
    let mut add = plant.command(["trust", "add", key]);
    let output = clients::run(add.stdin(Stdio::null()));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("no terminal to ask at"), "{}", text(&output));
    assert!(!plant.ok(["trust", "show"]).contains("hq"));
    let other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let said = plant.fails(3, ["trust", "add", key, "--fingerprint", other]);
    assert!(said.contains(other), "{said}");
    plant.fails(2, ["trust", "add", key, "--fingerprint", "SHA256:AAAA"]);
    assert!(!plant.ok(["trust", "show"]).contains("hq"));
}
