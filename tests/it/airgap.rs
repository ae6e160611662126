//! The whole path: upstream → collector → bundle → receiver → published tree → a client with no upstream left.

use std::{fs, path::Path, process::Command, time::Duration};

use crate::{
    clients::{Apt, dnf, have, ok},
    world::{Nginx, Site, World, bundle, contents},
};

fn client_file(plant: &Site, repository: &str, extension: &str) -> String {
    let dir = plant.published(repository);
    let name = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .find(|n| n.ends_with(extension));
    let name = name.unwrap_or_else(|| panic!("no {extension} in {}", dir.display()));
    fs::read_to_string(dir.join(name)).unwrap()
}

fn apt_sources(world: &World, url: &str) -> String {
    let key = world.plant.published("debian");
    let key = fs::read_dir(&key)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "asc" || e == "gpg"))
        .unwrap();
    format!(
        "Types: deb\nURIs: {url}/debian\nSuites: stable\nComponents: main\nArchitectures: amd64\nSigned-By: {}\n",
        key.display()
    )
}

fn pip_install(url: &str, target: &Path, what: &str) -> Command {
    let mut pip = Command::new("pip");
    pip.args([
        "install",
        "--isolated",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--upgrade",
        "--index-url",
    ])
    .arg(format!("{url}/wheels/simple/"));
    pip.arg("--target").arg(target).arg(what);
    for name in [
        "PIP_FIND_LINKS",
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
    ] {
        pip.env_remove(name);
    }
    pip
}

#[test]
fn clients_install_offline_from_a_full_and_an_incremental_bundle() {
    if !["apt-get", "dnf", "pip", "nginx"].map(have).into_iter().all(|there| there) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("upstream")).unwrap();
    let upstream = Nginx::serve(&dir.path().join("nginx-up"), &dir.path().join("upstream"));
    let url = upstream.url();
    let mut world = World::new(dir, &url);
    let at = world.dir.path().to_owned();

    let first = world.deliver(1);
    // nginx makes an ETag of size and second: an index of the same size in the same second would be `not modified`
    std::thread::sleep(Duration::from_millis(1100));
    world.upstreams.grow();
    let second = world.deliver(2);
    drop(upstream);
    fs::rename(at.join("upstream"), at.join("gone")).unwrap();

    world.receive(&first);
    let web = Nginx::serve(&at.join("nginx"), &at.join("plant/published"));
    let apt = Apt::new(&at.join("apt"), &apt_sources(&world, &web.url()));
    ok(apt.command("apt-get").args(["update", "--error-on=any"]));
    assert!(ok(apt.command("apt-cache").args(["policy", "hello"])).contains("Candidate: 1.0-1"));
    ok(apt.command("apt-get").args(["install", "-y", "--download-only", "hello"]));
    assert!(at.join("apt/cache/archives/hello_1.0-1_all.deb").is_file());

    let repo = client_file(&world.plant, "tools", ".repo");
    let repo = format!(
        "[tools]\nname=tools\nbaseurl={0}/tools\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\nmetadata_expire=0\ngpgkey={0}/tools/repodata/repomd.xml.key\n# {1}\n",
        web.url(),
        repo.lines().next().unwrap_or_default()
    );
    let said = ok(dnf(&at.join("dnf"), &repo).args(["install", "hello"]));
    assert!(said.contains("Complete!"), "{said}");
    assert_eq!(
        fs::read_to_string(at.join("dnf/install/usr/share/chantal-test/hello")).unwrap(),
        "hello 1.0\n"
    );

    ok(&mut pip_install(&web.url(), &at.join("site"), "hello-world"));
    assert!(at.join("site/hello_world-1.0.dist-info").is_dir() && at.join("site/greeting").is_dir());

    world.receive(&second);
    ok(apt.command("apt-get").args(["update", "--error-on=any"]));
    assert!(
        ok(apt.command("apt-cache").args(["policy", "hello"])).contains("Candidate: 1.1-1"),
        "apt did not notice the switch"
    );
    ok(apt.command("apt-get").args(["install", "-y", "--download-only", "hello"]));
    let said = ok(dnf(&at.join("dnf"), &repo).args(["upgrade", "hello"]));
    assert_eq!(
        fs::read_to_string(at.join("dnf/install/usr/share/chantal-test/hello")).unwrap(),
        "hello 1.1\n",
        "dnf did not notice the switch: {said}"
    );
    ok(&mut pip_install(&web.url(), &at.join("site"), "hello-world"));
    assert!(at.join("site/hello_world-1.1.dist-info").is_dir());
}

#[test]
fn an_incremental_bundle_is_small_and_nothing_new_makes_none() {
    let mut world = World::with_files();
    let first = world.deliver(1);
    let blobs = |bundle: &Path| {
        let mut names = Vec::new();
        for entry in fs::read_dir(bundle).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with(".tar.zst") {
                names.extend(
                    ok(Command::new("tar").arg("-tf").arg(&path))
                        .lines()
                        .map(str::to_owned)
                        .collect::<Vec<_>>(),
                );
            }
        }
        names
    };
    let full = blobs(&first);
    world.upstreams.grow();
    let second = world.deliver(2);
    let delta = blobs(&second);
    assert!(delta.len() < full.len(), "{delta:?}");
    assert!(delta.iter().all(|name| !full.contains(name)), "what the site holds travelled again");
    let media = world.dir.path().join("media");
    world.hq.ok(["sync"]);
    world.hq.ok(["export", "--to", "plant-7", "--since", "last", "--out", media.to_str().unwrap()]);
    assert_eq!(fs::read_dir(&media).unwrap().count(), 2, "nothing new made a bundle");
}

#[test]
fn published_trees_are_upstreams_bytes() {
    let world = World::with_files();
    let first = world.deliver(1);
    world.receive(&first);
    for (path, bytes) in contents(&world.upstreams.dir.join("rpm")) {
        assert_eq!(fs::read(world.plant.published("tools").join(&path)).unwrap(), bytes, "{path}");
    }
    for path in [
        "dists/stable/InRelease",
        "dists/stable/Release",
        "dists/stable/Release.gpg",
        "dists/stable/main/binary-amd64/Packages.xz",
    ] {
        let upstream = fs::read(world.upstreams.dir.join("debian").join(path)).unwrap();
        assert_eq!(fs::read(world.plant.published("debian").join(path)).unwrap(), upstream, "{path}");
    }
}

#[test]
fn a_stranger_verifies_a_bundle_by_hand() {
    if !["ssh-keygen", "sha256sum", "zstd", "tar"].map(have).into_iter().all(|there| there) {
        return;
    }
    let world = World::with_files();
    let first = world.deliver(1);
    let key = fs::read_to_string(world.dir.path().join("hq.pub")).unwrap();
    let mut words = key.split_whitespace();
    let line = format!("hq {} {}\n", words.next().unwrap(), words.next().unwrap());
    fs::write(world.dir.path().join("allowed"), line).unwrap();
    let signature = fs::read_dir(first.join("signatures")).unwrap().next().unwrap().unwrap().path();
    let mut verify = Command::new("ssh-keygen");
    verify
        .args(["-Y", "verify", "-n", "chantal-bundle", "-I", "hq", "-f"])
        .arg(world.dir.path().join("allowed"))
        .arg("-s")
        .arg(&signature);
    ok(verify.stdin(fs::File::open(first.join("manifest.json")).unwrap()));
    ok(Command::new("sha256sum").args(["--strict", "-c", "SHA256SUMS"]).current_dir(&first));
    ok(Command::new("zstd")
        .args(["-q", "-t"])
        .arg(first.join("index.zst"))
        .arg(first.join("volume-0001.tar.zst")));
    let listed = ok(Command::new("tar").arg("-tf").arg(first.join("volume-0001.tar.zst")));
    assert!(listed.lines().count() > 5 && listed.lines().all(|l| l.starts_with("blobs/sha256/")), "{listed}");
    let out = world.dir.path().join("unpacked");
    fs::create_dir(&out).unwrap();
    ok(Command::new("tar").arg("-xf").arg(first.join("volume-0001.tar.zst")).arg("-C").arg(&out));
    for (path, bytes) in contents(&out) {
        let hex = Path::new(&path).file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(crate::fixtures::sha256(&bytes), hex);
    }
}

#[test]
fn importing_twice_is_success_and_changes_nothing() {
    let world = World::with_files();
    let first = world.deliver(1);
    world.receive(&first);
    let before = contents(&world.plant.published("debian"));
    world.receive(&first);
    assert_eq!(contents(&world.plant.published("debian")), before);
    assert_eq!(bundle(&world.dir.path().join("media"), 1), first);
}
