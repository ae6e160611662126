//! Verifiers: one without keys, and one that asks gpg.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use chantal_contract::{Policy, Signed, Verifier, VerifyError, proof::Fingerprint};

use super::tool;

/// A verifier without keys.
pub(crate) struct Unsigned(pub Policy);

impl Verifier for Unsigned {
    fn metadata(&self) -> Policy {
        self.0
    }
    fn packages(&self) -> Policy {
        self.0
    }
    fn cleartext(&self, _: &[u8]) -> Result<Signed, VerifyError> {
        Err(VerifyError::NoKeys)
    }
    fn detached(&self, _: &[u8], _: &[u8]) -> Result<Vec<Fingerprint>, VerifyError> {
        Err(VerifyError::NoKeys)
    }
}

/// A key of gpg in a home of its own, which signs and verifies.
pub(crate) struct Keyring {
    pub home: tempfile::TempDir,
    pub policy: Policy,
}

impl Keyring {
    /// Makes a key; none where gpg is missing.
    pub fn new(kind: &str) -> Option<Self> {
        tool("gpg")?;
        // a socket's path may be 107 bytes long
        let home = tempfile::Builder::new().prefix("k").tempdir_in("/tmp").unwrap();
        let keyring = Self { home, policy: Policy::Require };
        keyring.gpg(&["--quick-gen-key", "Test <test@example.org>", kind, "sign", "0"]);
        Some(keyring)
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs gpg and returns what it printed.
    pub fn gpg(&self, arguments: &[&str]) -> Vec<u8> {
        let out = self.command().args(arguments).stderr(Stdio::piped()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    fn command(&self) -> Command {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--yes", "--passphrase", "", "--pinentry-mode", "loopback", "--homedir"]);
        command.arg(self.home());
        command
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Makes an armoured detached signature.
    pub fn sign(&self, data: &[u8]) -> Vec<u8> {
        let path = self.file("to-sign", data);
        self.gpg(&["--armor", "--output", "-", "--detach-sign", path.to_str().unwrap()])
    }

    /// Makes a detached signature as a package carries it.
    pub fn sign_binary(&self, data: &[u8]) -> Vec<u8> {
        let path = self.file("to-sign", data);
        self.gpg(&["--output", "-", "--detach-sign", path.to_str().unwrap()])
    }

    /// Exports the public key.
    pub fn public(&self) -> Vec<u8> {
        self.gpg(&["--armor", "--export"])
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.home()).args(["--kill", "all"]).output();
    }
}

impl Verifier for Keyring {
    fn metadata(&self) -> Policy {
        self.policy
    }
    fn packages(&self) -> Policy {
        self.policy
    }
    fn cleartext(&self, _: &[u8]) -> Result<Signed, VerifyError> {
        Err(VerifyError::NoKeys)
    }
    fn detached(&self, data: &[u8], signature: &[u8]) -> Result<Vec<Fingerprint>, VerifyError> {
        let (data, signature) = (self.file("data", data), self.file("signature", signature));
        let out =
            self.command().args(["--status-fd", "1", "--verify"]).args([&signature, &data]).output().unwrap();
        let status = String::from_utf8_lossy(&out.stdout).into_owned();
        match status.lines().find_map(|l| l.strip_prefix("[GNUPG:] VALIDSIG ")) {
            Some(rest) => Ok(vec![Fingerprint(rest.split(' ').next().unwrap().into())]),
            None if status.contains("BADSIG") => Err(VerifyError::Bad(Fingerprint("?".into()))),
            None => Err(VerifyError::Malformed(status)),
        }
    }
}
