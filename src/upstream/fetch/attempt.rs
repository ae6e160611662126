//! One attempt at one candidate: redirects, validators, ranges, and what each status means.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Response, StatusCode, header};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use url::Url;

use super::{
    Budget, Candidate, Outcome, Received, Request, Session, Sink, Validators,
    body::Promise,
    client::causes,
    delta,
    error::{FetchError, Verdict},
    file, pace, settings,
    shown::Shown,
};

/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// A file's attempts, with what they have so far.
pub(super) struct Attempt<'a, S> {
    session: &'a Session,
    request: &'a Request,
    /// None only while a body is read.
    sink: Option<S>,
    budget: Budget,
    part: Part,
}

/// What the sink's bytes are a part of.
#[derive(Default)]
struct Part {
    /// The candidate that they came from.
    candidate: Option<usize>,
    /// What `If-Range` asks with.
    strong: Option<String>,
    /// Whether the server was caught at answering ranges wrongly.
    ranges_fail: bool,
}

/// Why an attempt failed, and how long the server asks to be left alone.
pub(super) struct Failure {
    pub(super) error: FetchError,
    pub(super) retry_after: Option<Duration>,
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self { error, retry_after: None }
    }
}
impl Failure {
    pub(super) fn may_pass(&self) -> bool {
        self.error.verdict() == Verdict::Repeat
    }
}

/// An answer after all redirects, with the host's turn that it occupies.
struct Reply {
    url: Url,
    response: Response,
    /// Whether a part was asked for.
    ranged: bool,
    /// Whether it was asked with validators.
    conditional: bool,
    _turn: Option<OwnedSemaphorePermit>,
}

impl<'a, S: Sink> Attempt<'a, S> {
    pub(super) fn new(session: &'a Session, request: &'a Request, sink: S) -> Self {
        let budget = Budget { left: session.shared.download.deadline };
        Self { session, request, sink: Some(sink), budget, part: Part::default() }
    }

    pub(super) fn written(&self) -> u64 {
        self.sink.as_ref().map_or(0, Sink::written)
    }

    pub(super) fn into_sink(self) -> S {
        match self.sink {
            Some(sink) => sink,
            None => unreachable!("a sink is handed back after every body"),
        }
    }

    fn restart(&mut self, url: &Url) -> Result<(), FetchError> {
        self.session.shared.told(&self.request.task, -delta(self.written()));
        self.part = Part { ranges_fail: self.part.ranges_fail, ..Part::default() };
        match self.sink.as_mut().map(Sink::restart) {
            Some(Err(source)) => Err(FetchError::Sink { url: Shown::of(url), source }),
            _ => Ok(()),
        }
    }

    /// Asks one candidate once; again only where a part was refused and the whole is asked for.
    pub(super) async fn run(&mut self, index: usize, candidate: &Candidate) -> Result<Outcome, Failure> {
        if self.part.candidate.is_some_and(|other| other != index) {
            self.restart(&candidate.url)?;
            self.part.ranges_fail = false;
        }
        if candidate.url.scheme() == "file" {
            return Ok(self.run_file(index, candidate).await?);
        }
        if !self.can_resume() && self.written() > 0 {
            self.restart(&candidate.url)?;
        }
        let reply = self.ask(candidate).await?;
        if reply.ranged && !self.answers_range(&reply) {
            drop(reply);
            self.part.ranges_fail = true;
            self.restart(&candidate.url)?;
            let reply = self.ask(candidate).await?;
            return self.take(index, candidate, reply).await;
        }
        self.take(index, candidate, reply).await
    }

    async fn run_file(&mut self, index: usize, candidate: &Candidate) -> Result<Outcome, FetchError> {
        let (url, root, bound) = (candidate.url.clone(), self.request.root.clone(), self.request.bound);
        let Some(mut sink) = self.sink.take() else { unreachable!("a sink is handed back after every body") };
        let copied = tokio::task::spawn_blocking(move || {
            let result = file::copy(&url, root.as_deref(), bound, &mut sink, &mut |_| {});
            (sink, result)
        });
        let (sink, result) = match copied.await {
            Ok(ended) => ended,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let found = sink.written();
        self.sink = Some(sink);
        if !result? {
            return Ok(Outcome::Absent { url: Shown::of(&candidate.url), status: None });
        }
        if let Some(expected) = self.request.size.filter(|size| *size != found) {
            return Err(FetchError::Length { url: Shown::of(&candidate.url), expected, found });
        }
        self.session.shared.told(&self.request.task, delta(found));
        let url = candidate.url.clone();
        let received = Received { candidate: index, url, validators: None, content_type: None, next: None };
        Ok(Outcome::Body(Box::new(received)))
    }

    fn can_resume(&self) -> bool {
        let has_part = self.part.candidate.is_some() && self.written() > 0;
        has_part && !self.part.ranges_fail && (self.part.strong.is_some() || self.request.proven)
    }

    /// Asks and follows redirects: never to a place it was sent to before, never from https to http.
    async fn ask(&mut self, candidate: &Candidate) -> Result<Reply, Failure> {
        let asked = Shown::of(&candidate.url);
        let mut url = candidate.url.clone();
        settings::strip(&mut url);
        let mut seen = vec![url.clone()];
        loop {
            if !matches!(url.scheme(), "http" | "https") {
                let scheme = url.scheme().to_owned();
                return Err(FetchError::Scheme { url: Shown::of(&url), scheme }.into());
            }
            let reply = self.hop(candidate, &url).await?;
            if !matches!(reply.response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(reply);
            }
            let next = redirect_target(&url, &reply.response)?;
            tracing::debug!("`{}` redirects to `{}`", Shown::of(&url), Shown::of(&next));
            if url.scheme() == "https" && next.scheme() == "http" {
                return Err(FetchError::Downgrade { url: asked, to: Shown::of(&next) }.into());
            }
            if seen.contains(&next) {
                return Err(FetchError::RedirectLoop { url: asked, to: Shown::of(&next) }.into());
            }
            if seen.len() > REDIRECTS {
                return Err(FetchError::RedirectCount { url: asked, limit: REDIRECTS }.into());
            }
            seen.push(next.clone());
            url = next;
        }
    }

    /// Sends one request.
    async fn hop(&mut self, candidate: &Candidate, url: &Url) -> Result<Reply, Failure> {
        let shared = &self.session.shared;
        let mut builder = self.session.clients.get(url, &shared.download)?;
        if let Some(accept) = self.request.accept {
            builder = builder.header(header::ACCEPT, accept);
        }
        let ranged = self.can_resume();
        let mut conditional = false;
        if ranged {
            builder = builder.header(header::RANGE, format!("bytes={}-", self.written()));
            if let Some(strong) = &self.part.strong {
                builder = builder.header(header::IF_RANGE, strong);
            }
        } else if let Some(known) =
            self.request.validators.as_ref().filter(|v| v.url == candidate.url.as_str())
        {
            if let Some(etag) = &known.etag {
                (builder, conditional) = (builder.header(header::IF_NONE_MATCH, etag), true);
            }
            if let Some(date) = &known.last_modified {
                (builder, conditional) = (builder.header(header::IF_MODIFIED_SINCE, date), true);
            }
        }
        let turn = shared.turn(url).await;
        let begun = Instant::now();
        let patience = shared.download.stall.min(self.budget.left);
        let sent = tokio::time::timeout(patience, builder.send()).await;
        self.budget.spend(begun);
        let shown = Shown::of(url);
        let (within, found) = (shared.download.stall, self.written());
        let response = match sent {
            Err(_) if self.budget.left.is_zero() => {
                let within = shared.download.deadline;
                return Err(FetchError::Deadline { url: shown, within, found }.into());
            }
            Err(_) => return Err(FetchError::Stalled { url: shown, within, found }.into()),
            Ok(Err(error)) => {
                return Err(FetchError::Connection { url: shown, why: causes(&error) }.into());
            }
            Ok(Ok(response)) => response,
        };
        tracing::debug!("`{shown}`: status {}", response.status().as_u16());
        Ok(Reply { url: url.clone(), response, ranged, conditional, _turn: turn })
    }

    /// Tells whether an answer to a range can be used: the part that was asked for, or the whole.
    fn answers_range(&self, reply: &Reply) -> bool {
        let response = &reply.response;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = text(response, &header::CONTENT_RANGE).and_then(|r| content_range(&r));
                let same = match (&self.part.strong, strong_validator(response)) {
                    (Some(asked), Some(found)) => *asked == found,
                    _ => true,
                };
                range.is_some_and(|(start, end, total)| {
                    let length = end.checked_sub(start).and_then(|n| n.checked_add(1));
                    start == self.written()
                        && length.is_some()
                        && response.content_length().is_none_or(|n| Some(n) == length)
                        && total.is_none_or(|t| end < t && self.request.size.is_none_or(|size| size == t))
                }) && same
            }
            StatusCode::RANGE_NOT_SATISFIABLE => false,
            _ => true,
        }
    }

    /// Takes an answer for what its status says.
    async fn take(&mut self, index: usize, candidate: &Candidate, reply: Reply) -> Result<Outcome, Failure> {
        let (url, status) = (Shown::of(&reply.url), reply.response.status().as_u16());
        match status {
            200 => {
                if self.written() > 0 {
                    self.restart(&candidate.url)?;
                }
                self.take_body(index, candidate, reply).await
            }
            206 if reply.ranged => self.take_body(index, candidate, reply).await,
            304 if reply.conditional => Ok(Outcome::NotModified),
            403 | 404 | 410 => Ok(Outcome::Absent { url, status: Some(status) }),
            401 | 407 => Err(FetchError::Denied { url, status }.into()),
            _ => {
                let retry_after = text(&reply.response, &header::RETRY_AFTER)
                    .and_then(|value| pace::retry_after(&value, Timestamp::now()));
                Err(Failure { error: FetchError::Status { url, status }, retry_after })
            }
        }
    }

    async fn take_body(
        &mut self,
        index: usize,
        candidate: &Candidate,
        reply: Reply,
    ) -> Result<Outcome, Failure> {
        let Reply { url, response, _turn, .. } = reply;
        let shown = Shown::of(&url);
        let encoding =
            text(&response, &header::CONTENT_ENCODING).filter(|e| !e.eq_ignore_ascii_case("identity"));
        // servers label .gz files so; where a digest decides, the label does not matter
        if let Some(found) = encoding.filter(|_| !self.request.proven) {
            return Err(FetchError::Encoded { url: shown, found }.into());
        }
        let offered = response.content_length().map(|n| n.saturating_add(self.written()));
        if let (Some(found), Some(expected)) = (offered, self.request.size)
            && found != expected
        {
            return Err(FetchError::Length { url: shown, expected, found }.into());
        }
        if offered.is_some_and(|n| n > self.request.bound) {
            return Err(FetchError::TooLong { url: shown, bound: self.request.bound }.into());
        }
        self.part.candidate = Some(index);
        self.part.strong = strong_validator(&response);
        let received = received(index, candidate, url, &response);
        let promise = Promise { url: shown, total: self.request.size.or(offered) };
        let Some(sink) = self.sink.take() else { unreachable!("a sink is handed back after every body") };
        let begun = Instant::now();
        let until = begun + self.budget.left;
        let (sink, result) = self.session.read(self.request, &promise, response, sink, until).await;
        self.sink = Some(sink);
        self.budget.spend(begun);
        result?;
        Ok(Outcome::Body(Box::new(received)))
    }
}

fn redirect_target(url: &Url, response: &Response) -> Result<Url, FetchError> {
    let location = text(response, &header::LOCATION);
    let target = location.as_deref().and_then(|to| url.join(to).ok());
    let Some(mut target) = target.filter(|t| matches!(t.scheme(), "http" | "https")) else {
        // what a server writes may hold a token: only its scheme is shown
        let found = match location {
            None => "nowhere".to_owned(),
            Some(to) => {
                chantal_contract::error::shorten(to.split(['?', '@', '/']).next().unwrap_or_default())
            }
        };
        return Err(FetchError::RedirectTarget { url: Shown::of(url), found });
    };
    settings::strip(&mut target);
    target.set_fragment(None);
    Ok(target)
}

fn received(index: usize, candidate: &Candidate, url: Url, response: &Response) -> Received {
    let (etag, last_modified) = (text(response, &header::ETAG), text(response, &header::LAST_MODIFIED));
    let validators = (etag.is_some() || last_modified.is_some()).then(|| Validators {
        url: candidate.url.as_str().to_owned(),
        etag,
        last_modified,
    });
    let next = response
        .headers()
        .get_all(header::LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(next_page)
        .and_then(|to| url.join(to).ok());
    Received { candidate: index, content_type: text(response, &header::CONTENT_TYPE), validators, next, url }
}

/// Returns a header's text; none when it is absent, no ASCII, or longer than a line.
fn text(response: &Response, name: &header::HeaderName) -> Option<String> {
    let value = response.headers().get(name)?.to_str().ok()?.trim();
    (!value.is_empty() && value.len() <= 1024).then(|| value.to_owned())
}

/// Returns the validator that a part may be asked with (RFC 9110 §13.1.5): a strong entity tag only.
fn strong_validator(response: &Response) -> Option<String> {
    text(response, &header::ETAG).filter(|tag| tag.starts_with('"') && tag.len() > 1 && tag.ends_with('"'))
}

/// Reads `bytes START-END/TOTAL` (RFC 9110 §14.4); the total may be unknown.
fn content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.trim().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.parse().ok()?, end.parse().ok()?, total))
}

/// Returns the target of `rel="next"` in a `Link` header (RFC 8288).
fn next_page(value: &str) -> Option<&str> {
    value.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').filter_map(|p| p.trim().split_once('=')).any(|(name, rel)| {
            name.trim().eq_ignore_ascii_case("rel")
                && rel
                    .trim()
                    .trim_matches('"')
                    .split_ascii_whitespace()
                    .any(|r| r.eq_ignore_ascii_case("next"))
        });
        is_next.then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges_and_links() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 9, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9, None)));
        for bad in ["bytes */10", "5-9/10", "bytes 5-/10", "bytes -9/10", "bytes 5-9", "items 5-9/10"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
        assert_eq!(next_page("<?page=1>; rel=prev, <?page=3>; rel=\"next last\""), Some("?page=3"));
        assert_eq!(next_page("<?page=3>; title=\"next\""), None);
        assert_eq!(next_page("nonsense"), None);
    }
}
