//! `chantal trust anchor` and `forget`: where the trust of a site in a collector begins, and how it ends.

use std::{fs, io::Read as _, path::Path};

use anyhow::Context as _;
use chantal_bundle::{KeyFingerprint, TrustDocument};
use chantal_contract::{Digest, SiteName, limits::TRUST_BYTES};
use serde::Serialize;

use super::{Add, begin, compared};
use crate::{
    commands::{
        context::{Context, share},
        ending::{Ending, Usage},
        prompt::confirm,
    },
    store::{Event, Lock},
    transfer,
    trust::TrustError,
};

#[derive(Serialize)]
struct Shown {
    collector: String,
    version: u32,
    epoch: u32,
    fingerprint: String,
    document: String,
}

/// Prints the newest version of this site's trust document, and its fingerprint beside it.
pub(super) fn print(context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let _shared = share(&store)?;
    let document = transfer::own_document(&store)?;
    let bytes = document.encode()?;
    let fingerprint = KeyFingerprint::of_document(&bytes);
    let shown = Shown {
        collector: document.collector.to_string(),
        version: document.version,
        epoch: document.epoch.get(),
        fingerprint: fingerprint.to_string(),
        document: String::from_utf8(bytes)?,
    };
    context.printer.show(&shown, |shown| shown.document.trim_end().to_owned())?;
    context.printer.say(&format!(
        "version {} of the trust document of `{}` has the fingerprint {fingerprint}",
        document.version, document.collector
    ));
    context.printer.say(&format!(
        "hint: on the new site `chantal trust add FILE --fingerprint {fingerprint}`, where the fingerprint goes by another way than the file"
    ));
    Ok(Ending::Done)
}

/// Reads a trust document; none where the file holds something else, or cannot be read, which is said of a key.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<TrustDocument>> {
    let mut bytes = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(TRUST_BYTES as u64 + 1).read_to_end(&mut bytes));
    if read.is_err() || !bytes.starts_with(b"{") {
        return Ok(None);
    }
    TrustDocument::parse(&bytes)
        .map(Some)
        .with_context(|| format!("`{}` is no trust document", path.display()))
}

/// Believes a collector from a version of its trust document on that a person vouches for by its fingerprint.
pub(super) fn believe(document: &TrustDocument, add: &Add, context: &Context) -> anyhow::Result<Ending> {
    let collector = &document.collector;
    if add.collector.as_ref().is_some_and(|given| given != collector) {
        return Err(Usage::new(
            format!("`{}` is a trust document of `{collector}`", add.key.display()),
            format!("leave `--collector` out, or say `--collector {collector}`"),
        )
        .into());
    }
    let found = KeyFingerprint::of_document(&document.encode()?);
    let expected = compared(add, collector, "trust document", &found, "chantal trust anchor")?;
    if expected != found {
        return Err(TrustError::Fingerprint { expected, found }.into());
    }
    begin(document, &format!("version {} of its trust document admits them", document.version), add, context)
}

/// Forgets what was accepted of a collector.
pub(super) fn forget(collector: &SiteName, yes: bool, context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let _shared = share(&store)?;
    if collector == store.site() {
        return Err(Usage::new(
            format!("`{collector}` is this site: what it signs is believed by its own trust document"),
            "`chantal trust rotate` changes its keys",
        )
        .into());
    }
    let Some((version, document)) = store.catalog().trust(collector)? else {
        let known: Vec<String> = store.catalog().collectors()?.iter().map(ToString::to_string).collect();
        return Err(Usage::new(
            format!("nothing is believed of `{collector}`"),
            format!("`chantal trust show` lists whose bundles are believed: {}", known.join(", ")),
        )
        .into());
    };
    if !yes {
        confirm(
            &format!(
                "Version {version} of the trust document of `{collector}` ({}) counts no more, nor does its place in the stream: a bundle \
                 that was imported long ago could be imported again by whoever is believed next.\nForget it?",
                short(&document)
            ),
            "read what it says, then add `--yes`",
        )?;
    }
    let _site = store.lock(Lock::Site(collector))?;
    store.journal().append(Event::Forgotten { collector: collector.clone() }, context.now)?;
    context.printer.say(&format!(
        "nothing of `{collector}` is believed any more; what it brought stays. `chantal trust add` begins anew"
    ));
    Ok(Ending::Done)
}

fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}
