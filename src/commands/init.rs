//! `chantal init`: a configuration, a store, a place for published trees, a key.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chantal_bundle::{PublicKey, TrustDocument};
use chantal_contract::SiteName;
use serde::Serialize;

use super::{
    context::Context,
    ending::{Ending, Usage},
    key, trust,
};
use crate::{
    config::{Config, Role},
    store::{Store, StoreError},
    trust::{KeyError, SiteKey},
};

/// Begin a site: write a commented configuration, a store, a directory to publish in, and the site's key
///
/// A configuration that is there already is used as it is and never touched: what it names and what is not there yet is made.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which side of the gap this is; needed unless a configuration is there and says it
    #[arg(long, value_enum)]
    role: Option<Side>,
    /// The name of this installation; needed unless a configuration is there and says it
    #[arg(long)]
    site: Option<SiteName>,
    /// Where; made if it is missing. The current directory, or that of `--config`, when left out
    dir: Option<PathBuf>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Side {
    /// Mirrors upstreams and writes bundles
    Collector,
    /// Imports bundles and publishes
    Receiver,
}

impl From<Side> for Role {
    fn from(side: Side) -> Self {
        match side {
            Side::Collector => Self::Collector,
            Side::Receiver => Self::Receiver,
        }
    }
}

#[derive(Serialize)]
struct Made {
    role: &'static str,
    site: String,
    configuration: String,
    store: String,
    published: String,
    key: String,
    fingerprint: String,
    /// What was not there before.
    new: Vec<String>,
}

const COLLECTOR: &str = include_str!("init/collector.yaml");
const RECEIVER: &str = include_str!("init/receiver.yaml");

/// Returns the configuration that a new site begins with.
pub fn template(role: Role, site: &SiteName) -> String {
    let text = match role {
        Role::Collector => COLLECTOR,
        Role::Receiver => RECEIVER,
    };
    text.replace("SITE", site.as_str())
}

/// What a site consists of, whether it is there or not.
struct Plan {
    role: Role,
    site: SiteName,
    configuration: PathBuf,
    root: PathBuf,
    published: PathBuf,
    key: PathBuf,
    /// The configuration's text, where it is still to be written.
    text: Option<String>,
}

impl Plan {
    /// Takes what an existing configuration says, or else what the command line says.
    fn of(args: &Args, context: &Context) -> anyhow::Result<Self> {
        let configuration = configuration(args, context)?;
        if fs::symlink_metadata(&configuration).is_ok() {
            return Self::found(Config::load(&configuration)?, args);
        }
        let (Some(role), Some(site)) = (args.role.map(Role::from), args.site.clone()) else {
            return Err(Usage::new(
                format!(
                    "there is no `{}` that says which side this is and what it is called",
                    configuration.display()
                ),
                "`chantal init --role collector|receiver --site NAME DIR` writes one",
            )
            .into());
        };
        let directory = configuration.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self {
            role,
            root: directory.join("store"),
            published: directory.join("published"),
            key: directory.join("keys").join(site.as_str()),
            text: Some(template(role, &site)),
            site,
            configuration,
        })
    }

    fn found(config: Config, args: &Args) -> anyhow::Result<Self> {
        let contradiction = |flag: &str, given: &str, key: &str, written: &str| {
            Usage::new(
                format!(
                    "`{flag} {given}` contradicts `{}`, which says `{key}: {written}`",
                    config.path.display()
                ),
                format!(
                    "leave `{flag}` out, or name another directory: a configuration that is there is never changed"
                ),
            )
        };
        if let Some(role) = args.role.map(Role::from).filter(|role| *role != config.role) {
            return Err(contradiction("--role", role.name(), "role", config.role.name()).into());
        }
        if let Some(site) = args.site.as_ref().filter(|site| **site != config.site) {
            return Err(contradiction("--site", site.as_str(), "site", config.site.as_str()).into());
        }
        Ok(Self {
            role: config.role,
            root: config.storage.root.resolve(),
            published: config.storage.published.resolve(),
            key: config.key.resolve(),
            text: None,
            site: config.site,
            configuration: config.path,
        })
    }

    /// Lists what is not there yet.
    fn missing(&self) -> Vec<&Path> {
        let journal = self.root.join("journal.jsonl");
        let mut missing: Vec<&Path> = Vec::new();
        missing.extend(self.text.is_some().then_some(self.configuration.as_path()));
        missing.extend((!journal.exists()).then_some(self.root.as_path()));
        missing.extend((!self.published.is_dir()).then_some(self.published.as_path()));
        missing.extend((!self.key.exists()).then_some(self.key.as_path()));
        missing
    }
}

/// Says where the configuration lies, or will.
fn configuration(args: &Args, context: &Context) -> anyhow::Result<PathBuf> {
    let named = context.globals.config.as_ref();
    let here = args.dir.as_ref().map(|dir| if dir == Path::new(".") { PathBuf::new() } else { dir.clone() });
    match (here.map(|dir| dir.join("chantal.yaml")), named) {
        (Some(inside), Some(named)) if inside != *named => Err(Usage::new(
            format!(
                "`--config` (or `$CHANTAL_CONFIG`) names `{}`, the directory is for `{}`",
                named.display(),
                inside.display()
            ),
            "leave one of the two out",
        )
        .into()),
        (Some(inside), _) => Ok(inside),
        (None, Some(named)) => Ok(named.clone()),
        (None, None) => Ok("chantal.yaml".into()),
    }
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let plan = Plan::of(args, context)?;
    let missing: Vec<String> = plan.missing().iter().map(|path| path.display().to_string()).collect();
    if args.dry_run {
        for path in &missing {
            context.printer.say(&format!("would write {path}"));
        }
        return Ok(Ending::Done);
    }
    let directories = [plan.configuration.parent(), Some(plan.published.as_path())];
    for directory in directories.into_iter().flatten().filter(|path| !path.as_os_str().is_empty()) {
        fs::create_dir_all(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    }
    // what an earlier, killed init left is taken up; the configuration comes last and says that all is there
    let public = complete(&plan, context)?;
    if let Some(text) = &plan.text {
        write_new(&plan.configuration, text)?;
    }
    let made = Made {
        role: plan.role.name(),
        site: plan.site.to_string(),
        configuration: plan.configuration.display().to_string(),
        store: plan.root.display().to_string(),
        published: plan.published.display().to_string(),
        key: plan.key.display().to_string(),
        fingerprint: public.fingerprint().to_string(),
        new: missing,
    };
    if context.printer.is_json() {
        context.printer.show(&made, |_| String::new())?;
    } else {
        context.printer.say(&next_steps(&plan, &made));
    }
    Ok(Ending::Done)
}

/// Makes key, store and trust document where they are missing; refuses a key that the store's trust document does not name.
fn complete(plan: &Plan, context: &Context) -> anyhow::Result<PublicKey> {
    let there = match Store::open(&plan.root) {
        Ok(store) => Some(store),
        Err(StoreError::NoStore { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(store) = &there
        && *store.site() != plan.site
    {
        return Err(Usage::new(
            format!("`{}` is the store of `{}`", plan.root.display(), store.site()),
            "name another directory, or the site that is there",
        )
        .into());
    }
    let document = there.as_ref().map(trust::own).transpose()?.flatten();
    let public = match SiteKey::public_of(&plan.key) {
        Ok(public) => public,
        // a store that has a key already gets no other one unasked: nobody would believe it
        Err(KeyError::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound && document.is_none() =>
        {
            key::make(&plan.key, plan.site.as_str())?.public()
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(document) = &document {
        trust::names_key(document, &public, &plan.key)?;
        return Ok(public);
    }
    let store = match there {
        Some(store) => store,
        None => Store::create(&plan.root, &plan.site, context.now)?,
    };
    trust::believe(&store, &TrustDocument::first(plan.site.clone(), public), context)?;
    Ok(public)
}

/// Writes a file that is whole or not there, and never one that was there before.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot write `{}`", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".chantal-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .with_context(cannot)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).with_context(cannot)?;
    file.persist_noclobber(path).map_err(|error| error.error).with_context(cannot)?;
    fs::File::open(directory).and_then(|directory| directory.sync_all()).with_context(cannot)?;
    Ok(())
}

fn next_steps(plan: &Plan, made: &Made) -> String {
    let what = match (plan.text.is_some(), made.new.is_empty()) {
        (true, _) => format!("{} is a {} now", made.site, made.role),
        (false, false) => format!(
            "{} is a {} as {} says; made {}",
            made.site,
            made.role,
            made.configuration,
            made.new.join(", ")
        ),
        (false, true) => format!("{} is a {} already: nothing was missing", made.site, made.role),
    };
    let head = format!("{what}; its key is {}\n  {}\n\nNext:\n", made.key, made.fingerprint);
    let steps = match plan.role {
        Role::Collector => [
            match plan.text {
                Some(_) => {
                    format!(
                        "name repositories and sites in {}, then `chantal config check`",
                        made.configuration
                    )
                }
                None => "`chantal config check` opens every file that the configuration names".into(),
            },
            "`chantal sync` mirrors, `chantal export --to SITE --out DIR` writes a bundle".into(),
            "`chantal key show > FILE` is the key for the other side; tell its fingerprint by another way"
                .into(),
        ],
        Role::Receiver => [
            "`chantal trust add KEYFILE` says whose bundles are believed".into(),
            "`chantal import DIR` takes a bundle in, `chantal publish` lays it out".into(),
            format!("let a web server serve {}", made.published),
        ],
    };
    let numbered = steps.iter().zip(1..).map(|(step, number)| format!("  {number}. {step}\n"));
    head + &numbered.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_new_configuration_is_a_right_one() {
        for role in [Role::Collector, Role::Receiver] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("chantal.yaml");
            fs::write(&path, template(role, &SiteName::new("plant-7").unwrap())).unwrap();
            let config = Config::load(&path).unwrap();
            assert_eq!((config.role, config.site.as_str()), (role, "plant-7"));
            assert_eq!(config.key.resolve(), dir.path().join("keys/plant-7"));
        }
    }

    /// The runs of commented lines that are YAML when their marks are taken away, as line numbers.
    fn parts(text: &str) -> Vec<Vec<usize>> {
        let is_yaml = |line: &str| {
            line.trim_start().strip_prefix("# ").is_some_and(|rest| {
                let rest = rest.trim_start();
                let key = rest.strip_prefix("- ").unwrap_or(rest);
                let word = key.split(':').next().unwrap_or_default();
                rest.starts_with("- {")
                    || (key.contains(':') && word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            })
        };
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for (index, _) in text.lines().enumerate().filter(|(_, line)| is_yaml(line)) {
            match parts.last_mut() {
                Some(part) if part.last() == Some(&(index - 1)) => part.push(index),
                _ => parts.push(vec![index]),
            }
        }
        parts
    }

    fn loads_without_the_marks(text: &str, lines: &[usize]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chantal.yaml");
        let open: Vec<String> = text
            .lines()
            .enumerate()
            .map(
                |(index, line)| if lines.contains(&index) { line.replacen("# ", "", 1) } else { line.into() },
            )
            .collect();
        let text = open
            .join("\n")
            .replace("${DEBIAN_MIRROR}", "https://mirror.example.org/debian")
            .replace("${HTTPS_PROXY}", "none");
        fs::write(&path, &text).unwrap();
        if let Err(error) = Config::load(&path) {
            panic!("{error}\n{text}");
        }
    }

    #[test]
    fn every_part_of_a_template_loads_when_its_marks_are_taken_away() {
        for (role, least) in [(Role::Collector, 5), (Role::Receiver, 2)] {
            let text = template(role, &SiteName::new("hq").unwrap());
            let parts = parts(&text);
            assert!(parts.len() >= least, "{parts:?}");
            for part in &parts {
                // a site without the repositories that it gets is refused, and rightly
                if !text.lines().nth(part[0]).unwrap().starts_with("# sites") {
                    loads_without_the_marks(&text, part);
                }
            }
            loads_without_the_marks(&text, &parts.concat());
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chantal.yaml");
        write_new(&path, "mine").unwrap();
        assert!(write_new(&path, "other").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
