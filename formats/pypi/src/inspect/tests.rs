use std::io::Cursor;

use chantal_contract::Digest;

use super::*;
use crate::harness::{metadata, sdist, wheel};

fn look(filename: &str, bytes: &[u8]) -> Result<(Package, Vec<u8>), FormatError> {
    inspect(&RepoPath::new(filename).unwrap(), &mut Cursor::new(bytes))
}

#[test]
fn describes_wheel_and_sdist_as_an_index_would() {
    let text = metadata("Foo.Bar", "1.0", "2.1", &[]).replace("Summary", "Requires-Python: >=3.8\nSummary");
    let bytes = wheel("foo-bar", "1.0", &text);
    let (package, record) = look("up/foo_bar-1.0-py3-none-any.whl", &bytes).unwrap();
    assert_eq!(package.key, Key::new("foo-bar", "1.0", "foo_bar-1.0-py3-none-any.whl"));
    assert_eq!(package.summary, "Foo.Bar for tests");
    assert_eq!(package.files[0].path.as_str(), "packages/foo-bar/foo_bar-1.0-py3-none-any.whl");
    assert_eq!(package.files[0].expect.sha256(), Some(Digest::of(&bytes)));
    assert_eq!(
        String::from_utf8(record).unwrap(),
        format!(
            r#"{{"filename":"foo_bar-1.0-py3-none-any.whl","hashes":{{"sha256":"{}"}},"requires-python":">=3.8","size":{}}}"#,
            Digest::of(&bytes),
            bytes.len()
        )
    );
    let bytes = sdist("foo", "1.0", &metadata("foo", "1.0", "2.1", &[]));
    assert_eq!(look("foo-1.0.tar.gz", &bytes).unwrap().0.version, Version("1.0".into()));
}

#[test]
fn refuses_a_file_that_is_not_what_its_name_says() {
    let bytes = wheel("foo", "1.0", &metadata("foo", "1.0", "2.1", &[]));
    for name in
        ["foo-1.1-py3-none-any.whl", "bar-1.0-py3-none-any.whl", "foo.whl", "foo-1.0.tar.gz", "foo-1.0.egg"]
    {
        assert!(look(name, &bytes).is_err(), "{name}");
    }
    let strange = wheel("foo", "1.0", "Name: ../foo\nVersion: 1.0\n");
    assert!(look("foo-1.0-py3-none-any.whl", &strange).is_err());
}
