//! Changes of this site's own trust document, and of the key file that goes with it.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chantal_bundle::{
    KeyFingerprint, PublicKey, TrustDocument, TrustRole,
    trust::{Change, ChangeError},
};
use chantal_contract::SiteName;

use super::{
    Add, Way,
    draft::{changes, counted},
};
use crate::{
    commands::{
        context::{Context, share},
        ending::{Ending, Usage},
        key,
        printer::complain,
        prompt::confirm,
        receipt::write,
    },
    config::{Config, closest},
    report::Event,
    store::{Lock, Store},
    transfer::OwnTrust,
    trust::{SiteKey, TrustError, document::follow, read_public_key},
};

#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// Take this key instead of making one: a private key file, or the public line of a key that the ssh-agent holds, such as one on
    /// a hardware token
    #[arg(long, value_name = "KEYFILE")]
    with: Option<PathBuf>,
    /// The key that goes, where its file is lost; the one in the configuration's place when left out
    #[arg(long, value_name = "SHA256:...")]
    replaces: Option<KeyFingerprint>,
    /// The old key was stolen: revoke it, and begin a new epoch
    #[arg(long)]
    revoke: bool,
    /// Begin a new epoch: sequences count from 1 again
    #[arg(long)]
    new_epoch: bool,
    #[command(flatten)]
    way: Way,
}

/// Gives a key roles.
pub(super) fn add(add: &Add, context: &Context) -> anyhow::Result<Ending> {
    let (public, _) = read_public_key(&add.key)?;
    let found = public.fingerprint();
    let receives = add.role.contains(&TrustRole::Receiver);
    if receives != add.site.is_some() {
        return Err(Usage::new(
            "a key signs the receipts of one site",
            "give `--role receiver` and `--site SITE` together",
        )
        .into());
    }
    if let Some(expected) = add.fingerprint.filter(|expected| *expected != found) {
        return Err(TrustError::Fingerprint { expected, found }.into());
    }
    if let Some(site) = &add.site {
        warn_of_stranger(site, context)?;
    }
    let asked = if add.fingerprint.is_some() { Asked::Compared } else { Asked::Not };
    change_with(&add.way, asked, context, |change| {
        add.role.iter().try_for_each(|role| {
            change.add(public, *role, add.site.as_ref().filter(|_| *role == TrustRole::Receiver))
        })
    })
}

/// Warns where receipts would be believed of a site that gets no bundles: its name may be misspelt.
fn warn_of_stranger(site: &SiteName, context: &Context) -> anyhow::Result<()> {
    let config = context.config()?;
    if config.site_entry(site).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = config.sites.iter().map(|site| site.name.as_str()).collect();
    let near =
        closest(site.as_str(), &known).map_or_else(String::new, |near| format!("; is `{near}` meant?"));
    let text = format!(
        "`{}` lists no such site under `sites`, so no bundle is made for it{near}",
        config.path.display()
    );
    context.reporter.event(Event::Warning { subject: site.as_str(), text: &text });
    Ok(())
}

/// Whether a person has confirmed already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// By comparing the key's full fingerprint.
    Compared,
    /// Not yet.
    Not,
}

/// Makes the next version and brings it into force, or writes its draft.
pub(super) fn change(
    way: &Way,
    context: &Context,
    build: impl FnOnce(&mut Change) -> Result<(), ChangeError>,
) -> anyhow::Result<Ending> {
    change_with(way, Asked::Not, context, build)
}

fn change_with(
    way: &Way,
    asked: Asked,
    context: &Context,
    build: impl FnOnce(&mut Change) -> Result<(), ChangeError>,
) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let _shared = share(&store)?;
    let _site = store.lock(Lock::Site(store.site()))?;
    let keys = key::load_all(&config, &way.sign_with)?;
    step(&store, &config, way, asked, &keys, context, build)
}

/// Makes the next version with these keys.
fn step(
    store: &Store,
    config: &Config,
    way: &Way,
    asked: Asked,
    keys: &[SiteKey],
    context: &Context,
    build: impl FnOnce(&mut Change) -> Result<(), ChangeError>,
) -> anyhow::Result<Ending> {
    let keys: Vec<&SiteKey> = keys.iter().collect();
    let chain = OwnTrust::load(store, &keys)?;
    let mut change = Change::of(chain.document());
    build(&mut change)?;
    for (role, count) in [
        (TrustRole::Root, way.root),
        (TrustRole::Collector, way.collectors),
        (TrustRole::Approver, way.approvers),
    ] {
        if let Some(count) = count {
            change.threshold(role, count);
        }
    }
    let next = change.finish()?;
    complain(&changes(chain.document(), &next).join("\n"));
    if way.dry_run {
        return Ok(Ending::Done);
    }
    // a draft changes nothing: its `apply` asks
    if !way.yes && asked == Asked::Not && way.draft.is_none() {
        confirm("Is this meant?", "read what it would change with `--dry-run`, then add `--yes`")?;
    }
    let link = chain.sign(&next, &keys)?;
    if let Some(path) = &way.draft {
        write(path, &link.to_draft())?;
        context.printer.say(&format!(
            "written to {} with {}; nothing has changed yet",
            path.display(),
            counted(&link, Some(chain.document()), &next)
        ));
        context.printer.say(&format!(
            "hint: `chantal trust sign {0}` where the other keys are, then `chantal trust apply {0}` here",
            path.display()
        ));
        return Ok(Ending::Done);
    }
    let links = [chain.links(), std::slice::from_ref(&link)].concat();
    if let Err(error) = follow(chain.document(), &links) {
        return Err(Usage::new(
            format!("the next version cannot come into force: {error}"),
            "give the other root keys by `--sign-with KEY`, or write a draft for their holders: `--draft FILE`",
        )
        .into());
    }
    let next = chain.advance(store, &link, context.now)?;
    settle(config, &next, context)?;
    tell(&next, context);
    Ok(Ending::Done)
}

/// Says what follows from a new version.
pub(super) fn tell(next: &TrustDocument, context: &Context) {
    context.printer.say(&format!(
        "version {} is in force; the next bundle brings it to every site, which believes nothing older from then on",
        next.version
    ));
}

/// Puts a new key in the place of the site's own.
///
/// The new key waits beside the old one until the version that lists it is in force; killed anywhere, a re-run finishes it.
pub(super) fn rotate(rotate: &Rotate, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let _shared = share(&store)?;
    let _site = store.lock(Lock::Site(store.site()))?;
    let places = Places::of(&config);
    if rotate.way.dry_run && !places.next.exists() {
        context.printer.say(&format!(
            "would make a key as {} and put it in the place of the old one",
            places.next.display()
        ));
        return Ok(Ending::Done);
    }
    let document = crate::transfer::own_document(&store)?;
    if places.settled(&document)? == Settled::Due {
        settle(&config, &document, context)?;
        context.printer.say("a rotation that was interrupted is finished now");
        return Ok(Ending::Done);
    }
    let new = prepare(&places, rotate.with.as_deref(), &config)?;
    let mut keys: Vec<SiteKey> = Vec::new();
    match key::load_all(&config, &rotate.way.sign_with) {
        Ok(own) => keys.extend(own),
        // the old key is lost: other root keys must do
        Err(_) if rotate.replaces.is_some() => {
            for path in &rotate.way.sign_with {
                keys.push(key::open(path)?);
            }
        }
        Err(error) => return Err(error.context(
            "cannot read the key that goes; say which by `--replaces`, and sign with others by `--sign-with`",
        )),
    }
    let old = match (rotate.replaces, keys.first()) {
        (Some(given), _) => given,
        (None, Some(own)) => own.fingerprint(),
        (None, None) => {
            return Err(Usage::new("there is no key to replace", "say which: `--replaces SHA256:…`").into());
        }
    };
    let public = new.public();
    keys.push(new);
    step(&store, &config, &rotate.way, Asked::Not, &keys, context, |change| {
        change.replace(&old, public)?;
        if rotate.revoke {
            change.revoke(&old)?;
        }
        if rotate.new_epoch {
            change.raise_epoch()?;
        }
        Ok(())
    })
}

/// Makes the new key beside the old one, or takes the given one there; one that an earlier run left is taken up.
fn prepare(places: &Places, given: Option<&Path>, config: &Config) -> anyhow::Result<SiteKey> {
    if let Some(given) = given {
        let key = key::open(given)?;
        if places.next.exists() {
            let waiting = key::open(&places.next)?;
            if waiting.public() != key.public() {
                return Err(Usage::new(
                    format!("another new key waits as `{}`", places.next.display()),
                    "move it away, or leave `--with` out to take it",
                )
                .into());
            }
            return Ok(waiting);
        }
        let bytes = zeroize::Zeroizing::new(
            fs::read(given).with_context(|| format!("cannot read `{}`", given.display()))?,
        );
        put_private(&places.next, &bytes)?;
        write(&places.next_public(), format!("{}\n", key.public_line()).as_bytes())?;
        return Ok(key);
    }
    if places.next.exists() {
        let key = key::open(&places.next)?;
        write(&places.next_public(), format!("{}\n", key.public_line()).as_bytes())?;
        return Ok(key);
    }
    key::make(&places.next, config.site.as_str())
}

/// Writes a file for its owner alone, whole or not at all.
fn put_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let put = || -> io::Result<()> {
        // a temporary file is its owner's alone from the first moment
        let mut file = tempfile::Builder::new().prefix(".key-").tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|e| e.error)?;
        fs::File::open(dir)?.sync_all()
    };
    put().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Where the site's key lies, and where a new one waits.
struct Places {
    current: PathBuf,
    next: PathBuf,
}

/// Whether the key in the site's place is the one that the trust document lists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// Nothing waits, or what waits is not listed yet.
    Already,
    /// The new key is listed and the old one is not.
    Due,
}

impl Places {
    fn of(config: &Config) -> Self {
        let current = config.key.resolve();
        let next = current.with_added_extension("next");
        Self { current, next }
    }

    fn public(&self) -> PathBuf {
        self.current.with_added_extension("pub")
    }

    fn next_public(&self) -> PathBuf {
        self.next.with_added_extension("pub")
    }

    fn settled(&self, document: &TrustDocument) -> anyhow::Result<Settled> {
        if !self.next.exists() {
            return Ok(Settled::Already);
        }
        let listed = |key: PublicKey| document.keys.iter().any(|k| k.key == key);
        let next = SiteKey::public_of(&self.next)?;
        let current = SiteKey::public_of(&self.current).ok();
        if listed(next) && !current.is_some_and(listed) { Ok(Settled::Due) } else { Ok(Settled::Already) }
    }
}

/// Puts a new key into the site's place as soon as the trust document lists it instead of the old one, which is kept aside.
pub(super) fn settle(config: &Config, document: &TrustDocument, context: &Context) -> anyhow::Result<()> {
    let places = Places::of(config);
    if places.settled(document)? == Settled::Already {
        return Ok(());
    }
    let next = SiteKey::public_of(&places.next)?;
    let aside = |path: &Path, tail: &str| path.with_added_extension(format!("before-{tail}"));
    let tail = next.fingerprint().short();
    // linked first and renamed over then: there is a key at every moment
    // the key itself goes last: as long as it waits, a re-run finds that there is something to finish
    for (from, to) in [(&places.next_public(), &places.public()), (&places.next, &places.current)] {
        let kept = aside(to, &tail);
        if to.exists() && !kept.exists() {
            fs::hard_link(to, &kept).with_context(|| format!("cannot keep `{}` aside", to.display()))?;
        }
        // the public line beside it is a convenience: a run that was killed may not have come to write it
        if !from.exists() {
            continue;
        }
        fs::rename(from, to).with_context(|| format!("cannot put `{}` in its place", from.display()))?;
    }
    let dir = places.current.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(dir)
        .and_then(|d| d.sync_all())
        .with_context(|| format!("cannot sync `{}`", dir.display()))?;
    context.printer.say(&format!(
        "the site's key is {} now; the old one is kept as {}: destroy it when no restore needs it",
        next.fingerprint(),
        aside(&places.current, &tail).display()
    ));
    Ok(())
}
