use chantal_contract::Digest;

use super::*;
use crate::tests::package::{Value, header, main_header, package};

fn look(bytes: &[u8]) -> Result<(Package, Vec<u8>), FormatError> {
    inspect(&RepoPath::new("p/a&b.rpm").unwrap(), &mut std::io::Cursor::new(bytes))
}

#[test]
fn a_small_package_has_a_whole_record() {
    let none = [(tag::SIG_PAYLOAD_SIZE, Value::Int32(7))];
    let bytes = package(&none, &main_header(&[(tag::EPOCH, Value::Int32(3))]), b"payload");
    let (found, record) = look(&bytes).unwrap();
    assert_eq!(found.key.to_string(), "sample 3:1.0-1 noarch");
    assert_eq!(found.files[0].expect, Expect::exactly(bytes.len() as u64, vec![Digest::of(&bytes).into()]));
    let record = String::from_utf8(record).unwrap();
    assert!(record.contains("<location href=\"p/a&amp;b.rpm\"/>"), "{record}");
    // what was written is what is read
    let document = crate::tests::mirror::primary(&record);
    let mut read = Vec::new();
    crate::primary::read(&RepoPath::new("p").unwrap(), &mut document.as_bytes(), &mut |listed, record| {
        read.push((listed.name, listed.version, listed.location.path, record.to_vec()));
        Ok(())
    })
    .unwrap();
    let [(name, version, path, again)] = read.as_slice() else { panic!("one package") };
    assert_eq!((name.as_str(), version.as_str(), path.as_str()), ("sample", "3:1.0-1", "p/a&b.rpm"));
    assert_eq!(again, record.as_bytes());
}

#[test]
fn what_a_header_says_cannot_break_out_of_the_record() {
    let text = |t: &str| Value::Text(t.into());
    let evil = "</summary><location href=\"../../etc/passwd\"/>\u{1b}[2J\0";
    let bytes = package(
        &[(tag::SIG_PAYLOAD_SIZE, Value::Int32(7))],
        &main_header(&[(tag::SUMMARY, text(evil)), (tag::LICENSE, Value::Text(b"\xff<&".to_vec()))]),
        b"",
    );
    let (found, record) = look(&bytes).unwrap();
    let record = String::from_utf8(record).unwrap();
    assert!(!found.summary.contains('\u{1b}'));
    assert!(record.contains("<summary>&lt;/summary&gt;&lt;location"), "{record}");
    assert!(record.contains("<rpm:license>\u{fffd}&lt;&amp;</rpm:license>"), "{record}");
    assert!(!record.contains('\u{1b}'));
}

#[test]
fn names_that_are_none_are_refused() {
    for (number, value) in
        [(tag::NAME, "../x"), (tag::NAME, ""), (tag::NAME, "a b"), (tag::VERSION, "1\n2"), (tag::ARCH, "x/y")]
    {
        let tags: Vec<_> = [tag::NAME, tag::VERSION, tag::RELEASE, tag::ARCH, tag::SOURCE_RPM]
            .map(|n| (n, Value::Text(if n == number { value.into() } else { b"x".to_vec() })))
            .into();
        let bytes =
            package(&[(tag::SIG_PAYLOAD_SIZE, Value::Int32(7))], &header(tag::REGION_IMMUTABLE, &tags), b"");
        assert!(look(&bytes).is_err(), "{number}: {value}");
    }
}

#[test]
fn every_cut_is_survived() {
    let bytes = package(&[(tag::SIG_PAYLOAD_SIZE, Value::Int32(7))], &main_header(&[]), b"");
    assert!(look(&bytes).is_ok());
    for cut in 0..bytes.len() {
        assert!(look(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}
