//! Sorts more lines of text than memory should hold: runs on disk, merged as they are read.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read as _, Seek, Write},
    path::{Path, PathBuf},
};

use chantal_contract::limits::MANIFEST_LINE_BYTES;

use super::TransferError;

/// Bytes of lines that are sorted in memory.
const RUN: usize = 16 << 20;

/// Takes lines in any order; none may hold a line feed.
pub(super) struct LineSorter {
    dir: PathBuf,
    text: String,
    /// Where each line of `text` begins and ends.
    lines: Vec<(u32, u32)>,
    runs: Vec<File>,
    limit: usize,
    count: u64,
}

impl LineSorter {
    /// Sorts in memory, and beyond that in nameless files in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            text: String::new(),
            lines: Vec::new(),
            runs: Vec::new(),
            limit: RUN,
            count: 0,
        }
    }

    pub fn push(&mut self, line: &str) -> Result<(), TransferError> {
        if line.len() > MANIFEST_LINE_BYTES {
            let fault = io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 64 KiB");
            return Err(TransferError::io(&self.dir, fault));
        }
        self.count += 1;
        let at = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let begin = at(self.text.len());
        self.text.push_str(line);
        self.lines.push((begin, at(self.text.len())));
        // what stands beside the text counts as well
        if self.text.len() + 8 * self.lines.len() >= self.limit { self.spill() } else { Ok(()) }
    }

    fn sort(&mut self) {
        let text = &self.text;
        self.lines.sort_unstable_by(|a, b| slice(text, *a).cmp(slice(text, *b)));
        self.lines.dedup_by(|a, b| slice(text, *a) == slice(text, *b));
    }

    fn spill(&mut self) -> Result<(), TransferError> {
        self.sort();
        let run = self.write_run().map_err(|e| TransferError::io(&self.dir, e))?;
        self.runs.push(run);
        self.text.clear();
        self.lines.clear();
        Ok(())
    }

    fn write_run(&self) -> io::Result<File> {
        let mut out = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(&self.dir)?);
        for line in &self.lines {
            out.write_all(slice(&self.text, *line).as_bytes())?;
            out.write_all(b"\n")?;
        }
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    }

    /// Ends the input; lines come out rising, equal ones once.
    pub fn finish(mut self) -> Result<SortedLines, TransferError> {
        let count = self.count;
        let source = if self.runs.is_empty() {
            self.sort();
            Source::Memory { text: self.text, lines: self.lines.into_iter() }
        } else {
            self.spill()?;
            let runs = self.runs.into_iter().map(|run| BufReader::with_capacity(1 << 15, run)).collect();
            let mut merge = Merge { runs, heads: BinaryHeap::new() };
            for run in 0..merge.runs.len() {
                merge.refill(run).map_err(|e| TransferError::io(&self.dir, e))?;
            }
            Source::Merge(merge)
        };
        let mut sorted = SortedLines { dir: self.dir, source, line: String::new(), there: true, count };
        sorted.advance()?;
        Ok(sorted)
    }
}

fn slice(text: &str, (begin, end): (u32, u32)) -> &str {
    text.get(begin as usize..end as usize).unwrap_or_default()
}

enum Source {
    Memory { text: String, lines: std::vec::IntoIter<(u32, u32)> },
    Merge(Merge),
}

struct Merge {
    runs: Vec<BufReader<File>>,
    heads: BinaryHeap<Reverse<(String, usize)>>,
}

impl Merge {
    fn refill(&mut self, run: usize) -> io::Result<()> {
        let Some(reader) = self.runs.get_mut(run) else { return Ok(()) };
        let mut line = String::new();
        if reader.by_ref().take(MANIFEST_LINE_BYTES as u64 + 1).read_line(&mut line)? > 0 {
            line.pop();
            self.heads.push(Reverse((line, run)));
        }
        Ok(())
    }
}

/// Gives lines rising, each once.
pub(super) struct SortedLines {
    dir: PathBuf,
    source: Source,
    line: String,
    there: bool,
    count: u64,
}

impl SortedLines {
    /// Returns how many lines were put in, repetitions and all.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the line that was stepped to; none after the last.
    pub fn current(&self) -> Option<&str> {
        self.there.then_some(self.line.as_str())
    }

    /// Steps to the next line.
    pub fn advance(&mut self) -> Result<(), TransferError> {
        match &mut self.source {
            Source::Memory { text, lines } => match lines.next() {
                Some(line) => {
                    self.line.clear();
                    self.line.push_str(slice(text, line));
                }
                None => self.there = false,
            },
            Source::Merge(merge) => loop {
                let Some(Reverse((line, run))) = merge.heads.pop() else {
                    self.there = false;
                    break;
                };
                merge.refill(run).map_err(|e| TransferError::io(&self.dir, e))?;
                // no line is empty, so the first is no repetition
                if line != self.line {
                    self.line = line;
                    break;
                }
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(lines: &[String], limit: usize) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let mut sorter = LineSorter::new(dir.path());
        sorter.limit = limit;
        for line in lines.iter().chain(lines) {
            sorter.push(line).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files have names");
        let mut out = Vec::new();
        while let Some(line) = sorted.current() {
            out.push(line.to_owned());
            sorted.advance().unwrap();
        }
        out
    }

    #[test]
    fn gives_everything_once_and_rising() {
        let lines: Vec<String> =
            (0..5000).map(|n: u32| format!("line\t{}", n.wrapping_mul(2_654_435_761))).collect();
        let mut expected = lines.clone();
        expected.sort();
        for limit in [RUN, 100_000, 10_000, 700] {
            assert_eq!(sorted(&lines, limit), expected, "runs of {limit}");
        }
        assert!(sorted(&[], 10).is_empty());
    }

    #[test]
    fn keeps_the_limit_of_a_line() {
        for length in [MANIFEST_LINE_BYTES - 1, MANIFEST_LINE_BYTES] {
            let line = "x".repeat(length);
            assert_eq!(sorted(std::slice::from_ref(&line), 100), [line]);
        }
        let mut sorter = LineSorter::new(Path::new("/"));
        assert!(sorter.push(&"x".repeat(MANIFEST_LINE_BYTES + 1)).is_err());
    }
}
