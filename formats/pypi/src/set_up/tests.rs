use jiff::Timestamp;

use super::*;

fn written(base: &str) -> Vec<SetUp> {
    files(&Place {
        name: "wheels.main".into(),
        base: base.into(),
        keys: None,
        metadata_signed: false,
        packages_signed: false,
        at: Timestamp::UNIX_EPOCH,
    })
}

#[test]
fn clients_are_pointed_at_the_index() {
    let files = written("https://repo.example.org/wheels");
    let text = |name: &str| files.iter().find(|f| f.name == name).unwrap().text.as_str();
    assert!(text("pip.conf").contains("\nindex-url = https://repo.example.org/wheels/simple/\n"));
    assert!(!text("pip.conf").contains("trusted-host"));
    assert!(
        text("uv.toml").contains("\nurl = \"https://repo.example.org/wheels/simple/\"\ndefault = true\n")
    );
    assert!(text("uv.toml").contains("\nname = \"wheels-main\"\n"), "uv's names hold no dots");
    assert!(text("nginx.conf").contains("location ^~ /wheels/simple/ {"));
    let served = files.iter().filter(|f| f.keeper == Keeper::Server).map(|f| f.name.as_str());
    assert_eq!(served.collect::<Vec<_>>(), ["nginx.conf", "apache.conf"]);
    for file in files {
        assert!(!file.install_to.is_empty() && file.text.ends_with('\n'), "{}", file.name);
    }
}

#[test]
fn an_address_without_tls_is_trusted_aloud() {
    let files = written("http://10.0.0.1:8080/a%20b");
    assert!(files[0].text.contains("trusted-host = 10.0.0.1:8080\n"));
    assert!(files[0].text.contains("/a%%20b/simple/"), "pip expands percent signs");
    assert!(written("file:///srv/wheels")[0].text.contains("index-url = file:///srv/wheels/simple/"));
}
