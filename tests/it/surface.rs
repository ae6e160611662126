//! The command line as a user meets it: exit codes, streams, JSON, what commands say.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{
    clients::{self, chantal},
    world::{Site, World, text},
};

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
