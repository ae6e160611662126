//! Upstream's keys: which does what since when, and what is unusual about that.

use std::collections::BTreeMap;

use chantal_bundle::index::review::{Side, Signer, SignerKind};

use crate::report::review::{Key, Proven, Since, StateReview, Unusual};

/// Puts the keys together, each with all that it does.
pub(super) fn keys(signers: &[Signer]) -> Vec<Key> {
    let mut keys: BTreeMap<&str, Key> = BTreeMap::new();
    for signer in signers {
        let fingerprint = &signer.key.0;
        let key = keys.entry(fingerprint).or_insert_with(|| {
            let (metadata, packages, evidence) = (Since::Never, Since::Never, Since::Never);
            Key { fingerprint: fingerprint.clone(), metadata, packages, evidence }
        });
        let since = match signer.side {
            Side::Base => Since::Gone,
            Side::Both => Since::Before,
            Side::New => Since::Now,
        };
        match signer.kind {
            SignerKind::Key => key.evidence = since,
            SignerKind::Packages => key.packages = since,
            SignerKind::Signed => key.metadata = since,
        }
    }
    keys.into_values().collect()
}

/// Returns how upstream's own proof of a state stands.
pub(super) fn proven(state: &StateReview, signers: &[Signer]) -> Proven {
    let by = |kind| signers.iter().any(|s| s.kind == kind && s.side != Side::Base);
    match (state.format.as_str(), state.mode.as_str()) {
        (_, "hosted") => Proven::Own,
        _ if by(SignerKind::Signed) => Proven::Signed,
        _ if by(SignerKind::Packages) => Proven::Packages,
        ("pypi", _) => Proven::Digests,
        _ => Proven::Unsigned,
    }
}

/// Returns what is unusual about upstream's signatures, and about the state as a whole.
pub(super) fn of_signers(state: &StateReview) -> Vec<Unusual> {
    let repository = || state.repository.clone();
    let only = |wanted: &dyn Fn(&Key) -> bool| -> Vec<String> {
        state.keys.iter().filter(|key| wanted(key)).map(|key| key.fingerprint.clone()).collect()
    };
    let gone = only(&|key| key.metadata == Since::Gone);
    let new = only(&|key| key.metadata == Since::Now);
    let (signed_before, signed) =
        (state.keys.iter().any(|k| k.metadata.was_before()), state.proven == Proven::Signed);
    let mut found = Vec::new();
    if signed_before && !signed {
        found.push(Unusual::SignatureGone { repository: repository() });
    } else if signed_before && !(gone.is_empty() && new.is_empty()) {
        found.push(Unusual::KeyChanged { repository: repository(), gone, new });
    }
    if !state.incremental {
        found.push(Unusual::NewRepository { repository: repository() });
    }
    match state.proven {
        Proven::Unsigned if !signed_before => found.push(Unusual::Unsigned { repository: repository() }),
        Proven::Digests => found.push(Unusual::DigestsOnly { repository: repository() }),
        _ => {}
    }
    found
}
