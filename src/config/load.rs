//! Reads the main file and what it includes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use chantal_contract::name::SiteName;
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_yaml::{self as yaml, Spanned};

use super::{
    Config, ConfigError,
    fault::{Fault, Place, Source},
    not_yet,
    repository::Repository,
    site::{Download, Role, Site, Storage},
    text::{FilePath, Text},
};

/// Bytes of one file of the configuration.
const FILE_BYTES: u64 = 16 << 20;
/// How deep files include each other.
const DEPTH: usize = 8;

/// The main file of a configuration.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "The configuration of Chantal", rename = "Configuration")]
pub(super) struct MainFile {
    /// Which side of the gap this is: `collector` or `receiver`.
    role: Role,
    /// The name of this installation.
    #[schemars(with = "String", regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$"))]
    site: SiteName,
    /// The file of the site's own private key, or of the public line of one that an ssh-agent holds; `keys/<site>` beside the
    /// configuration when left out.
    #[serde(default)]
    key: Option<FilePath>,
    /// Where the store and the published trees lie.
    #[schemars(with = "Storage")]
    storage: Spanned<Storage>,
    /// Further files, relative to this one; `*` and `?` stand for parts of a name. They hold `repositories` and `sites`.
    #[serde(default)]
    #[schemars(with = "Vec<Text>")]
    include: Vec<Spanned<Text>>,
    /// The rules of every download.
    #[serde(default)]
    download: Download,
    /// The upstreams that are mirrored; on a receiver the policies for repositories that arrive by bundle.
    #[serde(default)]
    #[schemars(with = "Vec<Repository>")]
    repositories: Vec<Spanned<Repository>>,
    #[serde(default, deserialize_with = "not_yet::views")]
    #[schemars(skip)]
    #[expect(dead_code, reason = "known only so as to be refused")]
    views: (),
    /// The sites that bundles are made for.
    #[serde(default)]
    #[schemars(with = "Vec<Site>")]
    sites: Vec<Spanned<Site>>,
}

/// A file that another one includes.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IncludedFile {
    include: Vec<Spanned<Text>>,
    repositories: Vec<Spanned<Repository>>,
    #[serde(deserialize_with = "not_yet::views")]
    views: (),
    sites: Vec<Spanned<Site>>,
}

pub(super) fn load(path: &Path) -> Result<Config, ConfigError> {
    let source = read(path)?;
    let file: MainFile = parse(&source)?;
    let directory = directory_of(path);
    let place = place_of(&source, &file.storage);
    let mut storage = file.storage.value;
    storage.place = place;
    storage.root.rebase(&directory);
    storage.published.rebase(&directory);
    let whole = Place::new(&source, 0, 0);
    let key_place = file.key.as_ref().map_or_else(|| whole.clone(), |key| whole.of(key.written()));
    let mut key = file.key.unwrap_or_else(|| FilePath::literal(format!("keys/{}", file.site)));
    key.rebase(&directory);
    let mut all = Collected::default();
    all.add(&source, &directory, file.repositories, file.sites);
    let mut chain = vec![identity(path)?];
    include(&source, &directory, &file.include, &mut chain, &mut all)?;
    let config = Config {
        path: path.to_owned(),
        role: file.role,
        site: file.site,
        key,
        key_place,
        storage,
        download: file.download,
        repositories: all.repositories,
        sites: all.sites,
        files: all.files,
    };
    Ok(config)
}

/// What main and included files say together.
#[derive(Default)]
struct Collected {
    repositories: Vec<Repository>,
    sites: Vec<Site>,
    files: Vec<PathBuf>,
}

impl Collected {
    fn add(
        &mut self,
        source: &Arc<Source>,
        directory: &Path,
        repositories: Vec<Spanned<Repository>>,
        sites: Vec<Spanned<Site>>,
    ) {
        self.files.push(source.path.clone());
        self.repositories.extend(repositories.into_iter().map(|entry| {
            let place = place_of(source, &entry);
            let mut repository = entry.value;
            repository.place = place;
            repository.rebase(directory);
            repository
        }));
        self.sites.extend(sites.into_iter().map(|entry| {
            let place = place_of(source, &entry);
            let mut site = entry.value;
            site.place = place;
            site
        }));
    }
}

fn place_of<T>(source: &Arc<Source>, spanned: &Spanned<T>) -> Place {
    Place::new(source, spanned.referenced.line(), spanned.referenced.column())
}

fn include(
    source: &Arc<Source>,
    directory: &Path,
    patterns: &[Spanned<Text>],
    chain: &mut Vec<PathBuf>,
    all: &mut Collected,
) -> Result<(), ConfigError> {
    for pattern in patterns {
        let place = place_of(source, pattern);
        let wild = pattern.value.value().contains(['*', '?']);
        let found = expand(directory, pattern.value.value())
            .map_err(|(path, source)| ConfigError::Io { path, source })?;
        if found.is_empty() && !wild {
            let fault = Fault::new(&place, format!("there is no file `{}`", pattern.value.written()));
            return Err(fault.into());
        }
        for path in found {
            let identity = identity(&path)?;
            if chain.contains(&identity) {
                let fault = Fault::new(&place, format!("`{}` includes itself", path.display()));
                return Err(fault.into());
            }
            if all.files.contains(&path) {
                return Err(Fault::new(&place, format!("`{}` is included twice", path.display())).into());
            }
            if chain.len() > DEPTH {
                return Err(
                    Fault::new(&place, format!("files include each other deeper than {DEPTH}")).into()
                );
            }
            let inner = read(&path)?;
            let file = parse::<Option<IncludedFile>>(&inner)?.unwrap_or_default();
            let directory = directory_of(&path);
            all.add(&inner, &directory, file.repositories, file.sites);
            chain.push(identity);
            include(&inner, &directory, &file.include, chain, all)?;
            chain.pop();
        }
    }
    Ok(())
}

fn directory_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

fn identity(path: &Path) -> Result<PathBuf, ConfigError> {
    fs::canonicalize(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Arc<Source>, ConfigError> {
    let fail = |source| ConfigError::Io { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(fail)?;
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(file, FILE_BYTES + 1), &mut text).map_err(fail)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(fail(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB")));
    }
    Ok(Arc::new(Source { path: path.to_owned(), text }))
}

fn parse<T: DeserializeOwned>(source: &Arc<Source>) -> Result<T, Fault> {
    let options = yaml::options! {
        duplicate_keys: yaml::DuplicateKeyPolicy::Error,
        merge_keys: yaml::MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    yaml::from_str_with_options(&source.text, options).map_err(|error| Fault::from_yaml(source, &error))
}

/// Finds the files that a pattern stands for, sorted; `*` and `?` match within one segment and no leading dot.
fn expand(directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let absolute = Path::new(pattern).is_absolute();
    let mut found = vec![if absolute { PathBuf::from("/") } else { directory.to_owned() }];
    for segment in pattern.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
        let mut next = Vec::new();
        for base in found {
            if !segment.contains(['*', '?']) {
                next.push(base.join(segment));
                continue;
            }
            let here = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
            let entries = match fs::read_dir(here) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err((base, error)),
            };
            for entry in entries {
                let name = entry.map_err(|error| (base.clone(), error))?.file_name();
                let matched =
                    name.to_str().is_some_and(|name| !name.starts_with('.') && matches(segment, name));
                if matched {
                    next.push(base.join(name));
                }
            }
        }
        found = next;
    }
    found.retain(|path| path.is_file());
    found.sort();
    found.dedup();
    Ok(found)
}

/// Tells whether a name is of a pattern in which `*` stands for any part and `?` for one byte.
///
/// Never goes back further than the last star, so that no pattern is exponential.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, matched) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("**a*b", "xxaxxb", true),
            ("a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false),
        ] {
            assert_eq!(matches(pattern, name), matched, "{pattern} {name}");
        }
    }
}
