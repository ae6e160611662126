//! What real clients make of published trees behind a real web server, beyond the usual: odd names, modules, SUSE, debootstrap.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    clients::{Apt, dnf, have, ok, run},
    fixtures::{deb::Deb, rpm::Rpm},
    world::{Nginx, World, contents, text},
};

/// Brings upstreams through nginx to the receiver, takes them away, and serves what the receiver published.
fn delivered(more: impl FnOnce(&mut World)) -> (World, Nginx) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("upstream")).unwrap();
    let upstream = Nginx::serve(&dir.path().join("nginx-up"), &dir.path().join("upstream"));
    let mut world = World::new(dir, &upstream.url());
    more(&mut world);
    world.upstreams.publish();
    let bundle = world.deliver(1);
    drop(upstream);
    world.receive(&bundle);
    let at = world.dir.path().to_owned();
    let web = Nginx::serve(&at.join("nginx"), &at.join("plant/published"));
    (world, web)
}

fn keys_of(world: &World, repository: &str) -> PathBuf {
    fs::read_dir(world.plant.published(repository))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "asc" || e == "gpg"))
        .unwrap()
}

fn repo(url: &str) -> String {
    format!(
        "[tools]\nname=tools\nbaseurl={url}/tools\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\nmetadata_expire=0\n\
         gpgkey={url}/tools/repodata/repomd.xml.key\nmodule_hotfixes=0\n"
    )
}

#[test]
fn names_that_need_escaping_are_fetched_over_http() {
    if !["apt-get", "dnf", "nginx"].map(have).into_iter().all(|there| there) {
        return;
    }
    let (world, web) = delivered(|world| {
        let odd = Deb::new("libodd++", "1:2.0~rc1+b1");
        world.upstreams.apt.add(odd.file("libodd++_1%3a2.0~rc1+b1_all.deb"));
        world.upstreams.rpm.add(Rpm::new("libodd++", "2.0^git1~rc"));
    });
    let at = world.dir.path();
    let sources = format!(
        "Types: deb\nURIs: {}/debian\nSuites: stable\nComponents: main\nSigned-By: {}\n",
        web.url(),
        keys_of(&world, "debian").display()
    );
    let apt = Apt::new(&at.join("apt"), &sources);
    ok(apt.command("apt-get").args(["update", "--error-on=any"]));
    ok(apt.command("apt-get").args(["install", "-y", "--download-only", "libodd++"]));
    let fetched = at.join("apt/cache/archives/libodd++_1%3a2.0~rc1+b1_all.deb");
    let upstream = world.upstreams.dir.join("debian/pool/main/l/libodd++_1%3a2.0~rc1+b1_all.deb");
    assert!(fs::read(fetched).unwrap() == fs::read(upstream).unwrap());

    ok(dnf(&at.join("dnf"), &repo(&web.url())).args(["install", "libodd++"]));
    let installed = at.join("dnf/install/usr/share/chantal-test/libodd++");
    assert_eq!(fs::read_to_string(installed).unwrap(), "libodd++ 2.0^git1~rc\n");
}

/// Two streams of one module; the second is `2.10`, which is not `2.1`.
const MODULES: &str = "---\ndocument: modulemd\nversion: 2\ndata:\n  name: tool\n  stream: \"2.1\"\n  version: 1\n  context: aaaa1111\n  arch: x86_64\n\
  \x20 summary: a tool\n  description: >-\n    a tool\n  license:\n    module: [MIT]\n  profiles:\n    common:\n      rpms: [tool]\n  artifacts:\n    rpms:\n    - tool-0:2.1-1.noarch\n...\n\
  ---\ndocument: modulemd\nversion: 2\ndata:\n  name: tool\n  stream: \"2.10\"\n  version: 1\n  context: bbbb2222\n  arch: x86_64\n\
  \x20 summary: a tool\n  description: >-\n    a tool\n  license:\n    module: [MIT]\n  profiles:\n    common:\n      rpms: [tool]\n  artifacts:\n    rpms:\n    - tool-0:2.10-1.noarch\n...\n";

#[test]
fn dnf_installs_from_a_stream_of_a_module() {
    if !["dnf", "nginx"].map(have).into_iter().all(|there| there) {
        return;
    }
    let (world, web) = delivered(|world| {
        let rpm = &mut world.upstreams.rpm;
        rpm.add(Rpm::new("tool", "2.1").module("tool:2.1:1:aaaa1111"));
        rpm.add(Rpm::new("tool", "2.10").module("tool:2.10:1:bbbb2222"));
        rpm.document("modules", MODULES);
    });
    let modules = |root: &Path| {
        let all = contents(&root.join("repodata"));
        all.into_iter().find(|(name, _)| name.ends_with("-modules.yaml.gz")).expect("modules.yaml.gz")
    };
    assert!(modules(&world.plant.published("tools")) == modules(&world.upstreams.dir.join("rpm")));
    let dnf = |args: &[&str]| {
        let mut command = dnf(&world.dir.path().join("dnf"), &repo(&web.url()));
        ok(command.args(["--setopt=module_platform_id=platform:el9", "--forcearch=x86_64"]).args(args))
    };
    let listed = dnf(&["module", "list"]);
    assert!(listed.lines().filter(|line| line.starts_with("tool ")).count() == 2, "{listed}");
    dnf(&["module", "install", "tool:2.1/common"]);
    let installed = world.dir.path().join("dnf/install/usr/share/chantal-test/tool");
    assert_eq!(fs::read_to_string(installed).unwrap(), "tool 2.1\n", "the newer stream was not asked for");
}

#[test]
fn zypper_downloads_with_every_check_on() {
    if !["zypper", "nginx"].map(have).into_iter().all(|there| there) {
        return;
    }
    let (world, web) = delivered(|world| {
        let rpm = &mut world.upstreams.rpm;
        rpm.document("suseinfo", "<?xml version=\"1.0\"?>\n<suseinfo><expire>86400</expire></suseinfo>\n");
        rpm.document("deltainfo", "<?xml version=\"1.0\"?>\n<deltainfo></deltainfo>\n");
    });
    let root = world.dir.path().join("zypp");
    let zypper = |more: &[&str], args: &[&str]| {
        let mut command = Command::new("zypper");
        command.arg("--root").arg(&root).args(["--non-interactive"]).args(more).args(args).env("LC_ALL", "C");
        run(&mut command)
    };
    let done = |more: &[&str], args: &[&str]| {
        let output = zypper(more, args);
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        text(&output)
    };
    done(&[], &["addrepo", "--gpgcheck-strict", &format!("{}/tools", web.url()), "tools"]);
    // nobody has vouched for the key yet
    assert!(!zypper(&[], &["refresh", "tools"]).status.success());
    done(&["--gpg-auto-import-keys"], &["refresh", "tools"]);
    done(&[], &["install", "--download-only", "--no-recommends", "hello"]);
    let fetched = contents(&root.join("var/cache/zypp/packages"));
    let (_, bytes) =
        fetched.iter().find(|(name, _)| name.ends_with("hello-1.0-1.noarch.rpm")).expect("hello");
    let upstream = world.upstreams.dir.join("rpm/Packages/h/hello-1.0-1.noarch.rpm");
    assert!(*bytes == fs::read(upstream).unwrap());
}

#[test]
fn debootstrap_begins_a_system() {
    if !["debootstrap", "gpgv", "nginx"].map(have).into_iter().all(|there| there) {
        return;
    }
    let (world, web) = delivered(|world| {
        world.upstreams.apt.add(Deb::new("apt", "2.0").priority("important"));
        world.upstreams.apt.add(Deb::new("base-files", "12").priority("required"));
    });
    let ring = world.dir.path().join("ring.gpg");
    fs::write(&ring, world.upstreams.apt.key.public_binary()).unwrap();
    let debootstrap = |ring: &Path, target: &str| {
        let mut command = Command::new("debootstrap");
        command.args(["--download-only", "--variant=minbase", "--arch=amd64", "--include=hello"]);
        command.arg(format!("--keyring={}", ring.display())).arg("stable").arg(world.dir.path().join(target));
        command.arg(format!("{}/debian", web.url())).env("LC_ALL", "C");
        command.env_remove("http_proxy").env_remove("HTTP_PROXY");
        run(&mut command)
    };
    let output = debootstrap(&ring, "system");
    assert!(output.status.success(), "{}", text(&output));
    let archives = contents(&world.dir.path().join("system/var/cache/apt/archives"));
    let names: Vec<&str> = archives.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["apt_2.0_all.deb", "base-files_12_all.deb", "hello_1.0-1_all.deb"] {
        assert!(names.contains(&name), "{names:?}");
    }
    // and it looks at the signature
    let stranger = world.dir.path().join("stranger.gpg");
    fs::write(&stranger, crate::fixtures::key::SigningKey::eddsa("stranger").public_binary()).unwrap();
    assert!(!debootstrap(&stranger, "refused").status.success());
}
