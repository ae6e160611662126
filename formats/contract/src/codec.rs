//! Decompression with bounds on memory, size and ratio.

use std::io::{self, BufRead, BufReader, Read};

use crate::limits::{RATIO, RATIO_FREE_BYTES, XZ_MEMORY, ZSTD_WINDOW_LOG};

/// A compression that indexes come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// As it is.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// The .xz format, any number of streams.
    Xz,
    /// RFC 8878, any number of frames.
    Zstd,
    /// bzip2, any number of streams.
    Bzip2,
}

impl Codec {
    /// Tells the compression from a file's name.
    pub fn of_name(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("gz" | "tgz") => Self::Gzip,
            Some("xz") => Self::Xz,
            Some("zst") => Self::Zstd,
            Some("bz2") => Self::Bzip2,
            _ => Self::Plain,
        }
    }

    /// Returns the extension with its dot; empty for plain.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Bzip2 => ".bz2",
        }
    }

    /// Decodes `input` to its very end: trailing garbage and a cut stream are errors, further streams are read on.
    ///
    /// At most `limit` bytes come out, an xz stream may take 128 MiB of memory, a zstd window 128 MiB, and past 64 MiB the
    /// output may be at most 2000 times the input.
    pub fn decode<'a>(self, input: &'a mut dyn BufRead, limit: u64) -> io::Result<Box<dyn BufRead + 'a>> {
        let counted = Counted { inner: input, read: 0 };
        let decoder: Box<dyn Inflate + 'a> = match self {
            Self::Plain => Box::new(counted),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(counted)),
            Self::Xz => {
                let stream =
                    liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(counted, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(counted)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(counted)),
        };
        Ok(Box::new(BufReader::with_capacity(128 << 10, Bounded { decoder, out: 0, limit })))
    }
}

/// Counts what a decoder takes in, so that its ratio can be seen.
struct Counted<'a> {
    inner: &'a mut dyn BufRead,
    read: u64,
}
impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.read += n as u64;
        Ok(n)
    }
}
impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }
    fn consume(&mut self, amount: usize) {
        self.read += amount as u64;
        self.inner.consume(amount);
    }
}

/// A decoder that tells how much it has taken in.
trait Inflate: Read {
    fn taken(&self) -> u64;
}
impl Inflate for Counted<'_> {
    fn taken(&self) -> u64 {
        self.read
    }
}
impl Inflate for flate2::bufread::MultiGzDecoder<Counted<'_>> {
    fn taken(&self) -> u64 {
        self.get_ref().read
    }
}
impl Inflate for liblzma::bufread::XzDecoder<Counted<'_>> {
    fn taken(&self) -> u64 {
        self.get_ref().read
    }
}
impl Inflate for zstd::stream::read::Decoder<'_, Counted<'_>> {
    fn taken(&self) -> u64 {
        self.get_ref().read
    }
}
impl Inflate for bzip2::bufread::MultiBzDecoder<Counted<'_>> {
    fn taken(&self) -> u64 {
        self.get_ref().read
    }
}

/// Stops a decoder that yields more than it may.
struct Bounded<'a> {
    decoder: Box<dyn Inflate + 'a>,
    out: u64,
    limit: u64,
}
impl Read for Bounded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(buf)?;
        self.out += n as u64;
        if self.out > self.limit {
            return Err(io::Error::other(format!("decompresses to more than {} bytes", self.limit)));
        }
        if self.out > RATIO_FREE_BYTES && self.out / RATIO > self.decoder.taken() {
            return Err(io::Error::other(format!("decompresses to more than {RATIO} times its size")));
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(codec: Codec, bytes: &[u8]) -> Vec<u8> {
        match codec {
            Codec::Plain => bytes.to_vec(),
            Codec::Gzip => {
                let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                e.write_all(bytes).unwrap();
                e.finish().unwrap()
            }
            Codec::Xz => {
                let mut e = liblzma::write::XzEncoder::new(Vec::new(), 6);
                e.write_all(bytes).unwrap();
                e.finish().unwrap()
            }
            Codec::Zstd => zstd::encode_all(bytes, 3).unwrap(),
            Codec::Bzip2 => {
                let mut e = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                e.write_all(bytes).unwrap();
                e.finish().unwrap()
            }
        }
    }

    fn unpacked(codec: Codec, bytes: &[u8], limit: u64) -> io::Result<Vec<u8>> {
        let mut input = bytes;
        let mut out = Vec::new();
        codec.decode(&mut input, limit)?.read_to_end(&mut out)?;
        Ok(out)
    }

    const ALL: [Codec; 4] = [Codec::Gzip, Codec::Xz, Codec::Zstd, Codec::Bzip2];

    #[test]
    fn reads_every_member_to_the_end() {
        for codec in ALL {
            let mut two = packed(codec, b"one");
            two.extend(packed(codec, b"two"));
            assert_eq!(unpacked(codec, &two, 6).unwrap(), b"onetwo", "{codec:?}");
        }
    }

    #[test]
    fn refuses_a_cut_stream_and_trailing_garbage() {
        for codec in ALL {
            let whole = packed(codec, &b"some text of no importance ".repeat(1000));
            assert!(unpacked(codec, &whole[..whole.len() - 5], 1 << 20).is_err(), "{codec:?} cut");
            let mut garbage = whole.clone();
            garbage.extend(b"garbage, and more of it");
            assert!(unpacked(codec, &garbage, 1 << 20).is_err(), "{codec:?} garbage");
        }
    }

    #[test]
    fn stops_at_its_limit() {
        for codec in ALL {
            let whole = packed(codec, &[7; 1000]);
            assert!(unpacked(codec, &whole, 999).is_err(), "{codec:?}");
            assert_eq!(unpacked(codec, &whole, 1000).unwrap().len(), 1000, "{codec:?}");
            assert_eq!(unpacked(codec, &whole, 1001).unwrap().len(), 1000, "{codec:?}");
        }
    }

    #[test]
    fn decoders_take_so_much_memory_and_no_more() {
        // RFC 8878 §3.1.1.1.2: the exponent of the window less ten, then eighths of it; a stored block of one byte
        let frame = |window: u8| [&[0x28, 0xb5, 0x2f, 0xfd, 0, window][..], &[9, 0, 0], b"x"].concat();
        let most = u8::try_from(ZSTD_WINDOW_LOG - 10).unwrap() << 3;
        for (window, fits) in [(most - 1, true), (most, true), (most + 1, false), (0xff, false)] {
            let read = unpacked(Codec::Zstd, &frame(window), 1);
            assert_eq!(read.is_ok(), fits, "window descriptor {window:#04x}: {read:?}");
        }
        // the .xz format, §5.3.1: a dictionary of 2 or 3 times a power of two, in the block's header behind the stream's twelve bytes
        let small = packed(Codec::Xz, b"x");
        assert_eq!(small[12..16], [2, 0, 0x21, 1], "a block header of twelve bytes, one filter, LZMA2");
        let dictionary = |bits: u8| {
            let mut other = small.clone();
            other[16] = bits;
            let mut sum = flate2::Crc::new();
            sum.update(&other[12..20]);
            other[20..24].copy_from_slice(&sum.sum().to_le_bytes());
            other
        };
        let bits =
            |bytes: u64| (0..40_u8).rfind(|b| (2 | u64::from(b & 1)) << (b / 2 + 11) <= bytes).unwrap();
        // what a dictionary as large as the limit takes beside itself passes the limit
        let most = bits(XZ_MEMORY) - 1;
        for (bits, fits) in
            [(most - 1, true), (most, true), (most + 1, false), (most + 2, false), (40, false)]
        {
            let read = unpacked(Codec::Xz, &dictionary(bits), 1);
            assert_eq!(read.is_ok(), fits, "dictionary {bits}: {read:?}");
        }
    }

    #[test]
    fn stops_a_bomb_by_its_ratio() {
        // 256 MiB of zeros; xz, zstd and bzip2 pack them more than 2000:1, gzip cannot pass 1032:1
        for codec in [Codec::Xz, Codec::Zstd, Codec::Bzip2] {
            let bomb = packed(codec, &vec![0; 256 << 20]);
            let error = unpacked(codec, &bomb, u64::MAX).unwrap_err();
            assert!(error.to_string().contains("times its size"), "{codec:?}: {error}");
        }
    }
}
