use std::collections::HashMap;

use super::*;

fn read_all(files: &[(&str, &str)]) -> Result<Requirements, RequirementsError> {
    let files: HashMap<PathBuf, String> =
        files.iter().map(|(name, text)| (Path::new("/etc/req").join(name), (*text).to_owned())).collect();
    read(Path::new("/etc/req/main.txt"), &mut |path| {
        files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    })
}

#[test]
fn flattens_what_files_name() {
    let digits = "0".repeat(64);
    let main = format!(
        "# comment\n\nrequests[socks] >= 2  # why\n-r more/a.txt\n-cconstraints.txt\nflask==3.0.0 \\\n    --hash=sha256:{digits} \\\n    --hash=sha256:{digits}\n    # via -r requirements.in\ntomli; python_version < \"3.11\"\n"
    );
    let found = read_all(&[
        ("main.txt", &main),
        ("more/a.txt", "--requirement=../more/b.txt\r\nidna\r\n"),
        ("more/b.txt", "\u{feff}urllib3<3 # x"),
        ("constraints.txt", "urllib3<2.1\n-r more/b.txt\n"),
    ])
    .unwrap();
    assert_eq!(
        found.requirements,
        [
            "requests[socks] >= 2",
            "urllib3<3",
            "idna",
            &format!("flask==3.0.0 --hash=sha256:{digits} --hash=sha256:{digits}"),
            "tomli; python_version < \"3.11\"",
        ]
    );
    assert_eq!(found.constraints, ["urllib3<2.1", "urllib3<3"]);
}

#[test]
fn refuses_with_file_and_line() {
    for (text, fault) in [
        ("ok\n-e git+https://example.org/x", "is editable"),
        ("ok\n--editable=.", "is editable"),
        ("ok\n./x.whl", "is a local path"),
        ("ok\n/srv/x", "is a local path"),
        ("ok\nx-1.0.tar.gz", "is a local path"),
        ("ok\nhttps://example.org/x.whl", "is a URL"),
        ("ok\nx @ https://example.org/x.whl", "from a URL"),
        ("ok\nx@file", "from a URL"),
        ("ok\n--index-url https://example.org/simple", "configuration"),
        ("ok\n-i https://example.org/simple", "configuration"),
        ("ok\n--extra-index-url=https://example.org", "configuration"),
        ("ok\n--pre", "configuration"),
        ("ok\n--only-binary :all:", "configuration"),
        ("ok\n--frobnicate", "unknown option"),
        ("ok\n-r https://example.org/r.txt", "at a URL"),
        ("ok\n-r main.txt", "being read already"),
        ("ok\n-r ./sub/../main.txt", "being read already"),
        ("ok\nx==${VERSION}", "environment variable"),
        ("ok\nx=>1", "version specifier"),
        ("ok\nx --hash=md5:0", "--hash=sha256"),
        ("ok\nx --global-option=a", "no meaning"),
    ] {
        let error = read_all(&[("main.txt", text)]).unwrap_err();
        assert_eq!((error.file.as_path(), error.line), (Path::new("/etc/req/main.txt"), 2), "{text}");
        assert!(error.to_string().contains(fault), "{text}: {error}");
        assert!(!error.to_string().is_empty() && error.hint().is_none_or(|h| !h.is_empty()));
    }
    let missing = read_all(&[("main.txt", "-r gone.txt")]).unwrap_err();
    assert_eq!(missing.file, Path::new("/etc/req/gone.txt"));
    let extras = read_all(&[("main.txt", "-c c.txt"), ("c.txt", "x[y]<2")]).unwrap_err();
    assert!(extras.to_string().contains("has extras"));
}

#[test]
fn a_circle_over_several_files_is_seen() {
    let error = read_all(&[("main.txt", "-r a.txt"), ("a.txt", "x\n-c b.txt"), ("b.txt", "-r main.txt")])
        .unwrap_err();
    assert_eq!((error.file.as_path(), error.line), (Path::new("/etc/req/b.txt"), 1));
    assert!(matches!(error.fault, Fault::Cycle(_)));
}

#[test]
fn keeps_its_limits_exactly() {
    let chain = |depth: usize| {
        let name = |n: usize| if n == 0 { "main.txt".to_owned() } else { format!("{n}.txt") };
        let files: Vec<(String, String)> = (0..depth)
            .map(|n| (name(n), if n + 1 < depth { format!("-r {}", name(n + 1)) } else { "x".into() }))
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        read_all(&files)
    };
    assert!(chain(REQUIREMENTS_DEPTH - 1).is_ok());
    assert!(chain(REQUIREMENTS_DEPTH).is_ok());
    assert!(matches!(chain(REQUIREMENTS_DEPTH + 1).unwrap_err().fault, Fault::Depth));
    let lines = |n: usize| read_all(&[("main.txt", &"\n".repeat(n))]);
    assert!(lines(REQUIREMENTS_LINES - 1).is_ok());
    assert!(lines(REQUIREMENTS_LINES).is_ok());
    assert!(matches!(lines(REQUIREMENTS_LINES + 1).unwrap_err().fault, Fault::Lines));
}

#[test]
fn require_hashes_holds_for_all_files() {
    let error = read_all(&[("main.txt", "x==1\n-r a.txt"), ("a.txt", "--require-hashes")]).unwrap_err();
    assert!(matches!(error.fault, Fault::Unpinned(_)));
    assert_eq!(error.line, 1);
}
