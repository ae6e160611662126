//! Digests, what is expected of a file, and the measuring of it.

use std::{fmt, str::FromStr};

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

/// The SHA-256 of some bytes: the name of a blob, a record, a manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// Some text that is no digest of the algorithm it was said to be of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no {algorithm} digest ({} lower-case hexadecimal digits)", algorithm.len() * 2)]
pub struct DigestError {
    algorithm: Algorithm,
    found: String,
}

impl Digest {
    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes 32 bytes as they are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

impl FromStr for Digest {
    type Err = DigestError;
    /// Reads 64 lower-case hexadecimal digits; there is one form only.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let fault = || DigestError { algorithm: Algorithm::Sha256, found: text.chars().take(80).collect() };
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(fault());
        }
        unhex(text).and_then(|v| v.try_into().ok()).map(Self).ok_or_else(fault)
    }
}
impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}
impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.hex()
    }
}
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

/// A hash function that some upstream still lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// MD5: never a proof by itself.
    Md5,
    /// SHA-1: never a proof by itself.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Reads the name that an index gives (case and dashes do not matter; RPM's `sha` is SHA-1).
    pub fn named(name: &str) -> Option<Self> {
        let plain: String = name.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        Some(match plain.as_str() {
            "md5" | "md5sum" => Self::Md5,
            "sha" | "sha1" => Self::Sha1,
            "sha224" => Self::Sha224,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    /// Returns the length of a digest in bytes.
    #[expect(clippy::len_without_is_empty, reason = "the length of a digest, not of a collection")]
    pub const fn len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Tells whether a match alone proves identity (SHA-224 and longer of the SHA-2 family).
    pub const fn is_proof(self) -> bool {
        !matches!(self, Self::Md5 | Self::Sha1)
    }

    /// Returns the name as `hashlib` and `createrepo_c` write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}
impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A digest of a named algorithm, as an index lists it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum {
    algorithm: Algorithm,
    value: Box<[u8]>,
}

impl Checksum {
    /// Takes a digest whose length must be the algorithm's.
    pub fn new(algorithm: Algorithm, value: &[u8]) -> Result<Self, DigestError> {
        if value.len() == algorithm.len() {
            Ok(Self { algorithm, value: value.into() })
        } else {
            Err(DigestError { algorithm, found: hex(value) })
        }
    }

    /// Reads hexadecimal digits of either case.
    pub fn from_hex(algorithm: Algorithm, text: &str) -> Result<Self, DigestError> {
        match unhex(text) {
            Some(value) if value.len() == algorithm.len() => Ok(Self { algorithm, value: value.into() }),
            _ => Err(DigestError { algorithm, found: text.chars().take(140).collect() }),
        }
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the digest's bytes.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Returns lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        hex(&self.value)
    }
}
impl From<Digest> for Checksum {
    fn from(digest: Digest) -> Self {
        Self { algorithm: Algorithm::Sha256, value: digest.0.into() }
    }
}
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex())
    }
}
impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What must be true of a file's bytes: its size where known, every digest listed, and a bound in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The exact size in bytes, where an index gives it.
    pub size: Option<u64>,
    /// Digests that must all match; empty for a trust anchor.
    pub checksums: Vec<Checksum>,
    /// The largest size that is read at all, in bytes.
    pub limit: u64,
}

impl Expect {
    /// Nothing is known but a bound: a trust anchor.
    pub fn at_most(limit: u64) -> Self {
        Self { size: None, checksums: Vec::new(), limit }
    }

    /// Size and digests are known.
    pub fn exactly(size: u64, checksums: Vec<Checksum>) -> Self {
        Self { size: Some(size), checksums, limit: size }
    }

    /// Returns the SHA-256 that is expected, if one is.
    pub fn sha256(&self) -> Option<Digest> {
        let found = self.checksums.iter().find(|c| c.algorithm == Algorithm::Sha256)?;
        <[u8; 32]>::try_from(&*found.value).ok().map(Digest)
    }

    /// Tells whether some digest proves the bytes' identity by itself.
    pub fn is_proof(&self) -> bool {
        self.checksums.iter().any(|c| c.algorithm.is_proof())
    }

    /// Returns the largest number of bytes that may be read.
    pub fn bound(&self) -> u64 {
        self.size.unwrap_or(self.limit).min(self.limit)
    }

    /// Starts measuring bytes against this.
    pub fn measure(&self) -> Measurer {
        let mut others = Vec::new();
        for checksum in &self.checksums {
            if checksum.algorithm != Algorithm::Sha256
                && !others.iter().any(|h: &Hasher| h.algorithm() == checksum.algorithm)
            {
                others.push(Hasher::new(checksum.algorithm));
            }
        }
        Measurer { expect: self.clone(), size: 0, sha256: Sha256::new(), others }
    }
}

/// What the bytes turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Measured {
    /// Their SHA-256.
    pub sha256: Digest,
    /// Their number.
    pub size: u64,
}

/// How bytes differ from what was expected of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// More bytes than promised, or than the limit allows.
    #[error("more than {bound} bytes, where {bound} is the most it may have")]
    TooLong {
        /// The bound that was passed.
        bound: u64,
    },
    /// Fewer or more bytes than promised.
    #[error("expected {expected} bytes, found {found}")]
    Size {
        /// What an index promised.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A digest differs.
    #[error("expected {expected}, found {}", hex(found))]
    Checksum {
        /// What an index promised.
        expected: Checksum,
        /// What the bytes hash to.
        found: Vec<u8>,
    },
}

/// Hashes and counts bytes as they pass; [`Measurer::finish`] compares.
#[derive(Clone)]
pub struct Measurer {
    expect: Expect,
    size: u64,
    sha256: Sha256,
    others: Vec<Hasher>,
}

impl Measurer {
    /// Takes the next bytes; refuses at once what passes the bound.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Mismatch> {
        self.size += bytes.len() as u64;
        let bound = self.expect.bound();
        if self.size > bound {
            return Err(Mismatch::TooLong { bound });
        }
        self.sha256.update(bytes);
        for hasher in &mut self.others {
            hasher.update(bytes);
        }
        Ok(())
    }

    /// Returns how many bytes have passed.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Compares what passed with what was expected.
    pub fn finish(self) -> Result<Measured, Mismatch> {
        if let Some(expected) = self.expect.size
            && expected != self.size
        {
            return Err(Mismatch::Size { expected, found: self.size });
        }
        let sha256: [u8; 32] = self.sha256.finalize().into();
        let others: Vec<(Algorithm, Vec<u8>)> =
            self.others.into_iter().map(|h| (h.algorithm(), h.finish())).collect();
        for expected in &self.expect.checksums {
            let found: &[u8] = match others.iter().find(|(a, _)| *a == expected.algorithm) {
                Some((_, value)) => value,
                None => &sha256,
            };
            if *found != *expected.value {
                return Err(Mismatch::Checksum { expected: expected.clone(), found: found.to_vec() });
            }
        }
        Ok(Measured { sha256: Digest(sha256), size: self.size })
    }
}

/// A running hash of any listed algorithm.
#[derive(Clone)]
pub enum Hasher {
    /// MD5.
    Md5(Md5),
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-224.
    Sha224(Sha224),
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-384.
    Sha384(Sha384),
    /// SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// Starts an empty hash.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Md5 => Self::Md5(Md5::new()),
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Sha224 => Self::Sha224(Sha224::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha384 => Self::Sha384(Sha384::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Md5(_) => Algorithm::Md5,
            Self::Sha1(_) => Algorithm::Sha1,
            Self::Sha224(_) => Algorithm::Sha224,
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha384(_) => Algorithm::Sha384,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(h) => h.update(bytes),
            Self::Sha1(h) => h.update(bytes),
            Self::Sha224(h) => h.update(bytes),
            Self::Sha256(h) => h.update(bytes),
            Self::Sha384(h) => h.update(bytes),
            Self::Sha512(h) => h.update(bytes),
        }
    }

    /// Returns the digest of all that came.
    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(h) => h.finalize().to_vec(),
            Self::Sha1(h) => h.finalize().to_vec(),
            Self::Sha224(h) => h.finalize().to_vec(),
            Self::Sha256(h) => h.finalize().to_vec(),
            Self::Sha384(h) => h.finalize().to_vec(),
            Self::Sha512(h) => h.finalize().to_vec(),
        }
    }
}

/// Returns lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS.get(usize::from(n)).copied().unwrap_or(b'?'));
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// Reads hexadecimal digits of either case.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_every_listed_digest() {
        let sha512 = Checksum::from_hex(Algorithm::Sha512, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f").unwrap();
        let md5 = Checksum::from_hex(Algorithm::Md5, "900150983CD24FB0D6963F7D28E17F72").unwrap();
        let expect = Expect::exactly(3, vec![Digest::of(b"abc").into(), sha512, md5]);
        let mut measurer = expect.measure();
        measurer.update(b"a").unwrap();
        measurer.update(b"bc").unwrap();
        assert_eq!(measurer.finish().unwrap(), Measured { sha256: Digest::of(b"abc"), size: 3 });
        let mut wrong = expect.measure();
        wrong.update(b"abd").unwrap();
        assert!(matches!(wrong.finish(), Err(Mismatch::Checksum { .. })));
        assert_eq!(expect.measure().update(b"abcd"), Err(Mismatch::TooLong { bound: 3 }));
        let mut short = expect.measure();
        short.update(b"ab").unwrap();
        assert_eq!(short.finish(), Err(Mismatch::Size { expected: 3, found: 2 }));
    }

    #[test]
    fn a_digest_has_one_form() {
        let hex = Digest::of(b"").hex();
        assert_eq!(hex.parse::<Digest>().unwrap(), Digest::of(b""));
        assert!(hex.to_uppercase().parse::<Digest>().is_err());
        assert!(hex[1..].parse::<Digest>().is_err());
    }
}
