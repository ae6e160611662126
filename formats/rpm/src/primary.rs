//! `primary.xml`: the packages.

use std::io::BufRead;

use chantal_contract::{
    Checksum, Expect, FormatError, RepoPath,
    limits::{KEY_FIELD_BYTES, PACKAGES, PAYLOAD_BYTES, RECORD_BYTES, SUMMARY_BYTES},
};

use crate::{
    location::{Location, is_package},
    repomd::{algorithm, digest, place},
    xml::{Node, Xml},
};

/// One package as `primary.xml` lists it.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Its name.
    pub name: String,
    /// `epoch:version-release`, the epoch always written.
    pub version: String,
    /// Its architecture; `src` and `nosrc` for sources.
    pub arch: String,
    /// One line for people.
    pub summary: String,
    /// What its file must be.
    pub expect: Expect,
    /// Where its file is.
    pub location: Location,
}

/// Takes a package and its element, byte for byte.
pub(crate) type Each<'e> = &'e mut dyn FnMut(Listed, &[u8]) -> Result<(), FormatError>;

/// What was gathered of a `<package>` so far.
#[derive(Default)]
struct Draft {
    name: Option<String>,
    version: Option<String>,
    arch: Option<String>,
    summary: String,
    checksum: Option<Checksum>,
    size: Option<u64>,
    location: Option<Location>,
}

/// Reads `primary.xml` and hands every package with its element, byte for byte, to `each`.
pub(crate) fn read(file: &RepoPath, input: &mut dyn BufRead, each: Each<'_>) -> Result<(), FormatError> {
    let mut xml = Xml::new(file, input);
    let mut count = 0;
    loop {
        xml.forget();
        let depth = xml.depth();
        match xml.next()? {
            Node::Open(element) if depth == 0 && element.name() != "metadata" => {
                return Err(element.malformed("`metadata`", element.name()));
            }
            Node::Open(element) if depth == 1 => {
                // SUSE once listed patches and patterns beside packages
                let is_package = element.name() == "package"
                    && element.attribute("type")?.is_none_or(|kind| kind == "rpm");
                if !is_package {
                    xml.skip()?;
                    continue;
                }
                count += 1;
                if count > PACKAGES {
                    let limit = PACKAGES as u64;
                    return Err(FormatError::Limit {
                        file: file.clone(),
                        what: "the number of packages",
                        limit,
                    });
                }
                let listed = package(file, &mut xml)?;
                if xml.seen().len() > RECORD_BYTES {
                    let limit = RECORD_BYTES as u64;
                    return Err(FormatError::Limit { file: file.clone(), what: "a record's size", limit });
                }
                each(listed, xml.seen())?;
            }
            Node::End => return Ok(()),
            _ => {}
        }
    }
}

/// Reads a `<package>` that was just opened, to its end.
fn package(file: &RepoPath, xml: &mut Xml<'_>) -> Result<Listed, FormatError> {
    let mut draft = Draft::default();
    loop {
        match xml.next()? {
            Node::Open(element) => match element.name() {
                "name" => draft.name = Some(xml.text()?),
                "arch" => draft.arch = Some(xml.text()?),
                "summary" => draft.summary = xml.text()?,
                "version" => {
                    let epoch = element.attribute("epoch")?.filter(|e| !e.is_empty());
                    let (version, release) = (element.required("ver")?, element.required("rel")?);
                    let epoch = epoch.as_deref().unwrap_or("0");
                    if !epoch.bytes().all(|b| b.is_ascii_digit()) {
                        return Err(element.malformed("an epoch in digits", epoch));
                    }
                    draft.version = Some(format!("{epoch}:{version}-{release}"));
                    xml.skip()?;
                }
                "checksum" => {
                    let algorithm = algorithm(&element)?;
                    draft.checksum = Some(digest(file, xml, algorithm)?);
                }
                "size" => {
                    let size = element.required("package")?;
                    let size = size.parse().map_err(|_| element.malformed("a size in bytes", &size))?;
                    draft.size = Some(size);
                    xml.skip()?;
                }
                "location" => {
                    draft.location = Some(place(file, &element)?);
                    xml.skip()?;
                }
                _ => xml.skip()?,
            },
            Node::Close => return draft.finish(file, xml),
            _ => {}
        }
    }
}

impl Draft {
    /// Checks that nothing is missing and nothing could harm those who print or publish it.
    fn finish(self, file: &RepoPath, xml: &Xml<'_>) -> Result<Listed, FormatError> {
        let name = self.name.unwrap_or_default();
        let missing = |what: &str| xml.malformed(what, &format!("none in package {name}"));
        let version = self.version.ok_or_else(|| missing("a version"))?;
        let arch = self.arch.ok_or_else(|| missing("an architecture"))?;
        let checksum = self.checksum.ok_or_else(|| missing("a checksum"))?;
        let location = self.location.ok_or_else(|| missing("a location"))?;
        for (field, what) in
            [(&name, "a package's name"), (&version, "a version"), (&arch, "an architecture")]
        {
            check_field(file, field, what, || xml.place())?;
        }
        // a package is told from other files by its name: what has no `.rpm` would escape the vetting of signatures
        if !is_package(&location.path) {
            return Err(xml.malformed("a location that ends in `.rpm`", location.path.as_str()));
        }
        if self.size.is_some_and(|s| s > PAYLOAD_BYTES) {
            let limit = PAYLOAD_BYTES;
            return Err(FormatError::Limit { file: file.clone(), what: "a package's listed size", limit });
        }
        let expect = Expect { size: self.size, checksums: vec![checksum], limit: PAYLOAD_BYTES };
        let summary = one_line(&self.summary);
        Ok(Listed { name, version, arch, summary, expect, location })
    }
}

/// Checks a part of a package's identity: what is printed, compared and made part of names holds no blank, slash or control
/// character.
pub(crate) fn check_field(
    file: &RepoPath,
    field: &str,
    what: &'static str,
    place: impl Fn() -> String,
) -> Result<(), FormatError> {
    if field.len() > KEY_FIELD_BYTES {
        return Err(FormatError::Limit { file: file.clone(), what, limit: KEY_FIELD_BYTES as u64 });
    }
    if field.is_empty() || field.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/') {
        let expected = format!("{what} without blanks, slashes and control characters");
        return Err(FormatError::malformed(file, place(), expected, field));
    }
    Ok(())
}

/// Returns the first line of a text without control characters, cut at [`SUMMARY_BYTES`].
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String =
        text.trim().lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    line.truncate(line.floor_char_boundary(SUMMARY_BYTES));
    line
}

#[cfg(test)]
mod tests;
