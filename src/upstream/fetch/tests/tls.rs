//! Certificates: whom a session trusts, and to whom it shows its own.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};

use super::*;

fn pem(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// A server that asks for a client certificate, takes none for an answer, and counts those it is shown.
struct Secure {
    port: u16,
    shown: Arc<AtomicUsize>,
}

impl Secure {
    /// Answers every request with this head and body.
    fn start(answer: &str) -> Self {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pem("ca.pem")).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_file(pem("server.pem")).unwrap()],
                PrivateKeyDer::from_pem_file(pem("server.key")).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shown = Arc::new(AtomicUsize::new(0));
        let (config, answer, count) = (Arc::new(config), answer.to_owned(), Arc::clone(&shown));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = BufReader::new(StreamOwned::new(connection, stream));
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|n| n > 2) {
                    line.clear();
                }
                if stream.get_ref().conn.peer_certificates().is_some() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                let _ = stream.get_mut().write_all(answer.as_bytes());
                stream.get_mut().conn.send_close_notify();
                let _ = stream.get_mut().flush();
            }
        });
        Self { port, shown }
    }

    fn good() -> Self {
        Self::start("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood")
    }

    fn redirect(to: &str) -> Self {
        Self::start(&format!(
            "HTTP/1.1 302 x\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ))
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}/f", self.port)
    }

    fn access(&self, tls: Tls) -> Access {
        let origin = Origin::of(&Url::parse(&self.url()).unwrap()).unwrap();
        Access { origin, login: None, tls: Some(tls) }
    }
}

fn trusting() -> Tls {
    Tls { ca: Some(pem("ca.pem")), ..Tls::default() }
}

fn showing() -> Tls {
    Tls { client_cert: Some(pem("client.pem")), client_key: Some(pem("client.key")), ..trusting() }
}

async fn get(url: &str, access: Vec<Access>) -> (Result<Outcome, FetchError>, Vec<u8>) {
    with(&session(Download { retries: 0, ..quick() }, access), &request(url)).await
}

#[tokio::test]
async fn an_own_authority_is_trusted_by_its_origin_only() {
    let server = Secure::good();
    assert_eq!(get(&server.url(), vec![server.access(trusting())]).await.1, b"good");
    let stranger = Tls { ca: Some(pem("other-ca.pem")), ..Tls::default() };
    let (result, _) = get(&server.url(), vec![server.access(stranger)]).await;
    let error = result.unwrap_err();
    assert!(matches!(&error, FetchError::Connection { why, .. } if why.contains("certificate")), "{error}");
    // what another origin trusts does not help
    let other = Secure::good();
    let (result, _) = get(&server.url(), vec![other.access(trusting())]).await;
    assert!(matches!(result, Err(FetchError::Connection { .. } | FetchError::SetUp { .. })), "{result:?}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_its_origin_only() {
    let inner = Secure::good();
    let outer = Secure::redirect(&inner.url());
    let both = vec![outer.access(showing()), inner.access(trusting())];
    assert_eq!(get(&outer.url(), both).await.1, b"good");
    assert_eq!(outer.shown.load(Ordering::SeqCst), 1);
    assert_eq!(inner.shown.load(Ordering::SeqCst), 0, "the certificate left its origin");
    // one file may hold certificate and key, as entitlements do
    let one = Tls { client_cert: Some(pem("client-both.pem")), ..trusting() };
    assert_eq!(get(&inner.url(), vec![inner.access(one)]).await.1, b"good");
    assert_eq!(inner.shown.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn https_is_never_left_for_http() {
    let (plain, _, _) = one_file();
    let server = Secure::redirect(&format!("{}/f?token=s3cret", plain.url()));
    let (result, _) = get(&server.url(), vec![server.access(trusting())]).await;
    let error = result.unwrap_err();
    assert!(matches!(error, FetchError::Downgrade { .. }), "{error}");
    assert!(!error.to_string().contains("s3cret"));
    assert!(plain.log().is_empty());
}

#[tokio::test]
async fn unusable_certificates_are_named() {
    let server = Secure::good();
    let wrong = [
        Tls { ca: Some(pem("absent.pem")), ..Tls::default() },
        Tls { ca: Some(pem("server.key")), ..Tls::default() },
        Tls { client_cert: Some(pem("client.pem")), ..trusting() },
        Tls { client_cert: Some(pem("client.pem")), client_key: Some(pem("server.key")), ..trusting() },
    ];
    for tls in wrong {
        let shown = format!("{tls:?}");
        let (result, _) = get(&server.url(), vec![server.access(tls)]).await;
        assert!(matches!(result, Err(FetchError::Certificate { .. })), "{shown}: {result:?}");
    }
}
