//! What stands beside a repository: set-up files for clients, upstream's keys, and the pages that say what is here.
//!
//! Pages are pure functions of what they show: no clock, no external resource, every value escaped by the template.

use askama::Template;
use chantal_contract::{Digest, Format, Header, Keeper, RepoPath, SetUp, State, tree::Place};
use jiff::{Timestamp, TimestampRound, Unit};
use sha2::{Digest as _, Sha256};

use super::{
    job::Proofs,
    outcome::{Listing, PublishError},
};
use crate::store::{Address, Origin, Recorded, SiteName};

/// The name of every page.
pub(super) const PAGE: &str = "index.html";
/// What every page of ours holds, and hardly any other.
const MARK: &str = "<meta name=\"generator\" content=\"chantal\">";

/// A state, and all that its page tells about it.
pub(super) struct Subject<'a> {
    pub site: &'a SiteName,
    pub address: &'a Address,
    pub url: &'a str,
    pub recorded: &'a Recorded,
    pub header: &'a Header,
    pub state: &'a dyn State,
    pub format: &'a dyn Format,
    pub proofs: &'a Proofs,
    /// Number of files and bytes.
    pub weight: (u64, u64),
}

/// Files that stand beside a repository, in its own tree.
pub(super) struct Dress {
    pub files: Vec<(RepoPath, Vec<u8>)>,
}

impl Dress {
    /// Writes everything that stands beside a state.
    pub fn of(subject: &Subject<'_>) -> Result<Self, PublishError> {
        let address = subject.address;
        let format = |source| PublishError::Format { address: address.clone(), source };
        let path = |name: &str| {
            RepoPath::new(name).map_err(|e| {
                format(chantal_contract::FormatError::Option { option: "name".into(), why: e.to_string() })
            })
        };
        // The name that clients know it by, and that their files are called after.
        let name = address.to_string().replace('@', "-");
        let ring = if subject.proofs.keyring.is_empty() { None } else { Some(path(&format!("{name}.asc"))?) };
        let place = Place {
            name: name.clone(),
            base: subject.url.to_owned(),
            keys: ring.clone(),
            metadata_signed: !subject.proofs.anchors.is_empty(),
            packages_signed: subject.proofs.packages,
            at: subject.recorded.at,
        };
        let set_up = subject.format.set_up(subject.state, &place).map_err(format)?;
        let page = RepositoryPage::new(subject, &set_up, ring.as_ref())
            .render()
            .map_err(|source| PublishError::Page { page: PAGE, source })?;
        let mut files = Vec::new();
        if let Some(ring) = ring {
            files.push((ring, subject.proofs.keyring.armored().into_bytes()));
        }
        for file in set_up {
            files.push((path(&file.name)?, file.text.into_bytes()));
        }
        files.push((path(PAGE)?, page.into_bytes()));
        Ok(Self { files })
    }

    /// Names all of it by one digest.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        // Trees of earlier programs let upstream's file of such a name stand: they are to be laid out anew.
        hash.update("ours stand\n");
        for (path, bytes) in &self.files {
            hash.update(format!("{path}\t{}\n", Digest::of(bytes)));
        }
        Digest::from_bytes(hash.finalize().into())
    }
}

#[derive(Template)]
#[template(path = "publish-repository.html")]
struct RepositoryPage {
    title: String,
    kind: &'static str,
    mode: &'static str,
    url: String,
    files: u64,
    bytes: String,
    manifest: String,
    keys: Vec<Key>,
    date: Option<String>,
    valid_until: Option<String>,
    brought: String,
    came: String,
    at: String,
    set_up: Vec<File>,
    server: Vec<File>,
    keyring: Option<File>,
}

struct Key {
    fingerprint: String,
    users: Vec<String>,
}

struct File {
    name: String,
    href: String,
    install_to: String,
    text: String,
}

impl RepositoryPage {
    fn new(subject: &Subject<'_>, set_up: &[SetUp], ring: Option<&RepoPath>) -> Self {
        let state = &subject.recorded.state;
        let file = |name: &str, install_to: &str, text: &str| File {
            name: name.into(),
            href: RepoPath::new(name).map_or_else(|_| String::new(), |p| p.encoded()),
            install_to: install_to.into(),
            text: text.into(),
        };
        let kept_by = |keeper: Keeper| {
            let those = set_up.iter().filter(|s| s.keeper == keeper);
            those.map(|s| file(&s.name, &s.install_to, &s.text)).collect()
        };
        let keys = subject.proofs.keyring.certificates(subject.recorded.at);
        Self {
            title: subject.address.to_string(),
            kind: match subject.header.format {
                chantal_contract::Kind::Apt => "APT",
                chantal_contract::Kind::Rpm => "RPM",
                chantal_contract::Kind::Pypi => "Python package",
                chantal_contract::Kind::Helm => "Helm",
                chantal_contract::Kind::Apk => "Alpine",
            },
            mode: match subject.header.mode {
                chantal_contract::Mode::Mirror => "mirrored byte for byte",
                chantal_contract::Mode::Filtered => "chosen packages",
                chantal_contract::Mode::Hosted => "packages of our own",
            },
            url: subject.url.to_owned(),
            files: subject.weight.0,
            bytes: bytes(subject.weight.1),
            manifest: state.manifest.to_string(),
            keys: keys.into_iter().map(|k| Key { fingerprint: k.fingerprint.0, users: k.users }).collect(),
            date: state.date.map(second),
            valid_until: state.valid_until.map(second),
            brought: match &subject.recorded.origin {
                Origin::Synced => format!("mirrored at site {} by Chantal", subject.site),
                Origin::Imported { .. } => format!("carried to site {} by Chantal", subject.site),
            },
            came: match &subject.recorded.origin {
                Origin::Synced => "Synced here".into(),
                Origin::Imported { from } => format!("Imported here from {from}"),
            },
            at: second(subject.recorded.at),
            set_up: kept_by(Keeper::Client),
            server: kept_by(Keeper::Server),
            keyring: ring.map(|r| file(r.as_str(), "", "")),
        }
    }
}

#[derive(Template)]
#[template(path = "publish-root.html")]
struct RootPage {
    site: String,
    trees: Vec<TreeRow>,
}

struct TreeRow {
    name: String,
    href: String,
    date: String,
    valid_until: String,
    at: String,
}

/// Writes the page that lists all published trees.
pub(super) fn root(site: &SiteName, listings: &[Listing]) -> Result<Vec<u8>, PublishError> {
    let time = |at: Option<Timestamp>| at.map_or_else(|| "–".into(), second);
    let trees = listings.iter().map(|l| TreeRow {
        name: l.address.to_string(),
        // A static server need not know what an index is.
        href: RepoPath::new(&l.target).map_or_else(|_| String::new(), |p| format!("{}/{PAGE}", p.encoded())),
        date: time(l.date),
        valid_until: time(l.valid_until),
        at: second(l.at),
    });
    let page = RootPage { site: site.to_string(), trees: trees.collect() };
    page.render().map(String::into_bytes).map_err(|source| PublishError::Page { page: PAGE, source })
}

/// Tells whether a page is one of ours.
pub(super) fn is_ours(page: &[u8]) -> bool {
    page.windows(MARK.len()).any(|w| w == MARK.as_bytes())
}

/// Writes a time to the second.
fn second(at: Timestamp) -> String {
    let whole = at.round(TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor));
    whole.unwrap_or(at).to_string()
}

/// Writes a number of bytes for people.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let step = (0..UNITS.len() - 1).take_while(|n| count >> (10 * (n + 1)) > 0).count();
    let unit = UNITS.get(step).copied().unwrap_or_default();
    let (whole, tenth) = (count >> (10 * step), (count >> (10 * step.saturating_sub(1)) & 1023) * 10 / 1024);
    if step == 0 { format!("{count} {unit}") } else { format!("{whole}.{tenth} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        for (count, text) in
            [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(bytes(count), text);
        }
        let at: Timestamp = "2026-11-20T14:00:00.987Z".parse().unwrap();
        assert_eq!(second(at), "2026-11-20T14:00:00Z");
    }
}
