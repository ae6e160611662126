use super::*;

fn parse(text: &str) -> Result<Tree, FormatError> {
    read(&RepoPath::new(".treeinfo").unwrap(), text.as_bytes())
}

/// As `productmd` writes it for a release of today, shortened.
const TODAY: &str = "\
[checksums]
images/boot.iso = sha256:0101010101010101010101010101010101010101010101010101010101010101
images/pxeboot/vmlinuz = md5:02020202020202020202020202020202
repodata/repomd.xml = sha256:0101010101010101010101010101010101010101010101010101010101010101
HighAvailability/repodata/repomd.xml = sha256:0101010101010101010101010101010101010101010101010101010101010101

[general]
; WARNING.0 = This section provides compatibility with pre-productmd treeinfos.
repository = .
packagedir = Packages

[images-x86_64]
boot.iso = images/boot.iso
kernel = images/pxeboot/vmlinuz

[images-xen]
initrd: images/pxeboot/initrd.img

[stage2]
mainimage = images/install.img

[tree]
arch = x86_64
variants = BaseOS

[variant-BaseOS]
repository = ../../elsewhere
";

#[test]
fn names_every_image_and_stage2() {
    let tree = parse(TODAY).unwrap();
    let files: Vec<_> =
        tree.files.iter().map(|w| (w.path.as_str(), w.expect.checksums.len(), w.absent.clone())).collect();
    assert_eq!(
        files,
        [
            ("images/boot.iso", 1, Absent::Fatal),
            ("images/install.img", 0, Absent::Allowed),
            ("images/pxeboot/initrd.img", 0, Absent::Allowed),
            ("images/pxeboot/vmlinuz", 1, Absent::Fatal),
        ]
    );
    assert_eq!(tree.notices, Vec::<String>::new());
    assert_eq!(parse(&TODAY.replace('\n', "\r\n")).unwrap(), tree, "whatever ends a line");
}

#[test]
fn paths_are_confined() {
    for bad in ["../vmlinuz", "/boot/vmlinuz", "images/../../x", "a\\b", "a//b", "."] {
        for text in [
            format!("[general]\n[images-x]\nkernel = {bad}\n"),
            format!("[checksums]\n{bad} = md5:{}\n", "0".repeat(32)),
        ] {
            assert!(matches!(parse(&text), Err(FormatError::Path { .. })), "{text}");
        }
    }
    assert_eq!(parse("[tree]\n[images-x]\nkernel = ./vmlinuz\n").unwrap().files[0].path.as_str(), "vmlinuz");
}

#[test]
fn what_is_no_treeinfo_is_refused() {
    let html = "<!DOCTYPE html>\n<html><a href=\"x\">please sign in</a></html>\n";
    for text in [html, "", "\n\n", "[checksums]\n", "; [general]\n", "[general\n", "[generally]\n"] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, FormatError::Malformed { .. }), "{text}: {error}");
        let said = error.to_string();
        assert!(said.contains("`.treeinfo`") && said.contains("`[general]` or `[tree]`"), "{text}: {said}");
    }
    let said = parse(html).unwrap_err().to_string();
    assert!(said.contains("<!DOCTYPE html>"), "{said}");
    let binary = read(&RepoPath::new(".treeinfo").unwrap(), b"[general]\n\xff\xfe").unwrap_err();
    assert!(binary.to_string().contains("not UTF-8"), "{binary}");
    for text in ["[general]", "[tree]\r\n", "# a comment\n[ tree ]\narch = x86_64\n"] {
        assert_eq!(parse(text).unwrap(), Tree::default(), "{text}");
    }
}

#[test]
fn checksums_are_checked_or_told() {
    assert!(matches!(parse("[tree]\n[checksums]\na = sha256:00\n"), Err(FormatError::Digest { .. })));
    let tree = parse("[tree]\n[checksums]\na = whirlpool:00\n").unwrap();
    assert_eq!(tree.notices, ["the checksum of `a` is of no known type"]);
    assert_eq!(tree.files[0].absent, Absent::Allowed);
}

#[test]
fn the_number_of_files_keeps_its_limit() {
    let many = |n: usize| {
        (0..n).fold(String::from("[tree]\n[images-x]\n"), |text, i| text + &format!("i{i} = {i}\n"))
    };
    assert_eq!(parse(&many(LISTED_INDEXES)).unwrap().files.len(), LISTED_INDEXES);
    assert!(matches!(parse(&many(LISTED_INDEXES + 1)), Err(FormatError::Limit { .. })));
}

#[test]
fn extra_files_are_confined_and_bound() {
    let extra = |file: &str| {
        let text = format!(
            "{{\"data\":[{{\"file\":\"{file}\",\"size\":3,\"checksums\":{{\"md5\":\"{}\",\"crc\":\"1\"}}}}]}}",
            "0".repeat(32)
        );
        read_extra(&RepoPath::new("extra_files.json").unwrap(), text.as_bytes())
    };
    let tree = extra("EULA").unwrap();
    assert_eq!((tree.files[0].expect.size, tree.files[0].expect.checksums.len()), (Some(3), 1));
    assert!(matches!(extra("../EULA"), Err(FormatError::Path { .. })));
    let none = read_extra(&RepoPath::new("extra_files.json").unwrap(), b"<html>").unwrap();
    assert_eq!((none.files.len(), none.notices.len()), (0, 1));
}
