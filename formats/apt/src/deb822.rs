//! Stanzas of control data (`deb822(5)`): a streaming splitter and the fields of one stanza.
//!
//! Lines end in LF or CR LF; any other control character but TAB is refused. A stanza ends at an empty line. As apt has it, a
//! line of blanks continues the field above, and names of fields compare without case.

use std::io::Read;

use chantal_contract::{FormatError, RepoPath, error::shorten, limits::RECORD_BYTES};
use memchr::memchr;

const CHUNK: usize = 256 << 10;

/// One stanza as it stands in its file, its last line end included.
#[derive(Clone, Copy, Debug)]
pub struct Stanza<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The number of its first line in the file, from 1.
    pub line: u64,
}

impl<'a> Stanza<'a> {
    /// Visits its fields in their order.
    pub fn fields(&self) -> Fields<'a> {
        Fields { rest: self.bytes, line: self.line }
    }
}

/// Something in a stanza that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line in the file, from 1.
    pub line: u64,
    /// What the specification asks for.
    pub expected: &'static str,
    /// What is there, quoted and shortened.
    pub found: String,
}

impl Fault {
    /// Says what was expected on `line` and quotes what was found.
    pub fn new(line: u64, expected: &'static str, found: &[u8]) -> Self {
        let shown = found.get(..400).unwrap_or(found);
        Self { line, expected, found: shorten(&String::from_utf8_lossy(shown)) }
    }

    /// Names the file.
    pub fn of(self, file: &RepoPath) -> FormatError {
        FormatError::Malformed {
            file: file.clone(),
            place: format!("line {}", self.line),
            expected: self.expected.into(),
            found: self.found,
        }
    }
}

/// One field: its name, and its value with all folded lines.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The name as written.
    pub name: &'a str,
    /// The line it begins on.
    pub line: u64,
    value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Tells whether this is the field `name`; case does not matter.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Returns the first line of the value without blanks around it.
    pub fn head(&self) -> &'a [u8] {
        let end = memchr(b'\n', self.value).unwrap_or(self.value.len());
        self.value.get(..end).unwrap_or_default().trim_ascii()
    }

    /// Returns the value of a field that may not be folded and must hold something.
    pub fn line_value(&self) -> Result<&'a str, Fault> {
        let value = self.value.trim_ascii();
        if value.is_empty() {
            return Err(self.fault("a value", b""));
        }
        if memchr(b'\n', value).is_some() {
            return Err(self.fault("a value on one line", value));
        }
        std::str::from_utf8(value).map_err(|_| self.fault("UTF-8", value))
    }

    /// Returns a value that is one word of printable ASCII.
    pub fn word(&self) -> Result<&'a str, Fault> {
        let value = self.line_value()?;
        if value.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(value)
        } else {
            Err(self.fault("one word of printable ASCII", value.as_bytes()))
        }
    }

    /// Returns a value that is a plain decimal number.
    pub fn number(&self) -> Result<u64, Fault> {
        let value = self.line_value()?;
        decimal(value).ok_or_else(|| self.fault("a decimal number", value.as_bytes()))
    }

    /// Returns the words of a value that may be folded.
    pub fn words(&self) -> Result<impl Iterator<Item = &'a str>, Fault> {
        let value = std::str::from_utf8(self.value).map_err(|_| self.fault("UTF-8", self.value))?;
        Ok(value.split_ascii_whitespace())
    }

    /// Returns the lines of the value that hold anything, with their numbers.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let first = self.line;
        self.value
            .split(|b| *b == b'\n')
            .enumerate()
            .map(move |(n, line)| (first + n as u64, line.trim_ascii()))
            .filter(|(_, line)| !line.is_empty())
    }

    /// Says what was expected of this field.
    pub fn fault(&self, expected: &'static str, found: &[u8]) -> Fault {
        let mut fault = Fault::new(self.line, expected, found);
        fault.found = format!("{} in field `{}`", fault.found, self.name);
        fault
    }
}

/// Reads a plain decimal number: digits only.
pub fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The fields of a stanza; ends after the first fault.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    line: u64,
}

impl<'a> Fields<'a> {
    /// Reads the fields of text that is one stanza and whose first line has the number 1.
    pub fn of(text: &'a [u8]) -> Self {
        Self { rest: text, line: 1 }
    }

    fn next_line(&mut self) -> &'a [u8] {
        let end = memchr(b'\n', self.rest).map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        self.line += 1;
        line
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest;
        if text.is_empty() {
            return None;
        }
        let number = self.line;
        let line = self.next_line();
        let name = memchr(b':', line).and_then(|colon| line.get(..colon)).filter(|name| is_name(name));
        let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok()) else {
            self.rest = &[];
            return Some(Err(Fault::new(number, "`Name: value`", line.trim_ascii())));
        };
        while matches!(self.rest.first(), Some(b' ' | b'\t')) {
            self.next_line();
        }
        let value = text.get(name.len() + 1..text.len() - self.rest.len()).unwrap_or_default();
        Some(Ok(Field { name, line: number, value }))
    }
}

/// Tells whether bytes can name a field: printable ASCII but `:`, not beginning with `#` or `-`.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && !name.starts_with(b"#")
        && !name.starts_with(b"-")
        && name.iter().all(u8::is_ascii_graphic)
}

/// Returns the first control character that control data may not hold, with its place in `bytes`.
pub fn forbidden(bytes: &[u8]) -> Option<usize> {
    // without a branch per byte, so that the common case runs at the speed of memory
    let suspicious = |b: &u8| u8::from(*b < b' ' && *b != b'\n' && *b != b'\t') | u8::from(*b == 0x7f);
    if bytes.iter().fold(0, |seen, b| seen | suspicious(b)) == 0 {
        return None;
    }
    let mut following = bytes.iter().copied().skip(1).chain([b'\n']);
    bytes.iter().position(|b| {
        let next = following.next();
        match b {
            b'\n' | b'\t' => false,
            b'\r' => next != Some(b'\n'),
            b => b.is_ascii_control(),
        }
    })
}

/// Splits what `reader` yields into stanzas and visits each, in memory that is bounded by the longest allowed stanza.
///
/// Refuses a stanza longer than [`RECORD_BYTES`] and control characters; names `file` in errors.
pub fn stanzas(
    reader: &mut dyn Read,
    file: &RepoPath,
    visit: &mut dyn FnMut(Stanza<'_>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut buffer: Vec<u8> = Vec::with_capacity(2 * CHUNK);
    let mut line = 1;
    // offsets into the buffer: of the stanza's first line, of the line being read, and of what was searched of it
    let (mut stanza, mut from, mut searched) = (0, 0, 0);
    let mut lines = 0;
    loop {
        while let Some(at) = buffer.get(searched..).and_then(|rest| memchr(b'\n', rest)) {
            let end = searched + at + 1;
            if matches!(buffer.get(from..end), Some(b"\n" | b"\r\n")) {
                emit(buffer.get(stanza..from), line, file, visit)?;
                line += lines + 1;
                lines = 0;
                stanza = end;
            } else {
                lines += 1;
            }
            (from, searched) = (end, end);
        }
        searched = buffer.len();
        if buffer.len() - stanza > RECORD_BYTES {
            return Err(FormatError::Limit {
                file: file.clone(),
                what: "a stanza",
                limit: RECORD_BYTES as u64,
            });
        }
        if stanza > 0 {
            buffer.drain(..stanza);
            (from, searched, stanza) = (from - stanza, searched - stanza, 0);
        }
        if fill(reader, &mut buffer).map_err(|source| FormatError::Decode { file: file.clone(), source })?
            == 0
        {
            return emit(Some(&buffer), line, file, visit);
        }
    }
}

/// Appends what one read yields; zero at the end.
fn fill(reader: &mut dyn Read, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    let old = buffer.len();
    buffer.resize(old + CHUNK, 0);
    let read = loop {
        match reader.read(buffer.get_mut(old..).unwrap_or_default()) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => break read,
        }
    };
    buffer.truncate(old + *read.as_ref().unwrap_or(&0));
    read
}

fn emit(
    bytes: Option<&[u8]>,
    line: u64,
    file: &RepoPath,
    visit: &mut dyn FnMut(Stanza<'_>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let bytes = bytes.unwrap_or_default();
    if bytes.is_empty() {
        return Ok(());
    }
    if bytes.len() > RECORD_BYTES {
        return Err(FormatError::Limit { file: file.clone(), what: "a stanza", limit: RECORD_BYTES as u64 });
    }
    if let Some(at) = forbidden(bytes) {
        return Err(control_character(bytes, at, line).of(file));
    }
    visit(Stanza { bytes, line })
}

/// Says on which line of text that begins on `line` a forbidden control character stands.
pub fn control_character(bytes: &[u8], at: usize, line: u64) -> Fault {
    let before = bytes.get(..at).unwrap_or_default();
    let line = line + memchr::memchr_iter(b'\n', before).count() as u64;
    Fault::new(line, "no control character", bytes.get(at..=at).unwrap_or_default())
}

#[cfg(test)]
mod tests;
