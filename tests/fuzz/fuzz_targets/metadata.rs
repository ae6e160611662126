#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let options = serde_json::json!({"projects": ["a"]});
    let pypi = chantal_pypi::Pypi::from_value(options).expect("a constant");
    chantal_fuzz::package(&pypi, "packages/a/a-1.0-py3-none-any.whl", data);
    chantal_fuzz::package(&pypi, "packages/a/a-1.0.tar.gz", data);
});
