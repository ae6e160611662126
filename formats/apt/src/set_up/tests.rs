use std::{fs, path::Path, process::Command};

use chantal_contract::{Digest, Format, Header, Kind, Line, Mode, Policy};
use serde_json::json;

use super::*;
use crate::{
    Apt,
    harness::{Files, Keys, Repo, apt, drive, stanza},
};

struct Tree(Header, Files);

impl State for Tree {
    fn header(&self) -> &Header {
        &self.0
    }
    fn lines(&self, _visit: &mut dyn FnMut(&Line) -> Result<(), FormatError>) -> Result<(), FormatError> {
        Ok(())
    }
    fn record(&self, _digest: &Digest) -> Result<Vec<u8>, TreeError> {
        Ok(Vec::new())
    }
    fn read(&self, path: &RepoPath, _limit: u64) -> Result<Vec<u8>, TreeError> {
        self.1.get(path.as_str()).cloned().ok_or_else(|| TreeError::NoFile(path.clone()))
    }
}

fn place(base: &str, keys: Option<&str>) -> Place {
    Place {
        name: "bookworm".into(),
        base: base.into(),
        keys: keys.map(|keys| RepoPath::new(keys).unwrap()),
        metadata_signed: false,
        packages_signed: false,
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn sources(apt: &Apt, files: Files, place: &Place) -> String {
    let header = Header { format: Kind::Apt, layout: 1, mode: Mode::Mirror, options: apt.options() };
    let files = apt.set_up(&Tree(header, files), place).unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].install_to, "/etc/apt/sources.list.d/bookworm.sources");
    files[0].text.clone()
}

#[test]
fn names_what_is_mirrored_and_the_key() {
    let repo = Repo::new("s").index("main/binary-amd64/Packages", "");
    let options = json!({ "languages": ["en", "de"] });
    let text = sources(
        &apt(options),
        repo.files(),
        &place("https://repos.example.org/bookworm", Some("keys/bookworm.asc")),
    );
    assert_eq!(
        text,
        "# bookworm, as carried here by Chantal. Keep this file as /etc/apt/sources.list.d/bookworm.sources\n\
         # and upstream's keys, https://repos.example.org/bookworm/keys/bookworm.asc, as /etc/apt/keyrings/bookworm.asc\n\
         Types: deb\n\
         URIs: https://repos.example.org/bookworm\n\
         Suites: s\n\
         Components: main\n\
         Architectures: amd64\n\
         Languages: en de\n\
         Signed-By: /etc/apt/keyrings/bookworm.asc\n"
    );
    let none = sources(
        &apt(json!({ "languages": [], "sources": true })),
        repo.files(),
        &place("file:/srv/a b", Some("k.gpg")),
    );
    assert!(none.contains("Types: deb deb-src\nURIs: file:/srv/a%20b\n"));
    assert!(none.contains("Languages: none\nSigned-By: /etc/apt/keyrings/bookworm.gpg\n"));
}

#[test]
fn says_why_valid_until_is_not_looked_at() {
    let repo = Repo::new("s")
        .field("Valid-Until: Sat, 18 Jul 2026 00:00:00 UTC")
        .index("main/binary-amd64/Packages", "");
    for form in ["InRelease", "Release"] {
        let mut files = repo.files();
        files.retain(|path, _| !path.contains("Release") || path.starts_with(&format!("dists/s/{form}")));
        let text = sources(&apt(json!({})), files, &place("https://repos.example.org/b", Some("k.asc")));
        assert!(text.contains("# Upstream's Valid-Until is 2026-07-18T00:00:00Z"), "{text}");
        assert!(text.ends_with("\nCheck-Valid-Until: no\n"));
    }
}

#[test]
fn suites_that_differ_get_stanzas_of_their_own() {
    let mut files = Repo::new("s").index("main/binary-amd64/Packages", "").files();
    let mut security = Repo::new("s-security")
        .field("Valid-Until: Sat, 18 Jul 2026 00:00:00 UTC")
        .index("main/binary-amd64/Packages", "");
    security.fields = security.fields.replace("Components: main", "Components: updates/main");
    files.extend(security.files());
    files.extend(Repo::new("s-updates").index("main/binary-amd64/Packages", "").files());
    let apt = apt(json!({ "suites": ["s", "s-security", "s-updates"] }));
    let text = sources(&apt, files, &place("https://repos.example.org/b", None));
    let stanzas: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(stanzas.len(), 2);
    assert!(stanzas[0].contains("Suites: s s-updates\n") && !stanzas[0].contains("Valid-Until"));
    assert!(
        stanzas[1].contains("Suites: s-security\nComponents: main\n")
            && stanzas[1].contains("Check-Valid-Until: no")
    );
    assert!(
        !text.contains("Signed-By") && !text.contains("Trusted"),
        "signed by keys that the client must hold"
    );
}

#[test]
fn a_component_is_named_as_clients_must_ask_for_it() {
    let mut repo = Repo::new("s").index("main/binary-amd64/Packages", "");
    repo.fields = repo.fields.replace("Components: main", "Components: updates/main");
    let text = sources(
        &apt(json!({ "components": ["updates/main"] })),
        repo.files(),
        &place("https://x.example.org", None),
    );
    assert!(text.contains("Components: main\n"), "{text}");
}

#[test]
fn a_flat_repository_has_no_components() {
    let files = Repo::flat("stable/").index("Packages", "").files();
    let text = sources(
        &apt(json!({ "suites": ["stable/"], "components": [] })),
        files,
        &place("https://x.example.org", None),
    );
    assert!(text.contains("Suites: stable/\nArchitectures: amd64\n"), "{text}");
}

const APT_CONF: &str = r#"
Dir::Etc::parts "ROOT/none"; Dir::Etc::main "ROOT/none"; Dir::Etc::preferences "ROOT/none"; Dir::Etc::preferencesparts "ROOT/none";
Dir::Etc::sourcelist "ROOT/none"; Dir::Etc::sourceparts "ROOT/sources"; Dir::Etc::trusted "ROOT/none"; Dir::Etc::trustedparts "ROOT/none";
Dir::State "ROOT/state"; Dir::State::status "ROOT/status"; Dir::Cache "ROOT/cache"; Dir::Log "ROOT/log";
APT::Architecture "amd64"; APT::Architectures { "amd64"; "arm64"; }; APT::Sandbox::User "root"; Acquire::Languages { "en"; "de"; };
Acquire::IndexTargets::deb::DEP-11 { MetaKey "$(COMPONENT)/dep11/Components-$(NATIVE_ARCHITECTURE).yml"; };
Acquire::IndexTargets::deb::CNF { MetaKey "$(COMPONENT)/cnf/Commands-$(NATIVE_ARCHITECTURE)"; };
Acquire::IndexTargets::deb::Contents-deb { MetaKey "$(COMPONENT)/Contents-$(ARCHITECTURE)"; };
"#;

/// Runs apt-get in a world of its own.
fn apt_get(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let conf = root.join("apt.conf");
    fs::write(&conf, APT_CONF.replace("ROOT", root.to_str().unwrap())).unwrap();
    for directory in ["none", "sources", "state/lists/partial", "cache/archives/partial", "log", "out"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::write(root.join("status"), "").unwrap();
    let output = Command::new("apt-get")
        .args(arguments)
        .env("APT_CONFIG", conf)
        .env("LC_ALL", "C")
        .current_dir(root.join("out"))
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() && !said.contains("W:") { Ok(said) } else { Err(said) }
}

/// A real apt with every target of Ubuntu's stock settings and apt-file reads what was mirrored, through the file made for it.
#[test]
fn apt_itself_is_content_with_tree_and_sources() {
    if Command::new("apt-get").arg("--version").output().is_err() {
        assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "apt-get is missing");
        println!("skipped: apt-get is missing");
        return;
    }
    let deb = b"the bytes of a package".as_slice();
    let mut repo =
        Repo::new("s").field("Acquire-By-Hash: yes").field("Valid-Until: Sat, 18 Jul 2020 00:00:00 UTC");
    repo.fields = repo.fields.replace("2026", "2020");
    for architecture in ["amd64", "arm64"] {
        repo = repo
            .index(&format!("main/binary-{architecture}/Packages"), &stanza("hello", "1", architecture, deb))
            .index(&format!("main/dep11/Components-{architecture}.yml"), "File: DEP-11\n")
            .index(&format!("main/cnf/Commands-{architecture}"), "suite: s\n")
            .index(&format!("main/Contents-{architecture}"), "usr/bin/hello hello\n");
    }
    repo = repo.index("main/i18n/Translation-en", "").index("main/i18n/Translation-de", "Package: hello\n");
    let mut upstream = repo.files();
    upstream.retain(|path, _| !path.ends_with("InRelease") && !path.ends_with("Release.gpg"));
    for more in [
        json!({}),
        json!({ "dep11": false, "command_not_found": false, "compressions": "all" }),
        json!({ "contents": true }),
    ] {
        let apt = apt(more);
        let outcome = drive(&apt, &upstream, &Keys(Policy::Off), false).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        for (path, bytes) in &outcome.tree {
            write(&root.join("tree").join(path), bytes);
        }
        for want in &outcome.payloads {
            write(&root.join("tree").join(want.path.as_str()), deb);
        }
        let text = sources(&apt, outcome.tree, &place(&format!("file:{}/tree", root.display()), None));
        let file = root.join("sources/bookworm.sources");
        write(&file, text.as_bytes());
        apt_get(root, &["update"]).unwrap_or_else(|said| panic!("{said}\n{text}"));
        apt_get(root, &["download", "hello"]).unwrap_or_else(|said| panic!("{said}\n{text}"));
        assert_eq!(fs::read(root.join("out/hello_1_amd64.deb")).unwrap(), deb);
        // each of these lines is needed: without it apt refuses, for what Release lists and the mirror left out
        for line in ["Architectures: ", "Languages: ", "Targets-Remove: ", "Check-Valid-Until: ", "Trusted: "]
        {
            let without: String = text
                .lines()
                .filter(|l| !l.starts_with(line))
                .map(|l| format!("{l}\n"))
                .collect::<Vec<_>>()
                .concat();
            if without == text {
                continue;
            }
            fs::remove_dir_all(root.join("state")).unwrap();
            write(&file, without.as_bytes());
            assert!(apt_get(root, &["update"]).is_err(), "`{line}` is not needed in\n{text}");
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
