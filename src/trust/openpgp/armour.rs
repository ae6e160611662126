//! ASCII armour (RFC 9580 §6): strict, linear, and blind to what it wraps.

/// A fault in an armoured block, in a few words.
pub(in crate::trust) type Fault = &'static str;

/// An armoured block that was found in a text.
pub(super) struct Block {
    /// What it wraps.
    pub bytes: Vec<u8>,
    /// Where the text goes on behind its last line.
    pub end: usize,
}

/// Iterates over the lines of `text` with the offset behind each.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    /// Returns the offset of the next line.
    pub fn offset(&self) -> usize {
        self.at
    }
}
impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];
    /// Returns the next line without its LF; an empty rest is no line.
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..).filter(|r| !r.is_empty())?;
        let line = rest.split(|b| *b == b'\n').next().unwrap_or(rest);
        self.at = (self.at + line.len() + 1).min(self.text.len());
        Some(line)
    }
}

/// Tells whether a line is `-----BEGIN kind-----`, but for trailing blanks.
pub(super) fn begins(line: &[u8], kind: &str) -> bool {
    is_frame(line, "BEGIN", kind)
}

fn is_frame(line: &[u8], word: &str, kind: &str) -> bool {
    line.trim_ascii_end()
        .strip_prefix(b"-----")
        .and_then(|l| l.strip_prefix(word.as_bytes()))
        .and_then(|l| l.strip_prefix(b" "))
        .and_then(|l| l.strip_prefix(kind.as_bytes()))
        .is_some_and(|l| l == b"-----")
}

/// Reads the block of type `kind` that begins at `start`: headers, an empty line, base64, an optional checksum, the last line.
///
/// The CRC-24 is looked at for its form only, as RFC 9580 §6.1 asks.
pub(super) fn read(text: &[u8], start: usize, kind: &str) -> Result<Block, Fault> {
    let mut lines = Lines::new(text, start);
    if !lines.next().is_some_and(|l| begins(l, kind)) {
        return Err("the armour does not begin where it should");
    }
    loop {
        let line = lines.next().ok_or("the armour ends within its headers")?.trim_ascii_end();
        if line.is_empty() {
            break;
        }
        let name = line.split(|b| *b == b':').next().unwrap_or_default();
        if name.len() == line.len() || !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-') {
            return Err("the armour has a header that is none");
        }
    }
    let mut digits = Vec::new();
    let mut checksum = false;
    loop {
        let line = lines.next().ok_or("the armour has no end")?.trim_ascii_end();
        if is_frame(line, "END", kind) {
            return Ok(Block { bytes: decode(&digits)?, end: lines.offset() });
        }
        if checksum {
            return Err("the armour goes on behind its checksum");
        }
        checksum = line.first() == Some(&b'=') && line.len() == 5;
        if !checksum {
            digits.extend_from_slice(line);
        }
    }
}

/// Decodes base64 with padding (RFC 4648 §4).
pub(in crate::trust) fn decode(digits: &[u8]) -> Result<Vec<u8>, Fault> {
    const FAULT: Fault = "the armour holds something else than base64";
    let (quads, []) = digits.as_chunks::<4>() else { return Err(FAULT) };
    let mut bytes = Vec::with_capacity(quads.len() * 3);
    for (at, quad) in quads.iter().enumerate() {
        let padding = quad.iter().rev().take_while(|b| **b == b'=').count();
        if padding > 2 || (padding > 0 && at + 1 != quads.len()) {
            return Err(FAULT);
        }
        let mut bits = 0_u32;
        for digit in quad.iter().take(4 - padding) {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return Err(FAULT),
            };
            bits = bits << 6 | u32::from(value);
        }
        let [_, decoded @ ..] = (bits << (6 * padding)).to_be_bytes();
        bytes.extend(decoded.iter().take(3 - padding));
    }
    Ok(bytes)
}

/// Writes `bytes` as an armoured block in lines of 64, with the checksum that older readers want.
pub(in crate::trust) fn write(bytes: &[u8], kind: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let encode = |bytes: &[u8]| {
        let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for chunk in bytes.chunks(3) {
            let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for (digit, shift) in [18, 12, 6, 0].into_iter().enumerate() {
                let there = digit <= chunk.len();
                text.push(if there { char::from(DIGITS[(bits >> shift & 63) as usize]) } else { '=' });
            }
        }
        text
    };
    let mut text = format!("-----BEGIN {kind}-----\n\n");
    for line in bytes.chunks(48) {
        text.push_str(&encode(line));
        text.push('\n');
    }
    let [_, crc @ ..] = crc24(bytes).to_be_bytes();
    [text, format!("={}\n-----END {kind}-----\n", encode(&crc))].concat()
}

/// Computes the CRC-24 of RFC 9580 §6.1.1.
fn crc24(bytes: &[u8]) -> u32 {
    let mut crc = 0x00b7_04ce_u32;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    crc & 0x00ff_ffff
}
