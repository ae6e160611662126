//! The plan of the house (docs/design.md §2), held against the code's own imports.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What each room of `src/` may import of the others.
const ROOMS: [(&str, &[&str]); 10] = [
    (
        "lib",
        &["commands", "config", "formats", "publish", "report", "store", "transfer", "trust", "upstream"],
    ),
    ("commands", &["config", "formats", "publish", "report", "store", "transfer", "trust", "upstream"]),
    ("config", &["formats", "store", "trust"]),
    ("formats", &["config"]),
    ("publish", &["config", "formats", "report", "store", "trust"]),
    ("report", &[]),
    ("store", &["report"]),
    ("transfer", &["config", "formats", "report", "store", "trust"]),
    ("trust", &["store"]),
    ("upstream", &["config", "formats", "report", "store", "trust"]),
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the code of a file without its comments and without what stands under `#[cfg(test)]`.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    shipped.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Tells whether a file is compiled for tests only: by its name, or because its parent says so.
fn is_test(path: &Path) -> bool {
    if let (Some(dir), Some(stem)) = (path.parent(), path.file_stem()) {
        let declared = format!("#[cfg(test)]\nmod {};", stem.to_string_lossy());
        let parents = [dir.join("lib.rs"), dir.with_extension("rs")];
        if parents.iter().filter_map(|p| fs::read_to_string(p).ok()).any(|text| text.contains(&declared)) {
            return true;
        }
    }
    path.components().any(|c| c.as_os_str() == "tests") || path.file_name().is_some_and(|n| n == "tests.rs")
}

#[test]
fn rooms_import_only_what_the_plan_allows() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    let src = root().join("src");
    let mut faults = Vec::new();
    for path in sources(&src) {
        if is_test(&path) {
            continue;
        }
        let relative = path.strip_prefix(&src).unwrap();
        let room = relative.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        if room == "main" {
            continue;
        }
        let Some(may) = allowed.get(room.as_str()) else {
            faults.push(format!("{}: room `{room}` is not in the plan", relative.display()));
            continue;
        };
        for (other, _) in ROOMS {
            if other == room || may.contains(&other) {
                continue;
            }
            let text = code(&path);
            if text.contains(&format!("crate::{other}::")) || text.contains(&format!("use crate::{other};")) {
                faults.push(format!("{}: `{room}` imports `{other}`", relative.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn formats_import_only_the_contract() {
    for format in ["apt", "rpm", "pypi", "bundle", "contract"] {
        let manifest = fs::read_to_string(root().join("formats").join(format).join("Cargo.toml")).unwrap();
        let ours: Vec<&str> = manifest.lines().filter(|l| l.starts_with("chantal-")).collect();
        let expected: &[&str] =
            if format == "contract" { &[] } else { &["chantal-contract = { workspace = true }"] };
        assert_eq!(ours, expected, "formats/{format}");
        for path in sources(&root().join("formats").join(format).join("src")) {
            if is_test(&path) {
                continue;
            }
            let text = code(&path);
            for forbidden in [
                "std::fs",
                "std::net",
                "tokio::",
                "SystemTime::now",
                "Timestamp::now",
                "std::env",
                "std::process",
            ] {
                assert!(
                    !text.contains(forbidden),
                    "{}: a format is pure, and this uses `{forbidden}`",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn only_the_catalog_speaks_sql_and_only_commands_print() {
    for path in sources(&root().join("src")) {
        if is_test(&path) {
            continue;
        }
        let text = code(&path);
        let relative = path.strip_prefix(root().join("src")).unwrap().display().to_string();
        if !relative.starts_with("store/catalog") {
            // the error that SQLite gives is part of the room's own
            let speaks = ["Connection", "prepare", "params!", "execute("].iter().any(|w| text.contains(w));
            assert!(
                !text.contains("rusqlite") || (relative == "store/error.rs" && !speaks),
                "{relative} speaks SQL"
            );
        }
        if !relative.starts_with("commands") && relative != "main.rs" && !relative.starts_with("report") {
            for printing in ["println!", "print!(", "eprintln!", "std::io::stdout", "std::io::stderr"] {
                assert!(!text.contains(printing), "{relative} prints");
            }
        }
        if !relative.starts_with("upstream") {
            for network in ["reqwest", "TcpStream", "TcpListener", "UdpSocket"] {
                assert!(!text.contains(network), "{relative} reaches a network with `{network}`");
            }
        }
    }
}

#[test]
fn what_decides_reads_no_clock() {
    // who holds a lock is told with since when; the pool marks what is wanted again, for the grace of gc
    let told = ["store/lock.rs", "store/pool.rs"];
    for path in sources(&root().join("src")) {
        let relative = path.strip_prefix(root().join("src")).unwrap().display().to_string();
        let decides = ["transfer", "store", "trust", "publish", "formats", "config"]
            .iter()
            .any(|room| relative.starts_with(room));
        if decides && !is_test(&path) && !told.contains(&relative.as_str()) {
            for clock in ["SystemTime", "Timestamp::now", "Zoned::now", "Instant::now"] {
                assert!(!code(&path).contains(clock), "{relative} reads a clock by `{clock}`");
            }
        }
    }
}

#[test]
fn every_test_file_is_compiled() {
    let main = fs::read_to_string(root().join("tests/it/main.rs")).unwrap();
    for path in sources(&root().join("tests/it")) {
        let relative = path.strip_prefix(root().join("tests/it")).unwrap();
        if relative.components().count() == 1 && relative != Path::new("main.rs") {
            let name = relative.file_stem().unwrap().to_string_lossy();
            assert!(main.contains(&format!("mod {name};")), "tests/it/{name}.rs is in no binary");
        }
    }
}

#[test]
fn no_registry_host_and_no_path_of_a_machine_is_named() {
    // split, so that this file does not name them itself
    let hosts = [
        concat!("deb.deb", "ian.org"),
        concat!("pypi", ".org"),
        concat!("files.python", "hosted.org"),
        concat!("registry.npm", "js.org"),
        concat!("/wo", "rk/"),
    ];
    let mut faults = Vec::new();
    for dir in ["src", "formats", "tests", "examples", "docs"] {
        for path in every_file(&root().join(dir)) {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            for host in hosts {
                if text.contains(host) {
                    faults.push(format!("{} names {host}", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn every_file(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "target" && n != "corpus" && n != "artifacts") {
                found.extend(every_file(&path));
            }
        } else {
            found.push(path);
        }
    }
    found
}
