//! Packs blobs into volumes.

use std::io::{ErrorKind, Read};

use chantal_contract::{
    Digest, Measured,
    limits::{BLOB_PARTS, FRAME_BYTES, MEMBER_BYTES, VOLUME_BYTES, VOLUME_BYTES_LEAST},
};
use sha2::{Digest as _, Sha256};

use super::PackError;
use crate::{
    frame::frames_bound,
    index::{Member, MemberPart},
    name::{MemberName, VolumeNumber},
    ustar,
};

/// A part smaller than this is not begun at the end of a volume.
const LEAST_PART: u64 = 1 << 20;
/// The content of a full frame.
const FRAME: usize = 8 << 20;
/// Bytes that are read and hashed at once, while they are in the cache.
const READ: usize = 256 << 10;
const _: () = assert!(FRAME as u64 == FRAME_BYTES);

/// Where a [`Packer`] puts what it packs; threads may stand behind it.
pub trait Volumes {
    /// What may fail.
    type Error: From<PackError>;

    /// Takes the content of the current volume's next frame, and returns a buffer for the one after, whatever it holds.
    fn frame(&mut self, content: Vec<u8>) -> Result<Vec<u8>, Self::Error>;

    /// Waits until every frame that was taken is encoded, and returns how many bytes the current volume has.
    fn settled(&mut self) -> Result<u64, Self::Error>;

    /// Notes a member that the current volume holds; its last bytes may not be in a frame yet.
    fn member(&mut self, volume: VolumeNumber, member: &Member) -> Result<(), Self::Error>;

    /// Ends the current volume.
    fn end_volume(&mut self, volume: VolumeNumber) -> Result<(), Self::Error>;
}

/// Packs blobs, given in the order of their digests, into volumes of a bounded size.
///
/// Where blobs lie is a function of their bytes and the limit alone, whatever the timing of what stands behind
/// [`Volumes`]. One buffer of 8 MiB is all it holds.
pub struct Packer<V: Volumes> {
    out: V,
    limit: u64,
    volume: VolumeNumber,
    /// Whether the current volume holds a member.
    begun: bool,
    /// The most bytes that the frames of the current volume may have.
    bound: u64,
    /// Room for a frame, of which `filled` bytes are taken.
    buffer: Vec<u8>,
    filled: usize,
}

impl<V: Volumes> Packer<V> {
    /// Packs into volumes of at most `limit` bytes.
    pub fn new(limit: u64, out: V) -> Result<Self, PackError> {
        if !(VOLUME_BYTES_LEAST..=VOLUME_BYTES).contains(&limit) {
            return Err(PackError::Limit { found: limit });
        }
        let buffer = vec![0; FRAME];
        Ok(Self { out, limit, volume: VolumeNumber::FIRST, begun: false, bound: 0, buffer, filled: 0 })
    }

    /// Packs the next blob, reading exactly its bytes; refuses one that is not what its name says.
    pub fn blob(&mut self, blob: Measured, content: &mut dyn Read) -> Result<(), V::Error> {
        if self.begun && !self.fits(blob.size) {
            self.settle()?;
        }
        let whole = self.fits(blob.size);
        if whole || fits_alone(self.limit, blob.size) {
            if !whole {
                self.next_volume()?;
            }
            self.whole(blob, content)
        } else {
            self.split(blob, content)
        }
    }

    /// Ends the last volume and returns what stands behind.
    pub fn finish(mut self) -> Result<V, V::Error> {
        if self.begun {
            self.end_volume()?;
        }
        Ok(self.out)
    }

    /// Learns how many bytes the volume really has, where until now the most that it may have was known.
    fn settle(&mut self) -> Result<(), V::Error> {
        if self.filled > 0 {
            self.hand_over()?;
        }
        self.bound = self.out.settled()?;
        Ok(())
    }

    /// Gives up and returns what stands behind, so that it can say what failed.
    pub fn abandon(self) -> V {
        self.out
    }

    fn fits(&self, size: u64) -> bool {
        size <= MEMBER_BYTES && volume_bound(self.bound, self.filled as u64, size) <= self.limit
    }

    fn whole(&mut self, blob: Measured, content: &mut dyn Read) -> Result<(), V::Error> {
        let member = Member { blob, part: None };
        self.header(&member.name(), blob.size)?;
        let mut hash = Sha256::new();
        let read = self.content(&blob, blob.size, content, &mut [&mut hash])?;
        expect_same(&blob, hash, read, content)?;
        self.out.member(self.volume, &member)
    }

    fn split(&mut self, blob: Measured, content: &mut dyn Read) -> Result<(), V::Error> {
        let sizes = self.plan(blob.size).ok_or(PackError::Parts(blob.sha256))?;
        let of = u32::try_from(sizes.len()).map_err(|_| PackError::Parts(blob.sha256))?;
        let mut whole = Sha256::new();
        let mut total = 0;
        for (number, size) in (1..).zip(sizes) {
            if self.begun && !self.fits(size) {
                self.next_volume()?;
            }
            let measured = Measured { sha256: blob.sha256, size };
            let mut member = Member { blob, part: Some(MemberPart { number, of, measured }) };
            self.header(&member.name(), size)?;
            let mut hash = Sha256::new();
            total += self.content(&blob, size, content, &mut [&mut whole, &mut hash])?;
            if let Some(part) = &mut member.part {
                part.measured.sha256 = Digest::from_bytes(hash.finalize().into());
            }
            self.out.member(self.volume, &member)?;
        }
        expect_same(&blob, whole, total, content)?;
        Ok(())
    }

    /// Returns the sizes of a blob's parts: what is left of this volume first, then volumes to themselves.
    fn plan(&self, size: u64) -> Option<Vec<u64>> {
        let mut sizes = Vec::new();
        let (mut bound, mut buffered, mut left) = (self.bound, self.filled as u64, size);
        while left > 0 {
            let room = largest(self.limit, bound, buffered).min(MEMBER_BYTES);
            if room < LEAST_PART.min(left) {
                (bound, buffered) = (0, 0);
                continue;
            }
            let part = room.min(left);
            let archive = buffered + ustar::BLOCK as u64 + part + ustar::padding(part);
            bound += frames_bound(archive / FRAME_BYTES * FRAME_BYTES);
            buffered = archive % FRAME_BYTES;
            left -= part;
            sizes.push(part);
            if sizes.len() > BLOB_PARTS as usize {
                return None;
            }
        }
        Some(sizes)
    }

    fn header(&mut self, name: &MemberName, size: u64) -> Result<(), V::Error> {
        self.begun = true;
        let header = ustar::header(name, size).ok_or(PackError::Parts(name.blob))?;
        self.append(&header)
    }

    /// Copies at most `size` bytes into frames, then the zeros after them; returns how many bytes came.
    fn content(
        &mut self,
        blob: &Measured,
        size: u64,
        content: &mut dyn Read,
        hashes: &mut [&mut Sha256],
    ) -> Result<u64, V::Error> {
        let mut left = size;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(FRAME - self.filled).min(READ);
            let room = self.buffer.get_mut(self.filled..self.filled + room).unwrap_or_default();
            let n = match content.read(room) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(source) => return Err(PackError::Read { blob: blob.sha256, source }.into()),
            };
            for hash in &mut *hashes {
                hash.update(room.get(..n).unwrap_or_default());
            }
            left -= n as u64;
            self.filled += n;
            self.hand_over_full()?;
        }
        let zeros = [0; ustar::BLOCK];
        let (padding, _) = zeros.split_at(usize::try_from(ustar::padding(size)).unwrap_or(0));
        self.append(padding)?;
        Ok(size - left)
    }

    fn append(&mut self, mut bytes: &[u8]) -> Result<(), V::Error> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at((FRAME - self.filled).min(bytes.len()));
            let room = self.buffer.get_mut(self.filled..self.filled + now.len()).unwrap_or_default();
            room.copy_from_slice(now);
            self.filled += now.len();
            self.hand_over_full()?;
            bytes = later;
        }
        Ok(())
    }

    fn hand_over_full(&mut self) -> Result<(), V::Error> {
        if self.filled == FRAME { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), V::Error> {
        self.bound += frames_bound(self.filled as u64);
        let mut content = std::mem::take(&mut self.buffer);
        content.truncate(self.filled);
        self.buffer = self.out.frame(content)?;
        // What comes back from a full frame is as long as it must be, and need not be cleared.
        self.buffer.resize(FRAME, 0);
        self.filled = 0;
        Ok(())
    }

    fn next_volume(&mut self) -> Result<(), V::Error> {
        self.end_volume()?;
        self.volume = self.volume.next().map_err(PackError::from)?;
        (self.begun, self.bound) = (false, 0);
        Ok(())
    }

    fn end_volume(&mut self) -> Result<(), V::Error> {
        self.append(&ustar::END)?;
        if self.filled > 0 {
            self.hand_over()?;
        }
        self.out.end_volume(self.volume)
    }
}

/// The most bytes that a volume may have once a member of `size` bytes and the end were added.
fn volume_bound(frames: u64, buffered: u64, size: u64) -> u64 {
    let member = ustar::BLOCK as u64 + size + ustar::padding(size);
    frames.saturating_add(frames_bound(buffered + member + ustar::END.len() as u64))
}

fn fits_alone(limit: u64, size: u64) -> bool {
    size <= MEMBER_BYTES && volume_bound(0, 0, size) <= limit
}

/// The largest member that still fits; 0 when none does.
fn largest(limit: u64, frames: u64, buffered: u64) -> u64 {
    let (mut fits, mut too_large) = (0, limit + 1);
    while fits + 1 < too_large {
        let middle = fits.midpoint(too_large);
        if volume_bound(frames, buffered, middle) <= limit {
            fits = middle;
        } else {
            too_large = middle;
        }
    }
    fits
}

/// Compares what was read with the blob's name; nothing may follow its last byte.
fn expect_same(blob: &Measured, hash: Sha256, read: u64, content: &mut dyn Read) -> Result<(), PackError> {
    let mut more = [0];
    let n = content.read(&mut more).map_err(|source| PackError::Read { blob: blob.sha256, source })?;
    let found = Measured { sha256: Digest::from_bytes(hash.finalize().into()), size: read + n as u64 };
    if found == *blob { Ok(()) } else { Err(PackError::Damaged { blob: *blob, found }) }
}
