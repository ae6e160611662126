use super::*;

#[test]
fn base64_is_decoded_or_refused() {
    assert_eq!(base64(b"").unwrap(), b"");
    assert_eq!(base64(b"Zm9vYmFy").unwrap(), b"foobar");
    assert_eq!(base64(b"Zm9v\nYmE=").unwrap(), b"fooba");
    assert_eq!(base64(b"Zm9vYg==").unwrap(), b"foob");
    assert_eq!(base64(b"+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
    assert_eq!(base64(b"Zm9v!"), None);
    assert_eq!(base64(b"Zg==Zg"), None);
}
