use super::*;
use crate::seal::Namespace;

fn key(n: u8) -> PublicKey {
    PublicKey::from_bytes([n; 32])
}

fn site(name: &str) -> SiteName {
    SiteName::new(name).unwrap()
}

/// A signature of these tests is `n` and the namespace; it is good when it ends in the message's digest.
fn sign(n: u8, document: &[u8]) -> Vec<u8> {
    format!("{n} {} {}", Namespace::Trust, Digest::of(document)).into_bytes()
}

fn check(namespace: Namespace, message: &[u8], signature: &[u8]) -> Option<PublicKey> {
    let text = std::str::from_utf8(signature).ok()?;
    let rest = text.strip_suffix(&format!(" {namespace} {}", Digest::of(message)))?;
    rest.parse().ok().map(key)
}

fn first() -> TrustDocument {
    TrustDocument::first(site("hq"), key(1))
}

fn sorted(mut document: TrustDocument) -> TrustDocument {
    document.keys.sort_by_key(|k| k.key.to_string());
    document.revoked.sort_by_key(|r| r.key.to_string());
    document
}

fn second() -> TrustDocument {
    let mut next = first();
    next.version = 2;
    let roles = vec![TrustRole::Root, TrustRole::Collector];
    next.keys.push(TrustedKey { key: key(2), roles, site: None });
    let receiver = TrustedKey { key: key(3), roles: vec![TrustRole::Receiver], site: Some(site("plant-7")) };
    next.keys.push(receiver);
    sorted(next)
}

fn link(document: &TrustDocument, signers: &[u8]) -> Link {
    let document = document.encode().unwrap();
    let signatures = signers.iter().map(|n| sign(*n, &document)).collect();
    Link { document, signatures }
}

#[test]
fn version_one_is_the_same_on_both_sides_and_readable() {
    let bytes = first().encode().unwrap();
    assert_eq!(TrustDocument::parse(&bytes).unwrap(), first());
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.starts_with(
            "{\n  \"chantal-trust\": 1,\n  \"collector\": \"hq\",\n  \"version\": 1,\n  \"epoch\": 1,\n"
        ),
        "{text}"
    );
    assert!(text.ends_with("}\n"));
}

#[test]
fn another_form_or_an_unknown_member_is_refused() {
    let text = String::from_utf8(second().encode().unwrap()).unwrap();
    for bad in [
        text.replace("  ", " "),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        text.replace("\"version\": 2", "\"version\": 2.0"),
        text.replace("\"revoked\": []", "\"revoked\": [],\n  \"more\": 1"),
        text.replace("\"chantal-trust\": 1", "\"chantal-trust\": 2"),
        text.replace("\"version\": 2,", "\"version\": 2,\n  \"version\": 2,"),
        text.replace("\"hq\"", "\"h\\u0071\""),
    ] {
        assert_ne!(bad, text);
        assert!(TrustDocument::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn rules_of_a_document_hold() {
    type Break = fn(&mut TrustDocument);
    let breaks: [(&str, Break); 16] = [
        ("epoch of version 1", |d| (d.version, d.epoch) = (1, Epoch::new(2).unwrap())),
        ("version 0", |d| d.version = 0),
        ("version too high", |d| d.version = TRUST_VERSION + 1),
        ("order", |d| d.keys.reverse()),
        ("a key twice", |d| d.keys.push(d.keys.last().unwrap().clone())),
        ("no role", |d| d.keys[0].roles.clear()),
        ("a role twice", |d| d.keys[0].roles = vec![TrustRole::Root, TrustRole::Root]),
        ("site without receiver", |d| d.keys[0].site = Some(SiteName::new("x").unwrap())),
        ("root threshold 0", |d| d.thresholds.root = 0),
        ("root threshold too high", |d| d.thresholds.root = 3),
        ("collector threshold 0", |d| d.thresholds.collector = 0),
        ("collector threshold too high", |d| d.thresholds.collector = 3),
        ("revocations out of order", |d| {
            d.revoked = [7, 8].map(|n| Revocation { key: key(n).fingerprint(), version: 2 }).to_vec();
            d.revoked.sort_by_key(|r| std::cmp::Reverse(r.key.to_string()));
        }),
        ("a revocation of a later version", |d| {
            d.revoked.push(Revocation { key: key(7).fingerprint(), version: 3 });
        }),
        ("approver threshold too high", |d| d.thresholds.approver = 1),
        ("revoked and listed", |d| {
            d.revoked.push(Revocation { key: key(1).fingerprint(), version: 2 });
        }),
    ];
    for (name, break_it) in breaks {
        let mut document = second();
        break_it(&mut document);
        assert!(document.encode().is_err(), "{name}");
        let bytes = json::encode(&document).unwrap();
        assert!(TrustDocument::parse(&bytes).is_err(), "{name}");
    }
}

#[test]
fn keys_are_limited() {
    let with = |count: usize| {
        let mut document = first();
        for n in 0..count - 1 {
            let bytes = *Digest::of(&n.to_le_bytes()).as_bytes();
            let roles = vec![TrustRole::Approver];
            document.keys.push(TrustedKey { key: PublicKey::from_bytes(bytes), roles, site: None });
        }
        sorted(document)
    };
    with(TRUST_KEYS - 1).encode().unwrap();
    with(TRUST_KEYS).encode().unwrap();
    assert!(with(TRUST_KEYS + 1).encode().is_err());
    let revoking = |count: usize| {
        let mut document = second();
        for n in 0..count {
            let key = PublicKey::from_bytes(*Digest::of(&n.to_le_bytes()).as_bytes()).fingerprint();
            document.revoked.push(Revocation { key, version: 2 });
        }
        sorted(document).encode()
    };
    revoking(TRUST_KEYS - 1).unwrap();
    revoking(TRUST_KEYS).unwrap();
    assert!(revoking(TRUST_KEYS + 1).is_err());
    // what is longer is not looked at
    let spaces = |length: usize| TrustDocument::parse(&vec![b' '; length]).unwrap_err();
    assert!(matches!(spaces(TRUST_BYTES + 1), TrustError::Json(JsonError::TooLong { .. })));
    assert!(matches!(spaces(TRUST_BYTES), TrustError::Json(JsonError::Parse(_))));
}

#[test]
fn a_threshold_counts_distinct_keys() {
    let mut document = second();
    document.thresholds.collector = 2;
    assert!(!document.meets(TrustRole::Collector, &[key(1), key(1)]));
    assert!(!document.meets(TrustRole::Collector, &[key(1), key(3)]));
    assert!(document.meets(TrustRole::Collector, &[key(2), key(1)]));
    assert_eq!(document.receiver_keys(&site("plant-7")).count(), 1);
    assert_eq!(document.receiver_keys(&site("plant-8")).count(), 0);
}

#[test]
fn a_chain_is_followed() {
    let mut third = second();
    third.version = 3;
    third.keys.retain(|k| k.key != key(1));
    third.revoked.push(Revocation { key: key(1).fingerprint(), version: 3 });
    let links = [link(&first(), &[1]), link(&second(), &[1]), link(&third, &[2])];
    let new = extend(&first(), &links, &check).whole().unwrap();
    assert_eq!(new, [second(), third.clone()]);
    assert!(extend(&third, &links, &check).whole().unwrap().is_empty());
    let older = extend(&third, &links[..2], &check).whole();
    assert!(matches!(older, Err(ChainError::Older { found: 2, accepted: 3 })));
    // what comes before the fault counts, and nothing behind it
    let unsigned = [&links[..2], &[link(&third, &[])], &links[2..]].concat();
    let Extension { versions, fault } = extend(&first(), &unsigned, &check);
    assert_eq!(versions, [second()]);
    assert!(matches!(fault, Some(ChainError::NotSigned { version: 3, .. })), "{fault:?}");
}

#[test]
fn a_broken_chain_is_refused() {
    let refused = |next: &TrustDocument, signers: &[u8]| {
        extend(&first(), &[link(&first(), &[1]), link(next, signers)], &check).whole().unwrap_err()
    };
    assert!(matches!(refused(&second(), &[]), ChainError::NotSigned { version: 2, signed: 0, threshold: 1 }));
    assert!(matches!(refused(&second(), &[2]), ChainError::NotSigned { .. }));
    let mut other = second();
    other.collector = site("hq2");
    assert!(matches!(refused(&other, &[1]), ChainError::Step { .. }));
    let mut skipped = second();
    skipped.version = 3;
    assert!(matches!(refused(&skipped, &[1]), ChainError::Step { .. }));
    let mut far = second();
    far.epoch = Epoch::new(3).unwrap();
    assert!(matches!(refused(&far, &[1]), ChainError::Step { .. }));
    let mut own = second();
    own.thresholds.root = 2;
    assert!(matches!(refused(&own, &[1]), ChainError::NotOwned { version: 2 }));
    assert!(matches!(refused(&second(), &[1; SIGNATURES + 1]), ChainError::Signatures { .. }));
    let unsigned = extend(&first(), &[link(&first(), &[2])], &check).whole();
    assert!(matches!(unsigned, Err(ChainError::NotOwned { version: 1 })));
    let forked = [link(&TrustDocument::first(site("hq"), key(9)), &[9])];
    assert!(matches!(extend(&first(), &forked, &check).whole(), Err(ChainError::Forked { version: 1, .. })));
}

#[test]
fn a_revocation_is_never_taken_back_or_dated_back() {
    let mut second = second();
    second.revoked.push(Revocation { key: key(7).fingerprint(), version: 2 });
    let mut third = second.clone();
    third.version = 3;
    third.revoked.clear();
    let run = |third: &TrustDocument| {
        extend(&first(), &[link(&first(), &[1]), link(&second, &[1]), link(third, &[1])], &check).whole()
    };
    assert!(matches!(run(&third), Err(ChainError::Step { version: 3, .. })));
    third.revoked = vec![
        Revocation { key: key(7).fingerprint(), version: 2 },
        Revocation { key: key(8).fingerprint(), version: 2 },
    ];
    assert!(matches!(run(&sorted(third.clone())), Err(ChainError::Step { version: 3, .. })));
    for r in &mut third.revoked {
        if r.key == key(8).fingerprint() {
            r.version = 3;
        }
    }
    assert_eq!(run(&sorted(third)).unwrap().len(), 2);
}

#[test]
fn a_draft_keeps_document_and_signatures_apart() {
    let armour =
        |n: u8| format!("-----BEGIN SSH SIGNATURE-----\n{n}\n-----END SSH SIGNATURE-----\n").into_bytes();
    for count in 0..3 {
        let draft =
            Link { document: second().encode().unwrap(), signatures: (0..count).map(armour).collect() };
        let read = Link::from_draft(&draft.to_draft()).unwrap();
        assert_eq!((read.document, read.signatures), (draft.document, draft.signatures));
    }
    for bad in
        [b"".to_vec(), b"{}".to_vec(), armour(1), vec![b'\n'; TRUST_BYTES + SIGNATURES * SSHSIG_BYTES + 1]]
    {
        assert!(Link::from_draft(&bad).is_none());
    }
}

use chantal_contract::limits::{SIGNATURES, SSHSIG_BYTES};
