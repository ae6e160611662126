use std::str::FromStr;

use url::Url;

use super::*;
use crate::simple::{Metadata, Record};

fn candidate(version: &str, sdist: bool, environments: Environments) -> Candidate {
    let filename = format!("x-{version}{}", if sdist { ".tar.gz" } else { "-py3-none-any.whl" });
    let entry = FileEntry {
        url: Url::parse("https://files.example.org/x").unwrap(),
        checksums: Vec::new(),
        size: None,
        requires_python: None,
        yanked: false,
        metadata: Metadata::No,
        provenance: None,
        gpg_sig: false,
        record: Record::new(),
        filename,
    };
    Candidate { entry, version: Version::from_str(version).unwrap(), sdist, environments }
}

#[test]
fn versions_that_are_equal_count_once() {
    let mut all = vec![
        candidate("1.0", false, 1),
        candidate("1.0.0", true, 1),
        candidate("1", false, 1),
        candidate("0.9", true, 1),
        candidate("2.0", false, 2),
    ];
    sort(&mut all);
    let specifiers = Specifiers::default();
    let asked = Asked { specifiers: &specifiers, pins: [&[], &[]] };
    let policy = |sdists, keep| Policy { prereleases: Prereleases::IfNeeded, sdists, keep };
    let names = |environment, policy| -> Vec<&str> {
        choose(&all, &asked, environment, policy)
            .into_iter()
            .map(|i| all[i].entry.filename.as_str())
            .collect()
    };
    assert_eq!(
        names(1, policy(Sdists::WhenNoWheel, Some(1))),
        ["x-1-py3-none-any.whl", "x-1.0-py3-none-any.whl"]
    );
    assert_eq!(names(1, policy(Sdists::WhenNoWheel, Some(2))).len(), 3);
    assert_eq!(names(1, policy(Sdists::Always, Some(1))).len(), 3);
    assert_eq!(names(2, policy(Sdists::Always, None)), ["x-2.0-py3-none-any.whl"]);
    let chosen = choose(&all, &asked, 1, policy(Sdists::Always, None));
    let telling: Vec<&str> =
        telling(&all, &chosen).into_iter().map(|i| all[i].entry.filename.as_str()).collect();
    assert_eq!(telling, ["x-1-py3-none-any.whl", "x-1.0-py3-none-any.whl", "x-0.9.tar.gz"]);
}
