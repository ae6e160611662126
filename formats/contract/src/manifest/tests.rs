use super::*;

fn header() -> Header {
    Header {
        format: Kind::Pypi,
        layout: 1,
        mode: Mode::Filtered,
        options: serde_json::json!({"b": 1, "a": [true]}),
    }
}

fn file(path: &str, content: &str) -> Line {
    let measured = Measured { sha256: Digest::of(content.as_bytes()), size: content.len() as u64 };
    Line::File { path: RepoPath::new(path).unwrap(), entry: Entry::Present { measured, role: Role::Payload } }
}

fn written(lines: &[Line]) -> (Digest, Vec<u8>) {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    for line in lines {
        writer.line(line).unwrap();
    }
    writer.finish()
}

#[test]
fn reads_what_it_wrote_and_names_it_alike() {
    let path = RepoPath::new("p/x y").unwrap();
    let lines = [
        Line::Doc { kind: "modulemd".into(), key: "nginx:1.22".into(), record: Digest::of(b"m") },
        Line::File { path: RepoPath::new("gone").unwrap(), entry: Entry::Absent },
        file("p/x y", "abc"),
        Line::Pkg { key: Key::new("x", "1", "y"), record: Digest::of(b"r"), files: vec![path] },
    ];
    let (name, bytes) = written(&lines);
    assert_eq!(name, Digest::of(&bytes));
    let mut reader = Reader::new(&*bytes).unwrap();
    assert_eq!(reader.header(), &header());
    for line in &lines {
        assert_eq!(reader.next_line().unwrap().as_ref(), Some(line));
    }
    assert!(reader.next_line().unwrap().is_none());
    assert_eq!(reader.digest(), name);
}

#[test]
fn accepts_one_form_only() {
    let (_, good) = written(&[file("a", "1"), file("b", "2")]);
    let good = String::from_utf8(good).unwrap();
    let read = |text: &str| -> Result<(), ManifestError> {
        let mut reader = Reader::new(text.as_bytes())?;
        while reader.next_line()?.is_some() {}
        Ok(())
    };
    read(&good).unwrap();
    let mut lines: Vec<&str> = good.lines().collect();
    lines.swap(1, 2);
    let swapped = lines.join("\n") + "\n";
    let double = format!("{good}{}\n", good.lines().last().unwrap());
    for (name, bad) in [
        ("no line feed", good.trim_end()),
        ("CR", &good.replace('\n', "\r\n")),
        ("order", &swapped),
        ("twice", &double),
        ("blank line", &format!("{good}\n")),
        ("header spacing", &good.replacen("\":", "\": ", 1)),
        ("leading zero", &good.replace("\t1\tpayload", "\t01\tpayload")),
        ("plus sign", &good.replace("\t1\tpayload", "\t+1\tpayload")),
        ("newer", &good.replacen("\t1\t", "\t2\t", 1)),
        ("leaves its tree", &good.replace("file\ta", "file\t../a")),
        ("the list of a published tree", &good.replace("file\ta", "file\t.chantal-tree")),
        (
            "upper-case digest",
            &good.replacen(&Digest::of(b"1").hex(), &Digest::of(b"1").hex().to_uppercase(), 1),
        ),
    ] {
        assert!(read(bad).is_err(), "{name}");
    }
}

#[test]
fn differences_come_in_order_and_once() {
    let (_, a) = written(&[file("a", "1"), file("a/b", "1"), file("c", "1"), file("e", "1")]);
    let (_, b) = written(&[file("a", "1"), file("b", "1"), file("c", "2"), file("e", "1"), file("f", "1")]);
    let mut seen = Vec::new();
    diff::<_, _, ManifestError>(
        &mut Reader::new(&*a).unwrap(),
        &mut Reader::new(&*b).unwrap(),
        &mut |change| {
            seen.push(match change {
                Change::Removed(l) => format!("-{}", subject(l)),
                Change::Added(l) => format!("+{}", subject(l)),
                Change::Changed { new, .. } => format!("~{}", subject(new)),
            });
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(seen, ["-file\ta/b", "+file\tb", "~file\tc", "+file\tf"]);
}
