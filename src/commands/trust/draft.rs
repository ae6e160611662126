//! Drafts of a next version: what changes, and how several persons sign it.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chantal_bundle::{
    Namespace, PublicKey, TrustDocument, TrustRole,
    trust::{Link, TrustedKey},
};
use chantal_contract::limits::{SIGNATURES, SSHSIG_BYTES, TRUST_BYTES};

use super::own::settle;
use crate::{
    commands::{
        context::{Context, share},
        ending::{Ending, Usage},
        key,
        printer::complain,
        prompt::confirm,
        receipt::write,
    },
    report::Event,
    store::Lock,
    transfer::{self, OwnTrust, signers},
    trust::{SiteKey, sshsig},
};

/// Says what a next version changes.
pub(super) fn changes(former: &TrustDocument, next: &TrustDocument) -> Vec<String> {
    let mut lines = vec![format!(
        "trust document of `{}`: version {} becomes {}",
        next.collector, former.version, next.version
    )];
    let find =
        |document: &TrustDocument, of: &TrustedKey| document.keys.iter().find(|k| k.key == of.key).cloned();
    for key in &next.keys {
        match find(former, key) {
            None => lines.push(format!("  + {} {}", key.key.fingerprint(), roles(key))),
            Some(before) if before != *key => {
                lines.push(format!("  ~ {} {}, was {}", key.key.fingerprint(), roles(key), roles(&before)));
            }
            Some(_) => {}
        }
    }
    for key in former.keys.iter().filter(|key| find(next, key).is_none()) {
        let revoked = if next.is_revoked(&key.key) { ", revoked" } else { "" };
        lines.push(format!("  - {} {}{revoked}", key.key.fingerprint(), roles(key)));
    }
    for revoked in next.revoked.iter().filter(|r| !former.revoked.contains(r)) {
        if former.keys.iter().all(|k| k.key.fingerprint() != revoked.key) {
            lines.push(format!("  - {} revoked", revoked.key));
        }
    }
    let (a, b) = (former.thresholds, next.thresholds);
    for (role, before, after) in [
        ("root", a.root, b.root),
        ("collector", a.collector, b.collector),
        ("approver", a.approver, b.approver),
    ] {
        if before != after {
            lines.push(format!("  {role} keys that must sign: {before} becomes {after}"));
        }
    }
    if former.epoch != next.epoch {
        lines.push(format!(
            "  epoch {} becomes {}: no bundle of the old one is believed any more",
            former.epoch, next.epoch
        ));
    }
    lines
}

/// Says all that a version says.
fn whole(document: &TrustDocument) -> Vec<String> {
    let mut lines = vec![format!(
        "trust document of `{}`: version {}, epoch {}; must sign: {} root, {} collector, {} approver",
        document.collector,
        document.version,
        document.epoch,
        document.thresholds.root,
        document.thresholds.collector,
        document.thresholds.approver
    )];
    lines.extend(document.keys.iter().map(|key| format!("  {} {}", key.key.fingerprint(), roles(key))));
    lines.extend(document.revoked.iter().map(|r| format!("  {} revoked by version {}", r.key, r.version)));
    lines
}

/// Says what a key may sign, for whom, and whether it can be copied.
pub(super) fn roles(key: &TrustedKey) -> String {
    let names: Vec<&str> = key.roles.iter().map(|role| role.name()).collect();
    let site = key.site.as_ref().map(|site| format!(" of {site}")).unwrap_or_default();
    let token = if key.key.is_on_token() { " (hardware token)" } else { "" };
    format!("{}{site}{token}", names.join(", "))
}

fn read(path: &Path) -> anyhow::Result<(Link, TrustDocument)> {
    let mut bytes = Vec::new();
    let limit = (TRUST_BYTES + SIGNATURES * SSHSIG_BYTES) as u64 + 1;
    fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let none = || {
        Usage::new(
            format!("`{}` is no draft of a trust document", path.display()),
            "`chantal trust add|remove|rotate|revoke … --draft FILE` writes one",
        )
    };
    let link = Link::from_draft(&bytes).ok_or_else(none)?;
    let document = TrustDocument::parse(&link.document)
        .with_context(|| format!("`{}` is no draft of a trust document", path.display()))?;
    Ok((link, document))
}

/// Says how many of the signatures that a next version needs are there: those of its own root keys, and of the version before.
pub(super) fn counted(link: &Link, former: Option<&TrustDocument>, next: &TrustDocument) -> String {
    let signed: Vec<PublicKey> = signers(&link.document, &link.signatures).collect();
    let of = |document: &TrustDocument| {
        let there = document.keys_of(TrustRole::Root).filter(|key| signed.contains(key)).count();
        let needed = document.threshold(TrustRole::Root);
        format!("{there} of the {needed} root signatures that version {} asks for", document.version)
    };
    let all: Vec<String> = former.into_iter().chain([next]).map(of).collect();
    all.join(", and ")
}

/// Tells whether a key is a root key of a next version or of the one before it; refuses one that is known to be neither.
fn may_sign(key: &SiteKey, next: &TrustDocument, former: Option<&TrustDocument>) -> Result<bool, Usage> {
    let is_root = |document: &TrustDocument| document.keys_of(TrustRole::Root).any(|k| *k == key.public());
    match (is_root(next), former) {
        (true, _) => Ok(true),
        (false, Some(former)) if is_root(former) => Ok(true),
        (false, None) => Ok(false),
        (false, Some(former)) => Err(Usage::new(
            format!(
                "{} is a root key neither of version {} nor of version {}: its signature counts for nothing",
                key.fingerprint(),
                former.version,
                next.version
            ),
            "`--sign-with KEY` names another key; `chantal trust show` lists those that may",
        )),
    }
}

/// Adds signatures to a draft.
pub(super) fn sign(path: &Path, with: &[PathBuf], yes: bool, context: &Context) -> anyhow::Result<Ending> {
    let (mut link, document) = read(path)?;
    let mut keys: Vec<SiteKey> = Vec::new();
    if with.is_empty() {
        keys.push(key::load(&context.config()?)?);
    }
    for file in with {
        keys.push(key::open(file)?);
    }
    // where the former version is known, the difference is what a person judges; elsewhere all of it
    let former = context
        .open()
        .ok()
        .and_then(|(_, store)| transfer::document(&store, &document.collector).ok().flatten())
        .filter(|former| former.version + 1 == document.version);
    let text = former.as_ref().map_or_else(|| whole(&document), |former| changes(former, &document));
    complain(&text.join("\n"));
    if !yes {
        confirm("Sign this?", "read what `chantal trust sign` prints, then add `--yes`")?;
    }
    for key in &keys {
        let by = key.fingerprint();
        if !may_sign(key, &document, former.as_ref())? {
            let subject = by.to_string();
            let text = "it is no root key of this version; where it is none of the version before, either, its signature counts for nothing";
            context.reporter.event(Event::Warning { subject: &subject, text });
        }
        if signers(&link.document, &link.signatures).any(|known| known == key.public()) {
            context.printer.say(&format!("{by} signed it already"));
            continue;
        }
        link.signatures.push(sshsig::sign(key, Namespace::Trust, &link.document)?.into_bytes());
        context.printer.say(&format!("signed by {by}"));
    }
    write(path, &link.to_draft())?;
    context.printer.say(&format!("{} has {}", path.display(), counted(&link, former.as_ref(), &document)));
    context.printer.say(&format!(
        "hint: `chantal trust apply {}` on `{}` brings it into force, when enough have signed",
        path.display(),
        document.collector
    ));
    Ok(Ending::Done)
}

/// Brings a draft into force.
pub(super) fn apply(path: &Path, yes: bool, context: &Context) -> anyhow::Result<Ending> {
    let (link, next) = read(path)?;
    let (config, store) = context.open()?;
    if next.collector != *store.site() {
        return Err(Usage::new(
            format!("the draft is of the trust document of `{}`, this is `{}`", next.collector, store.site()),
            "carry it there",
        )
        .into());
    }
    let _shared = share(&store)?;
    let _site = store.lock(Lock::Site(store.site()))?;
    // the site's key completes what it signed before signatures were kept; without it, what is kept must do
    let own = key::load(&config).ok();
    let chain = OwnTrust::load(&store, &own.iter().collect::<Vec<_>>())?;
    if chain.document() == &next {
        settle(&config, &next, context)?;
        context.printer.say(&format!("version {} is in force already", next.version));
        return Ok(Ending::Done);
    }
    complain(&changes(chain.document(), &next).join("\n"));
    if !yes {
        confirm("Bring this into force?", "read what it changes, then add `--yes`")?;
    }
    let next = chain
        .advance(&store, &link, context.now)
        .with_context(|| format!("`{}` cannot come into force", path.display()))?;
    settle(&config, &next, context)?;
    super::own::tell(&next, context);
    Ok(Ending::Done)
}
