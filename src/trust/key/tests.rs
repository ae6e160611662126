use std::process::Command;

use super::*;
use crate::trust::token::{self, Token};

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

#[test]
fn a_key_on_a_token_signs_through_the_agent_whichever_file_stands_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let token = Token::new("hq", "ssh:");
    let served = token::Agent::start(&dir.path().join("agent"), &[&token]);
    let agent = || Ok(Agent::at(&served.socket));
    let (line, handle) = (dir.path().join("hq.pub"), dir.path().join("hq"));
    fs::write(&line, token.line() + "\n").unwrap();
    fs::write(&handle, token.handle()).unwrap();
    fs::set_permissions(&handle, fs::Permissions::from_mode(0o600)).unwrap();
    let (public, comment) = read_public_key(&line).unwrap();
    assert!(public.is_on_token());
    for path in [&line, &handle] {
        assert_eq!(SiteKey::public_of(path).unwrap(), public);
        let key = SiteKey::load_with(path, &Passphrase::None, agent()).unwrap();
        assert_eq!((key.public(), key.home()), (public, Home::Token));
        assert_eq!((key.public_line(), comment.as_str()), (token.line(), "hq"));
        let before = token.counter();
        key.sshsig("chantal-bundle", b"m").unwrap();
        assert_eq!(token.counter(), before + 1);
    }
    // a handle alone signs nothing, and is no malformed key either
    let none = SiteKey::load_with(&handle, &Passphrase::None, Err(AgentError::None)).unwrap_err();
    let other = Token::new("other", "ssh:");
    let others = token::Agent::start(&dir.path().join("others"), &[&other]);
    let lacks = SiteKey::load_with(&handle, &Passphrase::None, Ok(Agent::at(&others.socket))).unwrap_err();
    for error in [none, lacks] {
        assert!(matches!(error, KeyError::Handle { .. }), "{error}");
        assert!(error.hint().unwrap().contains(&format!("ssh-add {}", handle.display())), "{error}");
    }
    let lacks = SiteKey::load_with(&line, &Passphrase::None, Ok(Agent::at(&others.socket)));
    assert!(matches!(lacks, Err(KeyError::NotInAgent { .. })));
    // what it is, ssh-keygen says as well
    match Command::new("ssh-keygen").arg("-l").arg("-f").arg(&handle).output() {
        Ok(listed) => {
            let listed = String::from_utf8(listed.stdout).unwrap();
            assert!(listed.contains(&public.fingerprint().to_string()), "{listed}");
        }
        Err(_) => assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "ssh-keygen is required"),
    }
}

#[test]
fn who_is_to_touch_a_token_is_told_before_it_is_asked() {
    static TOLD: std::sync::Mutex<Vec<KeyFingerprint>> = std::sync::Mutex::new(Vec::new());
    let dir = tempfile::tempdir().unwrap();
    let token = Token::new("hq", "ssh:");
    let served = token::Agent::start(&dir.path().join("agent"), &[&token]);
    let line = dir.path().join("hq.pub");
    fs::write(&line, token.line()).unwrap();
    let key = SiteKey::load_with(&line, &Passphrase::None, Ok(Agent::at(&served.socket))).unwrap();
    let key = key.telling(|key| TOLD.lock().unwrap().push(*key));
    assert!(TOLD.lock().unwrap().is_empty());
    key.sshsig("chantal-bundle", b"m").unwrap();
    assert_eq!(*TOLD.lock().unwrap(), [key.fingerprint()]);
    // a key in a file waits for nobody
    let path = dir.path().join("file");
    let file =
        SiteKey::generate(&path, "", &Passphrase::None).unwrap().telling(|_| panic!("nobody is to touch it"));
    file.sshsig("chantal-bundle", b"m").unwrap();
}
