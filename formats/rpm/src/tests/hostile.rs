//! What a hostile upstream may serve: each is refused with an error, none panics or runs away.

use chantal_contract::{Digest, FormatError, Policy, RepoPath, codec::Codec};

use super::{
    Unsigned, Upstream,
    mirror::{data, package, primary, repomd, upstream},
    packed,
};

const OFF: Unsigned = Unsigned(Policy::Off);

/// An upstream whose primary is these bytes, which promises nothing of what they decompress to.
fn primary_of(bytes: &[u8]) -> Upstream {
    let listed = format!(
        "<data type=\"primary\"><checksum type=\"sha256\">{}</checksum><location href=\"repodata/p\"/></data>",
        Digest::of(bytes)
    );
    Upstream::default().with("repodata/p", bytes).with("repodata/repomd.xml", repomd(&listed))
}

fn refused(upstream: &Upstream) -> FormatError {
    upstream.walk(&OFF).expect_err("it was accepted")
}

#[test]
fn hostile_xml_is_refused_in_every_compression() {
    let one = package("a", "1", "noarch", "a.rpm");
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=\"\"")).collect::<Vec<_>>().concat();
    for (hostile, why) in [
        (
            primary(&one).replace("<metadata", "<!DOCTYPE metadata [<!ENTITY a \"b\">]><metadata"),
            "document type",
        ),
        (primary(&one.replace(">a<", ">&lol;<")), "predefined entities"),
        (primary(&one.replace("href=\"a.rpm\"", "href=\"&lol;.rpm\"")), "predefined entities"),
        (primary(&one.replace("<format>", &format!("<format{attributes}>"))), "attributes"),
        (primary(&one.replace("<format>", &"<format>".repeat(100_000))), "depth"),
        (primary(&one.replace("href=\"a.rpm\"", "href=\"../../etc/passwd.rpm\"")), "`..`"),
        (primary(&one.replace(">a<", ">a&#10;file<")), "control characters"),
        (primary(&one.replace("package=\"7\"", "package=\"999999999999\"")), "listed size"),
        (primary(&one.replace("</description>", &"x".repeat(5 << 20))), "record's size"),
        (primary(&one).replace("</metadata>", ""), "the end of the file"),
    ] {
        for codec in [Codec::Plain, Codec::Gzip, Codec::Xz, Codec::Zstd, Codec::Bzip2] {
            let error = refused(&primary_of(&packed(codec, hostile.as_bytes()))).to_string();
            assert!(error.contains(why), "{codec:?}, {why}: {error}");
        }
    }
}

#[test]
fn a_bomb_of_good_xml_is_stopped_by_its_ratio() {
    // blanks between packages are well-formed for ever
    let mut bomb = primary("x").replace('x', "").into_bytes();
    let end = bomb.split_off(bomb.len() - "</metadata>".len());
    bomb.extend("\n".repeat(72 << 20).into_bytes());
    bomb.extend(end);
    for codec in [Codec::Xz, Codec::Zstd, Codec::Bzip2] {
        assert!(matches!(
            refused(&primary_of(&packed(codec, &bomb))),
            FormatError::Decode { .. } | FormatError::Limit { .. }
        ));
    }
}

#[test]
fn ten_gigabytes_are_not_asked_for() {
    let listed = data("primary", "repodata/p", b"x", b"x").replace("<size>1<", "<size>10000000000<");
    let upstream = Upstream::default().with("repodata/repomd.xml", repomd(&listed));
    assert!(matches!(refused(&upstream), FormatError::Limit { .. }));
}

#[test]
fn a_repomd_that_contradicts_itself_is_refused() {
    let twice = data("primary", "repodata/p", b"x", b"x") + &data("other", "repodata/p", b"y", b"y");
    let error = refused(&Upstream::default().with("repodata/repomd.xml", repomd(&twice)));
    assert!(error.to_string().contains("one promise for a file"), "{error}");
    for anchor in [crate::REPOMD, crate::SIGNATURE, "repodata/repomd.xml.key", ".treeinfo"] {
        let over = data("primary", "repodata/p", b"x", b"x") + &data("other", anchor, b"y", b"y");
        let error = refused(&Upstream::default().with("repodata/repomd.xml", repomd(&over)));
        assert!(error.to_string().contains("a file of its own"), "{anchor}: {error}");
    }
    let without = data("filelists", "repodata/f", b"x", b"x");
    let error = refused(&Upstream::default().with("repodata/repomd.xml", repomd(&without)));
    assert!(error.to_string().contains("a `primary`"), "{error}");
    let unbound = "<data type=\"primary\"><location href=\"repodata/p\"/></data>";
    let error = refused(&Upstream::default().with("repodata/repomd.xml", repomd(unbound)));
    assert!(error.to_string().contains("a checksum"), "{error}");
    let answer = refused(&Upstream::default().with("repodata/repomd.xml", "<html>captive portal</html>"));
    assert!(answer.to_string().contains("expected `repomd`"), "{answer}");
    let portal = upstream("", &[]).with(".treeinfo", "<html>captive portal</html>");
    let answer = refused(&portal).to_string();
    assert!(answer.contains("`.treeinfo`") && answer.contains("captive portal"), "{answer}");
}

/// Changes every byte of each kind of document, in several ways, and wants an answer every time.
#[test]
fn every_changed_byte_is_survived() {
    let repomd_text = repomd(&data("primary", "repodata/p", b"x", b"x"));
    let primary_text = primary(&package("a", "1", "noarch", "a.rpm"));
    let deltas = "<prestodelta><newpackage><delta><filename>a.drpm</filename><size>1</size></delta></newpackage></prestodelta>";
    let tree = "[tree]\n[checksums]\na/b = md5:00000000000000000000000000000000\n[images-x]\nkernel = a/b\n";
    let metalink = "<metalink><files><file name=\"repomd.xml\"><size>1</size></file></files></metalink>";
    let file = RepoPath::new("x").unwrap();
    let mut answers = 0;
    for (text, read) in [
        (
            repomd_text.as_str(),
            (|file, bytes| drop(crate::repomd::read(file, &mut &*bytes))) as fn(&RepoPath, &[u8]),
        ),
        (&primary_text, |file, bytes| drop(crate::primary::read(file, &mut &*bytes, &mut |_, _| Ok(())))),
        (deltas, |file, bytes| drop(crate::deltas::read(file, &mut &*bytes, &mut |_| Ok(())))),
        (tree, |file, bytes| drop(crate::treeinfo::read(file, bytes))),
        (metalink, |_, bytes| drop(crate::mirrors::parse_metalink(bytes))),
        ("https://a.example.org/\n", |_, bytes| drop(crate::mirrors::parse_mirrorlist(bytes))),
    ] {
        for at in 0..text.len() {
            for with in [b"\0".as_slice(), b"<", b">", b"&", b"\"", b"/", b"\xff", b"]]>", b"<!--", b""] {
                let mut changed = text.as_bytes().to_vec();
                changed.splice(at..=at, with.iter().copied());
                read(&file, &changed);
                answers += 1;
            }
        }
    }
    assert!(answers > 10_000);
}

#[test]
fn what_upstream_lists_last_is_not_believed_before() {
    // packages are said while primary is read; a promise that breaks at its end still ends the walk
    let text = primary(&package("a", "1", "noarch", "a.rpm"));
    let listed = data("primary", "repodata/p", text.as_bytes(), b"something else");
    let lying = Upstream::default().with("repodata/p", text).with("repodata/repomd.xml", repomd(&listed));
    assert!(matches!(refused(&lying), FormatError::Decode { .. }));
    assert!(upstream(&package("a", "1", "noarch", "a.rpm"), &[]).walk(&OFF).is_ok());
}
