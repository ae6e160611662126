//! URLs as they may be shown.

use std::fmt;

use url::Url;

/// A URL without name, password, fragment and the values of its query: what logs, errors and events hold.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// Redacts `url`.
    pub fn of(url: &Url) -> Self {
        let mut bare = url.clone();
        super::settings::strip(&mut bare);
        bare.set_fragment(None);
        bare.set_query(None);
        let mut text = bare.to_string();
        for (index, part) in url.query().unwrap_or_default().split('&').enumerate().take(16) {
            if part.is_empty() {
                continue;
            }
            text.push(if index == 0 { '?' } else { '&' });
            match part.split_once('=') {
                Some((name, _)) => {
                    text.push_str(name);
                    text.push_str("=***");
                }
                // a bare word may be a token as well
                None => text.push_str("***"),
            }
        }
        Self(text)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_left() {
        let shown = |text| Shown::of(&Url::parse(text).unwrap()).to_string();
        assert_eq!(
            shown("https://me:pass@mirror.example.org:8443/a/b?token=s3cret&s3cret&x=#s3cret"),
            "https://mirror.example.org:8443/a/b?token=***&***&x=***"
        );
        assert_eq!(shown("file:///srv/mirror/x"), "file:///srv/mirror/x");
    }
}
