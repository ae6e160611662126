//! Manifests and trust documents that the right key signed, and that are no JSON of the one form, or absurd.

use chantal_bundle::{Namespace, trust::Link};
use chantal_contract::limits::{
    BUNDLE_FEATURES, BUNDLE_INDEX_OPEN_BYTES, BUNDLE_MANIFEST_BYTES, RATIO, RATIO_FREE_BYTES, TRUST_BYTES,
};

use super::*;
use crate::trust::{TrustError, sshsig};

/// How deep nothing that is signed has to be nested.
const DEEP: usize = 20_000;

/// Every line of a document doubled in turn: a member of every object in it, with its own value and with null.
fn doubled(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((member, value)) = line.split_once("\": ") else { continue };
        let whole = !value.ends_with(['{', '[']);
        let mut twice = lines.clone();
        let null = format!("{member}\": null,");
        let same = format!("{},", line.trim_end_matches(','));
        twice.insert(at, if whole { &same } else { &null });
        found.push((format!("line {at} twice: {line}"), twice.join("\n") + "\n"));
    }
    found
}

/// Every number of a document replaced in turn by what is none, or none that can be.
fn absurd(text: &str) -> Vec<(String, String)> {
    let long = "9".repeat(100_000);
    let numbers = [
        "-1",
        "-0",
        "00",
        "0.0",
        "1.5",
        "1e0",
        "1E400",
        "-1e400",
        "0x10",
        "NaN",
        "Infinity",
        "null",
        "true",
        "\"1\"",
        "[]",
        "{}",
        "18446744073709551615",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
        "1 000",
        "",
        &long,
    ];
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((member, value)) = line.split_once("\": ") else { continue };
        let is_number = value.trim_end_matches(',').parse::<u64>().is_ok();
        for number in numbers.iter().filter(|_| is_number) {
            let comma = if value.ends_with(',') { "," } else { "" };
            let other = format!("{member}\": {number}{comma}");
            let mut all = lines.clone();
            all[at] = &other;
            let shown: String = number.chars().take(40).collect();
            found.push((format!("{} becomes {shown}", line.trim()), all.join("\n") + "\n"));
        }
    }
    found
}

/// A document with more in it than anybody nests, and documents that are nothing else.
fn nested(text: &str, list: &str) -> Vec<(String, String)> {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(DEEP), close.repeat(DEEP));
    let mut found = Vec::new();
    for (what, value) in [
        ("lists", deep("[", "]")),
        ("open lists", "[".repeat(DEEP)),
        ("objects", deep("{\"a\":", "}").replace(":}", ":null}")),
        ("open objects", "{\"a\":".repeat(DEEP)),
    ] {
        let in_list = text.replacen(&format!("\"{list}\": []"), &format!("\"{list}\": {value}"), 1);
        assert_ne!(in_list, text, "there is no empty `{list}`");
        found.push((format!("{what} in `{list}`"), in_list));
        found.push((
            format!("{what} in a further member"),
            text.replacen('{', &format!("{{\"x\": {value},"), 1),
        ));
        found.push((format!("nothing but {what}"), value));
    }
    found
}

/// What else is no document of the one form.
fn misshapen(text: &str) -> Vec<(String, Vec<u8>)> {
    let invalid = [text.as_bytes(), b"\xff"].concat();
    let inside = text.replacen("\"hq\"", "\"h\u{71}\u{0}\"", 1);
    let found = [
        ("nothing", Vec::new()),
        ("a byte order mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("no UTF-8", invalid),
        ("a control character", inside.into_bytes()),
        ("half of it", text.as_bytes()[..text.len() / 2].to_vec()),
        ("something behind it", [text, "{}\n"].concat().into_bytes()),
        ("an escape that none needs", text.replacen("\"hq\"", "\"h\\u0071\"", 1).into_bytes()),
        ("a member more", text.replacen("{\n", "{\n  \"x\": 1,\n", 1).into_bytes()),
        ("a comment", text.replacen("{\n", "{\n  // x\n", 1).into_bytes()),
        ("other white space", text.replacen("\n  ", "\n\t", 1).into_bytes()),
        ("CR", text.replace('\n', "\r\n").into_bytes()),
    ];
    found.map(|(what, bytes)| (what.to_owned(), bytes)).into()
}

/// The text of an honest forgery's manifest.
fn honest(collector: &Side, lines: &[String]) -> String {
    let dir = Forgery::new(lines).write(collector);
    fs::read_to_string(dir.join("manifest.json")).unwrap()
}

#[test]
fn a_signed_manifest_of_another_form_is_refused() {
    let (collector, receiver) = sides();
    let batch = receiver.store.pool().batch().unwrap();
    batch.put(b"held").unwrap();
    batch.flush().unwrap();
    let lines = [file("a", b"held")];
    let text = honest(&collector, &lines);
    let hostile = doubled(&text).into_iter().chain(absurd(&text)).chain(nested(&text, "requires"));
    let mut all: Vec<(String, Vec<u8>)> = hostile.map(|(what, text)| (what, text.into_bytes())).collect();
    all.extend(misshapen(&text));
    all.push(("one byte too long".into(), vec![b' '; BUNDLE_MANIFEST_BYTES + 1]));
    assert!(all.len() > 300, "{}", all.len());
    let entries = receiver.entries();
    for (what, bytes) in all {
        assert_ne!(bytes, text.as_bytes(), "{what}");
        let forgery = Forgery { text: Box::new(move |_| bytes.clone()), ..Forgery::new(&lines) };
        let error = refused(receiver.import(&forgery.write(&collector)));
        let known = matches!(
            error,
            TransferError::Manifest { .. }
                | TransferError::TooLong { .. }
                // a number that could be, and is not what comes
                | TransferError::Contradiction { .. }
                | TransferError::OtherReview { .. }
                | TransferError::Altered { .. }
                | TransferError::Index { .. }
        );
        assert!(known, "{what}: {error}");
        assert!(receiver.newest("bookworm").is_none(), "{what}");
    }
    assert_eq!(receiver.entries(), entries);
    imported(receiver.import(&Forgery::new(&lines).write(&collector)));
}

#[test]
fn what_a_signed_manifest_requires_is_named_before_anything_else_is_complained_of() {
    let (collector, receiver) = sides();
    let requiring = |features: Vec<String>, more: &'static str| Forgery {
        text: Box::new(move |text| {
            let listed: Vec<String> = features.iter().map(|feature| format!("    \"{feature}\"")).collect();
            let list = format!("\"requires\": [\n{}\n  ],{more}", listed.join(",\n"));
            text.replace("\"requires\": [],", &list).into_bytes()
        }),
        ..Forgery::new(&[])
    };
    let said = |forgery: Forgery| refused(receiver.import(&forgery.write(&collector))).to_string();
    for more in ["", "\n  \"beam\": {\"me\": [\"up\"]},"] {
        let error = said(requiring(vec!["teleport".into()], more));
        assert!(error.contains("requires `teleport`"), "{error}");
        let error = said(requiring(vec![String::new()], more));
        assert!(error.contains("requires ``"), "{error}");
    }
    // what is named is cut and made harmless for a terminal
    let error = said(requiring(vec!["\\u001b[2J".into()], ""));
    assert!(error.contains("requires `\\u{1b}[2J`"), "{error}");
    let error = said(requiring(vec!["x".repeat(1 << 20)], ""));
    assert!(error.len() < 1000, "{}", error.len());
    for (count, limited) in [(BUNDLE_FEATURES, false), (BUNDLE_FEATURES + 1, true)] {
        let error = said(requiring((0..count).map(|n| format!("f{n:03}")).collect(), ""));
        assert_eq!(error.contains("passes the limit of"), limited, "{count}: {error}");
        assert_eq!(error.contains("requires `f000`"), !limited, "{count}: {error}");
    }
    for version in ["0", "2", "4294967295"] {
        let from = "\"chantal-bundle\": 1";
        let to = format!("\"chantal-bundle\": {version}");
        let forgery =
            Forgery { text: Box::new(move |text| text.replace(from, &to).into_bytes()), ..Forgery::new(&[]) };
        let error = said(forgery);
        assert!(error.contains(&format!("of format {version}")), "{error}");
    }
    assert!(receiver.newest("bookworm").is_none());
}

#[test]
fn an_index_that_opens_to_more_than_it_can_is_refused_by_its_numbers() {
    let (collector, receiver) = sides();
    let index = manifest_of_dir(&Forgery::new(&[]).write(&collector)).index;
    for open in [
        index.open_size - 1,
        index.open_size + 1,
        RATIO_FREE_BYTES,
        RATIO_FREE_BYTES + 1,
        BUNDLE_INDEX_OPEN_BYTES,
    ] {
        let from = format!("\"open_size\": {}", index.open_size);
        let to = format!("\"open_size\": {open}");
        let forgery = Forgery {
            text: Box::new(move |text| text.replace(&from, &to).into_bytes()),
            ..Forgery::new(&[])
        };
        let error = refused(receiver.import(&forgery.write(&collector)));
        // beyond what is free only as many times the file's size are believed
        let absurd = open > RATIO_FREE_BYTES;
        assert!(index.size * RATIO < RATIO_FREE_BYTES);
        assert_eq!(matches!(error, TransferError::Manifest { .. }), absurd, "{open}: {error}");
    }
    assert!(receiver.newest("bookworm").is_none());
}

fn manifest_of_dir(dir: &Path) -> Manifest {
    Manifest::parse(&fs::read(dir.join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn a_signed_trust_document_of_another_form_is_refused() {
    let (collector, receiver) = sides();
    let first = TrustDocument::first(site("hq"), collector.key.public());
    let signed = |document: Vec<u8>| {
        let signature = sshsig::sign(&collector.key, Namespace::Trust, &document).unwrap();
        Link { document, signatures: vec![signature.into_bytes()] }
    };
    let mut second = first.clone();
    second.version = 2;
    let text = String::from_utf8(second.encode().unwrap()).unwrap();
    let hostile = doubled(&text).into_iter().chain(absurd(&text)).chain(nested(&text, "revoked"));
    let mut all: Vec<(String, Vec<u8>)> = hostile.map(|(what, text)| (what, text.into_bytes())).collect();
    all.extend(misshapen(&text));
    all.push(("as long as may be".into(), vec![b' '; TRUST_BYTES]));
    let dir = collector.dir.path().join("distrusted");
    let entries = receiver.entries();
    let chain = |second: Vec<u8>| [signed(first.encode().unwrap()), signed(second)];
    for (what, bytes) in all {
        assert_ne!(bytes, text.as_bytes(), "{what}");
        let _ = fs::remove_dir_all(&dir);
        let path = Forgery::new(&[]).write_to(&dir, &chain(bytes), &[&collector.key]);
        let error = refused(receiver.import(&path));
        let known = matches!(error, TransferError::Untrusted { source: TrustError::Chain(_), .. });
        assert!(known, "{what}: {error}");
    }
    assert_eq!(receiver.entries(), entries, "a version was accepted");
    let _ = fs::remove_dir_all(&dir);
    let path = Forgery::new(&[]).write_to(&dir, &chain(text.into_bytes()), &[&collector.key]);
    imported(receiver.import(&path));
    assert_eq!(receiver.store.catalog().trust(&site("hq")).unwrap().unwrap().0, 2);
}
