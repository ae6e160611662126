//! `chantal trust show`: every trust document that was accepted.

use chantal_bundle::TrustRole;
use chantal_contract::{Digest, SiteName};
use serde::Serialize;

use crate::{
    commands::{
        context::{Context, share},
        ending::Ending,
    },
    config::Role,
    report::table::Align::{Left, Right},
    store::Store,
    transfer::{links, signers},
};

#[derive(Serialize)]
struct Shown {
    collectors: Vec<Believed>,
}

#[derive(Serialize)]
struct Believed {
    collector: String,
    own: bool,
    version: u32,
    epoch: u32,
    document: String,
    keys: Vec<Key>,
    thresholds: Vec<Threshold>,
    revoked: Vec<Revoked>,
    versions: Vec<Version>,
}

#[derive(Serialize)]
struct Key {
    fingerprint: String,
    roles: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
}

#[derive(Serialize)]
struct Threshold {
    role: &'static str,
    keys: u32,
}

#[derive(Serialize)]
struct Revoked {
    fingerprint: String,
    version: u32,
}

#[derive(Serialize)]
struct Version {
    #[serde(rename = "version")]
    number: u32,
    epoch: u32,
    document: String,
    signed: Vec<String>,
}

pub(super) fn run(only: Option<&SiteName>, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let _shared = share(&store)?;
    let mut collectors = Vec::new();
    for collector in store.catalog().collectors()? {
        if only.is_none_or(|only| *only == collector)
            && let Some(found) = believed(&store, &collector)?
        {
            collectors.push(found);
        }
    }
    let others = collectors.iter().any(|found| !found.own);
    let narrowed = only.is_some();
    context.printer.show(&Shown { collectors }, |shown| {
        let all: Vec<String> = shown.collectors.iter().map(|one| text(one, context)).collect();
        all.join("\n\n")
    })?;
    // a collector need not believe anybody
    if !others && !narrowed && config.role == Role::Receiver {
        context.printer.say("nobody else's bundles are believed; `chantal trust add KEYFILE` begins");
    }
    Ok(Ending::Done)
}

fn believed(store: &Store, collector: &SiteName) -> anyhow::Result<Option<Believed>> {
    let links = links(store, collector)?;
    let Some((newest, document)) = links.last() else { return Ok(None) };
    let versions = links.iter().map(|(link, version)| Version {
        number: version.version,
        epoch: version.epoch.get(),
        document: Digest::of(&link.document).hex(),
        signed: signers(&link.document, &link.signatures).map(|key| key.fingerprint().to_string()).collect(),
    });
    let versions = versions.collect();
    let threshold = |role: TrustRole| Threshold { role: role.name(), keys: document.threshold(role) };
    Ok(Some(Believed {
        collector: collector.to_string(),
        own: collector == store.site(),
        version: document.version,
        epoch: document.epoch.get(),
        document: Digest::of(&newest.document).hex(),
        keys: document
            .keys
            .iter()
            .map(|trusted| Key {
                fingerprint: trusted.key.fingerprint().to_string(),
                roles: trusted.roles.iter().map(|role| role.name()).collect(),
                site: trusted.site.as_ref().map(ToString::to_string),
            })
            .collect(),
        thresholds: [TrustRole::Root, TrustRole::Collector, TrustRole::Approver].map(threshold).into(),
        revoked: document
            .revoked
            .iter()
            .map(|revoked| Revoked { fingerprint: revoked.key.to_string(), version: revoked.version })
            .collect(),
        versions,
    }))
}

fn text(one: &Believed, context: &Context) -> String {
    let whose = if one.own { " (this site)" } else { "" };
    let asks: Vec<String> = one.thresholds.iter().map(|t| format!("{} {}", t.keys, t.role)).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for key in &one.keys {
        let site = key.site.as_ref().map(|site| format!(" of {site}")).unwrap_or_default();
        rows.push(vec![key.fingerprint.clone(), format!("{}{site}", key.roles.join(", "))]);
    }
    for key in &one.revoked {
        rows.push(vec![key.fingerprint.clone(), format!("revoked by version {}", key.version)]);
    }
    let keys = context.printer.table(&[("key", Left), ("roles", Left)], &rows);
    let rows: Vec<Vec<String>> = one
        .versions
        .iter()
        .map(|v| vec![v.number.to_string(), v.epoch.to_string(), v.signed.join(", ")])
        .collect();
    let versions = context.printer.table(&[("version", Right), ("epoch", Right), ("signed by", Left)], &rows);
    let newest = (one.version, one.epoch);
    let head = format!(
        "{}{whose}: version {}, epoch {}; must sign: {}",
        one.collector,
        newest.0,
        newest.1,
        asks.join(", ")
    );
    // version 1 is made from a key that a person compared; there is no more to tell
    if one.version == 1 { format!("{head}\n{keys}") } else { format!("{head}\n{keys}\n{versions}") }
}
