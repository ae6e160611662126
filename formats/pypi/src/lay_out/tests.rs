use std::collections::BTreeMap;

use serde_json::json;
use url::Url;

use super::*;
use crate::{
    PypiOptions,
    harness::{self, INDEX, Mirrored, Offer, Source, Upstream, closure, plain},
};

/// An upstream with everything that a page can say.
fn rich() -> Upstream {
    let mut upstream = Upstream::default();
    let entry = upstream.wheel("foo-bar", "1.0", &["baz>=1"]);
    entry["requires-python"] = json!(">=3.8,<4");
    entry["gpg-sig"] = json!(true);
    entry["provenance"] = json!("https://mirror.example.org/integrity/foo");
    entry["x-unknown"] = json!({ "b": 1, "a": [true] });
    upstream.wheel("foo-bar", "1.10", &[])["yanked"] = json!("<b>\"no\" & 'never'</b>");
    upstream.wheel("foo-bar", "1.9", &[])["gpg-sig"] = json!(true);
    upstream.sdist("foo-bar", "1.10", "2.1", &[])["yanked"] = json!(true);
    upstream.wheel("baz", "1.0+local.1", &[]);
    upstream
        .files
        .insert("https://files.example.org/foo_bar-1.0-py3-none-any.whl.asc".into(), b"sig".to_vec());
    upstream.files.insert("https://mirror.example.org/integrity/foo".into(), b"{}".to_vec());
    upstream
}

fn mirror(options: PypiOptions, served: &BTreeMap<String, Vec<u8>>) -> Mirrored {
    harness::mirror(options, &Source::Served(served)).unwrap()
}

fn wanted() -> PypiOptions {
    plain(&["foo-bar", "foo-bar==1.10", "baz"])
}

fn text<'a>(tree: &'a BTreeMap<String, Vec<u8>>, path: &str) -> &'a str {
    std::str::from_utf8(tree.get(path).unwrap_or_else(|| panic!("{path} in {:?}", tree.keys()))).unwrap()
}

#[test]
fn pages_say_all_that_upstream_said() {
    let tree = mirror(wanted(), &rich().served()).publish();
    let page: Value = serde_json::from_str(text(&tree, "simple/foo-bar/index.json")).unwrap();
    assert_eq!(page["meta"]["api-version"], "1.3");
    assert_eq!(page["versions"], json!(["1.0", "1.9", "1.10"]), "ordered as PEP 440 does");
    let files: BTreeMap<&str, &Value> =
        page["files"].as_array().unwrap().iter().map(|f| (f["filename"].as_str().unwrap(), f)).collect();
    let wheel = files["foo_bar-1.0-py3-none-any.whl"];
    assert_eq!(wheel["url"], "../../packages/foo-bar/foo_bar-1.0-py3-none-any.whl");
    assert_eq!(wheel["provenance"], "../../packages/foo-bar/foo_bar-1.0-py3-none-any.whl.provenance");
    assert_eq!((&wheel["gpg-sig"], &wheel["x-unknown"]), (&json!(true), &json!({ "a": [true], "b": 1 })));
    assert_eq!(wheel["upload-time"], "2024-01-02T03:04:05.678901Z");
    let metadata = &tree["packages/foo-bar/foo_bar-1.0-py3-none-any.whl.metadata"];
    let sum = json!({ "sha256": chantal_contract::Digest::of(metadata).hex() });
    assert_eq!((&wheel["core-metadata"], &wheel["dist-info-metadata"]), (&sum, &sum));
    assert_eq!(files["foo_bar-1.9-py3-none-any.whl"]["gpg-sig"], false, "the signature is not to be had");
    assert_eq!(files["foo-bar-1.10.tar.gz"]["core-metadata"], false);
    for file in files.values() {
        let path = file["url"].as_str().unwrap().strip_prefix("../../").unwrap();
        assert_eq!(file["hashes"]["sha256"], chantal_contract::Digest::of(&tree[path]).hex());
        assert_eq!(file["size"], tree[path].len());
    }
    let list: Value = serde_json::from_str(text(&tree, "simple/index.json")).unwrap();
    assert_eq!(list["projects"], json!([{ "name": "baz" }, { "name": "foo-bar" }]));
    assert!(text(&tree, "simple/index.html").contains("<a href=\"foo-bar/\">foo-bar</a>"));
    let html = text(&tree, "simple/foo-bar/index.html");
    assert!(html.contains("data-requires-python=\"&gt;=3.8,&lt;4\""));
    assert!(html.contains("data-yanked=\"&lt;b&gt;&quot;no&quot; &amp; &#39;never&#39;&lt;/b&gt;\""));
    assert!(html.contains("data-gpg-sig=\"true\"") && html.contains("data-gpg-sig=\"false\""));
    assert!(
        html.contains("data-core-metadata=\"sha256=") && html.contains("data-dist-info-metadata=\"sha256=")
    );
    assert!(text(&tree, "simple/baz/index.html").contains("baz-1.0+local.1-py3-none-any.whl#sha256="));
}

#[test]
fn a_project_keeps_its_status() {
    let mut upstream = rich();
    let mut page: Value = serde_json::from_slice(&upstream.served()[&format!("{INDEX}/baz/")]).unwrap();
    page["project-status"] = json!({ "status": "archived", "reason": "<moved>" });
    upstream.files.insert(format!("{INDEX}/baz/"), page.to_string().into_bytes());
    let tree = mirror(wanted(), &upstream.served()).publish();
    let json: Value = serde_json::from_str(text(&tree, "simple/baz/index.json")).unwrap();
    assert_eq!(json["project-status"], page["project-status"]);
    assert_eq!(json["meta"]["api-version"], "1.4");
    assert!(text(&tree, "simple/baz/index.html").contains("content=\"&lt;moved&gt;\""));
}

/// Serves a published tree as a plain web server does; `json` tells whether directories answer with their JSON.
fn served(tree: &BTreeMap<String, Vec<u8>>, json: bool, alternate: bool) -> BTreeMap<String, Vec<u8>> {
    let root = INDEX.strip_suffix("simple").unwrap();
    let mut all = BTreeMap::new();
    for (path, bytes) in tree {
        if alternate || path.starts_with("packages") {
            all.insert(format!("{root}{path}"), bytes.clone());
        }
        let index = if json { "index.json" } else { "index.html" };
        if let Some(directory) = path.strip_suffix(index) {
            all.insert(format!("{root}{directory}"), bytes.clone());
        }
    }
    all
}

#[test]
fn a_tree_is_an_upstream_that_gives_the_same_packages() {
    for offer in [Offer::Digest, Offer::Nothing] {
        let mut upstream = Upstream { metadata: offer, ..Upstream::default() };
        upstream.pages = rich().pages;
        upstream.files = rich().files;
        let first = mirror(wanted(), &upstream.served());
        let tree = first.publish();
        for (json, alternate) in [(true, false), (false, true)] {
            let again = mirror(wanted(), &served(&tree, json, alternate));
            let records = |m: &Mirrored| -> BTreeMap<String, Value> {
                let read = |r: &[u8]| serde_json::from_slice(r).unwrap();
                m.packages.iter().map(|(p, r)| (p.key.encode(), read(r))).collect()
            };
            let (mut before, after) = (records(&first), records(&again));
            let unsigned =
                before.values_mut().find(|r| r["filename"] == "foo_bar-1.9-py3-none-any.whl").unwrap();
            unsigned["gpg-sig"] = json!(false);
            assert_eq!(after, before);
            assert_eq!(again.publish(), tree, "the same bytes, generation after generation");
        }
        // HTML alone cannot hold sizes and upload times; the files are the same.
        let bare = mirror(wanted(), &served(&tree, false, false));
        assert_eq!(bare.tree, first.tree);
        assert_eq!(bare.filenames(), first.filenames());
        let html = bare.publish();
        let strip = |page: &str| {
            let mut page: Value = serde_json::from_str(page).unwrap();
            for file in page["files"].as_array_mut().unwrap() {
                let file = file.as_object_mut().unwrap();
                for key in ["upload-time", "x-unknown"] {
                    file.remove(key);
                }
                if file.get("yanked") == Some(&json!(false)) {
                    file.remove("yanked");
                }
            }
            page
        };
        for project in ["foo-bar", "baz"] {
            let path = format!("simple/{project}/index.json");
            assert_eq!(strip(text(&html, &path)), strip(text(&tree, &path)));
            let path = format!("simple/{project}/index.html");
            assert_eq!(text(&html, &path), text(&tree, &path));
        }
    }
}

#[test]
fn every_link_of_a_page_leads_to_a_file() {
    let tree = mirror(wanted(), &rich().served()).publish();
    let path = RepoPath::new("index.html").unwrap();
    for (page, bytes) in tree.iter().filter(|(path, _)| path.ends_with("index.html")) {
        let base = Url::parse(&format!("https://mirror.example.org/{page}")).unwrap();
        crate::simple::html::tags(&path, std::str::from_utf8(bytes).unwrap(), &mut |tag| {
            for name in ["href", "data-provenance"] {
                if let Some(address) = tag.attribute(name) {
                    let url = base.join(address).unwrap();
                    let mut there = url.path().trim_start_matches('/').replace("%2B", "+");
                    if there.ends_with('/') {
                        there.push_str("index.html");
                    }
                    assert!(tree.contains_key(&there), "{page} leads to {there}");
                }
            }
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn a_file_that_is_absent_is_not_listed() {
    let mut taken = mirror(closure(&["foo-bar"]), &rich().served());
    let wheel = RepoPath::new("packages/foo-bar/foo_bar-1.0-py3-none-any.whl").unwrap();
    taken.tree.remove(&wheel).unwrap();
    let tree = taken.publish();
    assert!(!text(&tree, "simple/foo-bar/index.html").contains("foo_bar-1.0-py3"));
    assert!(text(&tree, "simple/foo-bar/index.html").contains("foo_bar-1.9-py3"));
    assert!(!tree.contains_key(wheel.as_str()));
}

#[test]
fn an_empty_snapshot_is_an_empty_index() {
    let tree = mirror(plain(&[]), &BTreeMap::new()).publish();
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["simple/index.html", "simple/index.json"]);
    assert_eq!(text(&tree, "simple/index.json"), "{\"meta\":{\"api-version\":\"1.1\"},\"projects\":[]}\n");
}
