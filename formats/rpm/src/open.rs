//! The decompressed side of an index: the codec by its magic, and `open-checksum` and `open-size` held against it.

use std::io::{self, BufRead, Read};

use chantal_contract::{Expect, FormatError, Measurer, RepoPath, codec::Codec};

/// Tells a compression by the first bytes of a file; names lie, and clients look at bytes, too.
pub(crate) fn codec_of(input: &mut dyn BufRead) -> io::Result<Codec> {
    let head = input.fill_buf()?;
    Ok(match head {
        [0x1f, 0x8b, ..] => Codec::Gzip,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Codec::Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Codec::Zstd,
        [b'B', b'Z', b'h', ..] => Codec::Bzip2,
        _ => Codec::Plain,
    })
}

/// Decompresses `input`, hands it to `parse`, and holds what came out against `open`.
pub(crate) fn read<T>(
    file: &RepoPath,
    mut input: &mut dyn BufRead,
    open: &Expect,
    parse: impl FnOnce(&mut dyn BufRead) -> Result<T, FormatError>,
) -> Result<T, FormatError> {
    let broken = |source| FormatError::Decode { file: file.clone(), source };
    let codec = codec_of(&mut input).map_err(broken)?;
    let inner = codec.decode(&mut input, open.bound()).map_err(broken)?;
    let mut weighed = Weighed { inner, measurer: open.measure(), ahead: 0 };
    let value = parse(&mut weighed)?;
    // what stands behind the document counts, too
    io::copy(&mut weighed, &mut io::sink()).map_err(broken)?;
    weighed.measurer.finish().map_err(|mismatch| broken(io::Error::other(Opened(mismatch))))?;
    Ok(value)
}

/// Says that a mismatch is one of the decompressed bytes.
#[derive(Debug, thiserror::Error)]
#[error("decompressed: {0}")]
struct Opened(chantal_contract::Mismatch);

/// Measures what passes: each buffer once, when it is first seen, since a parser consumes it in small pieces.
struct Weighed<'a> {
    inner: Box<dyn BufRead + 'a>,
    measurer: Measurer,
    /// How many bytes of the current buffer were measured and not consumed.
    ahead: usize,
}

impl Read for Weighed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}
impl BufRead for Weighed<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let buf = self.inner.fill_buf()?;
        if let Some(fresh) = buf.get(self.ahead..).filter(|fresh| !fresh.is_empty()) {
            self.measurer.update(fresh).map_err(|m| io::Error::other(Opened(m)))?;
            self.ahead = buf.len();
        }
        Ok(buf)
    }
    fn consume(&mut self, amount: usize) {
        self.ahead = self.ahead.saturating_sub(amount);
        self.inner.consume(amount);
    }
}

#[cfg(test)]
mod tests;
