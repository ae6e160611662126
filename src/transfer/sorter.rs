//! Sorts more digests than memory should hold: runs on disk, merged as they are read.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    fs::File,
    io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
};

use chantal_contract::Digest;

use super::TransferError;

/// Entries that are sorted in memory: 24 MiB of them.
const RUN: usize = 1 << 19;
/// Runs that are merged at once; more are merged in between.
const FAN: usize = 64;
/// Digests that are held as a set beside what is read through: 4 MiB of them.
const FEW: usize = 1 << 16;

/// A blob or a record, and a mark of whoever put it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub digest: Digest,
    pub size: u64,
    pub tag: u32,
}

const BYTES: usize = 44;

impl Entry {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.digest.as_bytes())?;
        out.write_all(&self.size.to_le_bytes())?;
        out.write_all(&self.tag.to_le_bytes())
    }

    fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = [0; BYTES];
        match input.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let (digest, rest) = bytes.split_at(32);
        let (size, tag) = rest.split_at(8);
        let fault = |_| io::Error::from(ErrorKind::InvalidData);
        Ok(Some(Self {
            digest: Digest::from_bytes(digest.try_into().map_err(fault)?),
            size: u64::from_le_bytes(size.try_into().map_err(fault)?),
            tag: u32::from_le_bytes(tag.try_into().map_err(fault)?),
        }))
    }
}

/// Takes entries in any order.
pub(super) struct Sorter {
    dir: PathBuf,
    run: Vec<Entry>,
    runs: Vec<File>,
    limit: usize,
}

impl Sorter {
    /// Sorts in memory, and beyond that in nameless files in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.into(), run: Vec::new(), runs: Vec::new(), limit: RUN }
    }

    pub fn push(&mut self, entry: Entry) -> Result<(), TransferError> {
        self.run.push(entry);
        if self.run.len() >= self.limit { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), TransferError> {
        self.run.sort_unstable();
        self.run.dedup();
        let written = write_run(&self.dir, self.run.drain(..).map(Ok));
        self.runs.push(written.map_err(|e| TransferError::io(&self.dir, e))?);
        if self.runs.len() >= FAN {
            let runs = std::mem::take(&mut self.runs);
            let merged = Merge::new(runs).and_then(|merge| write_run(&self.dir, merge));
            self.runs.push(merged.map_err(|e| TransferError::io(&self.dir, e))?);
        }
        Ok(())
    }

    /// Ends the input; entries come out rising, equal ones once.
    pub fn finish(mut self) -> Result<Sorted, TransferError> {
        let dir = self.dir.clone();
        if !self.runs.is_empty() {
            self.spill()?;
            let merge = Merge::new(self.runs).map_err(|e| TransferError::io(&dir, e))?;
            return Sorted { dir, source: Source::Merge(merge), next: None }.primed();
        }
        self.run.sort_unstable();
        self.run.dedup();
        Sorted { dir, source: Source::Memory(self.run.into_iter()), next: None }.primed()
    }
}

fn write_run(dir: &Path, entries: impl Iterator<Item = io::Result<Entry>>) -> io::Result<File> {
    let mut out = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(dir)?);
    for entry in entries {
        entry?.write(&mut out)?;
    }
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

struct Merge {
    runs: Vec<BufReader<File>>,
    heads: BinaryHeap<Reverse<(Entry, usize)>>,
    last: Option<Entry>,
}

impl Merge {
    fn new(runs: Vec<File>) -> io::Result<Self> {
        let mut merge = Self {
            runs: runs.into_iter().map(|run| BufReader::with_capacity(1 << 16, run)).collect(),
            heads: BinaryHeap::new(),
            last: None,
        };
        for run in 0..merge.runs.len() {
            merge.refill(run)?;
        }
        Ok(merge)
    }

    fn refill(&mut self, run: usize) -> io::Result<()> {
        if let Some(reader) = self.runs.get_mut(run)
            && let Some(entry) = Entry::read(reader)?
        {
            self.heads.push(Reverse((entry, run)));
        }
        Ok(())
    }
}
impl Iterator for Merge {
    type Item = io::Result<Entry>;
    fn next(&mut self) -> Option<io::Result<Entry>> {
        loop {
            let Reverse((entry, run)) = self.heads.pop()?;
            if let Err(error) = self.refill(run) {
                return Some(Err(error));
            }
            if self.last.replace(entry) != Some(entry) {
                return Some(Ok(entry));
            }
        }
    }
}

enum Source {
    Memory(std::vec::IntoIter<Entry>),
    Merge(Merge),
}

/// Gives entries by digest, then size, then tag, rising.
pub(super) struct Sorted {
    dir: PathBuf,
    source: Source,
    next: Option<Entry>,
}

impl Sorted {
    fn primed(mut self) -> Result<Self, TransferError> {
        self.advance()?;
        Ok(self)
    }

    fn advance(&mut self) -> Result<(), TransferError> {
        self.next = match &mut self.source {
            Source::Memory(entries) => entries.next(),
            Source::Merge(merge) => merge.next().transpose().map_err(|e| TransferError::io(&self.dir, e))?,
        };
        Ok(())
    }

    /// Returns all digests that are still to come, where they are few.
    pub fn few(&self) -> Option<HashSet<Digest>> {
        let Source::Memory(entries) = &self.source else { return None };
        let left = self.next.iter().chain(entries.as_slice());
        (entries.len() < FEW).then(|| left.map(|entry| entry.digest).collect())
    }

    /// Returns the next entry without taking it.
    pub fn peek(&self) -> Option<&Entry> {
        self.next.as_ref()
    }

    /// Takes the next entry.
    pub fn take(&mut self) -> Result<Option<Entry>, TransferError> {
        let taken = self.next;
        self.advance()?;
        Ok(taken)
    }

    /// Takes the next digest, whatever its tags, with the size that was put in last.
    pub fn take_digest(&mut self) -> Result<Option<Entry>, TransferError> {
        let Some(mut taken) = self.take()? else { return Ok(None) };
        while let Some(next) = self.next.filter(|n| n.digest == taken.digest) {
            taken = next;
            self.advance()?;
        }
        Ok(Some(taken))
    }

    /// Reads over everything below `digest` and returns the first entry of it, if it is there, without taking it.
    pub fn seek(&mut self, digest: &Digest) -> Result<Option<Entry>, TransferError> {
        while self.next.is_some_and(|n| n.digest < *digest) {
            self.advance()?;
        }
        Ok(self.next.filter(|n| n.digest == *digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u32) -> Entry {
        Entry { digest: Digest::of(&n.to_le_bytes()), size: u64::from(n), tag: 0 }
    }

    fn sorted(count: u32, limit: usize) -> Vec<Entry> {
        let dir = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(dir.path());
        sorter.limit = limit;
        for n in (0..count).chain(0..count) {
            sorter.push(entry(n)).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files have names");
        std::iter::from_fn(|| sorted.take().unwrap()).collect()
    }

    #[test]
    fn gives_everything_once_and_rising() {
        let mut expected: Vec<Entry> = (0..5000).map(entry).collect();
        expected.sort_unstable();
        for limit in [1 << 19, 4999, 1000, 7] {
            assert_eq!(sorted(5000, limit), expected, "runs of {limit}");
        }
        assert!(sorted(0, 10).is_empty());
    }

    #[test]
    fn a_set_is_made_of_few_and_of_nothing_that_was_taken() {
        let dir = tempfile::tempdir().unwrap();
        let of = |count, limit| {
            let mut sorter = Sorter::new(dir.path());
            sorter.limit = limit;
            (0..count).for_each(|n| sorter.push(entry(n)).unwrap());
            sorter.finish().unwrap()
        };
        let few = u32::try_from(FEW).unwrap();
        for (count, limit, is_few) in
            [(0, RUN, true), (few, RUN, true), (few + 1, RUN, false), (20, 10, false)]
        {
            let set = of(count, limit).few();
            assert_eq!(
                set.map(|set| set.len()),
                is_few.then_some(count as usize),
                "{count} in runs of {limit}"
            );
        }
        let mut sorted = of(3, RUN);
        let first = sorted.take().unwrap().unwrap();
        let left = sorted.few().unwrap();
        assert!(left.len() == 2 && !left.contains(&first.digest));
    }

    #[test]
    fn seeks_forward() {
        let dir = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(dir.path());
        let mut digests: Vec<Digest> = (0..10).map(|n| entry(n).digest).collect();
        for digest in &digests {
            for tag in [3, 1] {
                sorter.push(Entry { digest: *digest, size: 1, tag }).unwrap();
            }
        }
        digests.sort_unstable();
        let mut sorted = sorter.finish().unwrap();
        assert_eq!(sorted.seek(&digests[2]).unwrap().unwrap().tag, 1);
        assert_eq!(sorted.seek(&Digest::of(b"elsewhere")).unwrap(), None);
        let mut left = 0;
        while let Some(found) = sorted.take_digest().unwrap() {
            assert_eq!(found.tag, 3);
            left += 1;
        }
        assert!(left < 8);
    }
}
