//! The command line as a user meets it: exit codes, streams, JSON, what `init` writes.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use crate::{
    clients,
    world::{Site, World, text},
};

fn chantal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chantal"));
    command.env_remove("CHANTAL_CONFIG").env_remove("RUST_LOG").env("LC_ALL", "C");
    command
}

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
fn exit_codes_and_streams() {
    let dir = tempfile::tempdir().unwrap();
    let mut lost = chantal();
    lost.args(["repo", "list"]).current_dir(dir.path()).env("HOME", dir.path()).env_remove("XDG_CONFIG_HOME");
    let output = clients::run(&mut lost);
    // a machine may have a configuration of its own in /etc
    if output.status.code() != Some(0) {
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("hint: `chantal init"), "{}", text(&output));
    }
    for (args, code) in
        [(&["frob"][..], 2), (&["--help"], 0), (&["--version"], 0), (&["sync", "--frob"], 2), (&[], 2)]
    {
        assert_eq!(clients::run(chantal().args(args)).status.code(), Some(code), "{args:?}");
    }
    let site = Site::collector(
        &dir.path().join("hq"),
        "hq",
        "repositories:\n  - { name: a, url: file:///none, rmp: {} }\n",
    );
    let output = clients::run(&mut site.command(["sync"]));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: `chantal.yaml`, line 5, column 35: unknown key `rmp`\n  |\n5 |   - { name: a, url: file:///none, rmp: {} }\n  |                                   ^\nhint: did you mean `rpm`?\n"
    );
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

#[test]
fn a_receiver_holds_what_arrives_against_its_own_keys() {
    let world = World::with_files();
    let bundle = world.deliver(1);
    let at = world.upstreams.dir.clone();
    let policy = |debian: &str, tools: &str| {
        format!(
            "repositories:\n  - {{ name: debian, keys: [{0}/{debian}] }}\n  - {{ name: tools, path: rpm/tools, keys: [{0}/{tools}], verify: {{ metadata: require }} }}\n",
            at.display()
        )
    };
    let bundle = bundle.to_str().unwrap();
    for (debian, tools, refused) in [("rpm.asc", "rpm.asc", "debian"), ("apt.asc", "apt.asc", "tools")] {
        world.plant.configure("receiver", "plant-7", &policy(debian, tools));
        let said = world.plant.fails(3, ["import", bundle]);
        assert!(said.contains(&format!("`{refused}` does not satisfy this site's own policy")), "{said}");
        assert!(said.contains("none of which is a configured key"), "{said}");
        assert!(world.plant.ok(["--json", "status"]).contains("\"imports\":[]"), "something became current");
        let status = world.plant.ok(["status"]);
        assert!(status.contains("all of it is here, and it was refused"), "{status}");
    }
    world.plant.configure("receiver", "plant-7", &policy("apt.asc", "rpm.asc"));
    world.plant.ok(["import", bundle]);
    world.plant.ok(["publish"]);
    assert!(world.plant.published("rpm/tools/repodata/repomd.xml").is_file());
    let listed = world.plant.ok(["package", "list", "debian"]);
    assert!(listed.contains("hello") && listed.contains("1.0-1"), "{listed}");
    let shown = world.plant.ok(["package", "show", "hello", "debian"]);
    assert!(shown.contains("Package: hello"), "{shown}");
    for (text, repository) in [("hel", "tools"), ("h?llo*", "wheels"), ("GREET", "debian")] {
        assert!(world.plant.ok(["package", "search", text]).contains(repository), "{text}");
    }
}

#[test]
fn snapshots_are_named_compared_and_deleted() {
    let mut world = World::with_files();
    let hq = |args: &[&str]| world.hq.ok(args.iter().copied());
    hq(&["sync"]);
    hq(&["snapshot", "create", "--name", "v1", "--dry-run"]);
    assert!(!hq(&["snapshot", "list"]).contains("v1"));
    hq(&["snapshot", "create", "--name", "v1"]);
    hq(&["snapshot", "create", "--name", "v1"]);
    world.upstreams.grow();
    let hq = |args: &[&str]| world.hq.ok(args.iter().copied());
    hq(&["sync"]);
    let said = world.hq.fails(2, ["snapshot", "create", "--name", "v1"]);
    assert!(said.contains("exists already, and is another state"), "{said}");
    let changed = hq(&["snapshot", "diff", "debian@v1", "debian"]);
    assert!(changed.contains("+ file") && changed.contains("hello_1.1-1"), "{changed}");
    assert!(
        changed.contains("~ file    dists/stable/InRelease") && changed.contains(" added, "),
        "{changed}"
    );
    let stat = hq(&["--json", "snapshot", "diff", "debian@v1", "debian@v1", "--stat"]);
    assert!(stat.contains("\"added\":0,\"removed\":0,\"changed\":0"), "{stat}");
    assert!(hq(&["repo", "history", "debian"]).lines().count() >= 3);
    hq(&["publish", "tools@v1"]);
    let said = world.hq.fails(2, ["snapshot", "delete", "tools@v1"]);
    assert!(said.contains("hint: `chantal unpublish tools@v1` first"), "{said}");
    let said = world.hq.fails(2, ["snapshot", "delete", "v1"]);
    assert!(said.contains("`v1` is the name of a snapshot without its repository"), "{said}");
    assert!(said.contains("hint: `chantal snapshot delete debian@v1 tools@v1 wheels@v1`"), "{said}");
    let said = world.hq.fails(2, ["snapshot", "delete", "v9"]);
    assert!(said.contains("there is no snapshot `v9`"), "{said}");
    let said = world.hq.fails(2, ["snapshot", "delete", "tools"]);
    assert!(said.contains("`tools` is a newest state"), "{said}");
    hq(&["unpublish", "tools@v1"]);
    hq(&["snapshot", "copy", "wheels@v1", "v1-kept"]);
    hq(&["snapshot", "prune", "--keep", "1"]);
    let listed = hq(&["snapshot", "list"]);
    assert!(listed.contains("wheels@v1-kept") && !listed.contains("wheels@v1 "), "{listed}");
    assert!(listed.contains("debian@v1") && listed.contains("tools@v1"), "{listed}");
    hq(&["snapshot", "delete", "tools@v1", "debian@v1"]);
    let said = world.hq.fails(1, ["snapshot", "show", "tools@v1"]);
    assert!(said.contains("tools@v1"), "{said}");
    hq(&["gc", "--grace", "0"]);
    hq(&["verify", "--full"]);
}

#[test]
fn json_is_versioned_and_alone_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::collector(&dir.path().join("hq"), "hq", "");
    for args in [
        &["repo", "list"][..],
        &["status"],
        &["snapshot", "list"],
        &["bundle", "list"],
        &["publish", "list"],
        &["trust", "show"],
        &["key", "show"],
        &["key", "list"],
        &["config", "check"],
        &["config", "show"],
        &["audit", "verify"],
        &["stats"],
        &["db", "stats"],
        &["verify"],
        &["gc", "--dry-run"],
        &["package", "search", "x"],
    ] {
        let output = clients::run(site.command(["--json"]).args(args));
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", text(&output)));
        assert_eq!(value["version"], 1, "{args:?}");
        assert!(output.stdout.starts_with(b"{\"version\":1,"), "{args:?}");
    }
    // what is not counted is not said to be none
    let counted = site.ok(["--json", "db", "stats"]);
    assert!(counted.contains("\"entries\":2") && !counted.contains("blobs"), "{counted}");
    for args in [&["db", "vacuum", "--dry-run"][..], &["db", "rebuild", "--dry-run"]] {
        assert!(site.ok([&["--json"], args].concat()).contains("\"dry_run\":true"), "{args:?}");
    }
}

#[test]
fn a_failure_is_one_json_object_too() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::receiver(&dir.path().join("plant"), "plant-7");
    for (args, code) in [
        (&["repo", "show", "none"][..], 1),
        (&["import", "nowhere"], 1),
        (&["trust", "add", "nowhere"], 2),
        (&["--frob"], 2),
        (&["publish", "none"], 1),
    ] {
        let output = clients::run(site.command(["--json"]).args(args));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", text(&output)));
        assert_eq!(value["version"], 1, "{args:?}");
        assert_eq!(value["error"]["code"], output.status.code().unwrap(), "{args:?}");
        assert!(
            output.status.code() != Some(0) && (code == 1 || output.status.code() == Some(code)),
            "{args:?}: {}",
            text(&output)
        );
        let causes = value["error"]["causes"].as_array().unwrap();
        assert!(!causes.is_empty() && !output.stderr.is_empty(), "{args:?}");
        let mut once = causes.clone();
        once.dedup();
        assert_eq!(&once, causes, "{args:?}");
    }
    // without the option stdout stays empty
    assert!(clients::run(&mut site.command(["repo", "show", "none"])).stdout.is_empty());
}

#[test]
fn an_interruption_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let server = crate::fixtures::server::Server::directory(dir.path().join("upstream"));
    let url = server.url();
    let world = World::new(dir, &url);
    server.delay(std::time::Duration::from_secs(3));
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let child = world
            .hq
            .command(["sync", "debian"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_secs(1));
        clients::ok(Command::new("kill").args([format!("-{signal}"), child.id().to_string()]));
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains("interrupted; run the same command again"), "{}", text(&output));
    }
    server.delay(std::time::Duration::ZERO);
    world.hq.ok(["sync", "debian"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::collector(&dir.path().join("hq"), "hq", "");
    let mut command = site.command(["config", "schema"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(output.stderr.is_empty(), "{}", text(&output));
}

#[test]
fn completions_are_of_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let text = clients::ok(chantal().args(["completions", shell]));
        assert!(text.contains("chantal") && text.contains("snapshot"), "{shell}");
    }
    if clients::have("bash") {
        let script = clients::ok(chantal().args(["completions", "bash"]));
        clients::ok(Command::new("bash").args(["-n", "-c", &script]));
    }
}

#[test]
fn what_is_published_is_said_truly_and_taken_away() {
    let world = World::with_files();
    world.hq.ok(["sync"]);
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&world.hq.ok([&["--json"], args].concat())).unwrap()
    };
    let synced = json(&["status"])["repositories"][0]["last_sync"].as_str().unwrap().to_owned();
    world.hq.ok(["sync"]);
    assert!(
        *json(&["status"])["repositories"][0]["last_sync"].as_str().unwrap() > *synced,
        "nothing was new"
    );
    let checked = text(&clients::run(&mut world.hq.command(["config", "check"])));
    assert!(!checked.contains("storage.url"), "nothing is published: {checked}");
    let said = text(&clients::run(&mut world.hq.command(["publish"])));
    assert_eq!(said.matches("storage.url").count(), 2, "the warning and its hint: {said}");
    assert!(text(&clients::run(&mut world.hq.command(["config", "check"]))).contains("storage.url"));

    // Another path: the former tree is served still, and everybody says so.
    let url = format!("file://{}", world.upstreams.dir.display());
    let moved = world
        .upstreams
        .configuration(&url)
        .replace("- name: debian\n", "- name: debian\n    path: os/debian\n");
    world.hq.configure("collector", "hq", &moved);
    let state = |name: &str| {
        let status = json(&["status"]);
        let rows = status["repositories"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("debian"), "unpublished");
    let said = text(&clients::run(&mut world.hq.command(["publish"])));
    assert!(said.contains("`chantal unpublish debian` takes it away"), "{said}");
    assert_eq!(state("debian"), "published");
    assert!(world.hq.ok(["status"]).contains("`chantal unpublish debian` takes it away"));
    assert_eq!(json(&["status"])["elsewhere"][0]["target"], "debian");
    assert_eq!(json(&["unpublish", "debian", "--dry-run"])["outcome"], "planned");
    assert!(world.hq.published("debian").exists());
    let removed = json(&["unpublish", "debian"]);
    assert_eq!((&removed["target"], &removed["outcome"]), (&"debian".into(), &"removed".into()));
    assert!(!world.hq.published("debian").exists() && world.hq.published("os/debian").exists());
    assert!(json(&["status"])["elsewhere"].as_array().unwrap().is_empty());
    for more in [&[][..], &["--dry-run"]] {
        let said = world.hq.fails(1, [&["unpublish", "nope"], more].concat());
        assert!(said.contains("`nope` is not published"), "{said}");
    }

    std::fs::remove_dir_all(world.hq.published(".trees/os=debian")).unwrap();
    assert_eq!(state("debian"), "published tree is gone");
    world.hq.ok(["publish"]);
    assert_eq!(state("debian"), "published");
}

#[test]
fn export_makes_no_directory_and_says_why_everything_travels_again() {
    let mut world = World::with_files();
    world.hq.ok(["sync"]);
    let missing = world.dir.path().join("stick");
    let out = missing.to_str().unwrap();
    let export = ["export", "--to", "plant-7", "--out", out];
    for dry_run in [None, Some("--dry-run")] {
        let said = world.hq.fails(1, export.iter().copied().chain(dry_run));
        assert!(said.contains(out) && said.contains("hint: mount the medium"), "{said}");
        assert!(!missing.exists());
    }
    fs::create_dir(&missing).unwrap();
    let again = |site: &Site, more: &[&str]| {
        let output = clients::run(&mut site.command(export.iter().chain(more)));
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    assert!(!again(&world.hq, &[]).contains("acknowledged"));
    world.upstreams.grow();
    world.hq.ok(["sync"]);
    let said = again(&world.hq, &["--dry-run"]);
    assert!(said.contains("has acknowledged no bundle") && said.contains("hint: `--since last`"), "{said}");
    assert!(again(&world.hq, &["--json"]).contains("\"unacknowledged\":\"hq.plant-7-e01-000001\""));
    world.hq.ok(["sync"]);
    assert!(!again(&world.hq, &["--since", "none"]).contains("acknowledged no"));
}
