//! Real clients: found, run, and skipped loudly where they are missing.

use std::{
    path::Path,
    process::{Command, Output},
};

/// Tells whether a program is there; where it is not, says so, or fails if clients are required.
pub fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    if !found {
        assert!(
            std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(),
            "`{program}` is required and not installed"
        );
        eprintln!("skipped: `{program}` is not installed");
    }
    found
}

/// The real program, with nothing of this machine's configuration.
pub fn chantal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chantal"));
    command.env_remove("CHANTAL_CONFIG").env_remove("RUST_LOG").env("LC_ALL", "C");
    command
}

/// Runs a command to its end and returns what it said, whatever its exit status.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a command that must succeed and returns its standard output.
pub fn ok(command: &mut Command) -> String {
    let output = run(command);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n--- stdout\n{out}\n--- stderr\n{err}",
        output.status
    );
    out.into_owned()
}

/// Runs a command under strace, with faults in what it does, to one file or to any; none where there is no strace.
pub fn faulty(
    plain: &Command,
    file: Option<&Path>,
    calls: &str,
    faults: &[impl AsRef<str>],
) -> Option<Output> {
    if !have("strace") {
        return None;
    }
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={calls}"));
    if let Some(file) = file {
        command.arg("-P").arg(file);
    }
    for fault in faults {
        command.arg("-e").arg(format!("inject={}", fault.as_ref()));
    }
    command.arg(plain.get_program()).args(plain.get_args());
    command.current_dir(plain.get_current_dir().unwrap());
    Some(run(command.env_remove("CHANTAL_CONFIG").env("LC_ALL", "C").env("RUST_BACKTRACE", "0")))
}

/// Runs a script in a mount namespace of its own; none where there can be none.
pub fn mounted(script: &str) -> Option<Output> {
    let mut command = Command::new("unshare");
    let output =
        run(command.args(["-rm", "sh", "-c", script]).env_remove("CHANTAL_CONFIG").env("LC_ALL", "C"));
    let missing = crate::world::text(&output).contains("unshare: ") || output.status.code() == Some(77);
    if missing {
        eprintln!("skipped: no mount namespace here: {}", crate::world::text(&output));
    }
    (!missing).then_some(output)
}

/// An `apt-get` whose every file lies under `root`, with one deb822 source.
pub struct Apt {
    root: std::path::PathBuf,
}

impl Apt {
    pub fn new(root: &Path, sources: &str) -> Self {
        for dir in [
            "etc/apt/sources.list.d",
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "state/lists/partial",
            "cache/archives/partial",
            "dpkg",
        ] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        std::fs::write(root.join("dpkg/status"), "").unwrap();
        std::fs::write(root.join("etc/apt/sources.list.d/test.sources"), sources).unwrap();
        Self { root: root.into() }
    }

    pub fn command(&self, program: &str) -> Command {
        let at = |path: &str| self.root.join(path).display().to_string();
        let mut command = Command::new(program);
        for (name, value) in [
            ("Dir::Etc", at("etc/apt")),
            ("Dir::Etc::sourcelist", "/dev/null".into()),
            ("Dir::Etc::sourceparts", at("etc/apt/sources.list.d")),
            ("Dir::Etc::parts", at("etc/apt/apt.conf.d")),
            ("Dir::State", at("state")),
            ("Dir::State::status", at("dpkg/status")),
            ("Dir::Cache", at("cache")),
            ("APT::Architecture", "amd64".into()),
            ("APT::Architectures", "amd64".into()),
            ("APT::Sandbox::User", String::new()),
            ("Acquire::Languages", "en".into()),
            ("Acquire::Retries", "0".into()),
        ] {
            command.arg("-o").arg(format!("{name}={value}"));
        }
        command.current_dir(&self.root).env("APT_CONFIG", "/dev/null").env("LC_ALL", "C");
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env_remove(name);
        }
        command
    }
}

/// Runs dnf with every file under `root` and only the given `.repo` file's text.
pub fn dnf(root: &Path, repo: &str) -> Command {
    for dir in ["repos", "cache", "persist", "install", "log"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    std::fs::write(root.join("repos/test.repo"), repo).unwrap();
    std::fs::write(root.join("dnf.conf"), "[main]\n").unwrap();
    let at = |path: &str| root.join(path).display().to_string();
    let mut command = Command::new("dnf");
    command.args(["-y", "--releasever=1", "--disableplugin=*"]).arg(format!("--config={}", at("dnf.conf")));
    command.arg(format!("--installroot={}", at("install")));
    for (name, value) in [
        ("reposdir", at("repos")),
        ("cachedir", at("cache")),
        ("persistdir", at("persist")),
        ("logdir", at("log")),
        ("gpgcheck", "1".into()),
        ("localpkg_gpgcheck", "1".into()),
        ("install_weak_deps", "0".into()),
    ] {
        command.arg(format!("--setopt={name}={value}"));
    }
    command.env("LC_ALL", "C");
    command
}
