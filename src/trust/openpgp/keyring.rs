//! The keys that a repository is configured with.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use chantal_contract::{limits::KEYRING_BYTES, proof::Fingerprint};
use jiff::Timestamp;
use pgp::types::{KeyDetails, Tag};

use super::{
    armour,
    certificate::{Builder, Certificate},
    packets,
};

const PUBLIC: &str = "PGP PUBLIC KEY BLOCK";

/// OpenPGP certificates that are believed because a person named their files.
#[derive(Default)]
pub struct Keyring {
    pub(super) certificates: Vec<Certificate>,
}

/// What a person wants to know of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The primary key's fingerprint.
    pub fingerprint: Fingerprint,
    /// Its user IDs, escaped for a terminal.
    pub users: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
    /// Whether it is revoked at the time that was asked for.
    pub revoked: bool,
}

/// Why a file is no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It cannot be read.
    #[error("key file `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It is larger than any keyring.
    #[error("key file `{path}` is larger than {KEYRING_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It holds no OpenPGP public keys in either of their forms.
    #[error("`{path}` is no OpenPGP keyring: {why}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// It is GnuPG's own key box.
    #[error("`{path}` is GnuPG's key box and no exported key")]
    KeyBox {
        /// The file.
        path: PathBuf,
    },
    /// It holds a secret key.
    #[error("`{path}` holds a secret key")]
    Secret {
        /// The file.
        path: PathBuf,
    },
    /// Not one of its keys is of a version and algorithm that can be verified with.
    #[error("`{path}` holds no key that can be verified with")]
    NoKeys {
        /// The file.
        path: PathBuf,
    },
}

impl KeyringError {
    /// Returns the file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::TooLarge { path }
            | Self::Malformed { path, .. }
            | Self::KeyBox { path }
            | Self::Secret { path }
            | Self::NoKeys { path } => path,
        }
    }

    /// Returns what helps.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::KeyBox { .. } | Self::Secret { .. } => {
                Some("name a file made by `gpg --export KEYID >FILE`".into())
            }
            Self::Malformed { .. } | Self::NoKeys { .. } => {
                Some("`gpg --show-keys FILE` tells what gpg reads there".into())
            }
            Self::Io { .. } | Self::TooLarge { .. } => None,
        }
    }
}

impl Keyring {
    /// Reads key files, each binary or armoured, with any number of keys.
    pub fn load(paths: &[PathBuf]) -> Result<Self, KeyringError> {
        let mut keyring = Self::default();
        for path in paths {
            let io = |source| KeyringError::Io { path: path.clone(), source };
            let mut bytes = Vec::new();
            fs::File::open(path).map_err(io)?.take(KEYRING_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
            keyring.add(path, &bytes)?;
        }
        Ok(keyring)
    }

    /// Reads keys from memory; `name` stands for the file in errors.
    pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Self, KeyringError> {
        let mut keyring = Self::default();
        keyring.add(name, bytes)?;
        Ok(keyring)
    }

    /// Adds the keys of a file; a certificate that is there already, byte for byte, is not added again.
    pub fn add(&mut self, name: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
        let path = || name.to_path_buf();
        if bytes.len() as u64 > KEYRING_BYTES {
            return Err(KeyringError::TooLarge { path: path() });
        }
        if bytes.get(8..12) == Some(b"KBXf") {
            return Err(KeyringError::KeyBox { path: path() });
        }
        let malformed = |why| KeyringError::Malformed { path: path(), why };
        // Every packet's first byte has its highest bit set (RFC 9580 §4.2); no armoured text begins so.
        let blocks = match bytes.first() {
            None => return Err(malformed("it is empty")),
            Some(first) if first & 0x80 != 0 => vec![bytes.to_vec()],
            Some(_) => blocks(bytes).map_err(malformed)?,
        };
        let mut found = 0;
        for block in &blocks {
            let mut current: Option<Builder> = None;
            for raw in packets::split(block) {
                let raw = raw.map_err(malformed)?;
                match raw.tag {
                    Tag::PublicKey => {
                        found += self.keep(current.take());
                        current = Builder::new(&raw);
                    }
                    Tag::SecretKey | Tag::SecretSubkey => return Err(KeyringError::Secret { path: path() }),
                    _ => {
                        if let Some(builder) = &mut current {
                            builder.push(&raw);
                        }
                    }
                }
            }
            found += self.keep(current);
        }
        if found == 0 { Err(KeyringError::NoKeys { path: path() }) } else { Ok(()) }
    }

    fn keep(&mut self, builder: Option<Builder>) -> usize {
        let Some(certificate) = builder.map(Builder::finish) else { return 0 };
        if !self.certificates.iter().any(|c| c.bytes == certificate.bytes) {
            self.certificates.push(certificate);
        }
        1
    }

    /// Tells whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// Returns the fingerprints of the primary keys, sorted, each once.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        let mut found: Vec<Fingerprint> = self.certificates.iter().map(|c| c.fingerprint.clone()).collect();
        found.sort();
        found.dedup();
        found
    }

    /// Returns what there is to know of each certificate at a time, sorted by fingerprint.
    pub fn certificates(&self, at: Timestamp) -> Vec<CertificateInfo> {
        let second = u32::try_from(at.as_second().max(0)).unwrap_or(u32::MAX);
        let time = |s: u32| Timestamp::from_second(i64::from(s)).unwrap_or(Timestamp::MAX);
        let mut infos: Vec<CertificateInfo> = self
            .certificates
            .iter()
            .map(|c| CertificateInfo {
                fingerprint: c.fingerprint.clone(),
                users: c.user_ids().iter().map(|u| u.escape_debug().to_string()).collect(),
                created: time(c.primary.created_at().as_secs()),
                expires: c.expires(second, &self.certificates).map(time),
                revoked: c.is_revoked(second, &self.certificates),
            })
            .collect();
        infos.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
        infos
    }

    /// Writes all certificates as one binary keyring, sorted by fingerprint: what `gpgv --keyring` and evidence take.
    pub fn binary(&self) -> Vec<u8> {
        self.sorted().flat_map(|c| c.bytes.iter().copied()).collect()
    }

    /// Returns every certificate with its bytes, as evidence keeps them, sorted by fingerprint.
    pub fn parts(&self) -> Vec<(Fingerprint, Vec<u8>)> {
        self.sorted().map(|c| (c.fingerprint.clone(), c.bytes.clone())).collect()
    }

    /// Writes all certificates in one armoured block, sorted by fingerprint: what `Signed-By` and `gpgkey` take.
    pub fn armored(&self) -> String {
        armour::write(&self.binary(), PUBLIC)
    }

    fn sorted(&self) -> impl Iterator<Item = &Certificate> {
        let mut all: Vec<&Certificate> = self.certificates.iter().collect();
        all.sort_by(|a, b| (&a.fingerprint, &a.bytes).cmp(&(&b.fingerprint, &b.bytes)));
        all.into_iter()
    }
}

/// Finds all armoured blocks; what stands between them is a comment.
fn blocks(text: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut found = Vec::new();
    let mut lines = armour::Lines::new(text, 0);
    loop {
        let start = lines.offset();
        let Some(line) = lines.next() else { break };
        if armour::begins(line, "PGP PRIVATE KEY BLOCK") {
            return Err("it holds a private key");
        }
        if armour::begins(line, PUBLIC) {
            let block = armour::read(text, start, PUBLIC)?;
            found.push(block.bytes);
            lines = armour::Lines::new(text, block.end);
        }
    }
    if found.is_empty() { Err("it holds neither packets nor an armoured public key") } else { Ok(found) }
}
