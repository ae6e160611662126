use super::*;

fn file() -> RepoPath {
    RepoPath::new("repodata/x.xml").unwrap()
}

/// Reads a document to its end and counts its elements.
fn count(text: &[u8]) -> Result<usize, FormatError> {
    let (file, mut input) = (file(), text);
    let mut xml = Xml::new(&file, &mut input);
    let mut count = 0;
    loop {
        match xml.next()? {
            Node::Open(element) => {
                // reading one attribute reads them all
                let _ = element.attribute("none")?;
                count += 1;
            }
            Node::End => return Ok(count),
            _ => {}
        }
    }
}

fn refusal_of(text: &str) -> String {
    count(text.as_bytes()).expect_err("it was accepted").to_string()
}

#[test]
fn refuses_declarations_and_entities() {
    let bomb = "<!DOCTYPE a [<!ENTITY x \"boom\"><!ENTITY y \"&x;&x;&x;\">]><a>&y;</a>";
    assert!(refusal_of(bomb).contains("no document type declaration"));
    assert!(
        refusal_of("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>").contains("no document type declaration")
    );
    assert!(refusal_of("<a>&x;</a>").contains("predefined entities"));
    assert!(refusal_of("<a none='&x;'/>").contains("predefined entities"));
    assert!(refusal_of("<a>&#0;</a>").contains("predefined entities"));
    assert!(refusal_of("<?xml version='1.0' encoding='UTF-16'?><a/>").contains("UTF-8"));
    assert_eq!(count(b"<?xml version='1.0' encoding='utf-8'?><a b='&lt;&#65;'>&amp;&apos;</a>").unwrap(), 1);
}

#[test]
fn refuses_what_is_not_well_formed() {
    for bad in [
        "",
        "text",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a><b></a></b>",
        "<a b/>",
        "<a b='1' none='2' none='3'/>",
        "<a b='<'",
        "<a>&amp",
        "</a>",
        "<a><!-- </a>",
        "<a><![CDATA[</a>",
    ] {
        assert!(count(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(count(b"<a>\xff</a>").is_err());
}

#[test]
fn depth_keeps_its_limit() {
    let nested = |n: usize| "<a>".repeat(n) + &"</a>".repeat(n);
    for n in [XML_DEPTH - 1, XML_DEPTH] {
        assert_eq!(count(nested(n).as_bytes()).unwrap(), n);
    }
    assert!(refusal_of(&nested(XML_DEPTH + 1)).contains("the depth of elements passes the limit of 32"));
    assert!(refusal_of(&"<a>".repeat(1_000_000)).contains("the depth of elements"));
}

#[test]
fn attributes_keep_their_limit() {
    let many = |n: usize| format!("<a{}/>", (0..n).map(|i| format!(" b{i}=''")).collect::<Vec<_>>().concat());
    for n in [XML_ATTRIBUTES - 1, XML_ATTRIBUTES] {
        assert_eq!(count(many(n).as_bytes()).unwrap(), 1);
    }
    let started = std::time::Instant::now();
    for n in [XML_ATTRIBUTES + 1, 100_000] {
        assert!(refusal_of(&many(n)).contains("attributes passes the limit of 256"));
    }
    assert!(
        started.elapsed().as_secs() < 5,
        "the number of attributes is looked at before their names are compared"
    );
}

#[test]
fn a_record_keeps_its_limit() {
    let text = |n: usize| format!("<a>{}</a>", "x".repeat(n - 7));
    for n in [RECORD_BYTES - 1, RECORD_BYTES] {
        assert_eq!(count(text(n).as_bytes()).unwrap(), 1);
    }
    assert!(refusal_of(&text(RECORD_BYTES + 1)).contains("a record's size passes the limit"));
    // a tag, a comment, an attribute that never ends
    for endless in ["<a b='", "<!--", "<a>", "<", "<![CDATA["] {
        let error = refusal_of(&(endless.to_owned() + &"x".repeat(RECORD_BYTES + 1)));
        assert!(error.contains("a record's size") || error.contains("well-formed"), "{endless}: {error}");
    }
}

#[test]
fn what_was_seen_is_what_stands_there() {
    let body = "<p  a = \"1\"\n>x &amp; <!-- c --><![CDATA[ </p> ]]><q/>é<?pi?></p >";
    let text = format!("<r>\n{body}\n<s/></r>");
    let (file, mut input) = (file(), text.as_bytes());
    let mut xml = Xml::new(&file, &mut input);
    loop {
        xml.forget();
        let outside = xml.depth() == 1;
        match xml.next().unwrap() {
            Node::Open(element) if outside && element.name() == "p" => {
                xml.skip().unwrap();
                assert_eq!(str::from_utf8(xml.seen()).unwrap(), body);
                return;
            }
            Node::End => panic!("no `p`"),
            _ => {}
        }
    }
}
