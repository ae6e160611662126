//! `repomd.xml`: what a repository's metadata consists of.

use std::io::BufRead;

use chantal_contract::{
    Algorithm, Checksum, Expect, FormatError, RepoPath,
    limits::{INDEX_BYTES, INDEX_OPEN_BYTES, LISTED_INDEXES},
};
use jiff::Timestamp;

use crate::{
    location::Location,
    xml::{Element, Node, Xml},
};

/// What `repomd.xml` says.
#[derive(Debug, Default)]
pub(crate) struct Repomd {
    /// A number that grows, or whatever its maker chose to write.
    pub revision: String,
    /// The files that it lists, in its order.
    pub data: Vec<Data>,
}

/// One `<data>` of `repomd.xml`.
#[derive(Debug)]
pub(crate) struct Data {
    /// What it is: `primary`, `filelists`, `group_gz`, anything.
    pub kind: String,
    /// Where it is.
    pub location: Location,
    /// What is promised of its bytes as transferred.
    pub expect: Expect,
    /// What is promised of its bytes decompressed.
    pub open: Expect,
    /// When it was made, in seconds since 1970.
    pub timestamp: Option<i64>,
}

impl Repomd {
    /// Returns when the newest of its files was made; failing that, its revision, if that is a time.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        let newest = self.data.iter().filter_map(|d| d.timestamp).max();
        // revisions that are times have been larger than 2001's for as long as there is createrepo
        let revision = || self.revision.trim().parse::<i64>().ok().filter(|n| *n >= 1_000_000_000);
        newest.filter(|n| *n > 0).or_else(revision).and_then(|n| Timestamp::from_second(n).ok())
    }
}

/// Reads `repomd.xml`.
pub(crate) fn read(file: &RepoPath, input: &mut dyn BufRead) -> Result<Repomd, FormatError> {
    let mut xml = Xml::new(file, input);
    let mut repomd = Repomd::default();
    loop {
        xml.forget();
        let depth = xml.depth();
        match xml.next()? {
            Node::Open(element) if depth == 0 && element.name() != "repomd" => {
                return Err(element.malformed("`repomd`", element.name()));
            }
            Node::Open(element) if depth == 1 => match element.name() {
                "revision" => repomd.revision = xml.text()?,
                "data" => {
                    let kind = element.required("type")?;
                    if repomd.data.len() >= LISTED_INDEXES {
                        let limit = LISTED_INDEXES as u64;
                        return Err(FormatError::Limit {
                            file: file.clone(),
                            what: "the number of files",
                            limit,
                        });
                    }
                    repomd.data.push(data(file, &mut xml, kind)?);
                }
                _ => xml.skip()?,
            },
            Node::End => return Ok(repomd),
            _ => {}
        }
    }
}

/// Reads a `<data>` that was just opened, to its end.
fn data(file: &RepoPath, xml: &mut Xml<'_>, kind: String) -> Result<Data, FormatError> {
    let (mut location, mut checksum, mut open_checksum) = (None, None, None);
    let (mut size, mut open_size, mut timestamp) = (None, None, None);
    loop {
        match xml.next()? {
            Node::Open(element) => match element.name() {
                "location" => {
                    location = Some(place(file, &element)?);
                    xml.skip()?;
                }
                "checksum" => {
                    let algorithm = algorithm(&element)?;
                    checksum = Some(digest(file, xml, algorithm)?);
                }
                "open-checksum" => {
                    let algorithm = algorithm(&element)?;
                    open_checksum = Some(digest(file, xml, algorithm)?);
                }
                "size" => size = Some(number(xml)?),
                "open-size" => open_size = Some(number(xml)?),
                // createrepo of yum's days wrote fractions
                "timestamp" => timestamp = xml.text()?.trim().split('.').next().and_then(|t| t.parse().ok()),
                _ => xml.skip()?,
            },
            Node::Close => break,
            _ => {}
        }
    }
    let location = location.ok_or_else(|| xml.malformed("a location", &format!("none for `{kind}`")))?;
    for (size, limit) in [(size, INDEX_BYTES), (open_size, INDEX_OPEN_BYTES)] {
        if size.is_some_and(|s| s > limit) {
            return Err(FormatError::Limit { file: location.path, what: "an index's listed size", limit });
        }
    }
    let expect = Expect { size, checksums: checksum.into_iter().collect(), limit: INDEX_BYTES };
    let open =
        Expect { size: open_size, checksums: open_checksum.into_iter().collect(), limit: INDEX_OPEN_BYTES };
    Ok(Data { kind, location, expect, open, timestamp })
}

/// Reads a `<location>`.
pub(crate) fn place(file: &RepoPath, element: &Element<'_>) -> Result<Location, FormatError> {
    Location::new(file, &element.required("href")?, element.attribute("xml:base")?.as_deref())
}

/// Reads the `type` of a checksum; `sha` is SHA-1.
pub(crate) fn algorithm(element: &Element<'_>) -> Result<Algorithm, FormatError> {
    let name = element.required("type")?;
    Algorithm::named(&name).ok_or_else(|| element.malformed("a known checksum type", &name))
}

/// Reads the text of a checksum that was just opened.
pub(crate) fn digest(
    file: &RepoPath,
    xml: &mut Xml<'_>,
    algorithm: Algorithm,
) -> Result<Checksum, FormatError> {
    let text = xml.text()?;
    Checksum::from_hex(algorithm, text.trim())
        .map_err(|source| FormatError::Digest { file: file.clone(), source })
}

/// Reads the text of an element that was just opened as a whole number.
pub(crate) fn number(xml: &mut Xml<'_>) -> Result<u64, FormatError> {
    let text = xml.text()?;
    text.trim().parse().map_err(|_| xml.malformed("a whole number", &text))
}

#[cfg(test)]
mod tests;
