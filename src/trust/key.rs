//! The site's own key: Ed25519 in OpenSSH's format, readable by its owner alone, or held by an ssh-agent or a hardware token.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use chantal_bundle::{KeyFingerprint, PublicKey};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, SshSig, rand_core::OsRng};
use zeroize::Zeroizing;

use super::{
    agent::{Agent, AgentError},
    sshsig::{SshsigError, public_key},
};

/// Bytes of a private key file or a passphrase file that are read at most.
const FILE_BYTES: u64 = 64 << 10;

/// Why a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system refused.
    #[error("key `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// There is a key already.
    #[error("key `{path}` exists")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may read or write it.
    #[error("key `{path}` has mode {mode:04o}: others than its owner can reach it")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no private key in OpenSSH's format.
    #[error("`{path}` is no OpenSSH private key: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reader's word.
        source: ssh_key::Error,
    },
    /// It is of another algorithm than Ed25519.
    #[error("key `{path}` is {found}, neither ssh-ed25519 nor sk-ssh-ed25519@openssh.com")]
    Algorithm {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// It is protected and no passphrase was given.
    #[error("key `{path}` is protected by a passphrase and none was given")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase does not open it.
    #[error("the passphrase does not open key `{path}`")]
    Passphrase {
        /// The file.
        path: PathBuf,
    },
    /// It is no public key line.
    #[error("`{path}`: {source}")]
    Public {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: chantal_bundle::KeyError,
    },
    /// Its file holds the public line, and the agent that would have the rest does not answer.
    #[error("key `{path}` is held by an ssh-agent: {source}")]
    Agent {
        /// The file of its public line.
        path: PathBuf,
        /// Why there is no answer.
        source: AgentError,
    },
    /// Its file holds the public line, and the agent does not have the rest.
    #[error("key `{path}` ({key}) is not among those that the ssh-agent holds")]
    NotInAgent {
        /// The file of its public line.
        path: PathBuf,
        /// Its fingerprint.
        key: KeyFingerprint,
    },
    /// Its file is what a hardware token needs to sign with the key, and nobody asks the token.
    #[error("`{path}` is only the handle of a key on a hardware token: {source}")]
    Handle {
        /// The file.
        path: PathBuf,
        /// Why the agent does not ask it.
        source: Box<Self>,
    },
    /// What the agent or token signed, nobody would believe.
    #[error("key `{path}` makes no signature that counts: {source}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with the signature.
        source: SshsigError,
    },
    /// The mathematics refused.
    #[error("cannot sign: {source}")]
    Sign {
        /// The library's word.
        source: ssh_key::Error,
    },
}

impl KeyError {
    /// Returns what helps.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Mode { path, .. } => Some(format!("chmod 600 {}", path.display())),
            Self::Exists { .. } => Some("`chantal key show` prints its public line".into()),
            Self::Algorithm { path, .. } | Self::Malformed { path, .. } => Some(format!(
                "put the site's own key there; `ssh-keygen -l -f {}` tells what the file is",
                path.display()
            )),
            Self::Locked { .. } | Self::Passphrase { .. } => {
                Some("give the passphrase in `$CHANTAL_KEY_PASSPHRASE` or the file that `$CHANTAL_KEY_PASSPHRASE_FILE` names, or `ssh-add` the key".into())
            }
            Self::Agent { .. } | Self::NotInAgent { .. } => {
                Some("`ssh-add` the private key, and see that `$SSH_AUTH_SOCK` names the agent that has it (`ssh-add -l` lists what it holds)".into())
            }
            Self::Handle { path, .. } => Some(format!(
                "plug the token in and `ssh-add {0}`, with `$SSH_AUTH_SOCK` naming the agent; from then on its public line, `{0}.pub`, does as well",
                path.display()
            )),
            Self::Unfit { source: SshsigError::Untouched(_), .. } => Some(
                "touch the token when it blinks; a key that was made with `-O no-touch-required` is replaced by one made without".into(),
            ),
            Self::Unfit { source: SshsigError::Flags { .. }, .. } => Some(
                "a key that is copied between devices is none of a hardware token's: make one with `ssh-keygen -t ed25519-sk`".into(),
            ),
            Self::Public { .. } => Some(
                "`chantal key show` prints the line that belongs there; for a hardware token it is what `ssh-keygen -t ed25519-sk` writes to the file `.pub`".into(),
            ),
            Self::Io { .. } | Self::Sign { .. } | Self::Unfit { .. } => None,
        }
    }
}

/// Where the passphrase of a key comes from.
#[derive(Clone, Default)]
pub enum Passphrase {
    /// A person is asked, with the key's path; nobody answers where there is no terminal.
    Ask(fn(&Path) -> io::Result<Option<Zeroizing<String>>>),
    /// Nowhere: the key lies open in its file.
    #[default]
    None,
    /// It is this.
    Text(Zeroizing<String>),
    /// It is the first line of a file.
    File(PathBuf),
}

impl Passphrase {
    /// Takes it from `$CHANTAL_KEY_PASSPHRASE`, or else from the file that `$CHANTAL_KEY_PASSPHRASE_FILE` names, or else asks.
    pub fn from_env(ask: fn(&Path) -> io::Result<Option<Zeroizing<String>>>) -> Self {
        if let Ok(text) = std::env::var("CHANTAL_KEY_PASSPHRASE") {
            Self::Text(Zeroizing::new(text))
        } else if let Some(path) = std::env::var_os("CHANTAL_KEY_PASSPHRASE_FILE") {
            Self::File(path.into())
        } else {
            Self::Ask(ask)
        }
    }

    /// Returns what was given beforehand, without asking anybody.
    fn given(&self) -> Result<Option<Zeroizing<String>>, KeyError> {
        match self {
            Self::None | Self::Ask(_) => Ok(None),
            Self::Text(text) => Ok(Some(text.clone())),
            Self::File(path) => {
                let bytes = Zeroizing::new(read(path)?);
                let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
                let text = str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line));
                let text = text.map_err(|e| io_error(path)(io::Error::new(io::ErrorKind::InvalidData, e)))?;
                Ok(Some(Zeroizing::new(text.to_owned())))
            }
        }
    }
}

/// Where a private key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In its file, open.
    File,
    /// In its file, behind a passphrase.
    Locked,
    /// In an ssh-agent; the file holds the public line.
    Agent,
    /// On a hardware token, which an ssh-agent asks; the file holds the public line, or the handle that the token needs.
    Token,
}

impl Home {
    /// Returns the words for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Locked => "file, passphrase",
            Self::Agent => "ssh-agent",
            Self::Token => "hardware token, by ssh-agent",
        }
    }
}

/// What signs.
enum Secret {
    Open(Box<PrivateKey>),
    Agent(Agent),
}

/// A key that can sign: open in memory and wiped when dropped, or held by an ssh-agent.
pub struct SiteKey {
    secret: Secret,
    public: PublicKey,
    comment: String,
    home: Home,
    path: PathBuf,
    /// Called before a hardware token is asked.
    tell: fn(&KeyFingerprint),
}

impl std::fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SiteKey({})", self.fingerprint())
    }
}

impl SiteKey {
    /// Makes a key and stores it with mode 0600; an existing file is never touched.
    ///
    /// It is written beside its place, synced, and linked there, so that no half of it is ever seen.
    pub fn generate(path: &Path, comment: &str, passphrase: &Passphrase) -> Result<Self, KeyError> {
        let mut private =
            PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(|source| KeyError::Sign { source })?;
        private.set_comment(comment);
        let stored = match passphrase.given()? {
            Some(text) => private.encrypt(&mut OsRng, text.as_bytes()),
            None => Ok(private.clone()),
        };
        let text = stored
            .and_then(|s| s.to_openssh(LineEnding::LF))
            .map_err(|source| KeyError::Malformed { path: path.to_path_buf(), source })?;
        let io = io_error(path);
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".key-")
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(dir)
            .map_err(&io)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(&io)?;
        file.persist_noclobber(path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_path_buf() },
            _ => io(error.error),
        })?;
        fs::File::open(dir).and_then(|d| d.sync_all()).map_err(&io)?;
        Self::new(private, path, Home::File)
    }

    /// Reads a key; refuses a file that others than its owner can reach.
    ///
    /// A file that holds a public line stands for a key that the ssh-agent of `$SSH_AUTH_SOCK` has, as for ssh-keygen; so does the handle
    /// of a key on a hardware token. The agent is also asked for a key behind a passphrase that was not given, before a person is.
    pub fn load(path: &Path, passphrase: &Passphrase) -> Result<Self, KeyError> {
        Self::load_with(path, passphrase, Agent::from_env())
    }

    /// Reads a key as [`SiteKey::load`] does, with this agent.
    pub fn load_with(
        path: &Path,
        passphrase: &Passphrase,
        agent: Result<Agent, AgentError>,
    ) -> Result<Self, KeyError> {
        if is_public(path)? {
            let (public, comment) = read_public_key(path)?;
            return Self::in_agent(path, public, comment, agent);
        }
        let mut private = parse(path)?;
        let public = public_half(&private, path)?;
        if public.is_on_token() {
            let comment = private.comment().to_owned();
            let of_handle = |fault| KeyError::Handle { path: path.to_path_buf(), source: Box::new(fault) };
            return Self::in_agent(path, public, comment, agent).map_err(of_handle);
        }
        if !private.is_encrypted() {
            return Self::new(private, path, Home::File);
        }
        let mut text = passphrase.given()?;
        if text.is_none() {
            let comment = private.comment().to_owned();
            if let Ok(held) = Self::in_agent(path, public, comment, agent) {
                return Ok(held);
            }
            if let Passphrase::Ask(ask) = passphrase {
                text = ask(path).map_err(io_error(path))?;
            }
        }
        let text = text.ok_or_else(|| KeyError::Locked { path: path.to_path_buf() })?;
        private = private
            .decrypt(text.as_bytes())
            .map_err(|_| KeyError::Passphrase { path: path.to_path_buf() })?;
        Self::new(private, path, Home::Locked)
    }

    /// Reads the public half of a key file: it lies open even where a passphrase protects the other half.
    pub fn public_of(path: &Path) -> Result<PublicKey, KeyError> {
        if is_public(path)? {
            return read_public_key(path).map(|(public, _)| public);
        }
        public_half(&parse(path)?, path)
    }

    /// Tells where the private half of a key is, without opening it.
    pub fn home_of(path: &Path) -> Result<Home, KeyError> {
        if Self::public_of(path)?.is_on_token() {
            return Ok(Home::Token);
        }
        if is_public(path)? {
            return Ok(Home::Agent);
        }
        Ok(if parse(path)?.is_encrypted() { Home::Locked } else { Home::File })
    }

    fn in_agent(
        path: &Path,
        public: PublicKey,
        comment: String,
        agent: Result<Agent, AgentError>,
    ) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Agent { path: path.to_path_buf(), source };
        let agent = agent.map_err(failed)?;
        if !agent.keys().map_err(failed)?.iter().any(|(key, _)| *key == public) {
            return Err(KeyError::NotInAgent { path: path.to_path_buf(), key: public.fingerprint() });
        }
        let home = if public.is_on_token() { Home::Token } else { Home::Agent };
        Ok(Self { secret: Secret::Agent(agent), public, comment, home, path: path.into(), tell: |_| () })
    }

    fn new(private: PrivateKey, path: &Path, home: Home) -> Result<Self, KeyError> {
        let public = public_half(&private, path)?;
        let comment = private.comment().to_owned();
        let secret = Secret::Open(Box::new(private));
        Ok(Self { secret, public, comment, home, path: path.into(), tell: |_| () })
    }

    /// Has somebody told whenever a hardware token is about to be asked: it waits for a touch.
    #[must_use]
    pub fn telling(self, tell: fn(&KeyFingerprint)) -> Self {
        Self { tell, ..self }
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Returns the key's fingerprint, `SHA256:…`.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.public.fingerprint()
    }

    /// Returns the line of an OpenSSH public key file: algorithm, key, comment.
    pub fn public_line(&self) -> String {
        format!("{} {}", self.public, self.comment).trim_end().to_owned()
    }

    /// Returns where the private key lives.
    pub fn home(&self) -> Home {
        self.home
    }

    #[cfg(test)]
    pub(super) fn private(&self) -> &PrivateKey {
        match &self.secret {
            Secret::Open(private) => private,
            Secret::Agent(_) => panic!("an agent gives no key away"),
        }
    }

    /// Makes an SSHSIG over a message (PROTOCOL.sshsig), with SHA-512.
    pub(super) fn sshsig(&self, namespace: &str, message: &[u8]) -> Result<SshSig, KeyError> {
        let sign = |source| KeyError::Sign { source };
        match &self.secret {
            Secret::Open(private) => private.sign(namespace, HashAlg::Sha512, message).map_err(sign),
            Secret::Agent(agent) => {
                let data = SshSig::signed_data(namespace, HashAlg::Sha512, message).map_err(sign)?;
                if self.public.is_on_token() {
                    (self.tell)(&self.fingerprint());
                }
                let signature = agent
                    .sign(&self.public, &data)
                    .map_err(|source| KeyError::Agent { path: self.path.clone(), source })?;
                let key = ssh_key::PublicKey::from_bytes(&self.public.to_wire()).map_err(sign)?;
                SshSig::new(key.key_data().clone(), namespace, HashAlg::Sha512, signature).map_err(sign)
            }
        }
    }

    /// Says that what this key signed counts for nothing.
    pub(super) fn unfit(&self, source: SshsigError) -> KeyError {
        KeyError::Unfit { path: self.path.clone(), source }
    }
}

/// Tells whether a file holds a public line, as one does whose private half an agent has: it begins with an algorithm's name.
fn is_public(path: &Path) -> Result<bool, KeyError> {
    let bytes = read(path)?;
    Ok(["ssh-", "sk-", "ecdsa-"].iter().any(|kind| bytes.starts_with(kind.as_bytes())))
}

/// Reads a private key file, which may still be locked; refuses one that others than its owner can reach.
fn parse(path: &Path) -> Result<PrivateKey, KeyError> {
    let mode = fs::metadata(path).map_err(io_error(path))?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Mode { path: path.to_path_buf(), mode });
    }
    let bytes = Zeroizing::new(read(path)?);
    PrivateKey::from_openssh(bytes.as_slice())
        .map_err(|source| KeyError::Malformed { path: path.to_path_buf(), source })
}

fn public_half(private: &PrivateKey, path: &Path) -> Result<PublicKey, KeyError> {
    public_key(private.public_key().key_data()).ok_or_else(|| {
        let found = private.algorithm().to_string();
        KeyError::Algorithm { path: path.to_path_buf(), found }
    })
}

/// Reads a public key file of one line and returns the key and its comment.
pub fn read_public_key(path: &Path) -> Result<(PublicKey, String), KeyError> {
    let public = |source| KeyError::Public { path: path.to_path_buf(), source };
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let (key, comment) = PublicKey::parse_line(text.trim_end()).map_err(public)?;
    Ok((key, comment.to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io_error(path))?;
    file.take(FILE_BYTES).read_to_end(&mut bytes).map_err(io_error(path))?;
    Ok(bytes)
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> KeyError {
    move |source| KeyError::Io { path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests;
