//! What a person should look at before a bundle is approved, or should know.

use std::fmt;

use serde::Serialize;

/// Something that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Unusual {
    /// The metadata were signed and are not any more.
    SignatureGone {
        /// The repository.
        repository: String,
    },
    /// The metadata are signed by other keys than before.
    KeyChanged {
        /// The repository.
        repository: String,
        /// Who signed before and does not now.
        gone: Vec<String>,
        /// Who signs now and did not before.
        new: Vec<String>,
    },
    /// The newest version of a package goes, and an older one takes its place.
    Downgrade {
        /// The repository.
        repository: String,
        /// The package.
        name: String,
        /// Its version before.
        old: String,
        /// Its version from now on.
        new: String,
    },
    /// A package has other bytes under the same name and version.
    Replaced {
        /// The repository.
        repository: String,
        /// The package.
        name: String,
        /// Its version.
        version: String,
        /// The digest before.
        old: String,
        /// The digest from now on.
        new: String,
    },
    /// A file has other bytes under the same path.
    FileReplaced {
        /// The repository.
        repository: String,
        /// The path.
        path: String,
    },
    /// A file comes that belongs to no package, and that nothing that was read names.
    StrayFile {
        /// The repository.
        repository: String,
        /// The path.
        path: String,
    },
    /// A file comes that tells clients of packages, and that was not read since another one tells of them.
    UnreadFile {
        /// The repository.
        repository: String,
        /// The path.
        path: String,
    },
    /// The name of a package that comes has characters beyond ASCII, which may look like others.
    OddName {
        /// The repository.
        repository: String,
        /// The package.
        name: String,
    },
    /// A package leaves one repository and comes in another.
    Moved {
        /// The package.
        name: String,
        /// Its version.
        version: String,
        /// The repository that it leaves.
        from: String,
        /// The repository that it comes in.
        to: String,
    },
    /// No state of the repository was there before.
    NewRepository {
        /// The repository.
        repository: String,
    },
    /// Only one of two compared bundles brings the repository.
    OnlyIn {
        /// The repository.
        repository: String,
        /// The bundle that brings it.
        bundle: String,
    },
    /// Two compared bundles start from different states, so that what differs cannot be told from them.
    Incomparable {
        /// The repository.
        repository: String,
    },
    /// No signature of upstream over the metadata was verified.
    Unsigned {
        /// The repository.
        repository: String,
    },
    /// There is nothing to verify but digests that came over TLS.
    DigestsOnly {
        /// The repository.
        repository: String,
    },
}

impl Unusual {
    /// Tells whether it asks for a decision; others are only to be known.
    pub const fn is_grave(&self) -> bool {
        !matches!(
            self,
            Self::NewRepository { .. }
                | Self::OnlyIn { .. }
                | Self::Unsigned { .. }
                | Self::DigestsOnly { .. }
                | Self::Moved { .. }
                | Self::UnreadFile { .. }
        )
    }

    /// Returns a heading of few words.
    pub const fn heading(&self) -> &'static str {
        match self {
            Self::SignatureGone { .. } => "signature gone",
            Self::KeyChanged { .. } => "signing key changed",
            Self::Downgrade { .. } => "downgrade",
            Self::Replaced { .. } | Self::FileReplaced { .. } => "replaced under its name",
            Self::StrayFile { .. } => "file of no package",
            Self::UnreadFile { .. } => "not read",
            Self::OddName { .. } => "name that may look like another",
            Self::Moved { .. } => "moved",
            Self::NewRepository { .. } => "new repository",
            Self::OnlyIn { .. } => "in one of them only",
            Self::Incomparable { .. } => "not comparable",
            Self::Unsigned { .. } => "not signed",
            Self::DigestsOnly { .. } => "not signed by design",
        }
    }
}

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignatureGone { repository } => {
                write!(
                    f,
                    "{repository}: upstream's metadata were signed, and no signature was verified this time"
                )
            }
            Self::KeyChanged { repository, gone, new } => {
                write!(f, "{repository}: ")?;
                match (gone.as_slice(), new.as_slice()) {
                    ([], new) => write!(f, "signed by {} in addition", new.join(", ")),
                    (gone, []) => write!(f, "no longer signed by {}", gone.join(", ")),
                    (gone, new) => write!(f, "signed by {}, before by {}", new.join(", "), gone.join(", ")),
                }
            }
            Self::Downgrade { repository, name, old, new } => {
                write!(f, "{repository}: {name} goes back from {old} to {new}")
            }
            Self::Replaced { repository, name, version, old, new } => {
                let short = |digest: &str| digest.chars().take(12).collect::<String>();
                if old.is_empty() {
                    return write!(
                        f,
                        "{repository}: {name} {version} comes once more, with other bytes ({})",
                        short(new)
                    );
                }
                write!(
                    f,
                    "{repository}: {name} {version} has other bytes ({} before, {} now)",
                    short(old),
                    short(new)
                )
            }
            Self::FileReplaced { repository, path } => {
                write!(f, "{repository}: {} has other bytes than before", spelled(path))
            }
            Self::StrayFile { repository, path } => {
                write!(
                    f,
                    "{repository}: {} comes, belongs to no package, and no index names it",
                    spelled(path)
                )
            }
            Self::UnreadFile { repository, path } => {
                write!(
                    f,
                    "{repository}: {path} tells clients of packages and was not compared with the index that was read"
                )
            }
            Self::OddName { repository, name } => write!(f, "{repository}: {}", spelled(name)),
            Self::Moved { name, version, from, to } => {
                write!(f, "{name} {version} moves from {from} to {to}")
            }
            Self::NewRepository { repository } => {
                write!(f, "{repository}: it builds on nothing that the site holds, all of it comes")
            }
            Self::OnlyIn { repository, bundle } => write!(f, "{repository}: only {bundle} brings it"),
            Self::Incomparable { repository } => {
                write!(
                    f,
                    "{repository}: the two bundles start from different states, and neither from the other's"
                )
            }
            Self::Unsigned { repository } => {
                write!(f, "{repository}: no signature of upstream over its metadata was verified")
            }
            Self::DigestsOnly { repository } => {
                write!(
                    f,
                    "{repository}: the format signs nothing; its digests came over TLS, and that is all there is to verify"
                )
            }
        }
    }
}

/// Writes a name, and behind it how it is spelled where that cannot be seen.
fn spelled(name: &str) -> String {
    if name.is_ascii() {
        return name.to_owned();
    }
    let spell = |c: char| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() };
    format!("{name} (spelled {})", name.chars().map(spell).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_look_like_others_are_spelled() {
        let (repository, name) = ("r".to_owned(), "o\u{440}enssl".to_owned());
        let said = Unusual::OddName { repository: repository.clone(), name: name.clone() }.to_string();
        assert_eq!(said, "r: o\u{440}enssl (spelled o\\u{440}enssl)");
        let stray = |path: &str| Unusual::StrayFile { repository: repository.clone(), path: path.into() };
        assert!(stray(&name).to_string().contains("(spelled o\\u{440}enssl) comes"));
        assert!(!stray("openssl").to_string().contains("spelled"));
    }
}
