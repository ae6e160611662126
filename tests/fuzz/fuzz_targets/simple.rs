#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let options = serde_json::json!({"projects": ["a"], "dependencies": true, "environments": [{"python": "3.11", "platform": "manylinux_2_28_x86_64"}]});
    chantal_fuzz::walk(&chantal_pypi::Pypi::from_value(options).expect("a constant"), data);
});
