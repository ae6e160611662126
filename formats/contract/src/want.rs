//! What a walk asks for, what it is given, and what it says.

use std::io::{BufRead, Seek};

use url::Url;

use crate::{
    digest::Expect,
    format::Notice,
    package::{Advisory, Document, Package},
    path::RepoPath,
};

/// Where a file is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// Under the repository's own URL, at the want's path; whichever mirror answers.
    Relative,
    /// A directory under the repository's own URL, asked for with a trailing `/`; the want's path only names what comes of
    /// it (PyPI: `requests` under `https://mirror.example.org/simple` is `…/simple/requests/`).
    ///
    /// Of a `file:` upstream it is the `index.json` in that directory, or else its `index.html`.
    Directory(RepoPath),
    /// At another address. Credentials stay with the origin that they were given for.
    Absolute(Url),
}

/// What a file is to its repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// What everything else is proved from: `InRelease`, `repomd.xml`, a project page. Fetched conditionally, from every run.
    Anchor,
    /// An index that an anchor or another index binds by digest.
    Index,
    /// A package or another large file.
    Payload,
}

/// What becomes of a fetched file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is published at its path: the manifest gets a `file` line.
    Tree,
    /// It travels as evidence of where the state came from and is not published.
    Evidence,
    /// It is read and forgotten.
    No,
}

/// What it means when upstream says that a file is not there (404, 410, or 403 as CDNs do).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The walk cannot go on.
    Fatal,
    /// The walk is fed an answer without a body.
    Allowed,
    /// Another file serves as well (one of several compressions, Release for InRelease).
    Try(Box<Want>),
}

/// One file that a walk asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The walk's own mark, handed back with the answer; means nothing to the driver.
    pub tag: u64,
    /// Where it is to be had.
    pub at: At,
    /// Its name in the repository.
    pub path: RepoPath,
    /// Other paths to ask for first, in order (APT's `by-hash`); only with [`At::Relative`].
    pub via: Vec<RepoPath>,
    /// The `Accept` header, where the server chooses by it.
    pub accept: Option<&'static str>,
    /// What it is.
    pub role: Role,
    /// What must be true of its bytes.
    pub expect: Expect,
    /// What its absence means.
    pub absent: Absent,
    /// What becomes of it.
    pub keep: Keep,
}

impl Want {
    /// Asks for a trust anchor under the repository's URL, published as it is, whose absence is fatal.
    pub fn anchor(path: RepoPath, limit: u64) -> Self {
        Self::new(path, Role::Anchor, Expect::at_most(limit))
    }

    /// Asks for an index under the repository's URL, published as it is, whose absence is fatal.
    pub fn index(path: RepoPath, expect: Expect) -> Self {
        Self::new(path, Role::Index, expect)
    }

    /// Names a payload under the repository's URL.
    pub fn payload(path: RepoPath, expect: Expect) -> Self {
        Self::new(path, Role::Payload, expect)
    }

    fn new(path: RepoPath, role: Role, expect: Expect) -> Self {
        Self {
            tag: 0,
            at: At::Relative,
            path,
            via: Vec::new(),
            accept: None,
            role,
            expect,
            absent: Absent::Fatal,
            keep: Keep::Tree,
        }
    }

    /// Sets the walk's own mark.
    #[must_use]
    pub fn tag(mut self, tag: u64) -> Self {
        self.tag = tag;
        self
    }

    /// Sets what its absence means.
    #[must_use]
    pub fn absent(mut self, absent: Absent) -> Self {
        self.absent = absent;
        self
    }
}

/// A reader that can also be wound back, as archives with a directory at their end need.
pub trait ReadSeek: BufRead + Seek {}
impl<T: BufRead + Seek> ReadSeek for T {}

/// The bytes of a file that met every expectation of its [`Want`].
///
/// Only the driver makes one, after the measuring; a walk that holds one need not hash again.
pub struct Body<'a> {
    reader: &'a mut dyn ReadSeek,
    measured: crate::digest::Measured,
}

impl<'a> Body<'a> {
    /// Declares that `reader` yields exactly the bytes that were measured and met their expectation.
    pub fn checked(reader: &'a mut dyn ReadSeek, measured: crate::digest::Measured) -> Self {
        Self { reader, measured }
    }

    /// Returns the reader, at the start of the file.
    pub fn reader(&mut self) -> &mut (dyn ReadSeek + 'a) {
        self.reader
    }

    /// Returns the file's SHA-256 and size.
    pub fn measured(&self) -> crate::digest::Measured {
        self.measured
    }
}

/// What came of a [`Want`].
pub struct Answer<'a> {
    /// The want that was answered: the one asked for, or the one it was replaced by through [`Absent::Try`].
    pub body: Option<Body<'a>>,
    /// The address that relative references in the body are resolved against, where there is one.
    pub base: Option<&'a Url>,
    /// The next page, where a format pages.
    pub next: Option<&'a Url>,
}

/// What a walk says while it is fed.
#[derive(Debug)]
pub enum Step<'a> {
    /// It needs another file.
    Want(Want),
    /// The index lists a package; the record is the index's own text.
    Package(Package, &'a [u8]),
    /// The index lists something else.
    Document(Document, &'a [u8]),
    /// The index tells of a defect and its cure.
    Advisory(Advisory),
    /// A payload that belongs to no package: an installer image, a file of a `.treeinfo`.
    File(Want),
    /// A file that the walk was fed under `target` is published under `path`, too (`by-hash`).
    ///
    /// The file may have been wanted with any [`Keep`]. Where `path` is `target` itself, a file of [`Keep::Evidence`] is
    /// published after all, once another file has shown that it may be (APT's `Release` beside `InRelease`). The same alias may
    /// be said twice, of the same bytes.
    Alias {
        /// The further name.
        path: RepoPath,
        /// The name it was wanted under.
        target: RepoPath,
    },
    /// A file that was derived from a fed one and proved by its digest (a wheel's METADATA): the driver puts it into the pool.
    Derived {
        /// Its name in the repository.
        path: RepoPath,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A file that was fed, tells clients of packages, and was not read, since another one tells of the same
    /// (`primary_zck` beside `primary`).
    Unread(RepoPath),
    /// Something a person should know.
    Notice(Notice),
}
