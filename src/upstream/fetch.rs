//! Fetches files over HTTP and from directories, so that what arrives is at most what was promised.
//!
//! One [`Fetcher`] serves a whole run: it holds the rate limit and each host's turns. Each repository has a [`Session`]
//! with its credentials. A [`Request`] names the candidates that a file may be had from; the session goes through them,
//! repeats what may pass, resumes what was cut, and follows redirects within bounds (RFC 9110, RFC 9111 validators only).

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use url::Url;

use crate::report::{Event, Reporter};

mod attempt;
mod body;
mod client;
pub mod error;
mod file;
pub mod mirrors;
mod pace;
pub mod settings;
pub mod shown;

pub use error::FetchError;
pub use mirrors::{Candidate, Mirrors};
pub use settings::{Access, BackOff, Download, Login, Origin, Proxy, Secret, Tls};
pub use shown::Shown;

use attempt::{Attempt, Failure};
use error::Verdict;

/// Takes the bytes of a file as they arrive.
pub trait Sink: Send + 'static {
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns how many bytes it holds.
    fn written(&self) -> u64;

    /// Forgets all bytes: the file begins anew.
    fn restart(&mut self) -> io::Result<()>;
}

/// A sink in memory, for lists and other small files.
#[derive(Debug, Default)]
pub struct Memory(Vec<u8>);

impl Memory {
    /// Returns what was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
impl Sink for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
    fn written(&self) -> u64 {
        self.0.len() as u64
    }
    fn restart(&mut self) -> io::Result<()> {
        self.0.clear();
        Ok(())
    }
}

/// What a server said about a file when it was fetched last; asked again with it, it may answer "not modified".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The address that was asked; the validators mean nothing elsewhere.
    pub url: String,
    /// The `ETag`, quotes included.
    pub etag: Option<String>,
    /// The `Last-Modified`, as it was sent.
    pub last_modified: Option<String>,
}

/// A file to be fetched.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it may be had, best first.
    pub candidates: Vec<Candidate>,
    /// The mirrors that the candidates are on, which learn from what happens.
    pub mirrors: Option<Arc<Mirrors>>,
    /// The directory that `file:` candidates must lie in; without it they are refused.
    pub root: Option<PathBuf>,
    /// The piece of work that it belongs to, for progress.
    pub task: Arc<str>,
    /// Its name, for progress.
    pub name: String,
    /// The `Accept` header.
    pub accept: Option<&'static str>,
    /// Its exact size in bytes, where an index promises it.
    pub size: Option<u64>,
    /// The most bytes that are read.
    pub bound: u64,
    /// Whether a digest will prove the bytes: then a cut body is resumed even where the server offers no strong validator.
    pub proven: bool,
    /// What the server said last time.
    pub validators: Option<Validators>,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The server says that nothing changed since the validators were given; the sink is empty.
    NotModified,
    /// The sink holds the file.
    Body(Box<Received>),
    /// None of the candidates has the file (404, 410, or 403, as CDNs answer).
    Absent {
        /// The last address that was asked.
        url: Shown,
        /// Its status; none for a directory.
        status: Option<u16>,
    },
}

/// A file that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Which candidate served it.
    pub candidate: usize,
    /// Where it was found after redirects: what relative references in it are resolved against.
    pub url: Url,
    /// What to ask with next time; none where the server gave nothing to ask with.
    pub validators: Option<Validators>,
    /// The media type.
    pub content_type: Option<String>,
    /// The next page (RFC 8288, `rel="next"`).
    pub next: Option<Url>,
}

/// Fetches for a whole run.
pub struct Fetcher {
    shared: Arc<Shared>,
}

struct Shared {
    download: Download,
    rate: pace::Rate,
    turns: Mutex<HashMap<Origin, Arc<Semaphore>>>,
    clients: Arc<client::Common>,
    reporter: Arc<dyn Reporter>,
}

impl Fetcher {
    /// Sets up a run's downloads; opens no connection.
    pub fn new(download: Download, reporter: Arc<dyn Reporter>) -> Self {
        let rate = pace::Rate::new(download.rate_limit);
        Self {
            shared: Arc::new(Shared {
                download,
                rate,
                turns: Mutex::default(),
                clients: Arc::default(),
                reporter,
            }),
        }
    }

    /// Returns how long to wait before something is tried again.
    pub fn back_off(&self) -> BackOff {
        self.shared.download.back_off
    }

    /// Begins one repository's downloads with what its origins may be shown.
    pub fn session(&self, access: Vec<Access>) -> Session {
        Session {
            clients: client::Clients::new(Arc::clone(&self.shared.clients), access),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Shared {
    /// Waits for one of a host's turns.
    async fn turn(&self, url: &Url) -> Option<OwnedSemaphorePermit> {
        let origin = Origin::of(url)?;
        let semaphore = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = || Arc::new(Semaphore::new(self.download.parallel.max(1)));
            Arc::clone(turns.entry(origin).or_insert_with(fresh))
        };
        semaphore.acquire_owned().await.ok()
    }

    fn told(&self, task: &str, delta: i64) {
        if delta != 0 {
            self.reporter.event(Event::Bytes { task, delta });
        }
    }
}

/// One repository's downloads.
pub struct Session {
    shared: Arc<Shared>,
    clients: client::Clients,
}

/// Progress that is worth another try at once, in bytes.
const PROGRESS: u64 = 64 << 10;
/// A wait of which somebody in front of the screen is told.
const LONG_WAIT: Duration = Duration::from_secs(10);

impl Session {
    /// Fetches a file into `sink` and hands the sink back, filled only when the outcome is a body.
    pub async fn fetch<S: Sink>(&self, request: &Request, sink: S) -> (Result<Outcome, FetchError>, S) {
        let task = &*request.task;
        self.shared.reporter.event(Event::Item { task, name: &request.name });
        let mut attempt = Attempt::new(self, request, sink);
        let result = self.rounds(request, &mut attempt).await;
        if !matches!(result, Ok(Outcome::Body(_))) {
            self.shared.told(task, -delta(attempt.written()));
        }
        (result, attempt.into_sink())
    }

    async fn rounds<S: Sink>(
        &self,
        request: &Request,
        attempt: &mut Attempt<'_, S>,
    ) -> Result<Outcome, FetchError> {
        let download = &self.shared.download;
        let mut open: Vec<usize> = (0..request.candidates.len()).collect();
        let mut waits = pace::waits(&download.back_off);
        let mut absent = None;
        let mut fault = None;
        let mut repeats = 0;
        loop {
            let mut asked: Option<Duration> = None;
            let mut resting: Vec<Option<Origin>> = Vec::new();
            for index in open.clone() {
                let Some(candidate) = request.candidates.get(index) else { continue };
                let origin = Origin::of(&candidate.url);
                if origin.is_some() && resting.contains(&origin) {
                    continue;
                }
                let failure = loop {
                    let before = attempt.written();
                    match attempt.run(index, candidate).await {
                        Ok(outcome @ Outcome::Absent { .. }) => {
                            absent = Some(outcome);
                            break None;
                        }
                        Ok(outcome) => {
                            Self::learn(request, candidate, true);
                            return Ok(outcome);
                        }
                        // a cut body that moved on is asked for again at once, and where it was cut
                        Err(failure) if attempt.written() >= before + PROGRESS && failure.may_pass() => {
                            repeats = 0;
                            Self::note(&failure.error, "resuming");
                            tokio::time::sleep(download.back_off.first).await;
                        }
                        Err(failure) => break Some(failure),
                    }
                };
                let Some(Failure { error, retry_after }) = failure else {
                    open.retain(|i| *i != index);
                    continue;
                };
                Self::learn(request, candidate, false);
                match error.verdict() {
                    Verdict::Hopeless => return Err(error),
                    Verdict::Elsewhere => open.retain(|i| *i != index),
                    Verdict::Repeat => {
                        resting.push(origin);
                        asked = asked.max(retry_after);
                    }
                }
                fault = Some(error);
            }
            let Some(error) = fault.take() else {
                return absent
                    .ok_or_else(|| FetchError::SetUp { why: format!("`{}` has no address", request.name) });
            };
            if open.is_empty() || repeats >= download.retries {
                return Err(error);
            }
            repeats += 1;
            let wait = waits
                .next()
                .unwrap_or(download.back_off.most)
                .max(asked.unwrap_or_default().min(download.back_off.retry_after));
            let what = format!("repeat {repeats} of {} in {:.1} s", download.retries, wait.as_secs_f32());
            if wait >= LONG_WAIT {
                // somebody may be looking on and wonder
                tracing::warn!("{error}; {what}");
            } else {
                Self::note(&error, &what);
            }
            tokio::time::sleep(wait).await;
            fault = Some(error);
        }
    }

    fn learn(request: &Request, candidate: &Candidate, served: bool) {
        if let Some(mirrors) = &request.mirrors {
            if served { mirrors.served(candidate.mirror) } else { mirrors.failed(candidate.mirror) }
        }
    }

    fn note(error: &FetchError, what: &str) {
        tracing::info!("{error}; {what}");
    }
}

fn delta(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// How long one file has left.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: Duration,
}

impl Budget {
    fn spend(&mut self, since: Instant) {
        self.left = self.left.saturating_sub(since.elapsed());
    }
}

#[cfg(test)]
mod tests;
