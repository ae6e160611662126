//! Speed, as ratios to something run beside it: `cargo bench`.
//!
//! `cargo bench -- quick` takes smaller inputs. Every line prints what was done, how long it took, what the reference took, the
//! ratio, the bound of docs/design.md §11, and the peak memory. Nothing is asserted: a slow machine is no bug.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_push_string,
    clippy::print_stdout,
    missing_docs,
    reason = "a measurement talks"
)]

#[path = "../fixtures/lib.rs"]
mod fixtures;
mod parity;
mod store;
mod upstream;

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use chantal_contract::{Digest, Entry, Header, Kind, Line, Measured, Mode, RepoPath, Role, manifest};
use upstream::Synthetic;

/// What one run of a command cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    wall: Duration,
    cpu: Duration,
    /// The peak resident set, in MiB.
    peak: u64,
}

fn main() {
    let quick = std::env::args().any(|a| a == "quick");
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    println!(
        "{:<44} {:>9} {:>9} {:>7} {:>7} {:>8}  bound",
        "work", "time", "beside", "ratio", "cpu", "memory"
    );
    plan(&scratch.path().join("plan"), if quick { 6_000 } else { 63_440 });
    carry(&scratch.path().join("carry"), if quick { (60, 1 << 20) } else { (1_000, 1 << 20) });
    store::measure(&scratch.path().join("store"), quick);
    parity::code(quick);
    differ(if quick { 100_000 } else { 1_000_000 });
}

/// Reads an index of `packages` stanzas and plans the sync.
fn plan(dir: &Path, packages: usize) {
    let upstream = Synthetic::new(&dir.join("up"), packages, 0);
    let site = site(dir, &upstream);
    let index = dir.join("up/dists/stable/main/binary-amd64/Packages.xz");
    let xz = best(3, || run(Command::new("xz").arg("-dc").arg(&index)));
    let planned = best(3, || run(chantal(&site).args(["sync", "--dry-run"])));
    row(&format!("plan a sync of {packages} packages"), planned, Some(xz), "xz -dc + 0.3 s; 128 MiB");
}

/// Syncs, exports, imports and publishes `count` packages of `size` bytes.
fn carry(dir: &Path, (count, size): (usize, usize)) {
    let mut upstream = Synthetic::new(&dir.join("up"), count, size);
    let hq = site(dir, &upstream);
    let synced = run(chantal(&hq).arg("sync"));
    let pool = dir.join("up/pool");
    let hash = best(3, || {
        run(Command::new("sh")
            .arg("-c")
            .arg(format!("tar -cf - -C {} . | openssl dgst -sha256", pool.display())))
    });
    row(&format!("sync {count} × {} KiB", size >> 10), synced, Some(hash), "");
    row("sync with nothing new", best(3, || run(chantal(&hq).arg("sync"))), None, "0.05 s of CPU");
    let media = dir.join("media");
    fs::create_dir_all(&media).unwrap();
    let medium = best(3, || {
        let written = media.join("written");
        let cost = run(Command::new("dd")
            .args(["if=/dev/zero", "bs=1M", "conv=fsync", "status=none"])
            .arg(format!("count={}", (count * size) >> 20))
            .arg(format!("of={}", written.display())));
        fs::remove_file(written).unwrap();
        cost
    });
    row("write as many bytes, synced", medium, Some(hash), "");
    let exported = run(chantal(&hq).args(["export", "--to", "plant", "--out"]).arg(&media));
    row("export, full", exported, Some(hash), "1.5 × or the medium's speed; 256 MiB");
    let plant = receiver(dir, &hq);
    let first = newest(&media);
    let verified = run(chantal(&plant).args(["bundle", "verify"]).arg(&first));
    row("bundle verify", verified, Some(hash), "");
    let imported = run(chantal(&plant).arg("import").arg(&first));
    row("import, full", imported, Some(hash), "1.5 ×; 256 MiB");
    // another site, which lacks all of it
    let other = receiver(&dir.join("other"), &hq);
    parity::carry(dir, &hq, &other, exported, imported);
    let published = run(chantal(&plant).arg("publish"));
    let link = run(Command::new("cp").arg("-al").arg(plant.join("store/pool")).arg(dir.join("linked")));
    row("publish, first time", published, Some(link), "1.5 × cp -al");
    row("publish, unchanged", best(3, || run(chantal(&plant).arg("publish"))), None, "milliseconds");
    upstream.grow((count / 100).max(1), size);
    run(chantal(&hq).arg("sync"));
    let delta = run(chantal(&hq).args(["export", "--to", "plant", "--since", "last", "--out"]).arg(&media));
    row("export of a 1 % delta", delta, Some(exported), "grows with the delta");
    let second = newest(&media);
    let imported = run(chantal(&plant).arg("import").arg(&second));
    row("import of a 1 % delta", imported, Some(hash), "grows with the delta");
    row("publish of a 1 % delta", run(chantal(&plant).arg("publish")), Some(link), "the change");
}

/// Walks two manifests of `lines` lines side by side that differ in 1 %.
fn differ(lines: usize) {
    let (a, b) = (manifest_of(lines, 0), manifest_of(lines, 1));
    let began = Instant::now();
    let mut changes = 0;
    let (mut a, mut b) =
        (manifest::Reader::new(Cursor::new(a)).unwrap(), manifest::Reader::new(Cursor::new(b)).unwrap());
    manifest::diff::<_, _, manifest::ManifestError>(&mut a, &mut b, &mut |_| {
        changes += 1;
        Ok(())
    })
    .unwrap();
    let wall = began.elapsed();
    row(
        &format!("diff of two {lines}-line manifests ({changes})"),
        Cost { wall, cpu: wall, peak: 0 },
        None,
        "1 s; 64 MiB",
    );
}

fn manifest_of(lines: usize, generation: usize) -> Vec<u8> {
    let header = Header { format: Kind::Apt, layout: 1, mode: Mode::Mirror, options: serde_json::json!({}) };
    let mut writer = manifest::Writer::new(Vec::new(), &header).unwrap();
    for number in 0..lines {
        let content = if number % 100 == 0 { format!("{number} {generation}") } else { format!("{number}") };
        let path =
            RepoPath::new(&format!("pool/main/p/package-{number:07}/package-{number:07}_1.0_amd64.deb"))
                .unwrap();
        let measured = Measured { sha256: Digest::of(content.as_bytes()), size: 1 + number as u64 };
        writer.line(&Line::File { path, entry: Entry::Present { measured, role: Role::Payload } }).unwrap();
    }
    writer.finish().1
}

fn chantal(site: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chantal"));
    command.current_dir(site).arg("-q").env_remove("CHANTAL_CONFIG");
    command
}

fn site(dir: &Path, upstream: &Synthetic) -> PathBuf {
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

fn receiver(dir: &Path, hq: &Path) -> PathBuf {
    let site = dir.join("plant");
    run(Command::new(env!("CARGO_BIN_EXE_chantal"))
        .args(["-q", "init", "--role", "receiver", "--site", "plant"])
        .arg(&site));
    let key = dir.join("hq.pub");
    fs::write(&key, chantal(hq).args(["key", "show"]).output().unwrap().stdout).unwrap();
    let said = Command::new("ssh-keygen").arg("-lf").arg(&key).output().unwrap().stdout;
    let fingerprint = String::from_utf8(said).unwrap().split(' ').nth(1).unwrap().to_owned();
    run(chantal(&site).args(["trust", "add"]).arg(&key).args(["--fingerprint", &fingerprint]));
    site
}

fn newest(media: &Path) -> PathBuf {
    fs::read_dir(media).unwrap().map(|e| e.unwrap().path()).max().unwrap()
}

fn best(times: usize, mut work: impl FnMut() -> Cost) -> Cost {
    (0..times).map(|_| work()).min_by_key(|cost| cost.wall).unwrap()
}

/// Runs a command that must succeed, under GNU time where it is installed.
fn run(command: &mut Command) -> Cost {
    let time = Path::new("/usr/bin/time");
    let report = tempfile::NamedTempFile::new().unwrap();
    let mut timed = if time.is_file() {
        let mut timed = Command::new(time);
        timed
            .args(["-f", "%U %S %M", "-o"])
            .arg(report.path())
            .arg(command.get_program())
            .args(command.get_args());
        if let Some(dir) = command.get_current_dir() {
            timed.current_dir(dir);
        }
        timed
    } else {
        let mut plain = Command::new(command.get_program());
        plain.args(command.get_args());
        if let Some(dir) = command.get_current_dir() {
            plain.current_dir(dir);
        }
        plain
    };
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
    let cpu = Duration::from_secs_f64(numbers.iter().take(2).sum());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a peak in KiB, below 2^53")]
    let peak = numbers.get(2).map_or(0, |kib| *kib as u64 >> 10);
    Cost { wall, cpu, peak }
}

fn row(work: &str, cost: Cost, beside: Option<Cost>, bound: &str) {
    let seconds = |d: Duration| format!("{:.3} s", d.as_secs_f64());
    let (reference, ratio) = match beside {
        Some(other) => {
            (seconds(other.wall), format!("{:.2}", cost.wall.as_secs_f64() / other.wall.as_secs_f64()))
        }
        None => ("-".into(), "-".into()),
    };
    println!(
        "{work:<44} {:>9} {reference:>9} {ratio:>7} {:>6.2}s {:>4} MiB  {bound}",
        seconds(cost.wall),
        cost.cpu.as_secs_f64(),
        cost.peak
    );
}
