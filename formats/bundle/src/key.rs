//! Ed25519 public keys as OpenSSH writes them, and their fingerprints (RFC 8709, RFC 4253 §6.6; keys on tokens: PROTOCOL.u2f).

mod base64;

use std::{fmt, str::FromStr};

use chantal_contract::{Digest, digest::hex, limits::APPLICATION_BYTES};
use serde::{Deserialize, Serialize};

use self::base64::{decode, encode};
use crate::wire;

const FILE: &str = "ssh-ed25519";
const TOKEN: &str = "sk-ssh-ed25519@openssh.com";

/// An Ed25519 public key, held in a file or on a hardware token; written as OpenSSH does, without a comment.
///
/// One in a file is `ssh-ed25519 <base64>`, one on a token (FIDO) `sk-ssh-ed25519@openssh.com <base64>`: it has an application
/// beside the 32 bytes of the key, and its signatures are over other bytes (OpenSSH's PROTOCOL.u2f).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey {
    point: [u8; 32],
    application: Option<Application>,
}

/// Some text that is no Ed25519 public key or no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not an algorithm's name and the base64 form of its key.
    #[error("`{0}` is no OpenSSH public key of type {FILE} or {TOKEN}")]
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
    /// Takes the 32 bytes of a key that no token holds (RFC 8032 §5.1.5).
    pub const fn from_bytes(point: [u8; 32]) -> Self {
        Self { point, application: None }
    }

    /// Takes the 32 bytes of a key that a token holds, and its application.
    pub const fn on_token(point: [u8; 32], application: Application) -> Self {
        Self { point, application: Some(application) }
    }

    /// Returns the 32 bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.point
    }

    /// Returns the application of a key that a token holds.
    pub const fn application(&self) -> Option<&Application> {
        self.application.as_ref()
    }

    /// Tells whether a token holds the key, so that nobody can copy it.
    pub const fn is_on_token(&self) -> bool {
        self.application.is_some()
    }

    /// Returns the name of its algorithm, which keys and signatures of the kind begin with.
    pub const fn algorithm(&self) -> &'static str {
        if self.is_on_token() { TOKEN } else { FILE }
    }

    /// Returns the key as it stands in SSH's wire format (RFC 8709 §4, PROTOCOL.u2f).
    pub fn to_wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        wire::put(&mut wire, self.algorithm().as_bytes());
        wire::put(&mut wire, &self.point);
        if let Some(application) = &self.application {
            wire::put(&mut wire, application.as_bytes());
        }
        wire
    }

    /// Reads the key from SSH's wire format; none where it is of another kind, or something stands behind it.
    pub fn from_wire(mut wire: &[u8]) -> Option<Self> {
        let algorithm = wire::string(&mut wire)?;
        let point = wire::string(&mut wire)?.try_into().ok()?;
        let key = match str::from_utf8(algorithm).ok()? {
            FILE => Self::from_bytes(point),
            TOKEN => Self::on_token(point, Application::new(wire::string(&mut wire)?)?),
            _ => return None,
        };
        wire.is_empty().then_some(key)
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
        let key = text.split_once(' ').and_then(|(_, encoded)| Self::from_wire(&decode(encoded)?));
        // one form: the name before it is that inside, and the base64 digits are those that are written
        key.filter(|key| key.to_string() == text).ok_or_else(|| KeyError::Key(shown(text)))
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
        write!(f, "{} {}", self.algorithm(), encode(&self.to_wire()))
    }
}
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fingerprint())
    }
}

/// The application of a key on a token: `ssh:`, or `ssh:` and a name. The token signs its SHA-256 along with every message.
///
/// It has at most [`APPLICATION_BYTES`] printable ASCII characters. One that does not begin with `ssh:` belongs to a web site, and
/// an ssh-agent signs nothing of ours with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Application {
    /// What is not used is zero.
    bytes: [u8; APPLICATION_BYTES],
    length: usize,
}

impl Application {
    /// Takes an application; none where it is not of this form.
    pub fn new(text: &[u8]) -> Option<Self> {
        let printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
        let mut bytes = [0; APPLICATION_BYTES];
        bytes.get_mut(..text.len()).filter(|_| printable && text.starts_with(b"ssh:"))?.copy_from_slice(text);
        Some(Self { bytes, length: text.len() })
    }

    /// Returns its characters.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
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

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIABhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0";

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

    /// A key on a token with this application, as base64 of whatever algorithm and tail.
    fn token(algorithm: &str, application: &[u8], tail: &[u8]) -> String {
        let mut wire = Vec::new();
        for part in [algorithm.as_bytes(), &[7; 32], application] {
            wire::put(&mut wire, part);
        }
        wire.extend(tail);
        encode(&wire)
    }

    #[test]
    fn a_key_on_a_token_has_one_form_and_its_application() {
        let line = format!("{TOKEN} {}", token(TOKEN, b"ssh:", b""));
        let key: PublicKey = line.parse().unwrap();
        assert_eq!(key.to_string(), line);
        assert_eq!(key, PublicKey::on_token([7; 32], Application::new(b"ssh:").unwrap()));
        assert_eq!((key.algorithm(), key.is_on_token(), key.as_bytes()), (TOKEN, true, &[7; 32]));
        let commented = format!("{line} on my desk\n");
        assert_eq!(PublicKey::parse_line(&commented).unwrap(), (key, "on my desk"));
        // the same 32 bytes in a file, or for another application, are another key
        let plain = PublicKey::from_bytes([7; 32]);
        let other = PublicKey::on_token([7; 32], Application::new(b"ssh:x").unwrap());
        assert!(plain != key && other != key && other.fingerprint() != key.fingerprint());
        for bad in [
            token(TOKEN, b"ssh:", b"\0"),
            token(TOKEN, b"ssh:", b"\0\0\0\0"),
            token(TOKEN, b"https://example.org", b""),
            token(TOKEN, b"", b""),
            token(TOKEN, b"ssh:\n", b""),
            token(TOKEN, "ssh:\u{e9}".as_bytes(), b""),
            token("sk-ecdsa-sha2-nistp256@openssh.com", b"ssh:", b""),
            token(FILE, b"ssh:", b""),
        ] {
            assert!(format!("{TOKEN} {bad}").parse::<PublicKey>().is_err(), "{bad}");
        }
        let mut cut = line.clone();
        cut.truncate(line.len() - 4);
        for bad in [line.replacen(TOKEN, FILE, 1), line.replacen("sk-", "SK-", 1), format!("{line} x"), cut] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn applications_are_limited() {
        let of = |length: usize| Application::new(&[b"ssh:".as_slice(), &vec![b'x'; length - 4]].concat());
        for length in [4, APPLICATION_BYTES - 1, APPLICATION_BYTES] {
            let application = of(length).unwrap();
            assert_eq!(application.as_bytes().len(), length);
            let key = PublicKey::on_token([1; 32], application);
            assert_eq!(PublicKey::from_wire(&key.to_wire()), Some(key));
        }
        assert!(of(APPLICATION_BYTES + 1).is_none());
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
