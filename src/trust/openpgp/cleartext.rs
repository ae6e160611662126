//! The cleartext signature framework (RFC 9580 §7), split strictly and in one pass.
//!
//! Stricter than gpgv on purpose (CVE-2011-1829 and its kin): nothing may stand before, between or behind the parts, only
//! `Hash` headers are read, the separating line must be empty, a line that begins with `-` must be escaped, and no line
//! may hold a CR.

use super::armour::{self, Fault, Lines};

const MESSAGE: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
pub(super) const SIGNATURE: &str = "PGP SIGNATURE";

/// A cleartext-signed document, taken apart and not yet verified.
pub(super) struct Parts {
    /// The lines that are signed, unescaped and without trailing blanks, joined by LF.
    pub text: Vec<u8>,
    /// The packets of the signature block.
    pub signatures: Vec<u8>,
}

impl Parts {
    /// Returns the text as it is hashed: lines joined by CR LF (RFC 9580 §7.1).
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len() + self.text.len() / 16);
        for (at, line) in self.text.split(|b| *b == b'\n').enumerate() {
            if at > 0 {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(line);
        }
        out
    }
}

/// Takes a document apart; `None` where it does not even begin as one.
pub(super) fn split(document: &[u8]) -> Result<Option<Parts>, Fault> {
    let mut lines = Lines::new(document, 0);
    if lines.next() != Some(MESSAGE) {
        return Ok(None);
    }
    loop {
        match lines.next().ok_or("the document ends within its headers")? {
            [] => break,
            line if is_hash_header(line) => {}
            _ => return Err("a header other than `Hash`, or no empty line before the text"),
        }
    }
    let mut text = Vec::with_capacity(document.len());
    let mut first = true;
    let signature = loop {
        let start = lines.offset();
        let line = lines.next().ok_or("the text has no signature")?;
        let line = match line {
            [b'-', b' ', escaped @ ..] => escaped,
            [b'-', ..] if line == b"-----BEGIN PGP SIGNATURE-----" => break start,
            [b'-', ..] => return Err("a line begins with `-` and is not escaped"),
            _ => line,
        };
        if line.contains(&b'\r') {
            return Err("a line holds a carriage return");
        }
        if !std::mem::take(&mut first) {
            text.push(b'\n');
        }
        text.extend_from_slice(trim_blanks(line));
    };
    let block = armour::read(document, signature, SIGNATURE)?;
    if !Lines::new(document, block.end).all(<[u8]>::is_empty) {
        return Err("text stands behind the signature");
    }
    Ok(Some(Parts { text, signatures: block.bytes }))
}

fn is_hash_header(line: &[u8]) -> bool {
    line.strip_prefix(b"Hash: ").is_some_and(|names| {
        !names.is_empty() && names.iter().all(|b| b.is_ascii_alphanumeric() || b"-, ".contains(b))
    })
}

/// Cuts spaces and tabs from the end of a line (RFC 9580 §7.2).
fn trim_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
    line.split_at(line.len() - blanks).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> String {
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}-----BEGIN PGP SIGNATURE-----\n\nZm9v\n-----END PGP SIGNATURE-----\n"
        )
    }

    fn text(document: &str) -> Result<String, Fault> {
        split(document.as_bytes()).map(|p| String::from_utf8(p.unwrap().text).unwrap())
    }

    #[test]
    fn text_is_what_was_signed() {
        assert_eq!(text(&document("a\n- -----x\n- - y\nb \t\n\n")).unwrap(), "a\n-----x\n- y\nb\n");
        assert_eq!(text(&document("\n")).unwrap(), "");
        assert_eq!(text(&document("")).unwrap(), "");
        let parts = split(document("a\n\nb \n").as_bytes()).unwrap().unwrap();
        assert_eq!(parts.canonical(), b"a\r\n\r\nb");
        assert_eq!(parts.signatures, b"foo");
    }

    #[test]
    fn what_could_hide_text_is_refused() {
        let good = document("a\n");
        assert!(text(&good).is_ok());
        assert!(text(&good.replace("Hash: SHA512\n", "")).is_ok());
        assert!(text(&format!("{good}\n")).is_ok());
        for bad in [
            good.replace("Hash: SHA512", "Hash: SHA512\nComment: x"),
            good.replace("SHA512\n\n", "SHA512\n \n"),
            good.replace("SHA512\n\n", "SHA512\n"),
            good.replace("a\n", "a\rb\n"),
            good.replace("a\n", "a\r\n"),
            good.replace("a\n", "-a\n"),
            good.replace("a\n", "a\n-----BEGIN PGP SIGNATURE----- \n"),
            good.replace("a\n", "a\n-----BEGIN PGP SIGNED MESSAGE-----\n"),
            good.replace("Zm9v", "Zm9v\nx y"),
            format!("{good}x\n"),
            format!("{good}{good}"),
            good.replace("-----END PGP SIGNATURE-----\n", ""),
            good.replace("\nZm9v", "Zm9v"),
        ] {
            assert_ne!(bad, good);
            assert!(text(&bad).is_err(), "{bad}");
        }
        for none in [
            format!("\n{good}"),
            format!("x\n{good}"),
            good.replace("MESSAGE-----\n", "MESSAGE----- \n"),
            String::new(),
        ] {
            assert!(split(none.as_bytes()).unwrap().is_none(), "{none}");
        }
    }

    #[test]
    fn ten_megabytes_take_no_time() {
        let long = document(&"-- \n".replace("-- ", "- -").repeat(3 << 20));
        let start = std::time::Instant::now();
        assert_eq!(text(&long).unwrap().len(), (6 << 20) - 1);
        assert!(start.elapsed().as_secs() < 5);
    }
}
