use std::time::Instant;

use super::*;
use crate::{
    report::Silent,
    upstream::fixtures::server::{Act, Server},
};

mod tls;

/// Settings with which a test of repetitions does not take long.
fn quick() -> Download {
    Download {
        retries: 3,
        proxy: Proxy::Direct,
        stall: Duration::from_millis(400),
        back_off: BackOff {
            first: Duration::from_millis(5),
            most: Duration::from_millis(20),
            retry_after: Duration::from_millis(1500),
        },
        ..Download::default()
    }
}

fn request(url: &str) -> Request {
    Request {
        candidates: vec![Candidate::from(Url::parse(url).unwrap())],
        mirrors: None,
        root: None,
        task: "test".into(),
        name: "file".into(),
        accept: None,
        size: None,
        bound: 1 << 20,
        proven: false,
        validators: None,
    }
}

fn session(download: Download, access: Vec<Access>) -> Session {
    Fetcher::new(download, Arc::new(Silent)).session(access)
}

async fn with(session: &Session, request: &Request) -> (Result<Outcome, FetchError>, Vec<u8>) {
    let (result, sink) = session.fetch(request, Memory::default()).await;
    (result, sink.into_bytes())
}

async fn fetch(request: &Request) -> (Result<Outcome, FetchError>, Vec<u8>) {
    with(&session(quick(), Vec::new()), request).await
}

fn received(result: Result<Outcome, FetchError>) -> Received {
    match result.unwrap() {
        Outcome::Body(received) => *received,
        other => panic!("no body: {other:?}"),
    }
}

fn some_bytes(n: u32) -> Vec<u8> {
    (0..n).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// A server with one file of 400 kB, and a request for it that promises its size and a digest.
fn one_file() -> (Server, Vec<u8>, Request) {
    let (server, bytes) = (Server::empty(), some_bytes(100_000));
    server.put("/f", bytes.clone());
    let request = Request {
        size: Some(400_000),
        bound: 400_000,
        proven: true,
        ..request(&format!("{}/f", server.url()))
    };
    (server, bytes, request)
}

#[tokio::test]
async fn fetches_and_asks_conditionally_afterwards() {
    let (server, bytes, mut request) = one_file();
    server.script("/f", [Act::With("Link".into(), "<?page=2>; rel=\"next\"".into())]);
    request.accept = Some("text/x");
    let (result, body) = fetch(&request).await;
    assert_eq!(body, bytes);
    let first = received(result);
    assert_eq!(first.next.unwrap().as_str(), format!("{}/f?page=2", server.url()));
    request.validators = first.validators;
    let (result, body) = fetch(&request).await;
    assert!(matches!(result.unwrap(), Outcome::NotModified));
    assert!(body.is_empty());
    let log = server.log();
    assert_eq!((log[0].status, log[1].status), (200, 304));
    assert_eq!(log[0].header("accept-encoding"), Some("identity"));
    assert_eq!(log[0].header("accept"), Some("text/x"));
    assert!(log[0].header("user-agent").unwrap().starts_with("chantal/"));
    // a changed file is sent, and validators of another address are not
    server.put("/f", some_bytes(100_000));
    assert_eq!(fetch(&request).await.1.len(), 400_000);
    request.validators.as_mut().unwrap().url.push('x');
    fetch(&request).await.0.unwrap();
    assert!(server.log()[3].header("if-none-match").is_none());
}

#[tokio::test]
async fn resumes_where_a_body_was_cut() {
    let (server, bytes, request) = one_file();
    server.script("/f", [Act::CutAt(150_000), Act::CutAt(150_000), Act::Serve]);
    let (result, body) = fetch(&request).await;
    received(result);
    assert_eq!(body, bytes);
    let log = server.log();
    assert_eq!(log.iter().map(|l| l.status).collect::<Vec<_>>(), [200, 206, 206]);
    assert_eq!(log[1].header("range"), Some("bytes=150000-"));
    assert_eq!(log[2].header("range"), Some("bytes=300000-"));
    assert!(log[1].header("if-range").unwrap().starts_with("\"m"));
}

#[tokio::test]
async fn a_file_that_changed_between_cut_and_resume_is_fetched_anew() {
    let (server, _, mut request) = one_file();
    request.proven = false;
    server.script("/f", [Act::CutAt(150_000), Act::Status(503, Vec::new()), Act::Serve]);
    let other = some_bytes(99_999).into_iter().chain([1, 2, 3, 4]).collect::<Vec<u8>>();
    let session = session(quick(), Vec::new());
    let fetching = with(&session, &request);
    let changing = async {
        while server.log().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.put("/f", other.clone());
    };
    let ((result, body), ()) = tokio::join!(fetching, changing);
    received(result);
    assert_eq!(body, other);
}

#[tokio::test]
async fn without_a_validator_or_a_digest_nothing_is_resumed() {
    let (server, bytes, mut request) = one_file();
    request.proven = false;
    server.script("/f", [Act::CutAt(150_000), Act::Serve]);
    server.put("/g", bytes.clone());
    // a weak tag proves nothing about a part
    assert_eq!(fetch(&request).await.1, bytes);
    assert!(server.log()[1].header("range").is_some());
    server.clear_log();
    request.size = None;
    request.candidates = vec![Url::parse(&format!("{}/g", server.url())).unwrap().into()];
    server.script("/g", [Act::Hangup, Act::NoLength(500_000)]);
    assert_eq!(fetch(&request).await.1, bytes);
    assert!(server.log().iter().all(|l| l.header("range").is_none()));
}

#[tokio::test]
async fn every_wrong_answer_to_a_range_begins_anew() {
    for wrong in [Act::IgnoreRange, Act::WrongRange(7), Act::RefuseRange] {
        let (server, bytes, request) = one_file();
        server.script("/f", [Act::CutAt(150_000), wrong.clone(), Act::Serve]);
        let (result, body) = fetch(&request).await;
        received(result);
        assert_eq!(body, bytes, "{wrong:?}");
        // and the whole is asked for, not a part again
        assert!(server.log().last().unwrap().status == 200, "{wrong:?}");
        assert!(server.log().len() <= 3, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_server_that_always_cuts_ends_in_an_error() {
    let (server, _, request) = one_file();
    server.script("/f", [Act::NoLength(1000)]);
    let (result, _) = fetch(&request).await;
    let error = result.unwrap_err();
    assert!(matches!(error, FetchError::Cut { expected: Some(400_000), .. }), "{error}");
    assert_eq!(server.log().len(), 4, "one request and three repetitions");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn lies_about_the_length_are_noticed() {
    let (server, _, request) = one_file();
    // a length that differs from the index is refused before a byte is read
    server.script("/f", [Act::ClaimLength(500_000)]);
    let (result, body) = fetch(&request).await;
    assert!(
        matches!(result, Err(FetchError::Length { expected: 400_000, found: 500_000, .. })),
        "{result:?}"
    );
    assert!(body.is_empty());
    assert_eq!(server.log().len(), 1, "it is not repeated");
    // where no index says better, a promise that is not kept is a cut
    let unbounded = Request { size: None, bound: 1 << 20, ..request };
    let (result, _) = fetch(&unbounded).await;
    assert!(matches!(result, Err(FetchError::Cut { expected: Some(500_000), .. })), "{result:?}");
}

#[tokio::test]
async fn an_endless_body_is_cut_off_at_its_bound() {
    let server = Server::empty();
    server.script("/f", [Act::Infinite]);
    let request = Request { bound: 100_000, ..request(&format!("{}/f", server.url())) };
    let (result, body) = fetch(&request).await;
    assert!(matches!(result, Err(FetchError::TooLong { bound: 100_000, .. })), "{result:?}");
    assert!(body.len() <= 100_000);
    assert_eq!(server.log().len(), 1);
    // a length beyond the bound is not even begun
    server.put("/g", vec![0; 100_001]);
    let request =
        Request { candidates: vec![Url::parse(&format!("{}/g", server.url())).unwrap().into()], ..request };
    let (result, body) = fetch(&request).await;
    assert!(matches!(result, Err(FetchError::TooLong { .. })));
    assert!(body.is_empty());
    server.put("/g", vec![0; 100_000]);
    assert_eq!(fetch(&request).await.1.len(), 100_000);
}

#[tokio::test]
async fn waits_as_long_as_the_server_asks_and_no_longer_than_the_cap() {
    let (server, bytes, request) = one_file();
    server.script("/f", [Act::busy(503, "1"), Act::busy(429, "86400"), Act::Serve]);
    let begun = Instant::now();
    assert_eq!(fetch(&request).await.1, bytes);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(2500), "Retry-After was not honoured: {took:?}");
    assert!(took < Duration::from_secs(10), "Retry-After was not capped: {took:?}");
}

#[tokio::test]
async fn unavailable_for_ever_ends_after_the_repetitions() {
    let (server, _, request) = one_file();
    server.script("/f", [Act::status(503)]);
    let (result, _) = fetch(&request).await;
    let error = result.unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 503, .. }));
    assert_eq!(
        error.to_string(),
        format!("`{}/f`: expected status 200, found 503 (Service Unavailable)", server.url())
    );
    assert_eq!(server.log().len(), 4);
}

#[tokio::test]
async fn a_dead_server_is_a_connection_error() {
    let (server, _, request) = one_file();
    server.stop();
    let (result, _) = fetch(&request).await;
    let error = result.unwrap_err();
    assert!(matches!(&error, FetchError::Connection { why, .. } if !why.contains("http")), "{error}");
}

#[tokio::test]
async fn stalls_and_drips_end() {
    for act in [Act::StallAt(10_000), Act::Silence, Act::Drip(10, Duration::from_millis(50))] {
        let (server, _, request) = one_file();
        server.script("/f", [act.clone()]);
        let download = Download { retries: 0, ..quick() };
        let begun = Instant::now();
        let (result, _) = with(&session(download, Vec::new()), &request).await;
        assert!(matches!(result, Err(FetchError::Stalled { .. })), "{act:?}: {result:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{act:?}");
    }
}

#[tokio::test]
async fn the_deadline_holds_against_a_stream_that_never_stalls() {
    let (server, _, request) = one_file();
    server.script("/f", [Act::Drip(2000, Duration::from_millis(20))]);
    let download = Download { deadline: Duration::from_millis(500), ..quick() };
    let begun = Instant::now();
    let (result, _) = with(&session(download, Vec::new()), &request).await;
    assert!(matches!(result, Err(FetchError::Deadline { .. })), "{result:?}");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn absent_is_an_answer_and_denied_is_an_error() {
    for status in [403, 404, 410] {
        let (server, _, request) = one_file();
        server.script("/f", [Act::status(status)]);
        let (result, _) = fetch(&request).await;
        assert!(matches!(result.unwrap(), Outcome::Absent { status: Some(s), .. } if s == status));
        assert_eq!(server.log().len(), 1);
    }
    let (server, _, request) = one_file();
    server.script("/f", [Act::status(401)]);
    assert!(matches!(fetch(&request).await.0, Err(FetchError::Denied { status: 401, .. })));
}

#[tokio::test]
async fn redirects_are_followed_within_bounds() {
    let (server, bytes, request) = one_file();
    server.put("/real", bytes.clone());
    server.script("/f", [Act::redirect("a?token=s3cret")]);
    server.script("/a", [Act::redirect("real")]);
    let (result, body) = fetch(&request).await;
    assert_eq!(body, bytes);
    assert_eq!(received(result).url.path(), "/real");
    server.script("/a", [Act::redirect("/f")]);
    let (result, _) = fetch(&request).await;
    let error = result.unwrap_err();
    assert!(matches!(error, FetchError::RedirectLoop { .. }), "{error}");
    assert!(!error.to_string().contains("s3cret"));
    // exactly ten are followed
    for n in 0..12 {
        server.script(&format!("/r{n}"), [Act::redirect(format!("/r{}", n + 1))]);
    }
    server.put("/r10", bytes.clone());
    server.script("/r10", [Act::Serve]);
    let from = |n| Request {
        candidates: vec![Url::parse(&format!("{}/r{n}", server.url())).unwrap().into()],
        ..request.clone()
    };
    assert_eq!(fetch(&from(0)).await.1, bytes);
    server.script("/r10", [Act::redirect("/r11")]);
    server.put("/r11", bytes.clone());
    server.script("/r11", [Act::Serve]);
    assert!(matches!(fetch(&from(0)).await.0, Err(FetchError::RedirectCount { limit: 10, .. })));
    for (to, shown) in [("file:///etc/passwd", "file:"), ("ftp://me:pw@host/x", "ftp:"), ("//[", "")] {
        server.script("/f", [Act::redirect(to)]);
        let error = fetch(&request).await.0.unwrap_err();
        assert!(matches!(error, FetchError::RedirectTarget { .. }), "{to}: {error}");
        assert!(error.to_string().contains(shown) && !error.to_string().contains("pw"), "{error}");
    }
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let (server, bytes, mut request) = one_file();
    let other = Server::empty();
    other.put("/elsewhere", bytes.clone());
    server.script("/f", [Act::redirect(format!("{}/elsewhere", other.url()))]);
    for login in [
        Login::Basic { user: "me".into(), password: Secret::new("pass") },
        Login::Bearer(Secret::new("t0ken")),
    ] {
        let access =
            Access { origin: Origin::of(&request.candidates[0].url).unwrap(), login: Some(login), tls: None };
        assert_eq!(with(&session(quick(), vec![access]), &request).await.1, bytes);
    }
    let sent: Vec<_> =
        server.log().iter().filter_map(|l| l.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, ["Basic bWU6cGFzcw==", "Bearer t0ken"]);
    assert_eq!(other.log().len(), 2);
    assert!(other.log().iter().all(|l| l.header("authorization").is_none()), "credentials left their origin");
    // a name and password that a URL or a redirect carries are not sent either
    request.candidates[0].url.set_username("x").unwrap();
    let port = other.port();
    server.script("/f", [Act::redirect(format!("http://y:z@127.0.0.1:{port}/elsewhere"))]);
    server.clear_log();
    assert_eq!(fetch(&request).await.1, bytes);
    assert!(server.log().iter().chain(&other.log()).all(|l| l.header("authorization").is_none()));
}

#[tokio::test]
async fn a_proxy_is_used_with_its_credentials() {
    let (proxy, bytes, request) = one_file();
    let url = proxy.url().replace("http://", "http://me:p%40ss@");
    let download = Download { proxy: Proxy::Url(Secret::new(url)), ..quick() };
    let far =
        Request { candidates: vec![Url::parse("http://mirror.example.org/f").unwrap().into()], ..request };
    assert_eq!(with(&session(download, Vec::new()), &far).await.1, bytes);
    let log = proxy.log();
    assert_eq!(log[0].target, "http://mirror.example.org/f");
    assert_eq!(log[0].header("proxy-authorization"), Some("Basic bWU6cEBzcw=="));
    let wrong = Download { proxy: Proxy::Url(Secret::new("http://me:s3cret@[")), ..quick() };
    let error = with(&session(wrong, Vec::new()), &far).await.0.unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn the_next_mirror_serves_when_one_fails() {
    let (good, bytes, request) = one_file();
    let (bad, stale) = (Server::empty(), Server::empty());
    bad.script_all(Act::status(500));
    let mirrors = Arc::new(Mirrors::new([&bad, &stale, &good].map(|s| Url::parse(&s.url()).unwrap())));
    let path = "f".parse().unwrap();
    let session = session(quick(), Vec::new());
    for _ in 0..3 {
        let request = Request {
            candidates: mirrors.candidates(&path, &["by-hash/x".parse().unwrap()]),
            mirrors: Some(Arc::clone(&mirrors)),
            ..request.clone()
        };
        let (result, body) = with(&session, &request).await;
        assert_eq!(received(result).url.port(), Some(good.port()));
        assert_eq!(body, bytes);
    }
    assert_eq!(bad.log().len(), 1, "a mirror that failed is asked last from then on");
    assert_eq!(good.log()[0].path, "/by-hash/x");
}

#[tokio::test]
async fn a_host_answers_so_many_requests_at_a_time() {
    let (server, _, request) = one_file();
    server.delay(Duration::from_millis(40));
    let session = session(Download { parallel: 3, ..quick() }, Vec::new());
    let all = futures_util::future::join_all((0..12).map(|_| with(&session, &request))).await;
    assert!(all.iter().all(|(result, _)| result.is_ok()));
    assert_eq!(server.most_busy(), 3);
}

#[tokio::test]
async fn the_rate_limit_is_kept() {
    let (_server, bytes, request) = one_file();
    let begun = Instant::now();
    let session = session(Download { rate_limit: Some(500_000), ..quick() }, Vec::new());
    assert_eq!(with(&session, &request).await.1, bytes);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn an_encoding_that_was_declined_is_refused_where_no_digest_decides() {
    let (server, bytes, mut request) = one_file();
    server.script("/f", [Act::With("Content-Encoding".into(), "gzip".into())]);
    assert_eq!(fetch(&request).await.1, bytes);
    request.proven = false;
    assert!(matches!(fetch(&request).await.0, Err(FetchError::Encoded { .. })));
}

struct Full(u64);
impl Sink for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0 += bytes.len() as u64;
        if self.0 > 100_000 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
    fn written(&self) -> u64 {
        self.0
    }
    fn restart(&mut self) -> io::Result<()> {
        self.0 = 0;
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_is_not_blamed_on_the_server() {
    let (server, _, request) = one_file();
    let (result, _) = session(quick(), Vec::new()).fetch(&request, Full(0)).await;
    assert!(matches!(result, Err(FetchError::Sink { .. })), "{result:?}");
    assert_eq!(server.log().len(), 1);
}

#[tokio::test]
async fn progress_adds_up_to_what_arrived() {
    #[derive(Default)]
    struct Sum(std::sync::atomic::AtomicI64);
    impl Reporter for Sum {
        fn event(&self, event: Event<'_>) {
            if let Event::Bytes { delta, .. } = event {
                self.0.fetch_add(delta, std::sync::atomic::Ordering::SeqCst);
            }
        }
    }
    let sum = Arc::new(Sum::default());
    let session = Fetcher::new(quick(), Arc::clone(&sum) as Arc<dyn Reporter>).session(Vec::new());
    let (server, _, request) = one_file();
    server.script("/f", [Act::CutAt(150_000), Act::RefuseRange, Act::Serve]);
    with(&session, &request).await.0.unwrap();
    assert_eq!(sum.0.load(std::sync::atomic::Ordering::SeqCst), 400_000);
    server.script("/f", [Act::NoLength(1000)]);
    with(&session, &request).await.0.unwrap_err();
    assert_eq!(sum.0.load(std::sync::atomic::Ordering::SeqCst), 400_000, "a failed file leaves nothing");
}
