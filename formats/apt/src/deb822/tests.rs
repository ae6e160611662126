use std::io::{BufReader, Cursor, Read};

use super::*;

fn file() -> RepoPath {
    RepoPath::new("Packages").unwrap()
}

/// A reader that yields `step` bytes at a time, so that every boundary is met.
fn split_all(text: &[u8], step: usize) -> Result<Vec<(u64, Vec<u8>)>, FormatError> {
    struct Steps<'a>(&'a [u8], usize);
    impl Read for Steps<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let n = self.1.min(buf.len());
            self.0.read(&mut buf[..n])
        }
    }
    let mut found = Vec::new();
    let mut reader = BufReader::with_capacity(1, Steps(text, step));
    stanzas(&mut reader, &file(), &mut |stanza| {
        found.push((stanza.line, stanza.bytes.to_vec()));
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn splits_at_empty_lines_wherever_reads_end() {
    let text = b"\n\nA: 1\nB: 2\n x\n\n\nC: 3\r\n\r\nD: 4";
    for step in 1..=text.len() {
        assert_eq!(
            split_all(text, step).unwrap(),
            [(3, b"A: 1\nB: 2\n x\n".to_vec()), (8, b"C: 3\r\n".to_vec()), (10, b"D: 4".to_vec())],
            "reads of {step}"
        );
    }
    assert!(split_all(b"", 1).unwrap().is_empty());
    assert!(split_all(b"\n\r\n\n", 1).unwrap().is_empty());
}

#[test]
fn keeps_its_limit_exactly() {
    let stanza = |n: usize| {
        let mut text = b"A: ".to_vec();
        text.resize(n - 1, b'x');
        text.push(b'\n');
        text
    };
    for (size, fits) in [(RECORD_BYTES - 1, true), (RECORD_BYTES, true), (RECORD_BYTES + 1, false)] {
        for tail in ["", "\n", "\nB: 1\n"] {
            let mut text = stanza(size);
            text.extend(tail.as_bytes());
            let result = split_all(&text, 1 << 20);
            assert_eq!(result.is_ok(), fits, "{size} bytes, then {tail:?}");
            if !fits {
                assert!(matches!(result, Err(FormatError::Limit { what: "a stanza", .. })));
            }
        }
    }
}

#[test]
fn stops_an_endless_stanza_in_flat_memory() {
    // 8 GiB of one line, and 8 GiB of short lines: both stop at the limit, long before they are read
    for pattern in [&b"x"[..], b"A: 1\n"] {
        struct Endless<'a>(&'a [u8], u64);
        impl Read for Endless<'_> {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                for (n, byte) in buf.iter_mut().enumerate() {
                    *byte = self.0[n % self.0.len()];
                }
                self.1 += buf.len() as u64;
                assert!(self.1 < 64 << 20, "it went on reading");
                Ok(buf.len())
            }
        }
        let mut reader = BufReader::new(Endless(pattern, 0));
        let error = stanzas(&mut reader, &file(), &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, FormatError::Limit { .. }), "{error}");
    }
}

#[test]
fn refuses_control_characters_and_names_the_line() {
    for bad in [
        &b"A: 1\nB: \0\n"[..],
        b"A: 1\nB: \x1b[31m\n",
        b"A: 1\nB: x\ry\n",
        b"A: 1\nB: \x7f\n",
        b"A: 1\nB: \x0b\n",
    ] {
        let mut text = b"X: y\n\n".to_vec();
        text.extend(bad);
        let error = split_all(&text, 7).unwrap_err().to_string();
        assert!(error.contains("`Packages`, line 4: expected no control character"), "{error}");
    }
    assert!(split_all(b"A: \tx\r\n\ty\r\n", 3).is_ok());
}

#[test]
fn reads_fields_without_regard_to_case_and_with_folded_lines() {
    let text = b"PACKAGE: a\nTag: x,\n y,\n\tz\nEmpty:\nDescription: short\n long\n .\n \n end\n";
    let fields: Vec<_> = Fields::of(text).map(Result::unwrap).collect();
    assert_eq!(
        fields.iter().map(|f| (f.name, f.line)).collect::<Vec<_>>(),
        [("PACKAGE", 1), ("Tag", 2), ("Empty", 5), ("Description", 6)]
    );
    assert!(fields[0].is("package"));
    assert_eq!(fields[0].word().unwrap(), "a");
    assert_eq!(fields[1].words().unwrap().collect::<Vec<_>>(), ["x,", "y,", "z"]);
    assert!(fields[1].line_value().is_err(), "a folded value is not one line");
    assert!(fields[2].line_value().is_err(), "an empty value is none");
    assert_eq!(fields[3].head(), b"short");
    assert_eq!(fields[3].lines().map(|(n, _)| n).collect::<Vec<_>>(), [6, 7, 8, 10]);
}

#[test]
fn refuses_what_is_no_field() {
    for (text, line) in [
        (&b" x\n"[..], 1),
        (b"A: 1\nno colon\nB: 2\n", 2),
        (b": x\n", 1),
        (b"A b: x\n", 1),
        (b"# comment: x\n", 1),
        (b"-dash: x\n", 1),
        (b"\xc3\xa4: x\n", 1),
    ] {
        let faults: Vec<_> = Fields::of(text).filter_map(Result::err).collect();
        assert_eq!(faults.len(), 1, "{text:?}");
        assert_eq!(faults[0].line, line, "{text:?}");
        assert!(Fields::of(text).last().unwrap().is_err(), "a fault ends the stanza: {text:?}");
    }
}

#[test]
fn numbers_are_plain() {
    let number = |text: &str| Fields::of(format!("N: {text}\n").as_bytes()).next().unwrap().unwrap().number();
    assert_eq!(number("0").unwrap(), 0);
    assert_eq!(number("18446744073709551615").unwrap(), u64::MAX);
    for bad in ["", "-1", "+1", "1_0", "0x10", "1 2", "18446744073709551616", "１"] {
        assert!(number(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_million_fields_take_linear_time() {
    let text = b"a:\n".repeat(RECORD_BYTES / 3);
    let mut count = 0;
    stanzas(&mut Cursor::new(&text), &file(), &mut |stanza| {
        count += stanza.fields().count();
        Ok(())
    })
    .unwrap();
    assert_eq!(count, RECORD_BYTES / 3);
}
