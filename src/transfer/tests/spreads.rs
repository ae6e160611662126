//! A bundle on several media.

use std::collections::BTreeSet;

use super::*;

/// A collector, a receiver, and a bundle of some six volumes; with parity, or without.
fn world(percent: Option<&str>) -> (Side, Side, Written) {
    let (mut collector, receiver) = sides();
    collector.parity = percent.map(|percent| percent.parse().unwrap());
    let blobs: Vec<(String, Vec<u8>)> = (0..12_usize)
        .map(|n| (format!("pool/{n}.deb"), noise(n as u64 + 1, (1 << 20) + n * 71_111)))
        .collect();
    let files: Vec<(&str, &[u8])> = blobs.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
    collector.state("bookworm", &files, 1);
    let written = collector.try_export(&["bookworm"], "none", 4 << 20).unwrap().unwrap();
    assert!(written.manifest.volumes.len() >= 3);
    (collector, receiver, written)
}

fn request<'a>(written: &'a Written, onto: Onto<'a>) -> SpreadRequest<'a> {
    SpreadRequest { bundle: &written.path, onto, after_write: AfterWrite::ReadBack }
}

/// Spreads into directories for media of so many bytes.
fn made(collector: &Side, written: &Written, out: &Path, size: u64) -> Result<Spread, TransferError> {
    fs::create_dir_all(out).unwrap();
    spread(&collector.store, &request(written, Onto::Made { out, size }), &Silent)
}

fn paths(spread: &Spread) -> Vec<PathBuf> {
    spread.shares.iter().map(|share| share.path.clone()).collect()
}

fn is_large(name: &str) -> bool {
    name.starts_with("volume-") || (name.starts_with("parity-") && name != "parity-0000")
}

#[test]
fn each_medium_has_the_small_files_and_together_they_have_the_rest_once() {
    for percent in [None, Some("34%")] {
        let (collector, receiver, written) = world(percent);
        let out = collector.dir.path().join("discs");
        let result = made(&collector, &written, &out, 9 << 20).unwrap();
        assert!(result.shares.len() >= 2);
        let whole = files(&written.path);
        let mut large = BTreeSet::new();
        for (n, share) in result.shares.iter().enumerate() {
            assert_eq!(share.path.parent().unwrap(), out.join(format!("medium-{:02}", n + 1)));
            let there = files(&share.path);
            assert_eq!(there.values().map(|bytes| bytes.len() as u64).sum::<u64>(), share.bytes);
            assert!(share.bytes <= 9 << 20, "{}", share.bytes);
            for (name, bytes) in &there {
                assert_eq!(Some(bytes), whole.get(name), "{name}");
                assert!(!is_large(name) || large.insert(name.clone()), "{name} lies on two");
            }
            let small = |of: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
                of.keys().filter(|name| !is_large(name)).cloned().collect()
            };
            assert_eq!(small(&there), small(&whole));
        }
        assert_eq!(large.len(), whole.keys().filter(|name| is_large(name)).count());
        // one medium a visit, the last one first
        for path in paths(&result).iter().skip(1).rev() {
            assert!(matches!(receiver.import(path), Ok(ImportOutcome::Waiting { .. })));
        }
        imported(receiver.import(&result.shares[0].path));
        assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));
    }
}

#[test]
fn a_medium_that_is_called_spare_may_be_lost() {
    let (collector, _, written) = world(Some("50%"));
    let media: Vec<PathBuf> = (0..4).map(|n| collector.dir.path().join(format!("stick{n}"))).collect();
    for medium in &media {
        fs::create_dir(medium).unwrap();
    }
    let result = spread(&collector.store, &request(&written, Onto::Media(&media)), &Silent).unwrap();
    assert!(result.shares.iter().all(|share| share.spare && !share.files.is_empty()), "{result:?}");
    for lost in 0..media.len() {
        let receiver = Side::new("plant-7");
        receiver.trust(&collector);
        let mut rest = paths(&result);
        rest.remove(lost);
        imported(receiver.import_all(&rest).pop().unwrap());
        assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));
    }
    // two media have too much of it, and without parity every one is needed
    let (two, _) = media.split_at(2);
    for medium in two {
        fs::remove_dir_all(medium).unwrap();
        fs::create_dir(medium).unwrap();
    }
    let (collector, receiver, written) = world(Some("20%"));
    let result = spread(&collector.store, &request(&written, Onto::Media(two)), &Silent).unwrap();
    assert!(result.shares.iter().all(|share| !share.spare), "{result:?}");
    let outcome = receiver.import_all(&paths(&result)[..1]).pop().unwrap();
    assert!(matches!(outcome, Ok(ImportOutcome::Waiting { .. })), "{outcome:?}");
    let (collector, _, plain) = world(None);
    let result = plan_spread(&collector.store, &request(&plain, Onto::Media(&media[2..]))).unwrap_err();
    assert!(
        matches!(result, TransferError::Export(ExportError::Exists { .. })),
        "of another bundle of that name: {result}"
    );
    let out = collector.dir.path();
    let result = plan_spread(&collector.store, &request(&plain, Onto::Made { out, size: 9 << 20 })).unwrap();
    assert!(result.shares.len() > 1 && result.shares.iter().all(|share| !share.spare), "{result:?}");
    assert!(!out.join("medium-01").exists(), "a plan writes nothing");
}

#[test]
fn what_an_earlier_run_finished_stays_and_the_rest_follows() {
    let (collector, receiver, written) = world(None);
    let out = collector.dir.path().join("discs");
    let first = made(&collector, &written, &out, 9 << 20).unwrap();
    // as if it had been killed in the second: a part of it beside its place
    let second = &first.shares[1].path;
    let partial = second.with_file_name(format!(".{}.partial", written.bundle));
    fs::rename(second, &partial).unwrap();
    fs::write(partial.join("volume-0001.tar.zst"), b"half").unwrap();
    let again = made(&collector, &written, &out, 9 << 20).unwrap();
    // what lies behind a gap is looked for, too
    let before: Vec<bool> = again.shares.iter().map(|share| share.before).collect();
    assert_eq!(before, (0..first.shares.len()).map(|n| n != 1).collect::<Vec<_>>());
    assert_eq!(again.shares[1].files, first.shares[1].files);
    assert!(!partial.exists());
    imported(receiver.import_all(&paths(&again)).pop().unwrap());
    // a rotten file in a finished one is named, and another bundle there is no place for this one
    let volume = first.shares[0].path.join(&first.shares[0].files[0]);
    let mut bytes = fs::read(&volume).unwrap();
    bytes[77] ^= 1;
    fs::write(&volume, bytes).unwrap();
    match made(&collector, &written, &out, 9 << 20).unwrap_err() {
        TransferError::Altered { path, .. } => assert_eq!(path, volume),
        other => panic!("{other}"),
    }
    fs::write(first.shares[0].path.join("manifest.json"), "{}").unwrap();
    let error = made(&collector, &written, &out, 9 << 20).unwrap_err();
    assert!(matches!(error, TransferError::Export(ExportError::Exists { .. })), "{error}");
}

#[test]
fn what_is_damaged_missing_or_too_large_is_named_and_nothing_is_left() {
    let (collector, _, written) = world(Some("34%"));
    let out = collector.dir.path().join("discs");
    let error = made(&collector, &written, &out, 3 << 20).unwrap_err();
    let TransferError::Export(ExportError::Misfit { name, size, media: 1, room, .. }) = &error else {
        panic!("{error}")
    };
    assert!(name == "volume-0001.tar.zst" && *size > *room && *room < 3 << 20, "{error}");
    assert!(error.hint().unwrap().contains("--volume-size"), "{error}");
    assert!(files(&out).is_empty());
    // a rotten file of the bundle is found as it is read
    let volume = written.path.join("volume-0002.tar.zst");
    let good = fs::read(&volume).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&volume, bad).unwrap();
    let error = made(&collector, &written, &out, 100 << 20).unwrap_err();
    assert!(matches!(&error, TransferError::Altered { path, .. } if *path == volume), "{error}");
    assert!(error.is_refusal());
    assert!(files(&out).is_empty());
    fs::remove_file(&volume).unwrap();
    let error = made(&collector, &written, &out, 100 << 20).unwrap_err();
    assert!(
        matches!(&error, TransferError::Export(ExportError::NotWhole { name, .. }) if name == "volume-0002.tar.zst"),
        "{error}"
    );
    fs::write(&volume, good).unwrap();
    // a bundle that nobody signed is spread by nobody
    fs::remove_dir_all(written.path.join("signatures")).unwrap();
    fs::remove_dir_all(written.path.join("copy")).unwrap();
    let error = made(&collector, &written, &out, 100 << 20).unwrap_err();
    assert!(matches!(error, TransferError::Untrusted { .. }), "{error}");
    let nowhere = [out.join("not-mounted")];
    let error = plan_spread(&collector.store, &request(&written, Onto::Media(&nowhere))).unwrap_err();
    assert!(error.is_refusal() || matches!(error, TransferError::Export(ExportError::Out { .. })), "{error}");
    assert!(!nowhere[0].exists());
}
