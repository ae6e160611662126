//! `chantal bundle list`: what was exported and imported here.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    commands::{
        context::{Context, share},
        ending::Ending,
    },
    report::{
        human::age,
        table::Align::{Left, Right},
    },
    store::{Acknowledged, Delivery, SiteName},
};

#[derive(Serialize)]
struct Listed {
    bundles: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    bundle: String,
    direction: &'static str,
    site: Option<String>,
    epoch: Option<u32>,
    sequence: Option<u64>,
    at: String,
    repositories: Vec<String>,
    delivery: Option<&'static str>,
    volumes: Option<usize>,
    #[serde(skip)]
    when: Timestamp,
}

pub(super) fn run(context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let _shared = share(&store)?;
    let mut bundles = Vec::new();
    let names = |states: &[crate::store::Carried]| {
        let mut names: Vec<String> = states.iter().map(|state| state.repository.to_string()).collect();
        names.dedup();
        names
    };
    let receipts = store.catalog().acknowledgements()?;
    for row in store.catalog().exports(None)? {
        bundles.push(Row {
            repositories: names(&row.states),
            bundle: row.bundle,
            direction: "exported",
            site: Some(row.to.to_string()),
            epoch: Some(row.epoch),
            sequence: Some(row.sequence),
            at: row.at.to_string(),
            delivery: Some(match row.delivery {
                _ if is_acknowledged(&receipts, &row.to, (row.epoch, row.sequence)) => "acknowledged",
                Delivery::Awaited => "awaited",
                Delivery::Assumed => "assumed",
            }),
            volumes: None,
            when: row.at,
        });
    }
    for row in store.catalog().imports(None)? {
        bundles.push(Row {
            repositories: names(&row.states),
            bundle: row.bundle,
            direction: "imported",
            site: Some(row.from.to_string()),
            epoch: Some(row.epoch),
            sequence: Some(row.sequence),
            at: row.at.to_string(),
            delivery: None,
            volumes: None,
            when: row.at,
        });
    }
    for row in store.catalog().pending()? {
        bundles.push(Row {
            repositories: Vec::new(),
            bundle: row.bundle,
            direction: "pending",
            site: None,
            epoch: None,
            sequence: None,
            at: row.since.to_string(),
            delivery: None,
            volumes: Some(row.volumes.len()),
            when: row.since,
        });
    }
    bundles.sort_by(|a, b| b.when.cmp(&a.when).then_with(|| a.bundle.cmp(&b.bundle)));
    let headings = [
        ("bundle", Left),
        ("direction", Left),
        ("when", Left),
        ("volumes in", Right),
        ("repositories", Left),
    ];
    let rows = |listed: &Listed| {
        let row = |row: &Row| {
            vec![
                row.bundle.clone(),
                row.direction.into(),
                age(row.when, context.now),
                row.volumes.map_or_else(|| "-".into(), |volumes| volumes.to_string()),
                row.repositories.join(", "),
            ]
        };
        listed.bundles.iter().map(row).collect()
    };
    context.printer.list(&Listed { bundles }, &headings, rows, "no bundle was exported or imported here")?;
    Ok(Ending::Done)
}

/// Tells whether a site's newest receipt covers a bundle: it holds that one's states, or newer ones.
fn is_acknowledged(receipts: &[Acknowledged], site: &SiteName, place: (u32, u64)) -> bool {
    receipts.iter().any(|receipt| receipt.to == *site && (receipt.epoch, receipt.sequence) >= place)
}
