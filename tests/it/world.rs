//! Two sites in a temporary directory, driven through the real program, and a web server in front of what they publish.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::clients;

/// A directory with a configuration, a store, published trees and a key, as `chantal init` makes it.
pub struct Site {
    pub dir: PathBuf,
}

impl Site {
    /// Makes a collector, whose configuration is what `init` wrote with `more` behind it.
    pub fn collector(dir: &Path, site: &str, more: &str) -> Self {
        Self::init(dir, "collector", site, more)
    }

    /// Makes a receiver.
    pub fn receiver(dir: &Path, site: &str) -> Self {
        Self::init(dir, "receiver", site, "")
    }

    fn init(dir: &Path, role: &str, site: &str, more: &str) -> Self {
        clients::ok(
            Command::new(env!("CARGO_BIN_EXE_chantal"))
                .args(["init", "--role", role, "--site", site])
                .arg(dir),
        );
        let this = Self { dir: dir.into() };
        this.configure(role, site, more);
        this
    }

    /// Replaces the configuration by the essentials and `more`.
    pub fn configure(&self, role: &str, site: &str, more: &str) {
        let text =
            format!("role: {role}\nsite: {site}\nstorage: {{ root: store, published: published }}\n{more}");
        fs::write(self.dir.join("chantal.yaml"), text).unwrap();
    }

    /// A command of the real program in this site.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chantal"));
        command.current_dir(&self.dir).args(args).env_remove("CHANTAL_CONFIG").env("LC_ALL", "C");
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command that must succeed and returns its standard output.
    pub fn ok<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        clients::ok(&mut self.command(args))
    }

    /// Runs a command that must end with `code` and returns what it said to stderr.
    pub fn fails<S: AsRef<std::ffi::OsStr>>(&self, code: i32, args: impl IntoIterator<Item = S>) -> String {
        let mut command = self.command(args);
        let output = clients::run(&mut command);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{command:?}\n{said}");
        said
    }

    /// Returns the path of a published tree.
    pub fn published(&self, path: &str) -> PathBuf {
        self.dir.join("published").join(path)
    }
}

/// Returns what a command said, stdout before stderr.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Returns the only directory below `dir` whose name ends in `-<sequence>`.
pub fn bundle(dir: &Path, sequence: u64) -> PathBuf {
    let end = format!("-{sequence:06}");
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().ends_with(&end))
        .collect();
    assert_eq!(found.len(), 1, "{found:?} in {}", dir.display());
    found.remove(0)
}

/// Returns every file below `dir` with its bytes, links followed; names sorted.
pub fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    fn visit(root: &Path, dir: &Path, out: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(root, &path, out);
            } else {
                out.push((path.strip_prefix(root).unwrap().display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    let mut out = Vec::new();
    visit(dir, dir, &mut out);
    out.sort();
    out
}

/// Copies a directory, links as links.
pub fn copy(from: &Path, to: &Path) {
    clients::ok(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// A real nginx on a free port of the loopback interface.
pub struct Nginx {
    child: Child,
    pub port: u16,
}

impl Nginx {
    pub fn serve(dir: &Path, root: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = dir.display();
        let configuration = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\nevents {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
             types {{ text/html html; application/json json; }}\n\
             server {{ listen 127.0.0.1:{port}; root {}; location / {{ autoindex off; }} }} }}\n",
            root.display()
        );
        fs::write(dir.join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-e").arg(dir.join("start.log")).arg("-c").arg(dir.join("nginx.conf")).arg("-p").arg(dir);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "nginx does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three signed upstreams in one directory, served as files below `url`.
pub struct Upstreams {
    pub dir: PathBuf,
    pub apt: crate::fixtures::apt::Archive,
    pub rpm: crate::fixtures::rpm::Repository,
    pub pypi: crate::fixtures::pypi::Index,
}

impl Upstreams {
    pub fn new(dir: &Path) -> Self {
        use crate::fixtures::{
            apt::Archive,
            deb::Deb,
            pypi::{Index, Wheel},
            rpm::{Repository, Rpm},
        };
        let mut apt = Archive::new(&dir.join("debian"), "stable");
        apt.add(Deb::new("hello", "1.0-1").depends("greeting")).add(Deb::new("greeting", "1:2.0"));
        let mut rpm = Repository::new(&dir.join("rpm"));
        rpm.add(Rpm::new("hello", "1.0").requires("greeting")).add(Rpm::new("greeting", "2.0"));
        let mut pypi = Index::new(&dir.join("pypi"));
        pypi.add(Wheel::new("hello-world", "1.0").requires("greeting>=1")).add(Wheel::new("Greeting", "1.5"));
        let mut this = Self { dir: dir.into(), apt, rpm, pypi };
        this.publish();
        fs::write(dir.join("apt.asc"), this.apt.key.public_armored()).unwrap();
        fs::write(dir.join("rpm.asc"), this.rpm.key.public_armored()).unwrap();
        this
    }

    pub fn publish(&mut self) {
        self.apt.publish();
        self.rpm.publish();
        self.pypi.publish();
    }

    /// A second generation: one new version of everything.
    pub fn grow(&mut self) {
        use crate::fixtures::{deb::Deb, pypi::Wheel, rpm::Rpm};
        self.apt.add(Deb::new("hello", "1.1-1").depends("greeting").content("news\n".repeat(100)));
        self.rpm.add(Rpm::new("hello", "1.1").requires("greeting"));
        self.pypi.add(Wheel::new("hello-world", "1.1").requires("greeting>=1"));
        self.publish();
    }

    /// The collector's configuration of all three, for the site `plant-7`.
    pub fn configuration(&self, url: &str) -> String {
        let dir = self.dir.display();
        format!(
            "repositories:\n\
             \x20 - name: debian\n    url: {url}/debian\n    keys: [{dir}/apt.asc]\n    apt: {{ suites: [stable], components: [main], architectures: [amd64] }}\n\
             \x20 - name: tools\n    url: {url}/rpm\n    keys: [{dir}/rpm.asc]\n    verify: {{ metadata: require, packages: require }}\n    rpm: {{}}\n\
             \x20 - name: wheels\n    url: {url}/pypi/simple\n    pypi: {{ projects: [hello-world], dependencies: true, environments: [{{ python: \"3.11\", platform: manylinux_2_28_x86_64 }}] }}\n\
             sites:\n  - {{ name: plant-7, repositories: [debian, tools, wheels] }}\n"
        )
    }
}

/// A collector `hq` and a receiver `plant-7` that trusts it.
pub struct World {
    pub dir: tempfile::TempDir,
    pub upstreams: Upstreams,
    pub hq: Site,
    pub plant: Site,
}

impl World {
    /// Makes both sites; upstreams are read as files.
    pub fn with_files() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("file://{}", dir.path().join("upstream").display());
        Self::new(dir, &url)
    }

    /// Makes both sites; upstreams are read from `url`, which must serve `<dir>/upstream`.
    pub fn new(dir: tempfile::TempDir, url: &str) -> Self {
        let upstreams = Upstreams::new(&dir.path().join("upstream"));
        let hq = Site::collector(&dir.path().join("hq"), "hq", &upstreams.configuration(url));
        let plant = Site::receiver(&dir.path().join("plant"), "plant-7");
        let world = Self { dir, upstreams, hq, plant };
        world.trust();
        world
    }

    fn trust(&self) {
        let line = self.hq.ok(["key", "show"]);
        let path = self.dir.path().join("hq.pub");
        fs::write(&path, line).unwrap();
        let said = clients::ok(Command::new("ssh-keygen").arg("-lf").arg(&path));
        let fingerprint = said.split(' ').nth(1).unwrap().to_owned();
        self.plant.ok(["trust", "add", path.to_str().unwrap(), "--fingerprint", fingerprint.as_str()]);
    }

    /// Syncs and exports; returns the new bundle's directory.
    pub fn deliver(&self, sequence: u64) -> PathBuf {
        self.hq.ok(["sync"]);
        let out = self.dir.path().join("media");
        fs::create_dir_all(&out).unwrap();
        self.hq.ok(["export", "--to", "plant-7", "--since", "last", "--out", out.to_str().unwrap()]);
        bundle(&out, sequence)
    }

    /// Imports a bundle and publishes what it brought.
    pub fn receive(&self, bundle: &Path) {
        self.plant.ok(["import", bundle.to_str().unwrap()]);
        self.plant.ok(["publish"]);
    }
}
