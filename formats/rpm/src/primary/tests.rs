use super::*;
use crate::tests::mirror::{package, primary};

fn file() -> RepoPath {
    RepoPath::new("repodata/primary.xml").unwrap()
}

fn parse(text: &str) -> Result<Vec<(Listed, String)>, FormatError> {
    let mut found = Vec::new();
    read(&file(), &mut text.as_bytes(), &mut |listed, record| {
        found.push((listed, String::from_utf8(record.to_vec()).unwrap()));
        Ok(())
    })?;
    Ok(found)
}

fn plain() -> String {
    package("nginx", "1.0", "x86_64", "nginx.rpm")
}

fn refused(from: &str, to: &str) -> String {
    let text = plain();
    assert!(text.contains(from), "the test replaces something");
    parse(&primary(&text.replace(from, to))).expect_err(to).to_string()
}

#[test]
fn reads_packages_and_passes_over_the_rest() {
    let patch = plain().replace("type=\"rpm\"", "type=\"patch\"");
    let untyped = plain().replace("<package type=\"rpm\">", "<package>");
    let text = primary(&format!("<!-- x -->{patch}<other><package/></other>{}\n{untyped}", plain()));
    let found = parse(&text).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].1, plain());
    assert_eq!(found[1].1, untyped);
    assert_eq!(found[0].0.version, "0:1.0-1");
}

#[test]
fn an_epoch_is_always_written() {
    for (written, version) in
        [("epoch=\"0\"", "0:1.0-1"), ("epoch=\"\"", "0:1.0-1"), ("", "0:1.0-1"), ("epoch=\"12\"", "12:1.0-1")]
    {
        let text = plain().replace("epoch=\"0\"", written);
        assert_eq!(parse(&primary(&text)).unwrap()[0].0.version, version);
    }
    assert!(refused("epoch=\"0\"", "epoch=\"x\"").contains("an epoch in digits"));
}

#[test]
fn what_could_harm_is_refused() {
    assert!(refused("href=\"nginx.rpm\"", "href=\"../../etc/passwd\"").contains("`..`"));
    assert!(refused("href=\"nginx.rpm\"", "href=\"/etc/nginx.rpm\"").contains("is absolute"));
    assert!(refused("href=\"nginx.rpm\"", "href=\"a&#10;b.rpm\"").contains("control character"));
    assert!(refused("href=\"nginx.rpm\"", "href=\"nginx.drpm\"").contains("ends in `.rpm`"));
    assert!(refused("href=\"nginx.rpm\"", "href=\"nginx\"").contains("ends in `.rpm`"));
    assert!(refused(">nginx<", ">ng&#9;inx<").contains("control characters"));
    assert!(refused(">nginx<", ">../nginx<").contains("slashes"));
    assert!(refused(">nginx<", "><").contains("a package's name"));
    assert!(refused(">x86_64<", ">x86 64<").contains("an architecture"));
    assert!(refused("ver=\"1.0\"", "ver=\"1&#x1b;[2J\"").contains("a version"));
    assert!(refused("ver=\"1.0\"", "").contains("`ver`"));
    assert!(refused("package=\"7\"", "package=\"-7\"").contains("a size in bytes"));
    assert!(refused("package=\"7\"", "package=\"10e9\"").contains("a size in bytes"));
    assert!(refused("type=\"sha256\"", "type=\"none\"").contains("checksum type"));
    assert!(refused("<location ", "<elsewhere ").contains("a location"));
    assert!(refused("<checksum type=\"sha256\"", "<none><checksum type=\"sha256\"").contains("well-formed"));
}

#[test]
fn a_size_keeps_its_limit() {
    let sized = |n: u64| parse(&primary(&plain().replace("package=\"7\"", &format!("package=\"{n}\""))));
    for n in [PAYLOAD_BYTES - 1, PAYLOAD_BYTES] {
        assert_eq!(sized(n).unwrap()[0].0.expect.bound(), n);
    }
    assert!(matches!(sized(PAYLOAD_BYTES + 1), Err(FormatError::Limit { .. })));
    // a large package is one; what it may cost is the size that it says
    assert_eq!(sized(10_000_000_000).unwrap()[0].0.expect.bound(), 10_000_000_000);
}

#[test]
fn names_keep_their_limit() {
    let named = |n: usize| parse(&primary(&plain().replace(">nginx<", &format!(">{}<", "n".repeat(n)))));
    for n in [KEY_FIELD_BYTES - 1, KEY_FIELD_BYTES] {
        assert_eq!(named(n).unwrap()[0].0.name.len(), n);
    }
    assert!(matches!(named(KEY_FIELD_BYTES + 1), Err(FormatError::Limit { .. })));
}

#[test]
fn a_summary_is_one_line_of_bounded_length() {
    assert_eq!(one_line("  first \u{1b}[2J\nsecond"), "first [2J");
    for n in [SUMMARY_BYTES - 1, SUMMARY_BYTES] {
        assert_eq!(one_line(&"s".repeat(n)).len(), n);
    }
    assert_eq!(one_line(&"s".repeat(SUMMARY_BYTES + 1)).len(), SUMMARY_BYTES);
    assert_eq!(one_line(&"ü".repeat(SUMMARY_BYTES)).len(), SUMMARY_BYTES);
}

#[test]
fn a_cut_document_is_an_error() {
    let text = primary(&plain());
    for cut in (0..text.len()).step_by(7) {
        if let Some(head) = text.get(..cut) {
            assert!(parse(head).is_err(), "cut at {cut}");
        }
    }
}

/// Nothing grows with the number of packages but what the caller keeps.
#[test]
fn a_record_is_forgotten_with_its_package() {
    let (file, one) = (file(), plain());
    let text = primary(&one.repeat(20_000));
    assert!(text.len() > RECORD_BYTES, "the budget is per record");
    let mut count = 0;
    read(&file, &mut text.as_bytes(), &mut |_, record| {
        assert_eq!(record.len(), one.len());
        count += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(count, 20_000);
}
