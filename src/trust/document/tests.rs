use chantal_bundle::trust::{Revocation, TrustedKey};

use super::*;
use crate::trust::{key::Passphrase, token::Token};

const MANIFEST: &[u8] = b"{}\n";

fn key() -> SiteKey {
    let dir = tempfile::tempdir().unwrap();
    SiteKey::generate(&dir.path().join("k"), "", &Passphrase::None).unwrap()
}

fn hq() -> SiteName {
    SiteName::new("hq").unwrap()
}

fn first(key: &SiteKey) -> TrustDocument {
    first_document(hq(), key.public(), &key.fingerprint()).unwrap()
}

fn next(former: &TrustDocument, change: impl FnOnce(&mut TrustDocument)) -> TrustDocument {
    let mut next = former.clone();
    next.version += 1;
    change(&mut next);
    next.keys.sort_by_key(|k| k.key.to_string());
    next
}

fn trusted(key: &SiteKey) -> TrustedKey {
    TrustedKey { key: key.public(), roles: vec![TrustRole::Root, TrustRole::Collector], site: None }
}

fn link(document: &TrustDocument, keys: &[&SiteKey]) -> Link {
    let signatures = keys.iter().map(|k| sign_document(document, k).unwrap().into_bytes()).collect();
    Link { document: document.encode().unwrap(), signatures }
}

fn sealed(key: &SiteKey) -> Vec<u8> {
    sshsig::sign(key, Namespace::Bundle, MANIFEST).unwrap().into_bytes()
}

#[test]
fn a_new_site_begins_with_a_compared_key() {
    let (key, other) = (key(), key());
    let refused = first_document(hq(), key.public(), &other.fingerprint()).unwrap_err();
    assert!(matches!(refused, TrustError::Fingerprint { .. }) && refused.hint().is_some());
    let document = first(&key);
    assert_eq!((document.version, document.keys_of(TrustRole::Collector).count()), (1, 1));
}

#[test]
fn a_bundle_needs_the_collectors_signature() {
    let (a, b) = (key(), key());
    let document = first(&a);
    assert_eq!(admit(&document, MANIFEST, &[sealed(&a)]).unwrap(), [a.public()]);
    assert_eq!(admit(&document, MANIFEST, &[sealed(&b), sealed(&a), sealed(&a)]).unwrap(), [a.public()]);
    for (signatures, strange) in [(vec![], 0), (vec![sealed(&b)], 1)] {
        match admit(&document, MANIFEST, &signatures).unwrap_err() {
            TrustError::NotEnough { signed: 0, needed: 1, strangers, .. } => {
                assert_eq!(strangers.len(), strange);
            }
            other => panic!("{other}"),
        }
    }
    let bad = admit(&document, b"{} \n", &[sealed(&a)]).unwrap_err();
    assert!(matches!(bad, TrustError::Signature(SshsigError::Bad(_))), "{bad}");
    let approval = sshsig::sign(&a, Namespace::Approval, MANIFEST).unwrap().into_bytes();
    let bad = admit(&document, MANIFEST, &[approval]).unwrap_err();
    assert!(matches!(bad, TrustError::Signature(SshsigError::Namespace { .. })), "{bad}");
    let many = vec![sealed(&a); SIGNATURES + 1];
    assert!(matches!(admit(&document, MANIFEST, &many), Err(TrustError::TooMany { .. })));
    assert!(admit(&document, MANIFEST, &many[..SIGNATURES]).is_ok());
}

#[test]
fn thresholds_count_distinct_keys() {
    let (a, b) = (key(), key());
    let document = next(&first(&a), |d| {
        d.keys.push(trusted(&b));
        d.thresholds.collector = 2;
    });
    let once = admit(&document, MANIFEST, &[sealed(&a), sealed(&a)]).unwrap_err();
    assert!(matches!(once, TrustError::NotEnough { signed: 1, needed: 2, .. }));
    assert_eq!(admit(&document, MANIFEST, &[sealed(&a), sealed(&b)]).unwrap().len(), 2);
}

#[test]
fn a_chain_is_followed_and_a_revoked_key_is_not_believed() {
    let (a, b) = (key(), key());
    let one = first(&a);
    let two = next(&one, |d| d.keys.push(trusted(&b)));
    let three = next(&two, |d| {
        d.keys.retain(|k| k.key != a.public());
        d.revoked.push(Revocation { key: a.fingerprint(), version: 3 });
    });
    let chain = [link(&one, &[&a]), link(&two, &[&a]), link(&three, &[&b])];
    assert_eq!(follow(&one, &chain).unwrap(), [two.clone(), three.clone()]);
    assert!(admit(&two, MANIFEST, &[sealed(&a)]).is_ok());
    let revoked = admit(&three, MANIFEST, &[sealed(&b), sealed(&a)]).unwrap_err();
    assert!(matches!(revoked, TrustError::Revoked { version: 3, .. }));
    assert!(admit(&three, MANIFEST, &[sealed(&b)]).is_ok());
    // An older chain, and one that the former version did not sign.
    assert!(matches!(follow(&three, &chain[..2]), Err(TrustError::Chain(ChainError::Older { .. }))));
    let unsigned = [link(&one, &[&a]), link(&two, &[&b])];
    assert!(matches!(follow(&one, &unsigned), Err(TrustError::Chain(ChainError::NotSigned { .. }))));
}

#[test]
fn a_token_may_have_any_role_and_counts_when_it_was_touched() {
    let (a, token) = (key(), Token::new("officer", "ssh:"));
    let (public, _) = PublicKey::parse_line(&token.line()).unwrap();
    let one = first(&a);
    let two = next(&one, |d| {
        let roles = vec![TrustRole::Root, TrustRole::Collector, TrustRole::Approver];
        d.keys.push(TrustedKey { key: public, roles, site: None });
        d.thresholds = chantal_bundle::trust::Thresholds { root: 2, collector: 2, approver: 1 };
    });
    let bytes = two.encode().unwrap();
    assert_eq!(TrustDocument::parse(&bytes).unwrap(), two);
    let by_token =
        |namespace: Namespace, message: &[u8]| token.sshsig(namespace.name(), message).into_bytes();
    let chain = |signature: Vec<u8>| {
        let mut carried = link(&two, &[&a]);
        carried.signatures.push(signature);
        follow(&one, &[link(&one, &[&a]), carried])
    };
    assert_eq!(chain(by_token(Namespace::Trust, &bytes)).unwrap(), std::slice::from_ref(&two));
    assert_eq!(admit(&two, MANIFEST, &[sealed(&a), by_token(Namespace::Bundle, MANIFEST)]).unwrap().len(), 2);
    // twice is one key, whatever the counter says
    let twice: Vec<Vec<u8>> = (0..2).map(|_| by_token(Namespace::Bundle, MANIFEST)).collect();
    assert!(matches!(admit(&two, MANIFEST, &twice), Err(TrustError::NotEnough { signed: 1, needed: 2, .. })));
    let of = |role, namespace, signature| signers(&two, role, namespace, MANIFEST, &[signature]);
    let good = by_token(Namespace::Approval, MANIFEST);
    assert_eq!(of(TrustRole::Approver, Namespace::Approval, good).unwrap(), [public]);

    // untouched: no root's, and the wrong signature of a key that is believed refuses the rest
    token.say(0);
    let not_owned = chain(by_token(Namespace::Trust, &bytes)).unwrap_err();
    assert!(matches!(not_owned, TrustError::Chain(ChainError::NotOwned { version: 2 })), "{not_owned}");
    let untouched = by_token(Namespace::Approval, MANIFEST);
    let refused = of(TrustRole::Approver, Namespace::Approval, untouched).unwrap_err();
    assert!(
        matches!(refused, TrustError::Signature(SshsigError::Untouched(by)) if by == public.fingerprint()),
        "{refused}"
    );
    let signed = [sealed(&a), by_token(Namespace::Bundle, MANIFEST)];
    let refused = admit(&two, MANIFEST, &signed).unwrap_err();
    assert!(matches!(refused, TrustError::Signature(SshsigError::Untouched(_))), "{refused}");
    // of a key that is nobody's it says nothing
    assert_eq!(admit(&one, MANIFEST, &signed).unwrap(), [a.public()]);
}
