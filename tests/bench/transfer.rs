//! Export and import beside what users would take instead, over packages that are compressed already.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command::{best, chantal, collector, installed, newest, receiver, run, shell},
    parity,
    table::{Cost, Row, median},
    upstream::{Packages, Packed, Upstream},
};

/// Names the directory of real packages.
const VARIABLE: &str = "CHANTAL_BENCH_PACKAGES";
/// Bytes of real packages that are taken at most: of each there are up to seven copies at a time.
const MOST: u64 = 1600 << 20;
/// Each of what is compared runs so often, all in turn; medians are told.
const ROUNDS: usize = 3;

/// What is carried, and how it is called in the table.
pub struct Load {
    packages: Packages,
    first: usize,
    growth: usize,
    bytes: u64,
}

impl Load {
    /// Takes the packages that somebody named, or noise.
    pub fn find(quick: bool) -> Self {
        let Some(dir) = std::env::var_os(VARIABLE) else {
            let (count, size) = (if quick { 60 } else { 1_200 }, 1 << 20);
            println!(
                "Packages: {count} synthetic files of 1 MiB (`{VARIABLE}` names a directory of real ones).\n"
            );
            let growth = (count / 100).max(1);
            let bytes = (count * size) as u64;
            return Self { packages: Packages::Noise(size), first: count, growth, bytes };
        };
        let (mut files, mut bytes) = (Vec::new(), 0);
        let most = if quick { MOST / 16 } else { MOST };
        for (path, size) in listed(Path::new(&dir)) {
            if bytes + size <= most {
                bytes += size;
                files.push(path);
            }
        }
        assert!(files.len() > 1, "{VARIABLE} names a directory of less than two packages");
        println!("Packages: {} real files, {} MiB.\n", files.len(), bytes >> 20);
        let growth = (files.len() / 100).max(1);
        Self { first: files.len() - growth, growth, bytes, packages: Packages::Real(files.into_iter()) }
    }
}

/// Lists the files below a directory, in the order of their names.
fn listed(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            found.extend(listed(&path));
        } else if meta.is_file() && meta.len() > 0 {
            found.push((path, meta.len()));
        }
    }
    found
}

/// Everything that is compared, each with one cost a round.
#[derive(Default)]
struct Rounds {
    hash: Vec<Cost>,
    zstd: Vec<Cost>,
    unzstd: Vec<Cost>,
    medium: Vec<Cost>,
    backup: [Vec<Cost>; 2],
    restore: Vec<Cost>,
    export: Vec<Cost>,
    read_back: Vec<Cost>,
    verify: Vec<Cost>,
    import: Vec<Cost>,
}

/// Measures all that becomes of some packages.
pub fn measure(dir: &Path, load: Load, quick: bool) {
    let Load { packages, first, growth, .. } = load;
    let mut upstream = Upstream::new(&dir.join("up"), packages, first, Packed::Xz);
    let hq = collector(dir, &upstream);
    let pool = dir.join("up/pool");
    let hashed = run(&mut hash(&pool));
    let synced = run(chantal(&hq).arg("sync"));
    Row::new(format!("sync {first} packages from a directory"), synced)
        .bytes(load.bytes)
        .beside(HASH, hashed)
        .print();
    let nothing = best(3, || run(chantal(&hq).arg("sync")));
    let limit = std::time::Duration::from_millis(50);
    Row::new("sync with nothing new", nothing).cpu_within(limit, "0.05 s of CPU").print();

    let mut rounds = Rounds::default();
    let tools = Tools { zstd: installed("zstd"), restic: installed("restic") };
    for _ in 0..if quick { 1 } else { ROUNDS } {
        rounds.instead(dir, &pool, &tools);
        rounds.ours(dir, &hq, load.bytes);
    }
    let (export, import) = rounds.tell(load.bytes);
    let plant = receiver(dir, &hq);
    let media = dir.join("media");
    parity::carry(dir, &hq, (export, import), load.bytes);
    grow(&mut upstream, growth, (&hq, &plant, &media), export, import);
}

/// What of the others' tools is there.
struct Tools {
    zstd: bool,
    restic: bool,
}

const HASH: &str = "tar | openssl dgst -sha256";

fn hash(pool: &Path) -> Command {
    shell("tar -cf - -C \"$1\" . | openssl dgst -sha256", &[pool])
}

fn fresh(path: PathBuf) -> PathBuf {
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}

impl Rounds {
    /// Runs what users would take instead, once each.
    fn instead(&mut self, dir: &Path, pool: &Path, tools: &Tools) {
        let scratch = fresh(dir.join("instead"));
        self.hash.push(run(&mut hash(pool)));
        if tools.zstd {
            let (packed, open) = (scratch.join("packages.tar.zst"), fresh(scratch.join("open")));
            let pack = "tar -cf - -C \"$1\" . | zstd -1 -q -o \"$2\" && sync \"$2\"";
            self.zstd.push(run(&mut shell(pack, &[pool, &packed])));
            let unpack = "zstd -dcq \"$1\" | tar -xf - -C \"$2\" && sync -f \"$2\"";
            self.unzstd.push(run(&mut shell(unpack, &[&packed, &open])));
            fresh(scratch.clone());
        }
        if tools.restic {
            for (costs, compression) in self.backup.iter_mut().zip(["auto", "off"]) {
                let repository = scratch.join("restic");
                let restic = |args: &[&str], path: &Path| {
                    let mut command = Command::new("restic");
                    command.args(["-q", "--compression", compression]).args(args).arg(path);
                    command.env("RESTIC_REPOSITORY", &repository).env("RESTIC_PASSWORD", "bench");
                    command.env("RESTIC_CACHE_DIR", scratch.join("cache"));
                    command
                };
                run(Command::new("restic")
                    .args(["-q", "init"])
                    .env("RESTIC_REPOSITORY", &repository)
                    .env("RESTIC_PASSWORD", "bench")
                    .env("RESTIC_CACHE_DIR", scratch.join("cache")));
                costs.push(run(&mut restic(&["backup"], pool)));
                if compression == "auto" {
                    let to = scratch.join("restored");
                    self.restore.push(run(&mut restic(&["restore", "latest", "--target"], &to)));
                }
                fresh(scratch.clone());
            }
        }
        fs::remove_dir_all(scratch).unwrap();
    }

    /// Runs the program, and a plain write of as many bytes.
    fn ours(&mut self, dir: &Path, hq: &Path, bytes: u64) {
        let media = fresh(dir.join("media"));
        let written = media.join("written");
        let mebibytes = format!("count={}", bytes >> 20);
        self.medium.push(run(Command::new("dd")
            .args(["if=/dev/zero", "bs=1M", "conv=fsync", "status=none", &mebibytes])
            .arg(format!("of={}", written.display()))));
        fs::remove_file(written).unwrap();
        let args = ["export", "--to", "plant", "--since", "none", "--out"];
        self.read_back.push(run(chantal(hq).args(args).arg(&media).arg("--verify-after-write")));
        fresh(media.clone());
        self.export.push(run(chantal(hq).args(args).arg(&media)));
        let plant = receiver(&fresh(dir.join("round")), hq);
        let bundle = newest(&media);
        self.verify.push(run(chantal(&plant).args(["bundle", "verify"]).arg(&bundle)));
        self.import.push(run(chantal(&plant).arg("import").arg(&bundle)));
        fs::remove_dir_all(dir.join("round")).unwrap();
    }

    /// Prints medians; returns those of export and import.
    fn tell(&self, bytes: u64) -> (Cost, Cost) {
        let (hash, medium) = (median(&self.hash), median(&self.medium));
        let (export, import) = (median(&self.export), median(&self.import));
        let limit = (hash.wall * 3 / 2).max(medium.wall);
        let row = |work: &str, cost: Cost| Row::new(work, cost).bytes(bytes);
        row(&format!("`{HASH}`"), hash).print();
        row("write as many bytes, synced", medium).beside(HASH, hash).print();
        row("export, full", export)
            .beside(HASH, hash)
            .within(limit, "1.5 × or the medium's speed")
            .memory(256)
            .print();
        row("verify a bundle", median(&self.verify)).beside(HASH, hash).print();
        row("import, full", import).beside(HASH, hash).within(limit, "1.5 ×").memory(256).print();
        let read_back = median(&self.read_back);
        row("export, full, `--verify-after-write`", read_back).beside("export", export).print();
        if !self.zstd.is_empty() {
            let (pack, unpack) = (median(&self.zstd), median(&self.unzstd));
            row("export, full", export).beside("tar | zstd -1, synced", pack).print();
            row("import, full", import).beside("zstd -d | tar -x, synced", unpack).print();
        }
        if !self.restore.is_empty() {
            let [auto, off] = self.backup.each_ref().map(|costs| median(costs));
            let restore = median(&self.restore);
            row("`restic backup`, as it is set up", auto).print();
            row("`restic restore`", restore).print();
            row("export, full", export).beside("restic backup", auto).print();
            row("export, full", export).beside("restic backup --compression off", off).print();
            row("import, full", import).beside("restic restore", restore).print();
        }
        (export, import)
    }
}

/// Publishes, and carries one per cent more.
fn grow(
    upstream: &mut Upstream,
    growth: usize,
    (hq, plant, media): (&Path, &Path, &Path),
    export: Cost,
    import: Cost,
) {
    run(chantal(plant).arg("import").arg(newest(media)));
    let linked = plant.join("linked");
    let published = run(chantal(plant).arg("publish"));
    let link = run(Command::new("cp").arg("-al").arg(plant.join("store/pool")).arg(&linked));
    Row::new("publish, first time", published)
        .beside("cp -al", link)
        .within(link.wall * 3 / 2, "1.5 ×")
        .print();
    let unchanged = best(3, || run(chantal(plant).arg("publish")));
    let limit = std::time::Duration::from_millis(10);
    Row::new("publish, unchanged", unchanged).within(limit, "milliseconds").print();
    upstream.grow(growth);
    run(chantal(hq).arg("sync"));
    let delta = run(chantal(hq).args(["export", "--to", "plant", "--since", "last", "--out"]).arg(media));
    Row::new("export of a 1 % delta", delta).beside("export, full", export).print();
    let imported = run(chantal(plant).arg("import").arg(newest(media)));
    Row::new("import of a 1 % delta", imported).beside("import, full", import).print();
    let changed = run(chantal(plant).arg("publish"));
    Row::new("publish of a 1 % delta", changed).beside("publish, first time", published).print();
}
