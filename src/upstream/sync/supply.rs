//! Where the bytes of a want come from: the pool if it has them, upstream otherwise.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use chantal_contract::{At, Expect, Measured, RepoPath, Role, Want};
use url::Url;

use super::SyncError;
use crate::{
    store::{Batch, BlobWriter, Fetched, Name, Store, StoreError},
    upstream::fetch::{
        Candidate, FetchError, Mirrors, Outcome, Received, Request, Session, Shown, Sink, Validators,
    },
};

/// One repository's upstream, with the batch that takes what comes from it.
pub(super) struct Supply<'a> {
    pub(super) store: &'a Store,
    pub(super) name: &'a Name,
    pub(super) batch: Arc<Batch>,
    pub(super) session: Arc<Session>,
    pub(super) mirrors: Arc<Mirrors>,
    /// The directory of a `file:` upstream.
    pub(super) root: Option<PathBuf>,
    pub(super) task: Arc<str>,
    /// What an anchor may be, where a metalink says so.
    pub(super) pins: Vec<(RepoPath, Arc<[Expect]>)>,
}

/// Whether a server is asked what changed, or for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    Conditionally,
    Anew,
}

/// Bytes that are staged or in the pool, and where they were found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) measured: Measured,
    /// Whether it came from upstream just now, and not from the pool.
    pub(super) asked: bool,
    pub(super) base: Option<Url>,
    pub(super) next: Option<Url>,
    /// What to remember of the address that served it.
    pub(super) row: Option<(String, Fetched)>,
}

/// What came of a want.
#[derive(Clone, Debug)]
pub(super) enum Answered {
    Found(Box<Found>),
    Absent { url: Shown, status: Option<u16> },
}

/// A file that must be asked for: everything that a task of its own needs.
pub(super) struct Errand {
    session: Arc<Session>,
    batch: Arc<Batch>,
    request: Request,
    path: RepoPath,
    expect: Expect,
    pin: Option<Arc<[Expect]>>,
    known: Option<(String, Fetched)>,
}

impl Supply<'_> {
    /// Returns the same upstream for another piece of work.
    pub(super) fn for_task(&self, task: &str) -> Self {
        Self {
            batch: Arc::clone(&self.batch),
            session: Arc::clone(&self.session),
            mirrors: Arc::clone(&self.mirrors),
            root: self.root.clone(),
            task: task.into(),
            pins: self.pins.clone(),
            ..*self
        }
    }

    /// Returns the blob that a want can be answered with without asking anybody.
    pub(super) fn in_pool(&self, expect: &Expect) -> Result<Option<Measured>, StoreError> {
        let fits = |size: u64| expect.size.is_none_or(|s| s == size) && size <= expect.limit;
        if let Some(sha256) = expect.sha256() {
            let size = self.batch.has(&sha256)?.filter(|size| fits(*size));
            return Ok(size.map(|size| Measured { sha256, size }));
        }
        // what was once measured to have this digest; a weak one proves too little to look in other repositories' files
        for checksum in expect.checksums.iter().filter(|c| c.algorithm().is_proof()) {
            if let Some(blob) = self.store.catalog().alias(checksum)?
                && fits(blob.size)
                && self.batch.has(&blob.sha256)? == Some(blob.size)
            {
                return Ok(Some(blob));
            }
        }
        Ok(None)
    }

    /// Answers a want from the pool, or says what must be asked for.
    pub(super) fn prepare(&self, want: &Want, asking: Asking) -> Result<Result<Found, Errand>, SyncError> {
        if want.role != Role::Anchor
            && let Some(measured) = self.in_pool(&want.expect)?
        {
            let base = self.candidates(want)?.into_iter().last().map(|c| c.url);
            return Ok(Ok(Found { measured, asked: false, base, next: None, row: None }));
        }
        let candidates = self.candidates(want)?;
        let known = match (want.role, asking) {
            (Role::Anchor, Asking::Conditionally) => self.known(&candidates, &want.expect)?,
            _ => None,
        };
        let validators = known.as_ref().map(|(url, row)| Validators {
            url: url.clone(),
            etag: row.etag.clone(),
            last_modified: row.last_modified.clone(),
        });
        let pin = match want.role {
            Role::Anchor => {
                self.pins.iter().find(|(path, _)| *path == want.path).map(|(_, pin)| Arc::clone(pin))
            }
            _ => None,
        };
        let request = Request {
            candidates,
            mirrors: Some(Arc::clone(&self.mirrors)),
            root: self.root.clone(),
            task: Arc::clone(&self.task),
            name: want.path.as_str().to_owned(),
            accept: want.accept,
            size: want.expect.size,
            bound: want.expect.bound(),
            proven: want.expect.is_proof(),
            validators,
        };
        Ok(Err(Errand {
            session: Arc::clone(&self.session),
            batch: Arc::clone(&self.batch),
            request,
            path: want.path.clone(),
            expect: want.expect.clone(),
            pin,
            known,
        }))
    }

    /// Returns what is remembered of the first candidate that was fetched before, if its bytes are still there.
    fn known(
        &self,
        candidates: &[Candidate],
        expect: &Expect,
    ) -> Result<Option<(String, Fetched)>, SyncError> {
        for candidate in candidates {
            let url = candidate.url.as_str();
            if let Some(row) = self.store.catalog().fetched(self.name, url)?
                && row.measured.size <= expect.bound()
                && self.batch.has(&row.measured.sha256)? == Some(row.measured.size)
            {
                return Ok(Some((url.to_owned(), row)));
            }
        }
        Ok(None)
    }

    fn candidates(&self, want: &Want) -> Result<Vec<Candidate>, SyncError> {
        let bases = self.mirrors.bases();
        Ok(match &want.at {
            At::Relative => self.mirrors.candidates(&want.path, &want.via),
            At::Directory(directory) => {
                let names: &[&str] = if self.root.is_some() { &["index.json", "index.html"] } else { &[""] };
                let under = self.mirrors.candidates(directory, &[]);
                let named = |candidate: &Candidate, name: &str| {
                    let mut url = candidate.url.clone();
                    url.set_path(&format!("{}/{name}", candidate.url.path()));
                    Candidate { url, ..candidate.clone() }
                };
                under.iter().flat_map(|c| names.iter().map(|name| named(c, name))).collect()
            }
            At::Absolute(url) => {
                let over_tls = !bases.is_empty() && bases.iter().all(|b| b.scheme() == "https");
                if over_tls && url.scheme() == "http" && !want.expect.is_proof() {
                    return Err(SyncError::Unprotected { url: Shown::of(url) });
                }
                vec![Candidate::from(url.clone())]
            }
        })
    }
}

impl Errand {
    /// Fetches until the bytes are what they must be; every candidate whose bytes are not is given up.
    pub(super) async fn run(mut self) -> Result<Answered, SyncError> {
        let mut wrong = None;
        loop {
            let sink = BlobSink { batch: Arc::clone(&self.batch), expect: self.expect.clone(), writer: None };
            let (outcome, sink) = self.session.fetch(&self.request, sink).await;
            let fails = !matches!(outcome, Ok(Outcome::Body(_)) | Err(FetchError::Sink { .. }));
            // wrong bytes on one mirror say more than that another one has none
            if let Some(wrong) = wrong.take().filter(|_| fails) {
                return Err(wrong);
            }
            match outcome.map_err(stored)? {
                Outcome::NotModified => {
                    let Some((url, row)) = self.known.take() else {
                        // nothing was asked conditionally, so no server can say so
                        self.request.validators = None;
                        continue;
                    };
                    return Ok(Answered::Found(Box::new(Found {
                        measured: row.measured,
                        asked: false,
                        base: row.final_url.parse().ok(),
                        next: None,
                        row: Some((url, row)),
                    })));
                }
                Outcome::Absent { url, status } => return Ok(Answered::Absent { url, status }),
                Outcome::Body(received) => match self.checked(sink, &received).await {
                    Ok(measured) => return Ok(Answered::Found(Box::new(found(measured, *received)))),
                    Err(error @ (SyncError::Mismatch { .. } | SyncError::Unlisted { .. })) => {
                        let Some(served) = self.request.candidates.get(received.candidate) else {
                            return Err(error);
                        };
                        tracing::warn!("{error}");
                        if let Some(mirrors) = &self.request.mirrors {
                            mirrors.failed(served.mirror);
                        }
                        self.request.candidates.remove(received.candidate);
                        if self.request.candidates.is_empty() {
                            return Err(error);
                        }
                        wrong = Some(error);
                    }
                    Err(error) => return Err(error),
                },
            }
        }
    }

    async fn checked(&self, sink: BlobSink, received: &Received) -> Result<Measured, SyncError> {
        let url = || Shown::of(&received.url);
        let finished = tokio::task::spawn_blocking(move || sink.finish()).await;
        let measured = match finished {
            Ok(Ok(measured)) => measured,
            Ok(Err(StoreError::Mismatch { mismatch })) => {
                return Err(SyncError::Mismatch { path: self.path.clone(), url: url(), mismatch });
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Some(pin) = &self.pin else { return Ok(measured) };
        let (batch, accepted) = (Arc::clone(&self.batch), Arc::clone(pin));
        let listed = tokio::task::spawn_blocking(move || -> Result<bool, StoreError> {
            accepted.iter().try_fold(false, |found, expect| Ok(found || meets(&batch, measured, expect)?))
        });
        match listed.await {
            Ok(Ok(true)) => Ok(measured),
            Ok(Ok(false)) => {
                Err(SyncError::Unlisted { path: self.path.clone(), url: url(), accepted: pin.len() })
            }
            Ok(Err(error)) => Err(error.into()),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Hashes a blob anew to tell whether it is what is expected.
pub(super) fn meets(batch: &Batch, blob: Measured, expect: &Expect) -> Result<bool, StoreError> {
    if expect.size.is_some_and(|size| size != blob.size) || blob.size > expect.limit {
        return Ok(false);
    }
    let mut measurer = expect.measure();
    let mut file = batch.open(&blob.sha256)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let n = match io::Read::read(&mut file, &mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(StoreError::io(Path::new(&blob.sha256.hex()), e)),
        };
        let Some(chunk) = buffer.get(..n).filter(|c| !c.is_empty()) else { break };
        if measurer.update(chunk).is_err() {
            return Ok(false);
        }
    }
    Ok(measurer.finish().is_ok_and(|measured| measured.sha256 == blob.sha256))
}

fn found(measured: Measured, received: Received) -> Found {
    let row = received.validators.map(|said| {
        let final_url = received.url.as_str().to_owned();
        (said.url, Fetched { etag: said.etag, last_modified: said.last_modified, final_url, measured })
    });
    Found { measured, asked: true, base: Some(received.url), next: received.next, row }
}

/// A full disk is the store's error, not the server's.
fn stored(error: FetchError) -> SyncError {
    match error {
        FetchError::Sink { source, .. }
            if source.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<StoreError>) =>
        {
            SyncError::Store(StoreError::io(Path::new("pool"), source))
        }
        other => SyncError::Fetch(other),
    }
}

/// A blob that is begun when its first byte comes, so that what waits for its turn holds no file open.
struct BlobSink {
    batch: Arc<Batch>,
    expect: Expect,
    writer: Option<BlobWriter>,
}

impl BlobSink {
    fn finish(self) -> Result<Measured, StoreError> {
        match self.writer {
            Some(writer) => writer.finish(),
            None => self.batch.writer(&self.expect)?.finish(),
        }
    }
}

impl Sink for BlobSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            empty => empty.insert(self.batch.writer(&self.expect).map_err(StoreError::into_io)?),
        };
        writer.write_all(bytes)
    }
    fn written(&self) -> u64 {
        self.writer.as_ref().map_or(0, BlobWriter::written)
    }
    fn restart(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.restart().map_err(StoreError::into_io))
    }
}

/// Opens a blob to be read from its start.
pub(super) fn open(batch: &Batch, blob: &Measured) -> Result<io::BufReader<File>, StoreError> {
    Ok(io::BufReader::with_capacity(256 << 10, batch.open(&blob.sha256)?))
}
