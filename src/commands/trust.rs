//! `chantal trust`: whose bundles are believed, and what this site's own trust document says.

mod anchor;
mod draft;
mod own;
mod show;

use std::path::{Path, PathBuf};

use chantal_bundle::{KeyFingerprint, PublicKey, TrustDocument, TrustRole, trust::Link};
use chantal_contract::SiteName;
use clap::Subcommand;

use super::{
    context::{Context, share},
    ending::{Ending, Usage},
    prompt::confirm,
};
use crate::{
    store::{Lock, Store},
    transfer,
    trust::{first_document, read_public_key},
};

/// Say whose bundles are believed, and change the keys of this site's own
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show whose bundles are believed, and with which keys: versions, roles, thresholds, revocations, epochs
    Show {
        /// This collector alone; all when left out
        #[arg(value_name = "SITE")]
        collector: Option<SiteName>,
    },
    /// Print the newest version of this site's trust document, from which a new site begins
    ///
    /// The new site runs `chantal trust add FILE` with it, and compares the fingerprint that is printed beside. Where no key ever
    /// changed, the first key alone does (`chantal key show`).
    Anchor,
    /// Believe nothing of a collector any more, and let its stream begin anew
    ///
    /// For a wrong key that was added, or a collector that lost all its keys and was set up again. What it brought stays; `chantal
    /// trust add` begins anew.
    Forget {
        /// The collector
        #[arg(value_name = "SITE")]
        collector: SiteName,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Believe a collector's key from now on, or with `--role` give a key a role in this site's own trust document
    Add(Add),
    /// Take a key out of this site's own trust document, without calling it stolen
    Remove {
        /// The key's full fingerprint
        #[arg(value_name = "SHA256:...")]
        key: KeyFingerprint,
        #[command(flatten)]
        way: Way,
    },
    /// Put a new key of this site in the place of the old one; the old file is kept aside
    Rotate(own::Rotate),
    /// Call a key stolen: nothing that it signed counts any more, and a collector's key takes the epoch along
    Revoke {
        /// The key's full fingerprint
        #[arg(value_name = "SHA256:...", required = true)]
        keys: Vec<KeyFingerprint>,
        #[command(flatten)]
        way: Way,
    },
    /// Set how many keys of a role must sign
    Threshold {
        #[command(flatten)]
        way: Way,
    },
    /// Begin a new epoch: sequences count from 1 again, and no bundle of the old one is believed any more
    Epoch {
        #[command(flatten)]
        way: Way,
    },
    /// Add a signature to the draft of a next version; needs no store, and works wherever the key is
    Sign {
        /// The draft
        #[arg(value_name = "DRAFT")]
        draft: PathBuf,
        /// The key; this site's own when left out; repeatable
        #[arg(long, value_name = "KEY")]
        sign_with: Vec<PathBuf>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Bring a draft into force that enough root keys have signed
    Apply {
        /// The draft
        #[arg(value_name = "DRAFT")]
        draft: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The public key: an OpenSSH line, as `chantal key show` prints it; or a trust document, as `chantal trust anchor` does
    #[arg(value_name = "KEYFILE")]
    key: PathBuf,
    /// The full fingerprint, compared over a way that the key's courier cannot change
    #[arg(long, value_name = "SHA256:...")]
    fingerprint: Option<KeyFingerprint>,
    /// The collector's site name; the comment behind the key when left out
    #[arg(long, value_name = "SITE", conflicts_with = "role")]
    collector: Option<SiteName>,
    /// What the key may sign for this site: the next trust document (root), bundles (collector), approvals of bundles
    /// (approver), or receipts of the site that `--site` names (receiver); repeatable
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Vec<TrustRole>,
    /// The site whose receipts the key signs
    #[arg(long, value_name = "SITE", requires = "role")]
    site: Option<SiteName>,
    #[command(flatten)]
    way: Way,
}

/// How a change of this site's own trust document comes into force.
#[derive(Debug, clap::Args)]
struct Way {
    /// Sign with this root key, too; repeatable
    #[arg(long, value_name = "KEY")]
    sign_with: Vec<PathBuf>,
    /// How many root keys must sign the next version of the trust document
    #[arg(long, value_name = "N")]
    root: Option<u32>,
    /// How many collector keys must sign a bundle
    #[arg(long, value_name = "N")]
    collectors: Option<u32>,
    /// How many approver keys must sign a bundle before it is imported
    #[arg(long, value_name = "N")]
    approvers: Option<u32>,
    /// Write the next version to this file, for others to sign with `chantal trust sign`, and change nothing
    #[arg(long, value_name = "FILE")]
    draft: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

fn role(text: &str) -> Result<TrustRole, String> {
    TrustRole::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
        let known: Vec<&str> = TrustRole::ALL.iter().map(|role| role.name()).collect();
        format!("a role is one of {}", known.join(", "))
    })
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    match &args.verb {
        Verb::Show { collector } => show::run(collector.as_ref(), context),
        Verb::Anchor => anchor::print(context),
        Verb::Forget { collector, yes } => anchor::forget(collector, *yes, context),
        Verb::Add(add) if add.role.is_empty() => believe_other(add, context),
        Verb::Add(add) => own::add(add, context),
        Verb::Remove { key, way } => own::change(way, context, |change| change.remove(key)),
        Verb::Rotate(rotate) => own::rotate(rotate, context),
        Verb::Revoke { keys, way } => {
            own::change(way, context, |change| keys.iter().try_for_each(|key| change.revoke(key)))
        }
        Verb::Threshold { way } => own::change(way, context, |_| Ok(())),
        Verb::Epoch { way } => own::change(way, context, |change| change.raise_epoch().map(drop)),
        Verb::Sign { draft, sign_with, yes } => draft::sign(draft, sign_with, *yes, context),
        Verb::Apply { draft, yes } => draft::apply(draft, *yes, context),
    }
}

/// Believes another collector: version 1 of its trust document is made from its key.
fn believe_other(add: &Add, context: &Context) -> anyhow::Result<Ending> {
    let way = &add.way;
    if way.draft.is_some() || way.yes || !way.sign_with.is_empty() {
        return Err(Usage::new(
            "another collector is believed on the word of a person who compared its fingerprint",
            "give it as `--fingerprint SHA256:…`; to change this site's own trust document, add `--role`",
        )
        .into());
    }
    if let Some(document) = anchor::read(&add.key)? {
        return anchor::believe(&document, add, context);
    }
    let (key, comment) = read_public_key(&add.key)?;
    let found = key.fingerprint();
    let collector = match &add.collector {
        Some(name) => name.clone(),
        None => SiteName::new(comment.trim()).map_err(|_| {
            Usage::new(
                "the key's comment is no name of a site",
                "say whose key it is: `--collector SITE`, as the collector's configuration says under `site`",
            )
        })?,
    };
    let compared = compared(add, &collector, "key", &found, "chantal key list")?;
    let document = first_document(collector, key, &compared)?;
    begin(&document, &format!("{found} signed them"), add, context)
}

/// Returns the fingerprint that a person compared: as it was given, or after asking.
fn compared(
    add: &Add,
    collector: &SiteName,
    what: &str,
    found: &KeyFingerprint,
    shows: &str,
) -> anyhow::Result<KeyFingerprint> {
    if let Some(given) = add.fingerprint {
        return Ok(given);
    }
    confirm(
        &format!(
            "The {what} of `{collector}` has the fingerprint\n\n  {found}\n\n\
             Compare it with what `{shows}` prints there, over a way that the courier cannot change.\n\
             Is it the same?"
        ),
        &format!("compare the fingerprint with the collector's `{shows}`, then add `--fingerprint SHA256:…`"),
    )?;
    Ok(*found)
}

/// Believes bundles of a collector from this document on.
fn begin(document: &TrustDocument, when: &str, add: &Add, context: &Context) -> anyhow::Result<Ending> {
    let collector = &document.collector;
    if add.way.dry_run {
        context.printer.say(&format!("would believe bundles of `{collector}` when {when}"));
        return Ok(Ending::Done);
    }
    let (_, store) = context.open()?;
    let _shared = share(&store)?;
    let _site = store.lock(Lock::Site(collector))?;
    if believe(&store, document, context)? {
        context.printer.say(&format!("bundles of `{collector}` are believed when {when}"));
    } else {
        context.printer.say(&format!("bundles of `{collector}` are believed already"));
    }
    Ok(Ending::Done)
}

/// Reads the newest trust document of the site itself.
pub fn own(store: &Store) -> anyhow::Result<Option<TrustDocument>> {
    Ok(transfer::document(store, store.site())?)
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

/// Records the trust document that a person vouched for; false where this very document is accepted already.
pub fn believe(store: &Store, document: &TrustDocument, context: &Context) -> anyhow::Result<bool> {
    let bytes = document.encode()?;
    let digest = chantal_contract::Digest::of(&bytes);
    if let Some((version, accepted)) = store.catalog().trust(&document.collector)? {
        if store.catalog().trust_chain(&document.collector)?.iter().any(|(_, known)| *known == digest) {
            return Ok(false);
        }
        let collector = &document.collector;
        return Err(Usage::new(
            format!("another trust document of `{collector}` is believed already (version {version}, {accepted})"),
            format!(
                "`chantal trust show` lists it; its bundles carry what follows from it. If the wrong one was added, or `{collector}` was set up anew \
                 without its keys: `chantal trust forget {collector}`, then add this one"
            ),
        )
        .into());
    }
    transfer::record(store, None, document, &Link { document: bytes, signatures: Vec::new() }, context.now)?;
    Ok(true)
}
