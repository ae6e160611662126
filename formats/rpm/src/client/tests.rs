use chantal_contract::{Digest, Header, Line};

use super::*;

/// A state that holds one signature, or nothing.
struct One(bool);

impl State for One {
    fn header(&self) -> &Header {
        panic!("not asked for")
    }
    fn lines(&self, _: &mut dyn FnMut(&Line) -> Result<(), FormatError>) -> Result<(), FormatError> {
        Ok(())
    }
    fn record(&self, _: &Digest) -> Result<Vec<u8>, TreeError> {
        panic!("not asked for")
    }
    fn read(&self, path: &RepoPath, _: u64) -> Result<Vec<u8>, TreeError> {
        assert_eq!(path.as_str(), "repodata/repomd.xml.asc");
        if self.0 { Ok(b"a signature".to_vec()) } else { Err(TreeError::NoFile(path.clone())) }
    }
}

fn text(signature: bool, keys: Option<&str>, packages_signed: bool) -> String {
    let place = Place {
        name: "base-os".into(),
        base: "https://repos.example.org/base-os".into(),
        keys: keys.map(|k| RepoPath::new(k).unwrap()),
        packages_signed,
        at: "2026-11-20T12:00:00Z".parse().unwrap(),
    };
    let [file] = <[SetUp; 1]>::try_from(set_up(&One(signature), &place).unwrap()).unwrap();
    assert_eq!(
        (file.name.as_str(), file.install_to.as_str()),
        ("base-os.repo", "/etc/yum.repos.d/base-os.repo")
    );
    file.text
}

#[test]
fn everything_that_can_be_checked_is() {
    assert_eq!(
        text(true, Some("keys/base os.asc"), true),
        "# base-os, published 2026-11-20 12:00:00 UTC\n\
         # dnf and yum: copy this file to /etc/yum.repos.d/; zypper: to /etc/zypp/repos.d/\n\
         [base-os]\n\
         name=base-os\n\
         baseurl=https://repos.example.org/base-os/\n\
         enabled=1\n\
         gpgcheck=1\n\
         repo_gpgcheck=1\n\
         gpgkey=https://repos.example.org/base-os/keys/base%20os.asc\n\
         # the tree changes when a new state is published: look for one at least every six hours\n\
         metadata_expire=6h\n"
    );
}

#[test]
fn what_cannot_be_checked_says_why() {
    let without_signature = text(false, Some("keys.asc"), true);
    assert!(without_signature.contains("\ngpgcheck=1\nrepo_gpgcheck=0\n"), "{without_signature}");
    let without_keys = text(true, None, true);
    assert!(without_keys.contains(
        "\n# packages' signatures cannot be checked: no keys are published\ngpgcheck=0\nrepo_gpgcheck=0\n"
    ));
    assert!(!without_keys.contains("gpgkey"));
    let unsigned = text(true, Some("keys.asc"), false);
    assert!(unsigned.contains("not known to be signed\ngpgcheck=0\nrepo_gpgcheck=1\n"), "{unsigned}");
}
