//! Looking at bundles on several media: put together, each answered, and absence told from damage.

use std::sync::Mutex;

use super::*;
use crate::report::{Event as Report, Reporter};

/// Keeps warnings.
#[derive(Default)]
pub(super) struct Told(pub Mutex<Vec<String>>);

impl Reporter for Told {
    fn event(&self, event: Report<'_>) {
        if let Report::Warning { subject, text } = event {
            self.0.lock().unwrap().push(format!("{subject}: {text}"));
        }
    }
}

/// A bundle of three volumes or more with parity, spread by hand: small files on each medium, the volumes and parity one by one.
fn spread(percent: &str) -> (Side, Side, Written, Vec<PathBuf>) {
    let (mut collector, receiver) = sides();
    collector.parity = Some(percent.parse().unwrap());
    collector.state("bookworm", &[("a", &noise(1, 9 << 20)), ("b", b"b")], 1);
    let written = collector.try_export(&["bookworm"], "none", 4 << 20).unwrap().unwrap();
    let large = |name: &str| name.starts_with("volume-") || name.starts_with("parity-");
    let all = files(&written.path);
    let mut media = Vec::new();
    for (number, name) in all.keys().filter(|name| large(name)).enumerate() {
        let dir = receiver.dir.path().join(format!("d{number}/{}", written.bundle));
        copy_tree(&written.path, &dir);
        for other in all.keys().filter(|other| large(other) && *other != name) {
            fs::remove_file(dir.join(other)).unwrap();
        }
        media.push(dir);
    }
    (collector, receiver, written, media)
}

fn spoil(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at..at + 100].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(path, bytes).unwrap();
}

#[test]
fn media_are_put_together() {
    let (_collector, receiver, written, media) = spread("34%");
    let volumes = written.manifest.volumes.len();
    let found = inspect(&receiver.store, &media).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].as_ref().unwrap().at_hand.len(), volumes);
    let verified = verified_at(&receiver, &media);
    assert!(verified.is_good() && verified.is_whole() && verified.is_sound(), "{verified:?}");

    // the index lies on one of them only, and a volume is lost: parity on another makes up for it
    for dir in media.iter().skip(1) {
        fs::remove_file(dir.join("index.zst")).unwrap();
    }
    let at = media.iter().position(|dir| dir.join("volume-0002.tar.zst").is_file()).unwrap();
    fs::remove_file(media[at].join("volume-0002.tar.zst")).unwrap();
    let verified = verified_at(&receiver, &media);
    assert!(verified.is_good() && verified.is_whole() && !verified.is_sound(), "{verified:?}");
    let repairable = verified.volumes.iter().filter(|(_, v)| matches!(v, VolumeVerdict::Repairable));
    assert_eq!(repairable.count(), 1);
}

#[test]
fn two_bad_copies_make_a_good_one_and_the_bad_bytes_are_named() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", &noise(1, 3 << 20))], 1);
    let written = collector.export(&["bookworm"], "none");
    let copies: Vec<PathBuf> = ["one", "two"].map(|c| receiver.dir.path().join(c)).into();
    for (copy, at) in copies.iter().zip([5_000, 2_500_000]) {
        copy_tree(&written.path, copy);
        spoil(&copy.join("volume-0001.tar.zst"), at);
    }
    let verified = verified_at(&receiver, &copies);
    assert!(verified.is_good() && verified.is_whole() && !verified.is_sound(), "{verified:?}");
    let ranges = &verified.damage[0].ranges;
    assert_eq!((ranges.len(), ranges[0].clone()), (1, 0..16_384));
    assert!(verified.damage[0].words().contains("bytes 0 to 16384"), "{}", verified.damage[0].words());
    let imported = imported(receiver.import_all(&copies).remove(0));
    assert_eq!(&imported.repaired[0].ranges, ranges);

    // one good copy is enough, and the other is not passed over in silence
    let good = receiver.dir.path().join("good");
    copy_tree(&written.path, &good);
    let verified = verified_at(&receiver, &[copies[0].clone(), good]);
    assert!(verified.is_good() && verified.damage.is_empty() && !verified.is_sound(), "{verified:?}");
    assert!(verified.spare[0].contains("another copy of it is good"), "{:?}", verified.spare);
}

#[test]
fn what_is_not_at_hand_is_not_damaged() {
    let (_collector, receiver, written, media) = spread("34%");
    let small = &media[media.iter().position(|dir| dir.join("volume-0001.tar.zst").is_file()).unwrap()];
    fs::remove_file(small.join("SHA256SUMS")).unwrap();
    fs::remove_dir_all(small.join("copy")).unwrap();
    let verified = verified_at(&receiver, std::slice::from_ref(small));
    assert!(verified.is_good() && !verified.is_whole(), "{verified:?}");
    assert_eq!(verified.spare, Vec::<String>::new());
    for absent in ["`parity-0000`", "`parity-0001`", "/copy`", "`SHA256SUMS`"] {
        assert!(verified.absent.iter().any(|text| text.ends_with(absent)), "{absent}: {:?}", verified.absent);
    }
    // damage is damage
    let whole = receiver.dir.path().join("whole");
    copy_tree(&written.path, &whole);
    spoil(&whole.join("parity-0001"), 0);
    let verified = verified_at(&receiver, &[whole]);
    assert!(verified.is_good() && verified.absent.is_empty(), "{verified:?}");
    assert!(verified.spare[0].contains("parity-0001` is damaged"), "{:?}", verified.spare);
}

#[test]
fn every_bundle_is_answered() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let first = collector.export(&["bookworm"], "none").path;
    collector.state("bookworm", &[("b", b"b")], 2);
    collector.export(&["bookworm"], "none");
    fs::write(first.join("manifest.json"), b"{}").unwrap();
    let medium = first.parent().unwrap().to_path_buf();
    let verified = verify(&receiver.store, std::slice::from_ref(&medium), &Silent).unwrap();
    assert_eq!(verified.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
    let inspected = inspect(&receiver.store, &[medium]).unwrap();
    assert_eq!(inspected.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
    assert_eq!(inspected[0].as_ref().unwrap_err().bundle().unwrap(), "hq.plant-7-e01-000001");
}

#[test]
fn who_approves_names_a_bundle_or_the_medium_of_one() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let first = collector.export(&["bookworm"], "none").path;
    let medium = first.parent().unwrap();
    assert_eq!(look(&receiver.store, medium).unwrap().path, first);
    collector.state("bookworm", &[("b", b"b")], 2);
    collector.export(&["bookworm"], "none");
    let fault = look(&receiver.store, medium).unwrap_err();
    let said = fault.to_string();
    assert!(said.contains("hq.plant-7-e01-000001") && said.contains("hq.plant-7-e01-000002"), "{said}");
    assert!(fault.hint().unwrap().contains("name one of them"), "{fault}");
}

#[test]
fn an_inspection_says_who_signed_and_approved() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let first = collector.export(&["bookworm"], "none").path;
    let found = inspected(&receiver, &first);
    assert_eq!(found.signed, [collector.key.fingerprint()]);
    assert_eq!((found.approved.len(), found.needed), (0, 0));
}

/// Sums what a piece of work says that it has, and what it says that it did.
#[derive(Default)]
struct Sums(Mutex<(u64, i64)>);

impl Reporter for Sums {
    fn event(&self, event: Report<'_>) {
        let mut sums = self.0.lock().unwrap();
        match event {
            Report::Begin { bytes, .. } => sums.0 += bytes.unwrap_or(0),
            Report::Bytes { delta, .. } => sums.1 += delta,
            _ => {}
        }
    }
}

#[test]
fn progress_counts_a_blob_in_parts_once() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a"), ("large", &noise(1, 9 << 20))], 1);
    let written = collector.try_export(&["bookworm"], "none", 4 << 20).unwrap().unwrap();
    assert!(written.manifest.volumes.len() > 2);
    let sums = Sums::default();
    for outcome in import(&receiver.store, &[written.path], RULELESS, at(200), &sums).unwrap() {
        imported(outcome);
    }
    let (promised, done) = *sums.0.lock().unwrap();
    assert_eq!(i64::try_from(promised).unwrap(), done);
}
