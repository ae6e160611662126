//! One pack: written, and read.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use chantal_contract::Digest;
use sha2::{Digest as _, Sha256};

use super::table::{self, BLOCK, ENTRY, Extent, FOOTER, Footer, HEAD, Place};
use crate::store::{
    StoreError,
    file::{self, Output},
};

/// Decoded bytes of a block, unless one record has more.
const BLOCK_BYTES: usize = 128 << 10;
/// Decoded bytes that a block may announce: a record has at most 4 MiB.
const BLOCK_LIMIT: u32 = 16 << 20;
/// Stanzas compress well; level 6 costs no time that would be seen beside the parsing.
const LEVEL: i32 = 6;
/// Index entries that are looked at in one read.
const WINDOW: u64 = 64;

/// Returns where a pack lies.
pub(super) fn path(dir: &Path, name: &Digest) -> PathBuf {
    dir.join(format!("{name}.pack"))
}

/// A pack in the making.
#[derive(Debug)]
pub(super) struct Draft {
    out: Output,
    hash: Sha256,
    block: Vec<u8>,
    entries: Vec<(Digest, Place)>,
    extents: Vec<Extent>,
}

impl Draft {
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let out = Output::create(path)?;
        let mut draft =
            Self { out, hash: Sha256::new(), block: Vec::new(), entries: Vec::new(), extents: Vec::new() };
        draft.put(HEAD)?;
        Ok(draft)
    }

    pub(super) fn records(&self) -> u64 {
        self.entries.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.out.put(bytes)
    }

    fn too_large(&self) -> StoreError {
        StoreError::damaged(self.out.path(), "new record", "it is larger than a pack can hold")
    }

    /// Adds a record that is in no pack.
    pub(super) fn add(&mut self, name: Digest, record: &[u8]) -> Result<(), StoreError> {
        if !self.block.is_empty() && self.block.len() + record.len() > BLOCK_BYTES {
            self.end_block()?;
        }
        let number = |n: usize| u32::try_from(n).ok();
        let (Some(block), Some(offset), Some(length)) =
            (number(self.extents.len()), number(self.block.len()), number(record.len()))
        else {
            return Err(self.too_large());
        };
        if length > BLOCK_LIMIT {
            return Err(self.too_large());
        }
        self.block.extend_from_slice(record);
        self.entries.push((name, Place { block, offset, length }));
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), StoreError> {
        let path = self.out.path().to_path_buf();
        let stored = compress(&self.block).map_err(|e| StoreError::io(&path, e))?;
        let decoded = u32::try_from(self.block.len()).map_err(|_| self.too_large())?;
        self.block.clear();
        self.add_block(&stored, decoded)
    }

    /// Adds a block as another pack stores it, and returns its number.
    pub(super) fn take_block(&mut self, stored: &[u8], decoded: u32) -> Result<u32, StoreError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let number = u32::try_from(self.extents.len()).map_err(|_| self.too_large())?;
        self.add_block(stored, decoded)?;
        Ok(number)
    }

    /// Notes that a record is in a block that was taken over.
    pub(super) fn take_entry(&mut self, name: Digest, place: Place) {
        self.entries.push((name, place));
    }

    fn add_block(&mut self, stored: &[u8], decoded: u32) -> Result<(), StoreError> {
        let length = u32::try_from(stored.len()).map_err(|_| self.too_large())?;
        self.extents.push(Extent { start: self.out.at(), stored: length, decoded });
        self.put(stored)
    }

    /// Ends the pack, waits until its content is durable, and returns its name and where it is staged.
    pub(super) fn finish(mut self) -> Result<(Digest, PathBuf), StoreError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.entries.sort_unstable_by_key(|(name, _)| *name);
        self.entries.dedup_by_key(|(name, _)| *name);
        let index = self.out.at();
        let mut tables = Sha256::new();
        let entries = std::mem::take(&mut self.entries);
        for portion in entries.chunks(4096) {
            let mut bytes = Vec::with_capacity(portion.len() * ENTRY);
            for (name, place) in portion {
                table::put_entry(&mut bytes, name, *place);
            }
            tables.update(&bytes);
            self.put(&bytes)?;
        }
        let mut tail = Vec::new();
        for extent in &self.extents {
            table::put_extent(&mut tail, *extent);
        }
        tables.update(&tail);
        let footer = Footer {
            records: entries.len() as u64,
            blocks: self.extents.len() as u64,
            index,
            tables: Digest::from_bytes(tables.finalize().into()),
        };
        table::put_footer(&mut tail, &footer);
        self.put(&tail)?;
        self.out.seal()?;
        self.out.sync()?;
        Ok((Digest::from_bytes(self.hash.finalize().into()), self.out.path().to_path_buf()))
    }
}

fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    compressor.compress(bytes)
}

/// A pack, opened.
#[derive(Debug)]
pub(super) struct Pack {
    name: Digest,
    path: PathBuf,
    file: File,
    bytes: u64,
    footer: Footer,
    extents: Vec<Extent>,
}

impl Pack {
    /// Opens a pack; none if it is gone.
    pub(super) fn open(dir: &Path, name: Digest) -> Result<Option<Self>, StoreError> {
        let path = path(dir, &name);
        let Some(file) = file::open_if_there(&path)? else { return Ok(None) };
        let bytes = file.metadata().map_err(|e| StoreError::io(&path, e))?.len();
        let damaged = |place: &str| StoreError::damaged(&path, place, "it is not what a pack ends with");
        let start = bytes.checked_sub(FOOTER as u64).ok_or_else(|| damaged("the footer"))?;
        let footer = table::footer(&file::read_at(&file, &path, start, FOOTER)?)
            .ok_or_else(|| damaged("the footer"))?;
        let sizes = || {
            let index = footer.records.checked_mul(ENTRY as u64)?;
            let table = footer.blocks.checked_mul(BLOCK as u64)?;
            let begin = footer.index.checked_add(index)?;
            (begin.checked_add(table)? == start).then_some((begin, usize::try_from(table).ok()?))
        };
        let (begin, length) = sizes().ok_or_else(|| damaged("the footer"))?;
        let table = file::read_at(&file, &path, begin, length)?;
        let extents = table.chunks(BLOCK).filter_map(table::extent).collect();
        Ok(Some(Self { name, path, file, bytes, footer, extents }))
    }

    pub(super) fn name(&self) -> &Digest {
        &self.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn records(&self) -> u64 {
        self.footer.records
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads index entries.
    fn entries(&self, from: u64, to: u64) -> Result<Vec<(Digest, Place)>, StoreError> {
        let length = usize::try_from(to.saturating_sub(from)).unwrap_or_default() * ENTRY;
        let at = self.footer.index + from * ENTRY as u64;
        let bytes = file::read_at(&self.file, &self.path, at, length)?;
        Ok(bytes.chunks_exact(ENTRY).filter_map(table::entry).collect())
    }

    /// Finds a record: digests are spread evenly, so a guess is rarely far off.
    pub(super) fn find(&self, record: &Digest) -> Result<Option<Place>, StoreError> {
        let key = |d: &Digest| u64::from_be_bytes(*d.as_bytes().first_chunk().unwrap_or(&[0; 8]));
        let (mut low, mut high) = (0, self.footer.records);
        let (mut least, mut most) = (0, u64::MAX);
        while low < high {
            let span = u128::from(most.saturating_sub(least)).max(1);
            let into = u128::from(key(record).saturating_sub(least)) * u128::from(high - low) / span;
            let guess = low + u64::try_from(into).unwrap_or(u64::MAX).min(high - low - 1);
            let from = guess.saturating_sub(WINDOW / 2).max(low);
            let to = (from + WINDOW).min(high);
            let entries = self.entries(from, to)?;
            let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(None) };
            if *record < first.0 {
                (high, most) = (from, key(&first.0));
            } else if *record > last.0 {
                (low, least) = (to, key(&last.0));
            } else {
                let found = entries.binary_search_by_key(record, |(name, _)| *name);
                return Ok(found.ok().and_then(|at| entries.get(at)).map(|(_, place)| *place));
            }
        }
        Ok(None)
    }

    /// Reads a block as it is stored.
    pub(super) fn stored_block(&self, number: u32) -> Result<(Vec<u8>, u32), StoreError> {
        let damaged = |why: &str| StoreError::damaged(&self.path, format!("block {number}"), why);
        let extent = self.extents.get(number as usize).ok_or_else(|| damaged("there is none"))?;
        let end = extent.start.checked_add(u64::from(extent.stored));
        if end.is_none_or(|end| end > self.footer.index) || extent.decoded > BLOCK_LIMIT {
            return Err(damaged("its place in the table cannot be"));
        }
        let bytes = file::read_at(&self.file, &self.path, extent.start, extent.stored as usize)?;
        Ok((bytes, extent.decoded))
    }

    /// Decodes a block.
    pub(super) fn block(&self, number: u32) -> Result<Vec<u8>, StoreError> {
        let (stored, decoded) = self.stored_block(number)?;
        zstd::bulk::decompress(&stored, decoded as usize)
            .ok()
            .filter(|bytes| bytes.len() == decoded as usize)
            .ok_or_else(|| StoreError::damaged(&self.path, format!("block {number}"), "it cannot be decoded"))
    }

    /// Returns how many blocks there are.
    pub(super) fn blocks(&self) -> u32 {
        u32::try_from(self.extents.len()).unwrap_or(u32::MAX)
    }

    /// Visits the index in portions, in order.
    pub(super) fn each_entry(
        &self,
        visit: &mut dyn FnMut(Digest, Place) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut from = 0;
        while from < self.footer.records {
            let to = (from + 4096).min(self.footer.records);
            for (name, place) in self.entries(from, to)? {
                visit(name, place)?;
            }
            from = to;
        }
        Ok(())
    }
}
