//! Exact messages for what is wrong with a configuration, and what a right one says.

use std::{fs, path::Path};

use super::*;

const HEAD: &str = "role: collector\nsite: hq\nstorage: { root: store, published: published }\n";

/// Reads `more` behind the essentials and shows what is wrong, as the command line does, paths shortened.
fn refused(more: &str) -> String {
    whole(&format!("{HEAD}{more}"))
}

fn whole(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("chantal.yaml"), text).unwrap();
    said(dir.path())
}

fn said(dir: &Path) -> String {
    let error = Config::load(&dir.join("chantal.yaml")).unwrap_err();
    let mut out = Vec::new();
    for fault in error.faults() {
        out.push(fault.to_string());
        out.extend(fault.excerpt());
        out.extend(fault.hint().map(|hint| format!("hint: {hint}")));
    }
    if out.is_empty() {
        out.push(error.to_string());
    }
    out.join("\n").replace(&format!("{}/", dir.display()), "")
}

#[track_caller]
fn expect(more: &str, message: &str) {
    assert_eq!(refused(more), message.trim_matches('\n'));
}

#[test]
fn an_unknown_key_is_shown_where_it_stands() {
    expect(
        "repositories:\n  - name: a\n    url: https://mirror.example.org\n    rmp: {}\n",
        "
`chantal.yaml`, line 7, column 5: unknown key `rmp`
  |
7 |     rmp: {}
  |     ^
hint: did you mean `rpm`?",
    );
    expect(
        "colour: red\n",
        "
`chantal.yaml`, line 4, column 1: unknown key `colour`
  |
4 | colour: red
  | ^
hint: known here: `role`, `site`, `key`, `storage`, `include`, `download`, `repositories`, `sites`",
    );
}

#[test]
fn a_wrong_type_is_shown_where_it_stands() {
    expect(
        "repositories: {}\n",
        "
`chantal.yaml`, line 4, column 15: expected a list
  |
4 | repositories: {}
  |               ^
hint: a list is written as `[a, b]`, or one item a line behind `- `",
    );
    expect(
        "repositories:\n  - name: a\n    enabled: yes\n",
        "
`chantal.yaml`, line 6, column 14: expected `true` or `false`
  |
6 |     enabled: yes
  |              ^",
    );
    expect(
        "download: { parallel: 0 }\n",
        "
`chantal.yaml`, line 4, column 23: 0 is not from 1 to 256
  |
4 | download: { parallel: 0 }
  |                       ^",
    );
    expect(
        "sites:\n  - name: p\n    repositories: [a]\n    volume_size: 2MiB\n",
        "
`chantal.yaml`, line 7, column 18: a volume of 2MiB is not from 4MiB to 1TiB
  |
7 |     volume_size: 2MiB
  |                  ^",
    );
    expect(
        "download: { rate_limit: 50MB }\n",
        "
`chantal.yaml`, line 4, column 25: `50MB` is no rate: write a number and a unit, as in `50MB/s`
  |
4 | download: { rate_limit: 50MB }
  |                         ^",
    );
    expect(
        "repositories:\n  - name: a\n    url: https://mirror.example.org/\n    missing: alow\n    rpm:\n",
        "
`chantal.yaml`, line 7, column 14: `alow` is none of `fail`, `allow`
  |
7 |     missing: alow
  |              ^
hint: did you mean `allow`?",
    );
    expect(
        "repositories:\n  - name: A\n",
        "
`chantal.yaml`, line 5, column 11: `A` is no name: it takes a-z, 0-9, `.`, `_`, `-`, begins with a letter or digit and has at most 64 of them
  |
5 |   - name: A
  |           ^",
    );
}

#[test]
fn what_is_no_yaml_gets_a_hint_about_indentation() {
    expect(
        "repositories:\n  - name: a\n\tenabled: true\n",
        "
`chantal.yaml`, line 5, column 11: not YAML: while scanning a plain scalar, found a tab
  |
5 |   - name: a
  |           ^
hint: YAML is indented by blanks; there is a tab",
    );
    assert!(
        refused("repositories:\n  - name: a\n   enabled: true\n")
            .contains("hint: the keys of one block begin")
    );
}

#[test]
fn later_keys_are_refused_and_never_ignored() {
    expect(
        "repositories:\n  - name: a\n    filters: { include: [x] }\n",
        "
`chantal.yaml`, line 6, column 14: `filters` is not supported yet
  |
6 |     filters: { include: [x] }
  |              ^
hint: it is part of the design and comes with a later version; take the key out",
    );
    let apt = "apt: { suites: [s], components: [main], architectures: [amd64] }";
    for (more, key) in [
        ("views: []\n".into(), "`views` is not supported yet"),
        (
            "sites:\n  - { name: p, repositories: [], parity: 0% }\n".into(),
            "`0%` is no percentage from 1 to 100",
        ),
        ("repositories:\n  - { name: a, helm: {} }\n".into(), "`helm` is not supported yet"),
        ("repositories:\n  - { name: a, apk: {} }\n".into(), "`apk` is not supported yet"),
        ("repositories:\n  - { name: a, mode: hosted }\n".into(), "`mode: hosted` is not supported yet"),
        (
            format!("repositories:\n  - {{ name: a, url: file:///u, keys: [k], mode: filtered, {apt} }}\n"),
            "`mode: filtered` is not supported yet for apt",
        ),
        (
            format!(
                "repositories:\n  - {{ name: a, url: file:///u, keys: [k], retention: {{ keep: 2 }}, {apt} }}\n"
            ),
            "`retention` is not supported yet for apt",
        ),
        (
            "repositories:\n  - { name: a, url: file:///u, mode: filtered, rpm: {} }\n".into(),
            "`mode: filtered` is not supported yet for rpm",
        ),
        (
            "repositories:\n  - { name: a, url: file:///u, retention: { keep: 2 }, rpm: {} }\n".into(),
            "`retention` is not supported yet for rpm",
        ),
    ] {
        let more: String = more;
        let said = refused(&more);
        assert!(said.contains(key), "{said}");
    }
}

#[test]
fn lists_of_mirrors_take_variables_and_are_shown_as_they_were_written() {
    for key in ["mirrorlist", "metalink"] {
        let text = |variable: &str| {
            format!(
                "{HEAD}repositories:\n  - name: a\n    rpm: {{ {key}: \"https://mirrors.example.org/${{{variable}}}?x=1\" }}\n"
            )
        };
        let said = whole(&text("CHANTAL_TEST_NO_SUCH_VARIABLE"));
        assert!(said.contains("line 6, column") && said.contains("NO_SUCH_VARIABLE` is not set"), "{said}");
        let dir = tempfile::tempdir().unwrap();
        // cargo sets it for every test
        fs::write(dir.path().join("chantal.yaml"), text("CARGO_PKG_NAME")).unwrap();
        let config = Config::load(&dir.path().join("chantal.yaml")).unwrap();
        let rpm = config.repositories[0].rpm.as_ref().unwrap();
        let location = rpm.mirrorlist.as_ref().or(rpm.metalink.as_ref()).unwrap();
        assert_eq!(location.url().as_str(), "https://mirrors.example.org/chantal?x=1");
        let shown = serde_json::to_string(&config.repositories[0]).unwrap();
        assert!(shown.contains("${CARGO_PKG_NAME}"), "{shown}");
    }
}

#[test]
fn a_missing_variable_is_shown_where_it_is_used() {
    expect(
        "repositories:\n  - name: a\n    url: https://${CHANTAL_TEST_NO_SUCH_VARIABLE}/debian\n",
        "
`chantal.yaml`, line 6, column 10: the environment variable `CHANTAL_TEST_NO_SUCH_VARIABLE` is not set
  |
6 |     url: https://${CHANTAL_TEST_NO_SUCH_VARIABLE}/debian
  |          ^
hint: set it before the command; `$${` stands for the characters `${`",
    );
}

#[test]
fn secrets_are_in_no_message() {
    let said = refused("repositories:\n  - name: a\n    url: https://me:hunter2@mirror.example.org/\n");
    assert!(said.contains("a password must not stand in the configuration"), "{said}");
    assert!(said.contains("https://***@mirror.example.org/"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    for more in [
        "repositories:\n  - name: a\n    auth: { username: me, password: hunter2 }\n",
        "repositories:\n  - name: a\n    auth: hunter2 # the password\n",
        "download: { token: hunter2 }\n",
    ] {
        let said = refused(more);
        let message = said.lines().next().unwrap();
        assert!(!message.contains("hunter2"), "{said}");
    }
    assert!(!refused("download: { token: hunter2 }\n").contains("hunter2"));
}

#[test]
fn keys_stand_once_and_merge_nothing() {
    assert!(refused("site: other\n").contains("line 4, column 1: the key `site` stands twice"));
    let merge = "repositories:\n  - &a\n    name: a\n  - <<: *a\n    name: b\n";
    assert!(refused(merge).contains("merge keys (`<<`) are not taken"), "{}", refused(merge));
    assert!(whole("role: collector\n").contains("`site` is missing"));
    assert!(whole("").contains("chantal.yaml"));
}

#[test]
fn a_repository_has_exactly_one_format_block() {
    expect(
        "repositories:\n  - name: a\n    url: https://mirror.example.org/\n    rpm:\n    pypi: { projects: [x] }\n",
        "
`chantal.yaml`, line 5, column 5: `a` has 2 format blocks: `rpm`, `pypi`
  |
5 |   - name: a
  |     ^
hint: a repository has exactly one; make two repositories of it",
    );
    assert!(refused("repositories:\n  - { name: a, url: file:///x }\n").contains("`a` has no format block"));
    assert!(
        refused("repositories:\n  - { name: a, rpm: {} }\n").contains("does not say where it comes from")
    );
    let receiver = "role: receiver\nsite: b\nstorage: { root: store, published: published }\nrepositories: [{ name: a, rpm: {} }]\n";
    assert!(whole(receiver).contains("remove `rpm:` if it arrives by bundle"), "{}", whole(receiver));
}

#[test]
fn access_is_a_name_with_a_password_or_a_token() {
    let head = "repositories:\n  - name: a\n    url: https://mirror.example.org/\n    rpm:\n";
    for auth in [
        "{}",
        "{ username: me }",
        "{ password_env: PW }",
        "{ username: me, password_env: PW, password_file: pw }",
        "{ username: me, token_env: T }",
        "{ token_env: T, token_file: t }",
    ] {
        let said = refused(&format!("{head}    auth: {auth}\n"));
        assert!(said.contains("neither a name with one password nor one token"), "{auth}: {said}");
    }
    assert!(refused(&format!("{head}    tls: {{ client_key: k }}\n")).contains("no `client_cert`"));
}

#[test]
fn sites_get_repositories_that_exist() {
    expect(
        "repositories:\n  - { name: bookworm, url: file:///m, rpm: {} }\nsites:\n  - { name: p, repositories: [bookwrm] }\n",
        "
`chantal.yaml`, line 7, column 5: the site `p` gets `bookwrm`, which is no repository here
  |
7 |   - { name: p, repositories: [bookwrm] }
  |     ^
hint: did you mean `bookworm`?",
    );
    let double = "repositories:\n  - { name: b, url: file:///m, rpm: {} }\nsites:\n  - { name: hq, repositories: [b, b] }\n";
    let said = refused(double);
    assert!(said.contains("`hq` is this very site") && said.contains("gets `b` twice"), "{said}");
}

#[test]
fn published_paths_do_not_meet() {
    let said = refused(
        "repositories:\n  - { name: a, url: file:///a, path: rhel/9, rpm: {} }\n  - { name: b, url: file:///b, path: rhel/9/os, rpm: {} }\n",
    );
    assert!(said.contains("`rhel/9/os` would be published inside `rhel/9`, the place of `a`"), "{said}");
    let said = refused(
        "repositories:\n  - { name: a, url: file:///a, path: b, rpm: {} }\n  - { name: b, url: file:///b, rpm: {} }\n",
    );
    assert!(said.contains("would be published inside `b`"), "{said}");
}

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

#[test]
fn included_files_are_merged_in_order_and_keep_their_directory() {
    let main = format!("{HEAD}include: [conf.d/*.yaml]\nsites:\n  - {{ name: p, repositories: [a, b] }}\n");
    let dir = tree(&[
        ("chantal.yaml", &main),
        ("conf.d/20.yaml", "repositories:\n  - { name: b, url: file:///b, keys: [b.asc], rpm: }\n"),
        ("conf.d/10.yaml", "repositories:\n  - { name: a, url: file:///a, rpm: }\n"),
        ("conf.d/empty.yaml", "# nothing yet\n"),
        ("conf.d/.hidden.yaml", "nonsense: true\n"),
        ("conf.d/other.txt", "nonsense: true\n"),
    ]);
    let config = Config::load(&dir.path().join("chantal.yaml")).unwrap();
    let names: Vec<&str> = config.repositories.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(config.repositories[1].keys[0].resolve(), dir.path().join("conf.d/b.asc"));
    assert_eq!(config.storage.root.resolve(), dir.path().join("store"));
    assert_eq!(config.key.resolve(), dir.path().join("keys/hq"));
    assert_eq!(config.files.len(), 4);
}

#[test]
fn what_is_wrong_in_an_included_file_is_shown_there() {
    let main = format!("{HEAD}include: [a.yaml, b.yaml]\n");
    let entry = "repositories:\n  - { name: a, url: file:///a, rpm: }\n";
    let dir = tree(&[("chantal.yaml", &main), ("a.yaml", entry), ("b.yaml", entry)]);
    assert_eq!(
        said(dir.path()),
        "`b.yaml`, line 2, column 5: the repository `a` is there twice; the first stands in `a.yaml`, line 2, column 5
  |
2 |   - { name: a, url: file:///a, rpm: }
  |     ^
hint: give one of them another name"
    );
    let dir = tree(&[("chantal.yaml", &main), ("a.yaml", "storage: {}\n"), ("b.yaml", "")]);
    assert!(
        said(dir.path()).contains("hint: `storage` belongs into the main file, not into an included one")
    );
    let dir = tree(&[("chantal.yaml", &main), ("a.yaml", "")]);
    assert!(said(dir.path()).starts_with("`chantal.yaml`, line 4, column 19: there is no file `b.yaml`"));
}

#[test]
fn files_do_not_include_each_other_for_ever() {
    let main = format!("{HEAD}include: [a.yaml]\n");
    let dir = tree(&[
        ("chantal.yaml", &main),
        ("a.yaml", "include: [b.yaml]\n"),
        ("b.yaml", "include: ['?.yaml']\n"),
    ]);
    assert!(said(dir.path()).contains("includes itself"), "{}", said(dir.path()));
    let dir = tree(&[("chantal.yaml", &main), ("a.yaml", "include: [chantal.yaml]\n")]);
    assert!(said(dir.path()).contains("includes itself"), "{}", said(dir.path()));
    let twice = format!("{HEAD}include: [a.yaml, 'a*.yaml']\n");
    let dir = tree(&[("chantal.yaml", &twice), ("a.yaml", "")]);
    assert!(said(dir.path()).contains("is included twice"), "{}", said(dir.path()));
    for (depth, refused) in [(8, false), (9, true)] {
        let mut files = vec![("chantal.yaml".to_owned(), format!("{HEAD}include: [1.yaml]\n"))];
        files.extend((1..depth).map(|n| (format!("{n}.yaml"), format!("include: [{}.yaml]\n", n + 1))));
        files.push((format!("{depth}.yaml"), String::new()));
        let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        let found = Config::load(&tree(&files).path().join("chantal.yaml"));
        let deep = found.as_ref().is_err_and(|error| error.to_string().contains("deeper than 8"));
        assert!(deep == refused && found.is_ok() != refused, "{depth}: {found:?}");
    }
}

#[test]
fn a_file_of_any_size_is_not_read_for_ever() {
    for (more, refused) in [(0, false), (1, true)] {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("{HEAD}#{}", "x".repeat((16 << 20) + more - HEAD.len() - 1));
        fs::write(dir.path().join("chantal.yaml"), text).unwrap();
        let found = Config::load(&dir.path().join("chantal.yaml"));
        assert_eq!(found.is_err_and(|error| error.to_string().contains("larger than 16 MiB")), refused);
    }
}

#[test]
fn a_receiver_holds_policies_only() {
    let dir = tree(&[(
        "chantal.yaml",
        "role: receiver\nsite: plant-7\nstorage: { root: s, published: p, switch: exchange, url: https://repo.example.org/ }\n\
         repositories:\n  - { name: a, path: debian/bookworm, keys: [a.asc] }\n",
    )]);
    let config = Config::load(&dir.path().join("chantal.yaml")).unwrap();
    assert_eq!(config.storage.base_url(), "https://repo.example.org");
    assert_eq!(config.repositories[0].published_path(), "debian/bookworm");
    assert_eq!(config.repositories[0].kind(), None);
    let same = "repositories:\n  - { name: a, path: debian/bookworm, keys: [a.asc] }\n";
    assert!(refused(same).contains("no format block"));
}

#[test]
fn a_variable_between_braces_wants_quotes_and_that_is_said() {
    let said = refused("download: { proxy: ${HTTPS_PROXY} }\n");
    assert!(said.contains("line 4") && said.contains("is quoted: `{ proxy: \"${HTTPS_PROXY}\" }`"), "{said}");
    let said = refused("download: { parallel: 0 }\n");
    assert!(!said.contains("quoted"), "{said}");
}

#[test]
fn what_is_shown_can_be_read_again() {
    let text = format!(
        "{HEAD}download: {{ parallel: 4, rate_limit: 50MB/s, proxy: \"${{CARGO_MANIFEST_DIR}}\" }}\n\
         repositories:\n  - {{ name: a, url: 'file://${{CARGO_MANIFEST_DIR}}/x', verify: {{ packages: off }}, rpm: }}\n\
         sites:\n  - {{ name: p, repositories: [a], volume_size: 700MB, parity: 10% }}\n"
    );
    let dir = tree(&[("chantal.yaml", &text)]);
    let config = Config::load(&dir.path().join("chantal.yaml")).unwrap();
    let shown = config.show().unwrap();
    assert!(
        shown.contains("${CARGO_MANIFEST_DIR}") && !shown.contains(env!("CARGO_MANIFEST_DIR")),
        "{shown}"
    );
    fs::write(dir.path().join("chantal.yaml"), &shown).unwrap();
    let again = Config::load(&dir.path().join("chantal.yaml")).unwrap();
    assert_eq!(again.show().unwrap(), shown);
    assert_eq!(again.sites[0].volume_size.bytes(), 700_000_000);
    assert_eq!(again.sites[0].parity.map(|p| p.to_string()).as_deref(), Some("10%"));
}

#[test]
fn the_schema_knows_every_key_and_no_later_one() {
    let schema = Config::schema().to_value();
    let text = schema.to_string();
    for key in ["repositories", "volume_size", "client_cert", "password_env", "suites", "stall_timeout"] {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
    for key in ["filters", "views", "helm", "apk"] {
        assert!(schema.pointer(&format!("/properties/{key}")).is_none(), "{key}");
        assert!(schema.pointer(&format!("/$defs/Repository/properties/{key}")).is_none(), "{key}");
    }
}

#[test]
fn a_missing_configuration_names_where_it_was_looked_for() {
    let error =
        ConfigError::NotFound { looked: vec!["chantal.yaml".into(), "/etc/chantal/chantal.yaml".into()] };
    assert_eq!(
        error.to_string(),
        "there is no configuration: looked for `chantal.yaml`, `/etc/chantal/chantal.yaml`"
    );
    assert!(error.hint().unwrap().contains("chantal init"));
    let error = Config::load(Path::new("/nonexistent/chantal.yaml")).unwrap_err();
    assert!(error.to_string().starts_with("`/nonexistent/chantal.yaml`: "), "{error}");
}

#[test]
fn store_and_published_trees_stand_beside_each_other() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("store/inner")).unwrap();
    std::os::unix::fs::symlink("store", dir.path().join("link")).unwrap();
    let path = dir.path().join("chantal.yaml");
    let load = |root: &str, published: &str| {
        let text = format!(
            "role: collector\nsite: hq\nstorage:\n  root: {root}\n  published: {published}\nrepositories: []\n"
        );
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    };
    for (root, published, said) in [
        ("store", "store", "are the same directory"),
        ("store", "./store/", "are the same directory"),
        ("store", "link", "are the same directory"),
        ("store", "store/published", "lies inside `root`"),
        ("store", "link/inner/../new", "lies inside `root`"),
        ("www/store", "www", "lies inside `published`"),
        ("link/inner", "store", "lies inside `published`"),
    ] {
        let error = load(root, published).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(said) && text.contains("chantal.yaml`, line 4"), "{root} {published}: {text}");
    }
    for (root, published) in [("store", "published"), ("store", "store2"), ("a/../store", "inner")] {
        load(root, published).unwrap();
    }
}
