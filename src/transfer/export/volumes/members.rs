//! The members of all volumes, kept until the index lists them.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Seek, Write},
    path::{Path, PathBuf},
};

use chantal_bundle::{
    VolumeNumber,
    index::{Member, MemberPart},
};
use chantal_contract::{Digest, Measured};

use crate::transfer::TransferError;

/// The members of all volumes in their order, on disk: there may be millions.
pub struct MemberSpool {
    dir: PathBuf,
    out: BufWriter<File>,
}

const RECORD: usize = 4 + 32 + 8 + 4 + 4 + 32 + 8;

impl MemberSpool {
    /// Makes a nameless file in `dir`.
    pub fn new(dir: &Path) -> Result<Self, TransferError> {
        let file = tempfile::tempfile_in(dir).map_err(|e| TransferError::io(dir, e))?;
        Ok(Self { dir: dir.into(), out: BufWriter::with_capacity(1 << 16, file) })
    }

    /// Adds a member of a volume, which is the last one's or a later one.
    pub fn push(&mut self, volume: VolumeNumber, member: &Member) -> Result<(), TransferError> {
        let mut bytes = Vec::with_capacity(RECORD);
        bytes.extend(volume.get().to_le_bytes());
        bytes.extend(member.blob.sha256.as_bytes());
        bytes.extend(member.blob.size.to_le_bytes());
        let (number, of) = member.part.map_or((0, 0), |p| (p.number, p.of));
        bytes.extend(number.to_le_bytes());
        bytes.extend(of.to_le_bytes());
        bytes.extend(member.content().sha256.as_bytes());
        bytes.extend(member.content().size.to_le_bytes());
        self.out.write_all(&bytes).map_err(|e| TransferError::io(&self.dir, e))
    }

    /// Visits every member with its volume, in order.
    pub fn read(
        self,
        visit: &mut dyn FnMut(u32, &Member) -> Result<(), TransferError>,
    ) -> Result<(), TransferError> {
        let Self { dir, out } = self;
        let io = |e| TransferError::io(&dir, e);
        let mut file = out.into_inner().map_err(|e| io(e.into_error()))?;
        file.rewind().map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut input = BufReader::with_capacity(1 << 16, file);
        for _ in 0..length / RECORD as u64 {
            let volume = u32::from_le_bytes(array(&mut input).map_err(io)?);
            let sha256 = Digest::from_bytes(array(&mut input).map_err(io)?);
            let blob = Measured { sha256, size: u64::from_le_bytes(array(&mut input).map_err(io)?) };
            let number = u32::from_le_bytes(array(&mut input).map_err(io)?);
            let of = u32::from_le_bytes(array(&mut input).map_err(io)?);
            let sha256 = Digest::from_bytes(array(&mut input).map_err(io)?);
            let measured = Measured { sha256, size: u64::from_le_bytes(array(&mut input).map_err(io)?) };
            let part = (of > 0).then_some(MemberPart { number, of, measured });
            visit(volume, &Member { blob, part })?;
        }
        Ok(())
    }
}

fn array<const N: usize>(input: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
