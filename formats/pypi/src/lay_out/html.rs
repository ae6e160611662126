//! PEP 503 pages, written through a writer that escapes whatever it is given.

use serde_json::Value;

use crate::{
    name::Name,
    simple::{JSON_TYPE, Record},
};

/// Text in which only this module's own words are markup.
struct Html(String);

impl Html {
    /// Begins a page.
    fn page(title: &str, version: &str) -> Self {
        let mut html = Self("<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n".to_owned());
        html.empty("meta", &[("name", "pypi:repository-version"), ("content", version)]);
        html.empty("link", &[("rel", "alternate"), ("type", JSON_TYPE), ("href", "index.json")]);
        html.element("title", &[], title);
        html
    }

    fn body(&mut self, title: &str) {
        self.0.push_str("</head>\n<body>\n");
        self.element("h1", &[], title);
    }

    fn end(mut self) -> String {
        self.0.push_str("</body>\n</html>");
        self.0
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.open(name, attributes);
        self.0.push('\n');
    }

    fn element(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.open(name, attributes);
        self.escaped(text);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push_str(">\n");
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.escaped(value);
            self.0.push('"');
        }
        self.0.push('>');
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ => self.0.push(c),
            }
        }
    }
}

/// Writes the list of projects.
pub(super) fn projects(names: &[Name]) -> String {
    let title = "Simple index";
    let mut html = Html::page(title, "1.1");
    html.body(title);
    for name in names {
        html.element("a", &[("href", &format!("{name}/"))], name.as_str());
        html.0.push_str("<br>\n");
    }
    html.end()
}

/// Writes a project's page from its entries in PEP 691's form.
pub(super) fn project(name: &Name, version: &str, status: Option<&Value>, files: &[Record]) -> String {
    let title = format!("Links for {name}");
    let mut html = Html::page(&title, version);
    for (key, meta) in [("status", "pypi:project-status"), ("reason", "pypi:project-status-reason")] {
        if let Some(text) = status.and_then(|s| s.get(key)).and_then(Value::as_str) {
            html.empty("meta", &[("name", meta), ("content", text)]);
        }
    }
    html.body(&title);
    for file in files {
        anchor(&mut html, file);
        html.0.push_str("<br>\n");
    }
    html.end()
}

fn anchor(html: &mut Html, file: &Record) {
    let text = |key: &str| file.get(key).and_then(Value::as_str);
    let sha256 = |value: Option<&Value>| {
        value.and_then(|v| v.get("sha256")).and_then(Value::as_str).map(|digits| format!("sha256={digits}"))
    };
    let filename = text("filename").unwrap_or_default();
    let fragment = sha256(file.get("hashes")).map_or_else(String::new, |sum| format!("#{sum}"));
    let href = format!("{}{fragment}", text("url").unwrap_or_default());
    let metadata = sha256(file.get("core-metadata"));
    let yanked = match file.get("yanked") {
        Some(Value::String(reason)) => Some(reason.as_str()),
        Some(Value::Bool(true)) => Some(""),
        _ => None,
    };
    let signature =
        file.get("gpg-sig").and_then(Value::as_bool).map(|there| if there { "true" } else { "false" });
    let mut attributes = vec![("href", href.as_str())];
    attributes.extend(text("requires-python").map(|python| ("data-requires-python", python)));
    attributes.extend(yanked.map(|reason| ("data-yanked", reason)));
    if let Some(metadata) = &metadata {
        attributes.push(("data-dist-info-metadata", metadata));
        attributes.push(("data-core-metadata", metadata));
    }
    attributes.extend(signature.map(|there| ("data-gpg-sig", there)));
    attributes.extend(text("provenance").map(|address| ("data-provenance", address)));
    html.element("a", &attributes, filename);
}
