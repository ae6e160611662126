#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // a fixed repomd.xml names a plain primary and a plain updateinfo; the fuzzer writes both
    const REPOMD: &str = concat!(
        "<?xml version=\"1.0\"?><repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><revision>1</revision>",
        "<data type=\"primary\"><checksum type=\"sha256\">e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855</checksum>",
        "<location href=\"repodata/primary.xml\"/><size>1</size></data>",
        "<data type=\"updateinfo\"><checksum type=\"sha256\">e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855</checksum>",
        "<location href=\"repodata/updateinfo.xml\"/><size>1</size></data></repomd>"
    );
    let mut input = Vec::from(REPOMD);
    for part in [&b"k"[..], b"k", b"k"] {
        input.extend([0xff, 0, 0xff, 0]);
        input.extend(part);
    }
    for part in [&b""[..], b"", b"<metadata/>", data, data] {
        input.extend([0xff, 0, 0xff, 0]);
        input.extend(part);
    }
    chantal_fuzz::walk(&chantal_rpm::Rpm::from_value(serde_json::json!({})).expect("a constant"), &input);
});
