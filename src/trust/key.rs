//! The site's own key: Ed25519 in OpenSSH's format, readable by its owner alone.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use chantal_bundle::{KeyFingerprint, PublicKey};
use ssh_key::{Algorithm, LineEnding, PrivateKey, rand_core::OsRng};
use zeroize::Zeroizing;

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
    #[error("key `{path}` is {found}, not ssh-ed25519")]
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
                Some("give the passphrase in `$CHANTAL_KEY_PASSPHRASE` or the file that `$CHANTAL_KEY_PASSPHRASE_FILE` names".into())
            }
            Self::Public { .. } => Some("`chantal key show` prints the line that belongs there".into()),
            Self::Io { .. } | Self::Sign { .. } => None,
        }
    }
}

/// Where the passphrase of a key comes from.
#[derive(Clone, Default)]
pub enum Passphrase {
    /// Nowhere: the key lies open in its file.
    #[default]
    None,
    /// It is this.
    Text(Zeroizing<String>),
    /// It is the first line of a file.
    File(PathBuf),
}

impl Passphrase {
    /// Takes it from `$CHANTAL_KEY_PASSPHRASE`, or else from the file that `$CHANTAL_KEY_PASSPHRASE_FILE` names.
    pub fn from_env() -> Self {
        if let Ok(text) = std::env::var("CHANTAL_KEY_PASSPHRASE") {
            Self::Text(Zeroizing::new(text))
        } else if let Some(path) = std::env::var_os("CHANTAL_KEY_PASSPHRASE_FILE") {
            Self::File(path.into())
        } else {
            Self::None
        }
    }

    fn read(&self) -> Result<Option<Zeroizing<String>>, KeyError> {
        match self {
            Self::None => Ok(None),
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

/// A site's private key, open in memory and wiped when dropped.
pub struct SiteKey {
    private: PrivateKey,
    public: PublicKey,
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
        let stored = match passphrase.read()? {
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
        Self::new(private, path)
    }

    /// Reads a key; refuses a file that others than its owner can reach.
    pub fn load(path: &Path, passphrase: &Passphrase) -> Result<Self, KeyError> {
        let mut private = parse(path)?;
        if private.is_encrypted() {
            let text = passphrase.read()?.ok_or_else(|| KeyError::Locked { path: path.to_path_buf() })?;
            private = private
                .decrypt(text.as_bytes())
                .map_err(|_| KeyError::Passphrase { path: path.to_path_buf() })?;
        }
        Self::new(private, path)
    }

    /// Reads the public half of a private key file, which lies open even where a passphrase protects the other.
    pub fn public_of(path: &Path) -> Result<PublicKey, KeyError> {
        public_half(&parse(path)?, path)
    }

    fn new(private: PrivateKey, path: &Path) -> Result<Self, KeyError> {
        let public = public_half(&private, path)?;
        Ok(Self { private, public })
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
        format!("{} {}", self.public, self.private.comment()).trim_end().to_owned()
    }

    pub(super) fn private(&self) -> &PrivateKey {
        &self.private
    }
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
    let public = private.public_key().key_data().ed25519().ok_or_else(|| {
        let found = private.algorithm().to_string();
        KeyError::Algorithm { path: path.to_path_buf(), found }
    })?;
    Ok(PublicKey::from_bytes(public.0))
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
