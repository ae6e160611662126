#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // repomd.xml, its signature and key, and whatever it names
    chantal_fuzz::walk(&chantal_rpm::Rpm::from_value(serde_json::json!({})).expect("a constant"), data);
    let _ = chantal_rpm::mirrors::parse_metalink(data);
    let _ = chantal_rpm::mirrors::parse_mirrorlist(data);
});
