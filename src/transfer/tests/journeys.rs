//! What is meant to work.

use chantal_bundle::manifest::Delivery;
use chantal_contract::limits::VOLUME_BYTES_LEAST;

use super::*;

#[test]
fn a_full_and_a_small_bundle_bring_a_site_up_to_date() {
    let (collector, receiver) = sides();
    let big = noise(1, 300_000);
    collector.state("bookworm", &[("a.deb", b"a"), ("b.deb", &big), ("empty", b"")], 1);
    let first = collector.export(&["bookworm"], "acknowledged");
    assert_eq!(first.bundle.to_string(), "hq.plant-7-e01-000001");
    assert_eq!(first.manifest.delivery, Delivery::Full);
    assert_eq!((first.manifest.states[0].files, first.manifest.states[0].bytes), (3, 300_001));
    let done = imported(receiver.import(&first.path));
    assert_eq!(done.blobs, 5);
    assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));
    assert_eq!(receiver.read("bookworm", "b.deb"), big);

    collector.state("bookworm", &[("b.deb", &big), ("c.deb", b"c"), ("moved", b"a"), ("empty", b"")], 2);
    let second = collector.export(&["bookworm"], "last");
    assert_eq!(second.bundle.to_string(), "hq.plant-7-e01-000002");
    assert_eq!(second.manifest.delivery, Delivery::Assumed);
    assert_eq!(second.manifest.bases[0].bundle.as_ref(), Some(&first.bundle));
    assert!(second.manifest.counts.bytes < 1_000, "{} bytes", second.manifest.counts.bytes);
    let done = imported(receiver.import(&second.path));
    assert_eq!(done.blobs, 2, "the new file and the new page of evidence");
    assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));
    assert_eq!(receiver.read("bookworm", "moved"), b"a");

    // Again: nothing happens, and that is success.
    let entries = receiver.entries();
    for bundle in [&second, &first] {
        assert!(matches!(receiver.import(&bundle.path), Ok(ImportOutcome::Already { .. })));
    }
    assert_eq!(receiver.entries(), entries);
}

#[test]
fn nothing_new_is_no_bundle() {
    let (collector, _) = sides();
    assert!(matches!(
        collector.try_export(&["bookworm"], "last", VOLUME_SIZE),
        Err(TransferError::Export(ExportError::NothingThere { .. }))
    ));
    collector.state("bookworm", &[("a", b"a")], 1);
    collector.export(&["bookworm"], "last");
    let entries = collector.entries();
    assert!(collector.try_export(&["bookworm", "other"], "last", VOLUME_SIZE).unwrap().is_none());
    assert_eq!(collector.entries(), entries);
    assert_eq!(fs::read_dir(collector.dir.path().join("out")).unwrap().count(), 1);
    // Nothing is acknowledged before there is a receipt: everything travels again.
    assert_eq!(collector.export(&["bookworm"], "acknowledged").manifest.delivery, Delivery::Full);
}

#[test]
fn a_lost_bundle_costs_nothing_but_the_next() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    imported(receiver.import(&collector.export(&["bookworm"], "last").path));
    collector.state("bookworm", &[("a", b"a"), ("b", b"b")], 2);
    let lost = collector.export(&["bookworm"], "last");
    collector.state("bookworm", &[("a", b"a"), ("b", b"b"), ("c", b"c")], 3);
    let next = collector.export(&["bookworm"], "last");
    let error = refused(receiver.import(&next.path));
    assert!(matches!(&error, TransferError::MissingBases { missing, .. } if missing.len() == 1), "{error}");
    assert!(error.to_string().contains("`bookworm`"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains(&lost.bundle.to_string()) && hint.contains("--since none"), "{hint}");
    // What the hint says helps, either way.
    let cumulative = collector.export(&["bookworm"], "hq.plant-7-e01-000001");
    imported(receiver.import(&cumulative.path));
    assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));
    assert!(matches!(refused(receiver.import(&lost.path)), TransferError::Older { .. }));
}

#[test]
fn several_bundles_are_imported_in_their_order() {
    let (collector, receiver) = sides();
    let mut paths = Vec::new();
    for (n, files) in [&[("a", &b"1"[..])][..], &[("a", b"2")], &[("a", b"3")]].iter().enumerate() {
        collector.state("bookworm", files, n.try_into().unwrap());
        paths.push(collector.export(&["bookworm"], "last").path);
    }
    paths.reverse();
    let outcomes = receiver.import_all(&paths);
    assert_eq!(outcomes.len(), 3);
    for outcome in outcomes {
        drop(imported(outcome));
    }
    assert_eq!(receiver.read("bookworm", "a"), b"3");
    // A directory that holds bundles serves as well.
    let (_, other) = sides();
    other.trust_again(&collector);
    assert_eq!(other.import_all(&[collector.dir.path().join("out")]).len(), 3);
    assert_eq!(other.read("bookworm", "a"), b"3");
}

impl Side {
    /// Trusts a collector of the same name as one that is trusted, in its stead.
    pub(super) fn trust_again(&self, other: &Side) {
        let forgotten = Event::Forgotten { collector: other.store.site().clone() };
        self.store.journal().append(forgotten, at(0)).unwrap();
        self.trust(other);
    }
}

#[test]
fn names_travel_and_older_states_with_them() {
    let (collector, receiver) = sides();
    let october = collector.state("bookworm", &[("a", b"october")], 1);
    let november = collector.state("bookworm", &[("a", b"november")], 2);
    collector.state("bookworm", &[("a", b"today")], 3);
    collector.name("bookworm", "october", &october);
    collector.name("bookworm", "november", &november);
    let written = collector.export(&["bookworm"], "last");
    assert_eq!(written.manifest.states.len(), 3);
    imported(receiver.import(&written.path));
    let named = |name: &str| {
        let snapshot = SnapshotName::new(name).unwrap();
        receiver.store.catalog().named(&super::name("bookworm"), &snapshot).unwrap().map(|r| r.state)
    };
    assert_eq!((named("october"), named("november")), (Some(october.clone()), Some(november)));
    assert_eq!(receiver.read("bookworm", "a"), b"today");

    // A name for what the site holds already is news, and hardly any bytes; the newest state stays the newest.
    collector.name("bookworm", "autumn", &october);
    let small = collector.export(&["bookworm"], "last");
    assert_eq!(small.manifest.counts.blobs, 0);
    assert!(small.manifest.volumes.is_empty());
    imported(receiver.import(&small.path));
    assert_eq!(named("autumn"), Some(october.clone()));
    assert_eq!(receiver.read("bookworm", "a"), b"today");

    // A name that this site gave to another state stays its own.
    let today = receiver.newest("bookworm").unwrap();
    receiver.name("bookworm", "mine", &today);
    collector.name("bookworm", "mine", &october);
    let conflict = imported(receiver.import(&collector.export(&["bookworm"], "last").path));
    assert_eq!(conflict.kept_names.len(), 1);
    assert_eq!(named("mine"), Some(today));
}

#[test]
fn records_travel_once() {
    let (collector, receiver) = sides();
    let odd: &[u8] = b"\0binary\n\xff\r\n";
    collector.packages("wheels", &[("a", b"{\"a\": 1}"), ("b", odd)], 1);
    let first = collector.export(&["wheels"], "last");
    assert_eq!(first.manifest.counts.records, 2);
    imported(receiver.import(&first.path));
    assert_eq!(receiver.store.packs().get(&digest_of(odd)).unwrap(), odd);
    collector.packages("wheels", &[("a", b"{\"a\": 2}"), ("b", odd), ("c", odd)], 2);
    let second = collector.export(&["wheels"], "last");
    assert_eq!(second.manifest.counts.records, 1);
    imported(receiver.import(&second.path));
    assert_eq!(receiver.newest("wheels"), collector.newest("wheels"));
    assert_eq!(receiver.store.packs().get(&digest_of(b"{\"a\": 2}")).unwrap(), b"{\"a\": 2}");
}

#[test]
fn what_another_repository_brought_does_not_travel_again() {
    let (collector, receiver) = sides();
    let shared = noise(1, 100_000);
    collector.state("one", &[("a", &shared)], 1);
    imported(receiver.import(&collector.export(&["one"], "last").path));
    collector.state("two", &[("b", &shared), ("c", b"c")], 2);
    let second = collector.export(&["one", "two"], "last");
    assert!(second.manifest.counts.bytes < 1_000, "{}", second.manifest.counts.bytes);
    assert_eq!(second.manifest.presumed.len(), 1);
    assert_eq!(second.manifest.delivery, Delivery::Assumed);
    imported(receiver.import(&second.path));
    assert_eq!(receiver.read("two", "b"), shared);

    // A site that was never given the first says so before it reads a volume.
    let fresh = Side::new("plant-7");
    fresh.trust(&collector);
    let error = refused(fresh.import(&second.path));
    assert!(matches!(error, TransferError::MissingBlobs { count: 2, .. }), "{error}");
    assert!(error.hint().unwrap().contains("--since none"));
    assert!(fresh.newest("two").is_none());
}

#[test]
fn volumes_come_in_any_order_over_several_visits() {
    let (collector, receiver) = sides();
    let contents: Vec<Vec<u8>> = (0..12).map(|n| noise(n, 1_500_000)).collect();
    let paths: Vec<String> = (0..12).map(|n| format!("p{n}")).collect();
    let mut listed: Vec<(&str, &[u8])> =
        paths.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)).collect();
    let large = noise(99, 9_000_000);
    listed.push(("large", &large));
    collector.state("bookworm", &listed, 1);
    let written = collector.try_export(&["bookworm"], "none", VOLUME_BYTES_LEAST).unwrap().unwrap();
    let volumes = written.manifest.volumes.len();
    assert!(volumes >= 6, "{volumes}");
    for file in fs::read_dir(&written.path).unwrap() {
        let file = file.unwrap();
        assert!(file.metadata().unwrap().len() <= VOLUME_BYTES_LEAST);
    }

    // The first medium: everything small, and two volumes that are not the first.
    let medium = receiver.dir.path().join("medium");
    copy_tree(&written.path, &medium);
    let volume = |n: usize| format!("volume-{n:04}.tar.zst");
    for n in (1..=volumes).filter(|n| ![2, 4].contains(n)) {
        fs::remove_file(medium.join(volume(n))).unwrap();
    }
    let outcome = receiver.import(&medium).unwrap();
    let ImportOutcome::Waiting { have, need, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(have.iter().map(|n| n.get()).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(need.len(), volumes - 2);
    assert!(receiver.newest("bookworm").is_none());
    assert_eq!(receiver.store.catalog().pending().unwrap()[0].volumes, [2, 4]);

    // The second: nothing but volumes, given as files, and one that was seen.
    let loose = receiver.dir.path().join("loose");
    fs::create_dir(&loose).unwrap();
    for n in [1, 2, volumes] {
        fs::copy(written.path.join(volume(n)), loose.join(volume(n))).unwrap();
    }
    let paths = vec![loose.join(volume(volumes)), loose.join(volume(1)), loose.join(volume(2))];
    let outcome = receiver.import_all(&paths).pop().unwrap().unwrap();
    let ImportOutcome::Waiting { have, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(have.len(), 4);

    // The last: all that is left.
    imported(receiver.import(&written.path));
    assert!(receiver.store.catalog().pending().unwrap().is_empty());
    assert_eq!(receiver.read("bookworm", "large"), large);
    for (path, content) in paths_of(&listed) {
        assert!(receiver.read("bookworm", path) == content, "{path}");
    }
}

fn paths_of<'a>(listed: &'a [(&'a str, &'a [u8])]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    listed.iter().copied()
}

#[test]
fn equal_input_gives_equal_bytes() {
    let (one, _) = sides();
    let two = one.twin();
    let text = b"squeeze me ".repeat(100_000);
    for side in [&one, &two] {
        side.state("bookworm", &[("a", &noise(1, 3_000_000)), ("b", &text), ("c", b"c")], 1);
        side.packages("wheels", &[("a", b"record")], 2);
    }
    let written = [&one, &two].map(|side| side.export(&["wheels", "bookworm"], "none"));
    assert!(files(&written[0].path) == files(&written[1].path));
}

#[test]
fn an_export_that_died_is_done_again_or_noted() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    // Killed while it wrote.
    let out = collector.dir.path().join("out");
    let partial = out.join(".hq.plant-7-e01-000001.partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("index.zst"), b"half").unwrap();
    let first = collector.export(&["bookworm"], "last");
    assert!(!partial.exists());
    assert_eq!(first.how, How::Now);
    // Killed between the rename and the journal: the bundle is whole and may be on its way.
    let (twin, before) = (collector.twin(), files(&first.path));
    twin.state("bookworm", &[("a", b"a")], 1);
    copy_tree(&out, &twin.dir.path().join("out"));
    let adopted = twin.export(&["bookworm"], "last");
    assert_eq!(adopted.how, How::Before);
    assert!(files(&adopted.path) == before);
    assert!(twin.try_export(&["bookworm"], "last", VOLUME_SIZE).unwrap().is_none());
    imported(receiver.import(&adopted.path));
    // What is not ours is neither taken nor overwritten.
    collector.state("bookworm", &[("a", b"b")], 2);
    let strange = out.join("hq.plant-7-e01-000002");
    fs::create_dir(&strange).unwrap();
    assert!(matches!(
        collector.try_export(&["bookworm"], "last", VOLUME_SIZE),
        Err(TransferError::Export(ExportError::Exists { .. }))
    ));
}

#[test]
fn a_half_written_bundle_is_none() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let written = collector.export(&["bookworm"], "last");
    let out = collector.dir.path().join("out");
    fs::rename(&written.path, out.join(".hq.plant-7-e01-000001.partial")).unwrap();
    assert!(matches!(receiver.import(&out), Err(TransferError::NoBundle { .. })));
}

#[test]
fn a_base_is_asked_for_by_name() {
    let (collector, receiver) = sides();
    let known = collector.state("bookworm", &[("a", b"a")], 1);
    collector.name("bookworm", "known", &known);
    let first = collector.export(&["bookworm"], "none");
    imported(receiver.import(&first.path));
    collector.state("bookworm", &[("a", b"a"), ("b", b"b")], 2);
    let second = collector.export(&["bookworm"], "known");
    assert_eq!(second.manifest.states[0].base, Some(known.manifest));
    assert_eq!(second.manifest.bases[0].bundle, None);
    imported(receiver.import(&second.path));
    let unknown = collector.try_export(&["bookworm"], "elsewhen", VOLUME_SIZE);
    assert!(matches!(unknown, Err(TransferError::Export(ExportError::UnknownBase { .. }))));
}

/// Adds up what is told of one task.
#[derive(Default)]
struct Told {
    of: std::sync::Mutex<(Option<u64>, i64)>,
}
impl crate::report::Reporter for Told {
    fn event(&self, event: crate::report::Event<'_>) {
        let mut of = self.of.lock().unwrap();
        match event {
            crate::report::Event::Begin { bytes, .. } => of.0 = bytes,
            crate::report::Event::Bytes { delta, .. } => of.1 += delta,
            _ => {}
        }
    }
}

#[test]
fn a_verification_ends_where_it_said_that_it_would() {
    let (collector, receiver) = sides();
    // what compresses well is more than the volumes that it lies in
    collector.state("bookworm", &[("a", &vec![7; 300_000]), ("b", &noise(1, 200_000))], 1);
    let written = collector.export(&["bookworm"], "none");
    let told = Told::default();
    verify(&receiver.store, &[written.path], &told).unwrap().remove(0).unwrap();
    let (promised, done) = *told.of.lock().unwrap();
    assert_eq!(promised, Some(u64::try_from(done).unwrap()));
}

#[test]
fn a_state_whose_packages_are_not_back_is_named() {
    let (collector, _) = sides();
    collector.state("bookworm", &[("a", b"a"), ("b", b"only in b")], 1);
    fs::remove_file(collector.store.pool().path(&Digest::of(b"only in b"))).unwrap();
    let error = collector.try_export(&["bookworm"], "none", VOLUME_SIZE).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("`bookworm` lacks blob"), "{said}");
    assert!(error.hint().unwrap().contains("`chantal sync bookworm`"), "{said}");
}

#[test]
fn a_bundle_is_written_to_a_directory_that_is_there_or_nowhere() {
    let (collector, _) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let dir = tempfile::tempdir().unwrap();
    let at = |named: &str| dir.path().join(named);
    let export = |out: &Path| collector.export_to(out, &["bookworm"], "last", VOLUME_SIZE);
    fs::write(at("file"), b"mine").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    std::os::unix::fs::symlink(at("unmounted"), at("dangling")).unwrap();
    std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
    for (named, expected) in [
        ("unmounted", "mkdir"),
        ("unmounted/deeper", "mkdir"),
        ("dangling", "mount"),
        ("file", "name a directory"),
        ("file/below", "name a directory"),
        ("link", "name a directory"),
        ("socket", "name a directory"),
    ] {
        let error = export(&at(named)).unwrap_err();
        assert!(matches!(error, TransferError::Export(ExportError::Out { .. })), "{named}: {error}");
        assert!(error.to_string().contains(&at(named).display().to_string()), "{error}");
        assert!(error.hint().unwrap().contains(expected), "{named}: {:?}", error.hint());
    }
    assert!(!at("unmounted").exists());
    assert_eq!(fs::read(at("file")).unwrap(), b"mine");
    // Nobody may make directories there; a test that runs as root finds no other such place.
    let error = export(Path::new("/sys")).unwrap_err();
    assert!(
        matches!(error, TransferError::Export(ExportError::Out { source: OutFault::Closed(_), .. })),
        "{error}"
    );
    // No number was used up, and a link to a directory is as good as one.
    fs::create_dir(at("unmounted")).unwrap();
    // What bears the bundle's name leads away from the medium: it is not followed.
    let away = at("unmounted/hq.plant-7-e01-000001");
    std::os::unix::fs::symlink(at("elsewhere"), &away).unwrap();
    assert!(matches!(export(&at("dangling")), Err(TransferError::Export(ExportError::Exists { .. }))));
    fs::remove_file(&away).unwrap();
    let written = export(&at("dangling")).unwrap().unwrap();
    assert_eq!(written.manifest.sequence.get(), 1);
    assert!(away.join("manifest.json").is_file());
}

#[test]
fn a_site_that_acknowledged_nothing_gets_everything_again_and_that_is_said() {
    let (collector, _) = sides();
    collector.state("bookworm", &[("a", b"a")], 1);
    let first = collector.export(&["bookworm"], "acknowledged");
    assert_eq!(first.unacknowledged, None, "the first bundle surprises nobody");
    collector.state("bookworm", &[("a", b"a"), ("b", b"b")], 2);
    let second = collector.export(&["bookworm"], "acknowledged");
    assert_eq!((second.manifest.bases.len(), second.manifest.counts.blobs), (0, 4));
    assert_eq!(second.unacknowledged, Some(first.bundle.to_string()));
    for asked in ["none", "last"] {
        collector.state("bookworm", &[("a", asked.as_bytes())], 3);
        assert_eq!(collector.export(&["bookworm"], asked).unacknowledged, None, "{asked}");
    }
}

#[test]
fn volumes_of_several_cells_are_what_the_index_says() {
    let (collector, receiver) = sides();
    let (large, text) = (noise(1, 9 << 20), b"text ".repeat(1 << 20));
    collector.state("bookworm", &[("large", &large), ("text", &text)], 1);
    let written = collector.try_export(&["bookworm"], "none", 4 << 20).unwrap().unwrap();
    let volumes = &written.manifest.volumes;
    assert!(volumes.len() > 2, "{}", volumes.len());
    for (number, volume) in (1..).zip(volumes) {
        let bytes = fs::read(written.path.join(format!("volume-{number:04}.tar.zst"))).unwrap();
        assert_eq!((bytes.len() as u64, Digest::of(&bytes)), (volume.size.get(), volume.sha256));
    }
    imported(receiver.import(&written.path));
    assert_eq!(receiver.newest("bookworm"), collector.newest("bookworm"));
}

#[test]
fn an_inspection_writes_nothing() {
    let (collector, receiver) = sides();
    collector.state("bookworm", &[("a", b"a"), ("b", &noise(1, 2_000_000))], 1);
    let written = collector.export(&["bookworm"], "none");
    let entries = receiver.entries();
    let found = inspected(&receiver, &written.path);
    assert_eq!(found.manifest, manifest_of(&written));
    assert_eq!(found.at_hand.len(), 1);
    let verified = verified_at(&receiver, std::slice::from_ref(&written.path));
    assert!(verified.is_good() && verified.is_whole());
    fs::remove_file(written.path.join("volume-0001.tar.zst")).unwrap();
    let verified = verified_at(&receiver, &[written.path]);
    assert!(verified.is_good() && !verified.is_whole());
    assert_eq!(receiver.entries(), entries);
    assert!(receiver.newest("bookworm").is_none());
}
