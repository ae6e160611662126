//! The walk over an APT repository: anchors, then indexes, then what they list.

use std::io::{self, Read};

use chantal_contract::{
    Absent, Answer, Body, Checksum, Coverage, Expect, FormatError, Keep, Notice, RepoPath, Step, Verifier,
    Walk, Want,
    codec::Codec,
    digest::Measurer,
    limits::{ANCHOR_BYTES, INDEX_OPEN_BYTES, LISTED_INDEXES, SIGNATURE_BYTES},
};

use self::{anchors::Anchors, seen::Seen};
use crate::{
    Apt,
    deb822::stanzas,
    options::Compressions,
    packages,
    release::{Release, by_hash},
    suite::Suite,
    targets::{self, Content, Need, Switch, Target},
};

mod anchors;
mod seen;
#[cfg(test)]
mod tests;

type Out<'o> = &'o mut dyn FnMut(Step<'_>) -> Result<(), FormatError>;

/// A walk in progress; begun by [`chantal_contract::Format::walk`].
pub(crate) struct AptWalk<'a> {
    apt: &'a Apt,
    proof: &'a dyn Verifier,
    /// What each want's tag stands for.
    marks: Vec<Mark>,
    suites: Vec<Anchors>,
    unsettled: usize,
    indexes: Vec<Index>,
    honoured: Vec<Switch>,
    seen: Seen,
    coverage: Coverage,
}

#[derive(Clone, Copy)]
enum Mark {
    Anchor { suite: usize, form: Form },
    Index(usize),
}

/// The files that a suite is proved from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    InRelease,
    Release,
    Signature,
}

impl Form {
    const ALL: [Self; 3] = [Self::InRelease, Self::Release, Self::Signature];

    const fn name(self) -> &'static str {
        match self {
            Self::InRelease => "InRelease",
            Self::Release => "Release",
            Self::Signature => "Release.gpg",
        }
    }

    const fn limit(self) -> u64 {
        match self {
            Self::InRelease | Self::Release => ANCHOR_BYTES,
            Self::Signature => SIGNATURE_BYTES,
        }
    }
}

/// An index that was asked for, in one or several compressions.
struct Index {
    /// Its path without the compression's extension.
    path: RepoPath,
    content: Content,
    need: Need,
    flat: bool,
    by_hash: bool,
    /// What `Release` says of it decompressed.
    plain: Option<Expect>,
    /// How many answers are still to come.
    open: usize,
    fed: bool,
}

impl<'a> AptWalk<'a> {
    pub(crate) fn new(apt: &'a Apt, proof: &'a dyn Verifier) -> Self {
        Self {
            apt,
            proof,
            marks: Vec::new(),
            suites: apt.suites.iter().map(|_| Anchors::default()).collect(),
            unsettled: apt.suites.len(),
            indexes: Vec::new(),
            honoured: Vec::new(),
            seen: Seen::default(),
            coverage: Coverage::default(),
        }
    }

    fn mark(&mut self, mark: Mark) -> u64 {
        self.marks.push(mark);
        self.marks.len() as u64 - 1
    }

    fn feed_anchor(
        &mut self,
        at: usize,
        form: Form,
        answer: Answer<'_>,
        out: Out<'_>,
    ) -> Result<(), FormatError> {
        let apt = self.apt;
        let (Some(suite), Some(anchors)) = (apt.suites.get(at), self.suites.get_mut(at)) else {
            return Ok(());
        };
        let body = match answer.body {
            Some(mut body) => Some(read_whole(&mut body, &path(suite, form.name())?)?),
            None => None,
        };
        if let Some(text) = anchors.take(form, body) {
            let anchors = std::mem::take(anchors);
            self.settle(suite, anchors, text, out)?;
        }
        Ok(())
    }

    /// Reads the proved text of a suite's `Release` and asks for its indexes.
    fn unfold(
        &mut self,
        suite: &Suite,
        text: &[u8],
        anchor: &RepoPath,
        out: Out<'_>,
    ) -> Result<(), FormatError> {
        let apt = self.apt;
        let release = Release::parse(text, anchor)?;
        if release.date.is_none() {
            notice(anchor, "has no `Date` that can be read, so its age is unknown", out)?;
        }
        let names: Vec<&str> =
            [&release.suite, &release.codename].into_iter().flatten().map(String::as_str).collect();
        if !names.is_empty() && !names.iter().any(|name| suite.is_called(name)) {
            let names = names.join("` and `");
            notice(anchor, format!("calls itself `{names}`, not `{suite}`: clients will warn of it"), out)?;
        }
        self.coverage.date = self.coverage.date.max(release.date);
        self.coverage.valid_until = match (self.coverage.valid_until, release.valid_until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        for target in targets::choose(&release, suite, anchor, &apt.options, &mut self.honoured)? {
            self.ask_for(&target, suite, &release, out)?;
        }
        self.unsettled = self.unsettled.saturating_sub(1);
        if self.unsettled == 0 {
            self.check_switches(anchor)?;
        }
        Ok(())
    }

    /// Refuses a switch that no suite had anything for.
    fn check_switches(&self, anchor: &RepoPath) -> Result<(), FormatError> {
        match Switch::wanted(&self.apt.options).into_iter().find(|switch| !self.honoured.contains(switch)) {
            None => Ok(()),
            Some(switch) => Err(FormatError::NotOffered {
                file: anchor.clone(),
                what: switch.asks_for().into(),
                has: "none in any of the suites, components and architectures asked for".into(),
            }),
        }
    }

    fn ask_for(
        &mut self,
        target: &Target,
        suite: &Suite,
        release: &Release,
        out: Out<'_>,
    ) -> Result<(), FormatError> {
        let at = self.indexes.len();
        let tag = self.mark(Mark::Index(at));
        let mut wants = Vec::new();
        let mut refused = None;
        for (codec, listed) in target.variants(release) {
            let path = path(suite, &format!("{}{}", target.base, codec.extension()))?;
            match listed.expect(&path) {
                Ok(expect) => wants.push(Self::want(path, expect, release.acquire_by_hash, tag)),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if wants.is_empty() {
            return refused.map_or(Ok(()), Err);
        }
        let path = path(suite, &target.base)?;
        let plain = release.listed(&target.base).and_then(|listed| listed.expect(&path).ok());
        if self.apt.options.compressions == Compressions::Best {
            let last = if target.need == Need::Stock { Absent::Fatal } else { Absent::Allowed };
            wants = chain(wants, last).into_iter().collect();
        }
        self.indexes.push(Index {
            path,
            content: target.content,
            need: target.need,
            flat: suite.flat,
            by_hash: release.acquire_by_hash,
            plain,
            open: wants.len(),
            fed: false,
        });
        wants.into_iter().try_for_each(|want| out(Step::Want(want)))
    }

    fn want(path: RepoPath, expect: Expect, hashed: bool, tag: u64) -> Want {
        let strong: Vec<_> = expect.checksums.iter().filter(|c| c.algorithm().is_proof()).cloned().collect();
        let mut want = Want::index(path, expect).tag(tag).absent(Absent::Allowed);
        if hashed {
            want.via = by_hash(&want.path, &strong);
        }
        want
    }

    fn feed_index(
        &mut self,
        at: usize,
        want: &Want,
        answer: Answer<'_>,
        out: Out<'_>,
    ) -> Result<(), FormatError> {
        let Some(index) = self.indexes.get_mut(at) else { return Ok(()) };
        index.open = index.open.saturating_sub(1);
        let Some(mut body) = answer.body else {
            return if index.open == 0 && !index.fed { index.is_absent(out) } else { Ok(()) };
        };
        if index.by_hash {
            for path in by_hash(&want.path, &want.expect.checksums) {
                out(Step::Alias { path, target: want.path.clone() })?;
            }
        }
        let (content, flat, plain) = (index.content, index.flat, index.plain.clone());
        let again = std::mem::replace(&mut index.fed, true);
        match content {
            // of several compressions one is read; of the others it is enough that the same text comes out
            Content::Packages | Content::Sources if again => {
                if !plain.as_ref().is_some_and(Expect::is_proof) {
                    out(Step::Unread(want.path.clone()))?;
                }
                read_open(&mut body, &want.path, plain, |reader| {
                    let drained = io::copy(reader, &mut io::sink()).map(drop);
                    drained.map_err(|source| FormatError::Decode { file: want.path.clone(), source })
                })
            }
            Content::Opaque => Ok(()),
            Content::Sums => feed_sums(&mut body, want, out),
            Content::Packages | Content::Sources => {
                let path = &want.path;
                read_open(&mut body, path, plain, |reader| {
                    stanzas(reader, path, &mut |stanza| {
                        let package = match content {
                            Content::Sources => packages::source(&stanza, path)?,
                            _ => packages::binary(&stanza, path)?,
                        };
                        if flat && !self.apt.takes_architecture(&package.key.architecture) {
                            return Ok(());
                        }
                        self.seen.take(package, stanza.bytes, path, out)
                    })
                })
            }
        }
    }
}

impl Index {
    /// Says what it means that upstream has it in no compression.
    fn is_absent(&self, out: Out<'_>) -> Result<(), FormatError> {
        match self.need {
            Need::Empty => Ok(()),
            Need::Extra => notice(
                &self.path,
                "is listed upstream but not there; clients that ask for it will miss it",
                out,
            ),
            Need::Stock => Err(FormatError::NotOffered {
                file: self.path.clone(),
                what: "an index that `Release` lists".into(),
                has: "none of its compressions".into(),
            }),
        }
    }
}

impl Walk for AptWalk<'_> {
    fn start(&mut self) -> Result<Vec<Want>, FormatError> {
        let apt = self.apt;
        let mut wants = Vec::new();
        for (at, suite) in apt.suites.iter().enumerate() {
            for form in Form::ALL {
                let mut want = Want::anchor(path(suite, form.name())?, form.limit()).absent(Absent::Allowed);
                want.tag = self.mark(Mark::Anchor { suite: at, form });
                // the second form is published only once it has shown to be of the same generation
                if form != Form::InRelease {
                    want.keep = Keep::Evidence;
                }
                wants.push(want);
            }
        }
        Ok(wants)
    }

    fn feed(&mut self, want: &Want, answer: Answer<'_>, out: Out<'_>) -> Result<(), FormatError> {
        match usize::try_from(want.tag).ok().and_then(|tag| self.marks.get(tag)).copied() {
            Some(Mark::Anchor { suite, form }) => self.feed_anchor(suite, form, answer, out),
            Some(Mark::Index(at)) => self.feed_index(at, want, answer, out),
            None => Ok(()),
        }
    }

    fn finish(self: Box<Self>, out: Out<'_>) -> Result<Coverage, FormatError> {
        let mut this = *self;
        this.seen.finish(out)?;
        this.coverage.signers.sort();
        this.coverage.signers.dedup();
        this.coverage.signed.sort();
        Ok(this.coverage)
    }
}

/// Makes each want stand in for the one before it; returns the first, or none of none.
fn chain(wants: Vec<Want>, last: Absent) -> Option<Want> {
    wants.into_iter().rev().fold(None, |next: Option<Want>, want| {
        Some(want.absent(next.map_or_else(|| last.clone(), |next| Absent::Try(Box::new(next)))))
    })
}

fn path(suite: &Suite, tail: &str) -> Result<RepoPath, FormatError> {
    suite.path(tail).map_err(|source| match suite.path("Release") {
        Ok(file) => FormatError::Path { file, source },
        Err(_) => FormatError::Option { option: "apt.suites".into(), why: source.to_string() },
    })
}

fn notice(path: &RepoPath, text: impl Into<String>, out: Out<'_>) -> Result<(), FormatError> {
    out(Step::Notice(Notice { path: path.clone(), text: text.into() }))
}

/// Reads a body that its want bounded to what memory may hold.
fn read_whole(body: &mut Body<'_>, path: &RepoPath) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::new();
    let read = body.reader().take(ANCHOR_BYTES + 1).read_to_end(&mut bytes);
    let size = read.map_err(|source| FormatError::Decode { file: path.clone(), source })?;
    if size as u64 > ANCHOR_BYTES {
        return Err(FormatError::Limit {
            file: path.clone(),
            what: "a file read whole",
            limit: ANCHOR_BYTES,
        });
    }
    Ok(bytes)
}

/// Decompresses an index for `read` and checks that what came out is what `Release` says of it, as clients do.
fn read_open(
    body: &mut Body<'_>,
    path: &RepoPath,
    plain: Option<Expect>,
    read: impl FnOnce(&mut dyn Read) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let decode = |source| FormatError::Decode { file: path.clone(), source };
    let codec = Codec::of_name(path.as_str());
    let mut input = body.reader();
    let mut reader = codec.decode(&mut input, INDEX_OPEN_BYTES).map_err(decode)?;
    let Some(mut expect) = plain.filter(|_| codec != Codec::Plain) else { return read(&mut reader) };
    // one proof is enough, and hashing is what the time goes into
    expect.checksums.sort_by_key(Checksum::algorithm);
    expect.checksums.retain(|c| c.algorithm().is_proof());
    expect.checksums.truncate(1);
    let mut measured = Measured { inner: &mut reader, measurer: expect.measure() };
    read(&mut measured)?;
    let other =
        |mismatch| io::Error::other(format!("decompressed, it is not what `Release` lists: {mismatch}"));
    measured.measurer.finish().map(drop).map_err(|mismatch| decode(other(mismatch)))
}

/// A reader that measures what passes.
struct Measured<'a> {
    inner: &'a mut dyn Read,
    measurer: Measurer,
}
impl Read for Measured<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.measurer.update(buf.get(..n).unwrap_or_default()).map_err(|mismatch| {
            io::Error::other(format!("decompressed, it is not what `Release` lists: {mismatch}"))
        })?;
        Ok(n)
    }
}

fn feed_sums(body: &mut Body<'_>, want: &Want, out: Out<'_>) -> Result<(), FormatError> {
    let sums = &want.path;
    let bytes = read_whole(body, sums)?;
    let directory = sums.parent().unwrap_or_default();
    let mut number = 0;
    for line in bytes.split(|b| *b == b'\n') {
        number += 1;
        if number > LISTED_INDEXES as u64 {
            let what = "the number of files";
            return Err(FormatError::Limit { file: sums.clone(), what, limit: LISTED_INDEXES as u64 });
        }
        let line = std::str::from_utf8(line)
            .map_err(|_| FormatError::malformed(sums, format!("line {number}"), "UTF-8", "other bytes"))?;
        if !line.trim().is_empty() {
            out(Step::File(packages::sum(line.trim_end(), directory, sums, number)?))?;
        }
    }
    Ok(())
}
