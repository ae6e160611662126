#![no_main]

use libfuzzer_sys::fuzz_target;

use chantal_contract::RepoPath;

fuzz_target!(|data: &[u8]| {
    let path = RepoPath::new("dists/stable/Release").expect("a constant");
    let _ = chantal_apt::Release::parse(data, &path);
    chantal_fuzz::walk(&apt(), data);
});

fn apt() -> chantal_apt::Apt {
    let options = serde_json::json!({"suites": ["stable"], "components": ["main"], "architectures": ["amd64"], "sources": true});
    chantal_apt::Apt::from_value(options).expect("a constant")
}
