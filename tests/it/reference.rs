//! What is generated from the code is committed as the code has it; `CHANTAL_BLESS=1` writes it anew.

use std::{fs, path::Path};

use chantal::{commands::reference, config::Config, formats};

use crate::clients;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn current(path: &str, text: &str) {
    let path = root().join(path);
    if std::env::var_os("CHANTAL_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    if let Some((number, (is, should))) =
        found.lines().chain(std::iter::repeat("")).zip(text.lines()).enumerate().find(|(_, (a, b))| a != b)
    {
        panic!(
            "{} is stale, line {}:\n  {is}\nshould be\n  {should}\n`CHANTAL_BLESS=1 cargo test` writes it anew",
            path.display(),
            number + 1
        );
    }
    assert_eq!(found, text, "{} is stale", path.display());
}

#[cfg(feature = "collector")]
#[test]
fn the_command_reference_is_current() {
    current("docs/reference/commands.md", &reference::commands());
}

#[test]
fn the_configuration_reference_and_the_schema_are_current() {
    current("docs/reference/configuration.md", &reference::configuration());
    let schema = serde_json::to_string_pretty(&Config::schema()).unwrap();
    current("docs/reference/configuration.schema.json", &format!("{schema}\n"));
}

#[test]
fn every_command_has_a_manual_page_and_a_sentence() {
    let pages = reference::man_pages().unwrap();
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.first(), Some(&"chantal.1"));
    for name in ["chantal-init.1", "chantal-snapshot-diff.1", "chantal-trust-add.1"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for (name, page) in &pages {
        assert!(page.starts_with(".ie") && page.contains(".SH NAME"), "{name}: {page}");
    }
    if clients::have("man") {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("chantal.1"), &pages[0].1).unwrap();
        let mut man = std::process::Command::new("man");
        let said = clients::ok(man.args(["-l", "-P", "cat"]).arg(dir.path().join("chantal.1")));
        assert!(said.contains("air gap"), "{said}");
    }
}

#[test]
fn every_example_loads_and_every_repository_of_it_can_be_built() {
    let dir = tempfile::tempdir().unwrap();
    crate::world::copy(&root().join("examples"), dir.path());
    let examples = dir.path().join("examples");
    let mut seen = 0;
    for entry in fs::read_dir(&examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        // what comes from the environment is a URL in all of them
        let mut text = fs::read_to_string(&path).unwrap();
        while let Some(at) = text.lines().find(|line| line.trim_start().starts_with("url: ${")) {
            let line = at.to_owned();
            let (before, rest) = line.split_once("${").unwrap();
            let (_, after) = rest.split_once('}').unwrap();
            text = text.replace(&line, &format!("{before}https://mirror.example.org/repo{after}"));
        }
        fs::write(&path, &text).unwrap();
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for repository in config.repositories.iter().filter(|repository| repository.has_upstream()) {
            if let Err(fault) = formats::build(repository) {
                panic!("{fault}");
            }
        }
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} examples");
}

#[test]
fn every_example_says_how_it_is_tried() {
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("# ") && text.contains("\n#   chantal "), "{}", path.display());
            for variable in text.split("${").skip(1).filter_map(|rest| rest.split('}').next()) {
                let explained = text.contains(&format!("export {variable}=")) || variable == "HTTPS_PROXY";
                assert!(explained, "{}: {variable} is not explained", path.display());
            }
        }
    }
}

/// The tests that a page names as `FILE::NAME`.
fn named_tests(page: &str) -> Vec<(String, String)> {
    let words = page.split('`').filter_map(|word| word.split_once(".rs::"));
    words.map(|(file, name)| (format!("{file}.rs"), name.to_owned())).collect()
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let mut seen = 0;
    for page in
        ["README.md", "docs/decisions.md", "docs/design.md", "docs/bundle-format.md", "docs/performance.md"]
    {
        for (file, name) in named_tests(&fs::read_to_string(root().join(page)).unwrap()) {
            let code =
                fs::read_to_string(root().join(&file)).unwrap_or_else(|e| panic!("{page}: {file}: {e}"));
            let declared =
                code.split(&format!("fn {name}(")).next().filter(|before| before.len() < code.len());
            // what stands above it, back to the end of what comes before
            let above = declared.and_then(|before| before.rsplit("\n\n").next());
            assert!(
                above.is_some_and(|lines| lines.contains("test]")),
                "{page}: there is no test {file}::{name}"
            );
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} tests are named");
}

#[test]
fn every_row_of_what_is_refused_names_a_test() {
    let page = fs::read_to_string(root().join("docs/decisions.md")).unwrap();
    let mut rows = 0;
    for section in
        ["## What clients refuse, and what holds it", "## What a bundle survives, and what holds it"]
    {
        let text = page.split(section).nth(1).unwrap_or_else(|| panic!("there is no section `{section}`"));
        let text = text.split("\n## ").next().unwrap();
        for row in text.lines().filter(|line| line.starts_with("| ") && !line.contains("what holds it")) {
            assert!(!named_tests(row).is_empty(), "no test holds: {row}");
            rows += 1;
        }
    }
    assert!(rows > 60, "only {rows} rows");
}
