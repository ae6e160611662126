//! The difference of two sorted lists of lines, and its application, in memory that does not grow with them.
//!
//! A list is what a snapshot's manifest or its evidence list is: a first line, then lines that rise strictly by their bytes.
//! A delta holds the lines that only the old list has and those that only the new one has, rising by their bytes.

use std::{cmp::Ordering, io};

use chantal_contract::{
    manifest::{ManifestError, Reader},
    {Digest, limits::MANIFEST_LINE_BYTES},
};

/// A sorted list that is read line by line; the first line is not among them.
pub trait Lines {
    /// Steps to the next line and tells whether there is one.
    fn advance(&mut self) -> Result<bool, LinesError>;

    /// Returns the line that was stepped to; none before the first and after the last.
    fn current(&self) -> Option<&str>;
}

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// A manifest is not of its form, or cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A list cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A list is not sorted, or a line of it is too long.
    #[error("line {line} does not rise, is empty or is longer than 64 KiB")]
    Form {
        /// Counted from 1.
        line: usize,
    },
}

impl<R: io::BufRead> Lines for Reader<R> {
    fn advance(&mut self) -> Result<bool, LinesError> {
        Ok(self.next_raw()?.is_some())
    }

    fn current(&self) -> Option<&str> {
        Reader::current(self)
    }
}

impl<L: Lines + ?Sized> Lines for Box<L> {
    fn advance(&mut self) -> Result<bool, LinesError> {
        (**self).advance()
    }

    fn current(&self) -> Option<&str> {
        (**self).current()
    }
}

/// A list in memory.
#[derive(Clone, Debug)]
pub struct TextLines<'a> {
    first: &'a str,
    rest: std::str::Lines<'a>,
    current: Option<&'a str>,
    line: usize,
}

impl<'a> TextLines<'a> {
    /// Takes the text of a whole list, each line ending in one LF.
    pub fn new(text: &'a str) -> Self {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        Self { first, rest: rest.lines(), current: None, line: 1 }
    }

    /// Returns the first line, which is not among the sorted ones.
    pub fn first(&self) -> &'a str {
        self.first
    }
}
impl Lines for TextLines<'_> {
    fn advance(&mut self) -> Result<bool, LinesError> {
        let next = self.rest.next();
        self.line += 1;
        let rises = match (self.current, next) {
            (Some(last), Some(next)) => last < next,
            (None, Some(next)) => !next.is_empty(),
            (_, None) => true,
        };
        if !rises || next.is_some_and(|n| n.len() > MANIFEST_LINE_BYTES) {
            return Err(LinesError::Form { line: self.line });
        }
        self.current = next;
        Ok(next.is_some())
    }

    fn current(&self) -> Option<&str> {
        self.current
    }
}

/// A list without lines: what a delta starts from when its snapshot travels whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;
impl Lines for Nothing {
    fn advance(&mut self) -> Result<bool, LinesError> {
        Ok(false)
    }

    fn current(&self) -> Option<&str> {
        None
    }
}

/// One step of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// The old list has this line, the new one has not.
    Removed(&'a str),
    /// The new list has this line, the old one has not.
    Added(&'a str),
}

/// Walks two lists side by side and visits what differs, rising by bytes.
pub fn diff<E: From<LinesError>>(
    old: &mut dyn Lines,
    new: &mut dyn Lines,
    visit: &mut dyn FnMut(Edit<'_>) -> Result<(), E>,
) -> Result<(), E> {
    old.advance()?;
    new.advance()?;
    loop {
        let order = match (old.current(), new.current()) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.cmp(b),
        };
        match (order, old.current(), new.current()) {
            (Ordering::Less, Some(line), _) => visit(Edit::Removed(line))?,
            (Ordering::Greater, _, Some(line)) => visit(Edit::Added(line))?,
            _ => {}
        }
        if order.is_le() {
            old.advance()?;
        }
        if order.is_ge() {
            new.advance()?;
        }
    }
}

/// Why a delta does not apply.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The list that it starts from cannot be read.
    #[error("the base: {0}")]
    Base(#[from] LinesError),
    /// It removes a line that is not there.
    #[error("the delta removes `{0}`, which its base does not have")]
    NotThere(String),
    /// It adds a line that is there already.
    #[error("the delta adds `{0}`, which its base has already")]
    There(String),
    /// The rebuilt list is not the one that was promised.
    #[error("the rebuilt list is {found}, {promised} was promised")]
    Other {
        /// The digest that a signed manifest names.
        promised: Digest,
        /// The digest of what came out.
        found: Digest,
    },
}

fn shown(line: &str) -> String {
    line.chars().take(200).flat_map(char::escape_debug).collect()
}

/// Applies a delta: takes its steps, gives the lines of the new list.
pub struct Patch<L> {
    base: L,
}

impl<L: Lines> Patch<L> {
    /// Starts from a list at its beginning.
    pub fn new(mut base: L) -> Result<Self, PatchError> {
        base.advance()?;
        Ok(Self { base })
    }

    /// Takes one step; gives every line of the new list up to it, and it.
    pub fn edit<E: From<PatchError>>(
        &mut self,
        edit: Edit<'_>,
        line: &mut dyn FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let (Edit::Removed(target) | Edit::Added(target)) = edit;
        while let Some(held) = self.base.current().filter(|held| *held < target) {
            line(held)?;
            self.base.advance().map_err(PatchError::from)?;
        }
        let there = self.base.current() == Some(target);
        match edit {
            Edit::Removed(_) if !there => Err(PatchError::NotThere(shown(target)).into()),
            Edit::Removed(_) => {
                self.base.advance().map_err(PatchError::from)?;
                Ok(())
            }
            Edit::Added(_) if there => Err(PatchError::There(shown(target)).into()),
            Edit::Added(_) => line(target),
        }
    }

    /// Ends the delta: gives what is left of the old list, and returns it at its end.
    pub fn finish<E: From<PatchError>>(
        mut self,
        line: &mut dyn FnMut(&str) -> Result<(), E>,
    ) -> Result<L, E> {
        while let Some(held) = self.base.current() {
            line(held)?;
            self.base.advance().map_err(PatchError::from)?;
        }
        Ok(self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(old: &str, new: &str) -> Vec<String> {
        let mut seen = Vec::new();
        diff::<LinesError>(&mut TextLines::new(old), &mut TextLines::new(new), &mut |edit| {
            seen.push(match edit {
                Edit::Removed(line) => format!("-{line}"),
                Edit::Added(line) => format!("+{line}"),
            });
            Ok(())
        })
        .unwrap();
        seen
    }

    fn patched(old: &str, edits: &[String]) -> Result<Vec<String>, PatchError> {
        let mut out = Vec::new();
        let mut patch = Patch::new(TextLines::new(old))?;
        for edit in edits {
            let edit = edit.strip_prefix('-').map_or_else(|| Edit::Added(&edit[1..]), Edit::Removed);
            patch.edit::<PatchError>(edit, &mut |line| {
                out.push(line.to_owned());
                Ok(())
            })?;
        }
        patch.finish::<PatchError>(&mut |line| {
            out.push(line.to_owned());
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn what_diff_finds_patch_applies() {
        // Every pair of subsets of five lines.
        let list = |bits: u32| {
            let lines = ["a", "a\tb", "b", "c\t1", "c\t2"];
            let chosen = lines.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1);
            chosen.fold("first\n".to_owned(), |text, (_, line)| text + line + "\n")
        };
        for old in 0..32 {
            for new in 0..32 {
                let (old, new) = (list(old), list(new));
                let found = edits(&old, &new);
                assert!(found.iter().map(|e| &e[1..]).is_sorted_by(|a, b| a < b));
                let expected: Vec<&str> = new.lines().skip(1).collect();
                assert_eq!(patched(&old, &found).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_delta_of_another_base_does_not_apply() {
        let base = "first\na\nc\n";
        assert!(matches!(patched(base, &["-b".into()]), Err(PatchError::NotThere(_))));
        assert!(matches!(patched(base, &["-d".into()]), Err(PatchError::NotThere(_))));
        assert!(matches!(patched(base, &["+c".into()]), Err(PatchError::There(_))));
        assert!(matches!(patched("first\nc\na\n", &[]), Err(PatchError::Base(_))));
        assert!(matches!(patched("first\na\na\n", &[]), Err(PatchError::Base(_))));
    }
}
