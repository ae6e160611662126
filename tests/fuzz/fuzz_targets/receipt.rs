#![no_main]

use chantal_bundle::receipt::{Receipt, Sealed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(sealed) = Sealed::split(data) {
        assert_eq!([sealed.text, sealed.signature].concat(), data);
        read(sealed.text);
    }
    if let Some(draft) = chantal_bundle::trust::Link::from_draft(data) {
        assert_eq!(draft.to_draft(), data);
    }
    read(data);
});

fn read(text: &[u8]) {
    if let Ok(receipt) = Receipt::parse(text) {
        // one form only: what parses is what is written
        assert_eq!(receipt.encode().ok().as_deref(), Some(text));
    }
}
