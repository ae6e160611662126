use std::process::Command;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.key");
    let key = SiteKey::generate(&path, "hq", &Passphrase::None).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(SiteKey::load(&path, &Passphrase::None).unwrap().public(), key.public());
    let before = fs::read(&path).unwrap();
    let again = SiteKey::generate(&path, "hq", &Passphrase::None);
    assert!(matches!(again, Err(KeyError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    for open in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        let refused = SiteKey::load(&path, &Passphrase::None).unwrap_err();
        assert!(matches!(refused, KeyError::Mode { .. }));
        assert_eq!(refused.hint().unwrap(), format!("chmod 600 {}", path.display()));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(SiteKey::load(&path, &Passphrase::None).is_ok());
}

#[test]
fn a_passphrase_opens_what_it_locked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.key");
    let secret = dir.path().join("secret");
    fs::write(&secret, "open sesame\nsecond line\n").unwrap();
    let key = SiteKey::generate(&path, "hq", &Passphrase::File(secret)).unwrap();
    let text = |t: &str| Passphrase::Text(Zeroizing::new(t.into()));
    assert_eq!(SiteKey::load(&path, &text("open sesame")).unwrap().public(), key.public());
    assert_eq!(SiteKey::load(&path, &text("open sesame")).unwrap().home(), Home::Locked);
    let asked = Passphrase::Ask(|_| Ok(Some(Zeroizing::new("open sesame".into()))));
    assert_eq!(SiteKey::load_with(&path, &asked, Err(AgentError::None)).unwrap().public(), key.public());
    let silent = SiteKey::load_with(&path, &Passphrase::Ask(|_| Ok(None)), Err(AgentError::None));
    assert!(matches!(silent, Err(KeyError::Locked { .. })));
    assert!(matches!(SiteKey::load(&path, &text("wrong")), Err(KeyError::Passphrase { .. })));
    assert!(matches!(
        SiteKey::load_with(&path, &Passphrase::None, Err(AgentError::None)),
        Err(KeyError::Locked { .. })
    ));
}

#[test]
fn ssh_keygen_reads_the_key_and_makes_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.key");
    let key = SiteKey::generate(&path, "hq", &Passphrase::None).unwrap();
    let Ok(output) = Command::new("ssh-keygen").arg("-y").arg("-f").arg(&path).output() else {
        assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "ssh-keygen is required");
        println!("skipped: no ssh-keygen");
        return;
    };
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), key.public_line());
    let listed = Command::new("ssh-keygen").arg("-l").arg("-f").arg(&path).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains(&key.fingerprint().to_string()));
    for (kind, secret) in [("ed25519", ""), ("ed25519", "sesame"), ("ecdsa", "")] {
        let other = dir.path().join(format!("{kind}-{secret}"));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", secret, "-C", "plant 7", "-f"])
            .arg(&other)
            .status();
        assert!(made.unwrap().success());
        let loaded = SiteKey::load(&other, &Passphrase::Text(Zeroizing::new(secret.into())));
        if kind == "ecdsa" {
            assert!(matches!(loaded, Err(KeyError::Algorithm { .. } | KeyError::Malformed { .. })));
            assert!(matches!(read_public_key(&other.with_extension("pub")), Err(KeyError::Public { .. })));
        } else {
            let public = read_public_key(&other.with_extension("pub")).unwrap();
            assert_eq!(public, (loaded.unwrap().public(), "plant 7".to_owned()));
        }
    }
}
