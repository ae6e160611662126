//! Trees in temporary directories, judged by what a reader of files sees.

mod crash;
mod rot;
mod served;
mod world;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use chantal_contract::{Digest, Role};

use super::{list::LIST, *};
use world::{World, files, time};

const ONE: &[(&str, &str, Role)] = &[
    ("dists/s/InRelease", "release 1", Role::Index),
    ("dists/s/main/Packages", "packages 1", Role::Index),
    ("dists/s/main/Sources", "sources", Role::Index),
    ("dists/s/main/by-hash/SHA256/01", "packages 1", Role::Index),
    ("pool/a/a_1.deb", "package a 1", Role::Payload),
    ("pool/b/b_1.deb", "package b 1", Role::Payload),
];
const TWO: &[(&str, &str, Role)] = &[
    ("dists/s/InRelease", "release 2", Role::Index),
    ("dists/s/main/Packages", "packages 2", Role::Index),
    ("dists/s/main/Sources", "sources", Role::Index),
    ("dists/s/main/by-hash/SHA256/02", "packages 2", Role::Index),
    ("pool/a/a_1.deb", "package a 1", Role::Payload),
    ("pool/c/deep/er/c_1.deb", "package c 1", Role::Payload),
];
const THREE: &[(&str, &str, Role)] =
    &[("dists/s/InRelease", "release 3", Role::Index), ("pool/a/a_1.deb", "package A 1", Role::Payload)];

#[test]
fn a_tree_is_what_the_snapshot_says_and_everybody_may_read_it() {
    let world = World::new();
    world.state("bookworm", ONE);
    let outcomes = world.publish(&["bookworm"]).unwrap();
    let [outcome] = outcomes.as_slice() else { panic!() };
    assert_eq!((outcome.turn, outcome.target.as_str(), outcome.files), (Turn::Switched, "bookworm", 6));
    assert_eq!(outcome.url, "https://mirror.example.org/bookworm");
    assert!(outcome.notices.is_empty(), "{:?}", outcome.notices);
    let place = world.published("bookworm");
    assert_eq!(fs::read_link(&place).unwrap().to_str(), Some(".trees/bookworm/a"));
    assert_eq!(world.seen("bookworm"), files(ONE));
    for found in walk(&place) {
        let mode = fs::metadata(&found).unwrap().permissions().mode() & 0o777;
        let wanted = if found.is_dir() { 0o755 } else { 0o444 };
        assert_eq!(mode & wanted, wanted, "{} is {mode:o}", found.display());
    }
    // A payload is a further name of the pool's file, an index is not.
    let inode = |path: std::path::PathBuf| fs::metadata(path).unwrap().ino();
    let pool = |text: &str| world.store.pool().path(&Digest::of(text.as_bytes()));
    assert_eq!(inode(place.join("pool/a/a_1.deb")), inode(pool("package a 1")));
    assert_ne!(inode(place.join("dists/s/main/Packages")), inode(pool("packages 1")));
    let page = fs::read_to_string(place.join("index.html")).unwrap();
    for told in [
        "bookworm",
        "mirrored byte for byte",
        "https://mirror.example.org/bookworm",
        "<code>/etc/client.conf</code>",
        "mirrored at site hq by Chantal",
        "<h2>For whoever runs the web server</h2>",
        "server.conf</a> belongs in /etc/server.conf",
        "&#60;here&#62;",
    ] {
        assert!(page.contains(told), "{told}:\n{page}");
    }
    assert!(!page.contains("http://") && !page.contains("<script"), "{page}");
    let root = fs::read_to_string(world.root().join("index.html")).unwrap();
    assert!(root.contains("href=\"bookworm/index.html\""), "{root}");
}

#[test]
fn nothing_new_touches_nothing() {
    let world = World::new();
    world.state("bookworm", ONE);
    world.publish(&["bookworm"]).unwrap();
    let stamp = || -> Vec<_> {
        let all = walk(world.root()).into_iter().filter(|p| !p.ends_with("lock"));
        all.map(|p| {
            let m = fs::symlink_metadata(&p).unwrap();
            (p, m.ino(), m.ctime(), m.ctime_nsec())
        })
        .collect()
    };
    let (before, entries) = (stamp(), world.entries());
    let outcome = &world.later(100).publish(&["bookworm"]).unwrap()[0];
    assert_eq!((outcome.turn, outcome.change.is_none(), outcome.files), (Turn::Unchanged, true, 6));
    assert_eq!(stamp(), before);
    assert_eq!(world.entries(), entries);
}

#[test]
fn a_plan_touches_nothing_and_tells_the_change() {
    let world = World::new();
    world.state("bookworm", ONE);
    let outcome = &world.plan(&["bookworm"]).unwrap()[0];
    assert_eq!((outcome.turn, outcome.change.added), (Turn::Planned, 9));
    assert!(!world.root().exists());
    world.publish(&["bookworm"]).unwrap();
    world.state("bookworm", TWO);
    let before = walk(world.root());
    let planned = world.plan(&["bookworm"]).unwrap()[0].change;
    assert_eq!(walk(world.root()), before);
    assert_eq!(world.seen("bookworm"), files(ONE));
    // The former by-hash file stays; the page tells of another snapshot.
    assert_eq!(planned, Change { added: 2, removed: 1, replaced: 3, kept: 5 });
    assert_eq!(world.publish(&["bookworm"]).unwrap()[0].change, planned);
}

#[test]
fn an_index_of_a_new_generation_is_later_and_an_old_one_keeps_its_time() {
    let world = World::new();
    let (index, same) = ("bookworm/dists/s/main/Packages", "bookworm/dists/s/main/Sources");
    let mtime = |path: &str| fs::metadata(world.published(path)).unwrap().mtime();
    let mut last = (i64::MIN, None);
    // The clock stands still, and even goes back: times of what changed rise all the same.
    for (turn, state) in (0_i64..).zip([ONE, TWO, ONE, TWO, ONE]) {
        world.state("bookworm", state);
        world.later(-turn).publish(&["bookworm"]).unwrap();
        assert!(mtime(index) > last.0, "turn {turn}");
        assert_eq!(mtime(same), last.1.unwrap_or(mtime(same)), "turn {turn}");
        last = (mtime(index), Some(mtime(same)));
        let seen: Vec<_> = world.seen("bookworm");
        assert!(files(state).iter().all(|f| seen.contains(f)), "turn {turn}");
    }
}

#[test]
fn by_hash_files_stay_for_one_generation() {
    let world = World::new();
    world.state("bookworm", ONE);
    world.publish(&["bookworm"]).unwrap();
    world.state("bookworm", TWO);
    world.publish(&["bookworm"]).unwrap();
    let old = world.published("bookworm/dists/s/main/by-hash/SHA256/01");
    assert_eq!(fs::read_to_string(&old).unwrap(), "packages 1");
    world.state("bookworm", THREE);
    world.publish(&["bookworm"]).unwrap();
    assert!(!old.exists());
    assert!(world.published("bookworm/dists/s/main/by-hash/SHA256/02").exists());
    world.state("bookworm", ONE);
    world.publish(&["bookworm"]).unwrap();
    assert_eq!(world.seen("bookworm"), files(ONE));
    // Directories that became empty are gone.
    world.state("bookworm", THREE);
    world.publish(&["bookworm"]).unwrap();
    assert!(!world.published("bookworm/pool/c").exists());
    // A payload of other bytes under its old name is no link: its time is later.
    let changed = fs::metadata(world.published("bookworm/pool/a/a_1.deb")).unwrap();
    assert_eq!(changed.nlink(), 1);
}

#[test]
fn directories_are_exchanged_where_links_are_not_followed() {
    let mut world = World::new();
    world.settings.switch = Switch::Exchange;
    for (turn, state) in [ONE, TWO, ONE, THREE].into_iter().enumerate() {
        world.state("bookworm", state);
        world.publish(&["bookworm"]).unwrap();
        let place = fs::symlink_metadata(world.published("bookworm")).unwrap();
        assert!(place.is_dir() && !place.is_symlink(), "turn {turn}");
        assert!(files(state).iter().all(|f| world.seen("bookworm").contains(f)), "turn {turn}");
    }
    // From one kind of switch to the other and back.
    for (turn, switch) in [Switch::Symlink, Switch::Exchange, Switch::Symlink].into_iter().enumerate() {
        world.settings.switch = switch;
        let state = if turn % 2 == 0 { ONE } else { TWO };
        world.state("bookworm", state);
        world.publish(&["bookworm"]).unwrap();
        let place = fs::symlink_metadata(world.published("bookworm")).unwrap();
        assert_eq!(place.is_symlink(), switch == Switch::Symlink, "turn {turn}");
        assert!(files(state).iter().all(|f| world.seen("bookworm").contains(f)), "turn {turn}");
    }
    world.state("bookworm", THREE);
    world.publish(&["bookworm"]).unwrap();
    let mut left: Vec<_> = walk(&world.root().join(".trees/bookworm"));
    left.retain(|p| p.parent() == Some(&world.root().join(".trees/bookworm")));
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn an_interrupted_standby_is_thrown_away() {
    let world = World::new();
    world.state("bookworm", ONE);
    world.publish(&["bookworm"]).unwrap();
    let standby = world.root().join(".trees/bookworm/b");
    fs::create_dir_all(standby.join("pool/a/a_1.deb")).unwrap();
    fs::write(standby.join("dists"), "half").unwrap();
    world.state("bookworm", TWO);
    world.publish(&["bookworm"]).unwrap();
    assert!(files(TWO).iter().all(|f| world.seen("bookworm").contains(f)));
    assert!(fs::metadata(world.published("bookworm").join("dists")).unwrap().is_dir());
}

#[test]
fn snapshots_have_places_of_their_own_and_paths_nest() {
    let world = World::new();
    world.state("bookworm", ONE);
    world.name("bookworm", "v1");
    world.state("bookworm", TWO);
    world.state("baseos", THREE);
    let request = Request { address: Address::parse("baseos").unwrap(), path: "rhel/9/baseos".into() };
    let requests = [World::request("bookworm"), World::request("bookworm@v1"), request.clone()];
    let outcomes =
        world.publisher().publish(&requests).unwrap().into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(outcomes[1].target, "snapshots/bookworm/v1");
    assert_eq!(world.seen("snapshots/bookworm/v1"), files(ONE));
    assert_eq!(world.seen("bookworm"), files(TWO));
    assert_eq!(world.seen("rhel/9/baseos"), files(THREE));
    let listed = world.publisher().list().unwrap();
    let targets: Vec<_> = listed.iter().map(|l| (l.target.as_str(), l.standing, l.outdated)).collect();
    let right = Standing::Right;
    let expected = [
        ("bookworm", right, false),
        ("rhel/9/baseos", right, false),
        ("snapshots/bookworm/v1", right, false),
    ];
    assert_eq!(targets, expected);
    world.state("bookworm", THREE);
    assert!(world.publisher().list().unwrap()[0].outdated);

    // Another path: what stands at the former one is served still, and said to be.
    let moved = Request { path: "el/9".into(), ..request };
    let outcome = world.publisher().publish(std::slice::from_ref(&moved)).unwrap().remove(0).unwrap();
    assert_eq!(outcome.notices, [Notice::Left { target: "rhel/9/baseos".into(), at: time(0) }]);
    assert!(matches!(world.publisher().unpublish("baseos"), Err(PublishError::Several { .. })));
    assert_eq!(world.publisher().unpublish("el/9").unwrap(), "el/9");
    assert_eq!(world.publisher().find("baseos").unwrap().target, "rhel/9/baseos");

    // Nothing may stand in a tree, around it, or in its place.
    let refused = |path: &str| {
        world
            .publisher()
            .publish(&[Request { address: Address::parse("baseos").unwrap(), path: path.into() }])
            .unwrap()
            .remove(0)
    };
    assert!(matches!(refused("bookworm/x"), Err(PublishError::Inside { .. })));
    assert!(matches!(refused("rhel"), Err(PublishError::Inside { .. })));
    assert!(matches!(refused("bookworm"), Err(PublishError::Same { .. })));
    fs::create_dir(world.published("mine")).unwrap();
    assert!(matches!(refused("mine"), Err(PublishError::Occupied { .. })));
    std::os::unix::fs::symlink("elsewhere", world.published("link")).unwrap();
    assert!(matches!(refused("link"), Err(PublishError::Occupied { .. })));

    for asked in ["bookworm@v1", "rhel/9/baseos", "bookworm"] {
        world.publisher().unpublish(asked).unwrap();
        assert!(matches!(world.publisher().unpublish(asked), Err(PublishError::NotPublished { .. })));
    }
    assert!(!world.published("rhel").exists() && !world.published("snapshots").exists());
    assert!(world.published("mine").exists());
    let root = fs::read_to_string(world.root().join("index.html")).unwrap();
    assert!(root.contains("Nothing is published"), "{root}");
}

#[test]
fn what_is_older_or_has_expired_is_said() {
    let world = World::new();
    let dated = |date, until| world.dated("bookworm", ONE, Some(time(date)), until);
    dated(1000, None);
    world.publish(&["bookworm"]).unwrap();
    world.dated("bookworm", TWO, Some(time(500)), Some(time(2000)));
    let notices = world.later(5000).publish(&["bookworm"]).unwrap().remove(0).notices;
    let expected =
        [Notice::Older { former: time(1000), now: time(500) }, Notice::Expired { until: time(2000) }];
    assert_eq!(notices, expected);
    assert_eq!(world.later(5000).publish(&["bookworm"]).unwrap().remove(0).notices, expected[1..]);
}

#[test]
fn what_cannot_be_linked_is_copied() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        println!("skipped: no second file system");
        return;
    };
    let mut world = World::new();
    world.settings.root = elsewhere.path().join("published");
    world.state("bookworm", ONE);
    let outcome = world.publish(&["bookworm"]).unwrap().remove(0);
    if fs::metadata(world.root()).unwrap().dev() == fs::metadata(world.store.root()).unwrap().dev() {
        println!("skipped: no second file system");
        return;
    }
    assert!(matches!(outcome.notices.as_slice(), [Notice::Copied { files: 3, .. }]), "{:?}", outcome.notices);
    assert_eq!(world.seen("bookworm"), files(ONE));
    for state in [TWO, ONE] {
        world.state("bookworm", state);
        world.publish(&["bookworm"]).unwrap();
    }
    assert!(files(ONE).iter().all(|f| world.seen("bookworm").contains(f)));
}

#[test]
fn a_damaged_index_is_not_published() {
    let world = World::new();
    world.state("bookworm", ONE);
    world.publish(&["bookworm"]).unwrap();
    world.state("bookworm", TWO);
    let blob = world.store.pool().path(&Digest::of(b"packages 2"));
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&blob, "packages !").unwrap();
    assert!(matches!(world.publish(&["bookworm"]), Err(PublishError::Damaged { .. })));
    assert_eq!(world.seen("bookworm"), files(ONE));
    fs::write(&blob, "packages 2").unwrap();
    world.publish(&["bookworm"]).unwrap();
    assert!(files(TWO).iter().all(|f| world.seen("bookworm").contains(f)));
}

#[test]
fn our_files_stand_whatever_the_repository_has_in_their_place() {
    let world = World::new();
    let kept = ("other.conf", "theirs", Role::Payload);
    let hostile = [
        ("client.conf", "theirs", Role::Payload),
        ("index.html/by-hash/SHA256/01", "theirs", Role::Index),
        ("index.html/x", "theirs", Role::Index),
        kept,
    ];
    world.state("bookworm", &hostile);
    for turn in 0..2 {
        let outcome = world.later(turn).publish(&["bookworm"]).unwrap().remove(0);
        let left = |name: &str, first: &str, files| Notice::LeftOut {
            name: name.into(),
            first: first.into(),
            files,
        };
        let expected =
            [left("client.conf", "client.conf", 1), left("index.html", "index.html/by-hash/SHA256/01", 2)];
        if turn == 0 {
            assert_eq!(outcome.notices, expected);
            assert!(outcome.notices[0].to_string().contains("upstream's `client.conf` is left out"));
        }
        let read = |name: &str| fs::read_to_string(world.published("bookworm").join(name)).unwrap();
        assert_eq!(read("client.conf"), "use https://mirror.example.org/bookworm <here>\n");
        assert!(page::is_ours(read("index.html").as_bytes()));
        assert_eq!(read("other.conf"), "theirs");
    }
    // A page of somebody else's at the root stays.
    fs::write(world.root().join("index.html"), "mine").unwrap();
    world.state("bookworm", ONE);
    world.publish(&["bookworm"]).unwrap();
    assert_eq!(fs::read_to_string(world.root().join("index.html")).unwrap(), "mine");
}

#[test]
fn what_was_named_by_its_digest_goes_where_a_file_takes_its_place() {
    let world = World::new();
    world.state("bookworm", &[("a/by-hash/SHA256/01", "1", Role::Index), ("b", "1", Role::Index)]);
    world.publish(&["bookworm"]).unwrap();
    let now = [("a", "2", Role::Index), ("b/by-hash/SHA256/02", "2", Role::Index)];
    world.state("bookworm", &now);
    world.publish(&["bookworm"]).unwrap();
    assert_eq!(world.seen("bookworm"), files(&now));
}

#[test]
fn a_path_that_is_file_and_directory_is_refused() {
    let world = World::new();
    world.state("bookworm", &[("a", "1", Role::Index), ("a/b", "2", Role::Index)]);
    let refused = world.publish(&["bookworm"]);
    assert!(matches!(refused, Err(PublishError::Tree { .. })), "{refused:?}");
    assert!(!world.published("bookworm").exists());
}

#[test]
fn one_that_cannot_be_published_holds_no_other_back() {
    let world = World::new();
    world.state("a", ONE);
    world.state("broken", &[("a", "1", Role::Index), ("a/b", "2", Role::Index)]);
    world.state("in-use", ONE);
    world.state("lost", THREE);
    world.state("outer", ONE);
    world.state("z", TWO);
    fs::remove_file(world.store.pool().path(&Digest::of(b"release 3"))).unwrap();
    fs::create_dir_all(world.published("taken")).unwrap();
    let _held = world.store.lock(Lock::Repository(&Name::new("in-use").unwrap())).unwrap();
    let mut requests: Vec<_> =
        ["a", "broken", "in-use", "lost", "never", "outer", "z"].into_iter().map(World::request).collect();
    requests[5].path = "taken".into();
    for turn in [Turn::Planned, Turn::Switched] {
        let results = match turn {
            Turn::Planned => world.publisher().plan(&requests).unwrap(),
            _ => world.publisher().publish(&requests).unwrap(),
        };
        let [a, broken, in_use, lost, never, outer, z] = results.as_slice() else { panic!() };
        assert_eq!(a.as_ref().unwrap().turn, turn);
        assert!(matches!(broken, Err(PublishError::Tree { .. })), "{broken:?}");
        assert!(matches!(in_use, Err(PublishError::Store(_))), "{in_use:?}");
        assert!(lost.is_err() || turn == Turn::Planned, "{lost:?}");
        assert!(matches!(never, Err(PublishError::Store(_))), "{never:?}");
        assert!(matches!(outer, Err(PublishError::Occupied { .. })), "{outer:?}");
        assert_eq!(z.as_ref().unwrap().turn, turn);
    }
    assert_eq!(world.seen("a"), files(ONE));
    assert_eq!(world.seen("z"), files(TWO));
    let listed = world.publisher().list().unwrap();
    assert_eq!(listed.iter().map(|l| l.target.as_str()).collect::<Vec<_>>(), ["a", "z"]);
    let root = fs::read_to_string(world.root().join("index.html")).unwrap();
    assert!(root.contains("href=\"z/index.html\"") && !root.contains("broken"), "{root}");
}

/// Returns everything below a directory, sorted, with the directory.
fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![dir.to_path_buf()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        let is_dir = fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) || at == 0;
        if is_dir && let Ok(entries) = fs::read_dir(&path) {
            found.extend(entries.map(|e| e.unwrap().path()));
        }
        at += 1;
    }
    found.sort();
    found.retain(|p| !p.ends_with(LIST));
    found
}
