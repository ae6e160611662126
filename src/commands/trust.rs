//! `chantal trust`: whose bundles are believed.

use std::{
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chantal_bundle::{KeyFingerprint, PublicKey, TrustDocument};
use chantal_contract::{SiteName, limits::TRUST_BYTES};
use clap::Subcommand;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::{Ending, Usage},
    printer::complain,
};
use crate::{
    config::Role,
    store::{Event, Lock, Store},
    trust::{first_document, read_public_key},
};

/// Say whose bundles are believed
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the collectors that are believed, with their keys
    Show,
    /// Believe a collector's key from now on; asks, unless the full fingerprint is given
    Add {
        /// The collector's public key: an OpenSSH line, as `chantal key show` prints it
        #[arg(value_name = "KEYFILE")]
        key: PathBuf,
        /// The full fingerprint, compared over a way that the key's courier cannot change
        #[arg(long, value_name = "SHA256:...")]
        fingerprint: Option<String>,
        /// The collector's site name; the comment behind the key when left out
        #[arg(long, value_name = "SITE")]
        collector: Option<SiteName>,
        /// Say what would be believed, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Serialize)]
struct Shown {
    collectors: Vec<Believed>,
}

#[derive(Serialize)]
struct Believed {
    collector: String,
    /// Whether it is this site, whose document is the one that its own bundles carry.
    own: bool,
    version: u32,
    document: String,
    keys: Vec<Key>,
    revoked: Vec<String>,
}

#[derive(Serialize)]
struct Key {
    fingerprint: String,
    roles: Vec<&'static str>,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    match &args.verb {
        Verb::Show => show(context)?,
        Verb::Add { key, fingerprint, collector, dry_run } => {
            let (key, comment) = read_public_key(key)?;
            let found = key.fingerprint();
            let collector = match collector {
                Some(name) => name.clone(),
                None => SiteName::new(comment.trim()).map_err(|_| {
                    Usage::new(
                        "the key's comment is no name of a site",
                        "say whose key it is: `--collector SITE`, as the collector's configuration says under `site`",
                    )
                })?,
            };
            let compared = match fingerprint {
                Some(text) => text.parse::<KeyFingerprint>().map_err(|error| {
                    Usage::new(
                        format!("`--fingerprint`: {error}"),
                        "give all of it, as `chantal key list` prints it: `SHA256:` and 43 characters",
                    )
                })?,
                None => ask(&collector, found)?,
            };
            let document = first_document(collector, key, &compared)?;
            if *dry_run {
                context
                    .printer
                    .say(&format!("would believe {found} for bundles of `{}`", document.collector));
                return Ok(Ending::Done);
            }
            let (_, store) = context.open()?;
            let _shared = share(&store)?;
            let _site = store.lock(Lock::Site(&document.collector))?;
            if believe(&store, &document, context)? {
                context.printer.say(&format!(
                    "bundles of `{}` are believed when {found} signed them",
                    document.collector
                ));
            } else {
                context.printer.say(&format!("bundles of `{}` are believed already", document.collector));
            }
        }
    }
    Ok(Ending::Done)
}

/// Asks the person in front of the terminal; there is no silent first use.
fn ask(collector: &SiteName, found: KeyFingerprint) -> anyhow::Result<KeyFingerprint> {
    if !io::stdin().is_terminal() {
        return Err(Usage::new(
            "the fingerprint is not given and there is no terminal to ask at",
            "compare it with the collector's `chantal key list`, then add `--fingerprint SHA256:…`",
        )
        .into());
    }
    complain(&format!("The key for `{collector}` has the fingerprint\n\n  {found}\n"));
    complain(
        "Compare it with what `chantal key list` prints there, over a way that the courier cannot change.",
    );
    complain("Is it the same? Type `yes`:");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    if answer.trim() == "yes" {
        Ok(found)
    } else {
        Err(Usage::new("not confirmed: nothing is believed", "only `yes` confirms").into())
    }
}

/// Reads the newest trust document of the site itself.
pub fn own(store: &Store) -> anyhow::Result<Option<TrustDocument>> {
    let Some((_, digest)) = store.catalog().trust(store.site())? else { return Ok(None) };
    Ok(Some(TrustDocument::parse(&store.pool().read(&digest, TRUST_BYTES as u64)?)?))
}

/// Refuses a site's key that its own trust document does not name: nobody would believe what it signs.
pub fn names_key(document: &TrustDocument, key: &PublicKey, path: &Path) -> Result<(), Usage> {
    let named: Vec<String> =
        document.keys.iter().map(|trusted| trusted.key.fingerprint().to_string()).collect();
    let found = key.fingerprint();
    if document.keys.iter().any(|trusted| trusted.key.fingerprint() == found) {
        return Ok(());
    }
    Err(Usage::new(
        format!(
            "key `{}` is {found}, and the trust document of `{}` names {}",
            path.display(),
            document.collector,
            named.join(", ")
        ),
        format!(
            "put the key that it names back as `{}` (mode 0600), from wherever it was kept",
            path.display()
        ),
    ))
}

/// Records version 1 of a trust document; false where this very document is accepted already.
pub fn believe(store: &Store, document: &TrustDocument, context: &Context) -> anyhow::Result<bool> {
    let bytes = document.encode()?;
    let digest = chantal_contract::Digest::of(&bytes);
    if let Some((version, accepted)) = store.catalog().trust(&document.collector)? {
        if store
            .catalog()
            .trust_chain(&document.collector)?
            .first()
            .is_some_and(|(_, first)| *first == digest)
        {
            return Ok(false);
        }
        return Err(Usage::new(
            format!("another key of `{}` is believed already (trust version {version}, {accepted})", document.collector),
            "`chantal trust show` lists it; a key is replaced by the collector's next trust version, which its bundles carry",
        )
        .into());
    }
    let batch = store.pool().batch()?;
    batch.put(&bytes)?;
    batch.flush()?;
    let event =
        Event::Trusted { collector: document.collector.clone(), version: document.version, document: digest };
    store.journal().append(event, context.now)?;
    Ok(true)
}

fn show(context: &Context) -> anyhow::Result<()> {
    let (config, store) = context.open()?;
    let mut collectors = Vec::new();
    for collector in store.catalog().collectors()? {
        let Some((version, digest)) = store.catalog().trust(&collector)? else { continue };
        let document = TrustDocument::parse(&store.pool().read(&digest, TRUST_BYTES as u64)?)?;
        collectors.push(Believed {
            own: collector == *store.site(),
            collector: collector.to_string(),
            version,
            document: digest.hex(),
            keys: document
                .keys
                .iter()
                .map(|trusted| Key {
                    fingerprint: trusted.key.fingerprint().to_string(),
                    roles: trusted.roles.iter().map(|role| role.name()).collect(),
                })
                .collect(),
            revoked: document.revoked.iter().map(|revoked| revoked.key.to_string()).collect(),
        });
    }
    context.printer.show(&Shown { collectors }, |shown| {
        use crate::report::table::Align::{Left, Right};
        let mut rows = Vec::new();
        for one in &shown.collectors {
            let keys = one.keys.iter().map(|key| (key.fingerprint.clone(), key.roles.join(", ")));
            let revoked = one.revoked.iter().map(|key| (key.clone(), "revoked".to_owned()));
            for (key, roles) in keys.chain(revoked) {
                let of =
                    if one.own { format!("{} (this site)", one.collector) } else { one.collector.clone() };
                rows.push(vec![of, one.version.to_string(), key, roles]);
            }
        }
        if rows.is_empty() {
            return String::new();
        }
        let headings = [("collector", Left), ("version", Right), ("key", Left), ("roles", Left)];
        context.printer.table(&headings, &rows)
    })?;
    // a collector need not believe anybody
    let others = store.catalog().collectors()?.iter().any(|collector| collector != store.site());
    if !others && config.role == Role::Receiver {
        context.printer.say("nobody's bundles are believed; `chantal trust add KEYFILE` begins");
    }
    Ok(())
}
