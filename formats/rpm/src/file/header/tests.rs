use super::*;

fn file() -> RepoPath {
    RepoPath::new("a.rpm").unwrap()
}

/// One entry: tag, type, offset, count.
type Raw = (u32, u32, u32, u32);

/// A header of these entries over this store, with a region around all of it.
fn header(entries: &[Raw], store: &[u8]) -> Vec<u8> {
    let count = u32::try_from(entries.len() + 1).unwrap();
    let size = u32::try_from(store.len()).unwrap();
    let region = (REGION_IMMUTABLE, 7, size, 16);
    let trailer = (REGION_IMMUTABLE, 7, (count * 16).wrapping_neg(), 16);
    let pack = |(a, b, c, d): Raw| [a, b, c, d].into_iter().flat_map(u32::to_be_bytes).collect::<Vec<_>>();
    let mut bytes = intro(count, size + 16);
    for entry in [region].iter().chain(entries) {
        bytes.extend(pack(*entry));
    }
    bytes.extend(store);
    bytes.extend(pack(trailer));
    bytes
}

fn intro(count: u32, size: u32) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([0; 4]);
    bytes.extend(count.to_be_bytes());
    bytes.extend(size.to_be_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Result<Header, FormatError> {
    let mut input = bytes;
    Header::read(&file(), &mut input, 0, Region::Main)
}

#[test]
fn reads_every_type() {
    let store = b"name\0one\0two\0\0\0\x01\x02\0\0\0\x03\0\0\0\0\0\0\0\x04";
    let bytes = header(
        &[(1000, 6, 0, 1), (1117, 8, 5, 2), (1030, 3, 14, 1), (1003, 4, 16, 1), (1004, 7, 20, 1)],
        store,
    );
    let header = parse(&bytes).unwrap();
    assert_eq!(header.raw(), bytes);
    assert_eq!(header.text(1000).unwrap(), "name");
    assert_eq!(header.strings(1117).collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(header.int16s(1030).collect::<Vec<_>>(), [1]);
    assert_eq!(header.int32s(1003).collect::<Vec<_>>(), [0x0200_0000]);
    assert_eq!(header.bytes(1004), Some(&b"\x03"[..]));
    // asked for as another type, or not there
    assert_eq!((header.text(1003), header.bytes(1000), header.text(9999)), (None, None, None));
    assert_eq!(header.int64s(1003).count(), 0);
}

#[test]
fn lying_lengths_are_refused_and_cost_nothing() {
    let good: Raw = (1000, 6, 0, 1);
    assert!(parse(&header(&[good], b"name\0")).is_ok());
    for (bad, why) in [
        ((1000, 6, 6, 1), "an offset behind the data"),
        ((1000, 6, u32::MAX, 1), "an offset beyond everything"),
        ((1000, 8, 0, 100), "more strings than bytes"),
        ((1000, 8, 0, u32::MAX), "more strings than anything"),
        ((1000, 4, 0, u32::MAX), "more integers than anything"),
        ((1000, 5, 0, 3), "integers that end behind the data"),
        ((1000, 7, 0, 22), "bytes that end behind the data"),
        ((1000, 4, 1, 1), "an odd integer"),
        ((1000, 6, 0, 2), "a string that is two"),
        ((1000, 0, 0, 1), "no type"),
        ((1000, 10, 0, 1), "an unknown type"),
        ((1000, 6, 0, 0), "nothing of it"),
        ((62, 7, 0, 1), "a region in the middle"),
        ((1, 7, 0, 1), "a tag below all tags"),
    ] {
        assert!(matches!(parse(&header(&[bad], b"name\0")), Err(FormatError::Malformed { .. })), "{why}");
    }
    assert!(parse(&header(&[good, (1001, 7, 4, 1)], b"name\0")).is_err(), "entries that overlap");
    assert!(parse(&header(&[good, (1001, 7, 5, 1)], b"name\0x")).is_ok());
    assert!(parse(&header(&[good], b"name")).is_err(), "a string that only the trailer would end");
}

#[test]
fn numbers_keep_their_limits() {
    for (count, size) in [(RPM_HEADER_TAGS + 1, 16), (1, RPM_HEADER_BYTES + 1), (u32::MAX, u32::MAX)] {
        assert!(matches!(parse(&intro(count, size)), Err(FormatError::Limit { .. })), "{count}, {size}");
    }
    // at the limit it is read, and found to be cut
    for (count, size) in
        [(RPM_HEADER_TAGS, 16), (1, RPM_HEADER_BYTES), (RPM_HEADER_TAGS - 1, RPM_HEADER_BYTES - 1)]
    {
        let error = parse(&intro(count, size)).unwrap_err();
        assert!(error.to_string().contains("the end of the file"), "{error}");
    }
    let many: Vec<Raw> = (0..RPM_HEADER_TAGS - 1).map(|n| (1000 + n, 7, n, 1)).collect();
    assert!(parse(&header(&many, &vec![0; many.len()])).is_ok());
}

/// Every entry claims the whole store: what overlaps is refused before it is walked through again.
#[test]
fn overlapping_strings_are_not_quadratic() {
    let many: Vec<Raw> = (0..RPM_HEADER_TAGS - 1).map(|n| (1000 + n, 8, 0, 4 << 20)).collect();
    let started = std::time::Instant::now();
    assert!(parse(&header(&many, &vec![0; 4 << 20])).is_err());
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn a_region_spans_the_whole_main_header() {
    let bytes = header(&[(1000, 6, 0, 1)], b"name\0");
    let trailer = bytes.len() - 16;
    let with = |at: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[at] = value;
        changed
    };
    assert!(parse(&with(trailer + 11, 0xf0)).is_err(), "a region of the first entry alone");
    assert!(parse(&with(trailer + 3, 62)).is_err(), "another region's trailer");
    assert!(parse(&with(trailer + 7, 6)).is_err(), "no trailer");
    assert!(parse(&with(16 + 11, 4)).is_err(), "a trailer elsewhere");
    assert!(parse(&with(16 + 3, 100)).is_err(), "no region");
    // an entry behind the region would be read and signed by nobody
    let mut behind = bytes.clone();
    behind.splice(12..16, 22_u32.to_be_bytes());
    behind.push(0);
    assert!(parse(&behind).is_err(), "data behind the trailer");
}

#[test]
fn a_main_header_without_a_region_is_signed_by_nobody() {
    let entry = [1000_u32, 6, 0, 1].into_iter().flat_map(u32::to_be_bytes).collect::<Vec<_>>();
    let store = [&b"name\0"[..], &[0; 16]].concat();
    let bare = [intro(1, 21), entry, store].concat();
    let read = |bytes: &[u8], region| Header::read(&file(), &mut &*bytes, 0, region);
    // signatures may stand in such a one, as in packages of old
    assert_eq!(read(&bare, Region::Signature).unwrap().text(1000).unwrap(), "name");
    let error = read(&bare, Region::Main).unwrap_err().to_string();
    assert!(error.contains("the region of the header"), "{error}");
    for store in [0, 16, 100] {
        let empty = [intro(0, store), vec![0; store as usize]].concat();
        assert!(read(&empty, Region::Main).is_err(), "no entries and {store} bytes of nobody's");
    }
}

#[test]
fn every_cut_and_every_flipped_byte_is_survived() {
    let bytes = header(&[(1000, 6, 0, 1), (1117, 8, 5, 2)], b"name\0one\0two\0");
    for cut in 0..bytes.len() {
        assert!(parse(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if let Ok(header) = parse(&changed) {
                let _ = (header.text(1000), header.strings(1117).count(), header.int32s(1003).count());
            }
        }
    }
}
