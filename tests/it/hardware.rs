//! Keys on hardware tokens, from the command line: a token of our own behind a socket, as an ssh-agent is.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    clients::{have, ok, run},
    token::{Agent, Token},
    world::{Site, World, bundle, copy, text},
};

/// Writes the public line of a token's key, and tells its fingerprint.
fn line(dir: &Path, token: &Token, name: &str) -> (String, String) {
    let path = dir.join(format!("{name}.pub"));
    fs::write(&path, token.line() + "\n").unwrap();
    let listed = ok(Command::new("ssh-keygen").arg("-lf").arg(&path));
    assert!(listed.contains("ED25519-SK"), "{listed}");
    (path.to_str().unwrap().to_owned(), listed.split(' ').nth(1).unwrap().to_owned())
}

/// Runs a command that asks an agent.
fn with<'a>(site: &Site, agent: &Agent, args: impl IntoIterator<Item = &'a str>) -> Output {
    run(site.command(args).env("SSH_AUTH_SOCK", &agent.socket).stdin(Stdio::null()))
}

#[track_caller]
fn good<'a>(site: &Site, agent: &Agent, args: impl IntoIterator<Item = &'a str>) -> String {
    let output = with(site, agent, args);
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

/// What the real ssh-keygen says of a signature in a bundle.
fn judged(dir: &Path, key: &str, namespace: &str, file: &Path, signature: &Path) -> bool {
    let allowed = dir.join("allowed");
    fs::write(&allowed, format!("x {}", fs::read_to_string(key).unwrap())).unwrap();
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-I", "x", "-n", namespace, "-f"]).arg(&allowed).arg("-s").arg(signature);
    run(command.stdin(fs::File::open(file).unwrap())).status.success()
}

/// The signatures in a directory whose names begin so.
fn signatures(dir: &Path, begin: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|p| p.extension().is_some_and(|e| e == "sig"))
        .filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with(begin))
        .collect()
}

#[test]
fn root_collector_and_approver_hold_their_keys_on_tokens() {
    if !have("ssh-keygen") {
        return;
    }
    let world = World::with_files();
    let dir = world.dir.path();
    let (minister, press, officer) =
        (Token::new("minister", "ssh:"), Token::new("press", "ssh:press"), Token::new("officer", "ssh:"));
    let (minister_line, minister_print) = line(dir, &minister, "minister");
    let (press_line, press_print) = line(dir, &press, "press");
    let (officer_line, officer_print) = line(dir, &officer, "officer");
    let desk = Agent::start(&dir.join("desk"), &[&minister, &press]);
    // a key of a token comes in as any other: by its compared fingerprint; and is called what it is
    let wrong = ["trust", "add", &officer_line, "--role", "approver", "--fingerprint", &minister_print];
    assert!(!with(&world.hq, &desk, wrong).status.success());
    let said = good(&world.hq, &desk, ["trust", "add", &minister_line, "--role", "root", "--yes"]);
    assert!(said.contains("root (hardware token)"), "{said}");
    let with_minister = ["--sign-with", minister_line.as_str(), "--yes"];
    good(&world.hq, &desk, ["trust", "threshold", "--root", "2"].into_iter().chain(with_minister));
    let said =
        good(&world.hq, &desk, ["trust", "rotate", "--with", &press_line].into_iter().chain(with_minister));
    assert!(said.contains(&format!("{minister_print} is on a hardware token: touch it")), "{said}");
    let approver = ["trust", "add", &officer_line, "--role", "approver", "--approvers", "1"];
    good(&world.hq, &desk, approver.into_iter().chain(with_minister));
    let shown = good(&world.hq, &desk, ["trust", "show"]);
    for (print, roles) in
        [(&minister_print, "root"), (&press_print, "root, collector"), (&officer_print, "approver")]
    {
        assert!(shown.contains(&format!("{print}  {roles} (hardware token)")), "{shown}");
    }
    let listed = good(&world.hq, &desk, ["key", "list"]);
    assert!(listed.contains("sk-ssh-ed25519@openssh.com") && listed.contains("hardware token"), "{listed}");

    // the bundle that the token signs brings all that, and waits for the officer
    world.hq.ok(["sync"]);
    let out = dir.join("media");
    fs::create_dir(&out).unwrap();
    good(&world.hq, &desk, ["export", "--to", "plant-7", "--out", out.to_str().unwrap()]);
    let made = bundle(&out, 1);
    let place = made.to_str().unwrap();
    let said = world.plant.fails(3, ["import", place]);
    assert!(said.contains("0 of 1 approver"), "{said}");
    let office = Site::receiver(&dir.join("office"), "office");
    let first = dir.join("hq.pub");
    let print = ok(Command::new("ssh-keygen").arg("-lf").arg(&first)).split(' ').nth(1).unwrap().to_owned();
    office.ok(["trust", "add", first.to_str().unwrap(), "--fingerprint", &print]);
    let theirs = Agent::start(&dir.join("office-agent"), &[&officer]);
    good(&office, &theirs, ["bundle", "approve", place, "--yes", "--key", &officer_line]);
    world.receive(&made);
    assert!(world.plant.published("debian").join("dists/stable/InRelease").is_file());
    let log = world.plant.ok(["audit", "show", "--what", "imported"]);
    assert!(log.contains(&press_print) && log.contains(&officer_print), "{log}");

    // and ssh-keygen says the same of every one of them
    let manifest = made.join("manifest.json");
    for (key, namespace, begin) in
        [(&press_line, "chantal-bundle", "collector-"), (&officer_line, "chantal-approval", "approver-")]
    {
        let found = signatures(&made.join("signatures"), begin);
        assert!(found.len() == 1 && judged(dir, key, namespace, &manifest, &found[0]), "{namespace}");
        assert!(!judged(dir, key, "chantal-trust", &manifest, &found[0]), "{namespace}");
    }
    let last = signatures(&made.join("trust"), "0005-");
    let by = |key: &str| {
        let document = made.join("trust/0005.json");
        last.iter().filter(|sig| judged(dir, key, "chantal-trust", &document, sig)).count()
    };
    assert_eq!((last.len(), by(&minister_line), by(&press_line)), (2, 1, 1));
}

/// A collector whose first and only key is on a token, and the world around it.
fn on_token(token: &Token) -> (World, Agent, String, String) {
    let world = World::with_files();
    let dir = world.dir.path();
    let (key, print) = line(dir, token, "token");
    let agent = Agent::start(&dir.join("agent"), &[token]);
    for path in ["store", "keys", "published"] {
        fs::remove_dir_all(world.hq.dir.join(path)).unwrap();
    }
    fs::create_dir(world.hq.dir.join("keys")).unwrap();
    fs::copy(&key, world.hq.dir.join("keys/hq")).unwrap();
    world.hq.ok(["init"]);
    fs::remove_dir_all(world.plant.dir.join("store")).unwrap();
    world.plant.ok(["init"]);
    world.plant.ok(["trust", "add", &key, "--collector", "hq", "--fingerprint", &print]);
    world.hq.ok(["sync"]);
    fs::create_dir(dir.join("media")).unwrap();
    (world, agent, key, print)
}

fn export<'a>(world: &'a World, more: &[&'a str]) -> Vec<String> {
    let out = world.dir.path().join("media");
    let args = ["export", "--to", "plant-7", "--since", "none", "--out", out.to_str().unwrap()];
    args.iter().chain(more).map(ToString::to_string).collect()
}

#[test]
fn a_collector_may_have_no_other_key_than_a_tokens() {
    if !have("ssh-keygen") {
        return;
    }
    let token = Token::new("hq", "ssh:");
    let (world, agent, _, print) = on_token(&token);
    let args = export(&world, &[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // nobody asks the token
    let said = text(&run(world.hq.command(&args).env_remove("SSH_AUTH_SOCK")));
    assert!(said.contains("ssh-add"), "{said}");
    let media = world.dir.path().join("media");
    assert_eq!(fs::read_dir(&media).unwrap().count(), 0);
    // nobody touches it: nothing goes out that every site would refuse
    token.say(0);
    let output = with(&world.hq, &agent, args.clone());
    let said = text(&output);
    assert!(
        !output.status.success() && said.contains("without a touch") && said.contains("hint: touch"),
        "{said}"
    );
    assert!(signatures(&media, "").is_empty());
    assert!(
        !fs::read_dir(&media).unwrap().any(|e| !e.unwrap().file_name().to_str().unwrap().starts_with('.'))
    );
    token.say(1);
    let before = token.counter();
    good(&world.hq, &agent, args.clone());
    assert_eq!(token.counter(), before + 2, "the trust document and the manifest");
    let made = bundle(&media, 1);
    world.plant.ok(["bundle", "verify", made.to_str().unwrap()]);
    world.receive(&made);
    // what it signed of the trust document is kept: one touch is enough from now on, with its PIN or without
    token.say(5);
    let before = token.counter();
    good(&world.hq, &agent, args.clone());
    assert_eq!(token.counter(), before + 1);
    world.receive(&bundle(&media, 2));

    // the file that ssh-keygen leaves in a private key's place does as well, and says what it is where no agent asks
    let handle = world.hq.dir.join("keys/hq");
    fs::write(&handle, token.handle()).unwrap();
    fs::set_permissions(&handle, fs::Permissions::from_mode(0o600)).unwrap();
    let said = text(&run(world.hq.command(["trust", "epoch", "--yes"]).env_remove("SSH_AUTH_SOCK")));
    assert!(
        said.contains("only the handle of a key on a hardware token") && said.contains("ssh-add"),
        "{said}"
    );
    world.hq.ok(["config", "check"]);
    assert!(good(&world.hq, &agent, ["key", "list"]).contains(&print));
    good(&world.hq, &agent, args);
    world.receive(&bundle(&media, 3));
}

#[test]
fn what_a_token_signed_untouched_is_refused_by_every_reader() {
    if !have("ssh-keygen") {
        return;
    }
    let token = Token::new("hq", "ssh:");
    let (world, agent, key, print) = on_token(&token);
    let args = export(&world, &[]);
    good(&world.hq, &agent, args.iter().map(String::as_str));
    let made = bundle(&world.dir.path().join("media"), 1);
    // a reader that was written from the specification alone believes what the token signed
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bundle-v1/unpack.py");
    let tools = ["python3", "sha256sum", "zstd", "tar"].map(have).into_iter().all(|there| there);
    let unpack = |bundle: &Path, to: &str| {
        let key = fs::read_to_string(&key).unwrap();
        let key = key.rsplit_once(' ').unwrap().0;
        run(Command::new("python3").arg(&reader).arg(key).arg(world.dir.path().join(to)).arg(bundle))
    };
    if tools {
        let told = unpack(&made, "unpacked");
        assert!(told.status.success(), "{}", text(&told));
    }
    // signed without a touch, or with flags that no token has: ssh-keygen does not ask, every reader of ours does
    for (flags, why) in [(0, "without a touch"), (0x11, "flags 0x11")] {
        let bad = world.dir.path().join(format!("bad-{flags}"));
        copy(&made, &bad);
        token.say(flags);
        let manifest = fs::read(bad.join("manifest.json")).unwrap();
        let [signature] =
            <[PathBuf; 1]>::try_from(signatures(&bad.join("signatures"), "collector-")).unwrap();
        fs::write(&signature, token.sshsig("chantal-bundle", &manifest)).unwrap();
        let fresh = Site::receiver(&world.dir.path().join(format!("fresh-{flags}")), "plant-7");
        fresh.ok(["trust", "add", &key, "--collector", "hq", "--fingerprint", &print]);
        for command in [&["import"][..], &["bundle", "verify"]] {
            let said = fresh.fails(3, command.iter().copied().chain([bad.to_str().unwrap()]));
            assert!(said.contains(why), "{said}");
        }
        assert!(judged(world.dir.path(), &key, "chantal-bundle", &bad.join("manifest.json"), &signature));
        if tools {
            let told = unpack(&bad, &format!("unpacked-{flags}"));
            assert!(!told.status.success() && text(&told).contains("not signed"), "{}", text(&told));
        }
    }
}

#[test]
fn a_site_signs_its_receipts_with_a_token() {
    if !have("ssh-keygen") {
        return;
    }
    let world = World::with_files();
    let dir = world.dir.path();
    let token = Token::new("plant-7", "ssh:");
    let (key, print) = line(dir, &token, "plant");
    let agent = Agent::start(&dir.join("agent"), &[&token]);
    good(&world.plant, &agent, ["trust", "rotate", "--with", &key, "--yes"]);
    let role = ["--role", "receiver", "--site", "plant-7", "--fingerprint", &print];
    world.hq.ok(["trust", "add", &key].into_iter().chain(role));
    let shown = world.hq.ok(["trust", "show"]);
    assert!(shown.contains("receiver of plant-7 (hardware token)"), "{shown}");
    world.plant.ok(["import", world.deliver(1).to_str().unwrap()]);
    let receipt = dir.join("plant-7.receipt");
    let file = receipt.to_str().unwrap();
    good(&world.plant, &agent, ["receipt", "create", "--out", file]);
    world.hq.ok(["receipt", "apply", file]);
    // signed once more, without a touch
    let text = fs::read_to_string(&receipt).unwrap();
    let body = &text[..text.find("-----BEGIN").unwrap()];
    token.say(0);
    fs::write(&receipt, format!("{body}{}", token.sshsig("chantal-receipt", body.as_bytes()))).unwrap();
    let said = world.hq.fails(3, ["receipt", "apply", file]);
    assert!(said.contains("without a touch"), "{said}");
}

#[test]
fn other_keys_on_tokens_are_refused_where_they_would_be_added() {
    let world = World::with_files();
    let path = world.dir.path().join("other.pub");
    let ecdsa = "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8AAAAEc3NoOg== officer".to_owned();
    for line in [ecdsa, Token::new("web", "https://example.org").line()] {
        fs::write(&path, line).unwrap();
        let key = path.to_str().unwrap();
        for args in [
            &["trust", "add", key, "--role", "approver", "--yes"][..],
            &["trust", "add", key, "--collector", "lab"],
            &["trust", "rotate", "--with", key, "--yes"],
        ] {
            let said = text(&run(world.hq.command(args).stdin(Stdio::null())));
            assert!(said.contains("sk-ssh-ed25519@openssh.com") && said.contains("ed25519-sk"), "{said}");
        }
    }
    let shown = world.hq.ok(["trust", "show"]);
    assert!(shown.contains("version 1"), "{shown}");
}
