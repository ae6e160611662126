use super::*;

#[test]
fn advisories_keep_their_limits() {
    let sized = |id: usize, title: usize, references: usize| {
        let advisory = Advisory {
            id: "i".repeat(id),
            kind: String::new(),
            severity: String::new(),
            title: "t".repeat(title),
            references: (0..references).map(|n| format!("CVE-{n:09}")).collect(),
        };
        let text = review::encode_advisory(&advisory);
        review::parse_advisory(&text).map(|read| assert_eq!(read, advisory))
    };
    for less in [0, 1] {
        sized(ADVISORY_FIELD_BYTES - less, SUMMARY_BYTES - less, ADVISORY_REFERENCES - less).unwrap();
    }
    assert!(sized(ADVISORY_FIELD_BYTES + 1, 1, 1).is_err());
    assert!(sized(1, SUMMARY_BYTES + 1, 1).is_err());
    assert!(sized(1, 1, ADVISORY_REFERENCES + 1).is_err());
}

#[test]
fn a_state_has_no_more_signers_than_the_limit() {
    let write = |count: usize| {
        let mut writer = Writer::new(Vec::new(), CELL).unwrap();
        // the limit is that of one state, not of all
        for repository in ["bookworm", "trixie"] {
            writer.state(&Name::new(repository).unwrap(), digests()[0], None)?;
            writer.first("chantal-manifest\t1\t{}")?;
            writer.review(&NOTHING)?;
            for n in 0..count {
                let (kind, key) = (SignerKind::Signed, Fingerprint(format!("{n:040X}")));
                writer.review(&ReviewLine::Signer(Signer { kind, key, side: Side::New }))?;
            }
        }
        writer.finish()
    };
    for count in [SIGNERS - 1, SIGNERS] {
        let (bytes, open_size, _) = write(count).unwrap();
        assert_eq!(read_all(&bytes, open_size).unwrap().len(), 2 * (count + 3) + 1);
    }
    assert!(write(SIGNERS + 1).is_err());
    // nor does a reader take more
    let (bytes, ..) = write(SIGNERS).unwrap();
    let text = String::from_utf8(zstd::decode_all(&*bytes).unwrap()).unwrap();
    let last = format!("signer\tsigned\t{:040X}\t+\n", SIGNERS - 1);
    let more = text.replace(&last, &format!("{last}signer\tsigned\t{SIGNERS:040X}\t+\n"));
    let (packed, size) = squeezed(more.as_bytes());
    let error = read_all(&packed, size).unwrap_err().to_string();
    assert!(error.contains("too many signers"), "{error}");
}

#[test]
fn lines_and_records_keep_their_limits() {
    let line = |length: usize| {
        let mut writer = Writer::new(Vec::new(), CELL)?;
        writer.state(&repository(), digests()[0], None)?;
        writer.first("first")?;
        writer.edit(Edit::Added(&"x".repeat(length)))?;
        writer.review(&NOTHING)?;
        writer.finish()
    };
    for length in [MANIFEST_LINE_BYTES - 1, MANIFEST_LINE_BYTES] {
        let (bytes, size, _) = line(length).unwrap();
        read_all(&bytes, size).unwrap();
    }
    assert!(line(MANIFEST_LINE_BYTES + 1).is_err());
    let head = format!("chantal-index\t1\nstate\tbookworm\t{}\t-\n=first\n", digests()[0]);
    let text = |length: usize| format!("{head}+{}\nreview\t0\t0\nend\t1\t0\t0\t0\n", "x".repeat(length));
    for (length, fits) in [(LINE_BYTES - 1, true), (LINE_BYTES, false)] {
        let (packed, size) = squeezed(text(length).as_bytes());
        match read_all(&packed, size) {
            Ok(_) => assert!(fits, "{length}"),
            Err(error) => assert!(!fits && error.to_string().contains("no line feed within"), "{error}"),
        }
    }
    let record = |length: usize| {
        let mut writer = Writer::new(Vec::new(), CELL)?;
        writer.record(&vec![b'r'; length])?;
        writer.finish()
    };
    for length in [0, RECORD_BYTES - 1, RECORD_BYTES] {
        let (bytes, size, _) = record(length).unwrap();
        read_all(&bytes, size).unwrap();
    }
    assert!(matches!(record(RECORD_BYTES + 1), Err(IndexError::Record { .. })));
    let bytes = vec![b'r'; RECORD_BYTES + 1];
    let mut text =
        format!("chantal-index\t1\nrecord\t{}\t{}\n", Digest::of(&bytes), bytes.len()).into_bytes();
    text.extend(bytes);
    text.extend(b"\nend\t0\t1\t0\t0\n");
    let (packed, size) = squeezed(&text);
    assert!(matches!(read_all(&packed, size), Err(IndexError::Record { .. })));
}
