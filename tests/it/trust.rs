//! Receipts, keys that change, and the log of it, from the command line.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    clients::{have, ok, run},
    world::{Site, World, bundle, text},
};

pub fn json(site: &Site, args: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(args);
    serde_json::from_str(&site.ok(all)).unwrap()
}

pub fn fingerprint(site: &Site) -> String {
    json(site, &["key", "list"])["keys"][0]["fingerprint"].as_str().unwrap().to_owned()
}

/// Carries a site's public line and makes the collector believe its receipts.
pub fn acquaint(world: &World) {
    let path = world.dir.path().join("plant.pub");
    fs::write(&path, world.plant.ok(["key", "show"])).unwrap();
    let key = path.to_str().unwrap();
    let print = fingerprint(&world.plant);
    world.hq.fails(2, ["trust", "add", key, "--role", "receiver", "--yes"]);
    world.hq.fails(2, ["trust", "add", key, "--role", "receiver", "--site", "plant-7"]);
    let args = ["trust", "add", key, "--role", "receiver", "--site", "plant-7", "--fingerprint", &print];
    world.hq.ok(args);
}

pub fn media(world: &World) -> PathBuf {
    let out = world.dir.path().join("media");
    fs::create_dir_all(&out).unwrap();
    out
}

pub fn export(world: &World, more: &[&str], sequence: u64) -> PathBuf {
    let out = media(world);
    let mut args = vec!["export", "--to", "plant-7", "--out", out.to_str().unwrap()];
    args.extend(more);
    world.hq.ok(args);
    bundle(&out, sequence)
}

#[test]
fn a_lost_bundle_a_receipt_and_the_next_one() {
    let mut world = World::with_files();
    acquaint(&world);
    world.hq.ok(["sync"]);
    world.plant.ok(["import", export(&world, &[], 1).to_str().unwrap()]);
    let receipt = world.dir.path().join("plant-7.receipt");
    let file = receipt.to_str().unwrap();
    world.plant.ok(["receipt", "create", "--out", file]);
    // ssh-keygen judges it as well
    if have("ssh-keygen") {
        let text = fs::read_to_string(&receipt).unwrap();
        let (body, signature) = text.split_at(text.find("-----BEGIN").unwrap());
        let dir = world.dir.path();
        fs::write(dir.join("body"), body).unwrap();
        fs::write(dir.join("sig"), signature).unwrap();
        let public = fs::read_to_string(dir.join("plant.pub")).unwrap();
        fs::write(dir.join("allowed"), format!("plant-7 {public}")).unwrap();
        let mut verify = Command::new("ssh-keygen");
        verify.args(["-Y", "verify", "-f", "allowed", "-I", "plant-7", "-n", "chantal-receipt", "-s", "sig"]);
        ok(verify.current_dir(dir).stdin(fs::File::open(dir.join("body")).unwrap()));
    }
    assert_eq!(json(&world.hq, &["receipt", "show", file])["believed"], true);
    assert_eq!(json(&world.hq, &["receipt", "apply", file])["already"], false);
    assert_eq!(json(&world.hq, &["receipt", "apply", file])["already"], true);
    let site = &json(&world.hq, &["status"])["sites"][0];
    assert_eq!(site["acknowledged"]["sequence"], 1);
    assert!(site["next"].is_null() && site["in_flight"].as_array().unwrap().is_empty(), "{site}");

    // the second bundle is lost; the third carries its change and starts from what was acknowledged
    world.upstreams.grow();
    world.hq.ok(["sync"]);
    let planned = json(&world.hq, &["status"])["sites"][0]["next"]["bytes"].as_u64().unwrap();
    assert!(planned > 0);
    export(&world, &[], 2);
    let third = export(&world, &[], 3);
    let said = world.hq.ok(["status"]);
    assert!(said.contains("in flight: 2 bundles, the last hq.plant-7-e01-000003"), "{said}");
    let manifest: Value = serde_json::from_slice(&fs::read(third.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["delivery"], "acknowledged");
    assert_eq!(manifest["counts"]["bytes"], planned);
    world.plant.ok(["import", third.to_str().unwrap()]);
    world.plant.ok(["receipt", "create", "--out", file]);
    world.hq.ok(["receipt", "apply", file]);
    assert_eq!(json(&world.hq, &["status"])["sites"][0]["acknowledged"]["sequence"], 3);
    let said = world.hq.fails(3, ["receipt", "apply", &forged(&world)]);
    assert!(said.contains("does not list as a receiver key of `plant-8`"), "{said}");
}

/// A receipt that another key signed.
fn forged(world: &World) -> String {
    let other = Site::receiver(&world.dir.path().join("other"), "plant-8");
    let line = world.dir.path().join("hq.pub");
    let said = ok(Command::new("ssh-keygen").arg("-lf").arg(&line));
    other.ok(["trust", "add", line.to_str().unwrap(), "--fingerprint", said.split(' ').nth(1).unwrap()]);
    let file = world.dir.path().join("forged");
    other.ok(["receipt", "create", "--out", file.to_str().unwrap()]);
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_key_is_rotated_and_every_version_travels() {
    let mut world = World::with_files();
    world.receive(&world.deliver(1));
    let old = fingerprint(&world.hq);
    let config = fs::read_to_string(world.hq.dir.join("chantal.yaml")).unwrap();
    assert!(!config.contains("key:"), "the key lies where it always does");
    // nobody is there to confirm, and nothing happens
    let said = world.hq.fails(2, ["trust", "rotate"]);
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(fingerprint(&world.hq), old);
    world.hq.ok(["trust", "rotate", "--revoke", "--yes"]);
    let new = fingerprint(&world.hq);
    assert_ne!(old, new);
    let keys: Vec<PathBuf> =
        fs::read_dir(world.hq.dir.join("keys")).unwrap().map(|e| e.unwrap().path()).collect();
    let private = keys
        .iter()
        .filter(|p| p.extension().is_none_or(|e| e != "pub") && !p.to_string_lossy().contains(".pub."));
    for path in private {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    assert!(keys.iter().any(|p| p.to_string_lossy().contains(".before-")), "{keys:?}");
    let shown = json(&world.hq, &["trust", "show"])["collectors"][0].clone();
    assert_eq!((shown["version"].as_u64(), shown["epoch"].as_u64()), (Some(2), Some(2)));
    assert_eq!(shown["keys"][0]["fingerprint"], new);
    assert_eq!(shown["revoked"][0]["fingerprint"], old);
    assert_eq!(shown["versions"][1]["signed"].as_array().unwrap().len(), 2, "the old key and the new one");
    // the next bundle brings the version, and is of the new epoch
    world.upstreams.grow();
    world.hq.ok(["sync"]);
    let out = media(&world);
    world.hq.ok(["export", "--to", "plant-7", "--since", "last", "--out", out.to_str().unwrap()]);
    let next = out.join("hq.plant-7-e02-000001");
    world.receive(&next);
    let theirs = json(&world.plant, &["trust", "show", "hq"])["collectors"][0].clone();
    assert_eq!((theirs["version"].as_u64(), theirs["epoch"].as_u64()), (Some(2), Some(2)));
    // the first bundle was imported, and stays so
    world.plant.ok(["import", out.join("hq.plant-7-e01-000001").to_str().unwrap()]);
    let log = world.plant.ok(["audit", "show", "--what", "imported"]);
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains(&old) && lines[1].contains(&new), "{log}");
}

#[test]
fn two_of_two_sign_a_draft() {
    if !have("ssh-keygen") {
        return;
    }
    let world = World::with_files();
    let person = world.dir.path().join("alice");
    ok(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f"]).arg(&person));
    let (private, public) = (person.to_str().unwrap(), format!("{}.pub", person.display()));
    world.hq.ok(["trust", "add", &public, "--role", "root", "--root", "2", "--sign-with", private, "--yes"]);
    let draft = world.dir.path().join("next.json");
    let draft = draft.to_str().unwrap();
    let said = world.hq.fails(2, ["trust", "epoch", "--yes"]);
    assert!(said.contains("--draft"), "{said}");
    world.hq.ok(["trust", "epoch", "--yes", "--draft", draft]);
    world.hq.fails(3, ["trust", "apply", draft, "--yes"]);
    // alice signs where she is: no store, no configuration
    let alone = tempfile::tempdir().unwrap();
    let mut sign = world.hq.command(["trust", "sign", draft, "--sign-with", private, "--yes"]);
    let output = run(sign.current_dir(alone.path()));
    assert!(output.status.success() && text(&output).contains("epoch 2"), "{}", text(&output));
    world.hq.ok(["trust", "apply", draft, "--yes"]);
    world.hq.ok(["trust", "apply", draft, "--yes"]);
    let shown = json(&world.hq, &["trust", "show"])["collectors"][0].clone();
    assert_eq!((shown["version"].as_u64(), shown["epoch"].as_u64()), (Some(3), Some(2)));
}

/// A real ssh-agent, ended when dropped.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(dir: &Path) -> Self {
        let socket = dir.join("agent");
        let mut command = Command::new("ssh-agent");
        let child = command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let this = Self { child, socket };
        while run(this.command("ssh-add").arg("-l")).status.code() == Some(2) {
            std::thread::sleep(Duration::from_millis(20));
        }
        this
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SSH_AUTH_SOCK", &self.socket);
        command
    }
}
impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_agent_holds_the_key_and_the_file_only_its_public_line() {
    if !have("ssh-agent") || !have("ssh-add") {
        return;
    }
    let world = World::with_files();
    let agent = Agent::start(world.dir.path());
    let key = world.hq.dir.join("keys/hq");
    ok(agent.command("ssh-add").arg("-q").arg(&key));
    let print = fingerprint(&world.hq);
    fs::copy(world.hq.dir.join("keys/hq.pub"), world.dir.path().join("line")).unwrap();
    fs::remove_file(&key).unwrap();
    fs::copy(world.dir.path().join("line"), &key).unwrap();
    world.hq.ok(["sync"]);
    let out = media(&world);
    let export = ["export", "--to", "plant-7", "--out", out.to_str().unwrap()];
    // the agent is not named
    let said = run(world.hq.command(export).env_remove("SSH_AUTH_SOCK"));
    assert!(!said.status.success() && text(&said).contains("ssh-add"), "{}", text(&said));
    ok(world.hq.command(export).env("SSH_AUTH_SOCK", &agent.socket));
    let listed = ok(world.hq.command(["key", "list"]).env("SSH_AUTH_SOCK", &agent.socket));
    assert!(listed.contains("ssh-agent") && listed.contains(&print), "{listed}");
    world.receive(&bundle(&out, 1));
    // the next key may live in the agent from the beginning
    if have("ssh-keygen") {
        let next = world.dir.path().join("next");
        ok(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "hq", "-f"]).arg(&next));
        ok(agent.command("ssh-add").arg("-q").arg(&next));
        let public = format!("{}.pub", next.display());
        let rotate = ["trust", "rotate", "--with", &public, "--yes"];
        ok(world.hq.command(rotate).env("SSH_AUTH_SOCK", &agent.socket));
        let listed = ok(world.hq.command(["key", "list"]).env("SSH_AUTH_SOCK", &agent.socket));
        assert!(listed.contains("ssh-agent") && !listed.contains(&print), "{listed}");
    }
}

#[test]
fn who_is_late_is_seen_and_monitoring_hears_of_it() {
    let world = World::with_files();
    let path = world.hq.dir.join("chantal.yaml");
    let configured = fs::read_to_string(&path).unwrap();
    let configured = configured.replace("{ name: plant-7,", "{ name: plant-7, every: 30d,");
    fs::write(&path, configured).unwrap();
    world.hq.ok(["sync"]);
    let out = media(&world);
    // made in 2001: the next one is overdue by any clock
    let export = ["export", "--to", "plant-7", "--out", out.to_str().unwrap()];
    ok(world.hq.command(export).env("SOURCE_DATE_EPOCH", "1000000000"));
    world.plant.ok(["status", "--check"]);
    world.receive(&bundle(&out, 1));
    let row = json(&world.plant, &["status"])["imports"][0].clone();
    assert_eq!(
        (row["expected_next_by"].as_str(), row["late"].as_bool()),
        (Some("2001-10-09T01:46:40Z"), Some(true))
    );
    let said = world.plant.fails(4, ["status", "--check"]);
    assert!(said.contains("LATE"), "{said}");
    let output = run(&mut world.plant.command(["--json", "status", "--check"]));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let attention = status["attention"].as_array().unwrap();
    assert!(
        attention.len() == 1 && attention[0].as_str().unwrap().contains("LATE"),
        "one matter: {attention:?}"
    );
    // late or not, it was imported and published; the next one in time ends the alarm
    ok(world.hq.command(export).arg("--since").arg("none"));
    world.receive(&bundle(&out, 2));
    world.plant.ok(["status", "--check"]);
}

#[test]
fn the_log_is_shown_and_what_was_cut_or_rewritten_is_found() {
    let world = World::with_files();
    world.receive(&world.deliver(1));
    let log = world.plant.ok(["--json", "audit", "show"]);
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(entries.iter().zip(1..).all(|(entry, n)| entry["number"] == n && entry["version"] == 1));
    let imported = entries.iter().find(|e| e["event"]["what"] == "imported").unwrap();
    assert_eq!(imported["event"]["signed"][0], fingerprint(&world.hq));
    let exported = world.hq.ok(["--json", "audit", "show", "--what", "exported"]);
    let exported: Value = serde_json::from_str(exported.trim()).unwrap();
    assert_eq!(exported["event"]["signed"][0], fingerprint(&world.hq));
    assert_eq!(world.plant.ok(["audit", "show", "--since", "2100-01-01"]), "");
    let head = json(&world.plant, &["audit", "verify"])["head"].as_str().unwrap().to_owned();
    world.plant.ok(["publish"]);
    world.plant.ok(["audit", "verify", "--since", &head]);

    // cut short: the catalog gives back what it has applied
    let journal = world.plant.dir.join("store/journal.jsonl");
    let whole = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    fs::write(&journal, lines[..lines.len() - 2].join("\n") + "\n").unwrap();
    world.plant.ok(["audit", "verify", "--since", &head]);
    assert_eq!(fs::read_to_string(&journal).unwrap(), whole);
    // cut short, and the catalog with it: the head that somebody wrote down tells
    let forget = |text: &str| {
        fs::write(&journal, text).unwrap();
        for name in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"] {
            let _ = fs::remove_file(world.plant.dir.join("store").join(name));
        }
    };
    forget(&(lines[..3].join("\n") + "\n"));
    world.plant.ok(["audit", "verify"]);
    let said = world.plant.fails(3, ["audit", "verify", "--since", &head]);
    assert!(said.contains("rewritten or cut back"), "{said}");
    // edited in any line: the chain breaks there
    for number in 0..lines.len() {
        let mut edited: Vec<String> = lines.iter().map(ToString::to_string).collect();
        edited[number] = edited[number].replacen("\"at\":\"2", "\"at\":\"3", 1);
        forget(&(edited.join("\n") + "\n"));
        let said = world.plant.fails(3, ["audit", "verify"]);
        assert!(said.contains(&format!("line {}", number + 1)), "{said}");
    }
    // a line left out, two exchanged
    let without: Vec<&str> =
        lines.iter().copied().enumerate().filter(|(n, _)| *n != 2).map(|(_, l)| l).collect();
    forget(&(without.join("\n") + "\n"));
    world.plant.fails(3, ["audit", "verify"]);
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    forget(&(swapped.join("\n") + "\n"));
    world.plant.fails(3, ["audit", "verify"]);
}

#[test]
fn a_passphrase_is_asked_for_on_the_terminal_and_not_shown() {
    if !have("script") {
        return;
    }
    let world = World::with_files();
    let dir = world.dir.path().join("locked");
    let mut init = world.hq.command(["init", "--role", "receiver", "--site", "plant-9"]);
    ok(init.arg(&dir).env("CHANTAL_KEY_PASSPHRASE", "open sesame"));
    let site = Site { dir };
    // nobody is there to ask
    let said = site
        .command(["trust", "epoch", "--yes"])
        .env("SSH_AUTH_SOCK", "")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!said.status.success() || text(&said).contains("Passphrase"), "{}", text(&said));
    // the public half lies open
    for args in [["key", "show"], ["key", "list"]] {
        let said = text(&run(site.command(args).env("SSH_AUTH_SOCK", "").stdin(Stdio::null())));
        assert!(said.contains("SHA256:") && !said.contains("Passphrase"), "{said}");
    }
    assert!(site.ok(["key", "show"]).trim_end().ends_with(" plant-9"), "whose key it is");
    assert!(site.ok(["key", "list"]).contains("(file, passphrase)"));
    let mut asked = Command::new("script");
    asked.arg("-qec").arg(format!("{} trust epoch --yes", env!("CARGO_BIN_EXE_chantal"))).arg("/dev/null");
    asked.current_dir(&site.dir).env("SSH_AUTH_SOCK", "").env_remove("CHANTAL_CONFIG");
    asked.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = asked.spawn().unwrap();
    // what is typed before the question is thrown away: the question must be out first
    let mut seen = Vec::new();
    let out = child.stdout.as_mut().unwrap();
    while !String::from_utf8_lossy(&seen).contains("Passphrase of key keys/plant-9: ") {
        let mut byte = [0];
        std::io::Read::read_exact(out, &mut byte).unwrap();
        seen.push(byte[0]);
    }
    std::thread::sleep(Duration::from_millis(300));
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"open sesame\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output);
    assert!(
        output.status.success() && said.contains("version 2 is in force") && !said.contains("sesame"),
        "{said}"
    );
}
