//! Room `report`: what happens, told to whoever wants to show it.
//!
//! Rooms tell; only `commands` decides whether that becomes a bar, a line or a JSON event.

pub mod human;
pub mod log;
pub mod progress;
pub mod review;
pub mod table;

/// Something that happened while a command ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A piece of work begins (`sync bookworm`, `export plant-7`), with its size where that is known.
    Begin {
        /// What is done, in a few words.
        task: &'a str,
        /// How many items it has.
        items: Option<u64>,
        /// How many bytes it has.
        bytes: Option<u64>,
    },
    /// The work turned out to have this size.
    Size {
        /// The piece of work, as it began.
        task: &'a str,
        /// How many items it has.
        items: u64,
        /// How many bytes it has.
        bytes: u64,
    },
    /// An item of the work is being read or fetched.
    Item {
        /// The piece of work.
        task: &'a str,
        /// The item: a path, a file, a redacted URL.
        name: &'a str,
    },
    /// So many more bytes are done; negative where a fetch had to start anew.
    Bytes {
        /// The piece of work.
        task: &'a str,
        /// How many.
        delta: i64,
    },
    /// So many more items are done.
    Done {
        /// The piece of work.
        task: &'a str,
        /// How many.
        items: u64,
    },
    /// Something a person should know, and need not act on.
    Note {
        /// What it is about: a repository, a file.
        subject: &'a str,
        /// What is so: lower case, no full stop.
        text: &'a str,
    },
    /// Something a person should act on.
    Warning {
        /// What it is about.
        subject: &'a str,
        /// What is wrong: lower case, no full stop.
        text: &'a str,
    },
    /// The piece of work ended.
    End {
        /// The piece of work.
        task: &'a str,
    },
}

/// Takes events; must be quick and must not fail.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event<'_>);
}

/// A reporter that keeps everything to itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: Event<'_>) {}
}
