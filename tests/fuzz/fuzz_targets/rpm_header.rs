#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    chantal_fuzz::package(&chantal_rpm::Rpm::from_value(serde_json::json!({})).expect("a constant"), "Packages/a.rpm", data);
});
