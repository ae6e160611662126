//! A repository of many files: what a change costs beside the whole, in both directions.

use std::{fs, path::Path};

use crate::{
    command::{best, chantal, collector, newest, receiver, run, trust},
    table::{Cost, Row},
    upstream::{Packages, Packed, Upstream},
};

/// Bytes of a file.
const SIZE: usize = 2 << 10;

/// Carries a repository of `files` files, and then one per cent more.
pub fn measure(dir: &Path, files: usize) {
    let mut upstream = Upstream::new(&dir.join("up"), Packages::Noise(SIZE), files, Packed::Gzip);
    let hq = collector(dir, &upstream);
    let media = dir.join("media");
    fs::create_dir_all(&media).unwrap();
    let synced = run(chantal(&hq).arg("sync"));
    Row::new(format!("sync {files} files of 2 KiB"), synced).print();
    let export = |since: &str| {
        run(chantal(&hq).args(["export", "--to", "plant", "--since", since, "--out"]).arg(&media))
    };
    let whole = export("none");
    Row::new(format!("export, {files} files"), whole).print();
    let plant = receiver(dir, &hq);
    let imported = run(chantal(&plant).arg("import").arg(newest(&media)));
    Row::new(format!("import, {files} files"), imported).print();
    acknowledge(&hq, &plant);
    status(&hq, "`status`, nothing to send");
    upstream.grow(files / 100);
    run(chantal(&hq).arg("sync"));
    status(&hq, "`status`, weighs the next bundle: 1 % more");
    let delta = export("acknowledged");
    Row::new("export of 1 % more", delta).beside("export, the whole", whole).print();
    let taken = run(chantal(&plant).arg("import").arg(newest(&media)));
    Row::new("import of 1 % more", taken).beside("import, the whole", imported).print();
}

fn status(hq: &Path, work: &str) {
    let cost: Cost = best(3, || run(chantal(hq).arg("status")));
    Row::new(work, cost).print();
}

/// Sends a receipt back.
fn acknowledge(hq: &Path, plant: &Path) {
    trust(hq, plant, "plant.pub", &["--role", "receiver", "--site", "plant", "--yes"]);
    let receipt = plant.join("receipt");
    run(chantal(plant).args(["receipt", "create", "--out"]).arg(&receipt));
    run(chantal(hq).args(["receipt", "apply"]).arg(&receipt));
}
