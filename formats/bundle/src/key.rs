//! Ed25519 public keys as OpenSSH writes them, and their fingerprints (RFC 8709, RFC 4253 §6.6).

use std::{fmt, str::FromStr};

use chantal_contract::{Digest, digest::hex};
use serde::{Deserialize, Serialize};

const ALGORITHM: &str = "ssh-ed25519";
/// The wire form's beginning: the algorithm's name and the key's length, each counted in four bytes.
const PREFIX: &[u8; 19] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";

/// An Ed25519 public key; written `ssh-ed25519 <base64>`, without a comment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// Some text that is no Ed25519 public key or no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not `ssh-ed25519` and the base64 form of its key.
    #[error("`{0}` is no OpenSSH public key of type ssh-ed25519")]
    Key(String),
    /// It is not `SHA256:` and 43 base64 digits.
    #[error("`{0}` is no fingerprint (`SHA256:` and 43 base64 digits, as `ssh-keygen -l` shows)")]
    Fingerprint(String),
}

fn shown(text: &str) -> String {
    // a private key that is given by mistake must not end up in a log
    if text.contains("-----BEGIN") {
        return "PEM text, such as a private key; a public key is one line that begins with ssh-ed25519"
            .into();
    }
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

impl PublicKey {
    /// Takes the 32 bytes of the key (RFC 8032 §5.1.5).
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the key as it stands in SSH's wire format (RFC 8709 §4).
    pub fn to_wire(&self) -> Vec<u8> {
        [PREFIX.as_slice(), &self.0].concat()
    }

    /// Reads the key from SSH's wire format; none where it is of another kind.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        wire.strip_prefix(PREFIX).and_then(|k| <[u8; 32]>::try_from(k).ok()).map(Self)
    }

    /// Hashes the wire form with SHA-256, as `ssh-keygen -l` does.
    pub fn fingerprint(&self) -> KeyFingerprint {
        KeyFingerprint(*Digest::of(&self.to_wire()).as_bytes())
    }

    /// Reads a line of an OpenSSH public key file and returns the key and its comment, which may be empty.
    pub fn parse_line(line: &str) -> Result<(Self, &str), KeyError> {
        let line = line.trim_end_matches(['\r', '\n']);
        let mut words = line.splitn(3, ' ');
        let (algorithm, encoded) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let key = format!("{algorithm} {encoded}").parse().map_err(|_| KeyError::Key(shown(line)))?;
        Ok((key, words.next().unwrap_or_default().trim()))
    }
}
impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let fault = || KeyError::Key(shown(text));
        let encoded = text.strip_prefix(ALGORITHM).and_then(|t| t.strip_prefix(' ')).ok_or_else(fault)?;
        let wire = decode(encoded).ok_or_else(fault)?;
        Self::from_wire(&wire).filter(|k| k.to_string() == text).ok_or_else(fault)
    }
}
impl TryFrom<String> for PublicKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}
impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM} {}", encode(&self.to_wire()))
    }
}
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fingerprint())
    }
}

/// The SHA-256 of a public key's wire form; written `SHA256:` and 43 base64 digits, as `ssh-keygen -l` does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyFingerprint([u8; 32]);

impl KeyFingerprint {
    /// Hashes a trust document's bytes, to be compared by people as the fingerprint of a key is.
    pub fn of_document(bytes: &[u8]) -> Self {
        Self(*Digest::of(bytes).as_bytes())
    }

    /// Returns 16 hexadecimal digits, for names of files; two keys may share them.
    pub fn short(&self) -> String {
        let mut digits = hex(&self.0);
        digits.truncate(16);
        digits
    }
}
impl FromStr for KeyFingerprint {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let fault = || KeyError::Fingerprint(shown(text));
        let digits = text.strip_prefix("SHA256:").ok_or_else(fault)?;
        let bytes = decode(&format!("{digits}=")).and_then(|b| b.try_into().ok()).map(Self);
        bytes.filter(|f| f.to_string() == text).ok_or_else(fault)
    }
}
impl TryFrom<String> for KeyFingerprint {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}
impl From<KeyFingerprint> for String {
    fn from(fingerprint: KeyFingerprint) -> Self {
        fingerprint.to_string()
    }
}
impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", encode(&self.0).trim_end_matches('='))
    }
}
impl fmt::Debug for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes in base64 with padding (RFC 4648 §4).
fn encode(bytes: &[u8]) -> String {
    let digit = |n: u32| char::from(DIGITS.get((n & 63) as usize).copied().unwrap_or(b'='));
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        text.extend([digit(bits >> 18), digit(bits >> 12)]);
        text.push(if chunk.len() > 1 { digit(bits >> 6) } else { '=' });
        text.push(if chunk.len() > 2 { digit(bits) } else { '=' });
    }
    text
}

/// Decodes base64 with padding; callers compare with the encoded form, so unused bits need no look here.
fn decode(text: &str) -> Option<Vec<u8>> {
    let (quads, []) = text.as_bytes().as_chunks::<4>() else { return None };
    let mut bytes = Vec::with_capacity(quads.len() * 3);
    for (n, quad) in quads.iter().enumerate() {
        let padding = quad.iter().rev().take_while(|b| **b == b'=').count();
        if padding > 2 || (padding > 0 && n + 1 != quads.len()) {
            return None;
        }
        let mut bits = 0_u32;
        for byte in quad.iter().take(4 - padding) {
            bits = bits << 6 | u32::try_from(DIGITS.iter().position(|d| d == byte)?).ok()?;
        }
        let [_, decoded @ ..] = (bits << (6 * padding)).to_be_bytes();
        bytes.extend(decoded.iter().take(3 - padding));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIABhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0";

    #[test]
    fn base64_goes_both_ways() {
        for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), plain.as_bytes());
        }
        for bad in ["Z", "Zg=", "Zg==Zg==", "Z===", "Zm9\n", "====", "Zm9v "] {
            assert!(decode(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_has_one_form() {
        let key: PublicKey = LINE.parse().unwrap();
        assert_eq!(key.to_string(), LINE);
        let commented = format!("{LINE} hq\n");
        let (same, comment) = PublicKey::parse_line(&commented).unwrap();
        assert_eq!((same, comment), (key, "hq"));
        assert_eq!(PublicKey::parse_line(LINE).unwrap(), (key, ""));
        for bad in [
            LINE.replace("ssh-ed25519 ", "ssh-ed25519  "),
            LINE.replace("ssh-ed25519 ", "ssh-rsa "),
            LINE.replace("AAAAC3", "AAAAD3"),
            format!("{LINE} comment"),
            format!("{LINE}AAAA"),
            LINE.replace("MjM0", "MjM"),
        ] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_fingerprint_has_one_form() {
        let fingerprint = LINE.parse::<PublicKey>().unwrap().fingerprint();
        let text = fingerprint.to_string();
        assert_eq!(text.len(), 50);
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(fingerprint.short().len(), 16);
        for bad in [text.replace("SHA256", "MD5"), format!("{text}="), text[..49].to_owned(), String::new()] {
            assert!(bad.parse::<KeyFingerprint>().is_err(), "{bad}");
        }
    }
}
