//! Strings and numbers as SSH writes them (RFC 4251 §5).

/// Writes a length and the bytes.
pub fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

/// Takes a number off the beginning; none where that is too short.
pub fn number(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*head))
}

/// Takes a length and as many bytes off the beginning; none where that is too short.
pub fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)?;
    let (head, tail) = rest.split_at_checked(length as usize)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken_and_nothing_behind_the_end() {
        let mut wire = Vec::new();
        for part in [b"ssh".as_slice(), b""] {
            put(&mut wire, part);
        }
        let mut rest = wire.as_slice();
        assert_eq!(
            (string(&mut rest), string(&mut rest), string(&mut rest)),
            (Some(&b"ssh"[..]), Some(&b""[..]), None)
        );
        for length in 0..7 {
            assert_eq!(string(&mut &wire[..length]), None, "{length}");
        }
        assert_eq!(string(&mut u32::MAX.to_be_bytes().as_slice()), None);
    }
}
