//! Text with `${NAME}` in it: replaced from the environment while it is read, shown as it was written.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use url::Url;

/// Text in which every `${NAME}` was replaced from the environment; `$${` stands for `${`.
///
/// It is serialised and shown as it was written, so that a secret of the environment is never seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    written: String,
    value: String,
}

/// Why some text could not be completed from the environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// The variable is not set.
    #[error("the environment variable `{0}` is not set")]
    Missing(String),
    /// The variable holds bytes that are no UTF-8.
    #[error("the environment variable `{0}` is no text")]
    NotText(String),
    /// `${` is not followed by a name and `}`.
    #[error("`${{` begins no `${{NAME}}`; write `$${{` for the two characters themselves")]
    Form,
}

impl Text {
    /// Replaces what stands in `${…}` by what `look_up` finds.
    pub fn expand(
        written: &str,
        look_up: &dyn Fn(&str) -> Result<String, ExpandError>,
    ) -> Result<Self, ExpandError> {
        let mut value = String::with_capacity(written.len());
        let mut rest = written;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(literal) = before.strip_suffix('$') {
                value.push_str(literal);
                value.push_str("${");
                rest = after;
                continue;
            }
            let (name, tail) = after.split_once('}').ok_or(ExpandError::Form)?;
            let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
            if !first || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(ExpandError::Form);
            }
            value.push_str(before);
            value.push_str(&look_up(name)?);
            rest = tail;
        }
        value.push_str(rest);
        Ok(Self { written: written.to_owned(), value })
    }

    /// Takes text that holds no reference to the environment.
    pub fn literal(text: impl Into<String>) -> Self {
        let value = text.into();
        Self { written: value.replace("${", "$${"), value }
    }

    /// Returns the completed text.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Returns the text as it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Tells whether something came from the environment.
    pub fn is_expanded(&self) -> bool {
        self.written != self.value
    }
}

fn environment(name: &str) -> Result<String, ExpandError> {
    match std::env::var(name) {
        Ok(value) => Ok(value),
        Err(std::env::VarError::NotPresent) => Err(ExpandError::Missing(name.into())),
        Err(std::env::VarError::NotUnicode(_)) => Err(ExpandError::NotText(name.into())),
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.written, f)
    }
}
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.written)
    }
}
impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = String::deserialize(from)?;
        Self::expand(&written, &environment).map_err(D::Error::custom)
    }
}
impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// The path of a file or directory; relative to the directory of the file that it stands in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Text", into = "Text")]
#[schemars(with = "Text", inline)]
pub struct FilePath {
    text: Text,
    base: Option<PathBuf>,
}

impl FilePath {
    /// Takes a path as it is.
    pub fn literal(path: impl Into<String>) -> Self {
        Text::literal(path).into()
    }

    /// Says which directory a relative path begins at; the first word counts.
    pub fn rebase(&mut self, directory: &Path) {
        self.base.get_or_insert_with(|| directory.to_owned());
    }

    /// Returns the path to be opened.
    pub fn resolve(&self) -> PathBuf {
        let path = Path::new(self.text.value());
        self.base.as_ref().map_or_else(|| path.to_owned(), |base| base.join(path))
    }

    /// Returns the path as it was written.
    pub fn written(&self) -> &str {
        self.text.written()
    }
}
impl From<Text> for FilePath {
    fn from(text: Text) -> Self {
        Self { text, base: None }
    }
}
impl From<FilePath> for Text {
    fn from(path: FilePath) -> Self {
        path.text
    }
}
impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// An `http:`, `https:` or `file:` URL. A password in it must come from the environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    text: Text,
    url: Url,
}

/// Why some text is no address that packages can be fetched from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// It is no URL.
    #[error("`{written}` is no URL: {why}")]
    Form {
        /// As it was written.
        written: String,
        /// The parser's word.
        why: url::ParseError,
    },
    /// Its scheme is not spoken.
    #[error("`{written}`: the scheme must be `http`, `https` or `file`")]
    Scheme {
        /// As it was written.
        written: String,
    },
    /// It holds a password in plain text.
    #[error(
        "a password must not stand in the configuration; use `auth:` or take the URL from the environment"
    )]
    Password,
}

impl TryFrom<Text> for Location {
    type Error = LocationError;
    fn try_from(text: Text) -> Result<Self, LocationError> {
        let written = || text.written().to_owned();
        let url = Url::parse(text.value()).map_err(|why| LocationError::Form { written: written(), why })?;
        if !["http", "https", "file"].contains(&url.scheme()) {
            return Err(LocationError::Scheme { written: written() });
        }
        if url.password().is_some() && Url::parse(text.written()).is_ok_and(|u| holds_literal_password(&u)) {
            return Err(LocationError::Password);
        }
        Ok(Self { text, url })
    }
}

/// `${NAME}` inside a URL parses as percent-encoded text; a password made of nothing else is no literal one.
fn holds_literal_password(url: &Url) -> bool {
    url.password().is_some_and(|p| !p.starts_with("$%7B"))
}

impl Location {
    /// Returns the URL; it may hold credentials and is not to be shown.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the URL as it was written.
    pub fn written(&self) -> &str {
        self.text.written()
    }
}
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
impl Serialize for Location {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(to)
    }
}
impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(Text::deserialize(from)?).map_err(D::Error::custom)
    }
}
impl JsonSchema for Location {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Location".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(written: &str) -> Result<Text, ExpandError> {
        Text::expand(written, &|name| match name {
            "HOST" => Ok("mirror.example.org".into()),
            "EMPTY" => Ok(String::new()),
            "NESTED" => Ok("${HOST}".into()),
            _ => Err(ExpandError::Missing(name.into())),
        })
    }

    #[test]
    fn replaces_names_once_and_keeps_what_was_written() {
        for (written, value) in [
            ("", ""),
            ("plain $HOME", "plain $HOME"),
            ("https://${HOST}/debian", "https://mirror.example.org/debian"),
            ("${HOST}${EMPTY}${HOST}", "mirror.example.orgmirror.example.org"),
            ("$${HOST}", "${HOST}"),
            ("${NESTED}", "${HOST}"),
        ] {
            let text = expand(written).unwrap();
            assert_eq!(text.value(), value);
            assert_eq!(text.written(), written);
        }
        assert_eq!(expand("a${NONE}"), Err(ExpandError::Missing("NONE".into())));
        for bad in ["${", "${}", "${HOST", "${A-B}", "${1A}"] {
            assert_eq!(expand(bad), Err(ExpandError::Form), "{bad}");
        }
    }

    #[test]
    fn an_address_keeps_secrets_to_itself() {
        let text = Text::expand("${URL}", &|_| Ok("https://me:hunter2@repo.example.org/".into())).unwrap();
        let address = Location::try_from(text).unwrap();
        assert_eq!(address.url().password(), Some("hunter2"));
        assert_eq!(serde_json::to_string(&address).unwrap(), "\"${URL}\"");
        assert!(!format!("{address:?}").contains("hunter2"));

        let partly = Text::expand("https://me:${PW}@repo.example.org/", &|_| Ok("x".into())).unwrap();
        assert!(Location::try_from(partly).is_ok());
        let literal = Location::try_from(Text::literal("https://me:hunter2@repo.example.org/"));
        assert_eq!(literal, Err(LocationError::Password));

        let broken = Text::expand("${URL}", &|_| Ok("hunter2 is no url".into())).unwrap();
        assert!(!Location::try_from(broken).unwrap_err().to_string().contains("hunter2"));
        assert!(matches!(
            Location::try_from(Text::literal("ftp://repo.example.org/")),
            Err(LocationError::Scheme { .. })
        ));
    }
}
