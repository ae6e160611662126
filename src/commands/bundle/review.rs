//! `chantal bundle approve` and `chantal bundle diff`: what a bundle changes, and the signature of who looked at it.

use std::{
    fs,
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chantal_bundle::manifest::REVIEW_HTML;
use serde::Serialize;

use crate::{
    commands::{
        context::Context,
        ending::{Ending, Usage},
        key,
        printer::complain,
    },
    report::{
        human::count,
        review::{Review, page, summary},
    },
    transfer::{self, Approval, Looked},
    trust::SiteKey,
};

#[derive(Serialize)]
struct Approved {
    bundle: String,
    path: String,
    manifest: String,
    /// Whether the key had approved it before.
    before: bool,
    key: String,
    signature: String,
    approvals: Vec<String>,
    needed: u32,
    review: Review,
}

/// What `approve` is told.
pub struct Wish<'a> {
    pub dir: &'a Path,
    pub yes: bool,
    pub key: Option<&'a Path>,
    pub out: Option<&'a Path>,
    pub html: Option<&'a Path>,
}

/// Shows what a bundle changes, asks, and signs its manifest.
pub fn approve(wish: &Wish<'_>, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let looked = transfer::look(&store, wish.dir)?;
    if let Some(path) = wish.html {
        draw(&looked.review, path, context)?;
    }
    if !context.printer.is_json() {
        crate::commands::printer::print(&shown(&looked, wish.html))?;
    }
    if !looked.unseen.is_empty() {
        context.printer.say(&format!(
            "note: {} not in `{}`; what is shown here was read from the signed index",
            is_not(&looked.unseen),
            looked.path.display()
        ));
    }
    if let Some(note) = &looked.strange_page {
        context.printer.say(&format!("warning: {note}"));
    }
    if !wish.yes && !agreed(&looked)? {
        context.printer.say("not approved: nothing was signed");
        return Ok(Ending::Refused);
    }
    let key = match wish.key {
        Some(path) => SiteKey::load(path, &key::passphrase())?,
        None => key::load(&config)?,
    };
    let approval = transfer::approve(&store, &looked, &key, wish.out, context.now)?;
    let (signature, before) = match &approval {
        Approval::Written(path) => (path, false),
        Approval::Before(path) => (path, true),
    };
    let fingerprint = key.fingerprint().to_string();
    let mut approvals: Vec<String> = looked.approved.iter().map(ToString::to_string).collect();
    if !approvals.contains(&fingerprint) {
        approvals.push(fingerprint.clone());
        approvals.sort();
    }
    let (there, needed) = (approvals.len() as u64, looked.needed);
    let said = if before { "was approved before" } else { "is approved" };
    context.printer.say(&format!("{} {said} by {fingerprint}: `{}`", looked.bundle, signature.display()));
    if there < u64::from(needed) {
        context
            .printer
            .say(&format!("{there} of {needed} approvals are there; an import asks for the others"));
    }
    if context.printer.is_json() {
        let approved = Approved {
            bundle: looked.bundle.to_string(),
            path: looked.path.display().to_string(),
            manifest: looked.manifest.hex(),
            before,
            key: fingerprint,
            signature: signature.display().to_string(),
            approvals,
            needed,
            review: looked.review,
        };
        context.printer.show(&approved, |_| String::new())?;
    }
    Ok(Ending::Done)
}

/// Draws the page of a review into a file.
fn draw(review: &Review, path: &Path, context: &Context) -> anyhow::Result<()> {
    let drawn = page::render(review).context("cannot draw the page")?;
    fs::write(path, drawn).with_context(|| format!("cannot write `{}`", path.display()))?;
    context.printer.say(&format!("the page is `{}`", path.display()));
    Ok(())
}

/// Writes `` `a` is`` or `` `a` and `b` are``.
fn is_not(files: &[&str]) -> String {
    let quoted: Vec<String> = files.iter().map(|file| format!("`{file}`")).collect();
    format!("{} {}", quoted.join(" and "), if files.len() == 1 { "is" } else { "are" })
}

fn shown(looked: &Looked, drawn: Option<&Path>) -> String {
    let mut lines = summary::lines(&looked.review);
    let by = match looked.approved.as_slice() {
        [] => "nobody yet".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    lines.push(format!(
        "approved  by {by}; the trust document asks for {}",
        count(u64::from(looked.needed), "approval")
    ));
    lines.push(match drawn {
        Some(path) => format!("page      {}", path.display()),
        None if looked.strange_page.is_some() => {
            "page      of another version: `--html FILE` draws one".into()
        }
        None if looked.unseen.contains(&REVIEW_HTML) => "page      not there: `--html FILE` draws it".into(),
        None => format!("page      {}", looked.path.join(REVIEW_HTML).display()),
    });
    lines.join("\n")
}

/// Asks the person in front of the terminal.
fn agreed(looked: &Looked) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Usage::new(
            "there is no terminal to ask at",
            "read the page first; then `--yes` approves without asking",
        )
        .into());
    }
    let page = match looked.strange_page {
        None => "Its page says the same and more; `--html FILE` draws it.",
        Some(_) => "Go by what `--html FILE` draws, not by its page.",
    };
    complain(&format!("Approve {}? {page} Type `yes`:", looked.bundle));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(answer.trim() == "yes")
}

/// Shows what differs between two bundles.
pub fn diff(old: &Path, new: &Path, html: Option<&PathBuf>, context: &Context) -> anyhow::Result<Ending> {
    let (_, store) = context.open()?;
    let review = transfer::between(&store, old, new, context.reporter.as_ref())?;
    if let Some(path) = html {
        draw(&review, path, context)?;
    }
    context.printer.show(&review, |review| {
        let mut lines = summary::lines(review);
        lines.extend(summary::changes(review));
        lines.join("\n")
    })?;
    Ok(Ending::Done)
}
