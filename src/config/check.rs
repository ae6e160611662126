//! What no single key can tell: names given twice, entries that do not fit together.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use chantal_contract::{Kind, Mode, Policy};

use super::{
    Config,
    fault::{Fault, Place, closest},
    repository::{Auth, Repository},
    site::{Role, Storage},
};

/// Finds everything that is wrong, in the order of the files.
pub(super) fn check(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    storage(&config.storage, &mut faults);
    names(config, &mut faults);
    for repository in &config.repositories {
        format(config.role, repository, &mut faults);
        access(repository, &mut faults);
    }
    paths(config, &mut faults);
    sites(config, &mut faults);
    faults
}

/// Store and published trees stand beside each other: a web server must not serve the store, nor gc meet trees in it.
fn storage(storage: &Storage, faults: &mut Vec<Fault>) {
    let (root, published) = (resolved(&storage.root.resolve()), resolved(&storage.published.resolve()));
    let message = if root == published {
        format!("`root` and `published` are the same directory, `{}`", root.display())
    } else if published.starts_with(&root) {
        format!("`published`, `{}`, lies inside `root`, `{}`", published.display(), root.display())
    } else if root.starts_with(&published) {
        format!("`root`, `{}`, lies inside `published`, `{}`", root.display(), published.display())
    } else {
        return;
    };
    faults.push(Fault::new(&storage.place, message).with_hint("give each a directory of its own"));
}

/// Follows symbolic links and `..` as far as a path exists; what is still to be made is taken as it is written.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            part => found.push(part),
        }
        if let Ok(real) = found.canonicalize() {
            found = real;
        }
    }
    found
}

fn twice<'a>(entries: impl Iterator<Item = (&'a str, &'a Place)>, what: &str, faults: &mut Vec<Fault>) {
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for (name, place) in entries {
        if let Some(first) = seen.get(name) {
            faults.push(
                Fault::new(place, format!("{what} `{name}` is there twice; the first stands in {first}"))
                    .with_hint("give one of them another name"),
            );
        } else {
            seen.insert(name, place);
        }
    }
}

fn names(config: &Config, faults: &mut Vec<Fault>) {
    twice(config.repositories.iter().map(|r| (r.name.as_str(), &r.place)), "the repository", faults);
    twice(config.sites.iter().map(|s| (s.name.as_str(), &s.place)), "the site", faults);
}

/// Published paths must neither be equal nor lie inside each other.
fn paths(config: &Config, faults: &mut Vec<Fault>) {
    let mut seen: BTreeMap<String, &Repository> = BTreeMap::new();
    for repository in &config.repositories {
        seen.entry(format!("{}/", repository.published_path())).or_insert(repository);
    }
    for repository in &config.repositories {
        let mine = format!("{}/", repository.published_path());
        let other = seen
            .iter()
            .find(|(path, other)| other.name != repository.name && mine.starts_with(path.as_str()));
        if let Some((path, other)) = other {
            let (path, name, place) = (path.trim_end_matches('/'), &other.name, &other.place);
            let message = format!(
                "`{}` would be published inside `{path}`, the place of `{name}` in {place}",
                mine.trim_end_matches('/')
            );
            faults.push(Fault::new(&repository.place, message).with_hint("set another `path`"));
        }
    }
}

fn format(role: Role, repository: &Repository, faults: &mut Vec<Fault>) {
    let mut fault = |message: String, hint: &str| {
        let fault = Fault::new(&repository.place, message);
        faults.push(if hint.is_empty() { fault } else { fault.with_hint(hint) });
    };
    let name = &repository.name;
    let kinds = repository.kinds();
    match (kinds.as_slice(), repository.has_upstream(), role) {
        ([_], true, _) | ([], false, Role::Receiver) => {}
        ([kind], false, Role::Receiver) => fault(
            format!("`{name}` does not say where it comes from"),
            &format!("remove `{}:` if it arrives by bundle; add `url:` if it is synced here", kind.name()),
        ),
        ([_], false, Role::Collector) => {
            fault(format!("`{name}` does not say where it comes from"), "add `url:`");
        }
        ([], true, _) | ([], false, Role::Collector) => {
            fault(format!("`{name}` has no format block"), "add one of `apt:`, `rpm:`, `pypi:`");
        }
        (several, _, _) => {
            let blocks: Vec<String> = several.iter().map(|kind| format!("`{kind}`")).collect();
            fault(
                format!("`{name}` has {} format blocks: {}", several.len(), blocks.join(", ")),
                "a repository has exactly one; make two repositories of it",
            );
        }
    }
    if kinds.len() > 1 {
        return;
    }
    let kind = repository.kind();
    match (kind, repository.mode) {
        (_, Some(Mode::Hosted)) => fault("`mode: hosted` is not supported yet".into(), ""),
        (Some(Kind::Apt | Kind::Rpm), Some(Mode::Filtered)) => {
            fault(
                format!("`mode: filtered` is not supported yet for {}", kind.map_or("it", Kind::name)),
                "leave `mode` out",
            );
        }
        (Some(Kind::Pypi), Some(Mode::Mirror)) => {
            fault(
                "a pypi repository cannot be mirrored byte for byte".into(),
                "leave `mode` out; it is `filtered`",
            );
        }
        _ => {}
    }
    if repository.retention.is_some() && kind.is_some_and(|kind| kind != Kind::Pypi) {
        fault(
            format!("`retention` is not supported yet for {}", kind.map_or("it", Kind::name)),
            "take it out: all that upstream lists is kept",
        );
    }
    if repository.rpm.as_ref().is_some_and(|rpm| rpm.mirrorlist.is_some() && rpm.metalink.is_some()) {
        fault(format!("`{name}` has both `mirrorlist` and `metalink`"), "keep `metalink`: its digests bind");
    }
    if repository.verify.packages == Some(Policy::IfPresent) {
        fault(format!("`{name}`: `verify: packages` is `require` or `off`"), "");
    }
    if repository.verify.origin.is_some() && repository.has_upstream() {
        fault(
            format!("`{name}`: `verify: origin` is for what arrives by bundle"),
            "take it out: this repository comes from its upstream",
        );
    }
    let nothing = |what| format!("`{name}`: there is nothing that `verify: {what}` could verify");
    match kind {
        Some(Kind::Pypi)
            if [repository.verify.metadata, repository.verify.packages]
                .iter()
                .flatten()
                .any(|p| *p != Policy::Off) =>
        {
            fault(
                nothing("{ metadata, packages }"),
                "take it out: a Python package index signs nothing; digests over TLS are all there is",
            );
        }
        Some(Kind::Apt) if repository.verify.packages == Some(Policy::Require) => {
            fault(
                nothing("{ packages: require }"),
                "take it out: Debian packages carry no signatures; `metadata: require` proves them through the index",
            );
        }
        _ => {}
    }
    let wants_keys = match kind {
        Some(kind) => {
            repository.verify_metadata(kind) == Policy::Require
                || repository.verify_packages(kind) == Policy::Require
        }
        // a receiver's entry asks for what it says, and for nothing else
        None => [repository.verify.metadata, repository.verify.packages].contains(&Some(Policy::Require)),
    };
    if wants_keys && repository.keys.is_empty() {
        fault(
            format!("`{name}` requires signatures and names no keys"),
            "add `keys: [FILE]` with upstream's public keys, or, at your own risk, `verify: { metadata: off }`",
        );
    }
}

fn access(repository: &Repository, faults: &mut Vec<Fault>) {
    let mut fault =
        |message: String, hint: &str| faults.push(Fault::new(&repository.place, message).with_hint(hint));
    let name = &repository.name;
    if let Some(Auth { username, password_file, password_env, token_file, token_env }) = &repository.auth {
        let passwords = usize::from(password_file.is_some()) + usize::from(password_env.is_some());
        let tokens = usize::from(token_file.is_some()) + usize::from(token_env.is_some());
        if !matches!((username.is_some(), passwords, tokens), (true, 1, 0) | (false, 0, 1)) {
            fault(
                format!("`{name}`: `auth` is neither a name with one password nor one token"),
                "write `username` with `password_file` or `password_env`, or else `token_file` or `token_env`",
            );
        }
        let plain = |url: &super::text::Location| url.url().scheme() == "http";
        if repository.url.as_ref().is_some_and(plain) {
            tracing::warn!(repository = %name, "credentials are sent over http, for everyone on the way to read");
        }
    }
    if let Some(tls) = &repository.tls {
        if tls.client_key.is_some() && tls.client_cert.is_none() {
            fault(format!("`{name}`: `tls` has a `client_key` and no `client_cert`"), "add `client_cert`");
        }
        if repository.url.as_ref().is_some_and(|url| url.url().scheme() != "https") {
            fault(format!("`{name}`: `tls` means nothing without an https URL"), "use an https URL");
        }
    }
}

fn sites(config: &Config, faults: &mut Vec<Fault>) {
    let known: Vec<&str> = config.repositories.iter().map(|r| r.name.as_str()).collect();
    for site in &config.sites {
        if site.name == config.site {
            faults.push(
                Fault::new(&site.place, format!("`{}` is this very site", site.name))
                    .with_hint("`sites` lists the others, which bundles are made for"),
            );
        }
        if site.repositories.is_empty() {
            faults.push(Fault::new(&site.place, format!("the site `{}` gets no repository", site.name)));
        }
        let mut seen = std::collections::BTreeSet::new();
        for repository in &site.repositories {
            let message = if !seen.insert(repository) {
                format!("the site `{}` gets `{repository}` twice", site.name)
            } else if config.role == Role::Collector && !known.contains(&repository.as_str()) {
                format!("the site `{}` gets `{repository}`, which is no repository here", site.name)
            } else {
                continue;
            };
            let fault = Fault::new(&site.place, message);
            faults.push(match closest(repository.as_str(), &known) {
                Some(near) if near != repository.as_str() => {
                    fault.with_hint(format!("did you mean `{near}`?"))
                }
                _ => fault,
            });
        }
    }
}
