//! The test upstreams themselves, judged by the real clients: what refuses them would refuse any mirror of them.

use std::process::Command;

use crate::{
    clients::{Apt, dnf, have, ok},
    fixtures::{
        apt::Archive,
        deb::Deb,
        pypi::{Index, Wheel},
        rpm::{Repository, Rpm},
    },
};

#[test]
fn apt_accepts_the_archive() {
    if !have("apt-get") || !have("dpkg-deb") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("up");
    let mut archive = Archive::new(&root, "stable");
    archive.add(Deb::new("hello", "1.0-1").depends("greeting")).add(Deb::new("greeting", "1:2.0"));
    archive.publish();
    std::fs::write(dir.path().join("key.asc"), archive.key.public_armored()).unwrap();
    let sources = format!(
        "Types: deb\nURIs: file:{}\nSuites: stable\nComponents: main\nSigned-By: {}\n",
        root.display(),
        dir.path().join("key.asc").display()
    );
    let apt = Apt::new(&dir.path().join("apt"), &sources);
    ok(apt.command("apt-get").arg("update").arg("--error-on=any"));
    ok(apt.command("apt-get").args(["install", "-y", "--download-only", "hello"]));
    let deb = root.join("pool/main/h/hello_1.0-1_all.deb");
    assert!(ok(Command::new("dpkg-deb").arg("--info").arg(&deb)).contains("Package: hello"));
    assert!(
        ok(Command::new("dpkg-deb").arg("--contents").arg(&deb)).contains("./usr/share/chantal-test/hello")
    );
}

#[test]
fn dnf_installs_from_the_repository() {
    if !have("dnf") || !have("rpm") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("up");
    let mut repository = Repository::new(&root);
    repository.add(Rpm::new("hello", "1.0").requires("greeting")).add(Rpm::new("greeting", "2.0"));
    repository.publish();
    let repo = format!(
        "[test]\nname=test\nbaseurl=file://{0}\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://{0}/repodata/repomd.xml.key\n",
        root.display()
    );
    let said = ok(dnf(&dir.path().join("dnf"), &repo).args(["install", "hello"]));
    assert!(said.contains("Complete!"), "{said}");
    assert!(dir.path().join("dnf/install/usr/share/chantal-test/greeting").is_file());
}

#[test]
fn pip_installs_from_the_index() {
    if !have("pip") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut index = Index::new(&dir.path().join("up"));
    index.add(Wheel::new("hello-world", "1.0").requires("greeting>=1")).add(Wheel::new("Greeting", "1.5"));
    index.publish();
    let mut pip = Command::new("pip");
    pip.args(["install", "--isolated", "--no-cache-dir", "--target"]).arg(dir.path().join("site"));
    pip.arg("--no-index")
        .arg("--find-links")
        .arg(dir.path().join("up/files"))
        .arg("hello-world")
        .env_remove("PIP_FIND_LINKS");
    ok(&mut pip);
    assert!(dir.path().join("site/greeting/__init__.py").is_file());
}
