use super::*;
use crate::parity::{ParityFile, ParityGroup};
use chantal_contract::limits::{
    BUNDLE_FEATURES, BUNDLE_INDEX_BYTES, BUNDLE_INDEX_OPEN_BYTES, BUNDLE_MANIFEST_BYTES, BUNDLE_PRESUMED,
    BUNDLE_STATES, CELL_BYTES_LEAST, ORIGINS, PARITY_FILES, PROOF_BYTES, RATIO, RATIO_FREE_BYTES,
    REVIEW_HTML_BYTES, REVIEW_JSON_BYTES, STATE_NAMES, TRUST_VERSION, VOLUME_BYTES, VOLUMES,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn base(repository: &str, text: &str) -> Base {
    Base { repository: name(repository), manifest: Digest::of(text.as_bytes()), evidence: None, bundle: None }
}

fn state(repository: &str, text: &str, from: Option<&str>) -> CarriedState {
    CarriedState {
        repository: name(repository),
        manifest: Digest::of(text.as_bytes()),
        base: from.map(|t| Digest::of(t.as_bytes())),
        evidence: Some(Digest::of(b"evidence")),
        names: Vec::new(),
        format: Kind::Apt,
        mode: Mode::Mirror,
        date: Some("2026-11-20T13:30:00Z".parse().unwrap()),
        valid_until: None,
        files: 3,
        bytes: 1000,
    }
}

/// The parity of an index of ten bytes and of a volume of one.
fn parity() -> Parity {
    let group = |text: &[u8]| ParityGroup {
        covers: 1,
        block: 1,
        lane: 1,
        files: vec![ParityFile { shards: 1, size: 24_576, sha256: Digest::of(text) }],
    };
    Parity { shard: 16_384, index: group(b"p0"), groups: vec![group(b"p1")] }
}

fn origin(text: &str) -> OriginFile {
    OriginFile { size: 1, sha256: Digest::of(text.as_bytes()) }
}

/// A manifest that keeps every rule.
pub(crate) fn sample() -> Manifest {
    let mut named = state("bookworm", "b1", Some("b0"));
    named.names = vec![SnapshotName::new("2026-10").unwrap(), SnapshotName::new("2026-11").unwrap()];
    let mut carried = base("bookworm", "b0");
    carried.bundle = Some("hq.plant-7-e01-000041".parse().unwrap());
    Manifest {
        version: VERSION,
        requires: Vec::new(),
        collector: SiteName::new("hq").unwrap(),
        site: SiteName::new("plant-7").unwrap(),
        epoch: Epoch::FIRST,
        sequence: Sequence::new(42).unwrap(),
        created: "2026-11-20T13:30:00Z".parse().unwrap(),
        delivery: Delivery::Assumed,
        expected_next_by: Some("2026-12-20T13:30:00Z".parse().unwrap()),
        trust: vec![TrustLink { version: 1, sha256: Digest::of(b"t") }],
        bases: vec![carried],
        presumed: vec![base("rhel9", "r0")],
        states: vec![named, state("bookworm", "b2", Some("b1")), state("wheels", "w1", None)],
        index: IndexFile { size: 10, sha256: Digest::of(b"i"), open_size: 20 },
        review: ReviewFiles {
            page: 1,
            json: SmallFile { size: 30, sha256: Digest::of(b"j") },
            html: SmallFile { size: 40, sha256: Digest::of(b"h") },
        },
        cell: CELL,
        volumes: vec![VolumeFile { size: NonZeroU64::MIN, sha256: Digest::of(b"v") }],
        parity: Some(parity()),
        origins: vec![origin("b"), origin("a")],
        counts: Counts { records: 0, blobs: 1, bytes: 1 },
    }
}

#[test]
fn is_read_as_it_is_written() {
    let bytes = sample().encode().unwrap();
    let manifest = Manifest::parse(&bytes).unwrap();
    assert_eq!(manifest, sample());
    assert_eq!(manifest.name().unwrap().to_string(), "hq.plant-7-e01-000042");
    assert!(
        bytes.starts_with(b"{\n  \"chantal-bundle\": 1,\n  \"requires\": [],\n  \"collector\": \"hq\",\n")
    );
    let newest: Vec<bool> = manifest.states.iter().map(|s| manifest.is_newest(s)).collect();
    assert_eq!(newest, [false, true, true]);
    assert_eq!(manifest.total_bytes(), 81 + 2 * 24_576);
}

#[test]
fn a_feature_that_is_not_known_is_named_before_anything_else() {
    let text = String::from_utf8(sample().encode().unwrap()).unwrap();
    let future = text.replace("\"requires\": [],", "\"requires\": [\n    \"teleport\"\n  ],\n  \"beam\": 9,");
    let refused = Manifest::parse(future.as_bytes()).unwrap_err();
    assert!(matches!(&refused, ManifestError::Requires(f) if f == "teleport"), "{refused}");
    let newer = text.replace("\"chantal-bundle\": 1", "\"chantal-bundle\": 2");
    assert!(matches!(Manifest::parse(newer.as_bytes()), Err(ManifestError::Version(2))));
    let newer = future.replace("\"chantal-bundle\": 1", "\"chantal-bundle\": 2");
    assert!(matches!(Manifest::parse(newer.as_bytes()), Err(ManifestError::Version(2))));
    for (count, limited) in [(BUNDLE_FEATURES, false), (BUNDLE_FEATURES + 1, true)] {
        let features: Vec<String> = (0..count).map(|n| format!("    \"f{n:02}\"")).collect();
        let list = format!("\"requires\": [\n{}\n  ],", features.join(",\n"));
        let refused = Manifest::parse(text.replace("\"requires\": [],", &list).as_bytes()).unwrap_err();
        assert_eq!(matches!(refused, ManifestError::Limit { .. }), limited, "{count}: {refused}");
    }
}

#[test]
fn another_form_is_refused() {
    let text = String::from_utf8(sample().encode().unwrap()).unwrap();
    for (from, to) in [
        ("\"cell\": 1048576", "\"cell\": 1048576,\n  \"more\": 1"),
        ("\"cell\": 1048576", "\"cell\": 1048576.0"),
        ("\"cell\": 1048576", "\"cell\":1048576"),
        ("13:30:00Z\",\n  \"delivery", "13:30:00.000Z\",\n  \"delivery"),
        ("13:30:00Z\",\n  \"delivery", "13:30:00+00:00\",\n  \"delivery"),
        ("13:30:00Z\",\n  \"delivery", "14:30:00+01:00\",\n  \"delivery"),
        ("\"assumed\"", "\"guessed\""),
        ("\"epoch\": 1", "\"epoch\": 0"),
        ("\"sequence\": 42", "\"sequence\": 100000000"),
        ("\"valid_until\": null,\n", ""),
        ("\"hq\"", "\"HQ\""),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text, "{from}");
        assert!(Manifest::parse(bad.as_bytes()).is_err(), "{from} -> {to}");
    }
    assert!(Manifest::parse(text.trim_end().as_bytes()).is_err());
    assert!(Manifest::parse(format!("{text} ").as_bytes()).is_err());
}

#[test]
fn every_rule_is_kept() {
    type Break = fn(&mut Manifest);
    let breaks: [(&str, Break); 34] = [
        ("another shard", |m| m.parity.as_mut().unwrap().shard = 8192),
        ("an unprotected volume", |m| m.parity.as_mut().unwrap().groups.clear()),
        ("a volume protected twice", |m| {
            let groups = &mut m.parity.as_mut().unwrap().groups;
            groups.push(groups[0].clone());
        }),
        ("an index in two parity files", |m| {
            let files = &mut m.parity.as_mut().unwrap().index.files;
            files.push(files[0]);
        }),
        ("a parity file of another size", |m| m.parity.as_mut().unwrap().groups[0].files[0].size += 1),
        ("a parity group without a file", |m| m.parity.as_mut().unwrap().groups[0].files.clear()),
        ("an unknown feature", |m| m.requires.push("parity".into())),
        ("no trust chain", |m| m.trust.clear()),
        ("a gap in the trust chain", |m| m.trust[0].version = 2),
        ("bases out of order", |m| m.bases.insert(0, base("z", "z"))),
        ("an unused base", |m| m.bases.push(base("wheels", "w0"))),
        ("a base twice", |m| m.bases.push(m.bases[0].clone())),
        ("a base presumed as well", |m| m.presumed.insert(0, base("bookworm", "b0"))),
        ("presumed out of order", |m| m.presumed.push(base("a", "a"))),
        ("full with bases", |m| m.delivery = Delivery::Full),
        ("no states", |m| m.states.clear()),
        ("states out of order", |m| m.states.swap(0, 2)),
        ("a state before its base", |m| m.states.swap(0, 1)),
        ("a state from another repository's base", |m| m.states[2].base = Some(Digest::of(b"b0"))),
        ("a state twice", |m| m.states.insert(1, m.states[0].clone())),
        ("names out of order", |m| m.states[0].names.reverse()),
        ("a name for two states", |m| m.states[1].names = m.states[0].names.clone()),
        ("a cell that is no power of two", |m| m.cell = 300_000),
        ("a page without a version", |m| m.review.page = 0),
        ("a cell that is too small", |m| m.cell = CELL_BYTES_LEAST / 2),
        ("origins out of order", |m| m.origins.reverse()),
        ("an origin twice", |m| m.origins[1] = m.origins[0]),
        ("an origin that is too long", |m| m.origins[0].size = PROOF_BYTES as u64 + 1),
        ("blobs without volumes", |m| (m.volumes, m.parity) = (Vec::new(), None)),
        ("volumes without blobs", |m| m.counts.blobs = 0),
        ("an index in two good parity files", |m| {
            m.index.size = 2 * 16_384;
            let index = &mut m.parity.as_mut().unwrap().index;
            (index.block, index.lane) = (2, 2);
            index.files = vec![index.files[0]; 2];
        }),
        ("an index that is protected as two", |m| m.parity.as_mut().unwrap().index.covers = 2),
        ("another version", |m| m.version = VERSION + 1),
        ("too long names", |m| m.collector = SiteName::new(&"c".repeat(64)).unwrap()),
    ];
    for (what, break_it) in breaks {
        let mut manifest = sample();
        break_it(&mut manifest);
        assert!(manifest.encode().is_err(), "{what}");
        let bytes = json::encode(&manifest).unwrap();
        assert!(Manifest::parse(&bytes).is_err(), "{what}");
    }
}

#[test]
fn counts_keep_their_limits() {
    let states = |count: usize| {
        let mut manifest = sample();
        manifest.states.truncate(1);
        manifest.presumed.clear();
        for n in 1..count {
            manifest.states.push(state("wheels", &n.to_string(), None));
        }
        manifest.encode()
    };
    states(BUNDLE_STATES - 1).unwrap();
    states(BUNDLE_STATES).unwrap();
    assert!(matches!(states(BUNDLE_STATES + 1), Err(ManifestError::Limit { what: "states", .. })));
    let long = |length: usize| match Manifest::parse(&vec![b' '; length]).unwrap_err() {
        ManifestError::Json(JsonError::TooLong { .. }) => true,
        other => panic!("{other}"),
    };
    assert!(long(BUNDLE_MANIFEST_BYTES + 1));
    assert!(matches!(
        Manifest::parse(&vec![b' '; BUNDLE_MANIFEST_BYTES]),
        Err(ManifestError::Json(JsonError::Parse(_)))
    ));
    let mut large = sample();
    large.states.truncate(1);
    large.presumed.clear();
    let full: Vec<SnapshotName> =
        (0..STATE_NAMES).map(|n| SnapshotName::new(&format!("{n:064}")).unwrap()).collect();
    for n in 0..240 {
        let mut named = state(&format!("wheels{n:03}"), "w", None);
        named.names.clone_from(&full);
        large.states.push(named);
    }
    assert!(matches!(large.encode(), Err(ManifestError::Json(JsonError::TooLong { .. }))));
    let names = |count: usize| {
        let mut manifest = sample();
        manifest.states[0].names =
            (0..count).map(|n| SnapshotName::new(&format!("n{n:06}")).unwrap()).collect();
        manifest.encode()
    };
    names(STATE_NAMES).unwrap();
    assert!(names(STATE_NAMES + 1).is_err());
    let volumes = |count: u32| {
        let mut manifest = sample();
        manifest.volumes = vec![manifest.volumes[0]; count as usize];
        manifest.parity = None;
        manifest.encode()
    };
    volumes(VOLUMES).unwrap();
    assert!(volumes(VOLUMES + 1).is_err());
    type Fill = fn(&mut Manifest, usize);
    let lists: [(&str, usize, Fill); 3] = [
        ("trust", TRUST_VERSION as usize, |m, count| {
            let link = |version| TrustLink { version, sha256: Digest::of(b"t") };
            m.trust = (1..=u32::try_from(count).unwrap()).map(link).collect();
        }),
        ("presumed", BUNDLE_PRESUMED, |m, count| {
            m.presumed = (0..count).map(|n| base(&format!("r{n:06}"), "r0")).collect();
        }),
        ("origins", ORIGINS, |m, count| {
            m.origins = (0..count).map(|n| origin(&n.to_string())).collect();
            m.origins.sort_by_key(|file| file.sha256);
        }),
    ];
    for (what, limit, fill) in lists {
        for (count, fits) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
            let mut manifest = sample();
            fill(&mut manifest, count);
            match manifest.encode() {
                Ok(_) => assert!(fits, "{count} of {what}"),
                Err(ManifestError::Limit { what: named, .. }) => assert!(!fits && named == what, "{count}"),
                Err(other) => panic!("{count} of {what}: {other}"),
            }
        }
    }
    // sixty files of one shard each protect a volume of sixty shards
    let protected = |files: usize| {
        let mut manifest = sample();
        let volume = VolumeFile { size: NonZeroU64::new(60 * 16_384).unwrap(), ..manifest.volumes[0] };
        let parity = manifest.parity.as_mut().unwrap();
        let file = parity.groups[0].files[0];
        let group = |files: usize| ParityGroup { covers: 1, block: 60, lane: 60, files: vec![file; files] };
        parity.groups = (0..files.div_ceil(60)).map(|n| group((files - n * 60).min(60))).collect();
        manifest.volumes = vec![volume; parity.groups.len()];
        manifest.encode()
    };
    protected(PARITY_FILES as usize - 1).unwrap();
    protected(PARITY_FILES as usize).unwrap();
    assert!(matches!(
        protected(PARITY_FILES as usize + 1),
        Err(ManifestError::Limit { what: "parity files", .. })
    ));
    let sized = |size: u64| {
        let mut manifest = sample();
        manifest.volumes[0].size = NonZeroU64::new(size).unwrap();
        manifest.parity = None;
        manifest.encode()
    };
    sized(VOLUME_BYTES).unwrap();
    assert!(sized(VOLUME_BYTES + 1).is_err());
    let opening = |size: u64, open: u64| {
        let mut manifest = sample();
        (manifest.index.size, manifest.index.open_size) = (size, open);
        manifest.parity = None;
        manifest.encode()
    };
    for (size, open) in [(1, RATIO_FREE_BYTES), (1 << 20, RATIO << 20)] {
        opening(size, open - 1).unwrap();
        opening(size, open).unwrap();
        assert!(matches!(opening(size, open + 1), Err(ManifestError::Rule(_))), "{open}");
    }
    // whatever it says of its size
    opening(BUNDLE_INDEX_BYTES, BUNDLE_INDEX_OPEN_BYTES).unwrap();
    assert!(opening(BUNDLE_INDEX_BYTES, BUNDLE_INDEX_OPEN_BYTES + 1).is_err());
    assert!(opening(BUNDLE_INDEX_BYTES + 1, 1).is_err());
    let reviewed = |json: u64, html: u64| {
        let mut manifest = sample();
        (manifest.review.json.size, manifest.review.html.size) = (json, html);
        manifest.encode()
    };
    reviewed(REVIEW_JSON_BYTES, REVIEW_HTML_BYTES).unwrap();
    reviewed(REVIEW_JSON_BYTES - 1, REVIEW_HTML_BYTES - 1).unwrap();
    assert!(reviewed(REVIEW_JSON_BYTES + 1, 0).is_err());
    assert!(reviewed(0, REVIEW_HTML_BYTES + 1).is_err());
}

#[test]
fn parity_is_numbered_through_all_groups() {
    let mut manifest = sample();
    manifest.volumes = vec![manifest.volumes[0]; 5];
    let parity = manifest.parity.as_mut().unwrap();
    let file = parity.groups[0].files[0];
    let group = |covers, files| ParityGroup { covers, block: 1, lane: 1, files: vec![file; files] };
    parity.groups = vec![group(3, 2), group(2, 1)];
    manifest = Manifest::parse(&manifest.encode().unwrap()).unwrap();
    let groups = manifest.volume_parity();
    let first: Vec<(u32, u32)> = groups.iter().map(|g| (g.first_volume, g.first_file)).collect();
    assert_eq!(first, [(0, 1), (3, 3)]);
    assert_eq!(groups[1].volume(1).map(VolumeNumber::get), Some(5));
    assert_eq!(groups[1].file_of(VolumeNumber::new(4).unwrap()), Some(0));
    assert_eq!(groups[1].file_of(VolumeNumber::new(3).unwrap()), None);
    assert_eq!(groups[0].file_of(VolumeNumber::new(4).unwrap()), None);
    assert_eq!(groups[1].parity(0).map(ParityNumber::file_name).as_deref(), Some("parity-0003"));
    let listed = manifest.parity.as_ref().unwrap().files().map(|(n, _)| n.get());
    assert_eq!(listed.collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(manifest.index_parity().unwrap().layout.covers(), 1);
}

#[test]
fn no_flipped_bit_of_a_manifest_panics_or_reads_the_same() {
    let bytes = sample().encode().unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            if let Ok(manifest) = Manifest::parse(&bad) {
                assert_ne!(manifest, sample(), "byte {at} bit {bit}");
            }
        }
        assert!(Manifest::parse(&bytes[..at]).is_err());
    }
}
