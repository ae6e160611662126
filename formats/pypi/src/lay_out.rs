//! The published tree: `packages/<project>/<file>` and project pages that need nothing but a web server of files.
//!
//! ```text
//! simple/index.html, simple/index.json              every project
//! simple/<project>/index.html                       PEP 503, complete by itself
//! simple/<project>/index.json                       PEP 691: sizes, upload times, versions, too
//! packages/<project>/<file>[.metadata|.asc|.provenance]
//! ```

use std::collections::{BTreeMap, HashMap};

use chantal_contract::{
    Entry, FormatError, Key, Line, Measured, RepoPath, Role, State, Tree, limits::RECORD_BYTES,
};
use serde_json::{Value, json};

use crate::{
    key,
    listing::{METADATA, PROVENANCE, SIGNATURE},
    name::Name,
    simple::Record,
    version,
};

mod html;

/// Lays a snapshot out; a pure function of its lines and records.
pub(crate) fn lay_out(state: &dyn State, tree: &mut dyn Tree) -> Result<(), FormatError> {
    let mut files: HashMap<RepoPath, (Measured, Role)> = HashMap::new();
    let mut statuses: BTreeMap<String, Value> = BTreeMap::new();
    let mut projects: Vec<Name> = Vec::new();
    let mut page: Option<Page> = None;
    // Lines rise: `doc`, then `file`, then `pkg` by project, so that each page is written when the next begins.
    state.lines(&mut |line| {
        match line {
            Line::Doc { kind, key, record } if kind == "project" => {
                let name = RepoPath::new("simple")
                    .and_then(|simple| simple.join(key))
                    .map_err(|source| FormatError::Option { option: key.clone(), why: source.to_string() })?;
                let record = parse(&name, &state.record(record)?)?;
                statuses.extend(record.get("project-status").map(|status| (key.clone(), status.clone())));
            }
            Line::File { path, entry: Entry::Present { measured, role } } => {
                files.insert(path.clone(), (*measured, *role));
            }
            Line::Pkg { key, record, files: of_package } => {
                let name = key::expect(key, of_package)?;
                if page.as_ref().is_none_or(|page| page.name != name) {
                    projects.extend(page.take().map(|page| page.finish(tree)).transpose()?);
                    let status = statuses.remove(name.as_str());
                    page = Some(Page { name, status, versions: Vec::new(), files: Vec::new() });
                }
                let there: Vec<(&RepoPath, Measured, Role)> = of_package
                    .iter()
                    .filter_map(|path| files.get(path).map(|(measured, role)| (path, *measured, *role)))
                    .collect();
                for (path, measured, role) in &there {
                    tree.place(path, *measured, *role)?;
                }
                if let Some(page) = &mut page {
                    page.add(key, &there, &state.record(record)?)?;
                }
            }
            Line::Doc { .. } | Line::File { entry: Entry::Absent, .. } => {}
        }
        Ok(())
    })?;
    projects.extend(page.take().map(|page| page.finish(tree)).transpose()?);
    let list = json!({
        "meta": { "api-version": "1.1" },
        "projects": projects.iter().map(|name| json!({ "name": name.as_str() })).collect::<Vec<_>>(),
    });
    write(tree, "simple/index.json", &list.to_string())?;
    write(tree, "simple/index.html", &html::projects(&projects))
}

fn write(tree: &mut dyn Tree, path: &str, text: &str) -> Result<(), FormatError> {
    let path = RepoPath::new(path)
        .map_err(|source| FormatError::Option { option: path.to_owned(), why: source.to_string() })?;
    Ok(tree.write(&path, format!("{text}\n").as_bytes())?)
}

fn parse(path: &RepoPath, record: &[u8]) -> Result<Record, FormatError> {
    if record.len() > RECORD_BYTES {
        return Err(FormatError::Limit { file: path.clone(), what: "record", limit: RECORD_BYTES as u64 });
    }
    serde_json::from_slice(record)
        .map_err(|e| FormatError::malformed(path, "record", "a JSON object", e.to_string()))
}

/// A project page in the making.
struct Page {
    name: Name,
    status: Option<Value>,
    versions: Vec<String>,
    files: Vec<Record>,
}

impl Page {
    /// Adds a file; one that is not there is not listed.
    fn add(
        &mut self,
        key: &Key,
        there: &[(&RepoPath, Measured, Role)],
        record: &[u8],
    ) -> Result<(), FormatError> {
        let filename = &key.architecture;
        let named = |suffix: &str| {
            there.iter().find(|(path, ..)| path.file_name().strip_suffix(suffix) == Some(filename))
        };
        let Some((path, measured, _)) = named("") else { return Ok(()) };
        let address = |path: &RepoPath| Value::from(format!("../../{}", path.encoded()));
        let mut record = parse(path, record)?;
        record.insert("filename".into(), filename.as_str().into());
        record.insert("url".into(), address(path));
        record.insert("size".into(), measured.size.into());
        let hashes = record.entry("hashes").or_insert_with(|| json!({}));
        match hashes.as_object_mut() {
            Some(hashes) => {
                hashes.insert("sha256".into(), measured.sha256.hex().into());
            }
            None => *hashes = json!({ "sha256": measured.sha256.hex() }),
        }
        let metadata = match named(METADATA) {
            Some((_, metadata, _)) => json!({ "sha256": metadata.sha256.hex() }),
            None => Value::Bool(false),
        };
        record.insert("dist-info-metadata".into(), metadata.clone());
        record.insert("core-metadata".into(), metadata);
        if let Some((path, ..)) = named(PROVENANCE) {
            record.insert("provenance".into(), address(path));
        }
        if named(SIGNATURE).is_some() || record.contains_key("gpg-sig") {
            record.insert("gpg-sig".into(), named(SIGNATURE).is_some().into());
        }
        if !self.versions.contains(&key.version) {
            self.versions.push(key.version.clone());
        }
        self.files.push(record);
        Ok(())
    }

    /// Writes both forms and returns the project's name; oldest versions first, as upstream has them.
    fn finish(mut self, tree: &mut dyn Tree) -> Result<Name, FormatError> {
        self.versions.sort_by(|a, b| version::compare(a, b).then_with(|| a.cmp(b)));
        let json = json!({
            "meta": { "api-version": self.api_version() },
            "name": self.name.as_str(),
            "versions": self.versions,
            "files": self.files,
        });
        let mut json = Record::from_iter(json.as_object().cloned().unwrap_or_default());
        if let Some(status) = &self.status {
            json.insert("project-status".into(), status.clone());
        }
        write(tree, &format!("simple/{}/index.json", self.name), &Value::Object(json).to_string())?;
        let html = html::project(&self.name, self.api_version(), self.status.as_ref(), &self.files);
        write(tree, &format!("simple/{}/index.html", self.name), &html)?;
        Ok(self.name)
    }

    /// Returns the oldest version of the interface that has all that the page says (PEP 700, 740, 792).
    fn api_version(&self) -> &'static str {
        if self.status.is_some() {
            "1.4"
        } else if self.files.iter().any(|f| f.contains_key("provenance")) {
            "1.3"
        } else {
            "1.1"
        }
    }
}

#[cfg(test)]
mod tests;
