//! One line of the journal.

use std::path::Path;

use chantal_contract::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Tail;
use crate::store::{Event, StoreError, event::stamp};

/// An entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counted from 1.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// What was decided.
    pub event: Event,
}

/// A line that is of its one form; whether it follows the former one is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Line {
    text: String,
    prev: Digest,
    entry: Entry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    number: u64,
    #[serde(with = "stamp")]
    at: Timestamp,
    prev: Digest,
    event: serde_json::Value,
    #[serde(rename = "check")]
    _check: String,
}

#[derive(Serialize)]
struct Written<'a> {
    number: u64,
    #[serde(with = "stamp")]
    at: Timestamp,
    prev: Digest,
    event: &'a Event,
}

const CHECK: &str = ",\"check\":\"";
const CHECK_DIGITS: usize = 16;

fn check(text: &str) -> String {
    let mut hex = Digest::of(text.as_bytes()).hex();
    hex.truncate(CHECK_DIGITS);
    hex
}

impl Line {
    /// Writes an entry that follows the line whose hash is `prev`.
    pub(in crate::store) fn new(
        number: u64,
        at: Timestamp,
        prev: Digest,
        event: Event,
    ) -> Result<Self, StoreError> {
        let mut text = serde_json::to_string(&Written { number, at, prev, event: &event })
            .map_err(|e| StoreError::damaged(Path::new("journal"), "new entry", e.to_string()))?;
        text.pop();
        let check = check(&text);
        text.push_str(CHECK);
        text.push_str(&check);
        text.push_str("\"}");
        Ok(Self { text, prev, entry: Entry { number, at, event } })
    }

    /// Reads a line without its LF; says what is wrong with it.
    pub(in crate::store) fn parse(text: &str) -> Result<Self, Fault> {
        let damaged = |why: &str| Fault::Damaged(why.into());
        let (body, tail) = text.rsplit_once(CHECK).ok_or_else(|| damaged("it has no check at its end"))?;
        if tail.strip_suffix("\"}") != Some(&check(body)) {
            return Err(damaged("its check does not fit"));
        }
        let form: Form = serde_json::from_str(text).map_err(|e| Fault::Damaged(e.to_string()))?;
        // the bytes are what some version of this program wrote: what this one does not understand is newer
        let kind = form.event.get("what").and_then(|w| w.as_str()).unwrap_or_default().to_owned();
        let event = serde_json::from_value(form.event).map_err(|_| Fault::Newer(kind))?;
        let entry = Entry { number: form.number, at: form.at, event };
        Ok(Self { text: text.into(), prev: form.prev, entry })
    }

    /// Returns the line without its LF.
    pub(in crate::store) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the hash of the line that this one follows.
    pub(in crate::store) fn prev(&self) -> Digest {
        self.prev
    }

    /// Returns the hash of this line.
    pub(in crate::store) fn hash(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// Returns what the line says.
    pub(in crate::store) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Returns what the line says.
    pub(in crate::store) fn into_entry(self) -> Entry {
        self.entry
    }

    /// Stands where this line would if it followed `tail`.
    pub(in crate::store) fn after(&self, tail: &Tail) -> Tail {
        Tail {
            number: tail.number + 1,
            hash: self.hash(),
            start: tail.end,
            end: tail.end + self.text.len() as u64 + 1,
        }
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Fault {
    /// It is not what was written.
    Damaged(String),
    /// It records something that this version does not know.
    Newer(String),
}

impl Fault {
    /// Says where the line stands.
    pub(in crate::store) fn at(self, path: &Path, number: u64) -> StoreError {
        match self {
            Self::Damaged(why) => StoreError::damaged(path, format!("line {number}"), why),
            Self::Newer(kind) => StoreError::Newer {
                path: path.into(),
                found: format!("line {number}: `{kind}`"),
                known: format!("format {}", crate::store::event::FORMAT),
            },
        }
    }
}
