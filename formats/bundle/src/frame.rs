//! The zstd frames of a volume: one for at most 8 MiB, stored where squeezing gains nothing (RFC 8878, specification §8).

use std::io::{self, BufRead, Read, Write};

use chantal_contract::limits::FRAME_BYTES;
use zstd::stream::raw::{self, CParameter, DParameter, Operation as _};

use crate::cells::CheckedCells;

/// The level of frames that are squeezed.
const LEVEL: i32 = 3;
/// The level that samples are squeezed with to see whether it is worth while.
const PROBE_LEVEL: i32 = 1;
/// Bytes of one sample, and how many are taken of a frame.
const PROBE_BYTES: usize = 16 << 10;
const PROBES: usize = 6;
/// Bytes of a block that is stored: RFC 8878 §3.1.1.2.4.
const BLOCK_BYTES: u32 = 128 << 10;
/// Magic number, a descriptor without checksum, size and dictionary, a window of 128 KiB: RFC 8878 §3.1.1.1.
const STORED_HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
/// The logarithm of the window that a reader allows: no frame holds more than 8 MiB.
const WINDOW_LOG: u32 = 23;

/// Returns the most bytes that frames over `content` bytes may take, cut every 8 MiB.
pub const fn frames_bound(content: u64) -> u64 {
    content
        + content.div_ceil(FRAME_BYTES) * STORED_HEADER.len() as u64
        + content.div_ceil(BLOCK_BYTES as u64) * 3
}

/// Makes frames; equal content gives equal bytes.
pub struct FrameEncoder {
    squeezer: zstd::bulk::Compressor<'static>,
    prober: zstd::bulk::Compressor<'static>,
}

impl FrameEncoder {
    /// Sets up an encoder, single-threaded so that its bytes do not depend on timing.
    pub fn new() -> io::Result<Self> {
        let mut squeezer = zstd::bulk::Compressor::new(LEVEL)?;
        squeezer.set_parameter(CParameter::ContentSizeFlag(false))?;
        squeezer.set_parameter(CParameter::ChecksumFlag(false))?;
        Ok(Self { squeezer, prober: zstd::bulk::Compressor::new(PROBE_LEVEL)? })
    }

    /// Writes one frame that holds `content`, at least one byte and at most 8 MiB; never more than [`frames_bound`] bytes.
    pub fn encode(&mut self, content: &[u8], out: &mut impl Write) -> io::Result<()> {
        debug_assert!(!content.is_empty() && content.len() as u64 <= FRAME_BYTES);
        if self.is_worth_while(content)? {
            let squeezed = self.squeezer.compress(content)?;
            if (squeezed.len() as u64) < frames_bound(content.len() as u64) {
                return out.write_all(&squeezed);
            }
        }
        store(content, out)
    }

    /// Squeezes samples: what is compressed already loses nothing and would cost a second per gigabyte.
    fn is_worth_while(&mut self, content: &[u8]) -> io::Result<bool> {
        if content.len() <= PROBE_BYTES * PROBES {
            return Ok(true);
        }
        let stride = content.len() / PROBES;
        let (mut before, mut after) = (0, 0);
        for piece in content.chunks(stride).take(PROBES) {
            let sample = piece.get(..PROBE_BYTES.min(piece.len())).unwrap_or(piece);
            before += sample.len();
            after += self.prober.compress(sample)?.len();
        }
        Ok(after < before / 10 * 9)
    }
}

fn store(content: &[u8], out: &mut impl Write) -> io::Result<()> {
    out.write_all(&STORED_HEADER)?;
    let blocks = content.chunks(BLOCK_BYTES as usize);
    let last = blocks.len().saturating_sub(1);
    for (n, block) in blocks.enumerate() {
        // Bit 0: the last block; bits 1 and 2: stored; then the size, in three bytes: RFC 8878 §3.1.1.2.
        let header = u32::from(n == last) | u32::try_from(block.len()).unwrap_or(0) << 3;
        let [low, middle, high, _] = header.to_le_bytes();
        out.write_all(&[low, middle, high])?;
        out.write_all(block)?;
    }
    Ok(())
}

/// The first byte of a frame's magic number. Skippable frames begin with another one, and so do those of formats before RFC 8878.
const MAGIC: u8 = 0x28;

/// Opens frames one after the other, and nothing else: whatever could hide between them was reviewed by nobody.
pub(crate) struct FrameReader<R> {
    decoder: raw::Decoder<'static>,
    input: R,
    /// The most bytes that a frame may hold.
    most: u64,
    /// How many the current one gave so far.
    given: u64,
    /// Whether a frame was begun and has not ended.
    within: bool,
}

impl<R: BufRead> FrameReader<R> {
    /// Begins at the first frame; windows are at most `1 << window_log` bytes.
    pub fn new(input: R, window_log: u32, most: u64) -> io::Result<Self> {
        let mut decoder = raw::Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(window_log))?;
        Ok(Self { decoder, input, most, given: 0, within: false })
    }
}
impl<R: BufRead> Read for FrameReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let input = self.input.fill_buf()?;
            if !self.within {
                match input.first() {
                    None => return Ok(0),
                    Some(&MAGIC) => (self.within, self.given) = (true, 0),
                    Some(_) => return Err(invalid("something else than a zstd frame")),
                }
            }
            let cut = input.is_empty();
            let done = self.decoder.run_on_buffers(input, out)?;
            self.input.consume(done.bytes_read);
            self.within = done.remaining != 0;
            self.given += done.bytes_written as u64;
            if self.given > self.most {
                return Err(invalid("a zstd frame that holds more than one may"));
            }
            if done.bytes_written > 0 {
                return Ok(done.bytes_written);
            }
            if cut && self.within {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a zstd frame that ends too early"));
            }
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The content of a volume's frames, read from checked cells only; it ends where the last cell does, which was checked then.
pub struct Frames<R: Read> {
    opened: FrameReader<CheckedCells<R>>,
}

impl<R: Read> Frames<R> {
    /// Begins at the first byte of a volume.
    pub fn new(cells: CheckedCells<R>) -> io::Result<Self> {
        Ok(Self { opened: FrameReader::new(cells, WINDOW_LOG, FRAME_BYTES)? })
    }
}
impl<R: Read> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.opened.read(out)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A frame around blocks, under a descriptor and the fields that it announces: RFC 8878 §3.1.1.
    pub(crate) fn frame(fields: &[u8], blocks: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let mut bytes = [&[0x28, 0xb5, 0x2f, 0xfd][..], fields].concat();
        for (n, (kind, size, content)) in blocks.iter().enumerate() {
            let header = u32::from(n + 1 == blocks.len()) | kind << 1 | size << 3;
            bytes.extend(&header.to_le_bytes()[..3]);
            bytes.extend(*content);
        }
        bytes
    }

    /// A block that is stored.
    pub(crate) const RAW: u32 = 0;
    /// A block of one byte, many times.
    pub(crate) const REPEATED: u32 = 1;

    /// Bytes that nothing compresses.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend(state.to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn encoded(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        FrameEncoder::new().unwrap().encode(content, &mut out).unwrap();
        out
    }

    #[test]
    fn noise_is_stored_and_text_is_squeezed() {
        for length in [1, 512, 128 << 10, (128 << 10) + 1, 1 << 20, 8 << 20] {
            let noise = noise(length);
            let stored = encoded(&noise);
            assert_eq!(stored.len() as u64, frames_bound(length as u64), "{length}");
            assert_eq!(stored[..6], STORED_HEADER);
            assert_eq!(zstd::decode_all(&*stored).unwrap(), noise);
            let text = b"Package: chantal\n".repeat(length / 17 + 1);
            let text = &text[..length];
            let squeezed = encoded(text);
            assert!(squeezed.len() as u64 <= frames_bound(length as u64));
            assert!(length < 512 || squeezed.len() < length / 10, "{length}: {}", squeezed.len());
            assert_eq!(zstd::decode_all(&*squeezed).unwrap(), text);
            assert_eq!(encoded(text), squeezed);
        }
    }

    #[test]
    fn the_bound_counts_frames_and_blocks() {
        assert_eq!(frames_bound(0), 0);
        assert_eq!(frames_bound(1), 1 + 6 + 3);
        assert_eq!(frames_bound(128 << 10), (128 << 10) + 6 + 3);
        assert_eq!(frames_bound((8 << 20) + 1), (8 << 20) + 1 + 2 * 6 + 65 * 3);
    }
}
