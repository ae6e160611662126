//! `updateinfo.xml`: advisories.
//!
//! Clients show them and nobody is harmed by one that cannot be read, and real repositories hold broken ones: what is wrong
//! here is told, and refuses nothing.

use std::{collections::BTreeSet, io::BufRead};

use chantal_contract::{
    Advisory, FormatError, RepoPath,
    limits::{ADVISORIES, ADVISORY_FIELD_BYTES, ADVISORY_REFERENCES},
};

use crate::{
    primary::one_line,
    xml::{Node, Xml},
};

/// Reads `updateinfo.xml` and hands every advisory to `each`.
///
/// One without an `id`, or with one that is longer than 256 bytes, is left out. At most 1,024 vulnerabilities are named, the
/// first by name.
pub(crate) fn read(
    file: &RepoPath,
    input: &mut dyn BufRead,
    each: &mut dyn FnMut(Advisory) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut xml = Xml::new(file, input);
    let mut count = 0;
    loop {
        xml.forget();
        let depth = xml.depth();
        match xml.next()? {
            Node::Open(element) if depth == 0 && element.name() != "updates" => {
                return Err(element.malformed("`updates`", element.name()));
            }
            Node::Open(element) if depth == 1 => {
                if element.name() != "update" {
                    xml.skip()?;
                    continue;
                }
                count += 1;
                if count > ADVISORIES {
                    let limit = ADVISORIES as u64;
                    return Err(FormatError::Limit {
                        file: file.clone(),
                        what: "the number of advisories",
                        limit,
                    });
                }
                let kind = element.attribute("type")?.unwrap_or_default();
                if let Some(advisory) = update(&mut xml, &kind)? {
                    each(advisory)?;
                }
            }
            Node::End => return Ok(()),
            _ => {}
        }
    }
}

/// Reads an `<update>` that was just opened, to its end.
fn update(xml: &mut Xml<'_>, kind: &str) -> Result<Option<Advisory>, FormatError> {
    let (mut id, mut severity, mut title) = (String::new(), String::new(), String::new());
    let mut references = BTreeSet::new();
    let inside = xml.depth();
    loop {
        let depth = xml.depth();
        match xml.next()? {
            Node::Open(element) => match element.name() {
                "id" if depth == inside => id = xml.text()?,
                "severity" if depth == inside => severity = xml.text()?,
                "title" if depth == inside => title = xml.text()?,
                "references" if depth == inside => {}
                "reference" if depth == inside + 1 => {
                    if element.attribute("type")?.as_deref() == Some("cve")
                        && let Some(name) = element.attribute("id")?
                    {
                        reference(&mut references, &name);
                    }
                    xml.skip()?;
                }
                _ => xml.skip()?,
            },
            Node::Close if depth == inside => break,
            _ => {}
        }
    }
    let id = one_line(&id);
    if id.is_empty() || id.len() > ADVISORY_FIELD_BYTES {
        return Ok(None);
    }
    let references = references.into_iter().collect();
    Ok(Some(Advisory {
        id,
        kind: short(kind),
        severity: short(&severity),
        title: one_line(&title),
        references,
    }))
}

/// Keeps a vulnerability's name if it is one word of bounded length, and one of the first of them.
fn reference(references: &mut BTreeSet<String>, name: &str) {
    let name = name.trim();
    let fits = !name.is_empty() && name.len() <= ADVISORY_FIELD_BYTES;
    if fits && !name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        references.insert(name.to_owned());
        if references.len() > ADVISORY_REFERENCES {
            references.pop_last();
        }
    }
}

/// Returns one line, cut at [`ADVISORY_FIELD_BYTES`].
fn short(text: &str) -> String {
    let mut line = one_line(text);
    line.truncate(line.floor_char_boundary(ADVISORY_FIELD_BYTES));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advisories(text: &str) -> Result<Vec<Advisory>, FormatError> {
        let file = RepoPath::new("repodata/updateinfo.xml").unwrap();
        let mut found = Vec::new();
        read(&file, &mut text.as_bytes(), &mut |advisory| {
            found.push(advisory);
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn reads_what_people_ask_for() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<updates>
  <update from="secalert@example.org" status="final" type="security" version="2">
    <id>RHSA-2026:1</id><title>Important: <!-- c -->hello &amp; world
 security update</title><severity>Important</severity>
    <issued date="2026-01-01"/>
    <references>
      <reference href="https://example.org/2" id="CVE-2026-2" title="" type="cve"/>
      <reference href="https://example.org/b" id="17" type="bugzilla"/>
      <reference href="https://example.org/1" id="CVE-2026-1" type="cve"><x/></reference>
      <reference type="cve" id="two words"/>
    </references>
    <pkglist><collection><name>c</name><package name="hello" arch="x86_64"><filename>h.rpm</filename><id>no</id></package></collection></pkglist>
  </update>
  <other><id>x</id></other>
  <update><title>without a name</title></update>
  <update type="bugfix"><id> B-2 </id></update>
</updates>"#;
        let found = advisories(text).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].id, "RHSA-2026:1");
        assert_eq!(found[0].kind, "security");
        assert_eq!(found[0].severity, "Important");
        assert_eq!(found[0].title, "Important: hello & world");
        assert_eq!(found[0].references, ["CVE-2026-1", "CVE-2026-2"]);
        assert_eq!((found[1].id.as_str(), found[1].kind.as_str()), ("B-2", "bugfix"));
    }

    #[test]
    fn keeps_to_its_limits() {
        let named = |length: usize| {
            advisories(&format!("<updates><update><id>{}</id></update></updates>", "i".repeat(length)))
                .unwrap()
                .len()
        };
        assert_eq!([named(0), named(ADVISORY_FIELD_BYTES - 1), named(ADVISORY_FIELD_BYTES)], [0, 1, 1]);
        assert_eq!(named(ADVISORY_FIELD_BYTES + 1), 0);
        let with = |count: usize| {
            let all: Vec<String> =
                (0..count).map(|n| format!("<reference type='cve' id='CVE-{n:06}'/>")).collect();
            let all = all.concat();
            let text = format!(
                "<updates><update type='{}'><id>a</id><references>{all}</references></update></updates>",
                "k".repeat(300)
            );
            let mut found = advisories(&text).unwrap();
            found.remove(0)
        };
        for (count, kept) in [
            (ADVISORY_REFERENCES - 1, ADVISORY_REFERENCES - 1),
            (ADVISORY_REFERENCES, ADVISORY_REFERENCES),
            (ADVISORY_REFERENCES + 1, ADVISORY_REFERENCES),
        ] {
            assert_eq!(with(count).references.len(), kept);
            assert_eq!(with(count).kind.len(), ADVISORY_FIELD_BYTES);
        }
    }

    #[test]
    fn refuses_what_is_no_updateinfo() {
        for bad in [
            "",
            "<metadata/>",
            "<updates><update>",
            "<!DOCTYPE updates [<!ENTITY a 'b'>]><updates/>",
            "<updates><update><id>&a;</id></update></updates>",
            "<updates><update><id><b/></id></update></updates>",
            "<updates/><updates/>",
        ] {
            assert!(advisories(bad).is_err(), "{bad}");
        }
    }
}
