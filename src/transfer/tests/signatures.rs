//! What is no signature of a collector over a manifest, or of a root key over a trust document, and counts for none.

use std::process::Command;

use chantal_bundle::{Namespace, TrustRole, seal, trust::Link};
use chantal_contract::limits::{SIGNATURES, SSHSIG_BYTES};

use super::forge::Forgery;
use super::*;
use crate::trust::{TrustError, sshsig};

/// Keys of a collector that asks for two signatures of everything, and keys that are not asked for.
struct Keys {
    dir: TempDir,
    one: SiteKey,
    two: SiteKey,
    /// It is trusted for receipts, and for nothing else.
    other_role: SiteKey,
    stranger: SiteKey,
    revoked: SiteKey,
}

impl Keys {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = |name: &str| SiteKey::generate(&dir.path().join(name), name, &Passphrase::None).unwrap();
        let [one, two, other_role, stranger, revoked] =
            ["one", "two", "other", "stranger", "revoked"].map(key);
        Self { dir, one, two, other_role, stranger, revoked }
    }

    /// The collector's trust chain: its first key hands over to these, and one of them is revoked.
    fn chain(&self, collector: &Side) -> Vec<Link> {
        let keys = [&collector.key, &self.one, &self.two, &self.revoked];
        collector.amend(&keys, |change| {
            for role in [TrustRole::Root, TrustRole::Collector] {
                for key in [&self.one, &self.two, &self.revoked] {
                    change.add(key.public(), role, None).unwrap();
                }
                change.threshold(role, 2);
            }
            change.add(self.other_role.public(), TrustRole::Receiver, Some(&site("plant-7"))).unwrap();
            change.remove(&collector.key.fingerprint()).unwrap();
        });
        let last = [&self.one, &self.two];
        collector.amend(&last, |change| change.revoke(&self.revoked.fingerprint()).unwrap());
        OwnTrust::load(&collector.store, &last).unwrap().links().to_vec()
    }

    /// What `ssh-keygen` signs with a key of another kind, or with another hash; none where it is not installed.
    fn ssh_keygen(&self, kind: &str, namespace: &str, more: &[&str], message: &[u8]) -> Option<Vec<u8>> {
        let key = self.dir.path().join(kind);
        let text = self.dir.path().join("message");
        fs::write(&text, message).unwrap();
        let run = |command: &mut Command| match command.output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "{error}"),
        };
        if !key.exists() {
            run(Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&key));
        }
        run(Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", namespace])
            .args(more)
            .arg("-f")
            .arg(&key)
            .arg(&text));
        let signature = text.with_extension("sig");
        let bytes = fs::read(&signature).ok();
        let _ = fs::remove_file(signature);
        bytes
    }

    /// Files that lie where the two signatures over `message` should, and are not these two.
    fn wrong(&self, namespace: Namespace, message: &[u8]) -> Vec<(String, Vec<Vec<u8>>)> {
        let sign = |key: &SiteKey, namespace, message: &[u8]| {
            sshsig::sign(key, namespace, message).unwrap().into_bytes()
        };
        let good = |key: &SiteKey| sign(key, namespace, message);
        let (one, two) = (good(&self.one), good(&self.two));
        let mut found: Vec<(String, Vec<Vec<u8>>)> = vec![
            ("none".into(), vec![]),
            ("one of two".into(), vec![one.clone()]),
            ("doubled by one key".into(), vec![one.clone(), one.clone(), one.clone()]),
            ("by a stranger".into(), vec![one.clone(), good(&self.stranger)]),
            ("by a key of another role".into(), vec![one.clone(), good(&self.other_role)]),
            ("by a revoked key".into(), vec![one.clone(), good(&self.revoked)]),
            ("over another text".into(), vec![one.clone(), sign(&self.two, namespace, b"{}\n")]),
            ("an empty one".into(), vec![one.clone(), Vec::new()]),
            ("no signature".into(), vec![one.clone(), b"believe me".to_vec()]),
            ("both in one file".into(), vec![[&*one, &two].concat()]),
            ("with a line behind it".into(), vec![one.clone(), [&*two, b"\n"].concat()]),
            ("with a line before it".into(), vec![one.clone(), [b"hq:\n", &*two].concat()]),
            (
                "with other line ends".into(),
                vec![one.clone(), String::from_utf8(two.clone()).unwrap().replace('\n', "\r\n").into_bytes()],
            ),
            ("one too many".into(), [vec![one.clone(); SIGNATURES], vec![two.clone()]].concat()),
            ("a long one".into(), vec![one.clone(), two.clone(), vec![b'\n'; SSHSIG_BYTES + 1]]),
        ];
        for other in [Namespace::Bundle, Namespace::Approval, Namespace::Trust, Namespace::Receipt] {
            if other != namespace {
                found.push((
                    format!("in namespace {other}"),
                    vec![one.clone(), sign(&self.two, other, message)],
                ));
            }
        }
        for (kind, space, more) in [
            ("rsa", namespace.name(), &[][..]),
            ("ecdsa", namespace.name(), &[]),
            ("ed25519", namespace.name(), &["-O", "hashalg=sha256"]),
            ("ed25519", "file", &[]),
            ("ed25519", "", &["-n", "git"]),
        ] {
            if let Some(theirs) = self.ssh_keygen(kind, space, more, message) {
                found.push((format!("by {kind} in `{space}` {more:?}"), vec![one.clone(), theirs]));
            }
        }
        found
    }
}

/// Replaces the files of a directory whose names begin so.
fn replace(dir: &Path, prefix: &str, signatures: &[Vec<u8>]) {
    for (name, _) in files(dir).iter().filter(|(name, _)| medium::is_signature(name, prefix)) {
        fs::remove_file(dir.join(name)).unwrap();
    }
    for (n, signature) in signatures.iter().enumerate() {
        fs::write(dir.join(format!("{prefix}{n:016x}.sig")), signature).unwrap();
    }
}

#[test]
fn what_is_no_signature_of_a_collector_counts_for_none() {
    let (collector, receiver) = sides();
    let keys = Keys::new();
    let chain = keys.chain(&collector);
    let raised = Forgery::lying(&[], |m| m.epoch = chantal_bundle::Epoch::new(2).unwrap());
    let dir = raised.write_to(&collector.dir.path().join("bundle"), &chain, &[&keys.one, &keys.two]);
    let manifest = fs::read(dir.join("manifest.json")).unwrap();
    let good = files(&dir.join(seal::SIGNATURES));
    let mut wrong = keys.wrong(Namespace::Bundle, &manifest);
    // enough of them, and one of a key that was revoked, or of one that counts over something else
    let sign = |key, message: &[u8]| sshsig::sign(key, Namespace::Bundle, message).unwrap().into_bytes();
    let enough: Vec<Vec<u8>> = good.values().cloned().collect();
    for (what, more) in
        [("revoked", sign(&keys.revoked, &manifest)), ("another text", sign(&keys.one, b"{}\n"))]
    {
        wrong.push((format!("enough, and {what}"), [enough.clone(), vec![more]].concat()));
    }
    assert!(wrong.len() >= 20, "{}", wrong.len());
    let mut entries = None;
    for (what, signatures) in &wrong {
        replace(&dir.join(seal::SIGNATURES), "collector-", signatures);
        let error = refused(receiver.import(&dir));
        let known = match &error {
            TransferError::Untrusted { source, .. } if what.contains("revoked") => {
                matches!(source, TrustError::Revoked { version: 3, .. })
            }
            TransferError::TooLong { .. } => what == "a long one",
            TransferError::Untrusted { source, .. } => matches!(
                source,
                TrustError::NotEnough { signed: 0 | 1, needed: 2, .. }
                    | TrustError::Signature(_)
                    | TrustError::TooMany { .. }
            ),
            _ => false,
        };
        assert!(known, "{what}: {error}");
        assert!(receiver.newest("bookworm").is_none(), "{what}");
        assert!(inspect(&receiver.store, std::slice::from_ref(&dir)).unwrap().remove(0).is_err(), "{what}");
        // the chain was good: it is accepted, once
        let before = *entries.get_or_insert_with(|| receiver.entries());
        assert_eq!(receiver.entries(), before, "{what}");
    }
    replace(&dir.join(seal::SIGNATURES), "collector-", &enough);
    imported(receiver.import(&dir));
}

#[test]
fn what_is_no_signature_over_a_trust_document_counts_for_none() {
    let (collector, receiver) = sides();
    let keys = Keys::new();
    let mut chain = keys.chain(&collector);
    let third = OwnTrust::load(&collector.store, &[&keys.one, &keys.two]).unwrap();
    let mut next = chantal_bundle::trust::Change::of(third.document());
    next.raise_epoch().unwrap();
    let fourth = third.sign(&next.finish().unwrap(), &[&keys.one, &keys.two]).unwrap();
    chain.push(fourth.clone());
    let raised = Forgery::lying(&[], |m| m.epoch = chantal_bundle::Epoch::new(3).unwrap());
    let dir = raised.write_to(&collector.dir.path().join("bundle"), &chain, &[&keys.one, &keys.two]);
    // the versions up to here are known
    receiver.accept(third.document().clone());
    let entries = receiver.entries();
    let wrong = keys.wrong(Namespace::Trust, &fourth.document);
    assert!(wrong.len() >= 18, "{}", wrong.len());
    for (what, signatures) in wrong {
        replace(&dir.join(seal::TRUST), "0004-", &signatures);
        let error = refused(receiver.import(&dir));
        let known = match &error {
            TransferError::TooLong { .. } => what == "a long one",
            TransferError::Untrusted { source: TrustError::Chain(_), .. } => true,
            _ => false,
        };
        assert!(known, "{what}: {error}");
        assert_eq!(receiver.entries(), entries, "{what}: a version was accepted");
    }
    replace(&dir.join(seal::TRUST), "0004-", &fourth.signatures);
    imported(receiver.import(&dir));
    assert_eq!(receiver.store.catalog().trust(&site("hq")).unwrap().unwrap().0, 4);
}
