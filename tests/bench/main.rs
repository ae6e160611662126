//! Speed, as ratios to something run beside it: `cargo bench`.
//!
//! Prints a table for docs/performance.md: what was done, how long it took and what it was compared with, CPU time, peak memory, and
//! the bound of docs/design.md §11. Nothing is asserted: a slow machine is no bug. `cargo bench -- quick` takes smaller inputs,
//! `cargo bench -- plan transfer` only these parts; `CHANTAL_BENCH_PACKAGES` names a directory of real packages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a measurement talks"
)]

mod command;
#[path = "../fixtures/lib.rs"]
mod fixtures;
mod lines;
mod many;
mod parity;
mod store;
mod table;
mod transfer;
mod upstream;

use std::{fs, path::Path, process::Command, time::Duration};

use command::{best, chantal, collector, run};
use table::Row;
use upstream::{Packages, Packed, Upstream};

/// The parts, in the order in which they run.
const PARTS: [&str; 6] = ["plan", "transfer", "many", "lines", "store", "parity"];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let quick = asked.iter().any(|a| a == "quick");
    let unknown = asked.iter().find(|a| *a != "quick" && !PARTS.contains(&a.as_str()));
    assert!(unknown.is_none(), "there is no part {unknown:?}; there are {PARTS:?}, and `quick`");
    let all = asked.iter().all(|a| a == "quick");
    let wanted = |part: &str| all || asked.iter().any(|a| a == part);
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let load = wanted("transfer").then(|| transfer::Load::find(quick));
    let scale = |full: usize| if quick { full / 10 } else { full };
    println!("{}\n", machine());
    table::head();
    for part in PARTS.into_iter().filter(|part| wanted(part) && *part != "transfer") {
        let dir = scratch.path().join(part);
        fs::create_dir_all(&dir).unwrap();
        match part {
            "plan" => plan(&dir, scale(63_440)),
            "many" => many::measure(&dir, scale(200_000)),
            "lines" => lines::measure(&dir, scale(1_000_000)),
            "store" => store::measure(&dir, quick),
            _ => parity::code(quick),
        }
        fs::remove_dir_all(&dir).unwrap();
    }
    if let Some(load) = load {
        transfer::measure(&scratch.path().join("transfer"), load, quick);
    }
}

/// Says what the figures are of.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let load = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
    let cpus = read("/proc/cpuinfo");
    let sha = if cpus.contains("sha_ni") || cpus.contains("sha2") { "with" } else { "without" };
    format!("{cores} cores {sha} SHA instructions, load {load} at the beginning.")
}

/// Reads an index of `packages` stanzas and plans the sync.
fn plan(dir: &Path, packages: usize) {
    let upstream = Upstream::new(&dir.join("up"), Packages::Listed, packages, Packed::Xz);
    let site = collector(dir, &upstream);
    let xz = best(3, || run(Command::new("xz").arg("-dc").arg(upstream.index())));
    let planned = best(3, || run(chantal(&site).args(["sync", "--dry-run"])));
    Row::new(format!("read an index of {packages} packages and plan the sync"), planned)
        .beside("xz -dc", xz)
        .within(xz.wall + Duration::from_millis(300), "the decoder + 0.3 s")
        .memory(128)
        .print();
}
