//! HTTP clients, one for each set of certificates, and the rights that each origin is shown.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use reqwest::{Client, NoProxy, header};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::{
    error::FetchError,
    settings::{Access, Download, Login, Origin, Proxy, Tls},
};

/// The clients that every repository shares: they hold no certificate and no secret of any origin.
#[derive(Default)]
pub(super) struct Common {
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

/// The clients of one repository.
///
/// A client with a certificate or a CA of its own is used for its origin only, so that neither can reach another.
pub(super) struct Clients {
    common: Arc<Common>,
    own: Vec<(Access, OnceLock<Client>)>,
}

impl Clients {
    pub(super) fn new(common: Arc<Common>, access: Vec<Access>) -> Self {
        Self { common, own: access.into_iter().map(|a| (a, OnceLock::new())).collect() }
    }

    /// Begins a GET with what this URL's origin, and no other, is shown.
    pub(super) fn get(&self, url: &Url, download: &Download) -> Result<reqwest::RequestBuilder, FetchError> {
        let origin = Origin::of(url);
        let of_origin = |(access, _): &&(Access, _)| Some(&access.origin) == origin.as_ref();
        let own_tls = self.own.iter().filter(of_origin).find_map(|(a, c)| Some((a.tls.as_ref()?, c)));
        let client = match own_tls {
            Some((tls, slot)) if url.scheme() == "https" => made(slot, || build(download, config_of(tls)?))?,
            _ if url.scheme() == "https" || proxy_is_https(&download.proxy) => {
                made(&self.common.secure, || build(download, config_of(&Tls::default())?))?
            }
            // trusts nobody: needs no certificates on this machine, and can speak https to nobody
            _ => made(&self.common.plain, || {
                let config = config_builder()?.with_root_certificates(RootCertStore::empty());
                build(download, config.with_no_client_auth())
            })?,
        };
        let request = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        let login = self.own.iter().filter(of_origin).find_map(|(access, _)| access.login.as_ref());
        Ok(match login {
            Some(Login::Basic { user, password }) => request.basic_auth(user, Some(password.reveal())),
            Some(Login::Bearer(token)) => request.bearer_auth(token.reveal()),
            None => request,
        })
    }
}

fn made(
    slot: &OnceLock<Client>,
    make: impl FnOnce() -> Result<Client, FetchError>,
) -> Result<&Client, FetchError> {
    if let Some(client) = slot.get() {
        return Ok(client);
    }
    let client = make()?;
    Ok(slot.get_or_init(|| client))
}

fn proxy_is_https(proxy: &Proxy) -> bool {
    let is_https = |text: &str| text.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("https:"));
    match proxy {
        Proxy::Direct => false,
        Proxy::Url(url) => is_https(url.reveal()),
        Proxy::Environment => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
            .iter()
            .any(|name| std::env::var(name).is_ok_and(|value| is_https(&value))),
    }
}

fn set_up(why: impl ToString) -> FetchError {
    FetchError::SetUp { why: why.to_string() }
}

fn builder(download: &Download) -> Result<reqwest::ClientBuilder, FetchError> {
    let builder = Client::builder()
        .user_agent(&download.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(download.connect)
        .pool_max_idle_per_host(download.parallel);
    Ok(match &download.proxy {
        Proxy::Environment => builder,
        Proxy::Direct => builder.no_proxy(),
        Proxy::Url(url) => {
            // the message of a wrong address would hold the address, and with it a password
            let proxy = reqwest::Proxy::all(url.reveal())
                .map_err(|_| set_up("`download.proxy` is no address of a proxy"))?;
            builder.proxy(proxy.no_proxy(NoProxy::from_env()))
        }
    })
}

fn build(download: &Download, config: ClientConfig) -> Result<Client, FetchError> {
    builder(download)?.tls_backend_preconfigured(config).build().map_err(|e| set_up(causes(&e)))
}

fn config_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, FetchError> {
    ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(set_up)
}

fn config_of(tls: &Tls) -> Result<ClientConfig, FetchError> {
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let certificates = |path: &Path| -> Result<Vec<CertificateDer<'static>>, FetchError> {
        let found = CertificateDer::pem_slice_iter(&read(path)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| certificate(path, e))?;
        if found.is_empty() { Err(certificate(path, "holds no PEM certificate")) } else { Ok(found) }
    };
    let builder = config_builder()?;
    let builder = if let Some(ca) = &tls.ca {
        let mut roots = RootCertStore::empty();
        for found in certificates(ca)? {
            roots.add(found).map_err(|e| certificate(ca, e))?;
        }
        builder.with_root_certificates(roots)
    } else {
        let verifier =
            rustls_platform_verifier::Verifier::new(rustls::crypto::ring::default_provider().into())
                .map_err(set_up)?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    };
    let Some(cert) = &tls.client_cert else { return Ok(builder.with_no_client_auth()) };
    let key_file = tls.client_key.as_ref().unwrap_or(cert);
    let key = PrivateKeyDer::from_pem_slice(&read(key_file)?)
        .map_err(|_| certificate(key_file, "holds no unencrypted PEM key"))?;
    builder.with_client_auth_cert(certificates(cert)?, key).map_err(|e| certificate(cert, e))
}

fn read(path: &Path) -> Result<Vec<u8>, FetchError> {
    std::fs::read(path).map_err(|e| certificate(path, e))
}

fn certificate(path: &Path, why: impl ToString) -> FetchError {
    FetchError::Certificate { path: PathBuf::from(path), why: why.to_string() }
}

/// Writes an error with its causes, without the URL that it would name.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !parts.iter().any(|p| p.contains(&text)) {
            parts.push(text);
        }
        cause = inner.source();
    }
    match parts.last() {
        // the last cause is the system's own word, the ones before name layers of the client
        Some(last) => last.clone(),
        None if error.is_timeout() => "timed out".to_owned(),
        None => "the request failed".to_owned(),
    }
}
