//! The text inside a cleartext-signed file, for where no signature is asked for.
//!
//! What a signature proves is the verifier's affair ([`chantal_contract::Verifier::cleartext`]); this reads a file whose
//! proof was given before (a snapshot's `InRelease`), or is waived by policy.

use memchr::memmem;

const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";

/// Tells whether bytes are framed as a cleartext-signed message (RFC 9580 §7).
pub fn is_framed(bytes: &[u8]) -> bool {
    bytes.starts_with(BEGIN)
}

/// Returns the text of a cleartext-signed message without looking at its signature; none where the frame is broken.
///
/// The frame must be the first thing in the file and the only one; dash-escapes are undone, line ends are LF.
pub fn unverified_text(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut lines = bytes.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    if lines.next()? != BEGIN {
        return None;
    }
    // armour headers, such as `Hash: SHA512`, end at an empty line
    while !lines.next()?.is_empty() {}
    let mut text = Vec::with_capacity(bytes.len());
    for line in lines.by_ref() {
        if line == SIGNATURE {
            let rest: Vec<&[u8]> = lines.collect();
            return (!rest.iter().any(|line| memmem::find(line, BEGIN).is_some())).then_some(text);
        }
        match line.strip_prefix(b"- ") {
            Some(escaped) => text.extend_from_slice(escaped),
            None if line.starts_with(b"-") => return None,
            None => text.extend_from_slice(line),
        }
        text.push(b'\n');
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMED: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: x\n- - dash\n\
                          -----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn returns_what_stands_inside() {
        assert!(is_framed(FRAMED.as_bytes()));
        assert_eq!(unverified_text(FRAMED.as_bytes()).unwrap(), b"Origin: x\n- dash\n");
        assert_eq!(unverified_text(FRAMED.replace('\n', "\r\n").as_bytes()).unwrap(), b"Origin: x\n- dash\n");
    }

    #[test]
    fn refuses_a_broken_frame() {
        for broken in [
            String::new(),
            "Origin: x\n".to_owned(),
            format!("Suite: evil\n{FRAMED}"),
            format!("{FRAMED}{FRAMED}"),
            FRAMED.replace("- - dash", "- dash").replace("- dash", "-dash"),
            FRAMED.replace("-----BEGIN PGP SIGNATURE-----", ""),
            FRAMED.lines().take(2).collect(),
        ] {
            assert_eq!(unverified_text(broken.as_bytes()), None, "{broken:?}");
        }
    }
}
