//! The proof that a package comes from its vendor: the signature over its header, and the digest in it over the payload.

use std::io::Write;

use chantal_contract::{
    Algorithm, Checksum, FormatError, Policy, ReadSeek, RepoPath, Verifier, VerifyError, digest::Hasher,
    proof::Fingerprint,
};

use crate::location::is_package;

use super::{Header, Rpm, seek, tag};

/// Verifies the signature of the package in `input` as the policy asks, and returns who signed.
///
/// One good signature by a configured key suffices. Since rpm 4.14 the header holds a digest of the payload, so that a
/// signature over the header covers both; of an older package the signature over header and payload is asked for. rpm itself
/// accepts such a package by its header alone, with nothing but an unsigned MD5 over the payload.
///
/// Files that are not named `.rpm` (delta packages, installer images) carry no signature of their own and are proved by
/// the index that lists them; primary lists no package under such a name.
pub(crate) fn vet(
    file: &RepoPath,
    input: &mut dyn ReadSeek,
    proof: &dyn Verifier,
) -> Result<Vec<Fingerprint>, FormatError> {
    let policy = proof.packages();
    if policy == Policy::Off || !is_package(file) {
        return Ok(Vec::new());
    }
    let rpm = Rpm::rewound(file, input)?;
    match signers(file, input, &rpm, proof) {
        Err(FormatError::Verify { source: VerifyError::Unsigned | VerifyError::NoKeys, .. })
            if policy == Policy::IfPresent =>
        {
            Ok(Vec::new())
        }
        result => result,
    }
}

fn signers(
    file: &RepoPath,
    input: &mut dyn ReadSeek,
    rpm: &Rpm,
    proof: &dyn Verifier,
) -> Result<Vec<Fingerprint>, FormatError> {
    let refuse = |source| FormatError::Verify { file: file.clone(), source };
    let over_header = header_signatures(&rpm.signature);
    let over_all: Vec<&[u8]> =
        [tag::SIG_PGP, tag::SIG_GPG].into_iter().filter_map(|t| rpm.signature.bytes(t)).collect();
    let bound = payload_digest(&rpm.header).map_err(refuse)?;
    if let (Some(digest), false) = (bound, over_header.is_empty()) {
        let by = any_good(&over_header, |s| proof.detached(rpm.header.raw(), s)).map_err(refuse)?;
        seek(file, input, rpm.payload_at)?;
        if hash(file, input, digest.algorithm())? != digest.value() {
            let signer = by.into_iter().next().unwrap_or_else(|| Fingerprint(String::new()));
            return Err(refuse(VerifyError::Bad(signer)));
        }
        return Ok(by);
    }
    if !over_all.is_empty() {
        return any_good(&over_all, |s| proof.detached_from(input, rpm.header_at, s)).map_err(refuse);
    }
    if over_header.is_empty() {
        return Err(refuse(VerifyError::Unsigned));
    }
    Err(refuse(VerifyError::Malformed("it covers the header, which binds no payload".into())))
}

/// Returns the signatures over the main header, those in base64 decoded.
fn header_signatures(signature: &Header) -> Vec<Vec<u8>> {
    let packets =
        [tag::SIG_RSA, tag::SIG_DSA].into_iter().filter_map(|t| signature.bytes(t)).map(<[u8]>::to_vec);
    packets.chain(signature.strings(tag::SIG_OPENPGP).filter_map(base64)).collect()
}

/// Returns what the header says of the payload's digest.
fn payload_digest(header: &Header) -> Result<Option<Checksum>, VerifyError> {
    let Some(hex) = header.text(tag::PAYLOAD_DIGEST) else { return Ok(None) };
    let algorithm = match header.int32s(tag::PAYLOAD_DIGEST_ALGORITHM).next() {
        None | Some(8) => Algorithm::Sha256,
        Some(9) => Algorithm::Sha384,
        Some(10) => Algorithm::Sha512,
        Some(11) => Algorithm::Sha224,
        Some(other) => {
            return Err(VerifyError::Malformed(format!(
                "the payload's digest is of unknown algorithm {other}"
            )));
        }
    };
    let digest = Checksum::from_hex(algorithm, &hex).map_err(|e| VerifyError::Malformed(e.to_string()))?;
    Ok(Some(digest))
}

/// Returns who made the first good one of several signatures, or why the last is none.
fn any_good(
    signatures: &[impl AsRef<[u8]>],
    mut judge: impl FnMut(&[u8]) -> Result<Vec<Fingerprint>, VerifyError>,
) -> Result<Vec<Fingerprint>, VerifyError> {
    let mut why = VerifyError::Unsigned;
    for signature in signatures {
        match judge(signature.as_ref()) {
            Ok(by) => return Ok(by),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Hashes what is left of `input`.
fn hash(file: &RepoPath, input: &mut dyn ReadSeek, algorithm: Algorithm) -> Result<Vec<u8>, FormatError> {
    struct Sink(Hasher);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut sink = Sink(Hasher::new(algorithm));
    std::io::copy(input, &mut sink).map_err(|source| FormatError::Decode { file: file.clone(), source })?;
    Ok(sink.0.finish())
}

/// Decodes base64 (RFC 4648 §4); line breaks may stand in it.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut letters = text.iter().filter(|b| !b.is_ascii_whitespace());
    for byte in letters.by_ref() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => return letters.all(|b| *b == b'=').then_some(out),
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests;
