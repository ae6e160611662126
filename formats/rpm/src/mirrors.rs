//! Mirror lists and metalinks: where else a repository is to be had, and which `repomd.xml` it must have.

use chantal_contract::{
    Checksum, Expect, FormatError, RepoPath,
    limits::{ANCHOR_BYTES, MIRRORS},
};
use url::Url;

use crate::{
    repomd::{algorithm, digest, number},
    xml::{Node, Xml},
};

/// What a metalink's addresses end in.
const REPOMD: &str = "repodata/repomd.xml";

/// What a metalink says of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metalink {
    /// Base addresses of mirrors over http and https, the preferred ones first.
    pub urls: Vec<Url>,
    /// What `repomd.xml` may be: the current one first, then those that slower mirrors may still have.
    ///
    /// Only what a SHA-2 digest proves is listed; a `repomd.xml` that meets none of these is refused.
    pub accepted: Vec<Expect>,
}

/// Reads a mirror list: one base address a line; what begins with `#`, and what is no http or https address, is passed over.
pub fn parse_mirrorlist(bytes: &[u8]) -> Vec<Url> {
    let mut urls = Vec::new();
    for line in String::from_utf8_lossy(bytes).lines().map(str::trim).filter(|l| !l.starts_with('#')) {
        if let Some(url) = base(line)
            && !urls.contains(&url)
        {
            urls.push(url);
        }
        if urls.len() >= MIRRORS {
            break;
        }
    }
    urls
}

/// Reads a metalink, version 3.0 as MirrorManager writes it: `<file name="repomd.xml">` with its `mm0:alternates`.
///
/// One without any address, or without a digest that proves anything, is an error: it is configured for the sake of both.
pub fn parse_metalink(bytes: &[u8]) -> Result<Metalink, FormatError> {
    let file = RepoPath::new("metalink.xml")
        .map_err(|e| FormatError::Option { option: "metalink".into(), why: e.to_string() })?;
    let mut input = bytes;
    let mut xml = Xml::new(&file, &mut input);
    let mut reading = Reading::default();
    loop {
        xml.forget();
        let depth = xml.depth();
        match xml.next()? {
            Node::Open(element) if depth == 0 && element.name() != "metalink" => {
                return Err(element.malformed("`metalink`", element.name()));
            }
            Node::Open(element) => match element.name() {
                "metalink" | "files" | "verification" | "resources" | "alternates" => {}
                "file" if element.attribute("name")?.as_deref() == Some("repomd.xml") => {}
                "alternate" => reading.promise_ends(),
                "size" => reading.size = Some(number(&mut xml)?),
                "hash" => match algorithm(&element) {
                    Ok(algorithm) => reading.checksums.push(digest(&file, &mut xml, algorithm)?),
                    Err(_) => xml.skip()?,
                },
                "url" => {
                    let preference = element.attribute("preference")?.and_then(|p| p.trim().parse().ok());
                    let text = xml.text()?;
                    if let Some(url) = text.trim().strip_suffix(REPOMD).and_then(base)
                        && reading.urls.len() < MIRRORS
                    {
                        reading.urls.push((preference.unwrap_or(0), url));
                    }
                }
                _ => xml.skip()?,
            },
            Node::End => break,
            _ => {}
        }
    }
    reading.promise_ends();
    let missing = |what: &str| FormatError::malformed(&file, "its `repomd.xml`", what, "none");
    if reading.accepted.is_empty() {
        return Err(missing("a SHA-2 digest"));
    }
    reading.urls.sort_by_key(|(preference, _)| std::cmp::Reverse(*preference));
    let mut urls: Vec<Url> = Vec::new();
    for (_, url) in reading.urls {
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    if urls.is_empty() {
        return Err(missing("an http or https address"));
    }
    Ok(Metalink { urls, accepted: reading.accepted })
}

/// What was gathered of a metalink so far.
#[derive(Default)]
struct Reading {
    size: Option<u64>,
    checksums: Vec<Checksum>,
    accepted: Vec<Expect>,
    urls: Vec<(u32, Url)>,
}

impl Reading {
    /// Takes the size and digests since the last one as a promise of its own.
    fn promise_ends(&mut self) {
        let expect = Expect {
            size: self.size.take(),
            checksums: std::mem::take(&mut self.checksums),
            limit: ANCHOR_BYTES,
        };
        if expect.is_proof() && self.accepted.len() < MIRRORS {
            self.accepted.push(expect);
        }
    }
}

/// Takes an http or https address as that of a directory.
fn base(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Some(url)
}

#[cfg(test)]
mod tests;
