use super::*;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parse(text: &str) -> Result<Release, FormatError> {
    Release::parse(text.as_bytes(), &RepoPath::new("dists/s/Release").unwrap())
}

fn with(fields: &str) -> String {
    format!("{fields}SHA256:\n {EMPTY} 0 main/binary-amd64/Packages\n")
}

#[test]
fn reads_what_debian_writes() {
    let release = parse(&format!(
        "Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nVersion: 12\nCodename: bookworm-security\n\
         Date: Wed, 18 Nov 2026 22:17:41 UTC\nValid-Until: Wed, 25 Nov 2026 22:17:41 UTC\nAcquire-By-Hash: yes\n\
         No-Support-for-Architecture-all: Packages\nArchitectures: all amd64\n arm64\nComponents: updates/main\n\
         Description: Debian 12 - Security Updates\n long\nMD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 main/a\n\
         SHA256:\n {EMPTY}        0 main/a\n {EMPTY} 0 ./b\n"
    ))
    .unwrap();
    assert_eq!(release.codename.as_deref(), Some("bookworm-security"));
    assert_eq!(release.date.unwrap().to_string(), "2026-11-18T22:17:41Z");
    assert_eq!(release.valid_until.unwrap().to_string(), "2026-11-25T22:17:41Z");
    assert_eq!(release.architectures, ["all", "amd64", "arm64"]);
    assert_eq!(release.components, ["updates/main"]);
    assert!(release.acquire_by_hash);
    assert!(!release.has_all_apart("Packages"));
    assert!(release.has_all_apart("Contents-deb"));
    let a = release.listed("main/a").unwrap();
    let path = RepoPath::new("dists/s/main/a").unwrap();
    assert_eq!(
        by_hash(&path, &a.checksums).iter().map(RepoPath::as_str).collect::<Vec<_>>(),
        [
            &*format!("dists/s/main/by-hash/SHA256/{EMPTY}"),
            "dists/s/main/by-hash/MD5Sum/d41d8cd98f00b204e9800998ecf8427e"
        ]
    );
    assert_eq!(
        by_hash(&RepoPath::new("a").unwrap(), &a.checksums)[0].as_str(),
        format!("by-hash/SHA256/{EMPTY}")
    );
    assert!(release.listed("b").is_some(), "`./` is no part of a name");
    assert_eq!(release.below("main/").collect::<Vec<_>>(), ["main/a"]);
}

#[test]
fn real_release_files_on_this_machine_parse() {
    let Ok(lists) = std::fs::read_dir("/var/lib/apt/lists") else { return };
    for entry in lists.flatten().filter(|e| e.file_name().to_string_lossy().ends_with("_InRelease")) {
        let signed = std::fs::read(entry.path()).unwrap();
        let text = crate::clearsign::unverified_text(&signed).unwrap();
        let release = Release::parse(&text, &RepoPath::new("InRelease").unwrap()).unwrap();
        assert!(release.date.is_some() && !release.components.is_empty(), "{:?}", entry.path());
        println!("{:?}: {:?}, {} files", entry.file_name(), release.date, release.listed.len());
    }
}

#[test]
fn dates_come_in_several_forms() {
    let expected = "2026-07-01T10:16:37Z";
    for text in [
        "Wed, 01 Jul 2026 10:16:37 UTC",
        "Wed, 1 Jul 2026 10:16:37 UTC",
        "Wed,  1 Jul 2026 10:16:37 GMT",
        "Wed, 01 Jul 2026 10:16:37 Z",
        "Wed, 01 Jul 2026 10:16:37 +0000",
        "Wed, 01 Jul 2026 12:16:37 +0200",
        "Mon, 01 Jul 2026 10:16:37 UTC",
    ] {
        assert_eq!(parse_date(text).map(|d| d.to_string()).as_deref(), Some(expected), "{text}");
    }
    for text in ["", "UTC", "yesterday UTC", "Wed, 32 Jul 2026 10:16:37 UTC", "2026-07-01"] {
        assert_eq!(parse_date(text), None, "{text}");
    }
    assert_eq!(parse(&with("Date: soon\n")).unwrap().date, None);
    let error = parse(&with("Valid-Until: soon\n")).unwrap_err().to_string();
    assert!(error.contains("line 1: expected a date"), "{error}");
}

#[test]
fn weak_digests_prove_nothing() {
    let md5 = "MD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 main/weak\n";
    let error = parse(md5).unwrap_err().to_string();
    assert!(error.contains("expected a SHA256 or SHA512 list"), "{error}");
    let release = parse(&with(md5)).unwrap();
    let path = RepoPath::new("main/weak").unwrap();
    let error = release.listed("main/weak").unwrap().expect(&path).unwrap_err().to_string();
    assert!(error.contains("expected a SHA256 or SHA512 digest, found `md5`"), "{error}");
}

#[test]
fn refuses_hostile_lists() {
    for (entry, word) in [
        (format!("{EMPTY} 0 ../../etc/passwd"), "`..` segment"),
        (format!("{EMPTY} 0 main/../../x"), "`..` segment"),
        (format!("{EMPTY} 0 /etc/passwd"), "is absolute"),
        (format!("{EMPTY} 0 a\\b"), "a backslash"),
        (format!("{EMPTY} 0 a b"), "a digest, a size and a path"),
        (format!("{EMPTY} 0"), "a digest, a size and a path"),
        (format!("{EMPTY} -1 a"), "a decimal size"),
        (format!("{EMPTY} 99999999999999999999 a"), "a decimal size"),
        ("e3b0 0 a".to_owned(), "is no sha256 digest"),
        (format!("{EMPTY} 0 a\0"), "no control character"),
    ] {
        let error = parse(&format!("SHA256:\n {entry}\n")).unwrap_err().to_string();
        assert!(error.contains(word), "{entry}: {error}");
    }
    assert!(parse(&with("Suite: a\nsuite: b\n")).unwrap_err().to_string().contains("each field once"));
    assert!(parse(&with("Suite: a\n\nSuite: b\n")).is_err(), "a second stanza is no part of a Release");
}

#[test]
fn an_index_of_10_gb_or_of_two_sizes_is_refused_when_it_is_wanted() {
    let path = RepoPath::new("big").unwrap();
    for (size, fits) in
        [(INDEX_BYTES - 1, true), (INDEX_BYTES, true), (INDEX_BYTES + 1, false), (10_000_000_000, false)]
    {
        let release = parse(&format!("SHA256:\n {EMPTY} {size} big\n")).unwrap();
        assert_eq!(release.listed("big").unwrap().expect(&path).is_ok(), fits, "{size}");
    }
    let twice = format!("SHA256:\n {EMPTY} 0 big\n {EMPTY} 0 big\n");
    assert!(parse(&twice).unwrap().listed("big").unwrap().expect(&path).is_ok());
    let contradiction = format!("SHA256:\n {EMPTY} 0 big\n {EMPTY} 1 big\n");
    let error = parse(&contradiction).unwrap().listed("big").unwrap().expect(&path).unwrap_err().to_string();
    assert!(error.contains("contradict"), "{error}");
}

#[test]
fn counts_are_limited() {
    let list = |n: usize| {
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        let entries: Vec<String> = (1..n).map(|entry| format!(" {md5} 0 {entry}\n")).collect();
        parse(&with(&format!("MD5Sum:\n{}", entries.concat())))
    };
    assert!(list(LISTED_INDEXES - 1).is_ok());
    assert!(list(LISTED_INDEXES).is_ok());
    assert!(matches!(
        list(LISTED_INDEXES + 1),
        Err(FormatError::Limit { what: "the number of listed files", .. })
    ));
    let fields = |n: usize| parse(&with(&(1..n).map(|f| format!("F{f}: x\n")).collect::<Vec<_>>().concat()));
    assert!(fields(RELEASE_FIELDS - 1).is_ok());
    assert!(fields(RELEASE_FIELDS).is_ok());
    assert!(matches!(
        fields(RELEASE_FIELDS + 1),
        Err(FormatError::Limit { what: "the number of fields", .. })
    ));
}
