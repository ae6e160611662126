#![no_main]

use libfuzzer_sys::fuzz_target;

use chantal_contract::RepoPath;

fuzz_target!(|data: &[u8]| {
    let path = RepoPath::new("dists/stable/main/binary-amd64/Packages").expect("a constant");
    let mut input = data;
    let _ = chantal_apt::deb822::stanzas(&mut input, &path, &mut |stanza| {
        let _ = chantal_apt::packages::binary(&stanza, &path);
        let _ = chantal_apt::packages::source(&stanza, &path);
        Ok(())
    });
});
