//! Publishing is killed at every kind of system call and run again.

use std::process::Command;

use super::*;

const DIR: &str = "CHANTAL_TEST_PUBLISH_DIR";
const SWITCH: &str = "CHANTAL_TEST_PUBLISH_SWITCH";

fn switch() -> Switch {
    if std::env::var_os(SWITCH).is_some_and(|s| s == "exchange") { Switch::Exchange } else { Switch::Symlink }
}

/// The victim: publishes what is newest in the directory that the environment names.
#[test]
#[ignore = "run by the test below"]
fn victim() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = std::path::PathBuf::from(dir);
    let mut world = reopen(&dir);
    world.settings.switch = switch();
    world.now.set(50);
    world.publish(&["bookworm"]).unwrap();
    std::mem::forget(world);
}

fn reopen(dir: &std::path::Path) -> World {
    // Its own directory is somebody else's to remove.
    let mut world = World::within(tempfile::tempdir().unwrap());
    world.store = Store::open(&dir.join("store")).unwrap();
    world.settings.root = dir.join("published");
    world
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn killed_anywhere_it_is_whole_and_a_rerun_ends_the_same() {
    let traced = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !traced.is_ok_and(|s| s.success()) {
        assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "strace is required");
        println!("skipped: no strace");
        return;
    }
    let mut killed = 0;
    for (switch, name) in [(Switch::Symlink, "symlink"), (Switch::Exchange, "exchange")] {
        let mut world = World::new();
        world.settings.switch = switch;
        for state in [ONE, THREE] {
            world.state("bookworm", state);
            world.publish(&["bookworm"]).unwrap();
        }
        world.state("bookworm", TWO);
        let (before, wanted) = (world.seen("bookworm"), files(TWO));
        let whole = |seen: &[(String, String)]| {
            let extra = seen.iter().filter(|f| !wanted.contains(f));
            wanted.iter().all(|f| seen.contains(f)) && extra.clone().all(|(p, _)| p.contains("by-hash"))
        };
        // Publishing alone is tried here; the whole program is killed in tests/it.
        let calls: &[(&str, usize)] = match switch {
            Switch::Symlink => &[
                ("linkat", 1),
                ("symlink", 1),
                ("rename", 1),
                ("unlink", 1),
                ("rmdir", 1),
                ("mkdir", 1),
                ("fsync", 2),
                ("fchmod", 2),
                ("utimensat", 1),
                ("write", 5),
            ],
            Switch::Exchange => &[("rename", 1), ("renameat2", 1), ("unlink", 2), ("fsync", 3)],
        };
        for &(call, step) in calls {
            for when in (1..400).step_by(step) {
                let place = tempfile::tempdir().unwrap();
                let dir = place.path().join("world");
                copy(world.dir.path(), &dir);
                let status = Command::new("strace")
                    .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
                    .args(["-e", &format!("inject={call}:signal=KILL:when={when}")])
                    .arg(std::env::current_exe().unwrap())
                    .args(["--exact", "publish::tests::crash::victim", "--include-ignored", "-q"])
                    .env(DIR, &dir)
                    .env(SWITCH, name)
                    .output()
                    .unwrap()
                    .status;
                let mut again = reopen(&dir);
                again.settings.switch = switch;
                let seen = again.seen("bookworm");
                assert!(seen == before || whole(&seen), "{name}: killed at {call} {when}: {seen:?}");
                again.now.set(60);
                again.publish(&["bookworm"]).unwrap_or_else(|e| panic!("{name}: after {call} {when}: {e}"));
                assert!(
                    whole(&again.seen("bookworm")),
                    "{name}: {call} {when}: {:?}",
                    again.seen("bookworm")
                );
                let listed = again.publisher().list().unwrap();
                assert!(listed.iter().all(|l| l.standing == Standing::Right && !l.outdated));
                let page = fs::read_to_string(again.root().join("index.html")).unwrap();
                assert!(page.contains("bookworm/index.html"));
                assert!(!again.root().join(".trees/bookworm/next").exists());
                if status.success() {
                    break;
                }
                killed += 1;
            }
        }
    }
    println!("killed {killed} times");
    assert!(killed >= 40, "killed only {killed} times");
}
