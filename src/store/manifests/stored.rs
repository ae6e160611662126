//! The file around a stored manifest: a header line and a zstd frame.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use chantal_contract::Digest;

use crate::store::{StoreError, file::Output};

const MAGIC: &str = "chantal-stored-manifest";
const VERSION: &str = "1";
/// What zstd's own command uses; 46 MB a million lines, at the speed of the disk.
const LEVEL: i32 = 3;
/// Window of a delta's frame, as a power of two: many may be open at once.
const DELTA_WINDOW_LOG: u32 = 17;

/// How a manifest is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Its bytes.
    Full,
    /// Steps over the bytes of another one.
    Delta {
        /// The other one.
        base: Digest,
        /// Deltas down to a full one, this one counted.
        depth: u32,
    },
}

impl Encoding {
    /// Reads the header line.
    pub(super) fn read(input: &mut impl BufRead, path: &Path) -> Result<Self, StoreError> {
        let mut line = Vec::new();
        input.take(256).read_until(b'\n', &mut line).map_err(|e| StoreError::io(path, e))?;
        let text = String::from_utf8_lossy(&line);
        let fields: Vec<&str> = text.strip_suffix('\n').unwrap_or_default().split('\t').collect();
        match fields.as_slice() {
            [MAGIC, VERSION, "full"] => return Ok(Self::Full),
            [MAGIC, VERSION, "delta", base, depth] => {
                if let (Ok(base), Ok(depth @ 1..super::CHAIN)) = (base.parse(), depth.parse()) {
                    return Ok(Self::Delta { base, depth });
                }
            }
            [MAGIC, version, ..] if version.parse::<u32>().is_ok_and(|v| v > 1) => {
                return Err(StoreError::Newer {
                    path: path.into(),
                    found: format!("version {version}"),
                    known: format!("version {VERSION}"),
                });
            }
            _ => {}
        }
        Err(StoreError::damaged(path, "the first line", "it is not what a stored manifest begins with"))
    }

    /// Returns the deltas down to a full one, this one counted.
    pub(super) fn depth(self) -> u32 {
        match self {
            Self::Full => 0,
            Self::Delta { depth, .. } => depth,
        }
    }

    fn line(self) -> String {
        match self {
            Self::Full => format!("{MAGIC}\t{VERSION}\tfull\n"),
            Self::Delta { base, depth } => format!("{MAGIC}\t{VERSION}\tdelta\t{base}\t{depth}\n"),
        }
    }
}

/// Writes a stored manifest.
pub(super) struct Frame {
    encoder: zstd::stream::write::Encoder<'static, Output>,
    path: PathBuf,
}

impl Frame {
    pub(super) fn create(path: &Path, encoding: Encoding) -> Result<Self, StoreError> {
        let mut out = Output::create(path)?;
        out.put(encoding.line().as_bytes())?;
        let named = |e| StoreError::io(path, e);
        let mut encoder = zstd::stream::write::Encoder::new(out, LEVEL).map_err(named)?;
        encoder.include_checksum(true).map_err(named)?;
        if encoding != Encoding::Full {
            encoder.window_log(DELTA_WINDOW_LOG).map_err(named)?;
        }
        Ok(Self { encoder, path: path.into() })
    }

    /// Ends the frame and waits until the file's content is durable.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let out = self.encoder.finish().map_err(|e| StoreError::io(&self.path, e))?;
        out.seal()?;
        out.sync()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
impl Write for Frame {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encoder.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

/// Decodes a frame; an error says which file is damaged.
pub(super) struct Blame {
    decoder: zstd::stream::read::Decoder<'static, BufReader<File>>,
    path: PathBuf,
}

impl Blame {
    pub(super) fn decode(input: BufReader<File>, path: &Path) -> Result<Self, StoreError> {
        let decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(|e| StoreError::io(path, e))?;
        Ok(Self { decoder: decoder.single_frame(), path: path.into() })
    }
}
impl Read for Blame {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buf).map_err(|e| match e.raw_os_error() {
            Some(_) => StoreError::io(&self.path, e).into_io(),
            None => StoreError::damaged(&self.path, "the frame", e.to_string()).into_io(),
        })
    }
}
