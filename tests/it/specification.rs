//! The bundle format as its specification says it: a reader that was written from docs/bundle-format.md alone, and bundles that every
//! later version must still read.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{
    clients::have,
    fixtures::pypi::Wheel,
    world::{Site, World, bundle, contents, copy, text},
};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bundle-v1")
}

fn tools() -> bool {
    ["python3", "ssh-keygen", "sha256sum", "zstd", "tar"].map(have).into_iter().all(|there| there)
}

/// Unpacks bundles by the reader that knows nothing but the specification.
fn unpack(key: &str, out: &Path, bundles: &[PathBuf]) -> Output {
    Command::new("python3").arg(vectors().join("unpack.py")).arg(key).arg(out).args(bundles).output().unwrap()
}

/// The algorithm and the key of a public line, without its comment.
fn key_line(path: &Path) -> String {
    let line = fs::read_to_string(path).unwrap();
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_the_program_writes_is_what_the_specification_says() {
    if !tools() {
        return;
    }
    let mut world = World::with_files();
    let first = world.deliver(1);
    world.receive(&first);
    world.upstreams.grow();
    let second = world.deliver(2);
    world.receive(&second);
    let out = world.dir.path().join("unpacked");
    let key = key_line(&world.dir.path().join("hq.pub"));
    let told = unpack(&key, &out, &[first.clone(), second]);
    assert!(told.status.success(), "{}", text(&told));
    for (repository, under) in [("debian", "pool"), ("tools", ""), ("wheels", "packages")] {
        let unpacked = contents(&out.join("tree").join(repository).join(under));
        assert!(unpacked.len() > 2, "{repository}");
        for (path, bytes) in unpacked {
            let published = world.plant.published(repository).join(under).join(&path);
            assert_eq!(fs::read(&published).unwrap(), bytes, "{}", published.display());
        }
    }
    // and it refuses what it must
    let bad = world.dir.path().join("bad");
    for name in ["manifest.json", "index.zst", "volume-0001.tar.zst", "trust/0001.json", "review.json"] {
        let _ = fs::remove_dir_all(&bad);
        copy(&first, &bad);
        let mut bytes = fs::read(bad.join(name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(bad.join(name), bytes).unwrap();
        let told = unpack(&key, &world.dir.path().join(name.replace('/', "-")), std::slice::from_ref(&bad));
        assert!(!told.status.success(), "{name}");
    }
}

#[test]
fn bundles_of_version_1_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    let all = [1, 2].map(|sequence| bundle(&vectors(), sequence));
    if tools() {
        let out = dir.path().join("unpacked");
        let told = unpack(&key_line(&vectors().join("hq.pub")), &out, &all);
        assert!(told.status.success(), "{}", text(&told));
        assert_eq!(contents(&out.join("tree/wheels")).len(), 6);
    }
    let plant = Site::receiver(&dir.path().join("plant"), "plant-7");
    let key = vectors().join("hq.pub");
    let listed = Command::new("ssh-keygen").arg("-lf").arg(&key).output().unwrap();
    let listed = text(&listed);
    let fingerprint = listed.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap();
    let key = key.to_str().unwrap();
    plant.ok(["trust", "add", key, "--collector", "hq", "--fingerprint", fingerprint]);
    for bundle in &all {
        plant.ok(["bundle", "verify", bundle.to_str().unwrap()]);
        plant.ok(["import", bundle.to_str().unwrap()]);
    }
    plant.ok(["publish"]);
    let wheel = "packages/hello-world/hello_world-1.1-py3-none-any.whl";
    assert!(plant.published("wheels").join(wheel).is_file());
    assert!(plant.published("tools").join("repodata/repomd.xml.asc").is_file());
}

#[test]
#[ignore = "writes the bundles of tests/fixtures/bundle-v1 anew, signed by a key that nobody has afterwards"]
fn the_bundles_of_version_1_are_written() {
    let mut world = World::with_files();
    let url = format!("file://{}", world.upstreams.dir.display());
    let configuration =
        world.upstreams.configuration(&url).replace("[debian, tools, wheels]", "[tools, wheels], every: 30d");
    world.hq.configure("collector", "hq", &configuration);
    world.hq.ok(["sync"]);
    let media = world.dir.path().join("media");
    fs::create_dir(&media).unwrap();
    let out = media.to_str().unwrap();
    world.hq.ok(["export", "--to", "plant-7", "--since", "none", "--parity", "10%", "--out", out]);
    world.upstreams.pypi.add(Wheel::new("hello-world", "1.1").requires("greeting>=1"));
    world.upstreams.publish();
    let written = [bundle(&media, 1), world.deliver(2)];
    fs::copy(world.dir.path().join("hq.pub"), vectors().join("hq.pub")).unwrap();
    for (sequence, written) in (1..).zip(written) {
        let former = vectors().join(written.file_name().unwrap());
        let _ = fs::remove_dir_all(&former);
        copy(&written, &former);
        assert_eq!(bundle(&vectors(), sequence), former);
    }
}
