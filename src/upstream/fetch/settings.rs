//! How and with what rights files are fetched: plain types that the configuration is mapped onto.

use std::{fmt, path::PathBuf, time::Duration};

use url::{Host, Url};
use zeroize::Zeroizing;

/// Text that is never shown: passwords, tokens, addresses that hold one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the text, to be sent and never to be shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The rules of every download of a run.
#[derive(Clone, Debug)]
pub struct Download {
    /// How many requests one host answers at a time.
    pub parallel: usize,
    /// How often a request is repeated that failed for a reason that may pass.
    pub retries: u32,
    /// The most bytes a second over all downloads; none for no limit.
    pub rate_limit: Option<u64>,
    /// Which proxy is used.
    pub proxy: Proxy,
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// How long a server may stay below 1 KiB of progress.
    pub stall: Duration,
    /// How long one file may take in all, its repetitions included, waiting for its turn not.
    pub deadline: Duration,
    /// What the program calls itself.
    pub user_agent: String,
    /// How long to wait between repetitions.
    pub back_off: BackOff,
}

impl Default for Download {
    fn default() -> Self {
        Self {
            parallel: 8,
            retries: 5,
            rate_limit: None,
            proxy: Proxy::Environment,
            connect: Duration::from_secs(30),
            stall: Duration::from_mins(1),
            deadline: Duration::from_hours(24),
            user_agent: concat!("chantal/", env!("CARGO_PKG_VERSION")).to_owned(),
            back_off: BackOff::default(),
        }
    }
}

/// How long to wait before a request is repeated: it doubles each time, with jitter.
#[derive(Clone, Copy, Debug)]
pub struct BackOff {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// The longest wait that a server's `Retry-After` can ask for.
    pub retry_after: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_mins(1),
            retry_after: Duration::from_mins(5),
        }
    }
}

/// Which proxy is used.
#[derive(Clone, Debug, Default)]
pub enum Proxy {
    /// What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say, as curl reads them.
    #[default]
    Environment,
    /// None at all.
    Direct,
    /// This one (`http://user:password@host:port`, `socks5://…`), but for what `NO_PROXY` excepts.
    Url(Secret),
}

/// Scheme, host and port: what credentials belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    host: Host,
    port: u16,
}

impl Origin {
    /// Returns a URL's origin; none where it has no host (`file:`).
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }
}
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// How a client says who it is.
#[derive(Clone, Debug)]
pub enum Login {
    /// RFC 7617.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// RFC 6750.
    Bearer(Secret),
}

/// TLS that differs from the system's.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// PEM file of the certificates that are trusted *instead* of the system's.
    pub ca: Option<PathBuf>,
    /// PEM file of the client's certificate chain; may hold the key, too.
    pub client_cert: Option<PathBuf>,
    /// PEM file of the client's key.
    pub client_key: Option<PathBuf>,
}

/// What one origin, and no other, is shown.
#[derive(Clone, Debug)]
pub struct Access {
    /// Who is shown it.
    pub origin: Origin,
    /// Name and password, or token.
    pub login: Option<Login>,
    /// Certificates.
    pub tls: Option<Tls>,
}

impl Access {
    /// Takes name and password out of a URL and binds them to its origin; none where there are none.
    pub fn take_from(url: &mut Url) -> Option<Self> {
        if url.username().is_empty() && url.password().is_none() {
            return None;
        }
        let user = decoded(url.username());
        let password = Secret::new(decoded(url.password().unwrap_or_default()));
        strip(url);
        Some(Self { origin: Origin::of(url)?, login: Some(Login::Basic { user, password }), tls: None })
    }
}

/// Removes name and password from a URL.
pub(super) fn strip(url: &mut Url) {
    // both refuse only URLs without a host, which cannot hold what is removed
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let pair = tail.get(..2).filter(|_| byte == b'%').and_then(|p| std::str::from_utf8(p).ok());
        if let Some(value) = pair.and_then(|p| u8::from_str_radix(p, 16).ok()) {
            bytes.push(value);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_url_and_stay_with_its_origin() {
        let mut url = Url::parse("https://me:p%40ss%@repo.example.org/x?y=1").unwrap();
        let access = Access::take_from(&mut url).unwrap();
        assert_eq!(url.as_str(), "https://repo.example.org/x?y=1");
        assert_eq!(access.origin, Origin::of(&url).unwrap());
        assert_ne!(
            access.origin,
            Origin::of(&Url::parse("https://repo.example.org:8443/").unwrap()).unwrap()
        );
        assert_ne!(access.origin, Origin::of(&Url::parse("http://repo.example.org:443/").unwrap()).unwrap());
        let Some(Login::Basic { user, password }) = &access.login else { panic!("no login") };
        assert_eq!((user.as_str(), password.reveal()), ("me", "p@ss%"));
        assert!(!format!("{access:?}").contains("p@ss"), "a secret is shown");
    }
}
