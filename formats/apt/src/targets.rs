//! Which of a suite's indexes clients ask for.
//!
//! The rules are apt's own (`Acquire::IndexTargets`, `acquire-item.cc`): an index that `Release` lists, that a client wants and
//! that answers 404 fails the whole source, so every such index of the chosen components and architectures is wanted. What
//! clients do without when it is not there (`Packages.diff`, `binary-amd64/Release`, `i18n/Index`) is left out.

use std::collections::HashSet;

use chantal_contract::{FormatError, RepoPath, codec::Codec};

use crate::{
    options::AptOptions,
    release::{Listed, Release},
    suite::Suite,
};

/// The compressions that indexes are read in, best first.
pub(crate) const COMPRESSIONS: [Codec; 5] = [Codec::Xz, Codec::Zstd, Codec::Gzip, Codec::Bzip2, Codec::Plain];

/// What an index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Stanzas of binary packages.
    Packages,
    /// Stanzas of source packages.
    Sources,
    /// The installer's `SHA256SUMS`.
    Sums,
    /// Nothing that a mirror has to look into.
    Opaque,
}

/// What it means when upstream lists an index and has it in no compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Stock clients ask for it and would fail: so does the walk.
    Stock,
    /// Only clients with something more installed ask for it (`apt-file`, icons of software centres): a notice.
    Extra,
    /// `Release` says that it is empty: no client asks for it, and many an upstream does not have it.
    Empty,
}

/// One index that is wanted, in whichever compression.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Its path relative to the suite, without the compression's extension.
    pub(crate) base: String,
    pub(crate) content: Content,
    pub(crate) need: Need,
}

impl Target {
    /// Returns the compressions that are listed, best first.
    pub(crate) fn variants<'r>(&self, release: &'r Release) -> Vec<(Codec, &'r Listed)> {
        variants(release, &self.base)
    }
}

fn variants<'r>(release: &'r Release, base: &str) -> Vec<(Codec, &'r Listed)> {
    COMPRESSIONS
        .into_iter()
        .filter_map(|codec| Some((codec, release.listed(&format!("{base}{}", codec.extension()))?)))
        .collect()
}

/// A switch of the options, and whether any suite had something for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Switch {
    Contents,
    Sources,
    Udebs,
    Installer,
}

impl Switch {
    /// Returns the switches that are on.
    pub(crate) fn wanted(options: &AptOptions) -> Vec<Self> {
        [
            (options.contents, Self::Contents),
            (options.sources, Self::Sources),
            (options.udebs, Self::Udebs),
            (options.installer, Self::Installer),
        ]
        .into_iter()
        .filter_map(|(on, switch)| on.then_some(switch))
        .collect()
    }

    /// Returns what it asks for, in an administrator's words.
    pub(crate) const fn asks_for(self) -> &'static str {
        match self {
            Self::Contents => "`Contents` (`contents: true`)",
            Self::Sources => "`Sources` (`sources: true`)",
            Self::Udebs => "`debian-installer` (`udebs: true`)",
            Self::Installer => "`installer-<architecture>/current` (`installer: true`)",
        }
    }
}

/// Finds the directory of a component in a suite's lists.
///
/// Debian's security suites name a component `updates/main` in `Release` and list it, as clients ask for it, under `main`.
pub(crate) fn directory<'c>(release: &Release, component: &'c str) -> Option<&'c str> {
    let last = component.rsplit('/').next().unwrap_or(component);
    [component, last].into_iter().find(|directory| release.below(&format!("{directory}/")).next().is_some())
}

/// Chooses the indexes of one suite; notes in `honoured` which switches found something.
pub(crate) fn choose(
    release: &Release,
    suite: &Suite,
    anchor: &RepoPath,
    options: &AptOptions,
    honoured: &mut Vec<Switch>,
) -> Result<Vec<Target>, FormatError> {
    let mut chosen = Chosen { release, options, honoured, targets: Vec::new(), bases: HashSet::new() };
    if suite.flat {
        chosen.flat();
        if chosen.targets.iter().all(|target| target.content != Content::Packages) {
            return Err(not_offered(anchor, "index `Packages`".into(), "no such entry".into()));
        }
        return Ok(chosen.targets);
    }
    for architecture in &options.architectures {
        if !release.architectures.is_empty() && !release.architectures.contains(architecture) {
            let what = format!("architecture `{architecture}`");
            return Err(not_offered(anchor, what, quoted(&release.architectures)));
        }
    }
    for component in &options.components {
        let Some(directory) = directory(release, component) else {
            return Err(not_offered(anchor, format!("component `{component}`"), quoted(&release.components)));
        };
        chosen.component(directory, anchor)?;
    }
    chosen.whole_suite();
    Ok(chosen.targets)
}

fn not_offered(anchor: &RepoPath, what: String, has: String) -> FormatError {
    FormatError::NotOffered { file: anchor.clone(), what, has }
}

fn quoted(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(40).map(|name| format!("`{}`", name.escape_debug())).collect();
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}

struct Chosen<'a> {
    release: &'a Release,
    options: &'a AptOptions,
    honoured: &'a mut Vec<Switch>,
    targets: Vec<Target>,
    /// The paths of `targets`; a `Release` may list very many.
    bases: HashSet<String>,
}

impl Chosen<'_> {
    /// Takes the index at `base` if any compression of it is listed; tells whether one is.
    fn add(&mut self, base: String, content: Content, need: Need) -> bool {
        if variants(self.release, &base).is_empty() {
            return false;
        }
        let empty = self.release.listed(&base).is_some_and(|listed| listed.size == 0);
        let need = if empty { Need::Empty } else { need };
        if self.bases.insert(base.clone()) {
            self.targets.push(Target { base, content, need });
        }
        true
    }

    fn add_for(&mut self, switch: Switch, base: String, content: Content, need: Need) {
        if self.add(base, content, need) && !self.honoured.contains(&switch) {
            self.honoured.push(switch);
        }
    }

    /// Returns the chosen architectures, and `all` where clients look for it in indexes of their own.
    fn with_all(&self, kind: &str) -> Vec<String> {
        let mut architectures = self.options.architectures.clone();
        if self.release.has_all_apart(kind) && architectures.iter().all(|a| a != "all") {
            architectures.push("all".into());
        }
        architectures
    }

    fn flat(&mut self) {
        self.add("Packages".into(), Content::Packages, Need::Stock);
        for language in &self.options.languages {
            self.add(language.clone(), Content::Opaque, Need::Stock);
        }
        if self.options.sources {
            self.add_for(Switch::Sources, "Sources".into(), Content::Sources, Need::Stock);
        }
    }

    fn component(&mut self, directory: &str, anchor: &RepoPath) -> Result<(), FormatError> {
        let options = self.options;
        for architecture in self.with_all("Packages") {
            let base = format!("{directory}/binary-{architecture}/Packages");
            if !self.add(base.clone(), Content::Packages, Need::Stock)
                && options.architectures.contains(&architecture)
            {
                return Err(not_offered(anchor, format!("index `{base}`"), "no such entry".into()));
            }
            if options.udebs {
                let base = format!("{directory}/debian-installer/binary-{architecture}/Packages");
                self.add_for(Switch::Udebs, base, Content::Packages, Need::Stock);
            }
        }
        for language in &options.languages {
            self.add(format!("{directory}/i18n/Translation-{language}"), Content::Opaque, Need::Stock);
        }
        if options.dep11 {
            self.dep11(directory);
        }
        if options.command_not_found {
            for architecture in self.with_all("CNF") {
                self.add(format!("{directory}/cnf/Commands-{architecture}"), Content::Opaque, Need::Stock);
            }
        }
        if options.sources {
            self.add_for(
                Switch::Sources,
                format!("{directory}/source/Sources"),
                Content::Sources,
                Need::Stock,
            );
        }
        if options.contents {
            self.contents(&format!("{directory}/"));
        }
        if options.installer {
            self.installer(directory);
        }
        Ok(())
    }

    /// Takes everything under `dep11/` but what is for an architecture that was not chosen.
    fn dep11(&mut self, directory: &str) {
        let release = self.release;
        let architectures = self.with_all("DEP-11");
        for path in release.below(&format!("{directory}/dep11/")) {
            let codec = Codec::of_name(path);
            let base = path.strip_suffix(codec.extension()).unwrap_or(path);
            let name = base.rsplit('/').next().unwrap_or(base);
            let stem = name.strip_suffix(".yml").or_else(|| name.strip_suffix(".json"));
            let of =
                stem.and_then(|stem| ["Components-", "CID-Index-"].iter().find_map(|p| stem.strip_prefix(p)));
            if base.contains("/by-hash/") || of.is_some_and(|of| architectures.iter().all(|a| a != of)) {
                continue;
            }
            let need = if name.starts_with("Components-") { Need::Stock } else { Need::Extra };
            self.add(base.to_owned(), Content::Opaque, need);
        }
    }

    /// Takes the lists of files, which lie in each component or (Ubuntu) beside them all.
    fn contents(&mut self, prefix: &str) {
        let mut names = self.with_all("Contents-deb");
        if self.options.udebs {
            names.extend(
                self.with_all("Contents-udeb").into_iter().map(|architecture| format!("udeb-{architecture}")),
            );
        }
        if self.options.sources {
            names.push("source".into());
        }
        for name in names {
            self.add_for(Switch::Contents, format!("{prefix}Contents-{name}"), Content::Opaque, Need::Extra);
        }
    }

    fn installer(&mut self, directory: &str) {
        let release = self.release;
        for architecture in &self.options.architectures {
            for path in release.below(&format!("{directory}/installer-{architecture}/current/")) {
                if path.ends_with("/SHA256SUMS") {
                    self.add_for(Switch::Installer, path.to_owned(), Content::Sums, Need::Stock);
                }
            }
        }
    }

    fn whole_suite(&mut self) {
        if self.options.contents {
            self.contents("");
        }
    }
}
