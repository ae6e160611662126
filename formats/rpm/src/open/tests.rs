use chantal_contract::Digest;

use super::*;
use crate::tests::packed;

fn file() -> RepoPath {
    RepoPath::new("repodata/primary.xml.gz").unwrap()
}

fn read_to_string(bytes: &[u8], open: &Expect) -> Result<String, FormatError> {
    let mut input = bytes;
    read(&file(), &mut input, open, |reader| {
        let mut text = String::new();
        reader.read_to_string(&mut text).map_err(|source| FormatError::Decode { file: file(), source })?;
        Ok(text)
    })
}

#[test]
fn every_compression_is_told_by_its_bytes() {
    let text = "<metadata/>".repeat(100);
    let open = Expect::exactly(text.len() as u64, vec![Digest::of(text.as_bytes()).into()]);
    for codec in [Codec::Plain, Codec::Gzip, Codec::Xz, Codec::Zstd, Codec::Bzip2] {
        assert_eq!(read_to_string(&packed(codec, text.as_bytes()), &open).unwrap(), text, "{codec:?}");
    }
}

#[test]
fn the_decompressed_bytes_must_be_what_was_promised() {
    let bytes = packed(Codec::Gzip, b"<metadata/>");
    assert!(read_to_string(&bytes, &Expect::exactly(11, vec![])).is_ok());
    for wrong in [
        Expect::exactly(10, vec![]),
        Expect::exactly(12, vec![]),
        Expect::exactly(11, vec![Digest::of(b"other").into()]),
        Expect::at_most(10),
    ] {
        let error = read_to_string(&bytes, &wrong).unwrap_err();
        assert!(matches!(error, FormatError::Decode { .. }), "{error}");
    }
    // the promise covers what the parser did not read, too
    let mut input = bytes.as_slice();
    let wrong = Expect::exactly(11, vec![Digest::of(b"other").into()]);
    assert!(read(&file(), &mut input, &wrong, |_| Ok(())).is_err());
}

#[test]
fn a_cut_stream_is_an_error() {
    let text = "some text of no importance ".repeat(1000);
    for codec in [Codec::Gzip, Codec::Xz, Codec::Zstd, Codec::Bzip2] {
        let bytes = packed(codec, text.as_bytes());
        for cut in [6, bytes.len() / 2, bytes.len() - 1] {
            assert!(
                read_to_string(&bytes[..cut], &Expect::at_most(1 << 20)).is_err(),
                "{codec:?} cut at {cut}"
            );
        }
    }
}

#[test]
fn a_bomb_is_stopped() {
    let zeros = vec![0; 72 << 20];
    for codec in [Codec::Gzip, Codec::Xz, Codec::Zstd, Codec::Bzip2] {
        let bomb = packed(codec, &zeros);
        let mut input = bomb.as_slice();
        let open = Expect::at_most(64 << 20);
        let error = read(&file(), &mut input, &open, |reader| {
            crate::primary::read(&file(), reader, &mut |_, _| Ok(()))
        })
        .unwrap_err();
        // zeros are no XML: what never becomes a record stops at a record's limit
        assert!(
            matches!(error, FormatError::Limit { .. } | FormatError::Decode { .. }),
            "{codec:?}: {error}"
        );
        let error = read_to_string(&bomb, &open).unwrap_err();
        assert!(matches!(error, FormatError::Decode { .. }), "{codec:?}: {error}");
    }
}
