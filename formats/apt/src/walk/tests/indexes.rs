//! Which indexes are asked for, how, and what it means when they are not there.

use chantal_contract::{Algorithm, FormatError, Policy};
use serde_json::json;

use crate::harness::{Keys, Repo, apt, digest, drive, gzip, stanza, walk, xz};

/// A suite with all that Debian and Ubuntu have, for two architectures and two languages.
fn rich() -> Repo {
    let mut repo = Repo::new("s").field("Acquire-By-Hash: yes");
    for architecture in ["amd64", "arm64"] {
        repo = repo
            .index(&format!("main/binary-{architecture}/Packages"), &stanza("a", "1", architecture, b"a"))
            .index(
                &format!("main/debian-installer/binary-{architecture}/Packages"),
                &stanza("u", "1", architecture, b"u"),
            )
            .index(&format!("main/dep11/Components-{architecture}.yml"), "File: DEP-11\n")
            .index(&format!("main/dep11/CID-Index-{architecture}.json"), "{}")
            .index(&format!("main/cnf/Commands-{architecture}"), "suite: s\n")
            .index(&format!("main/Contents-{architecture}"), "usr/bin/a a\n")
            .index(&format!("main/Contents-udeb-{architecture}"), "usr/bin/u u\n")
            .index(&format!("Contents-{architecture}"), "usr/bin/a a\n")
            .file(&format!("main/binary-{architecture}/Release"), b"Archive: s\n")
            .file(&format!("main/binary-{architecture}/Packages.diff/Index"), b"SHA256-Current: x\n")
            .file(&format!("main/installer-{architecture}/current/images/SHA256SUMS"), b"")
            .file(&format!("main/installer-{architecture}/20230607/images/SHA256SUMS"), b"");
    }
    for size in ["48x48", "64x64", "64x64@2", "128x128"] {
        repo = repo.file(&format!("main/dep11/icons-{size}.tar.gz"), &gzip(size.as_bytes()));
    }
    for language in ["en", "de", "pt_BR"] {
        repo = repo.index(&format!("main/i18n/Translation-{language}"), "Package: a\n");
    }
    repo.index("main/Contents-source", "a.c a\n")
        .index(
            "main/source/Sources",
            &format!(
                "Package: a\nVersion: 1\nDirectory: pool/a\nChecksums-Sha256:\n {} 1 a.dsc\n",
                digest(Algorithm::Sha256, b"a")
            ),
        )
        .index("contrib/binary-amd64/Packages", "")
}

/// Returns the published paths below the suite's directory, without anchors.
fn below(more: serde_json::Value, repo: &Repo) -> Vec<String> {
    let outcome = walk(&apt(more), &repo.files()).unwrap();
    let names = outcome.names().into_iter().filter_map(|path| path.strip_prefix("dists/s/"));
    names.filter(|path| !path.contains("Release")).map(str::to_owned).collect()
}

#[test]
fn what_stock_clients_ask_for_is_mirrored_and_nothing_else() {
    assert_eq!(
        below(json!({}), &rich()),
        [
            "main/binary-amd64/Packages.xz",
            "main/cnf/Commands-amd64.xz",
            "main/dep11/CID-Index-amd64.json.xz",
            "main/dep11/Components-amd64.yml.xz",
            "main/dep11/icons-128x128.tar.gz",
            "main/dep11/icons-48x48.tar.gz",
            "main/dep11/icons-64x64.tar.gz",
            "main/dep11/icons-64x64@2.tar.gz",
            "main/i18n/Translation-en.xz",
        ]
    );
}

#[test]
fn switches_turn_on_and_off_what_they_name() {
    let stock = below(json!({}), &rich());
    let added = |more: serde_json::Value| -> Vec<String> {
        below(more, &rich()).into_iter().filter(|path| !stock.contains(path)).collect()
    };
    assert_eq!(added(json!({ "contents": true })), ["Contents-amd64.xz", "main/Contents-amd64.xz"]);
    assert_eq!(
        added(json!({ "contents": true, "udebs": true, "sources": true })),
        [
            "Contents-amd64.xz",
            "main/Contents-amd64.xz",
            "main/Contents-source.xz",
            "main/Contents-udeb-amd64.xz",
            "main/debian-installer/binary-amd64/Packages.xz",
            "main/source/Sources.xz",
        ]
    );
    assert_eq!(added(json!({ "installer": true })), ["main/installer-amd64/current/images/SHA256SUMS"]);
    assert_eq!(added(json!({ "languages": ["en", "pt_BR", "xx"] })), ["main/i18n/Translation-pt_BR.xz"]);
    assert_eq!(
        below(json!({ "languages": [], "dep11": false, "command_not_found": false }), &rich()),
        ["main/binary-amd64/Packages.xz"]
    );
    let both = below(json!({ "architectures": ["amd64", "arm64"] }), &rich());
    assert!(
        both.contains(&"main/binary-arm64/Packages.xz".into())
            && both.contains(&"main/cnf/Commands-arm64.xz".into())
    );
}

#[test]
fn all_compressions_are_mirrored_on_request_as_far_as_they_are_there() {
    let repo = Repo::new("s")
        .index("main/binary-amd64/Packages", &stanza("a", "1", "amd64", b"a"))
        .index("main/i18n/Translation-en", "Package: a\n")
        .without("main/i18n/Translation-en.xz");
    let outcome = walk(&apt(json!({ "compressions": "all" })), &repo.files()).unwrap();
    assert_eq!(
        outcome.names()[3..],
        [
            "dists/s/main/binary-amd64/Packages.gz",
            "dists/s/main/binary-amd64/Packages.xz",
            "dists/s/main/i18n/Translation-en.gz",
        ]
    );
    assert_eq!(outcome.keys(), ["a 1 amd64"], "of several compressions one is read");
    let repo = repo.without("main/binary-amd64/Packages.xz").without("main/binary-amd64/Packages.gz");
    let error = walk(&apt(json!({ "compressions": "all" })), &repo.files()).unwrap_err().to_string();
    assert!(
        error.contains("`dists/s/main/binary-amd64/Packages`: an index that `Release` lists is not there"),
        "{error}"
    );
}

#[test]
fn the_next_listed_compression_serves_where_the_best_is_missing() {
    let packages = stanza("a", "1", "amd64", b"a");
    let repo = Repo::new("s")
        .index("main/binary-amd64/Packages", &packages)
        .file("main/binary-amd64/Packages.zst", &zstd::encode_all(packages.as_bytes(), 3).unwrap());
    for (missing, served) in
        [(&[][..], ".xz"), (&[".xz"], ".zst"), (&[".xz", ".zst"], ".gz"), (&[".xz", ".zst", ".gz"], "")]
    {
        let mut repo = repo.clone();
        repo.missing.clear();
        for extension in missing {
            repo = repo.without(&format!("main/binary-amd64/Packages{extension}"));
        }
        let outcome = walk(&apt(json!({})), &repo.files()).unwrap();
        assert_eq!(
            outcome.names()[3..],
            [format!("dists/s/main/binary-amd64/Packages{served}")],
            "without {missing:?}"
        );
        assert_eq!(outcome.keys(), ["a 1 amd64"]);
    }
}

#[test]
fn an_index_that_is_listed_but_missing_fails_if_stock_clients_ask_for_it() {
    let gone = |base: &str| rich().without(&format!("{base}.xz")).without(&format!("{base}.gz"));
    for base in [
        "main/binary-amd64/Packages",
        "main/i18n/Translation-en",
        "main/cnf/Commands-amd64",
        "main/dep11/Components-amd64.yml",
    ] {
        let error = walk(&apt(json!({})), &gone(base).files()).unwrap_err().to_string();
        assert!(error.contains(&format!("dists/s/{base}")), "{error}");
    }
    // icons and lists of files are asked for only where more is installed
    for (more, path) in
        [(json!({}), "main/dep11/icons-48x48.tar"), (json!({ "contents": true }), "Contents-amd64")]
    {
        let outcome = walk(&apt(more), &gone(path).files()).unwrap();
        assert_eq!(outcome.notices.len(), 1);
        assert!(outcome.notices[0].starts_with(&format!("dists/s/{path}: is listed upstream but not there")));
    }
}

#[test]
fn an_empty_index_may_be_missing() {
    let repo = rich().without("contrib/binary-amd64/Packages.xz").without("contrib/binary-amd64/Packages.gz");
    for compressions in ["best", "all"] {
        let apt = apt(json!({ "components": ["main", "contrib"], "compressions": compressions }));
        assert_eq!(walk(&apt, &repo.files()).unwrap().notices, [""; 0]);
    }
}

#[test]
fn by_hash_is_asked_for_first_and_every_listed_digest_is_served() {
    let mut repo = rich();
    repo.algorithms = vec![Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512];
    let mut files = repo.files();
    let index = "dists/s/main/binary-amd64/Packages.xz";
    let bytes = files.remove(index).unwrap();
    let name = |directory: &str, algorithm| {
        format!("dists/s/main/binary-amd64/by-hash/{directory}/{}", digest(algorithm, &bytes))
    };
    files.insert(name("SHA256", Algorithm::Sha256), bytes.clone());
    let outcome = walk(&apt(json!({})), &files).unwrap();
    let asked: Vec<_> = outcome
        .asked
        .iter()
        .filter(|path| path.contains("binary-amd64") && !path.contains("Packages.gz"))
        .collect();
    assert_eq!(
        asked[..3],
        [&name("SHA512", Algorithm::Sha512), &name("SHA256", Algorithm::Sha256), &index.to_owned()]
    );
    for (directory, algorithm) in
        [("SHA512", Algorithm::Sha512), ("SHA256", Algorithm::Sha256), ("MD5Sum", Algorithm::Md5)]
    {
        assert_eq!(outcome.tree.get(&name(directory, algorithm)), Some(&bytes), "{directory}");
    }
    // every kept index has its by-hash names
    let indexes = outcome.names().len() - 3;
    assert_eq!(outcome.tree.len() - outcome.names().len(), indexes * 3);
}

#[test]
fn without_acquire_by_hash_nothing_is_asked_for_or_served_by_hash() {
    let repo = Repo::new("s").index("main/binary-amd64/Packages", &stanza("a", "1", "amd64", b"a"));
    let outcome = walk(&apt(json!({})), &repo.files()).unwrap();
    assert!(outcome.asked.iter().chain(outcome.tree.keys()).all(|path| !path.contains("by-hash")));
}

#[test]
fn packages_for_all_have_an_index_of_their_own_only_where_clients_look_for_it() {
    for (architectures, no_support, expected) in [
        ("Architectures: amd64", "", false),
        ("Architectures: all amd64", "", true),
        ("Architectures: all amd64", "No-Support-for-Architecture-all: Packages", false),
        ("Architectures: all amd64", "No-Support-for-Architecture-all: Contents-deb", true),
        ("X-None: x", "", true),
    ] {
        let mut repo = Repo::new("s")
            .index("main/binary-amd64/Packages", &stanza("a", "1", "amd64", b"a"))
            .index("main/binary-all/Packages", &stanza("b", "1", "all", b"b"))
            .field(if no_support.is_empty() { "X-None-Either: x" } else { no_support });
        repo.fields = repo.fields.replace("Architectures: amd64 arm64", architectures);
        let outcome = walk(&apt(json!({})), &repo.files()).unwrap();
        assert_eq!(outcome.keys().contains(&"b 1 all".into()), expected, "{architectures}, {no_support}");
    }
    // and by explicit wish
    let mut repo = Repo::new("s").index("main/binary-all/Packages", &stanza("b", "1", "all", b"b"));
    repo.fields = repo.fields.replace("Architectures: amd64 arm64", "Architectures: all");
    assert_eq!(walk(&apt(json!({ "architectures": ["all"] })), &repo.files()).unwrap().keys(), ["b 1 all"]);
}

#[test]
fn components_may_hold_a_slash() {
    let mut security = Repo::new("s").index("main/binary-amd64/Packages", &stanza("a", "1", "amd64", b"a"));
    security.fields = security.fields.replace("Components: main", "Components: updates/main updates/contrib");
    for component in ["main", "updates/main"] {
        let outcome = walk(&apt(json!({ "components": [component] })), &security.files()).unwrap();
        assert_eq!(outcome.names()[3..], ["dists/s/main/binary-amd64/Packages.xz"]);
    }
    let literal =
        Repo::new("s").index("updates/main/binary-amd64/Packages", &stanza("a", "1", "amd64", b"a"));
    let outcome = walk(&apt(json!({ "components": ["updates/main"] })), &literal.files()).unwrap();
    assert_eq!(outcome.names()[3..], ["dists/s/updates/main/binary-amd64/Packages.xz"]);
}

#[test]
fn what_upstream_does_not_offer_is_named_with_what_it_does() {
    let repo = Repo::new("s").index("main/binary-amd64/Packages", "");
    for (more, message) in [
        (
            json!({ "components": ["mian"] }),
            "`dists/s/InRelease`: component `mian` is not there; it has `main`",
        ),
        (
            json!({ "architectures": ["riscv64"] }),
            "`dists/s/InRelease`: architecture `riscv64` is not there; it has `amd64`, `arm64`",
        ),
        (
            json!({ "architectures": ["arm64"] }),
            "`dists/s/InRelease`: index `main/binary-arm64/Packages` is not there; it has no such entry",
        ),
    ] {
        let error = walk(&apt(more), &repo.files()).unwrap_err();
        assert!(matches!(error, FormatError::NotOffered { .. }));
        assert_eq!(error.to_string(), message);
    }
    for switch in ["contents", "sources", "udebs", "installer"] {
        let error = walk(&apt(json!({ switch: true })), &repo.files()).unwrap_err();
        assert!(
            matches!(&error, FormatError::NotOffered { what, .. } if what.contains(&format!("{switch}: true"))),
            "{error}"
        );
    }
}

#[test]
fn a_switch_is_honoured_if_one_of_several_suites_has_something_for_it() {
    let mut files = rich().files();
    files.extend(Repo::new("s-updates").index("main/binary-amd64/Packages", "").files());
    let more = json!({ "suites": ["s", "s-updates"], "contents": true, "sources": true, "udebs": true, "installer": true });
    assert!(walk(&apt(more), &files).is_ok());
}

#[test]
fn flat_repositories_lie_in_one_directory_and_name_files_from_the_root() {
    let packages = stanza("a", "1", "amd64", b"a").replace("Filename: pool/", "Filename: ./")
        + "\n"
        + &stanza("b", "1", "arm64", b"b")
        + "\n"
        + &stanza("c", "1", "all", b"c");
    for (suite, directory) in [("./", ""), ("/", ""), ("stable/", "stable/"), ("./x/y/", "x/y/")] {
        let repo = Repo::flat(directory)
            .field("Acquire-By-Hash: yes")
            .index("Packages", &packages)
            .index("en", "Package: a\n");
        let outcome = walk(&apt(json!({ "suites": [suite], "components": [] })), &repo.files()).unwrap();
        assert!(outcome.tree.contains_key(&format!("{directory}Packages.xz")), "{suite}");
        assert!(outcome.tree.contains_key(&format!("{directory}en.xz")), "{suite}");
        assert!(
            outcome.tree.keys().any(|path| path.starts_with(&format!("{directory}by-hash/SHA256/"))),
            "{suite}"
        );
        assert_eq!(outcome.keys(), ["a 1 amd64", "c 1 all"], "packages of other architectures are left out");
        assert_eq!(outcome.payloads[0].path.as_str(), "a_1_amd64.deb");
    }
    let error =
        walk(&apt(json!({ "suites": ["./"], "components": [] })), &Repo::flat("").file("x", b"").files())
            .unwrap_err();
    assert!(error.to_string().contains("index `Packages` is not there"), "{error}");
}

#[test]
fn the_installer_is_taken_by_its_sums() {
    let sums = format!(
        "{}  ./netboot/mini.iso\n{} *cdrom/vmlinuz\n\n",
        digest(Algorithm::Sha256, b"m"),
        digest(Algorithm::Sha256, b"v")
    );
    let with = |sums: &str| {
        let repo = Repo::new("s")
            .index("main/binary-amd64/Packages", "")
            .file("main/installer-amd64/current/legacy-images/SHA256SUMS", sums.as_bytes());
        walk(&apt(json!({ "installer": true })), &repo.files())
    };
    let outcome = with(&sums).unwrap();
    let directory = "dists/s/main/installer-amd64/current/legacy-images";
    let files: Vec<_> = outcome.payloads.iter().map(|want| want.path.to_string()).collect();
    assert_eq!(files, [format!("{directory}/netboot/mini.iso"), format!("{directory}/cdrom/vmlinuz")]);
    assert!(outcome.payloads.iter().all(|want| want.expect.is_proof()));
    let hash = digest(Algorithm::Sha256, b"m");
    for bad in [
        format!("{hash}  ../../../etc/passwd"),
        format!("{hash}  /etc/passwd"),
        hash.clone(),
        "00  a".into(),
        format!("{hash}  a\0"),
    ] {
        assert!(with(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_comes_out_of_an_index_must_be_what_release_lists() {
    let honest = stanza("a", "1", "amd64", b"a");
    for lie in [honest.replace("Package: a", "Package: b"), format!("{honest}\n{honest}"), String::new()] {
        let repo = Repo::new("s")
            .index("main/binary-amd64/Packages", &honest)
            .file("main/binary-amd64/Packages.xz", &xz(lie.as_bytes()));
        for compressions in ["best", "all"] {
            let error =
                walk(&apt(json!({ "compressions": compressions })), &repo.files()).unwrap_err().to_string();
            assert!(error.contains("Packages.xz`: decompressed, it is not what `Release` lists"), "{error}");
        }
        // whichever compression comes first
        let all = apt(json!({ "compressions": "all" }));
        let error = drive(&all, &repo.files(), &Keys(Policy::Require), true).unwrap_err().to_string();
        assert!(error.contains("Packages.xz`: decompressed"), "{error}");
    }
}
