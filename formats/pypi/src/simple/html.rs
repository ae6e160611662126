//! PEP 503 HTML, read by a small tokenizer that looks at start tags only and never goes back.

use chantal_contract::{
    FormatError, RepoPath,
    limits::{HTML_TAG_BYTES, XML_ATTRIBUTES},
};
use serde_json::{Value, json};
use url::Url;

use super::{FileEntry, JSON_TYPE, Page, Record};

/// A start tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// Its name, in lower case.
    pub name: String,
    /// Its attributes: names in lower case, values decoded; the first of one name is the one that counts.
    pub attributes: Vec<(String, String)>,
}

impl Tag {
    /// Returns an attribute's value; empty where it stands without one.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a page: `a` elements with an `href`, the first `base`, and what PEP 629 and 792 say in `meta`.
pub(super) fn read(
    file: &RepoPath,
    text: &str,
    base: &Url,
    visit: &mut dyn FnMut(FileEntry) -> Result<(), FormatError>,
) -> Result<Page, FormatError> {
    let mut page = Page::default();
    let mut based: Option<Url> = None;
    let mut status = Record::new();
    let mut is_html = false;
    tags(file, text, &mut |tag| {
        let here = based.as_ref().unwrap_or(base);
        match tag.name.as_str() {
            "html" | "head" | "body" => is_html = true,
            "base" if based.is_none() => {
                based = tag.attribute("href").and_then(|href| base.join(href.trim()).ok());
            }
            "meta" => meta(file, tag, &mut status)?,
            "link"
                if tag.attribute("rel") == Some("alternate") && tag.attribute("type") == Some(JSON_TYPE) =>
            {
                page.alternate = tag.attribute("href").and_then(|href| here.join(href.trim()).ok());
            }
            "a" => {
                is_html = true;
                if let Some(record) = tag.attribute("href").and_then(|href| record(tag, href.trim(), here)) {
                    visit(FileEntry::from_record(file, record, here)?)?;
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    if !is_html {
        let found = text.trim_start().get(..80).unwrap_or_default();
        return Err(FormatError::malformed(file, "page", "a project page in HTML or JSON", found));
    }
    page.status = (!status.is_empty()).then_some(Value::Object(status));
    Ok(page)
}

fn meta(file: &RepoPath, tag: &Tag, status: &mut Record) -> Result<(), FormatError> {
    let content = tag.attribute("content").unwrap_or_default();
    match tag.attribute("name") {
        Some("pypi:repository-version") if content.split('.').next() != Some("1") => {
            return Err(FormatError::malformed(file, "pypi:repository-version", "version 1.x", content));
        }
        Some("pypi:project-status") => status.insert("status".into(), content.into()),
        Some("pypi:project-status-reason") => status.insert("reason".into(), content.into()),
        _ => None,
    };
    Ok(())
}

/// Writes an anchor as PEP 691 would; none where it leads to no file.
fn record(tag: &Tag, href: &str, base: &Url) -> Option<Record> {
    let url = base.join(href).ok().filter(|url| !url.cannot_be_a_base())?;
    let last = url.path().rsplit('/').next().filter(|s| !s.is_empty())?;
    let filename = percent_decoded(last);
    let mut record = Record::new();
    record.insert("filename".into(), filename.into());
    record.insert("url".into(), href.into());
    let hashes = url.fragment().and_then(digest).map_or_else(Record::new, |(name, digits)| {
        Record::from_iter([(name.to_owned(), Value::from(digits.to_ascii_lowercase()))])
    });
    record.insert("hashes".into(), Value::Object(hashes));
    if let Some(python) = tag.attribute("data-requires-python") {
        record.insert("requires-python".into(), python.into());
    }
    if let Some(reason) = tag.attribute("data-yanked") {
        record.insert("yanked".into(), if reason.is_empty() { json!(true) } else { reason.into() });
    }
    let metadata = tag.attribute("data-core-metadata").or_else(|| tag.attribute("data-dist-info-metadata"));
    if let Some(offer) = metadata {
        let offered = match digest(offer) {
            Some((name, digits)) => json!({ name: digits }),
            None => json!(offer == "true"),
        };
        record.insert("core-metadata".into(), offered);
    }
    if let Some(signature) = tag.attribute("data-gpg-sig") {
        record.insert("gpg-sig".into(), json!(signature == "true"));
    }
    if let Some(provenance) = tag.attribute("data-provenance") {
        record.insert("provenance".into(), provenance.into());
    }
    Some(record)
}

/// Reads `sha256=…`.
fn digest(text: &str) -> Option<(&str, &str)> {
    let (name, digits) = text.split_once('=')?;
    let known = chantal_contract::Algorithm::named(name)?;
    Some((known.name(), digits.split('&').next().unwrap_or_default()))
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let pair = tail.get(..2).and_then(|p| std::str::from_utf8(p).ok());
        if let Some(decoded) = pair.and_then(chantal_contract::digest::unhex).filter(|_| byte == b'%') {
            out.extend(decoded);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Visits the start tags of an HTML document in order; comments, declarations and the text of scripts are passed over.
///
/// One pass; a tag is at most [`HTML_TAG_BYTES`] long and has at most [`XML_ATTRIBUTES`] attributes.
pub fn tags(
    file: &RepoPath,
    text: &str,
    visit: &mut dyn FnMut(&Tag) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once('<') {
        if let Some(comment) = tail.strip_prefix("!--") {
            let Some((_, after)) = comment.split_once("-->") else { return Ok(()) };
            rest = after;
            continue;
        }
        if !tail.starts_with(|c: char| c.is_ascii_alphabetic()) {
            rest = tail;
            continue;
        }
        let Some((tag, after)) = start_tag(file, tail)? else { return Ok(()) };
        visit(&tag)?;
        rest = after;
        if matches!(tag.name.as_str(), "script" | "style" | "textarea" | "title") {
            rest = after_end_tag(after, &tag.name);
        }
    }
    Ok(())
}

/// Skips the raw text of an element; all of it where the element never ends.
fn after_end_tag<'a>(text: &'a str, name: &str) -> &'a str {
    text.match_indices("</")
        .filter_map(|(at, _)| text.get(at + 2..))
        .find(|tail| tail.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name)))
        .unwrap_or_default()
}

/// Reads from a tag's name to behind its `>`; none where the document ends before.
fn start_tag<'a>(file: &RepoPath, text: &'a str) -> Result<Option<(Tag, &'a str)>, FormatError> {
    let window = text.get(..HTML_TAG_BYTES).unwrap_or_else(|| {
        let end = (0..=HTML_TAG_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        text.get(..end.unwrap_or(0)).unwrap_or(text)
    });
    let whole = window.len() == text.len();
    let limit =
        || FormatError::Limit { file: file.clone(), what: "length of a tag", limit: HTML_TAG_BYTES as u64 };
    let ended = |tag: Option<(Tag, usize)>| match tag {
        Some((tag, used)) => Ok(text.get(used..).map(|rest| (tag, rest))),
        None if whole => Ok(None),
        None => Err(limit()),
    };
    let name_end = window.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>');
    let Some(name_end) = name_end else { return ended(None) };
    let (name, mut rest) = window.split_at(name_end);
    let mut tag = Tag { name: name.to_ascii_lowercase(), attributes: Vec::new() };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return ended(Some((tag, window.len() - after.len())));
        }
        let Some((name, value, after)) = attribute(rest) else { return ended(None) };
        if tag.attributes.len() >= XML_ATTRIBUTES {
            return Err(FormatError::Limit {
                file: file.clone(),
                what: "number of attributes",
                limit: XML_ATTRIBUTES as u64,
            });
        }
        if tag.attribute(&name).is_none() {
            tag.attributes.push((name, value));
        }
        rest = after;
    }
}

/// Reads one attribute; none where the text ends before it does.
fn attribute(text: &str) -> Option<(String, String, &str)> {
    // A leading `=` belongs to the name (HTML, 13.2.5.32).
    let skip = usize::from(text.starts_with('='));
    let tail = text.get(skip..)?;
    let end = skip + tail.find(|c: char| c.is_ascii_whitespace() || "/>=".contains(c))?;
    let (name, rest) = text.split_at_checked(end)?;
    let name = name.to_ascii_lowercase();
    let Some(value) = rest.trim_ascii_start().strip_prefix('=') else {
        return Some((name, String::new(), rest));
    };
    let value = value.trim_ascii_start();
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote) {
            let (raw, after) = inner.split_once(quote)?;
            return Some((name, decoded(raw), after));
        }
    }
    let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>')?;
    let (raw, after) = value.split_at_checked(end)?;
    Some((name, decoded(raw), after))
}

/// Replaces character references: numeric ones and those that attribute values of an index hold.
fn decoded(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((head, tail)) = rest.split_once('&') {
        out.push_str(head);
        // No name that is known here is longer than eight characters.
        let known = tail.char_indices().take(10).find(|(_, c)| *c == ';').and_then(|(end, _)| {
            let (name, after) = tail.split_at_checked(end)?;
            Some((reference(name)?, after.get(1..)?))
        });
        if let Some((c, after)) = known {
            out.push(c);
            rest = after;
        } else {
            out.push('&');
            rest = tail;
        }
    }
    out.push_str(rest);
    out
}

fn reference(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "num" => '#',
        "equals" => '=',
        "excl" => '!',
        "comma" => ',',
        "period" => '.',
        "sol" => '/',
        "colon" => ':',
        "semi" => ';',
        "plus" => '+',
        "lpar" => '(',
        "rpar" => ')',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|c| *c != '\0')?
        }
    })
}
