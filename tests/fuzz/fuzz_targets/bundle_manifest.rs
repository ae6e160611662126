#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = chantal_bundle::Manifest::parse(data) {
        // one form only: what parses is what is written
        assert_eq!(manifest.encode().ok().as_deref(), Some(data));
    }
    if let Ok(proof) = chantal_bundle::proof::Proof::parse(data) {
        assert_eq!(proof.encode().ok().as_deref(), Some(data));
    }
    let _ = chantal_bundle::TrustDocument::parse(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = chantal_bundle::sums::parse(text);
        let _ = text.parse::<chantal_bundle::BundleName>();
    }
});
