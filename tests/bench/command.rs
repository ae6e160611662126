//! Commands that are run and measured: ours, and those that users would take instead.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{table::Cost, upstream::Upstream};

/// The program, at work for a site.
pub fn chantal(site: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chantal"));
    command.current_dir(site).arg("-q");
    command
}

/// A line for the shell, with `"$1"` and so on for paths.
pub fn shell(line: &str, paths: &[&Path]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line, "sh"]).args(paths);
    command
}

/// Tells whether a tool is installed; says so where it is not.
pub fn installed(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
    let there = found.is_ok_and(|out| out.status.success());
    if !there {
        eprintln!("{tool} is not installed: nothing is compared with it");
    }
    there
}

/// Runs a command that must succeed, under GNU time where it is installed.
pub fn run(command: &mut Command) -> Cost {
    let report = tempfile::NamedTempFile::new().unwrap();
    let time = Path::new("/usr/bin/time");
    let mut timed = if time.is_file() {
        let mut timed = Command::new(time);
        timed.args(["-f", "%U %S %M", "-o"]).arg(report.path()).arg(command.get_program());
        timed
    } else {
        Command::new(command.get_program())
    };
    timed.args(command.get_args()).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        timed.current_dir(dir);
    }
    let began = Instant::now();
    let status = timed
        .env_remove("CHANTAL_CONFIG")
        .stdout(Stdio::null())
        .status()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let wall = began.elapsed();
    assert!(status.success(), "{command:?} ended with {status}");
    let text = fs::read_to_string(report.path()).unwrap_or_default();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [user, system, kib] = numbers[..] else { return Cost { wall, cpu: None, peak: None } };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a peak in KiB, below 2^53")]
    let peak = Some(kib as u64 >> 10);
    Cost { wall, cpu: Some(Duration::from_secs_f64(user + system)), peak }
}

/// Runs something several times and returns the quickest.
pub fn best(times: usize, mut work: impl FnMut() -> Cost) -> Cost {
    (0..times).map(|_| work()).min_by_key(|cost| cost.wall).unwrap()
}

/// Makes a collector in `dir/hq` for the upstream in `dir/up`.
pub fn collector(dir: &Path, upstream: &Upstream) -> PathBuf {
    let site = dir.join("hq");
    run(Command::new(env!("CARGO_BIN_EXE_chantal"))
        .args(["-q", "init", "--role", "collector", "--site", "hq"])
        .arg(&site));
    let key = dir.join("key.asc");
    fs::write(&key, upstream.key.public_armored()).unwrap();
    let text = format!(
        "role: collector\nsite: hq\nstorage: {{ root: store, published: published }}\nrepositories:\n  - name: big\n    url: file://{}\n    \
         keys: [{}]\n    apt: {{ suites: [stable], components: [main], architectures: [amd64] }}\nsites:\n  - {{ name: plant, repositories: [big] }}\n",
        dir.join("up").display(),
        key.display()
    );
    fs::write(site.join("chantal.yaml"), text).unwrap();
    site
}

/// Makes a receiver in `dir/plant` that believes a collector.
pub fn receiver(dir: &Path, hq: &Path) -> PathBuf {
    let site = dir.join("plant");
    run(Command::new(env!("CARGO_BIN_EXE_chantal"))
        .args(["-q", "init", "--role", "receiver", "--site", "plant"])
        .arg(&site));
    trust(&site, hq, "hq.pub", &[]);
    site
}

/// Makes one site believe the key of another.
pub fn trust(site: &Path, other: &Path, file: &str, args: &[&str]) {
    let key = site.join(file);
    fs::write(&key, chantal(other).args(["key", "show"]).output().unwrap().stdout).unwrap();
    let said = Command::new("ssh-keygen").arg("-lf").arg(&key).output().unwrap().stdout;
    let fingerprint = String::from_utf8(said).unwrap().split(' ').nth(1).unwrap().to_owned();
    run(chantal(site).args(["trust", "add"]).arg(&key).args(["--fingerprint", &fingerprint]).args(args));
}

/// Returns the newest bundle in a directory.
pub fn newest(media: &Path) -> PathBuf {
    let bundles = fs::read_dir(media).unwrap().map(|e| e.unwrap().path());
    bundles.filter(|path| path.is_dir()).max().unwrap()
}
