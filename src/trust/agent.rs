//! The little of the ssh-agent protocol (draft-miller-ssh-agent) that signing asks for: which Ed25519 keys it holds, and a
//! signature by one of them, or by the hardware token that it speaks to. The private key never comes here.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use chantal_bundle::{PublicKey, wire};
use ssh_key::{Algorithm, Signature};

/// Bytes of one message that are read at most, as OpenSSH has it.
const MESSAGE_BYTES: u32 = 256 << 10;
/// How long an answer is waited for: a person may have to confirm, or to touch something.
const PATIENCE: Duration = Duration::from_mins(5);

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Why the agent gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No agent is named.
    #[error("no ssh-agent is named by `$SSH_AUTH_SOCK`")]
    None,
    /// It cannot be reached, or ended in the middle.
    #[error("ssh-agent at `{}`: {source}", socket.display())]
    Io {
        /// Its socket.
        socket: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// It answered something that is no answer to the question.
    #[error("ssh-agent at `{}` refuses, or does not hold the key (is it locked? was its question answered `no`?)", socket.display())]
    Refused {
        /// Its socket.
        socket: PathBuf,
    },
}

/// An agent that holds keys.
#[derive(Clone, Debug)]
pub struct Agent {
    socket: PathBuf,
}

impl Agent {
    /// Finds the agent that `$SSH_AUTH_SOCK` names.
    pub fn from_env() -> Result<Self, AgentError> {
        let named = std::env::var_os("SSH_AUTH_SOCK").filter(|name| !name.is_empty());
        named.map(|name| Self::at(Path::new(&name))).ok_or(AgentError::None)
    }

    /// Takes the agent behind a socket.
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.into() }
    }

    /// Lists the Ed25519 keys that it holds, with their comments; keys of other kinds are passed over.
    pub fn keys(&self) -> Result<Vec<(PublicKey, String)>, AgentError> {
        let answer = self.ask(&[REQUEST_IDENTITIES])?;
        let read = || -> Option<Vec<(PublicKey, String)>> {
            let mut rest = answer.strip_prefix(&[IDENTITIES_ANSWER])?;
            let count = wire::number(&mut rest)?;
            let mut keys = Vec::new();
            for _ in 0..count {
                let (blob, comment) = (wire::string(&mut rest)?, wire::string(&mut rest)?);
                if let Some(key) = PublicKey::from_wire(blob) {
                    keys.push((key, String::from_utf8_lossy(comment).into_owned()));
                }
            }
            Some(keys)
        };
        read().ok_or_else(|| self.refused())
    }

    /// Has a key sign some data. Behind the 64 bytes of the signature (RFC 8032 §5.1.6) stand the flags and the counter of a token, where
    /// one holds the key.
    pub fn sign(&self, key: &PublicKey, data: &[u8]) -> Result<Signature, AgentError> {
        let mut request = vec![SIGN_REQUEST];
        wire::put(&mut request, &key.to_wire());
        wire::put(&mut request, data);
        request.extend(0_u32.to_be_bytes());
        let answer = self.ask(&request)?;
        let read = || -> Option<Signature> {
            let mut rest = answer.strip_prefix(&[SIGN_RESPONSE])?;
            let mut blob = wire::string(&mut rest)?;
            let algorithm = wire::string(&mut blob)?;
            let raw: [u8; 64] = wire::string(&mut blob)?.try_into().ok()?;
            if algorithm != key.algorithm().as_bytes() || !rest.is_empty() {
                return None;
            }
            let kind = if key.is_on_token() { Algorithm::SkEd25519 } else { Algorithm::Ed25519 };
            Signature::new(kind, [raw.as_slice(), blob].concat()).ok()
        };
        read().ok_or_else(|| self.refused())
    }

    fn ask(&self, request: &[u8]) -> Result<Vec<u8>, AgentError> {
        let io = |source| AgentError::Io { socket: self.socket.clone(), source };
        let talk = || -> io::Result<Option<Vec<u8>>> {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut message = Vec::with_capacity(request.len() + 4);
            wire::put(&mut message, request);
            stream.write_all(&message)?;
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length);
            if length > MESSAGE_BYTES {
                return Ok(None);
            }
            let mut answer = vec![0; length as usize];
            stream.read_exact(&mut answer)?;
            Ok(Some(answer))
        };
        talk().map_err(io)?.ok_or_else(|| self.refused())
    }

    fn refused(&self) -> AgentError {
        AgentError::Refused { socket: self.socket.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, process::Command, thread};

    use chantal_bundle::{Application, Namespace};

    use super::*;
    use crate::trust::{KeyError, Passphrase, SiteKey, key::Home, sshsig};

    /// Answers one question with these bytes.
    fn once(answer: Vec<u8>) -> (tempfile::TempDir, Agent, thread::JoinHandle<()>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&answer).unwrap();
        });
        (dir, Agent::at(&socket), served)
    }

    #[test]
    fn an_answer_that_is_none_gives_nothing() {
        let key = PublicKey::from_bytes([7; 32]);
        let mut lying = vec![SIGN_RESPONSE];
        wire::put(&mut lying, &[0, 0, 0, 99, 1]);
        let framed = |body: &[u8]| {
            let mut message = Vec::new();
            wire::put(&mut message, body);
            message
        };
        for (answer, refused) in [
            (framed(&[5]), true),
            (framed(&[]), true),
            (framed(&[SIGN_RESPONSE]), true),
            (framed(&lying), true),
            (u32::MAX.to_be_bytes().to_vec(), true),
            (vec![0, 0], false),
            (vec![0, 0, 0, 9, 14], false),
        ] {
            let (_dir, agent, served) = once(answer.clone());
            let error = agent.sign(&key, b"x").unwrap_err();
            assert_eq!(matches!(error, AgentError::Refused { .. }), refused, "{answer:?}: {error}");
            served.join().unwrap();
        }
        // a signature of the other kind than the key, and one of a token without what it says, or with more
        let token = PublicKey::on_token([7; 32], Application::new(b"ssh:").unwrap());
        let signed = |algorithm: &str, said: &[u8]| {
            let mut blob = Vec::new();
            wire::put(&mut blob, algorithm.as_bytes());
            wire::put(&mut blob, &[9; 64]);
            blob.extend(said);
            let mut answer = vec![SIGN_RESPONSE];
            wire::put(&mut answer, &blob);
            framed(&answer)
        };
        for (by, of, said, good) in [
            (key, key, &[][..], true),
            (token, token, &[1, 0, 0, 0, 1], true),
            (key, token, &[], false),
            (key, token, &[1, 0, 0, 0, 1], false),
            (token, key, &[1, 0, 0, 0, 1], false),
            (token, key, &[], false),
            (token, token, &[], false),
            (token, token, &[1, 0, 0, 0, 1, 0], false),
            (key, key, &[1, 0, 0, 0, 1], false),
        ] {
            let (_dir, agent, served) = once(signed(of.algorithm(), said));
            assert_eq!(agent.sign(&by, b"x").is_ok(), good, "{} {} {said:?}", by.algorithm(), of.algorithm());
            served.join().unwrap();
        }
        let mut many = vec![IDENTITIES_ANSWER];
        many.extend(u32::MAX.to_be_bytes());
        let (_dir, agent, served) = once(framed(&many));
        assert!(matches!(agent.keys(), Err(AgentError::Refused { .. })));
        served.join().unwrap();
    }

    #[test]
    fn the_real_agent_signs_as_the_file_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.key");
        let key = SiteKey::generate(&path, "hq", &Passphrase::None).unwrap();
        let socket = dir.path().join("agent");
        let Ok(mut child) = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).spawn() else {
            assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "ssh-agent is required");
            println!("skipped: no ssh-agent");
            return;
        };
        let agent = Agent::at(&socket);
        let mut listed = agent.keys();
        while listed.is_err() {
            thread::sleep(Duration::from_millis(10));
            listed = agent.keys();
        }
        assert!(listed.unwrap().is_empty());
        assert!(matches!(agent.sign(&key.public(), b"x"), Err(AgentError::Refused { .. })));
        let added = Command::new("ssh-add").arg("-q").arg(&path).env("SSH_AUTH_SOCK", &socket).status();
        assert!(added.unwrap().success());
        assert_eq!(agent.keys().unwrap(), [(key.public(), "hq".to_owned())]);
        // the public line in the key's place says that the agent has the rest
        let public = dir.path().join("agent.pub");
        std::fs::write(&public, format!("{}\n", key.public_line())).unwrap();
        let held = SiteKey::load_with(&public, &Passphrase::None, Ok(agent.clone())).unwrap();
        assert_eq!(
            (held.public(), held.home(), held.public_line()),
            (key.public(), Home::Agent, key.public_line())
        );
        let signed = |key: &SiteKey| sshsig::sign(key, Namespace::Trust, b"document").unwrap();
        assert_eq!(signed(&held), signed(&key));
        // without it, nothing can be signed
        let gone = Command::new("ssh-add").arg("-qD").env("SSH_AUTH_SOCK", &socket).status();
        assert!(gone.unwrap().success());
        assert!(matches!(sshsig::sign(&held, Namespace::Trust, b"d"), Err(KeyError::Agent { .. })));
        let absent = SiteKey::load_with(&public, &Passphrase::None, Ok(agent));
        assert!(matches!(absent, Err(KeyError::NotInAgent { .. })));
        let none = SiteKey::load_with(&public, &Passphrase::None, Err(AgentError::None));
        assert!(none.unwrap_err().hint().unwrap().contains("ssh-add"));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
