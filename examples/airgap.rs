//! The whole path on one machine: `cargo run --release --example airgap`.
//!
//! Builds three small signed upstreams in a temporary directory, serves them on loopback, runs a collector and a receiver as two
//! stores through the real program, loses a bundle, damages a volume, rotates a key, and lets whichever of `apt-get`, `dnf` and `pip` are installed fetch from the published
//! trees when the upstream is gone. Every command is printed as a user would type it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a demo talks"
)]

#[path = "../tests/fixtures/lib.rs"]
mod fixtures;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, exit},
    time::Instant,
};

use fixtures::{
    apt::Archive,
    deb::Deb,
    pypi::{Index, Wheel},
    rpm::{Repository, Rpm},
    server::Server,
};

fn main() {
    let chantal = build();
    let began = Instant::now();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let demo = Demo { chantal, root: dir.path().into() };
    demo.run();
    println!(
        "\nDone in {:.1} s. Nothing of it stays: {} is removed.",
        began.elapsed().as_secs_f32(),
        demo.root.display()
    );
}

/// Builds the program beside this example and returns its path.
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "--bin",
        "chantal",
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    assert!(command.status().expect("cargo").success(), "the program does not build");
    let example = std::env::current_exe().expect("own path");
    let target = example.parent().and_then(Path::parent).expect("target directory");
    target.join(format!("chantal{}", std::env::consts::EXE_SUFFIX))
}

struct Demo {
    chantal: PathBuf,
    root: PathBuf,
}

impl Demo {
    fn run(&self) {
        chapter("Three upstreams, signed with keys of their own, served on loopback");
        let upstream = self.root.join("upstream");
        let mut apt = Archive::new(&upstream.join("debian"), "stable");
        apt.add(Deb::new("hello", "1.0-1").depends("greeting")).add(Deb::new("greeting", "1:2.0"));
        apt.add(Deb::new("ballast", "1").content(noise(3 << 20)));
        let mut rpm = Repository::new(&upstream.join("rpm"));
        rpm.add(Rpm::new("hello", "1.0").requires("greeting")).add(Rpm::new("greeting", "2.0"));
        let mut pypi = Index::new(&upstream.join("pypi"));
        pypi.add(Wheel::new("hello-world", "1.0").requires("greeting>=1")).add(Wheel::new("greeting", "1.5"));
        apt.publish();
        rpm.publish();
        pypi.publish();
        fs::write(self.root.join("debian.asc"), apt.key.public_armored()).unwrap();
        fs::write(self.root.join("tools.asc"), rpm.key.public_armored()).unwrap();
        let server = Server::directory(&upstream);
        println!("  {0}/debian  {0}/rpm  {0}/pypi/simple", server.url());

        chapter("The connected side: a collector");
        self.chantal(".", &["init", "--role", "collector", "--site", "hq", "hq"]);
        self.configure(&server.url());
        self.chantal("hq", &["config", "check"]);
        self.chantal("hq", &["sync"]);
        self.chantal("hq", &["repo", "list"]);
        fs::create_dir(self.root.join("disk")).unwrap();
        self.chantal("hq", &["export", "--to", "plant-7", "--parity", "20%", "--out", "../disk"]);
        let key = self.chantal("hq", &["key", "show"]);
        fs::write(self.root.join("hq.pub"), key).unwrap();
        let fingerprint = self.fingerprint("hq");
        let first = format!("../disk/{}", self.bundles()[0].0);
        println!("  what it changes, for the person who signs it off: {first}/REVIEW.html");

        chapter("The disconnected side: a receiver, and a disk with bad sectors");
        self.chantal(".", &["init", "--role", "receiver", "--site", "plant-7", "plant"]);
        self.chantal("plant", &["trust", "add", "../hq.pub", "--fingerprint", &fingerprint]);
        Self::damage(&self.root.join("plant").join(&first).join("volume-0001.tar.zst"));
        self.ends("plant", &["bundle", "verify", &first], 4);
        self.chantal("plant", &["import", &first]);
        self.chantal("plant", &["publish"]);
        let web = Server::directory(self.root.join("plant/published"));
        self.clients(&web.url(), "1.0");

        chapter("The way back: a receipt says what the site holds");
        let key = self.chantal("plant", &["key", "show"]);
        fs::write(self.root.join("plant.pub"), key).unwrap();
        let fingerprint = self.fingerprint("plant");
        let site = ["--role", "receiver", "--site", "plant-7"];
        let add = ["trust", "add", "../plant.pub", "--fingerprint", &fingerprint];
        self.chantal("hq", &[&add[..], &site[..]].concat());
        self.chantal("plant", &["receipt", "create", "--out", "../plant-7.receipt"]);
        self.chantal("hq", &["receipt", "apply", "../plant-7.receipt"]);

        chapter("Upstream moves on; only the change is written, and the disk is lost");
        apt.add(Deb::new("hello", "1.1-1").depends("greeting")).publish();
        rpm.add(Rpm::new("hello", "1.1").requires("greeting")).publish();
        pypi.add(Wheel::new("hello-world", "1.1").requires("greeting>=1")).publish();
        self.chantal("hq", &["sync"]);
        self.chantal("hq", &["export", "--to", "plant-7", "--out", "../disk"]);
        let lost = self.bundles().pop().unwrap();
        fs::remove_dir_all(self.root.join("disk").join(&lost.0)).unwrap();
        println!("\n$ rm -r disk/{}", lost.0);

        chapter("The collector's key was copied: one rotation shuts it out");
        self.chantal("hq", &["trust", "rotate", "--revoke", "--yes"]);
        self.chantal("hq", &["status"]);

        chapter("The next bundle carries the lost one's change, and the new key");
        self.chantal("hq", &["export", "--to", "plant-7", "--out", "../disk"]);
        for (name, size) in self.bundles() {
            println!("  disk/{name}  {size} bytes");
        }

        chapter("The upstream is gone");
        server.stop();
        drop(server);
        fs::remove_dir_all(&upstream).unwrap();
        self.chantal("plant", &["import", &format!("../disk/{}", self.bundles()[1].0)]);
        self.chantal("plant", &["publish"]);
        self.clients(&web.url(), "1.1");
        self.chantal("plant", &["status"]);
        self.chantal("plant", &["audit", "show", "--what", "imported", "--what", "trusted"]);
        web.stop();
    }

    /// Overwrites some bytes in the middle of a file, as a bad sector does.
    fn damage(file: &Path) {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes.iter_mut().skip(middle).take(512).for_each(|byte| *byte ^= 0x55);
        fs::write(file, bytes).unwrap();
        println!("\n  512 bytes in the middle of {} are bad now", file.file_name().unwrap().display());
    }

    /// Runs the program, which must end with `code`, and shows command and output.
    fn ends(&self, dir: &str, args: &[&str], code: i32) {
        println!("\n{dir}$ chantal {}", args.join(" "));
        let mut command = Command::new(&self.chantal);
        command.args(args).current_dir(self.root.join(dir)).env_remove("CHANTAL_CONFIG");
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{command:?}");
        println!("  exit code {code}");
    }

    /// Runs the program, shows command and output, and returns its standard output.
    fn chantal(&self, dir: &str, args: &[&str]) -> String {
        println!("\n{dir}$ chantal {}", args.join(" "));
        let mut command = Command::new(&self.chantal);
        command.args(args).current_dir(self.root.join(dir)).env_remove("CHANTAL_CONFIG");
        finish(&mut command, true)
    }

    fn configure(&self, url: &str) {
        let text = format!(
            "role: collector
site: hq
storage: {{ root: store, published: published }}
repositories:
  - name: debian
    url: {url}/debian
    keys: [../debian.asc]
    apt: {{ suites: [stable], components: [main], architectures: [amd64] }}
  - name: tools
    url: {url}/rpm
    keys: [../tools.asc]
    verify: {{ metadata: require, packages: require }}
    rpm: {{}}
  - name: wheels
    url: {url}/pypi/simple
    pypi:
      projects: [hello-world]
      dependencies: true
      environments: [{{ python: \"3.11\", platform: manylinux_2_28_x86_64 }}]
sites:
  - {{ name: plant-7, repositories: [debian, tools, wheels] }}
"
        );
        println!("\nhq$ cat chantal.yaml\n{text}");
        fs::write(self.root.join("hq/chantal.yaml"), text).unwrap();
    }

    /// Returns the key's fingerprint as the program tells it; the two sides would compare it by telephone.
    fn fingerprint(&self, dir: &str) -> String {
        let listed = self.chantal(dir, &["key", "list"]);
        let found = listed.split_whitespace().find(|word| word.starts_with("SHA256:"));
        found.unwrap_or_else(|| panic!("`key list` shows no fingerprint")).to_owned()
    }

    /// Returns the bundles on the disk in their order, with their sizes in bytes.
    fn bundles(&self) -> Vec<(String, u64)> {
        let mut found: Vec<(String, u64)> = fs::read_dir(self.root.join("disk"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), size(&entry.path())))
            .collect();
        found.sort();
        found
    }

    fn clients(&self, url: &str, version: &str) {
        self.apt(url, version);
        self.dnf(url, version);
        self.pip(url, version);
    }

    fn apt(&self, url: &str, version: &str) {
        if !installed("apt-get") {
            return;
        }
        let root = self.root.join("apt");
        for dir in
            ["etc/sources", "etc/parts", "etc/preferences.d", "state/lists/partial", "cache/archives/partial"]
        {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::write(root.join("status"), "").unwrap();
        let key = self.root.join("debian.asc");
        let source = format!(
            "Types: deb\nURIs: {url}/debian\nSuites: stable\nComponents: main\nSigned-By: {}\n",
            key.display()
        );
        fs::write(root.join("etc/sources/chantal.sources"), source).unwrap();
        let at = |path: &str| root.join(path).display().to_string();
        let options = [
            ("Dir::Etc", at("etc")),
            ("Dir::Etc::sourcelist", "/dev/null".into()),
            ("Dir::Etc::sourceparts", at("etc/sources")),
            ("Dir::Etc::parts", at("etc/parts")),
            ("Dir::State", at("state")),
            ("Dir::State::status", at("status")),
            ("Dir::Cache", at("cache")),
            ("APT::Architecture", "amd64".into()),
            ("APT::Sandbox::User", String::new()),
        ];
        for args in
            [&["-qq", "update", "--error-on=any"][..], &["-q", "-y", "install", "--download-only", "hello"]]
        {
            println!("\n$ apt-get {}", args.join(" "));
            let mut command = Command::new("apt-get");
            for (name, value) in &options {
                command.arg("-o").arg(format!("{name}={value}"));
            }
            finish(command.args(args).env("APT_CONFIG", "/dev/null").env_remove("http_proxy"), false);
        }
        let deb = root.join(format!("cache/archives/hello_{version}-1_all.deb"));
        assert!(deb.is_file(), "apt-get did not fetch {}", deb.display());
        println!("  apt-get fetched hello {version}-1 and checked the archive's own signature");
    }

    fn dnf(&self, url: &str, version: &str) {
        if !installed("dnf") {
            return;
        }
        let root = self.root.join("dnf");
        for dir in ["repos", "cache", "persist", "install", "log"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::write(root.join("dnf.conf"), "[main]\n").unwrap();
        let repo = format!(
            "[tools]\nname=tools\nbaseurl={url}/tools\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\nmetadata_expire=0\ngpgkey=file://{}\n",
            self.root.join("tools.asc").display()
        );
        fs::write(root.join("repos/chantal.repo"), repo).unwrap();
        let at = |path: &str| root.join(path).display().to_string();
        println!("\n$ dnf install hello-{version}");
        let mut command = Command::new("dnf");
        command
            .args(["-q", "-y", "--releasever=1", "--disableplugin=*", "install"])
            .arg(format!("hello-{version}"));
        command.arg(format!("--config={}", at("dnf.conf"))).arg(format!("--installroot={}", at("install")));
        for (name, value) in [
            ("reposdir", at("repos")),
            ("cachedir", at("cache")),
            ("persistdir", at("persist")),
            ("logdir", at("log")),
        ] {
            command.arg(format!("--setopt={name}={value}"));
        }
        finish(command.env_remove("http_proxy"), false);
        let installed = fs::read_to_string(root.join("install/usr/share/chantal-test/hello")).unwrap();
        assert_eq!(installed.trim(), format!("hello {version}"));
        println!("  dnf installed hello {version} and checked repomd.xml.asc and the packages' signatures");
    }

    fn pip(&self, url: &str, version: &str) {
        if !installed("pip") {
            return;
        }
        println!("\n$ pip install --index-url {url}/wheels/simple/ hello-world");
        let target = self.root.join("site");
        let mut command = Command::new("pip");
        command.args([
            "--quiet",
            "--isolated",
            "install",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--upgrade",
        ]);
        command.args(["--root-user-action=ignore", "--index-url"]).arg(format!("{url}/wheels/simple/"));
        command.arg("--target").arg(&target).arg("hello-world");
        finish(command.env_remove("PIP_FIND_LINKS").env_remove("http_proxy"), false);
        assert!(
            target.join(format!("hello_world-{version}.dist-info")).is_dir(),
            "pip did not install hello-world {version}"
        );
        println!("  pip installed hello-world {version} and its dependency");
    }
}

/// Runs a command to its end, shows what it said, and returns its standard output; ends the demo where it fails.
fn finish(command: &mut Command, show: bool) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if show || !output.status.success() {
        print!("{out}{}", String::from_utf8_lossy(&output.stderr));
    }
    if !output.status.success() {
        println!("{command:?} ended with {}", output.status);
        exit(1);
    }
    out
}

fn chapter(title: &str) {
    println!("\n── {title}");
}

fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    if !found {
        println!("\n  {program} is not installed here: skipped");
    }
    found
}

fn size(dir: &Path) -> u64 {
    let below = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    below.map(|path| if path.is_dir() { size(&path) } else { fs::metadata(path).unwrap().len() }).sum()
}

/// Text that does not compress: the ballast that an incremental bundle leaves behind.
fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap_or(0))
    };
    (0..bytes).map(|_| letter()).collect()
}
