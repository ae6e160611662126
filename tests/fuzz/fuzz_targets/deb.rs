#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let options = serde_json::json!({"suites": ["stable"], "components": ["main"], "architectures": ["amd64"]});
    let apt = chantal_apt::Apt::from_value(options).expect("a constant");
    chantal_fuzz::package(&apt, "pool/a.deb", data);
});
