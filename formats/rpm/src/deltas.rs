//! `prestodelta.xml` and SUSE's `deltainfo.xml`: packages as differences from older ones.

use std::io::BufRead;

use chantal_contract::{
    Absent, Checksum, Expect, FormatError, RepoPath, Want,
    limits::{PACKAGES, PAYLOAD_BYTES},
};

use crate::{
    location::{Location, is_delta},
    repomd::{algorithm, digest, number},
    xml::{Node, Xml},
};

/// Reads a list of deltas and hands every delta package to `each`, wanted as a payload.
///
/// A delta that is not there costs a client nothing but the whole package, so that its absence is allowed.
pub(crate) fn read(
    file: &RepoPath,
    input: &mut dyn BufRead,
    each: &mut dyn FnMut(Want) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut xml = Xml::new(file, input);
    let mut count = 0;
    loop {
        xml.forget();
        let depth = xml.depth();
        match xml.next()? {
            Node::Open(element) if depth == 0 && !matches!(element.name(), "prestodelta" | "deltainfo") => {
                return Err(element.malformed("`prestodelta` or `deltainfo`", element.name()));
            }
            Node::Open(element) if depth == 2 && element.name() == "delta" => {
                count += 1;
                if count > PACKAGES {
                    let limit = PACKAGES as u64;
                    return Err(FormatError::Limit {
                        file: file.clone(),
                        what: "the number of deltas",
                        limit,
                    });
                }
                let want = delta(file, &mut xml)?;
                each(want)?;
            }
            Node::End => return Ok(()),
            _ => {}
        }
    }
}

/// Reads a `<delta>` that was just opened, to its end.
fn delta(file: &RepoPath, xml: &mut Xml<'_>) -> Result<Want, FormatError> {
    let mut name = None;
    let mut size = None;
    let mut checksum: Option<Checksum> = None;
    loop {
        match xml.next()? {
            Node::Open(element) => match element.name() {
                "filename" => name = Some(xml.text()?),
                "size" => size = Some(number(xml)?),
                "checksum" => {
                    let algorithm = algorithm(&element)?;
                    checksum = Some(digest(file, xml, algorithm)?);
                }
                _ => xml.skip()?,
            },
            Node::Close => break,
            _ => {}
        }
    }
    let name = name.ok_or_else(|| xml.malformed("a `filename`", "none"))?;
    let location = Location::new(file, name.trim(), None)?;
    // packages are vetted by this name, deltas are not: neither may pass for the other
    if !is_delta(&location.path) {
        return Err(xml.malformed("a file name that ends in `.drpm`", location.path.as_str()));
    }
    let expect = Expect { size, checksums: checksum.into_iter().collect(), limit: PAYLOAD_BYTES };
    Ok(location.payload(expect).absent(Absent::Allowed))
}

#[cfg(test)]
mod tests;
