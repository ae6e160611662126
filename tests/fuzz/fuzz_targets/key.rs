#![no_main]

use chantal_bundle::{KeyFingerprint, PublicKey, wire};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(key) = PublicKey::from_wire(data) {
        // one form only: what is read is what is written
        assert_eq!(key.to_wire(), data);
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(key) = text.parse::<PublicKey>() {
            assert_eq!(key.to_string(), text);
        }
        if let Ok(print) = text.parse::<KeyFingerprint>() {
            assert_eq!(print.to_string(), text);
        }
        let _ = PublicKey::parse_line(text);
    }
    let mut rest = data;
    while let Some(part) = wire::string(&mut rest) {
        assert!(part.len() + rest.len() < data.len());
    }
});
