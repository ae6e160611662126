//! A certificate: a primary key, what it says of itself, and its subkeys (RFC 9580 §10.1).

use std::{io::Read, sync::OnceLock};

use chantal_contract::proof::{Fingerprint, VerifyError};
use pgp::{
    packet::{
        KeyFlags, Packet, PublicKey, PublicSubkey, RevocationCode, Signature, SignatureConfig, SignatureType,
        SubpacketData, UserAttribute, UserId,
    },
    types::{Duration, KeyDetails, KeyVersion, Tag, Timestamp},
};

use super::{
    packets::Raw,
    strength::{readable_hash, weak_key},
};

/// A certificate as its file holds it, and, once asked for, what of it is true.
pub(super) struct Certificate {
    pub fingerprint: Fingerprint,
    pub primary: PublicKey,
    pub bytes: Vec<u8>,
    direct: Vec<Signature>,
    users: Vec<User>,
    subkeys: Vec<Subkey>,
    checked: OnceLock<Checked>,
}

struct User {
    id: UserPacket,
    signatures: Vec<Signature>,
}

enum UserPacket {
    Id(UserId),
    Attribute(UserAttribute),
}

struct Subkey {
    key: PublicSubkey,
    signatures: Vec<Signature>,
}

/// What a certificate's own good signatures say.
pub(super) struct Checked {
    direct: Vec<Statement>,
    users: Vec<Statement>,
    revocations: Vec<Revocation>,
    subkeys: Vec<CheckedSubkey>,
}

#[derive(Default)]
struct CheckedSubkey {
    bindings: Vec<Statement>,
    revocations: Vec<Revocation>,
}

/// A self-signature or a binding; times in seconds since 1970, durations in seconds.
struct Statement {
    at: u32,
    /// How long the statement itself holds.
    holds: Option<u32>,
    /// How long the key lives, counted from its own making.
    lives: Option<u32>,
    flags: Option<KeyFlags>,
    backsigned: bool,
}

struct Revocation {
    at: u32,
    hard: bool,
}

/// A key of a certificate that may have made a signature.
#[derive(Clone, Copy)]
pub(super) enum Component {
    Primary,
    Subkey(usize),
}

/// Where the packets of a certificate that follow belong.
enum Part {
    Primary,
    User,
    Subkey,
    /// Something unknown: its signatures belong to it and are not read.
    Unknown,
}

/// Gathers a certificate packet by packet.
pub(super) struct Builder {
    certificate: Certificate,
    part: Part,
}

impl Builder {
    /// Begins with a primary key; `None` where it is of a version or algorithm that is not read, or older than version 4.
    pub fn new(raw: &Raw<'_>) -> Option<Self> {
        let Some(Packet::PublicKey(primary)) = raw.parse() else { return None };
        matches!(primary.version(), KeyVersion::V4 | KeyVersion::V6).then(|| Self {
            certificate: Certificate {
                fingerprint: fingerprint(&primary),
                primary,
                bytes: raw.bytes.to_vec(),
                direct: Vec::new(),
                users: Vec::new(),
                subkeys: Vec::new(),
                checked: OnceLock::new(),
            },
            part: Part::Primary,
        })
    }

    /// Takes the next packet. Trust packets of GnuPG's own files are dropped.
    pub fn push(&mut self, raw: &Raw<'_>) {
        if raw.tag == Tag::Trust {
            return;
        }
        let certificate = &mut self.certificate;
        certificate.bytes.extend_from_slice(raw.bytes);
        match (raw.tag, raw.parse()) {
            (Tag::Signature, Some(Packet::Signature(signature))) => {
                let signatures = match self.part {
                    Part::Primary => Some(&mut certificate.direct),
                    Part::User => certificate.users.last_mut().map(|u| &mut u.signatures),
                    Part::Subkey => certificate.subkeys.last_mut().map(|s| &mut s.signatures),
                    Part::Unknown => None,
                };
                if let Some(signatures) = signatures {
                    signatures.push(signature);
                }
            }
            (Tag::Signature, _) => {}
            (_, Some(Packet::UserId(id))) => self.user(UserPacket::Id(id)),
            (_, Some(Packet::UserAttribute(attribute))) => self.user(UserPacket::Attribute(attribute)),
            (_, Some(Packet::PublicSubkey(key))) => {
                self.part = Part::Subkey;
                certificate.subkeys.push(Subkey { key, signatures: Vec::new() });
            }
            _ => self.part = Part::Unknown,
        }
    }

    fn user(&mut self, id: UserPacket) {
        self.part = Part::User;
        self.certificate.users.push(User { id, signatures: Vec::new() });
    }

    pub fn finish(self) -> Certificate {
        self.certificate
    }
}

impl Certificate {
    /// Returns the keys that a signature's issuer packets may mean; none where it names no issuer.
    pub fn components(&self, signature: &Signature) -> Vec<Component> {
        let mut found = Vec::new();
        if is_by(signature, &self.primary) {
            found.push(Component::Primary);
        }
        let subkeys = self.subkeys.iter().enumerate().filter(|(_, s)| is_by(signature, &s.key));
        found.extend(subkeys.map(|(at, _)| Component::Subkey(at)));
        found
    }

    /// Checks the mathematics of a signature over `data` by one of its keys, and nothing else.
    pub fn verifies(&self, component: Component, signature: &Signature, data: impl Read) -> bool {
        match component {
            Component::Primary => signature.verify(&self.primary, data).is_ok(),
            Component::Subkey(at) => {
                self.subkeys.get(at).is_some_and(|s| signature.verify(&s.key, data).is_ok())
            }
        }
    }

    /// Judges whether one of its keys could sign at second `at`.
    pub fn judge(&self, component: Component, at: u32, others: &[Certificate]) -> Result<(), VerifyError> {
        let checked = self.checked(others);
        let may_not = || VerifyError::NotForSigning(self.fingerprint.clone());
        self.strong(&self.primary)?;
        if revoked(&checked.revocations, at) {
            return Err(VerifyError::Revoked(self.fingerprint.clone()));
        }
        let created = self.primary.created_at().as_secs();
        let user = newest(&checked.users, at);
        let direct = newest(&checked.direct, at);
        let mut statements: Vec<&Statement> = user.into_iter().chain(direct).collect();
        statements.sort_by_key(|s| std::cmp::Reverse(s.at));
        if statements.is_empty() || created > at {
            return Err(may_not());
        }
        if has_expired(created, statements.iter().find_map(|s| s.lives), at) {
            return Err(VerifyError::ExpiredKey(self.fingerprint.clone()));
        }
        let Component::Subkey(index) = component else {
            let flags = statements.iter().find_map(|s| s.flags.as_ref());
            return if flags.is_none_or(KeyFlags::sign) { Ok(()) } else { Err(may_not()) };
        };
        let (Some(subkey), Some(known)) = (self.subkeys.get(index), checked.subkeys.get(index)) else {
            return Err(may_not());
        };
        self.strong(&subkey.key)?;
        let name = || fingerprint(&subkey.key);
        if revoked(&known.revocations, at) {
            return Err(VerifyError::Revoked(name()));
        }
        let created = subkey.key.created_at().as_secs();
        let binding = newest(&known.bindings, at).filter(|_| created <= at);
        let binding = binding.ok_or_else(|| VerifyError::NotForSigning(name()))?;
        if has_expired(created, binding.lives, at) {
            return Err(VerifyError::ExpiredKey(name()));
        }
        if binding.backsigned && binding.flags.as_ref().is_none_or(KeyFlags::sign) {
            Ok(())
        } else {
            Err(VerifyError::NotForSigning(name()))
        }
    }

    fn strong(&self, key: &impl KeyDetails) -> Result<(), VerifyError> {
        weak_key(key).map_or(Ok(()), |what| Err(VerifyError::Weak { by: self.fingerprint.clone(), what }))
    }

    /// Returns the user IDs that the primary key signed, as far as they are text.
    pub fn user_ids(&self) -> Vec<String> {
        let ids = self.users.iter().filter_map(|u| match &u.id {
            UserPacket::Id(id) => id.as_str().map(str::to_owned),
            UserPacket::Attribute(_) => None,
        });
        ids.collect()
    }

    /// Returns when the primary key expires by its newest self-signature at second `at`; `None` where it never does.
    pub fn expires(&self, at: u32, others: &[Certificate]) -> Option<u32> {
        let checked = self.checked(others);
        let mut statements: Vec<_> =
            newest(&checked.users, at).into_iter().chain(newest(&checked.direct, at)).collect();
        statements.sort_by_key(|s| std::cmp::Reverse(s.at));
        let lives = statements.iter().find_map(|s| s.lives).filter(|l| *l > 0)?;
        Some(self.primary.created_at().as_secs().saturating_add(lives))
    }

    /// Tells whether the primary key is revoked for what is signed at second `at`.
    pub fn is_revoked(&self, at: u32, others: &[Certificate]) -> bool {
        revoked(&self.checked(others).revocations, at)
    }

    /// Verifies what the certificate says of itself, once; `others` may hold designated revokers (RFC 9580 §5.2.3.23).
    fn checked(&self, others: &[Certificate]) -> &Checked {
        self.checked.get_or_init(|| self.check(others))
    }

    fn check(&self, others: &[Certificate]) -> Checked {
        let primary = &self.primary;
        let own = |s: &&Signature| readable_hash(s) && is_by(s, primary);
        let is = |s: &Signature, kind| s.typ() == Some(kind);
        let direct: Vec<&Signature> = self
            .direct
            .iter()
            .filter(|s| is(s, SignatureType::Key) && own(s) && s.verify_key(primary).is_ok())
            .collect();
        let users: Vec<&Signature> = self
            .users
            .iter()
            .flat_map(|user| user.signatures.iter().filter(own).filter(|s| user.certifies(s, primary)))
            .collect();
        let revokers: Vec<&[u8]> = direct.iter().chain(&users).flat_map(|s| designated(s)).collect();
        let revoke = |s: &&Signature| {
            is(s, SignatureType::KeyRevocation)
                && (s.verify_key(primary).is_ok()
                    || others.iter().any(|other| {
                        revokers.contains(&other.primary.fingerprint().as_bytes())
                            && is_by(s, &other.primary)
                            && s.verify_key_third_party(primary, &other.primary).is_ok()
                    }))
        };
        Checked {
            revocations: self.direct.iter().filter(revoke).map(Revocation::read).collect(),
            subkeys: self.subkeys.iter().map(|s| s.check(primary)).collect(),
            direct: direct.into_iter().filter_map(|s| Statement::read(s, false)).collect(),
            users: users.into_iter().filter_map(|s| Statement::read(s, false)).collect(),
        }
    }
}

impl User {
    fn certifies(&self, signature: &Signature, primary: &PublicKey) -> bool {
        // A revocation of a user ID says nothing about the key.
        signature.typ() != Some(SignatureType::CertRevocation)
            && match &self.id {
                UserPacket::Id(id) => signature.verify_certification(primary, Tag::UserId, id).is_ok(),
                UserPacket::Attribute(attribute) => {
                    signature.verify_certification(primary, Tag::UserAttribute, attribute).is_ok()
                }
            }
    }
}

impl Subkey {
    fn check(&self, primary: &PublicKey) -> CheckedSubkey {
        let mut checked = CheckedSubkey::default();
        for signature in &self.signatures {
            match signature.typ() {
                Some(SignatureType::SubkeyBinding)
                    if readable_hash(signature)
                        && signature.verify_subkey_binding(primary, &self.key).is_ok() =>
                {
                    checked
                        .bindings
                        .extend(Statement::read(signature, self.is_backsigned(signature, primary)));
                }
                Some(SignatureType::SubkeyRevocation)
                    if signature.verify_subkey_binding(primary, &self.key).is_ok() =>
                {
                    checked.revocations.push(Revocation::read(signature));
                }
                _ => {}
            }
        }
        checked
    }

    /// Tells whether the subkey itself signed that it belongs to the primary key (RFC 9580 §5.2.1.9).
    fn is_backsigned(&self, binding: &Signature, primary: &PublicKey) -> bool {
        // In either area: what the subkey signed proves itself.
        let packets =
            |c| SignatureConfig::hashed_subpackets(c).chain(SignatureConfig::unhashed_subpackets(c));
        binding.config().into_iter().flat_map(packets).any(|packet| match &packet.data {
            SubpacketData::EmbeddedSignature(back) => {
                readable_hash(back) && back.verify_primary_key_binding(&self.key, primary).is_ok()
            }
            _ => false,
        })
    }
}

impl Statement {
    fn read(signature: &Signature, backsigned: bool) -> Option<Self> {
        let flags = signature.config()?.hashed_subpackets().find_map(|p| match &p.data {
            SubpacketData::KeyFlags(flags) => Some(flags.clone()),
            _ => None,
        });
        Some(Self {
            at: signature.created()?.as_secs(),
            holds: signature.signature_expiration_time().map(Duration::as_secs),
            lives: signature.key_expiration_time().map(Duration::as_secs),
            flags,
            backsigned,
        })
    }
}

impl Revocation {
    fn read(signature: &Signature) -> Self {
        let soft = matches!(
            signature.revocation_reason_code(),
            Some(
                RevocationCode::KeySuperseded
                    | RevocationCode::KeyRetired
                    | RevocationCode::CertUserIdInvalid
            )
        );
        Self { at: signature.created().map_or(0, Timestamp::as_secs), hard: !soft }
    }
}

fn revoked(revocations: &[Revocation], at: u32) -> bool {
    revocations.iter().any(|r| r.hard || r.at <= at)
}

/// Returns the newest statement that held at second `at`, or else the oldest there is.
fn newest(statements: &[Statement], at: u32) -> Option<&Statement> {
    let held = |s: &&Statement| s.at <= at && !has_expired(s.at, s.holds, at);
    statements
        .iter()
        .filter(held)
        .max_by_key(|s| s.at)
        .or_else(|| statements.iter().filter(|s| s.at > at).min_by_key(|s| s.at))
}

/// Tells whether what began at `from` and lasts `seconds` (0 and none: for ever) was over at second `at`.
pub(super) fn has_expired(from: u32, seconds: Option<u32>, at: u32) -> bool {
    seconds.is_some_and(|s| s > 0 && u64::from(from) + u64::from(s) <= u64::from(at))
}

/// Returns the fingerprints of the keys that a self-signature lets revoke its key.
fn designated(signature: &Signature) -> Vec<&[u8]> {
    let hashed = signature.config().into_iter().flat_map(SignatureConfig::hashed_subpackets);
    hashed
        .filter_map(|p| match &p.data {
            SubpacketData::RevocationKey(key) => Some(&key.fingerprint[..]),
            _ => None,
        })
        .collect()
}

/// Tells whether a signature names `key` as its issuer, by fingerprint where it has one, else by key ID.
fn is_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        signature.issuer_key_id().contains(&&key.legacy_key_id())
    } else {
        fingerprints.contains(&&key.fingerprint())
    }
}

/// Returns a key's fingerprint as the contract writes it.
fn fingerprint(key: &impl KeyDetails) -> Fingerprint {
    Fingerprint(format!("{:X}", key.fingerprint()))
}

/// Returns how a signature names its issuer, for messages.
pub(super) fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|f| format!("{f:X}"));
    let id = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    fingerprint.or_else(id).unwrap_or_else(|| "an unnamed key".into())
}
