//! PEP 691 JSON, entry by entry: the page is never held as one tree.

use std::fmt;

use chantal_contract::{FormatError, RepoPath};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use url::Url;

use super::{FileEntry, Page, Record};

type Visit<'a> = dyn FnMut(FileEntry) -> Result<(), FormatError> + 'a;

/// Reads a page; only major version 1 of the interface is known.
pub(super) fn read(
    file: &RepoPath,
    bytes: &[u8],
    base: &Url,
    visit: &mut Visit<'_>,
) -> Result<Page, FormatError> {
    let mut fault = None;
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let seed = Document { file, base, visit, fault: &mut fault };
    let read = seed.deserialize(&mut input).and_then(|found| input.end().map(|()| found));
    if let Some(fault) = fault {
        return Err(fault);
    }
    let malformed = |place: String, expected: &str, found: &str| {
        Err(FormatError::malformed(file, place, expected, found))
    };
    let found = match read {
        Ok(found) => found,
        Err(e) => {
            let place = format!("line {} column {}", e.line(), e.column());
            return malformed(place, "a project page in JSON (PEP 691)", &e.to_string());
        }
    };
    let Some(version) = found.version else {
        return malformed("field meta".into(), "an api-version", "");
    };
    if version.split('.').next() != Some("1") {
        return malformed("field api-version".into(), "version 1.x", &version);
    }
    if !found.files {
        return malformed("page".into(), "the field files", "");
    }
    Ok(Page { status: found.status, alternate: None })
}

#[derive(Default)]
struct Found {
    version: Option<String>,
    files: bool,
    status: Option<Value>,
}

struct Document<'a, 'v> {
    file: &'a RepoPath,
    base: &'a Url,
    visit: &'a mut Visit<'v>,
    fault: &'a mut Option<FormatError>,
}

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = Found;
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Found, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "meta" => {
                    let meta = map.next_value::<Value>()?;
                    found.version = meta.get("api-version").and_then(Value::as_str).map(str::to_owned);
                }
                "files" if found.files => return Err(A::Error::custom("`files` stands twice")),
                "files" => {
                    found.files = true;
                    map.next_value_seed(Files(&mut self))?;
                }
                "project-status" => {
                    found.status = Some(map.next_value::<Value>()?).filter(Value::is_object);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

struct Files<'d, 'a, 'v>(&'d mut Document<'a, 'v>);

impl<'de> DeserializeSeed<'de> for Files<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Files<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of file entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Document { file, base, visit, fault } = self.0;
        while let Some(record) = seq.next_element::<Record>()? {
            let step = FileEntry::from_record(file, record, base).and_then(&mut *visit);
            if let Err(error) = step {
                **fault = Some(error);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
