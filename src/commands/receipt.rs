//! `chantal receipt`: what a site says that it holds, and what the collector makes of it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chantal_bundle::{Namespace, Receipt, receipt::Sealed};
use chantal_contract::{
    SiteName,
    limits::{RECEIPT_BYTES, SSHSIG_BYTES},
};
use clap::Subcommand;
use serde::Serialize;

use super::{
    context::{Context, share},
    ending::{Ending, Usage},
    import::listed,
    key,
};
use crate::{
    report::{
        Event,
        human::{count, size, time},
    },
    store::Store,
    transfer::{
        Applied, Backwards,
        receipt::{self, seal},
    },
    trust::sshsig,
};

/// Say what a site holds and misses, signed, so that the next bundle starts from there
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a receipt of what came from a collector: carry it back there
    Create {
        /// The file to write; a former one is replaced
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The collector; needed only where several are believed
        #[arg(long, value_name = "SITE")]
        collector: Option<SiteName>,
    },
    /// Believe a site's receipt: the next bundle for it starts from what it holds
    Apply {
        /// The receipt
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Believe it even if it says less than an earlier one: the site was set back
        #[arg(long)]
        force: bool,
        /// Check it and say what it says, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Show what a receipt says and who signed it
    Show {
        /// The receipt
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Serialize)]
struct Shown {
    site: String,
    collector: String,
    created: String,
    epoch: u32,
    sequence: u64,
    bundle: Option<String>,
    trust_version: u32,
    key: String,
    believed: bool,
    states: Vec<State>,
    missing: Vec<Missing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    already: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct State {
    repository: String,
    snapshot: String,
    names: Vec<String>,
}

#[derive(Serialize)]
struct Missing {
    bundle: String,
    volumes: Vec<u32>,
    blobs: usize,
    bytes: u64,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    match &args.verb {
        Verb::Create { out, collector } => create(out, collector.as_ref(), context),
        Verb::Apply { file, force, dry_run } => {
            let backwards = if *force { Backwards::Allowed } else { Backwards::Refused };
            apply(file, backwards, *dry_run, context)
        }
        Verb::Show { file } => show(file, context),
    }
}

/// Reads a receipt's file, which may be no longer than one is.
pub fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let limit = (RECEIPT_BYTES + SSHSIG_BYTES) as u64 + 1;
    fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(bytes)
}

fn create(out: &Path, collector: Option<&SiteName>, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let collector = match collector {
        Some(name) => name.clone(),
        None => only_collector(&store)?,
    };
    let key = key::load(&config)?;
    let receipt = receipt::make(&store, &collector, context.now)?;
    write(out, &seal(&receipt, &key)?)?;
    let shown =
        Shown { path: Some(out.display().to_string()), ..of(&receipt, &key.fingerprint().to_string(), true) };
    context.printer.show(&shown, |shown| shown.path.clone().unwrap_or_default())?;
    for line in lines(&shown) {
        context.printer.say(&line);
    }
    context.printer.say(&format!("hint: carry it to `{collector}`, and run `chantal receipt apply` there"));
    Ok(Ending::Done)
}

fn only_collector(store: &Store) -> anyhow::Result<SiteName> {
    let mut others = store.catalog().collectors()?;
    others.retain(|name| name != store.site());
    match others.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Usage::new(
            "no collector is believed here, so there is nothing to acknowledge",
            "`chantal trust add KEYFILE` begins",
        )
        .into()),
        several => {
            let names: Vec<&str> = several.iter().map(SiteName::as_str).collect();
            let message = format!("several collectors are believed here: {}", names.join(", "));
            Err(Usage::new(message, "say which: `--collector SITE`").into())
        }
    }
}

/// Writes a file beside its place, syncs it and renames it there.
pub fn write(out: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let dir = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let put = || {
        let mut file = tempfile::Builder::new().prefix(".part-").tempfile_in(dir)?;
        file.write_all(bytes)?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(readable)?;
        file.as_file().sync_all()?;
        file.persist(out).map_err(|e| e.error)?;
        fs::File::open(dir)?.sync_all()
    };
    put().with_context(|| format!("cannot write `{}`", out.display()))
}

fn apply(file: &Path, backwards: Backwards, dry_run: bool, context: &Context) -> anyhow::Result<Ending> {
    let bytes = read_file(file)?;
    let (_, store) = context.open()?;
    if dry_run {
        let _shared = share(&store)?;
        let heard = receipt::check(&store, &bytes, backwards)?.heard;
        let shown = of(&heard.receipt, &heard.key.fingerprint().to_string(), true);
        context.printer.show(&shown, |shown| lines(shown).join("\n"))?;
        return Ok(Ending::Done);
    }
    let applied = receipt::apply(&store, &bytes, backwards, context.now)?;
    let said = &applied.heard.receipt;
    let shown = Shown {
        already: Some(applied.already),
        unknown: applied.unknown.iter().map(|s| s.manifest.hex()).collect(),
        ..of(said, &applied.heard.key.fingerprint().to_string(), true)
    };
    context.printer.show(&shown, |shown| lines(shown).join("\n"))?;
    if applied.already {
        context.printer.say("it was applied already: nothing changes");
    } else {
        context.printer.say(&format!(
            "the next bundle for `{}` starts from {}",
            said.site,
            count((said.states.len() - applied.unknown.len()) as u64, "state")
        ));
    }
    warn(&applied, context);
    let missing: u64 = said.missing.iter().map(|m| m.volumes.len().max(m.blobs.len()) as u64).sum();
    if missing > 0 {
        context.printer.say(&format!(
            "hint: `chantal export --to {} --missing {} --out DIR` carries only what it misses",
            said.site,
            file.display()
        ));
    }
    Ok(Ending::Done)
}

/// Says what a receipt shows beside what it says.
fn warn(applied: &Applied, context: &Context) {
    let said = &applied.heard.receipt;
    let subject = said.site.as_str();
    let tell = |text: &str| context.reporter.event(Event::Warning { subject, text });
    for state in &applied.unknown {
        let digest = state.manifest.hex();
        let short = digest.get(..12).unwrap_or_default();
        tell(&format!(
            "it holds `{}` {short}, which is not known here: it counts as not held",
            state.repository
        ));
    }
    if applied.foreign {
        tell(&format!(
            "its newest import, epoch {} sequence {}, is no bundle that was exported here. If this store was not set back, the key was stolen: \
             `chantal trust revoke` or `chantal trust rotate --revoke` shuts it out",
            said.epoch,
            said.place().1
        ));
    }
    if applied.forked {
        tell(&format!(
            "it has accepted another trust document as version {} than this site has: a root key was stolen, or this store was set back",
            said.trust.version
        ));
    } else if said.trust.version < applied.version {
        context.printer.say(&format!(
            "it knows version {} of the trust document; the next bundle brings version {}",
            said.trust.version, applied.version
        ));
    }
}

fn show(file: &Path, context: &Context) -> anyhow::Result<Ending> {
    let bytes = read_file(file)?;
    let sealed = Sealed::split(&bytes)?;
    let key = sshsig::verify(Namespace::Receipt, sealed.text, sealed.signature)?;
    let receipt = Receipt::parse(sealed.text)?;
    // whether it is believed is known where the trust document is
    let believed = context.open().is_ok_and(|(_, store)| receipt::read(&store, &bytes).is_ok());
    let shown = of(&receipt, &key.fingerprint().to_string(), believed);
    context.printer.show(&shown, |shown| lines(shown).join("\n"))?;
    if !believed {
        context.printer.say("the signature is good; this site does not believe that key for receipts");
    }
    Ok(Ending::Done)
}

fn of(receipt: &Receipt, key: &str, believed: bool) -> Shown {
    Shown {
        site: receipt.site.to_string(),
        collector: receipt.collector.to_string(),
        created: receipt.created.to_string(),
        epoch: receipt.epoch.get(),
        sequence: receipt.place().1,
        bundle: receipt.bundle.map(|digest| digest.hex()),
        trust_version: receipt.trust.version,
        key: key.to_owned(),
        believed,
        states: receipt
            .states
            .iter()
            .map(|state| State {
                repository: state.repository.to_string(),
                snapshot: state.manifest.hex(),
                names: state.names.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        missing: receipt
            .missing
            .iter()
            .map(|missing| Missing {
                bundle: missing.bundle.to_string(),
                volumes: missing.volumes.iter().map(|v| v.get()).collect(),
                blobs: missing.blobs.len(),
                bytes: missing.blobs.iter().map(|b| b.size).fold(0, u64::saturating_add),
            })
            .collect(),
        path: None,
        already: None,
        unknown: Vec::new(),
    }
}

fn lines(shown: &Shown) -> Vec<String> {
    let made = shown.created.parse().map_or_else(|_| shown.created.clone(), time);
    let mut lines = vec![
        format!(
            "receipt of `{}` for `{}`, made {made}, signed by {}",
            shown.site, shown.collector, shown.key
        ),
        match shown.sequence {
            0 => format!("  has imported nothing yet; knows trust version {}", shown.trust_version),
            sequence => format!(
                "  up to epoch {} sequence {sequence}, with trust version {}",
                shown.epoch, shown.trust_version
            ),
        },
    ];
    for state in &shown.states {
        let names =
            if state.names.is_empty() { String::new() } else { format!(" ({})", state.names.join(", ")) };
        lines.push(format!(
            "  holds `{}` {}{names}",
            state.repository,
            state.snapshot.get(..12).unwrap_or_default()
        ));
    }
    for missing in &shown.missing {
        let volumes: Vec<_> = missing
            .volumes
            .iter()
            .filter_map(|n| chantal_bundle::VolumeNumber::new((*n).into()).ok())
            .collect();
        let of = match (volumes.is_empty(), missing.blobs) {
            (true, blobs) => format!("{} ({})", count(blobs as u64, "blob"), size(missing.bytes)),
            (false, 0) => format!("volumes {}", listed(&volumes)),
            (false, blobs) => {
                let blobs = count(blobs as u64, "blob");
                format!("volumes {}: {blobs} ({})", listed(&volumes), size(missing.bytes))
            }
        };
        lines.push(format!("  misses of {}: {of}", missing.bundle));
    }
    lines
}
