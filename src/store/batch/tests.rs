use std::io::{ErrorKind, Read};

use super::*;
use crate::store::{Verdict, file};

struct Scratch {
    dir: tempfile::TempDir,
    pool: Pool,
}

fn scratch() -> Scratch {
    let dir = crate::store::tests::scratch();
    for name in ["tmp", "pool", "pool/sha256"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let pool = Pool::new(dir.path());
    Scratch { dir, pool }
}

fn text(mut file: File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_blob_is_seen_once_it_is_whole_and_named_once_it_is_durable() {
    let scratch = scratch();
    let batch = scratch.pool.batch().unwrap();
    let blob = Digest::of(b"hello");
    let mut writer = batch.writer(&Expect::exactly(5, vec![blob.into()])).unwrap();
    writer.write_all(b"hel").unwrap();
    assert_eq!((writer.written(), batch.has(&blob).unwrap()), (3, None));
    writer.write_all(b"lo").unwrap();
    assert_eq!(writer.finish().unwrap(), Measured { sha256: blob, size: 5 });
    assert_eq!((batch.has(&blob).unwrap(), scratch.pool.has(&blob).unwrap()), (Some(5), None));
    assert_eq!(text(batch.open(&blob).unwrap()), "hello");
    batch.flush().unwrap();
    assert_eq!((batch.has(&blob).unwrap(), scratch.pool.has(&blob).unwrap()), (Some(5), Some(5)));
    assert_eq!(text(batch.open(&blob).unwrap()), "hello");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(scratch.pool.path(&blob)).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o444);
    assert!(matches!(scratch.pool.verify(&blob).unwrap(), Verdict::Good(_)));
}

#[test]
fn nothing_enters_that_is_not_as_expected() {
    let scratch = scratch();
    let batch = scratch.pool.batch().unwrap();
    let good = Digest::of(b"hello");
    for (expect, bytes) in [
        (Expect::exactly(5, vec![good.into()]), "hellu"),
        (Expect::exactly(5, vec![good.into()]), "hell"),
        (Expect { size: None, checksums: vec![good.into()], limit: 100 }, "hell"),
    ] {
        let mut writer = batch.writer(&expect).unwrap();
        writer.write_all(bytes.as_bytes()).unwrap();
        assert!(matches!(writer.finish(), Err(StoreError::Mismatch { .. })));
    }
    for expect in [Expect::exactly(5, vec![]), Expect::at_most(5)] {
        let mut writer = batch.writer(&expect).unwrap();
        writer.write_all(b"hello").unwrap();
        let error = writer.write_all(b"!").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(matches!(StoreError::io(Path::new("x"), error), StoreError::Mismatch { .. }));
        assert!(matches!(writer.finish(), Err(StoreError::Mismatch { .. })));
    }
    batch.flush().unwrap();
    assert_eq!(scratch.pool.iter().count(), 0);
    // only the lock of the stage is left
    assert_eq!(file::list(batch.inner.stage.dir()).unwrap(), ["lock"]);
}

#[test]
fn a_restart_measures_anew() {
    let scratch = scratch();
    let batch = scratch.pool.batch().unwrap();
    let mut writer = batch.writer(&Expect::exactly(2, vec![Digest::of(b"ok").into()])).unwrap();
    writer.write_all(b"no").unwrap();
    writer.write_all(b"!").unwrap_err();
    writer.restart().unwrap();
    assert_eq!(writer.written(), 0);
    writer.write_all(b"ok").unwrap();
    let measured = writer.finish().unwrap();
    batch.flush().unwrap();
    assert_eq!(text(scratch.pool.open(&measured.sha256).unwrap()), "ok");
}

#[test]
fn what_was_not_flushed_is_gone() {
    let scratch = scratch();
    let batch = scratch.pool.batch().unwrap();
    let kept = batch.put(b"kept").unwrap();
    batch.flush().unwrap();
    let lost = batch.put(b"lost").unwrap();
    let half = batch.writer(&Expect::at_most(9)).unwrap();
    drop(half);
    drop(batch);
    assert_eq!(scratch.pool.iter().map(|b| b.unwrap()).collect::<Vec<_>>(), [(kept.sha256, 4)]);
    assert!(matches!(scratch.pool.open(&lost.sha256), Err(StoreError::Missing { .. })));
    assert_eq!(file::list(&scratch.dir.path().join("tmp")).unwrap(), ["lock"]);
}

#[test]
fn flushes_by_itself_and_takes_many_writers() {
    let scratch = scratch();
    let batch = scratch.pool.batch().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let batch = &batch;
            scope.spawn(move || {
                for number in 0..FLUSH_BLOBS / 2 {
                    // every blob comes from two threads
                    let bytes = format!("{} {number}", thread % 2);
                    batch.put(bytes.as_bytes()).unwrap();
                }
            });
        }
    });
    let named = scratch.pool.iter().count();
    assert!(named >= FLUSH_BLOBS / 2, "{named}");
    batch.flush().unwrap();
    assert_eq!(scratch.pool.iter().count(), FLUSH_BLOBS);
}

#[test]
fn large_blobs_are_synced_in_the_background_and_named_all_the_same() {
    let scratch = scratch();
    let batch = scratch.pool.batch().unwrap();
    let names: Vec<Digest> = (0u8..5)
        .map(|n| {
            let mut writer = batch.writer(&Expect::at_most(u64::MAX)).unwrap();
            writer.write_all(&vec![n; usize::try_from(LARGE).unwrap() + 1]).unwrap();
            writer.finish().unwrap().sha256
        })
        .collect();
    batch.flush().unwrap();
    for name in names {
        assert!(matches!(scratch.pool.verify(&name).unwrap(), Verdict::Good(_)));
    }
}

#[test]
fn damage_is_seen_and_put_aside() {
    let scratch = scratch();
    let batch = scratch.pool.batch().unwrap();
    let blob = batch.put(b"soon damaged").unwrap().sha256;
    batch.flush().unwrap();
    let path = scratch.pool.path(&blob);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"soon damagef").unwrap();
    assert!(matches!(scratch.pool.verify(&blob).unwrap(), Verdict::Damaged { size: 12, .. }));
    assert!(matches!(scratch.pool.read(&blob, 99), Err(StoreError::Damaged { .. })));
    let aside = scratch.pool.quarantine(&blob).unwrap();
    assert!(aside.exists());
    assert_eq!(scratch.pool.verify(&blob).unwrap(), Verdict::Missing);
    batch.put(b"soon damaged").unwrap();
    batch.flush().unwrap();
    assert!(matches!(scratch.pool.verify(&blob).unwrap(), Verdict::Good(_)));
}

#[test]
fn who_only_looks_leaves_nothing_however_much_it_reads() {
    let scratch = scratch();
    let batch = scratch.pool.scratch().unwrap();
    for number in 0..=FLUSH_BLOBS {
        batch.put(number.to_string().as_bytes()).unwrap();
    }
    batch.flush().unwrap();
    assert_eq!(batch.has(&Digest::of(b"1")).unwrap(), Some(1));
    assert_eq!(text(batch.open(&Digest::of(b"1")).unwrap()), "1");
    assert_eq!(std::fs::read_dir(scratch.pool.blobs()).unwrap().count(), 0);
    drop(batch);
    assert_eq!(scratch.pool.iter().count(), 0);
}
