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

fn text(signature: bool, keys: Option<&str>, metadata_signed: bool, packages_signed: bool) -> String {
    let place = Place {
        name: "base-os".into(),
        base: "https://repos.example.org/base-os".into(),
        keys: keys.map(|k| RepoPath::new(k).unwrap()),
        metadata_signed,
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
        text(true, Some("keys/base os.asc"), true, true),
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
    let packages = "# packages' signatures cannot be checked: ";
    let metadata = "# the metadata's signature cannot be checked: ";
    let no_keys = "no keys are published\n";
    let unseen = "they were not looked at upstream\n";
    // signature in the state, keys, metadata verified, packages verified: what is checked, what is said
    for (signature, keys, over_metadata, over_packages, checks, said) in [
        (true, true, true, true, (1, 1), vec![]),
        (true, true, true, false, (0, 1), vec![format!("{packages}{unseen}")]),
        (true, true, false, true, (1, 0), vec![format!("{metadata}it was not looked at upstream\n")]),
        (false, true, false, true, (1, 0), vec![]),
        (false, true, false, false, (0, 0), vec![format!("{packages}{unseen}")]),
        (
            true,
            false,
            false,
            false,
            (0, 0),
            vec![format!("{packages}{no_keys}"), format!("{metadata}{no_keys}")],
        ),
        (
            true,
            false,
            true,
            true,
            (0, 0),
            vec![format!("{packages}{no_keys}"), format!("{metadata}{no_keys}")],
        ),
        (false, false, false, false, (0, 0), vec![format!("{packages}{no_keys}")]),
    ] {
        let text = text(signature, keys.then_some("keys.asc"), over_metadata, over_packages);
        let (gpgcheck, repo_gpgcheck) = checks;
        assert!(text.contains(&format!("\ngpgcheck={gpgcheck}\nrepo_gpgcheck={repo_gpgcheck}\n")), "{text}");
        assert_eq!(text.contains("\ngpgkey="), keys, "{text}");
        assert!(said.iter().all(|line| text.contains(line)), "{text}");
        assert_eq!(text.matches("cannot be checked").count(), said.len(), "{text}");
    }
}
