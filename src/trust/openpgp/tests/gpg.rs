//! A GnuPG of its own for every test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{EPOCH, Keyring, TEXT};

/// A GnuPG home of its own, gone with its agent when dropped.
pub struct Gpg {
    home: tempfile::TempDir,
    /// The time that gpg believes in, in seconds since 1970.
    pub at: i64,
}

impl Gpg {
    /// Starts one; says so and returns none where there is no gpg, unless clients are required.
    pub fn start() -> Option<Self> {
        if Command::new("gpg").arg("--version").output().is_err() {
            assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "gpg is required");
            println!("skipped: no gpg");
            return None;
        }
        Some(Self { home: tempfile::Builder::new().prefix("g").tempdir().unwrap(), at: EPOCH })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn try_run(&self, args: &[&str]) -> Output {
        let time = format!("{}!", self.at);
        Command::new("gpg")
            .args(["--homedir", self.home.path().to_str().unwrap(), "--batch", "--yes", "--quiet"])
            .args(["--pinentry-mode", "loopback", "--passphrase", "", "--no-permission-warning"])
            .args(["--faked-system-time", &time, "--weak-digest", "MD5"])
            .args(args)
            .output()
            .unwrap()
    }

    pub fn run(&self, args: &[&str]) -> Vec<u8> {
        let output = self.try_run(args);
        assert!(output.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Makes a key and returns its fingerprint; `expires` as gpg takes it (`never`, `10d`).
    pub fn key(&self, name: &str, algorithm: &str, usage: &str, expires: &str) -> String {
        self.run(&["--quick-gen-key", name, algorithm, usage, expires]);
        self.fingerprint(name)
    }

    fn fingerprint(&self, name: &str) -> String {
        let listed = String::from_utf8(self.run(&["--with-colons", "--list-keys", name])).unwrap();
        let line = listed.lines().find(|l| l.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    pub fn export(&self, name: &str) -> Keyring {
        Keyring::from_bytes(Path::new("test.gpg"), &self.run(&["--export", name])).unwrap()
    }

    pub fn sign(&self, names: &[&str], extra: &[&str]) -> Vec<u8> {
        fs::write(self.path("text"), TEXT).unwrap();
        let mut args: Vec<&str> = extra.to_vec();
        for name in names {
            args.extend(["--local-user", name]);
        }
        let text = self.path("text");
        let out = self.path("out");
        let (text, out) = (text.to_str().unwrap().to_owned(), out.to_str().unwrap().to_owned());
        args.extend(["--output", &out]);
        if !extra.iter().any(|e| e.contains("sign") || *e == "-b") {
            args.push("--clear-sign");
        }
        args.push(&text);
        self.run(&args);
        fs::read(out).unwrap()
    }

    /// Asks gpgv whether it finds a good signature.
    pub fn gpgv_says_good(&self, keyring: &Keyring, document: &[u8]) -> bool {
        fs::write(self.path("ring.gpg"), keyring.binary()).unwrap();
        fs::write(self.path("doc"), document).unwrap();
        let output = Command::new("gpgv")
            .args(["--keyring", self.path("ring.gpg").to_str().unwrap(), "--status-fd", "1"])
            .arg(self.path("doc"))
            .output()
            .unwrap();
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("GOODSIG")
    }

    pub fn key_of_subkey(&self, key: &str) -> String {
        let listed = String::from_utf8(self.run(&["--with-colons", "--list-keys", key])).unwrap();
        let line =
            listed.lines().skip_while(|l| !l.starts_with("sub:")).find(|l| l.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// Makes a revocation certificate with a reason of RFC 9580 §5.2.3.31 as gpg numbers them.
    pub fn revocation(&self, key: &str, reason: &str) -> PathBuf {
        let path = self.path("revocation.asc");
        self.talk(&["--output", path.to_str().unwrap(), "--gen-revoke", key], &format!("y\n{reason}\n\ny\n"));
        path
    }

    pub fn talk(&self, args: &[&str], answers: &str) -> bool {
        use std::{io::Write, process::Stdio};
        let time = format!("{}!", self.at);
        let mut child = Command::new("gpg")
            .args(["--homedir", self.home.path().to_str().unwrap(), "--yes", "--quiet", "--no-tty"])
            .args(["--pinentry-mode", "loopback", "--passphrase", "", "--command-fd", "0"])
            .args(["--faked-system-time", &time])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        child.wait().unwrap().success()
    }
}
impl Drop for Gpg {
    fn drop(&mut self) {
        let home = self.home.path().to_str().unwrap_or_default();
        let _ = Command::new("gpgconf").args(["--homedir", home, "--kill", "all"]).output();
    }
}
