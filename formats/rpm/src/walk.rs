//! The walk: from `repomd.xml` to every file that a client of the repository may ask for.
//!
//! Every `<data>` of `repomd.xml` is wanted byte for byte, whatever its type, so that comps, modules, advisories, product
//! ids, databases, zchunk files and what is yet to be invented travel along. Primary is read for packages, the lists of deltas
//! for delta packages, `updateinfo` for advisories, `.treeinfo` for the installer's files; nothing else is looked into.
//!
//! A listed file that upstream does not have: without primary there is nothing to mirror, and the walk fails. Anything else
//! is told and wanted once more as a file of its own, which the driver then records as missing: the run ends with
//! "partly done", and the state is not published over a whole one. For zypper such a repository is broken, and a mirror of it
//! would be, too; whether to have it nevertheless is the user's word (`missing: allow`).

use std::{
    collections::{BTreeMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    io::Read,
};

use chantal_contract::{
    Absent, Answer, At, Body, Coverage, Expect, FormatError, Group, Key, Notice, Package, Policy, RepoPath,
    Step, Verifier, VerifyError, Version, Walk, Want,
    limits::{ANCHOR_BYTES, SIGNATURE_BYTES, TREEINFO_BYTES},
};

use crate::{
    deltas, open,
    options::RpmOptions,
    primary::{self, Listed},
    repomd::{self, Data},
    treeinfo, updateinfo,
};

/// Where a repository's anchor is.
pub const REPOMD: &str = "repodata/repomd.xml";
/// Where the signature over it is.
pub const SIGNATURE: &str = "repodata/repomd.xml.asc";
/// Where the key of that signature is.
const KEY: &str = "repodata/repomd.xml.key";
/// What zypper asks for first, and knows a medium by.
const MEDIA: &str = "media.1/media";
/// Where an installer tree is described; older ones have no dot.
const TREEINFO: [&str; 2] = [".treeinfo", "treeinfo"];
/// All that the walk begins with: nothing that an index lists may take its place.
const ANCHORS: [&str; 6] = [REPOMD, SIGNATURE, KEY, MEDIA, TREEINFO[0], TREEINFO[1]];

const TAG_REPOMD: u64 = 0;
const TAG_SIGNATURE: u64 = 1;
const TAG_CARRIED: u64 = 2;
const TAG_TREEINFO: u64 = 3;
const TAG_EXTRA: u64 = 4;
/// The tag of the first `<data>`; the others count on.
const TAG_DATA: u64 = 16;

/// How many hosts that packages lie on are told of.
const HOSTS_TOLD: usize = 16;

type Out<'o> = &'o mut dyn FnMut(Step<'_>) -> Result<(), FormatError>;

/// The answer to the want of a signature.
enum Signature {
    Awaited,
    Absent,
    Present(Vec<u8>),
}

/// A walk over one repository.
pub(crate) struct RpmWalk<'a> {
    options: &'a RpmOptions,
    proof: &'a dyn Verifier,
    /// `repomd.xml`, until its signature was answered for.
    repomd: Option<Vec<u8>>,
    signature: Signature,
    data: Vec<Data>,
    tree_seen: bool,
    packages: Packages,
    coverage: Coverage,
}

impl<'a> RpmWalk<'a> {
    pub(crate) fn new(options: &'a RpmOptions, proof: &'a dyn Verifier) -> Self {
        Self {
            options,
            proof,
            repomd: None,
            signature: Signature::Awaited,
            data: Vec::new(),
            tree_seen: false,
            packages: Packages::default(),
            coverage: Coverage::default(),
        }
    }

    /// Verifies and reads `repomd.xml` once both it and the answer to its signature are there.
    fn anchored(&mut self, out: Out<'_>) -> Result<(), FormatError> {
        let signature = match &self.signature {
            Signature::Awaited => return Ok(()),
            Signature::Absent => None,
            Signature::Present(bytes) => Some(bytes.as_slice()),
        };
        let Some(bytes) = &self.repomd else { return Ok(()) };
        let file = well_known(REPOMD)?;
        verify(self.proof, &file, bytes, signature, &mut self.coverage, out)?;
        let listed = repomd::read(&file, &mut bytes.as_slice())?;
        self.coverage.date = listed.date();
        if !listed.data.iter().any(|d| d.kind == "primary") {
            return Err(FormatError::malformed(&file, "its data", "a `primary`", "none"));
        }
        let fault = |place: String, expected: &str, found: &str| {
            Err(FormatError::malformed(&file, place, expected, found))
        };
        let mut paths: BTreeMap<&RepoPath, &Expect> = BTreeMap::new();
        // primary first: a file that is listed twice is read as what it was asked for as
        let mut order: Vec<(u64, &Data)> = (TAG_DATA..).zip(&listed.data).collect();
        order.sort_by_key(|(_, data)| data.kind != "primary");
        for (tag, data) in order {
            let path = &data.location.path;
            let place = format!("data `{}`", data.kind);
            if ANCHORS.contains(&path.as_str()) {
                return fault(place, "a file of its own", path.as_str());
            }
            match paths.insert(path, &data.expect) {
                Some(before) if *before == data.expect => continue,
                Some(_) => return fault(place, "one promise for a file", path.as_str()),
                None => {}
            }
            if data.expect.checksums.is_empty() {
                return fault(place, "a checksum", "none");
            }
            if !data.expect.is_proof() {
                let text = format!("`{path}` is bound by a weak digest only ({})", weakest(&data.expect));
                out(Step::Notice(Notice { path: file.clone(), text }))?;
            }
            let absent = if data.kind == "primary" { Absent::Fatal } else { Absent::Allowed };
            out(Step::Want(data.location.clone().index(data.expect.clone()).tag(tag).absent(absent)))?;
        }
        self.data = listed.data;
        self.repomd = None;
        Ok(())
    }

    /// Takes the answer to a file that `repomd.xml` lists.
    fn listed(&mut self, want: &Want, body: Option<Body<'_>>, out: Out<'_>) -> Result<(), FormatError> {
        let Some(mut body) = body else {
            let text = "is listed by repomd.xml and not there".into();
            out(Step::Notice(Notice { path: want.path.clone(), text }))?;
            return out(Step::File(Want { tag: 0, absent: Absent::Fatal, ..want.clone() }));
        };
        let index = usize::try_from(want.tag.saturating_sub(TAG_DATA)).unwrap_or(usize::MAX);
        let Some(data) = self.data.get(index) else { return Ok(()) };
        let file = &want.path;
        match data.kind.as_str() {
            "primary" => open::read(file, body.reader(), &data.open, |input| {
                primary::read(file, input, &mut |listed, record| {
                    self.packages.emit(self.options, listed, record, out)
                })
            }),
            "prestodelta" | "deltainfo" if self.options.deltas => {
                open::read(file, body.reader(), &data.open, |input| {
                    deltas::read(file, input, &mut |want| out(Step::File(want)))
                })
            }
            "updateinfo" => {
                let told = open::read(file, body.reader(), &data.open, |input| {
                    updateinfo::read(file, input, &mut |advisory| out(Step::Advisory(advisory)))
                });
                // it travels as it is, and clients need it for nothing that they install
                match told {
                    Ok(()) => Ok(()),
                    Err(
                        error @ (FormatError::Malformed { .. }
                        | FormatError::Limit { .. }
                        | FormatError::Decode { .. }),
                    ) => {
                        let text = format!("its advisories cannot be read, or not all of them: {error}");
                        out(Step::Notice(Notice { path: file.clone(), text }))
                    }
                    Err(error) => Err(error),
                }
            }
            kind if is_twin(kind) => out(Step::Unread(file.clone())),
            _ => Ok(()),
        }
    }

    /// Takes the answer to a `.treeinfo` or `treeinfo`.
    fn treeinfo(&mut self, want: &Want, body: Option<Body<'_>>, out: Out<'_>) -> Result<(), FormatError> {
        let Some(body) = body else { return Ok(()) };
        let tree = treeinfo::read(&want.path, &whole(&want.path, body, TREEINFO_BYTES)?)?;
        emit_tree(&want.path, tree, out)?;
        if self.tree_seen {
            return Ok(());
        }
        self.tree_seen = true;
        let extra = Want::index(well_known("extra_files.json")?, Expect::at_most(TREEINFO_BYTES));
        out(Step::Want(extra.tag(TAG_EXTRA).absent(Absent::Allowed)))?;
        for name in [".discinfo", "media.repo"] {
            let want = Want::payload(well_known(name)?, Expect::at_most(TREEINFO_BYTES));
            out(Step::File(want.absent(Absent::Allowed)))?;
        }
        Ok(())
    }
}

impl Walk for RpmWalk<'_> {
    fn start(&mut self) -> Result<Vec<Want>, FormatError> {
        let beside = |name, limit, tag| -> Result<Want, FormatError> {
            Ok(Want::anchor(well_known(name)?, limit).tag(tag).absent(Absent::Allowed))
        };
        let mut wants = vec![
            Want::anchor(well_known(REPOMD)?, ANCHOR_BYTES).tag(TAG_REPOMD),
            beside(SIGNATURE, SIGNATURE_BYTES, TAG_SIGNATURE)?,
            beside(KEY, SIGNATURE_BYTES, TAG_CARRIED)?,
            beside(MEDIA, SIGNATURE_BYTES, TAG_CARRIED)?,
        ];
        if self.options.treeinfo {
            for name in TREEINFO {
                wants.push(beside(name, TREEINFO_BYTES, TAG_TREEINFO)?);
            }
        }
        Ok(wants)
    }

    fn feed(
        &mut self,
        want: &Want,
        answer: Answer<'_>,
        out: &mut dyn FnMut(Step<'_>) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        match (want.tag, answer.body) {
            (TAG_REPOMD, None) => Err(FormatError::malformed(&want.path, "upstream", "the file", "nothing")),
            (TAG_REPOMD, Some(body)) => {
                self.repomd = Some(whole(&want.path, body, ANCHOR_BYTES)?);
                self.anchored(out)
            }
            (TAG_SIGNATURE, body) => {
                self.signature = match body {
                    None => Signature::Absent,
                    Some(body) => Signature::Present(whole(&want.path, body, SIGNATURE_BYTES)?),
                };
                self.anchored(out)
            }
            (TAG_CARRIED, _) | (TAG_EXTRA, None) => Ok(()),
            (TAG_TREEINFO, body) => self.treeinfo(want, body, out),
            (TAG_EXTRA, Some(body)) => {
                let tree = treeinfo::read_extra(&want.path, &whole(&want.path, body, TREEINFO_BYTES)?)?;
                emit_tree(&want.path, tree, out)
            }
            (_, body) => self.listed(want, body, out),
        }
    }

    fn finish(
        self: Box<Self>,
        out: &mut dyn FnMut(Step<'_>) -> Result<(), FormatError>,
    ) -> Result<Coverage, FormatError> {
        let file = well_known(REPOMD)?;
        if self.data.is_empty() {
            return Err(FormatError::malformed(
                &file,
                "the walk",
                "an answer to every want",
                "none to this one",
            ));
        }
        for text in self.packages.told() {
            out(Step::Notice(Notice { path: file.clone(), text }))?;
        }
        Ok(self.coverage)
    }
}

/// What is remembered of the packages: some 32 bytes each.
#[derive(Default)]
struct Packages {
    /// Hashes of the keys that were given out, and of each package's fullest key.
    keys: HashSet<u64>,
    /// How many are bound by a weak digest only.
    weak: u64,
    /// How many were listed twice in every respect.
    repeated: u64,
    /// Other hosts that packages lie on, with how many.
    elsewhere: BTreeMap<String, u64>,
}

impl Packages {
    /// Gives a package out under a key of its own.
    fn emit(
        &mut self,
        options: &RpmOptions,
        listed: Listed,
        record: &[u8],
        out: Out<'_>,
    ) -> Result<(), FormatError> {
        if !options.sources && matches!(listed.arch.as_str(), "src" | "nosrc") {
            return Ok(());
        }
        let Some(key) = self.key(&listed) else {
            self.repeated += 1;
            return Ok(());
        };
        if !listed.expect.is_proof() {
            self.weak += 1;
        }
        if let At::Absolute(url) = &listed.location.at {
            let origin = url.origin().ascii_serialization();
            if self.elsewhere.contains_key(&origin) || self.elsewhere.len() < HOSTS_TOLD {
                *self.elsewhere.entry(origin).or_default() += 1;
            }
        }
        let package = Package {
            group: Group { name: format!("{}.{}", listed.name, listed.arch), stream: None },
            version: Version(listed.version),
            key,
            summary: listed.summary,
            files: vec![listed.location.payload(listed.expect)],
        };
        out(Step::Package(package, record))
    }

    /// Finds a key that no package before had: a second one of the same NEVRA is told by its checksum, and one that
    /// lies twice in the repository by its path besides. None for what is listed twice in every respect.
    fn key(&mut self, listed: &Listed) -> Option<Key> {
        let checksum = listed.expect.checksums.first().map(ToString::to_string).unwrap_or_default();
        let place = format!("{checksum} {}", listed.location.path);
        let key = |variant| Key { variant, ..Key::new(&listed.name, &listed.version, &listed.arch) };
        if !self.keys.insert(hash(&key(place.clone()))) {
            return None;
        }
        let free = [String::new(), checksum].into_iter().map(key).find(|k| self.keys.insert(hash(k)));
        Some(free.unwrap_or_else(|| key(place)))
    }

    /// Returns what a person should know.
    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        if self.weak > 0 {
            told.push(format!("{} packages are bound by a weak digest only (SHA-1 or MD5)", self.weak));
        }
        if self.repeated > 0 {
            told.push(format!("{} packages are listed twice in every respect", self.repeated));
        }
        for (host, count) in &self.elsewhere {
            told.push(format!(
                "{count} packages lie on `{host}`: clients of the mirror will ask there, since the metadata says so"
            ));
        }
        told
    }
}

/// Verifies the signature over `repomd.xml` as the policy asks.
fn verify(
    proof: &dyn Verifier,
    file: &RepoPath,
    repomd: &[u8],
    signature: Option<&[u8]>,
    coverage: &mut Coverage,
    out: Out<'_>,
) -> Result<(), FormatError> {
    let refuse = |source| Err(FormatError::Verify { file: file.clone(), source });
    let policy = proof.metadata();
    let signature = match (policy, signature) {
        (Policy::Off, _) | (Policy::IfPresent, None) => return Ok(()),
        (Policy::Require, None) => return refuse(VerifyError::Unsigned),
        (_, Some(signature)) => signature,
    };
    match proof.detached(repomd, signature) {
        Ok(by) => {
            coverage.signers = by;
            coverage.signed.push(file.clone());
            Ok(())
        }
        // a mirror without keys is one whose user did not ask for proof
        Err(VerifyError::NoKeys) if policy == Policy::IfPresent => {
            let text = "is signed, and the signature was not checked since no keys are configured".into();
            out(Step::Notice(Notice { path: file.clone(), text }))
        }
        Err(source) => refuse(source),
    }
}

/// Tells whether a kind of data says once more, in another form, what one that is read says: `primary_zck`, `primary_db`.
fn is_twin(kind: &str) -> bool {
    let read = ["primary", "prestodelta", "deltainfo", "updateinfo"];
    read.iter().any(|read| kind.strip_prefix(read).is_some_and(|form| form.starts_with('_')))
}

fn emit_tree(file: &RepoPath, tree: treeinfo::Tree, out: Out<'_>) -> Result<(), FormatError> {
    for want in tree.files {
        out(Step::File(want))?;
    }
    for text in tree.notices {
        out(Step::Notice(Notice { path: file.clone(), text }))?;
    }
    Ok(())
}

/// Reads a small file whole.
fn whole(file: &RepoPath, mut body: Body<'_>, limit: u64) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::new();
    let read = body.reader().take(limit + 1).read_to_end(&mut bytes);
    match read {
        Ok(n) if n as u64 > limit => Err(FormatError::Limit { file: file.clone(), what: "its size", limit }),
        Ok(_) => Ok(bytes),
        Err(source) => Err(FormatError::Decode { file: file.clone(), source }),
    }
}

/// Names a file that the format itself defines.
fn well_known(name: &'static str) -> Result<RepoPath, FormatError> {
    RepoPath::new(name).map_err(|e| FormatError::Option { option: name.into(), why: e.to_string() })
}

/// Hashes a key: 64 bits of it are remembered. A collision costs nothing but a variant that was not needed.
fn hash(key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn weakest(expect: &Expect) -> String {
    expect.checksums.iter().map(|c| c.algorithm().name()).collect::<Vec<_>>().join(", ")
}
