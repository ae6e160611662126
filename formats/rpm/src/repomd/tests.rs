use super::*;

fn parse(text: &str) -> Result<Repomd, FormatError> {
    read(&RepoPath::new("repodata/repomd.xml").unwrap(), &mut text.as_bytes())
}

const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

fn one(inside: &str) -> String {
    format!("<repomd><data type=\"x\"><location href=\"repodata/x\"/>{inside}</data></repomd>")
}

#[test]
fn sha_is_sha1_and_spaces_do_not_matter() {
    for kind in ["sha", "sha1", "SHA-1"] {
        let repomd =
            parse(&one(&format!("<checksum type=\"{kind}\">\n {SHA1}\n</checksum><size> 7 </size>")))
                .unwrap();
        assert_eq!(repomd.data[0].expect.checksums[0].algorithm(), Algorithm::Sha1);
        assert_eq!(repomd.data[0].expect.size, Some(7));
    }
    assert!(parse(&one("<checksum type=\"crc32\">00000000</checksum>")).is_err());
    assert!(parse(&one(&format!("<checksum type=\"sha256\">{SHA1}</checksum>"))).is_err());
    assert!(parse(&one(&format!("<checksum>{SHA1}</checksum>"))).is_err());
}

#[test]
fn sizes_keep_their_limits() {
    for n in [INDEX_BYTES - 1, INDEX_BYTES] {
        assert_eq!(parse(&one(&format!("<size>{n}</size>"))).unwrap().data[0].expect.size, Some(n));
    }
    let error = parse(&one(&format!("<size>{}</size>", INDEX_BYTES + 1))).unwrap_err();
    assert!(matches!(error, FormatError::Limit { .. }), "{error}");
    assert!(parse(&one(&format!("<open-size>{INDEX_OPEN_BYTES}</open-size>"))).is_ok());
    assert!(parse(&one(&format!("<open-size>{}</open-size>", INDEX_OPEN_BYTES + 1))).is_err());
    assert!(parse(&one("<size>-1</size>")).is_err());
    assert!(parse(&one("<size>99999999999999999999999</size>")).is_err());
}

#[test]
fn the_number_of_files_keeps_its_limit() {
    let many =
        |n: usize| format!("<repomd>{}</repomd>", "<data type=\"x\"><location href=\"x\"/></data>".repeat(n));
    for n in [LISTED_INDEXES - 1, LISTED_INDEXES] {
        assert_eq!(parse(&many(n)).unwrap().data.len(), n);
    }
    assert!(parse(&many(LISTED_INDEXES + 1)).is_err());
}

#[test]
fn locations_are_confined() {
    for bad in ["../x", "/etc/passwd", "repodata/../../x", "a\\b", "file:///etc/passwd", "a&#10;b"] {
        let text = format!("<repomd><data type=\"x\"><location href=\"{bad}\"/></data></repomd>");
        assert!(parse(&text).is_err(), "{bad}");
    }
    assert!(parse("<repomd><data type=\"x\"/></repomd>").is_err(), "no location");
    assert!(parse("<repomd><data><location href=\"x\"/></data></repomd>").is_err(), "no type");
    assert!(parse("<metadata/>").is_err(), "another document");
}

#[test]
fn the_date_is_the_newest_files_or_the_revision() {
    let date = |text: &str| parse(text).unwrap().date().map(Timestamp::as_second);
    let data = |t: &str| format!("<data type=\"x\"><location href=\"x\"/><timestamp>{t}</timestamp></data>");
    let both = format!(
        "<repomd><revision>1700000009</revision>{}{}</repomd>",
        data("1600000000"),
        data("1600000005.99")
    );
    assert_eq!(date(&both), Some(1_600_000_005));
    assert_eq!(date("<repomd><revision>1700000009</revision></repomd>"), Some(1_700_000_009));
    assert_eq!(date("<repomd><revision>42</revision></repomd>"), None);
    assert_eq!(date(&format!("<repomd>{}</repomd>", data("9999999999999999"))), None);
}
