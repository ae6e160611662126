use super::*;

fn digest(n: usize) -> Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
    Digest::from_bytes(bytes)
}

fn state(repository: &str, n: usize, names: &[&str]) -> AcknowledgedState {
    AcknowledgedState {
        repository: Name::new(repository).unwrap(),
        manifest: digest(n),
        evidence: None,
        names: names.iter().map(|n| SnapshotName::new(n).unwrap()).collect(),
    }
}

fn missing(sequence: u64) -> Missing {
    Missing {
        bundle: format!("hq.plant-7-e01-{sequence:06}").parse().unwrap(),
        manifest: digest(7),
        volumes: vec![VolumeNumber::new(2).unwrap(), VolumeNumber::new(5).unwrap()],
        blobs: vec![
            LackingBlob { sha256: digest(1), size: 0 },
            LackingBlob { sha256: digest(2), size: 1 << 40 },
        ],
    }
}

fn sample() -> Receipt {
    Receipt {
        format: FORMAT,
        site: SiteName::new("plant-7").unwrap(),
        collector: SiteName::new("hq").unwrap(),
        created: "2026-11-20T13:30:00Z".parse().unwrap(),
        epoch: Epoch::FIRST,
        sequence: Some(Sequence::new(42).unwrap()),
        bundle: Some(digest(42)),
        trust: TrustLink { version: 1, sha256: digest(9) },
        states: vec![
            state("bookworm", 1, &["2026-10", "2026-11"]),
            state("bookworm", 2, &[]),
            state("wheels", 1, &["2026-10"]),
        ],
        missing: vec![missing(43), missing(44)],
    }
}

#[test]
fn is_read_as_it_is_written() {
    let text = sample().encode().unwrap();
    assert_eq!(Receipt::parse(&text).unwrap(), sample());
    assert_eq!(sample().place(), (1, 42));
    let shown = String::from_utf8(text).unwrap();
    assert!(shown.starts_with("{\n  \"chantal-receipt\": 1,\n  \"site\": \"plant-7\",\n"), "{shown}");
    let first = Receipt { sequence: None, bundle: None, states: vec![], missing: vec![], ..sample() };
    assert_eq!(Receipt::parse(&first.encode().unwrap()).unwrap().place(), (1, 0));
}

#[test]
fn rules_hold_both_ways() {
    type Break = fn(&mut Receipt);
    let breaks: [(&str, Break); 15] = [
        ("format", |r| r.format = 2),
        ("a sequence without its bundle", |r| r.bundle = None),
        ("a bundle without its sequence", |r| r.sequence = None),
        ("order of states", |r| r.states.reverse()),
        ("a state twice", |r| r.states[1].manifest = r.states[0].manifest),
        ("order of names", |r| r.states[0].names.reverse()),
        ("a name twice", |r| r.states[1].names = vec![r.states[0].names[0].clone()]),
        ("order of bundles", |r| r.missing.reverse()),
        ("a bundle twice", |r| r.missing[1] = r.missing[0].clone()),
        ("another stream's bundle", |r| r.missing[0].bundle = "hq.plant-8-e01-000043".parse().unwrap()),
        ("order of volumes", |r| r.missing[0].volumes.reverse()),
        ("order of blobs", |r| r.missing[0].blobs.reverse()),
        ("a blob twice", |r| r.missing[0].blobs[1] = r.missing[0].blobs[0]),
        ("nothing missing", |r| (r.missing[0].blobs, r.missing[0].volumes) = (vec![], vec![])),
        ("names that do not fit together", |r| r.collector = SiteName::new(&"h".repeat(60)).unwrap()),
    ];
    for (what, break_it) in breaks {
        let mut receipt = sample();
        break_it(&mut receipt);
        assert!(receipt.encode().is_err(), "{what}");
        assert!(Receipt::parse(&json::encode(&receipt).unwrap()).is_err(), "{what}");
    }
}

#[test]
fn another_form_is_refused() {
    let text = String::from_utf8(sample().encode().unwrap()).unwrap();
    for bad in [
        text.replace("  ", " "),
        format!("{text}\n"),
        text.replace("\"epoch\": 1", "\"epoch\": 1.0"),
        text.replace("\"epoch\": 1,", "\"epoch\": 1,\n  \"epoch\": 1,"),
        text.replace("\"site\"", "\"more\": 1,\n  \"site\""),
        text.replace("13:30:00Z", "13:30:00.5Z"),
    ] {
        assert_ne!(bad, text);
        assert!(Receipt::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn numbers_are_limited() {
    let blobs = |count: usize| {
        let list = (0..count).map(|n| LackingBlob { sha256: digest(n), size: 1 }).collect();
        Receipt { missing: vec![Missing { blobs: list, ..missing(43) }], ..sample() }.encode().is_ok()
    };
    let bundles = |count: usize| {
        let list = (43..).take(count).map(|n| Missing { blobs: vec![], ..missing(n) }).collect();
        Receipt { missing: list, ..sample() }.encode().is_ok()
    };
    let states = |count: usize| {
        let list = (0..count).map(|n| state("bookworm", n, &[])).collect();
        Receipt { states: list, missing: vec![], ..sample() }.encode().is_ok()
    };
    let named = |states: usize, count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("{n:064}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let list = (0..states).map(|n| state(&format!("bookworm{n:04}"), n, &names)).collect();
        Receipt { states: list, missing: vec![], ..sample() }.encode()
    };
    assert_eq!(
        [STATE_NAMES - 1, STATE_NAMES, STATE_NAMES + 1].map(|count| named(1, count).is_ok()),
        [true, true, false]
    );
    // each within its limit, and too much together
    assert!(matches!(named(480, STATE_NAMES), Err(ReceiptError::Json(JsonError::TooLong { .. }))));
    assert_eq!([RECEIPT_BLOBS - 1, RECEIPT_BLOBS, RECEIPT_BLOBS + 1].map(blobs), [true, true, false]);
    assert_eq!([RECEIPT_MISSING - 1, RECEIPT_MISSING, RECEIPT_MISSING + 1].map(bundles), [true, true, false]);
    assert_eq!([RECEIPT_STATES - 1, RECEIPT_STATES, RECEIPT_STATES + 1].map(states), [true, true, false]);
}

#[test]
fn a_file_is_split_where_its_signature_begins() {
    let text = sample().encode().unwrap();
    let signature = b"-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n";
    let file = [text.as_slice(), signature].concat();
    let sealed = Sealed::split(&file).unwrap();
    assert_eq!((sealed.text, sealed.signature), (text.as_slice(), signature.as_slice()));
    for bad in [text.as_slice(), b"", signature, &file[..text.len() + 20], &[b"{}", &signature[..]].concat()]
    {
        assert!(matches!(Sealed::split(bad), Err(ReceiptError::Unsigned)), "{}", bad.len());
    }
    let long = vec![b' '; RECEIPT_BYTES + SSHSIG_BYTES + 1];
    assert!(matches!(Sealed::split(&long), Err(ReceiptError::Json(JsonError::TooLong { .. }))));
}
