use std::io::Cursor;

use chantal_contract::{
    Body, Expect,
    limits::{HTML_TAG_BYTES, XML_ATTRIBUTES},
};

use super::*;

fn page(text: impl AsRef<[u8]>) -> Result<(Vec<FileEntry>, Page), FormatError> {
    let bytes = text.as_ref();
    let mut measurer = Expect::at_most(ANCHOR_BYTES + 1).measure();
    measurer.update(bytes).unwrap();
    let mut reader = Cursor::new(bytes);
    let mut body = Body::checked(&mut reader, measurer.finish().unwrap());
    let mut files = Vec::new();
    let base = Url::parse("https://mirror.example.org/simple/foo/").unwrap();
    let page = read(&RepoPath::new("simple/foo/index").unwrap(), &mut body, &base, &mut |entry| {
        files.push(entry);
        Ok(())
    })?;
    Ok((files, page))
}

const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn reads_html_as_indexes_write_it() {
    let text = format!(
        r#"<!DOCTYPE html>
<html><head><meta name="pypi:repository-version" content="1.3"><meta name="pypi:project-status" content="archived">
<title>Links <a href="x-1.tar.gz">no</a></title>
<!-- <a href="commented-1.tar.gz">no</a> --><script>"<a href='scripted-1.tar.gz'>"</script></head>
<body><h1>Links</h1>
<a href="../../p/foo-1.0.tar.gz#sha256={SHA}" data-requires-python="&gt;=3.8,&#60;4" data-yanked="bad &amp; worse">foo-1.0.tar.gz</a><br/>
<A HREF = '/p/foo%2B-2.0%20x.tar.gz#md5=d41d8cd98f00b204e9800998ecf8427e&amp;egg=foo' data-yanked data-gpg-sig=true>x</A>
<a
  class=c href=https://files.example.org/foo-3.0-py3-none-any.whl#sha512=00
>x</a>
<a name="no href">x</a> <a href="">x</a> <a href="../">up</a> <a href="mailto:a@example.org">x</a> <a href="https://[">x</a>
</body></html>"#
    )
    .replace("#sha512=00", &format!("#sha512={}", "0".repeat(128)));
    let (files, page) = page(text).unwrap();
    let names: Vec<&str> = files.iter().map(|f| f.filename.as_str()).collect();
    assert_eq!(names, ["foo-1.0.tar.gz", "foo+-2.0 x.tar.gz", "foo-3.0-py3-none-any.whl"]);
    let [one, two, three] = files.as_slice() else { panic!("three files") };
    assert_eq!(one.url.as_str(), "https://mirror.example.org/p/foo-1.0.tar.gz");
    assert_eq!(one.requires_python.as_deref(), Some(">=3.8,<4"));
    assert_eq!(one.record["yanked"], "bad & worse");
    assert!(one.yanked && two.yanked && !three.yanked && two.gpg_sig);
    assert_eq!(two.record["hashes"]["md5"], "d41d8cd98f00b204e9800998ecf8427e");
    assert!(two.checksums.is_empty() && three.checksums[0].algorithm() == Algorithm::Sha512);
    assert_eq!(page.status, Some(serde_json::json!({ "status": "archived" })));
}

#[test]
fn a_page_keeps_its_limit() {
    // one string as long as need be, under a key that nobody knows
    let sized = |length: u64| {
        let (head, tail) = (r#"{"meta": {"api-version": "1.1"}, "name": "x", "files": [], "x": ""#, r#""}"#);
        let filling = usize::try_from(length).unwrap() - head.len() - tail.len();
        page([head.as_bytes(), &vec![b'a'; filling], tail.as_bytes()].concat())
    };
    for (length, fits) in [(ANCHOR_BYTES - 1, true), (ANCHOR_BYTES, true), (ANCHOR_BYTES + 1, false)] {
        match sized(length) {
            Ok(_) => assert!(fits, "{length}"),
            Err(error) => assert!(!fits && matches!(error, FormatError::Limit { .. }), "{length}: {error}"),
        }
    }
}

#[test]
fn reads_offers_of_metadata_in_every_spelling() {
    let offer = |attributes: &str| {
        page(format!("<a href='foo-1-py3-none-any.whl' {attributes}>x</a>")).unwrap().0.remove(0).metadata
    };
    let proved = Metadata::Proved(vec![Checksum::from_hex(Algorithm::Sha256, SHA).unwrap()]);
    assert_eq!(offer(""), Metadata::No);
    assert_eq!(offer(&format!("data-core-metadata='sha256={SHA}'")), proved);
    assert_eq!(offer(&format!("data-dist-info-metadata='sha256={SHA}'")), proved);
    assert_eq!(offer(&format!("data-dist-info-metadata='true' data-core-metadata='sha256={SHA}'")), proved);
    assert_eq!(offer("data-core-metadata=true"), Metadata::Unproved);
    assert_eq!(offer("data-core-metadata=false"), Metadata::No);
    assert_eq!(offer("data-core-metadata='md5=d41d8cd98f00b204e9800998ecf8427e'"), Metadata::Unproved);
}

#[test]
fn a_base_moves_relative_addresses() {
    let (files, _) =
        page("<base href='https://files.example.org/a/'><base href='/no/'><a href='b/foo-1.zip'>x</a>")
            .unwrap();
    assert_eq!(files[0].url.as_str(), "https://files.example.org/a/b/foo-1.zip");
}

#[test]
fn reads_json_and_keeps_what_it_does_not_know() {
    let text = format!(
        r#"{{"name":"foo","files":[{{"filename":"foo-1-py3-none-any.whl","url":"../../p/foo-1-py3-none-any.whl","hashes":{{"sha256":"{SHA}","md5":"x"}},
        "size":5,"upload-time":"2024-01-01T00:00:00Z","requires-python":null,"yanked":false,"core-metadata":{{"sha256":"{SHA}"}},"dist-info-metadata":true,
        "provenance":"https://mirror.example.org/i","x-new":[1,{{"b":1,"a":2}}]}}],"versions":["1"],"alternate-locations":[],
        "project-status":{{"status":"deprecated","reason":"old"}},"meta":{{"api-version":"1.9","_last-serial":3}}}}"#
    );
    let (files, page) = page(format!("\u{feff}\n {text}")).unwrap();
    let file = &files[0];
    assert_eq!(
        serde_json::to_string(&file.record).unwrap(),
        format!(
            r#"{{"filename":"foo-1-py3-none-any.whl","hashes":{{"md5":"x","sha256":"{SHA}"}},"size":5,"upload-time":"2024-01-01T00:00:00Z","x-new":[1,{{"a":2,"b":1}}],"yanked":false}}"#
        )
    );
    assert!(matches!(file.metadata, Metadata::Proved(_)));
    assert_eq!((file.size, file.provenance.is_some(), file.yanked), (Some(5), true, false));
    assert_eq!(page.status.unwrap()["reason"], "old");
}

#[test]
fn refuses_what_is_no_page() {
    let file = r#"{"filename":"f-1.zip","url":"f-1.zip"}"#;
    for bad in [
        String::new(),
        "plain text, no markup".to_owned(),
        "\0\0\0".into(),
        "{".into(),
        "{}".into(),
        r#"{"meta":{"api-version":"1.0"}}"#.into(),
        r#"{"meta":{"api-version":"2.0"},"files":[]}"#.into(),
        r#"{"meta":{},"files":[]}"#.into(),
        r#"{"files":[]}"#.into(),
        r#"{"meta":{"api-version":"1.0"},"files":{}}"#.into(),
        r#"{"meta":{"api-version":"1.0"},"files":[1]}"#.into(),
        format!(r#"{{"meta":{{"api-version":"1.0"}},"files":[{file}]}} trailing"#),
        format!(r#"{{"meta":{{"api-version":"1.0"}},"files":[{file}],"files":[]}}"#),
        r#"{"meta":{"api-version":"1.0"},"files":[{"url":"x"}]}"#.into(),
        r#"{"meta":{"api-version":"1.0"},"files":[{"filename":"f-1.zip","url":"javascript:1"}]}"#.into(),
        r#"{"meta":{"api-version":"1.0"},"files":[{"filename":"f-1.zip","url":"f","hashes":{"sha256":"xyz"}}]}"#.into(),
        "<a href='..%2F..%2Fetc%2Fpasswd'>x</a>".into(),
        "<a href='x%00-1.zip'>x</a>".into(),
        "<a href='x-1.zip#sha256=zz'>x</a>".into(),
        "<meta name='pypi:repository-version' content='2.0'><a href='x-1.zip'>x</a>".into(),
        format!(r#"{{"meta":{{"api-version":"1.0"}},"files":[{{"x":{}"#, "[".repeat(100_000)),
    ] {
        assert!(page(&bad).is_err(), "{}", bad.chars().take(100).collect::<String>());
    }
    assert!(page("<html><body></body></html>").unwrap().0.is_empty());
}

#[test]
fn hostile_markup_ends_in_time() {
    let started = std::time::Instant::now();
    for piece in [
        "<",
        "<a ",
        "<!--",
        "<a href='",
        "</",
        "&",
        "<script>",
        "<a href=x ",
        "<a/",
        "<title>",
        "<a =",
        "<!",
        "\"<a",
    ] {
        let _ = page(piece.repeat((4 << 20) / piece.len()));
    }
    let _ = page(format!("<a href='{}'>", "&amp".repeat(10_000)));
    assert!(started.elapsed().as_secs() < 60, "quadratic: {:?}", started.elapsed());
}

#[test]
fn keeps_its_limits_exactly() {
    let tag = |length: usize| {
        let rest = "a href='x-1.zip' t=''>".len();
        page(format!("<a href='x-1.zip' t='{}'>", "é".repeat((length - rest) / 2)))
    };
    assert_eq!(tag(HTML_TAG_BYTES).unwrap().0.len(), 1);
    assert!(matches!(tag(HTML_TAG_BYTES + 2), Err(FormatError::Limit { .. })));
    let attributes = |count: usize| page(format!("<a href=x-1.zip {}>", " a".repeat(count - 1)));
    let different = |count: usize| {
        let all = (1..count).map(|n| format!("a{n}")).collect::<Vec<_>>().join(" ");
        page(format!("<a href=x-1.zip {all}>"))
    };
    assert!(attributes(XML_ATTRIBUTES * 2).is_ok(), "one name counts once");
    assert!(different(XML_ATTRIBUTES - 1).is_ok() && different(XML_ATTRIBUTES).is_ok());
    assert!(matches!(different(XML_ATTRIBUTES + 1), Err(FormatError::Limit { .. })));
    let files = |count: usize| page("<a href=x>".repeat(count)).map(|(files, _)| files.len());
    assert_eq!(files(PROJECT_FILES - 1).unwrap(), PROJECT_FILES - 1);
    assert_eq!(files(PROJECT_FILES).unwrap(), PROJECT_FILES);
    assert!(matches!(files(PROJECT_FILES + 1), Err(FormatError::Limit { .. })));
}

#[test]
fn cut_pages_never_panic() {
    let html = format!(
        "<html><a href=\"x-1.zip#sha256={SHA}\" data-yanked='é &#x41; &amp;'>x</a><!-- é --><a href=y-1.zip>"
    );
    let json = format!(
        r#"{{"meta":{{"api-version":"1.1"}},"files":[{{"filename":"x-1.zip","url":"x","hashes":{{"sha256":"{SHA}"}}}}]}}"#
    );
    for whole in [html.as_bytes(), json.as_bytes()] {
        for cut in 0..whole.len() {
            let _ = page(&whole[..cut]);
            let mut flipped = whole.to_vec();
            flipped[cut] ^= 0x20;
            let _ = page(&flipped);
        }
    }
}
