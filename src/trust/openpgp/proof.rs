//! From bytes and signatures to a proof.

use std::{
    collections::BTreeSet,
    io::{Cursor, SeekFrom},
    sync::{Mutex, PoisonError},
};

use chantal_contract::{
    ReadSeek,
    limits::{OPENPGP_SIGNATURES, SIGNATURE_BYTES},
    proof::{Fingerprint, Policy, Signed, Verifier, VerifyError},
};
use jiff::Timestamp;
use pgp::{
    packet::{Packet, Signature, SignatureType, SignatureVersion},
    types::{Duration, Tag},
};

use super::{
    armour,
    certificate::{has_expired, issuer},
    cleartext::{self, SIGNATURE},
    keyring::Keyring,
    packets,
    strength::weak_hash,
};

/// Verifies under one repository's keys and policy.
pub struct Proof {
    /// The keys that are believed.
    pub keyring: Keyring,
    /// How strictly signatures over metadata are asked for.
    pub metadata: Policy,
    /// How strictly packages' own signatures are asked for.
    pub packages: Policy,
    /// When it is; only a signature's own expiry is held against it.
    pub now: Timestamp,
    /// Keys that signed in time and have expired by `now`.
    expired: Mutex<BTreeSet<Fingerprint>>,
}

impl Proof {
    /// Takes keys and policy; `now` is the clock's word.
    pub fn new(keyring: Keyring, metadata: Policy, packages: Policy, now: Timestamp) -> Self {
        Self { keyring, metadata, packages, now, expired: Mutex::default() }
    }

    /// Returns the keys whose signatures were believed although they have expired since: stock `apt` refuses what they signed.
    pub fn expired_since(&self) -> Vec<Fingerprint> {
        self.expired.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Verifier for Proof {
    fn metadata(&self) -> Policy {
        self.metadata
    }

    fn packages(&self) -> Policy {
        self.packages
    }

    fn cleartext(&self, document: &[u8]) -> Result<Signed, VerifyError> {
        let parts = cleartext::split(document).map_err(malformed)?.ok_or(VerifyError::Unsigned)?;
        let by = self.verify(&mut Cursor::new(parts.canonical()), 0, &parts.signatures)?;
        Ok(Signed { text: parts.text, by })
    }

    fn detached(&self, data: &[u8], signature: &[u8]) -> Result<Vec<Fingerprint>, VerifyError> {
        self.detached_from(&mut Cursor::new(data), 0, signature)
    }

    fn detached_from(
        &self,
        data: &mut dyn ReadSeek,
        from: u64,
        signature: &[u8],
    ) -> Result<Vec<Fingerprint>, VerifyError> {
        if signature.len() as u64 > SIGNATURE_BYTES {
            return Err(malformed("it is too large"));
        }
        match signature.first() {
            None => Err(VerifyError::Unsigned),
            Some(first) if first & 0x80 != 0 => self.verify(data, from, signature),
            Some(_) => self.verify(data, from, &dearmour(signature).map_err(malformed)?),
        }
    }
}

fn malformed(why: &'static str) -> VerifyError {
    VerifyError::Malformed(why.into())
}

/// Reads one or several armoured signatures with nothing around them.
fn dearmour(text: &[u8]) -> Result<Vec<u8>, armour::Fault> {
    let mut packets = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let block = armour::read(text, at, SIGNATURE)?;
        packets.extend(block.bytes);
        at = block.end;
        while text.get(at).is_some_and(|b| b"\r\n".contains(b)) {
            at += 1;
        }
    }
    Ok(packets)
}

impl Proof {
    /// Verifies every signature of a block over `data` from byte `from` on: one good one suffices, one that is wrong spoils it.
    fn verify(
        &self,
        data: &mut dyn ReadSeek,
        from: u64,
        block: &[u8],
    ) -> Result<Vec<Fingerprint>, VerifyError> {
        if self.keyring.is_empty() {
            return Err(VerifyError::NoKeys);
        }
        let signatures = read(block)?;
        let mut by = Vec::new();
        let mut unknown = Vec::new();
        let mut refused = None;
        for signature in &signatures {
            match self.judge(signature, data, from) {
                Ok(signer) => by.push(signer),
                Err(VerifyError::Bad(signer)) => return Err(VerifyError::Bad(signer)),
                Err(VerifyError::UnknownKey(issuer)) => unknown.extend(issuer),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        by.sort();
        by.dedup();
        match refused {
            _ if !by.is_empty() => Ok(by),
            Some(error) => Err(error),
            None => Err(VerifyError::UnknownKey(unknown)),
        }
    }

    /// Judges one signature; two keys may share an ID, so that every candidate is tried.
    fn judge(
        &self,
        signature: &Signature,
        data: &mut dyn ReadSeek,
        from: u64,
    ) -> Result<Fingerprint, VerifyError> {
        let certificates = &self.keyring.certificates;
        let mut verdict = Err(VerifyError::UnknownKey(vec![issuer(signature)]));
        let mut bad = None;
        for certificate in certificates {
            for component in certificate.components(signature) {
                let by = certificate.fingerprint.clone();
                if let Some(what) = weak_hash(signature) {
                    return Err(VerifyError::Weak { by, what });
                }
                data.seek(SeekFrom::Start(from)).map_err(|e| VerifyError::Unread(e.to_string()))?;
                if !certificate.verifies(component, signature, &mut *data) {
                    bad = bad.or(Some(by));
                    continue;
                }
                let judged =
                    self.stands(signature, &by).and_then(|at| certificate.judge(component, at, certificates));
                match judged {
                    Ok(()) => {
                        let today = certificate.judge(component, self.second(), certificates);
                        if let Err(VerifyError::ExpiredKey(key)) = today {
                            self.expired.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
                        }
                        return Ok(by);
                    }
                    Err(error) => verdict = Err(error),
                }
            }
        }
        match (verdict, bad) {
            (Err(VerifyError::UnknownKey(_)), Some(by)) => Err(VerifyError::Bad(by)),
            (verdict, _) => verdict,
        }
    }

    /// Checks what a signature says of itself and returns when it was made.
    fn stands(&self, signature: &Signature, by: &Fingerprint) -> Result<u32, VerifyError> {
        let at = signature.created().ok_or_else(|| malformed("it does not say when it was made"))?.as_secs();
        let lasts = signature.signature_expiration_time().map(Duration::as_secs);
        if has_expired(at, lasts, self.second()) {
            return Err(VerifyError::ExpiredSignature(by.clone()));
        }
        Ok(at)
    }

    /// Returns when it is, in seconds since 1970.
    fn second(&self) -> u32 {
        u32::try_from(self.now.as_second().max(0)).unwrap_or(u32::MAX)
    }
}

/// Reads the packets of a signature block: signatures over data, of versions 3, 4 and 6, and nothing else.
///
/// Other types of signatures say nothing about data, and `pgp` would hash one byte of it for some of them. A version or
/// algorithm that is not known is passed over, as RFC 9580 §5.2.5 asks.
fn read(block: &[u8]) -> Result<Vec<Signature>, VerifyError> {
    let mut signatures = Vec::new();
    for (count, raw) in packets::split(block).enumerate() {
        let raw = raw.map_err(malformed)?;
        if count >= OPENPGP_SIGNATURES {
            return Err(malformed("it holds too many signatures"));
        }
        match raw.tag {
            Tag::Signature => {
                let Some(Packet::Signature(signature)) = raw.parse() else { continue };
                if !matches!(
                    signature.version(),
                    SignatureVersion::V3 | SignatureVersion::V4 | SignatureVersion::V6
                ) {
                    continue;
                }
                if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
                    return Err(malformed("it is no signature over data"));
                }
                signatures.push(signature);
            }
            Tag::Marker | Tag::Padding => {}
            _ => return Err(malformed("it holds something else than signatures")),
        }
    }
    if signatures.is_empty() { Err(VerifyError::Unsigned) } else { Ok(signatures) }
}
