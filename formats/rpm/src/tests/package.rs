//! Packages put together by hand, so that each lie can be told.

use crate::file::tag;

/// One tag of a header.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Vec<u8>),
    Texts(Vec<Vec<u8>>),
    Bytes(Vec<u8>),
    Int32(u32),
}

/// Writes a header of these tags with a region around all of it.
pub(crate) fn header(region: u32, tags: &[(u32, Value)]) -> Vec<u8> {
    let mut store = Vec::new();
    let mut index = Vec::new();
    for (number, value) in tags {
        if matches!(value, Value::Int32(_)) {
            store.resize(store.len().next_multiple_of(4), 0);
        }
        let offset = u32::try_from(store.len()).unwrap();
        let (kind, count) = match value {
            Value::Text(text) => {
                store.extend([text.as_slice(), b"\0"].concat());
                (6, 1)
            }
            Value::Texts(texts) => {
                store.extend(texts.iter().flat_map(|text| [text.as_slice(), b"\0"].concat()));
                (8, texts.len())
            }
            Value::Bytes(bytes) => {
                store.extend(bytes);
                (7, bytes.len())
            }
            Value::Int32(number) => {
                store.extend(number.to_be_bytes());
                (4, 1)
            }
        };
        index.push([*number, kind, offset, u32::try_from(count).unwrap()]);
    }
    let entries = u32::try_from(index.len() + 1).unwrap();
    index.insert(0, [region, 7, u32::try_from(store.len()).unwrap(), 16]);
    for word in [region, 7, (entries * 16).wrapping_neg(), 16] {
        store.extend(word.to_be_bytes());
    }
    let mut bytes = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
    bytes.extend(entries.to_be_bytes());
    bytes.extend(u32::try_from(store.len()).unwrap().to_be_bytes());
    bytes.extend(index.into_iter().flatten().flat_map(u32::to_be_bytes));
    bytes.extend(store);
    bytes
}

/// Writes the main header of a package `sample` with further tags.
pub(crate) fn main_header(more: &[(u32, Value)]) -> Vec<u8> {
    let text = |t: &str| Value::Text(t.into());
    let mut tags = vec![
        (tag::NAME, text("sample")),
        (tag::VERSION, text("1.0")),
        (tag::RELEASE, text("1")),
        (tag::ARCH, text("noarch")),
        (tag::SOURCE_RPM, text("sample.src.rpm")),
    ];
    tags.extend(more.iter().cloned());
    header(tag::REGION_IMMUTABLE, &tags)
}

/// Puts a package together.
pub(crate) fn package(signatures: &[(u32, Value)], main: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 96];
    bytes[..4].copy_from_slice(&[0xed, 0xab, 0xee, 0xdb]);
    bytes.extend(header(tag::REGION_SIGNATURES, signatures));
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(main);
    bytes.extend(payload);
    bytes
}
