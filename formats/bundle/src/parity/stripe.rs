//! A stripe in its parity files: tables of checksums around recovery shards.

use reed_solomon_simd::ReedSolomonEncoder;

use super::{Block, CodeError, Layout, SHARD, TABLE};

/// The checksums of a stripe as one parity file holds them: of all data shards, then of its own recovery shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub data: Vec<u32>,
    pub own: Vec<u32>,
}

impl Table {
    /// Writes 4096 bytes: the checksums, zeros, and last the checksum of all that.
    fn encode(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        for sum in self.data.iter().chain(&self.own) {
            out.extend(sum.to_le_bytes());
        }
        out.resize(begin + TABLE - 4, 0);
        let sum = crc32fast::hash(out.get(begin..).unwrap_or_default());
        out.extend(sum.to_le_bytes());
    }

    /// Reads a table of so many data shards and recovery shards; none where its own checksum is wrong.
    pub fn parse(bytes: &[u8], data: usize, own: usize) -> Option<Self> {
        let (content, sum) = bytes.split_at_checked(TABLE - 4)?;
        if sum != crc32fast::hash(content).to_le_bytes() {
            return None;
        }
        let (sums, _) = content.as_chunks::<4>();
        let mut sums = sums.iter().map(|sum| u32::from_le_bytes(*sum));
        let (first, then) = (sums.by_ref().take(data).collect(), sums.take(own).collect());
        let table = Self { data: first, own: then };
        (table.data.len() == data && table.own.len() == own).then_some(table)
    }
}

/// Makes the sections of parity files, a stripe at a time, in the memory of one stripe.
pub struct Encoder {
    layout: Layout,
    code: ReedSolomonEncoder,
    /// Room for one block.
    room: Vec<u8>,
    zeros: u32,
}

impl Encoder {
    /// Begins; every layout is within what the code can do, so none is refused but for want of memory.
    pub fn new(layout: &Layout) -> Result<Self, CodeError> {
        let code = ReedSolomonEncoder::new(layout.data(), layout.recovery(), SHARD)?;
        let room = vec![0; layout.block() as usize * SHARD];
        let zeros = crc32fast::hash(&[0; SHARD]);
        Ok(Self { layout: layout.clone(), code, room, zeros })
    }

    /// Encodes a stripe: asks for its blocks, which must be filled whole, and returns the section of each parity file.
    pub fn stripe<E: From<CodeError>>(
        &mut self,
        stripe: u64,
        mut read: impl FnMut(&Block, &mut [u8]) -> Result<(), E>,
    ) -> Result<Vec<Vec<u8>>, E> {
        let mut data = Vec::with_capacity(self.layout.data());
        let blocks: Vec<Block> = self.layout.blocks(stripe).collect();
        let mut blocks = blocks.into_iter().peekable();
        for lane in 0..self.layout.data() / self.layout.block() as usize {
            let begin = lane * self.room.len();
            match blocks.next_if(|block| block.range.start == begin) {
                Some(block) => {
                    let (filled, rest) =
                        self.room.split_at_mut_checked(block.range.len()).unwrap_or_default();
                    read(&block, filled)?;
                    rest.fill(0);
                    for shard in self.room.chunks_exact(SHARD) {
                        data.push(crc32fast::hash(shard));
                        self.code.add_original_shard(shard).map_err(CodeError)?;
                    }
                }
                None => {
                    for _ in 0..self.layout.block() {
                        data.push(self.zeros);
                        self.code.add_original_shard([0; SHARD]).map_err(CodeError)?;
                    }
                }
            }
        }
        let encoded = self.code.encode().map_err(CodeError)?;
        let mut recovery = encoded.recovery_iter();
        let mut sections = Vec::new();
        for shards in self.layout.recovery_files() {
            let mut section = Vec::with_capacity(*shards as usize * SHARD + 2 * TABLE);
            section.resize(TABLE, 0);
            let mut own = Vec::with_capacity(*shards as usize);
            for shard in recovery.by_ref().take(*shards as usize) {
                own.push(crc32fast::hash(shard));
                section.extend_from_slice(shard);
            }
            let begin = section.len();
            let table = Table { data, own };
            table.encode(&mut section);
            let (head, tail) = section.split_at_mut_checked(begin).unwrap_or_default();
            if let Some(first) = head.get_mut(..TABLE) {
                first.copy_from_slice(tail);
            }
            data = table.data;
            sections.push(section);
        }
        Ok(sections)
    }
}
