//! Where a repository is to be had: a base address, or what a mirror list or a metalink names.

use std::{path::PathBuf, sync::Arc};

use chantal_contract::{Expect, Kind, RepoPath, limits::ANCHOR_BYTES};
use chantal_rpm::mirrors::{parse_metalink, parse_mirrorlist};
use tokio::runtime::Handle;
use url::Url;

use super::{SyncError, local_directory};
use crate::upstream::fetch::{Candidate, Memory, Mirrors, Outcome, Request, Session, Shown};

/// A list of mirrors that is fetched in every run.
#[derive(Clone, Debug)]
pub enum MirrorList {
    /// One base address a line.
    Plain(Url),
    /// Metalink 3.0; its digests bind `repomd.xml`.
    Metalink(Url),
}

/// Where a repository comes from.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Base addresses, the preferred one first; none where a list names them.
    pub bases: Vec<Url>,
    /// A list of further mirrors, which come after the base addresses.
    pub list: Option<MirrorList>,
}

/// Mirrors as they were found for one run.
pub(super) struct FoundMirrors {
    pub(super) mirrors: Arc<Mirrors>,
    pub(super) root: Option<PathBuf>,
    pub(super) pins: Vec<(RepoPath, Arc<[Expect]>)>,
}

impl Upstream {
    /// Takes one base address.
    pub fn at(base: Url) -> Self {
        Self { bases: vec![base], list: None }
    }

    /// Returns the address that stands for it.
    pub(super) fn address(&self) -> Url {
        let listed = self.list.as_ref().map(|list| match list {
            MirrorList::Plain(url) | MirrorList::Metalink(url) => url,
        });
        match self.bases.first().or(listed) {
            Some(url) => url.clone(),
            None => local_root(),
        }
    }

    /// Returns the address that stands for it, redacted.
    pub(super) fn shown(&self) -> String {
        Shown::of(&self.address()).to_string()
    }

    /// Fetches the mirror list, if there is one.
    pub(super) fn find(
        &self,
        kind: Kind,
        session: &Session,
        task: &str,
        runtime: &Handle,
    ) -> Result<FoundMirrors, SyncError> {
        let mut bases = self.bases.clone();
        let mut pins = Vec::new();
        if let Some(list) = &self.list {
            let (MirrorList::Plain(url) | MirrorList::Metalink(url)) = list;
            let bytes = fetched(session, url, task, runtime)?;
            match list {
                MirrorList::Plain(_) => bases.extend(parse_mirrorlist(&bytes)),
                MirrorList::Metalink(_) => {
                    let refused = |source| SyncError::Format { from: Shown::of(url).to_string(), source };
                    let metalink = parse_metalink(&bytes).map_err(refused)?;
                    bases.extend(metalink.urls);
                    if let Ok(path) = RepoPath::new("repodata/repomd.xml") {
                        pins.push((path, metalink.accepted.into()));
                    }
                }
            }
            if bases.is_empty() {
                return Err(SyncError::NoMirrors { url: Shown::of(url) });
            }
        }
        let mut root = bases.iter().find_map(local_directory);
        // the pages of a Python index lie in `simple` and name files beside it
        if kind == Kind::Pypi
            && let Some(simple) = root.as_mut().filter(|root| root.ends_with("simple"))
        {
            simple.pop();
        }
        Ok(FoundMirrors { mirrors: Arc::new(Mirrors::new(bases)), root, pins })
    }
}

/// An address that stands for none: an upstream without any is refused when its first file is asked for.
fn local_root() -> Url {
    match Url::parse("file:///") {
        Ok(url) => url,
        Err(_) => unreachable!("it is an address"),
    }
}

fn fetched(session: &Session, url: &Url, task: &str, runtime: &Handle) -> Result<Vec<u8>, SyncError> {
    let request = Request {
        candidates: vec![Candidate::from(url.clone())],
        mirrors: None,
        root: local_directory(url).and_then(|file| Some(file.parent()?.to_owned())),
        task: task.into(),
        name: Shown::of(url).to_string(),
        accept: None,
        size: None,
        bound: ANCHOR_BYTES,
        proven: false,
        validators: None,
    };
    let (outcome, sink) = runtime.block_on(session.fetch(&request, Memory::default()));
    match outcome? {
        Outcome::Body(_) | Outcome::NotModified => Ok(sink.into_bytes()),
        Outcome::Absent { .. } => Err(SyncError::NoMirrors { url: Shown::of(url) }),
    }
}
