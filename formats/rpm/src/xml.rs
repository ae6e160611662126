//! A reader of the XML that repositories write, with bounds on everything: depth, attributes, and bytes per record.
//!
//! Of XML 1.0 it takes what `createrepo_c` and its kin write and no more: a document type declaration is refused, and with
//! it every entity but the five predefined ones and character references.

use std::{
    borrow::Cow,
    io::{self, BufRead, Read},
};

use chantal_contract::{
    FormatError, RepoPath,
    limits::{RECORD_BYTES, XML_ATTRIBUTES, XML_DEPTH},
};
use quick_xml::{
    Error, Reader, XmlVersion,
    escape::{EscapeError, resolve_predefined_entity},
    events::{BytesStart, Event},
};

/// The fewest bytes that an attribute takes: ` a=""`.
const ATTRIBUTE_BYTES: usize = 5;

/// A source that yields at most a budget between two refills, so that no single text or tag grows without bound.
struct Metered<'a> {
    inner: &'a mut dyn BufRead,
    budget: usize,
}

/// Marks the error of a budget that ran out, among other I/O errors.
#[derive(Debug, thiserror::Error)]
#[error("a record passes the limit of {RECORD_BYTES} bytes")]
struct Exhausted;

impl Read for Metered<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), available.get(..n)) {
            to.copy_from_slice(from);
        }
        self.consume(n);
        Ok(n)
    }
}
impl BufRead for Metered<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let available = self.inner.fill_buf()?;
        if self.budget == 0 && !available.is_empty() {
            return Err(io::Error::other(Exhausted));
        }
        Ok(available.get(..self.budget).unwrap_or(available))
    }
    fn consume(&mut self, amount: usize) {
        self.budget = self.budget.saturating_sub(amount);
        self.inner.consume(amount);
    }
}

/// One step through a document.
pub(crate) enum Node<'b> {
    /// An element begins. An empty one begins and ends.
    Open(Element<'b>),
    /// Text, a part of it: references and CDATA sections come as parts of their own.
    Text(Cow<'b, str>),
    /// The innermost element ends.
    Close,
    /// A comment, a declaration, a processing instruction: nothing to look at.
    Other,
    /// The document is over, and every element was closed.
    End,
}

/// A document being read.
pub(crate) struct Xml<'a> {
    reader: Reader<Metered<'a>>,
    /// Everything since the last [`Xml::forget`], byte for byte.
    seen: Vec<u8>,
    depth: usize,
    rooted: bool,
    file: &'a RepoPath,
}

impl<'a> Xml<'a> {
    /// Begins to read `input`, which faults are said to be of `file`.
    pub(crate) fn new(file: &'a RepoPath, input: &'a mut dyn BufRead) -> Self {
        let mut reader = Reader::from_reader(Metered { inner: input, budget: RECORD_BYTES });
        reader.config_mut().expand_empty_elements = true;
        Self { reader, seen: Vec::new(), depth: 0, rooted: false, file }
    }

    /// Returns how many elements are open: 1 inside the root.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Drops what was seen; the budget of [`RECORD_BYTES`] counts anew.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
        self.reader.get_mut().budget = RECORD_BYTES;
    }

    /// Returns everything since the last time something was forgotten, as it stands in the document.
    pub(crate) fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Reads on.
    pub(crate) fn next(&mut self) -> Result<Node<'_>, FormatError> {
        let event = match self.reader.read_event_into(&mut self.seen) {
            Ok(event) => event,
            Err(error) => return Err(refusal(self.file, self.reader.error_position(), error)),
        };
        let at = self.reader.buffer_position();
        let fault = |expected: &str, found: &str| Err(malformed(self.file, at, expected, found));
        match event {
            Event::Start(start) => {
                if self.depth == 0 && self.rooted {
                    return fault("one root element", "another");
                }
                self.rooted = true;
                self.depth += 1;
                if self.depth > XML_DEPTH {
                    return Err(limit(self.file, "the depth of elements", XML_DEPTH));
                }
                if start.len() >= XML_ATTRIBUTES * ATTRIBUTE_BYTES
                    && start.attributes().with_checks(false).take(XML_ATTRIBUTES + 1).count() > XML_ATTRIBUTES
                {
                    return Err(limit(self.file, "the number of an element's attributes", XML_ATTRIBUTES));
                }
                Ok(Node::Open(Element { start, file: self.file, at }))
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(Node::Close)
            }
            Event::Text(text) => Ok(Node::Text(text.into_inner())),
            Event::CData(data) => Ok(Node::Text(data.into_inner())),
            Event::GeneralRef(reference) => {
                if let Ok(Some(c)) = reference.resolve_char_ref() {
                    return Ok(Node::Text(c.to_string().into()));
                }
                match resolve_predefined_entity(&reference) {
                    Some(text) => Ok(Node::Text(text.into())),
                    None => fault("none but the five predefined entities", &reference),
                }
            }
            Event::Decl(declaration) => match declaration.encoding() {
                None => Ok(Node::Other),
                Some(Ok(name)) if ["utf-8", "us-ascii"].iter().any(|e| name.eq_ignore_ascii_case(e)) => {
                    Ok(Node::Other)
                }
                Some(Ok(name)) => fault("the encoding UTF-8", &name),
                Some(Err(error)) => fault("an XML declaration", &error.to_string()),
            },
            Event::DocType(_) => fault("no document type declaration", "<!DOCTYPE"),
            // an empty element comes as a start and an end
            Event::Comment(_) | Event::PI(_) | Event::Empty(_) => Ok(Node::Other),
            Event::Eof if self.depth == 0 && self.rooted => Ok(Node::End),
            Event::Eof => fault("the end of every element", "the end of the file"),
        }
    }

    /// Reads the text of the element that was just opened, to its end; elements inside it are an error.
    pub(crate) fn text(&mut self) -> Result<String, FormatError> {
        let mut text = String::new();
        loop {
            match self.next()? {
                Node::Text(part) => text.push_str(&part),
                Node::Close | Node::End => return Ok(text),
                Node::Other => {}
                Node::Open(inner) => return Err(inner.malformed("text", inner.name())),
            }
        }
    }

    /// Reads over the element that was just opened, to its end.
    pub(crate) fn skip(&mut self) -> Result<(), FormatError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            if let Node::End = self.next()? {
                break;
            }
        }
        Ok(())
    }

    /// Says where in the document the reader is.
    pub(crate) fn place(&self) -> String {
        format!("byte {}", self.reader.buffer_position())
    }

    /// Says that the document is not what it should be, here.
    pub(crate) fn malformed(&self, expected: &str, found: &str) -> FormatError {
        malformed(self.file, self.reader.buffer_position(), expected, found)
    }
}

/// The beginning of an element.
pub(crate) struct Element<'b> {
    start: BytesStart<'b>,
    file: &'b RepoPath,
    at: u64,
}

impl Element<'_> {
    /// Returns the element's name without its namespace prefix.
    pub(crate) fn name(&self) -> &str {
        self.start.local_name().into_inner()
    }

    /// Returns an attribute's value by its name as written, prefix and all; an error when it stands there twice.
    pub(crate) fn attribute(&self, name: &str) -> Result<Option<String>, FormatError> {
        let mut found = None;
        for attribute in self.start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|e| self.malformed("attributes", &e.to_string()))?;
            if attribute.key.0 != name {
                continue;
            }
            if found.is_some() {
                return Err(self.malformed("every attribute once", name));
            }
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|e| refusal(self.file, self.at, e))?;
            found = Some(value.into_owned());
        }
        Ok(found)
    }

    /// Returns an attribute that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<String, FormatError> {
        self.attribute(name)?
            .ok_or_else(|| self.malformed(&format!("an attribute `{name}` of `{}`", self.name()), "none"))
    }

    /// Says that the document is not what it should be, here.
    pub(crate) fn malformed(&self, expected: &str, found: &str) -> FormatError {
        malformed(self.file, self.at, expected, found)
    }
}

fn malformed(file: &RepoPath, at: u64, expected: &str, found: &str) -> FormatError {
    FormatError::malformed(file, format!("byte {at}"), expected, found)
}

fn limit(file: &RepoPath, what: &'static str, limit: usize) -> FormatError {
    FormatError::Limit { file: file.clone(), what, limit: limit as u64 }
}

fn refusal(file: &RepoPath, at: u64, error: Error) -> FormatError {
    match error {
        Error::Io(source) if is_exhausted(&source) => limit(file, "a record's size", RECORD_BYTES),
        Error::Io(source) => FormatError::Decode {
            file: file.clone(),
            source: io::Error::new(source.kind(), source.to_string()),
        },
        Error::Escape(EscapeError::UnrecognizedEntity(_, name)) => {
            malformed(file, at, "none but the five predefined entities", &name)
        }
        other => malformed(file, at, "well-formed XML", &other.to_string()),
    }
}

/// Tells a budget that ran out from other I/O errors.
fn is_exhausted(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.downcast_ref::<Exhausted>().is_some())
}

#[cfg(test)]
mod tests;
