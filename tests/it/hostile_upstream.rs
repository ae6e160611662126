//! Upstreams that lie, break, change under a reader's hands, or are somebody else.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use crate::{
    clients::{have, ok, run},
    fixtures::{deb::Deb, key::SigningKey, sha256, write, xz},
    world::{Site, World, contents, text},
};

/// Asserts that `sync REPOSITORY` ends with `code`, says `what`, and leaves states and trees as they were.
fn refused(site: &Site, repository: &str, code: i32, what: &[&str]) {
    let before = (site.ok(["--json", "repo", "list"]), contents(&site.dir.join("published")));
    let output = run(&mut site.command(["sync", repository]));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for word in what {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    // nothing was changed under the reader's hands
    assert!(!said.contains("upstream changed"), "{said}");
    let after = (site.ok(["--json", "repo", "list"]), contents(&site.dir.join("published")));
    assert!(before == after, "the refusal changed something: {said}");
}

fn in_release(world: &World) -> std::path::PathBuf {
    world.upstreams.dir.join("debian/dists/stable/InRelease")
}

#[test]
fn a_wrong_key_is_refused() {
    let world = World::with_files();
    fs::write(world.upstreams.dir.join("apt.asc"), SigningKey::eddsa("somebody-else").public_armored())
        .unwrap();
    refused(&world.hq, "debian", 3, &["InRelease", "configured key"]);
    fs::write(world.upstreams.dir.join("rpm.asc"), SigningKey::eddsa("somebody-else").public_armored())
        .unwrap();
    refused(&world.hq, "tools", 3, &["repomd.xml"]);
}

#[test]
fn a_tampered_release_is_refused() {
    let world = World::with_files();
    world.hq.ok(["sync"]);
    world.hq.ok(["publish"]);
    let good = fs::read_to_string(in_release(&world)).unwrap();
    for (name, bad, why) in [
        ("changed", good.replace("Origin: Chantal Test", "Origin: Chantal Best"), "bad signature by"),
        ("text before", format!("Origin: evil\n{good}"), "signature"),
        ("text after", format!("{good}\nSHA256:\n"), "signature"),
        ("cut", good[..good.len() / 2].to_owned(), "signature"),
        (
            "unsigned",
            good.split("\n\n").nth(1).unwrap().split("-----BEGIN PGP SIGNATURE").next().unwrap().to_owned(),
            "signature",
        ),
        ("empty", String::new(), "signature"),
    ] {
        eprintln!("{name}");
        fs::write(in_release(&world), bad).unwrap();
        refused(&world.hq, "debian", 3, &["InRelease", why]);
    }
    fs::write(in_release(&world), good).unwrap();
    world.hq.ok(["sync"]);
}

#[test]
fn a_tampered_index_or_package_is_refused() {
    let world = World::with_files();
    let packages = world.upstreams.dir.join("debian/dists/stable/main/binary-amd64");
    for (path, _) in contents(&packages) {
        let path = packages.join(path);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    refused(&world.hq, "debian", 3, &["Packages", "sha"]);

    let world = World::with_files();
    let deb = world.upstreams.dir.join("debian/pool/main/h/hello_1.0-1_all.deb");
    let mut bytes = fs::read(&deb).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&deb, bytes).unwrap();
    refused(&world.hq, "debian", 3, &["hello_1.0-1_all.deb", "sha"]);
    // the others were not held back by it
    world.hq.ok(["sync", "tools"]);
}

#[test]
fn an_rpm_that_its_vendor_did_not_sign_is_refused() {
    let mut world = World::with_files();
    // signed metadata lists a package whose own signature is by another key
    let rogue = crate::fixtures::rpm::Rpm::new("rogue", "1.0");
    world.upstreams.rpm.add_signed_by(rogue, SigningKey::rsa("somebody-else"));
    world.upstreams.publish();
    refused(&world.hq, "tools", 3, &["rogue-1.0-1.noarch.rpm"]);
}

#[test]
fn an_index_that_names_files_outside_its_tree_is_refused() {
    for (name, filename) in [
        ("parent", "../../etc/passwd"),
        ("absolute", "/etc/passwd"),
        ("control", "pool/a\u{1}b.deb"),
        ("inside", "pool/../../x.deb"),
    ] {
        eprintln!("{name}");
        let mut world = World::with_files();
        world.upstreams.apt.extra_stanzas = format!(
            "Package: evil\nVersion: 1\nArchitecture: all\nFilename: {filename}\nSize: 3\nSHA256: {}\n\n",
            sha256(b"abc")
        );
        world.upstreams.publish();
        refused(&world.hq, "debian", 1, &["Packages"]);
    }
}

#[test]
fn a_package_of_ten_gigabytes_that_is_not_is_refused_at_once() {
    let mut world = World::with_files();
    world.upstreams.apt.extra_stanzas = format!(
        "Package: evil\nVersion: 1\nArchitecture: all\nFilename: pool/evil.deb\nSize: 10000000000\nSHA256: {}\n\n",
        sha256(b"abc")
    );
    world.upstreams.publish();
    write(&world.upstreams.dir.join("debian"), "pool/evil.deb", b"abc");
    refused(&world.hq, "debian", 3, &["evil.deb", "10000000000"]);
}

#[test]
fn a_decompression_bomb_in_a_signed_index_is_refused() {
    let mut world = World::with_files();
    world.upstreams.apt.publish();
    let bomb = xz(&vec![b'\n'; 256 << 20]);
    let base = world.upstreams.dir.join("debian/dists/stable");
    write(&base, "main/binary-amd64/Packages.xz", &bomb);
    let release = format!(
        "Origin: x\nSuite: stable\nCodename: stable\nDate: {}\nArchitectures: amd64\nComponents: main\nSHA256:\n {} {} main/binary-amd64/Packages.xz\n",
        "Thu, 01 Jan 2026 00:00:00 UTC",
        sha256(&bomb),
        bomb.len()
    );
    write(&base, "InRelease", world.upstreams.apt.key.cleartext(&release));
    fs::remove_file(base.join("Release")).unwrap();
    fs::remove_file(base.join("Release.gpg")).unwrap();
    refused(&world.hq, "debian", 1, &["Packages.xz", "times its size"]);
}

#[test]
fn what_upstream_lists_and_does_not_have_is_reported_and_ends_with_4() {
    let mut world = World::with_files();
    world.hq.ok(["sync"]);
    world.upstreams.grow();
    fs::remove_file(world.upstreams.dir.join("debian/pool/main/h/hello_1.1-1_all.deb")).unwrap();
    refused_partly(&world.hq, "hello_1.1-1_all.deb");
    // the repository may say that this is well
    let path = world.hq.dir.join("chantal.yaml");
    let configuration =
        fs::read_to_string(&path).unwrap().replacen("    apt:", "    missing: allow\n    apt:", 1);
    fs::write(path, configuration).unwrap();
    world.hq.ok(["sync", "debian"]);
    world.hq.ok(["publish", "debian"]);
    assert!(world.hq.published("debian/pool/main/g/greeting_2.0_all.deb").is_file());
}

fn refused_partly(site: &Site, name: &str) {
    let output = run(&mut site.command(["sync", "debian"]));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains(name), "{said}");
}

#[test]
fn a_release_whose_time_has_passed_is_refused_unless_allowed() {
    let mut world = World::with_files();
    world.upstreams.apt.release_fields.push("Valid-Until: Thu, 01 Jan 2026 00:00:00 UTC".into());
    world.upstreams.publish();
    refused(&world.hq, "debian", 3, &["valid until"]);
    let path = world.hq.dir.join("chantal.yaml");
    let configuration =
        fs::read_to_string(&path).unwrap().replacen("    apt:", "    expired: allow\n    apt:", 1);
    fs::write(path, configuration).unwrap();
    world.hq.ok(["sync", "debian"]);
    world.hq.ok(["publish", "debian"]);
    let sources = find(&world.hq.published("debian"), ".sources");
    assert!(sources.contains("Check-Valid-Until: no"), "{sources}");
}

fn find(dir: &Path, end: &str) -> String {
    let found =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).find(|p| p.to_string_lossy().ends_with(end));
    fs::read_to_string(found.unwrap_or_else(|| panic!("no {end} in {}", dir.display()))).unwrap()
}

#[test]
fn a_release_from_the_future_is_refused() {
    let mut world = World::with_files();
    world.upstreams.apt.publish_at(jiff::Timestamp::now().as_second() + 3_600);
    refused(&world.hq, "debian", 3, &["in the future"]);
}

#[test]
fn a_key_that_expired_since_it_signed_is_warned_of() {
    if !have("gpg") {
        return;
    }
    let world = World::with_files();
    let home = tempfile::tempdir().unwrap();
    let gpg = |args: &[&str]| {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(home.path()).args([
            "--batch",
            "--yes",
            "--quiet",
            "--faked-system-time",
        ]);
        // all of it was yesterday
        let then = jiff::Timestamp::now().as_second() - 86_400;
        command.arg(format!("{then}!")).args(["--passphrase", ""]).args(args);
        ok(&mut command)
    };
    gpg(&["--quick-generate-key", "archive@example.org", "ed25519", "sign", "seconds=3600"]);
    let keys = world.upstreams.dir.join("apt.asc");
    fs::write(&keys, gpg(&["--armor", "--export"])).unwrap();
    let suite = world.upstreams.dir.join("debian/dists/stable");
    let (release, signed) = (suite.join("Release"), suite.join("InRelease"));
    gpg(&["--output", signed.to_str().unwrap(), "--clear-sign", release.to_str().unwrap()]);
    fs::remove_file(suite.join("Release.gpg")).unwrap();
    let said = text(&run(&mut world.hq.command(["sync", "debian"])));
    assert!(said.contains("debian: now ") && said.contains("has expired since it signed"), "{said}");
    assert!(world.hq.ok(["key", "list"]).contains("archive@example.org (expired "));
    let _ = run(Command::new("gpgconf").arg("--homedir").arg(home.path()).args(["--kill", "all"]));
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let world = World::with_files();
    // the first command that is run in a store makes what every command needs
    world.hq.ok(["status"]);
    let before = contents(&world.hq.dir);
    let said = text(&run(&mut world.hq.command(["sync", "--dry-run"])));
    assert!(said.contains("debian: 2 packages, would fetch 2 files"), "{said}");
    let after = contents(&world.hq.dir);
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    assert!(before == after, "a file's content changed");
}

#[test]
fn a_file_that_changed_under_its_name_is_one_file_and_one_report() {
    let mut world = World::with_files();
    world.hq.ok(["sync"]);
    world.upstreams.apt.remove("hello").add(Deb::new("hello", "1.0-1").content("other bytes"));
    world.upstreams.publish();
    let output = run(&mut world.hq.command(["sync", "debian"]));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("hello_1.0-1_all.deb") && said.contains("replaced under its name"), "{said}");
    world.hq.ok(["verify", "--full"]);
}

#[test]
fn no_unsigned_file_of_upstreams_stands_for_ours() {
    let world = World::with_files();
    let rpm = world.upstreams.dir.join("rpm");
    let evil =
        "[tools]\nbaseurl=https://evil.example.org/\ngpgcheck=0\ngpgkey=https://evil.example.org/key\n";
    let mut tree = String::from("[general]\n[tree]\n[checksums]\n");
    let names = ["tools.repo", "tools.asc", "index.html", "images/boot.iso"];
    for name in names {
        writeln!(tree, "{name} = sha256:{}", sha256(evil.as_bytes())).unwrap();
        write(&rpm, name, evil.as_bytes());
    }
    write(&rpm, ".treeinfo", tree.as_bytes());
    world.hq.ok(["sync", "tools"]);
    let output = run(&mut world.hq.command(["publish", "tools"]));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for name in &names[..3] {
        assert!(said.contains(&format!("upstream's `{name}` is left out")), "{name}: {said}");
        let published = fs::read_to_string(world.hq.published("tools").join(name)).unwrap();
        assert!(!published.contains("evil"), "{name}: {published}");
    }
    let repo = fs::read_to_string(world.hq.published("tools/tools.repo")).unwrap();
    assert!(repo.contains("\ngpgcheck=1\nrepo_gpgcheck=1\n"), "{repo}");
    let key = fs::read_to_string(world.hq.published("tools/tools.asc")).unwrap();
    assert!(key.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"), "{key}");
    assert_eq!(fs::read_to_string(world.hq.published("tools/images/boot.iso")).unwrap(), evil);

    // nor does one that an index of an APT repository names for a package
    let mut world = World::with_files();
    for (n, name) in ["debian.sources", "debian.asc", "index.html/x"].into_iter().enumerate() {
        let (size, digest) = (evil.len(), sha256(evil.as_bytes()));
        let stanzas = &mut world.upstreams.apt.extra_stanzas;
        writeln!(stanzas, "Package: evil{n}\nVersion: 1\nArchitecture: all\nFilename: {name}").unwrap();
        writeln!(stanzas, "Size: {size}\nSHA256: {digest}\n").unwrap();
    }
    world.upstreams.publish();
    for name in ["debian.sources", "debian.asc", "index.html/x"] {
        write(&world.upstreams.dir.join("debian"), name, evil.as_bytes());
    }
    world.hq.ok(["sync", "debian"]);
    world.hq.ok(["publish", "debian"]);
    for (name, ours) in [
        ("debian.sources", "Signed-By:"),
        ("debian.asc", "BEGIN PGP PUBLIC KEY BLOCK"),
        ("index.html", "generator"),
    ] {
        let published = fs::read_to_string(world.hq.published("debian").join(name)).unwrap();
        assert!(published.contains(ours) && !published.contains("evil.example"), "{name}: {published}");
    }
}

#[test]
fn a_path_that_could_never_be_published_is_refused_when_it_is_met() {
    for name in [".chantal-tree", "pool/.chantal-tree/x.deb"] {
        let mut world = World::with_files();
        world.upstreams.apt.extra_stanzas = format!(
            "Package: evil\nVersion: 1\nArchitecture: all\nFilename: {name}\nSize: 3\nSHA256: {}\n\n",
            sha256(b"abc")
        );
        world.upstreams.publish();
        refused(&world.hq, "debian", 1, &["Packages", ".chantal-tree", "kept for the list"]);
    }
}

#[test]
fn a_page_that_stands_where_treeinfo_was_is_refused() {
    let world = World::with_files();
    for page in ["<!DOCTYPE html>\n<html>please sign in</html>\n", ""] {
        write(&world.upstreams.dir.join("rpm"), ".treeinfo", page.as_bytes());
        refused(&world.hq, "tools", 1, &["`.treeinfo`", "`[general]` or `[tree]`"]);
    }
}

#[test]
fn a_package_in_the_place_of_an_index_is_refused() {
    let mut world = World::with_files();
    world.upstreams.apt.extra_stanzas = format!(
        "Package: evil\nVersion: 1\nArchitecture: all\nFilename: dists/stable/InRelease\nSize: 3\nSHA256: {}\n\n",
        sha256(b"abc")
    );
    world.upstreams.publish();
    refused(&world.hq, "debian", 1, &["dists/stable/InRelease", "listed twice with different content"]);
}

#[test]
fn what_cannot_be_published_holds_nothing_else_back() {
    let world = World::with_files();
    world.hq.ok(["sync"]);
    fs::create_dir_all(world.hq.published("debian")).unwrap();
    for json in [false, true] {
        let mut command = world.hq.command(["publish"]);
        if json {
            command.arg("--json");
        }
        let output = run(&mut command);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot publish `debian`"), "{said}");
        assert!(world.hq.published("tools/repodata/repomd.xml").is_file());
        assert!(world.hq.published("wheels/simple").is_dir());
        if json {
            let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let rows = object["published"].as_array().unwrap();
            let outcomes: Vec<_> = rows.iter().map(|row| row["outcome"].as_str().unwrap()).collect();
            assert_eq!(outcomes, ["failed", "unchanged", "unchanged"]);
            assert!(rows[0]["error"].as_str().unwrap().contains("not published by this program"), "{object}");
        }
    }
    fs::remove_dir(world.hq.published("debian")).unwrap();
    world.hq.ok(["publish"]);
}
