use std::{fs, io::Cursor, path::Path, process::Command};

use super::*;
use crate::harness::{gzip, xz};

const CONTROL: &str = "Package: hello\nVersion: 1:2.10-3\nArchitecture: amd64\nMaintainer: Some Body <some@example.org>\n\
                       Description: greets\n and more\n";

fn read(bytes: &[u8]) -> Result<(Package, Vec<u8>), FormatError> {
    inspect(&RepoPath::new("pool/h/hello.deb").unwrap(), &mut Cursor::new(bytes))
}

fn error_of(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        out.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).into_bytes(),
        );
        out.extend(*bytes);
        if bytes.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn deb(control: &str) -> Vec<u8> {
    let control = tar(&[("md5sums", b""), ("control", control.as_bytes())]);
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &tar(&[]))])
}

#[test]
fn returns_the_stanza_that_an_index_would_hold() {
    let bytes = deb(CONTROL);
    let (package, record) = read(&bytes).unwrap();
    assert_eq!(package.key.encode(), "hello 1:2.10-3 amd64");
    assert_eq!(package.summary, "greets");
    assert_eq!(package.files[0].path.as_str(), "pool/h/hello.deb");
    assert_eq!(package.files[0].expect, crate::harness::exactly(&bytes));
    let digest = chantal_contract::Digest::of(&bytes);
    let expected = format!("{CONTROL}Filename: pool/h/hello.deb\nSize: {}\nSHA256: {digest}\n", bytes.len());
    assert_eq!(String::from_utf8(record).unwrap(), expected);
    // a last line without its end, as some tools write it
    assert_eq!(read(&deb(CONTROL.trim_end())).unwrap().0.key, package.key);
}

#[test]
fn reads_every_compression_and_passes_over_private_members() {
    let control = tar(&[("control", CONTROL.as_bytes())]);
    for (name, bytes) in [
        ("control.tar", control.clone()),
        ("control.tar.gz", gzip(&control)),
        ("control.tar.xz", xz(&control)),
        ("control.tar.zst/", zstd::encode_all(control.as_slice(), 3).unwrap()),
    ] {
        let deb = ar(&[
            ("debian-binary", b"2.0\n"),
            ("_gpgorigin", b"x"),
            (name, &bytes),
            ("data.tar.bz2", b"x"),
            ("_more", b""),
        ]);
        assert_eq!(read(&deb).unwrap().0.key.name, "hello", "{name}");
    }
}

#[test]
fn agrees_with_dpkg_deb() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "dpkg-deb is missing");
        println!("skipped: dpkg-deb is missing");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    fs::create_dir_all(root.join("usr/share/doc/hello")).unwrap();
    fs::write(root.join("usr/share/doc/hello/README"), "hello\n".repeat(1000)).unwrap();
    fs::write(root.join("DEBIAN/control"), CONTROL).unwrap();
    fs::write(root.join("DEBIAN/postinst"), "#!/bin/sh\n").unwrap();
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(&root));
    run(Command::new("chmod").arg("755").arg(root.join("DEBIAN/postinst")));
    for compression in ["none", "gzip", "xz", "zstd"] {
        let deb = scratch.path().join(format!("{compression}.deb"));
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Z", compression, "-b"])
            .args([&root as &Path, &deb]));
        let bytes = fs::read(&deb).unwrap();
        let (package, record) = read(&bytes).unwrap();
        let fields = run(Command::new("dpkg-deb").arg("-f").arg(&deb));
        assert!(record.starts_with(&fields), "{compression}");
        assert_eq!(package.key.version, "1:2.10-3");
    }
}

#[test]
fn refuses_what_is_no_deb() {
    let control = tar(&[("control", CONTROL.as_bytes())]);
    let version = ("debian-binary", &b"2.0\n"[..]);
    let data = ("data.tar", &b""[..]);
    for (members, word) in [
        (vec![], "expected `debian-binary`, found `no member`"),
        (vec![("control.tar", &control[..]), version, data], "expected `debian-binary`, found `control.tar`"),
        (vec![("debian-binary", b"3.0\n"), ("control.tar", &control), data], "expected format `2.0`"),
        (vec![version, data, ("control.tar", &control)], "expected `control.tar`"),
        (vec![version, ("control.tar", &control)], "expected `data.tar`"),
        (vec![version, ("control.tar.lzma", &control), data], "expected `control.tar`, plain or as .gz"),
        (vec![version, ("control.targz", &control), data], "expected `control.tar`"),
        (vec![version, ("control.tar.gz", &control), data], "`pool/h/hello.deb`:"),
        (vec![version, ("control.tar", b"x"), data], "`pool/h/hello.deb`:"),
        (vec![version, ("control.tar", &control[..520]), data], "its control file is cut short"),
    ] {
        let error = error_of(&ar(&members));
        assert!(
            error.contains(word),
            "{:?}: {error}",
            members.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
    }
    let whole = deb(CONTROL);
    for cut in [0, 7, 8, 67, 71, 200, whole.len() - 1024] {
        assert!(read(&whole[..cut]).is_err(), "cut to {cut}");
    }
}

#[test]
fn refuses_control_data_that_would_lie_in_an_index() {
    for (control, word) in [
        (format!("{CONTROL}Filename: ../../etc/passwd\n"), "none of an index's fields"),
        (format!("sha256: x\n{CONTROL}"), "none of an index's fields"),
        (format!("{CONTROL}\nPackage: evil\n"), "one stanza and no empty lines"),
        (format!("{CONTROL}\n"), "one stanza and no empty lines"),
        (format!("\n{CONTROL}"), "one stanza and no empty lines"),
        (String::new(), "one stanza, found `none`"),
        (CONTROL.replace("greets", "greets\nunfolded"), "`Name: value`"),
        (CONTROL.replace("greets", "gr\0eets"), "no control character"),
        (CONTROL.replace("Version: 1:2.10-3\n", ""), "a field `Version`"),
        (CONTROL.replace("Package: hello", "Package: ../hello"), "no slash"),
        (format!("{CONTROL}package: twice\n"), "each field once"),
    ] {
        let error = error_of(&deb(&control));
        assert!(error.contains(word), "{control:?}: {error}");
    }
    let only = |entries: &[(&str, &[u8])]| {
        error_of(&ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar(entries)), ("data.tar", b"")]))
    };
    assert!(only(&[("sub/control", CONTROL.as_bytes())]).contains("expected a file `control`"));
    assert!(only(&[]).contains("expected a file `control`"));
}

#[test]
fn sizes_and_counts_are_limited() {
    for (size, fits) in [(RECORD_BYTES - 1, true), (RECORD_BYTES, true), (RECORD_BYTES + 1, false)] {
        let control = format!("{CONTROL} {}\n", "x".repeat(size - CONTROL.len() - 2));
        assert_eq!(control.len(), size);
        match read(&deb(&control)) {
            Ok(_) => assert!(fits, "{size}"),
            // seen before it is taken for a stanza
            Err(error) => assert!(!fits && error.to_string().contains("its control file"), "{size}: {error}"),
        }
    }
    for (count, fits) in [(CONTROL_ENTRIES - 1, true), (CONTROL_ENTRIES, true), (CONTROL_ENTRIES + 1, false)]
    {
        let mut entries: Vec<(&str, &[u8])> = vec![("x", b""); count - 1];
        entries.push(("control", CONTROL.as_bytes()));
        let deb = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar(&entries)), ("data.tar", b"")]);
        assert_eq!(read(&deb).is_ok(), fits, "{count}");
    }
}

#[test]
fn a_bomb_in_the_control_archive_is_stopped() {
    let size = usize::try_from(CONTROL_OPEN_BYTES).unwrap();
    let bomb = tar(&[("x", &vec![0; size]), ("control", CONTROL.as_bytes())]);
    for (name, bytes) in [
        ("control.tar.xz", xz(&bomb)),
        ("control.tar.gz", gzip(&bomb)),
        ("control.tar.zst", zstd::encode_all(bomb.as_slice(), 3).unwrap()),
    ] {
        let error = error_of(&ar(&[("debian-binary", b"2.0\n"), (name, &bytes), ("data.tar", b"")]));
        assert!(error.contains("decompresses to more than 67108864 bytes"), "{name}: {error}");
    }
}
