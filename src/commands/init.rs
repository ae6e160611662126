//! `chantal init`: a configuration, a store, a place for published trees, a key.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chantal_bundle::TrustDocument;
use chantal_contract::SiteName;
use serde::Serialize;

use super::{
    context::Context,
    ending::{Ending, Usage},
    key, trust,
};
use crate::{
    config::Role,
    store::Store,
    trust::{Passphrase, SiteKey},
};

/// Begin a site: write a commented configuration, a store, a directory to publish in, and the site's key
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which side of the gap this is
    #[arg(long, value_enum)]
    role: Side,
    /// The name of this installation
    #[arg(long)]
    site: SiteName,
    /// Where; made if it is missing
    #[arg(default_value = ".")]
    dir: PathBuf,
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

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let role = Role::from(args.role);
    let (configuration, root, published) =
        (args.dir.join("chantal.yaml"), args.dir.join("store"), args.dir.join("published"));
    let key_path = args.dir.join("keys").join(args.site.as_str());
    if fs::symlink_metadata(&configuration).is_ok() {
        return Err(Usage::new(
            format!("`{}` is there already, and nothing is overwritten", configuration.display()),
            "name another directory, or go on with what is there",
        )
        .into());
    }
    if args.dry_run {
        for path in [&configuration, &root, &published, &key_path] {
            context.printer.say(&format!("would write {}", path.display()));
        }
        return Ok(Ending::Done);
    }
    for directory in [&args.dir, &published] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    }
    // what an earlier, killed init left is taken up; the configuration comes last and says that all is there
    let key = match SiteKey::load(&key_path, &Passphrase::from_env()) {
        Ok(key) => key,
        Err(crate::trust::KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            key::make(&key_path, args.site.as_str())?
        }
        Err(error) => return Err(error.into()),
    };
    let store = open_or_create(&root, &args.site, context)?;
    let document = TrustDocument::first(args.site.clone(), key.public());
    trust::believe(&store, &document, context)?;
    write_new(&configuration, &template(role, &args.site))?;
    let made = Made {
        role: role.name(),
        site: args.site.to_string(),
        configuration: configuration.display().to_string(),
        store: root.display().to_string(),
        published: published.display().to_string(),
        key: key_path.display().to_string(),
        fingerprint: key.fingerprint().to_string(),
    };
    if context.printer.is_json() {
        context.printer.show(&made, |_| String::new())?;
    } else {
        context.printer.say(&next_steps(role, &made));
    }
    Ok(Ending::Done)
}

fn open_or_create(root: &Path, site: &SiteName, context: &Context) -> anyhow::Result<Store> {
    if !root.join("journal").exists() && fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_none())
    {
        fs::remove_dir(root).with_context(|| format!("cannot remove the empty `{}`", root.display()))?;
    }
    match Store::create(root, site, context.now) {
        Ok(store) => Ok(store),
        Err(crate::store::StoreError::Exists { .. }) => {
            let store = Store::open(root)?;
            if store.site() != site {
                return Err(Usage::new(
                    format!("`{}` is the store of `{}`", root.display(), store.site()),
                    "name another directory, or the site that is there",
                )
                .into());
            }
            Ok(store)
        }
        Err(error) => Err(error.into()),
    }
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

fn next_steps(role: Role, made: &Made) -> String {
    let head = format!(
        "{} is a {} now; its key is {}\n  {}\n\nNext:\n",
        made.site, made.role, made.key, made.fingerprint
    );
    let steps = match role {
        Role::Collector => [
            format!("name repositories and sites in {}, then `chantal config check`", made.configuration),
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

    #[test]
    fn what_a_template_suggests_is_right_when_the_marks_are_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chantal.yaml");
        let text = template(Role::Collector, &SiteName::new("hq").unwrap());
        let open: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("repositories: []") && !line.starts_with("sites: []"))
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .collect();
        fs::write(&path, open.join("\n").replace("${DEBIAN_MIRROR}", "https://mirror.example.org/debian"))
            .unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!((config.repositories.len(), config.sites.len()), (1, 1));
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
