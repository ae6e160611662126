//! Bytes that rotted on the disk, and the trees that were made of them.

use super::*;
use crate::store::{Depth, StoreError};

const PACKAGE: &str = "bookworm/pool/a/a_1.deb";

/// Flips the bytes of a package in the pool's own file, and where it was copied, in the tree's.
fn rot(world: &World) -> std::path::PathBuf {
    let blob = world.store.pool().path(&Digest::of(b"package a 1"));
    for path in [blob.clone(), world.published(PACKAGE)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, "package ? 1").unwrap();
    }
    blob
}

/// Brings the blob again, as a sync or an import does.
fn heal(world: &World) {
    let batch = world.store.pool().batch().unwrap();
    batch.put(b"package a 1").unwrap();
    batch.flush().unwrap();
}

#[test]
fn what_rotted_is_replaced_once_the_pool_is_healed() {
    for link in [Link::Hardlink, Link::Copy, Link::Reflink] {
        for switch in [Switch::Symlink, Switch::Exchange] {
            let mut world = World::new();
            (world.settings.link, world.settings.switch) = (link, switch);
            // Both trees of the place are made of it.
            for state in [TWO, ONE] {
                world.state("bookworm", state);
                world.publish(&["bookworm"]).unwrap();
            }
            let blob = rot(&world);
            assert_eq!(world.publisher().list().unwrap()[0].standing, Standing::Right, "nobody looked yet");
            assert!(!world.store.verify(Depth::Full, &crate::report::Silent).unwrap().is_good());
            assert_eq!(world.publisher().list().unwrap()[0].standing, Standing::Damaged { files: 1 });

            assert!(!blob.exists());
            let missing = world.publish(&["bookworm"]).unwrap_err();
            assert!(matches!(missing, PublishError::Store(StoreError::Missing { .. })), "{missing}");
            heal(&world);
            let planned = world.plan(&["bookworm"]).unwrap().remove(0);
            assert_eq!((planned.turn, planned.change.replaced), (Turn::Planned, 1), "{link:?}");
            let outcome = world.later(10).publish(&["bookworm"]).unwrap().remove(0);
            assert_eq!((outcome.turn, outcome.change), (Turn::Switched, planned.change), "{link:?}");
            assert_eq!(fs::read_to_string(world.published(PACKAGE)).unwrap(), "package a 1");
            assert_eq!(world.publisher().list().unwrap()[0].standing, Standing::Right);
            assert_eq!(world.later(10).publish(&["bookworm"]).unwrap()[0].turn, Turn::Unchanged);

            // The other tree held the damaged file, too: it comes back neither now nor without the mark.
            fs::remove_dir_all(world.store.root().join("pool/damaged")).unwrap();
            for state in [TWO, ONE] {
                world.state("bookworm", state);
                world.later(10).publish(&["bookworm"]).unwrap();
                assert_eq!(fs::read_to_string(world.published(PACKAGE)).unwrap(), "package a 1", "{link:?}");
            }
        }
    }
}

#[test]
fn a_copy_that_was_made_before_the_rot_is_left_alone() {
    let mut world = World::new();
    world.settings.link = Link::Copy;
    world.state("bookworm", ONE);
    world.publish(&["bookworm"]).unwrap();
    let blob = world.store.pool().path(&Digest::of(b"package a 1"));
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&blob, "package ? 1").unwrap();
    assert!(!world.store.verify(Depth::Full, &crate::report::Silent).unwrap().is_good());
    assert_eq!(world.publisher().list().unwrap()[0].standing, Standing::Right);
    assert_eq!(world.publish(&["bookworm"]).unwrap()[0].turn, Turn::Unchanged);
}

#[test]
fn a_former_by_hash_file_that_rotted_is_not_kept() {
    let world = World::new();
    world.state("bookworm", ONE);
    world.publish(&["bookworm"]).unwrap();
    let blob = world.store.pool().path(&Digest::of(b"packages 1"));
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&blob, "packages ?").unwrap();
    assert!(!world.store.verify(Depth::Full, &crate::report::Silent).unwrap().is_good());
    world.state("bookworm", TWO);
    world.later(10).publish(&["bookworm"]).unwrap();
    assert_eq!(world.seen("bookworm"), files(TWO));
}
