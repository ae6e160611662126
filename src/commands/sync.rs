//! `chantal sync`: brings repositories up to date with their upstreams.

use std::sync::Arc;

use anyhow::Context as _;
use chantal_contract::{Digest, Policy, name::Name};
use serde::Serialize;

use super::{
    context::Context,
    ending::{self, Ending, Usage},
    key,
};
use crate::{
    config::{self, Auth, Config, ConfigError, FilePath, Repository},
    formats,
    report::{
        Event,
        human::{count, size},
    },
    trust::Proof,
    upstream::{
        fetch::{Access, Download, Fetcher, Login, Origin, Proxy, Secret, Tls},
        sync::{Expired, Job, MirrorList, Missing, Outcome, Report, Run, SyncError, Syncing, Upstream},
    },
};

/// Bring repositories up to date with their upstreams
///
/// Signatures are checked first, then every file against every digest that upstream lists. Until all is there, the former state
/// stays the newest; a sync that was killed is simply run again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The repositories; `all`, or none, for every one that is enabled
    #[arg(value_name = "REPO")]
    repositories: Vec<String>,
    /// Read the indexes and say what would be fetched
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Synced {
    repositories: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    outcome: &'static str,
    snapshot: Option<String>,
    former: Option<String>,
    packages: Option<u64>,
    files: u64,
    bytes: u64,
    missing: Vec<String>,
    signers: Vec<String>,
    upstream_date: Option<String>,
    valid_until: Option<String>,
    error: Option<String>,
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<Ending> {
    let (config, store) = context.open()?;
    let chosen = choose(args, &config)?;
    let prepared =
        chosen.iter().map(|repository| job(repository, context)).collect::<anyhow::Result<Vec<_>>>()?;
    let (jobs, proofs): (Vec<Job>, Vec<Arc<Proof>>) = prepared.into_iter().unzip();
    let fetcher = Fetcher::new(download(&config), Arc::clone(&context.reporter));
    let syncing = Syncing {
        store: &store,
        fetcher: &fetcher,
        reporter: context.reporter.as_ref(),
        clock: &jiff::Timestamp::now,
        run: if args.dry_run { Run::Dry } else { Run::Write },
    };
    let results = syncing.all(&jobs);
    for (job, proof) in jobs.iter().zip(&proofs) {
        warn_of_expired(job, proof, context);
    }
    tell(&jobs, results, context)
}

fn choose<'a>(args: &Args, config: &'a Config) -> anyhow::Result<Vec<&'a Repository>> {
    if args.repositories.is_empty() || args.repositories.iter().any(|name| name == "all") {
        let enabled: Vec<&Repository> = config
            .repositories
            .iter()
            .filter(|repository| repository.enabled && repository.has_upstream())
            .collect();
        if enabled.is_empty() {
            return Err(Usage::new(
                "no repository is configured and enabled",
                format!("add one under `repositories` in `{}`", config.path.display()),
            )
            .into());
        }
        return Ok(enabled);
    }
    let mut chosen: Vec<&Repository> = Vec::new();
    for text in &args.repositories {
        let name = Name::new(text)?;
        let known: Vec<&str> =
            config.repositories.iter().map(|repository| repository.name.as_str()).collect();
        let Some(repository) = config.repository(&name) else {
            let hint = config::closest(text, &known).map_or_else(
                || format!("there is {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(Usage::new(format!("no repository `{name}` is configured"), hint).into());
        };
        if !repository.has_upstream() {
            return Err(Usage::new(
                format!("`{name}` has no upstream: it arrives by bundle"),
                "`chantal import` brings it up to date",
            )
            .into());
        }
        if chosen.iter().all(|other| other.name != name) {
            chosen.push(repository);
        }
    }
    Ok(chosen)
}

/// What a stored state depends on beside the format's options: a change of any has upstream read anew.
#[derive(Serialize)]
struct Settings<'a> {
    keys: String,
    metadata: Policy,
    packages: Policy,
    url: Option<String>,
    missing: config::Missing,
    expired: config::Expired,
    name: &'a str,
}

fn job(repository: &Repository, context: &Context) -> anyhow::Result<(Job, Arc<Proof>)> {
    let format = formats::build(repository).map_err(ConfigError::from)?;
    let keyring = key::keyring(repository)?;
    let (metadata, packages) =
        (repository.verify_metadata(format.kind()), repository.verify_packages(format.kind()));
    warn_of_unverified(repository, metadata, packages, format.kind(), context);
    let (upstream, access) = upstream(repository)?;
    let settings = Settings {
        keys: Digest::of(&keyring.binary()).hex(),
        metadata,
        packages,
        url: upstream.bases.first().map(ToString::to_string),
        missing: repository.missing,
        expired: repository.expired,
        name: repository.name.as_str(),
    };
    let keys = keyring.parts();
    let proof = Arc::new(Proof::new(keyring, metadata, packages, context.now));
    let job = Job {
        name: repository.name.clone(),
        format: format.into(),
        keys,
        proof: Arc::clone(&proof) as _,
        settings: Digest::of(&serde_json::to_vec(&settings)?),
        upstream,
        access: access.into_iter().collect(),
        missing: match repository.missing {
            config::Missing::Fail => Missing::Fail,
            config::Missing::Allow => Missing::Allow,
        },
        expired: match repository.expired {
            config::Expired::Refuse => Expired::Refuse,
            config::Expired::Allow => Expired::Allow,
        },
    };
    Ok((job, proof))
}

/// A key is judged at the time that it signed; clients may judge it today.
fn warn_of_expired(job: &Job, proof: &Proof, context: &Context) {
    for key in proof.expired_since() {
        let text = format!(
            "key {key} has expired since it signed: apt refuses what it signed; look for a newer key or signature upstream"
        );
        context.reporter.event(Event::Warning { subject: job.name.as_str(), text: &text });
    }
}

/// `off` where the format could verify is said on every run.
fn warn_of_unverified(
    repository: &Repository,
    metadata: Policy,
    packages: Policy,
    kind: chantal_contract::Kind,
    context: &Context,
) {
    use chantal_contract::Kind;
    let text = match (kind, metadata, packages) {
        (Kind::Apt, Policy::Off, _) => {
            "signatures over its indexes are not looked at (`verify: { metadata: off }`)"
        }
        (Kind::Rpm, Policy::Off, Policy::Off) => {
            "no signature is looked at: it has no `keys`, or `verify` is `off`; its digests come from whoever answers"
        }
        (Kind::Rpm, _, Policy::Off) => "packages' signatures are not looked at (`verify: { packages: off }`)",
        _ => return,
    };
    context.reporter.event(Event::Warning { subject: repository.name.as_str(), text });
}

fn upstream(repository: &Repository) -> anyhow::Result<(Upstream, Option<Access>)> {
    let mut access = None;
    let mut bases = Vec::new();
    if let Some(location) = &repository.url {
        let mut url = location.url().clone();
        access = Access::take_from(&mut url);
        bases.push(url);
    }
    let list = repository.rpm.as_ref().and_then(|rpm| match (&rpm.metalink, &rpm.mirrorlist) {
        (Some(location), _) => Some(MirrorList::Metalink(location.url().clone())),
        (None, Some(location)) => Some(MirrorList::Plain(location.url().clone())),
        (None, None) => None,
    });
    let listed = list.as_ref().map(|list| match list {
        MirrorList::Plain(url) | MirrorList::Metalink(url) => url,
    });
    let origin = bases.first().or(listed).and_then(Origin::of);
    if repository.auth.is_some() || repository.tls.is_some() {
        let Some(origin) = origin else {
            return Err(Usage::new(
                format!("`{}`: `auth` and `tls` mean nothing for a directory", repository.name),
                "take them out, or use an https URL",
            )
            .into());
        };
        let former = access.and_then(|access: Access| access.login);
        let login = match &repository.auth {
            Some(auth) => Some(
                login(auth).with_context(|| format!("cannot read the `auth` of `{}`", repository.name))?,
            ),
            None => former,
        };
        let tls = repository.tls.as_ref().map(|tls| Tls {
            ca: tls.ca.as_ref().map(FilePath::resolve),
            client_cert: tls.client_cert.as_ref().map(FilePath::resolve),
            client_key: tls.client_key.as_ref().map(FilePath::resolve),
        });
        access = Some(Access { origin, login, tls });
    }
    Ok((Upstream { bases, list }, access))
}

fn login(auth: &Auth) -> anyhow::Result<Login> {
    if let Some(user) = &auth.username {
        let password = secret(auth.password_file.as_ref(), auth.password_env.as_deref())?;
        return Ok(Login::Basic { user: user.value().to_owned(), password });
    }
    Ok(Login::Bearer(secret(auth.token_file.as_ref(), auth.token_env.as_deref())?))
}

/// Reads a secret: a file's first line, or an environment variable.
fn secret(file: Option<&FilePath>, variable: Option<&str>) -> anyhow::Result<Secret> {
    let text = match (file, variable) {
        (Some(file), _) => {
            let path = file.resolve();
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read `{}`", path.display()))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        (None, Some(name)) => std::env::var(name).map_err(|_| {
            Usage::new(format!("the environment variable `{name}` is not set"), "set it before the command")
        })?,
        (None, None) => String::new(),
    };
    if text.is_empty() {
        return Err(
            Usage::new("the secret is empty", "the file's first line, or the variable, holds it").into()
        );
    }
    Ok(Secret::new(text))
}

fn download(config: &Config) -> Download {
    let rules = &config.download;
    let defaults = Download::default();
    Download {
        parallel: rules.parallel.get().into(),
        retries: rules.retries,
        rate_limit: rules.rate_limit.map(config::Rate::bytes),
        proxy: match rules.proxy.as_ref().map(config::Text::value) {
            None | Some("") => Proxy::Environment,
            Some("none") => Proxy::Direct,
            Some(url) => Proxy::Url(Secret::new(url)),
        },
        connect: rules.connect_timeout.duration(),
        stall: rules.stall_timeout.duration(),
        deadline: rules.deadline.duration(),
        user_agent: rules.user_agent.as_ref().map_or(defaults.user_agent, |text| text.value().to_owned()),
        back_off: defaults.back_off,
    }
}

fn tell(jobs: &[Job], results: Vec<Result<Report, SyncError>>, context: &Context) -> anyhow::Result<Ending> {
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    let mut ending = Ending::Done;
    for (job, result) in jobs.iter().zip(results) {
        let name = job.name.to_string();
        match result {
            Ok(report) => {
                if report.outcome == Outcome::Incomplete {
                    ending = Ending::Partly;
                }
                context.printer.say(&sentence(&name, &report));
                rows.push(row(name, &report));
            }
            Err(error) => {
                let error = anyhow::Error::new(error).context(format!("cannot sync `{name}`"));
                rows.push(Row { error: Some(format!("{error:#}")), ..blank(name) });
                failures.push(error);
            }
        }
    }
    if context.printer.is_json() {
        context.printer.show(&Synced { repositories: rows }, |_| String::new())?;
    }
    ending::together(failures, ending)
}

fn sentence(name: &str, report: &Report) -> String {
    let fetched = format!("{}, {}", count(report.fetched.files, "file"), size(report.fetched.bytes));
    let snapshot = report.manifest.map(|digest| digest.hex()).unwrap_or_default();
    let short = snapshot.get(..12).unwrap_or_default();
    let packages =
        report.packages.map_or_else(String::new, |packages| format!("{}, ", count(packages, "package")));
    match report.outcome {
        Outcome::Unchanged => format!("{name}: nothing new, still {short}"),
        Outcome::Updated => {
            let absent = match report.missing.len() {
                0 => String::new(),
                some => format!("; {} that upstream does not have", count(some as u64, "file")),
            };
            format!("{name}: now {short} ({packages}fetched {fetched}){absent}")
        }
        Outcome::Planned => format!("{name}: {packages}would fetch {fetched}"),
        Outcome::Incomplete => {
            let mut text = format!(
                "{name}: upstream lists {} that it does not have; the former state stays the newest",
                count(report.missing.len() as u64, "file")
            );
            for path in report.missing.iter().take(10) {
                text.extend(["\n  ", path.as_str()]);
            }
            if report.missing.len() > 10 {
                text.extend(["\n  and ", &(report.missing.len() - 10).to_string(), " more"]);
            }
            text.push_str("\nhint: run it again later, choose another mirror, or set `missing: allow`");
            text
        }
    }
}

fn blank(name: String) -> Row {
    Row {
        name,
        outcome: "failed",
        snapshot: None,
        former: None,
        packages: None,
        files: 0,
        bytes: 0,
        missing: Vec::new(),
        signers: Vec::new(),
        upstream_date: None,
        valid_until: None,
        error: None,
    }
}

fn row(name: String, report: &Report) -> Row {
    Row {
        name,
        outcome: match report.outcome {
            Outcome::Unchanged => "unchanged",
            Outcome::Updated => "updated",
            Outcome::Incomplete => "incomplete",
            Outcome::Planned => "planned",
        },
        snapshot: report.manifest.map(|digest| digest.hex()),
        former: report.former.map(|digest| digest.hex()),
        packages: report.packages,
        files: report.fetched.files,
        bytes: report.fetched.bytes,
        missing: report.missing.iter().map(ToString::to_string).collect(),
        signers: report.signers.iter().map(ToString::to_string).collect(),
        upstream_date: report.date.map(|at| at.to_string()),
        valid_until: report.valid_until.map(|at| at.to_string()),
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn repository(more: &str) -> Repository {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "role: collector\nsite: hq\nstorage: {{ root: s, published: p }}\nrepositories:\n  - {{ name: a, {more} }}\n"
        );
        let path = dir.path().join("chantal.yaml");
        std::fs::write(&path, text).unwrap();
        std::fs::write(dir.path().join("secret"), "hunter2\nsecond line\n").unwrap();
        let mut config = Config::load(&path).unwrap();
        let _ = dir.keep();
        config.repositories.remove(0)
    }

    #[test]
    fn credentials_go_to_the_origin_of_the_url() {
        let one = repository(
            "url: 'https://repo.example.org:8443/x', rpm: {}, auth: { username: me, password_file: secret }",
        );
        let (upstream, access) = upstream(&one).unwrap();
        let access = access.unwrap();
        assert_eq!(Some(access.origin), Origin::of(&Url::parse("https://repo.example.org:8443/").unwrap()));
        let Some(Login::Basic { user, password }) = access.login else { panic!("no login") };
        assert_eq!((user.as_str(), password.reveal()), ("me", "hunter2"));
        assert_eq!(upstream.bases.len(), 1);
        let _ = std::fs::remove_dir_all(one.directory());
    }

    #[test]
    fn a_directory_has_no_origin() {
        let one = repository("url: 'file:///x', rpm: {}, auth: { token_file: secret }");
        assert!(upstream(&one).unwrap_err().to_string().contains("mean nothing for a directory"));
        let plain = repository("url: 'file:///x', rpm: {}");
        assert!(upstream(&plain).unwrap().1.is_none());
        for repository in [one, plain] {
            let _ = std::fs::remove_dir_all(repository.directory());
        }
    }

    #[test]
    fn a_mirror_list_needs_no_url() {
        let one = repository("rpm: { metalink: 'https://mirrors.example.org/metalink?repo=a' }");
        let (upstream, _) = upstream(&one).unwrap();
        assert!(upstream.bases.is_empty() && matches!(upstream.list, Some(MirrorList::Metalink(_))));
        let _ = std::fs::remove_dir_all(one.directory());
    }
}
