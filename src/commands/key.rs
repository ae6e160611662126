//! `chantal key`: the site's own key.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chantal_bundle::PublicKey;
use clap::Subcommand;
use serde::Serialize;

use super::{context::Context, ending::Ending, prompt};
use crate::{
    config::{Config, ConfigError, Fault, FilePath, Place, Repository},
    trust::{KeyError, Keyring, Passphrase, SiteKey, openpgp::CertificateInfo, read_public_key},
};

/// Make or show the site's own key, and list the keys that upstreams sign with
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the site's key where the configuration says (Ed25519, OpenSSH format, mode 0600); refuses where one is
    Generate,
    /// Print the public key as an OpenSSH line, for `chantal trust add` on the other side
    Show,
    /// List the site's key and every key that upstreams sign with, with fingerprints
    List,
}

#[derive(Serialize)]
struct Shown {
    site: String,
    fingerprint: String,
    line: String,
}

#[derive(Serialize)]
struct Listed {
    keys: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    of: String,
    role: &'static str,
    algorithm: String,
    fingerprint: String,
    note: String,
}

/// Reads the site's key; a passphrase comes from `$CHANTAL_KEY_PASSPHRASE` or `$CHANTAL_KEY_PASSPHRASE_FILE`, or is asked for.
pub fn load(config: &Config) -> anyhow::Result<SiteKey> {
    open(&config.key.resolve()).map_err(|error| located(error, config))
}

/// Reads a key, which says when its hardware token waits to be touched.
pub fn open(path: &Path) -> Result<SiteKey, KeyError> {
    Ok(SiteKey::load(path, &passphrase())?.telling(prompt::touch))
}

/// Reads the site's key as far as that goes without a passphrase, unless one is given.
pub fn look(config: &Config) -> anyhow::Result<()> {
    let (path, passphrase) = (config.key.resolve(), passphrase());
    match passphrase {
        Passphrase::Ask(_) | Passphrase::None => SiteKey::public_of(&path).map(drop),
        given => SiteKey::load(&path, &given).map(drop),
    }
    .map_err(|error| located(error, config))
}

/// Shows a key that cannot be used where the configuration names it.
fn located(error: KeyError, config: &Config) -> anyhow::Error {
    let hint = match &error {
        KeyError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(
            "on a new site `chantal init` makes it; on one that had a key, put that one back: others believe no other"
                .into(),
        ),
        KeyError::Io { .. } | KeyError::Mode { .. } | KeyError::Malformed { .. } | KeyError::Algorithm { .. } => {
            error.hint()
        }
        // the file is right, and something else is not
        _ => return error.into(),
    };
    refused(&config.key_place, &error.to_string(), hint)
}

fn refused(place: &Place, message: &str, hint: Option<String>) -> anyhow::Error {
    let fault = Fault::new(place, message);
    ConfigError::from(match hint {
        Some(hint) => fault.with_hint(hint),
        None => fault,
    })
    .into()
}

/// Reads the keys that a repository's upstream signs with; one that cannot be read is shown where the configuration names it.
pub fn keyring(repository: &Repository) -> anyhow::Result<Keyring> {
    let paths: Vec<_> = repository.keys.iter().map(FilePath::resolve).collect();
    Keyring::load(&paths).map_err(|error| {
        let written = repository.keys.iter().find(|key| key.resolve() == error.path()).map(FilePath::written);
        let place = repository.place().of(written.unwrap_or_default());
        refused(&place, &format!("`{}`: {error}", repository.name), error.hint())
    })
}

/// Opens a file that a repository's entry names, and reads nothing.
pub fn openable(repository: &Repository, file: &FilePath) -> anyhow::Result<()> {
    let path = file.resolve();
    let opened = fs::File::open(&path).and_then(|opened| opened.metadata());
    let why = match opened {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(_) => "it is no regular file".into(),
        Err(error) => error.to_string(),
    };
    let message = format!("`{}`: `{}`: {why}", repository.name, path.display());
    Err(refused(&repository.place().of(file.written()), &message, None))
}

/// Reads the site's key and further ones; a key that is given twice signs once.
pub fn load_all(config: &Config, more: &[PathBuf]) -> anyhow::Result<Vec<SiteKey>> {
    let mut keys = vec![load(config)?];
    for path in more {
        let key = open(path)?;
        if keys.iter().all(|known| known.public() != key.public()) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Where passphrases come from.
fn passphrase() -> Passphrase {
    Passphrase::from_env(prompt::passphrase)
}

/// Makes a site's key with its public line beside it.
pub fn make(path: &Path, site: &str) -> anyhow::Result<SiteKey> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    }
    let key = SiteKey::generate(path, site, &passphrase())?;
    let public = path.with_added_extension("pub");
    fs::write(&public, format!("{}\n", key.public_line()))
        .with_context(|| format!("cannot write `{}`", public.display()))?;
    Ok(key)
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let config = context.config()?;
    match args.verb {
        Verb::Generate => {
            let key = make(&config.key.resolve(), config.site.as_str())?;
            show(key.public(), key.public_line(), &config, context)?;
        }
        Verb::Show => {
            let (key, line) = public(&config)?;
            show(key, line, &config, context)?;
        }
        Verb::List => list(&config, context)?,
    }
    Ok(Ending::Done)
}

/// Reads the public half of the site's key, which no passphrase protects, and its line.
fn public(config: &Config) -> anyhow::Result<(PublicKey, String)> {
    let path = config.key.resolve();
    let key = SiteKey::public_of(&path).map_err(|error| located(error, config))?;
    // the comment lies behind the passphrase, and in the clear beside it
    let beside = [path.with_added_extension("pub"), path];
    let comments = beside.iter().filter_map(|path| read_public_key(path).ok());
    let comment = comments.filter(|(other, _)| *other == key).map(|(_, comment)| comment).next();
    let comment = comment.unwrap_or_else(|| config.site.to_string());
    Ok((key, format!("{key} {comment}").trim_end().to_owned()))
}

fn show(key: PublicKey, line: String, config: &Config, context: &Context) -> anyhow::Result<()> {
    let fingerprint = key.fingerprint().to_string();
    let shown = Shown { site: config.site.to_string(), fingerprint, line };
    context.printer.show(&shown, |shown| shown.line.clone())?;
    context.printer.say(&format!("fingerprint {}", shown.fingerprint));
    Ok(())
}

fn list(config: &Config, context: &Context) -> anyhow::Result<()> {
    use crate::report::table::Align::Left;
    let (own, _) = public(config)?;
    let home = SiteKey::home_of(&config.key.resolve())?;
    let mut keys = vec![Row {
        of: config.site.to_string(),
        role: "site",
        algorithm: own.algorithm().into(),
        fingerprint: own.fingerprint().to_string(),
        note: format!("{} ({})", config.key.resolve().display(), home.name()),
    }];
    for repository in config.repositories.iter().filter(|repository| !repository.keys.is_empty()) {
        for certificate in keyring(repository)?.certificates(context.now) {
            keys.push(Row {
                of: repository.name.to_string(),
                role: "upstream",
                algorithm: "openpgp".into(),
                fingerprint: certificate.fingerprint.to_string(),
                note: note(&certificate, context.now),
            });
        }
    }
    context.printer.show(&Listed { keys }, |listed| {
        let rows: Vec<Vec<String>> = listed
            .keys
            .iter()
            .map(|row| {
                vec![
                    row.of.clone(),
                    row.role.into(),
                    row.algorithm.clone(),
                    row.fingerprint.clone(),
                    row.note.clone(),
                ]
            })
            .collect();
        let headings =
            [("of", Left), ("role", Left), ("algorithm", Left), ("fingerprint", Left), ("note", Left)];
        context.printer.table(&headings, &rows)
    })
}

/// Says whose a certificate is, and why it may be of no use any more.
fn note(certificate: &CertificateInfo, now: jiff::Timestamp) -> String {
    let user = certificate.users.first().cloned().unwrap_or_default();
    match certificate.expires.filter(|at| *at <= now) {
        _ if certificate.revoked => format!("{user} (revoked)"),
        Some(at) => format!("{user} (expired {at})"),
        None => user,
    }
}
