//! Backup and restore of what cannot be had again: decisions, manifests, records, evidence, trust.
//!
//! A backup is a `.tar.zst` with `journal.jsonl`, `manifests/<hex>`, `packs/<hex>.pack` and `blobs/<hex>` (trust documents
//! and evidence; payloads are fetched or imported again). Every member proves itself: the journal by its chain, all others
//! by their names. The same store makes the same bytes.
//!
//! A restore only adds. Where `init` has just begun a store, its first lines give way to the backup's. Elsewhere it joins the journal's lines of store, catalog and backup into the one chain that they are copies
//! of, and refuses two that part ways. So no sequence and no trust version is ever lowered.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use chantal_contract::{Digest, Measured};

use super::{
    Catalog, Event, Lock, Manifests, Pool, SiteName, Store, StoreError,
    file::{self, Output},
    journal::{self, Line, weave},
    lock,
    stage::{self, Stage},
};

mod begun;
mod member;
use member::Member;

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Entries of the journal.
    pub entries: u64,
    /// Manifests.
    pub manifests: u64,
    /// Packs.
    pub packs: u64,
    /// Blobs: trust documents and evidence.
    pub blobs: u64,
    /// Bytes of the backup.
    pub bytes: u64,
}

/// What a restore or a rebuild brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Entries that the journal holds now.
    pub entries: u64,
    /// Entries that it did not hold before.
    pub regained: u64,
    /// Manifests that were missing or damaged.
    pub manifests: u64,
    /// Packs that were missing or damaged.
    pub packs: u64,
    /// Blobs that were missing.
    pub blobs: u64,
}

const LEVEL: i32 = 3;

impl Store {
    /// Writes a backup to `to`, which must not exist. The caller holds [`Lock::Shared`].
    pub fn backup(&self, to: &Path) -> Result<BackupReport, StoreError> {
        if file::exists(to)? {
            return Err(StoreError::Exists { what: format!("`{}`", to.display()) });
        }
        let directory = file::parent_or_here(to);
        if !directory.is_dir() {
            return Err(StoreError::NoDirectory { path: directory.into() });
        }
        let mut partial = to.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        file::remove(&partial)?;
        let written = self.write_backup(&partial);
        match written {
            Ok(mut report) => {
                report.bytes = file::stat(&partial)?.map_or(0, |s| s.size);
                file::rename(&partial, to)?;
                file::sync_dir(file::parent_or_here(to))?;
                Ok(report)
            }
            Err(error) => {
                let _ = file::remove(&partial);
                Err(error)
            }
        }
    }

    fn write_backup(&self, partial: &Path) -> Result<BackupReport, StoreError> {
        let fault = |e| StoreError::io(partial, e);
        let mut report = BackupReport::default();
        // the journal first: whatever it refers to is in the store already
        let journal = {
            let turn = lock::wait(&journal::lock_path(self.root()))?;
            self.catalog().settle(&turn)?;
            file::read(self.journal().path())?
        };
        report.entries = journal.split(|b| *b == b'\n').count().saturating_sub(1) as u64;
        let mut encoder =
            zstd::stream::write::Encoder::new(Output::create(partial)?, LEVEL).map_err(fault)?;
        encoder.include_checksum(true).map_err(fault)?;
        let mut tar = tar::Builder::new(encoder);
        member::append(&mut tar, &Member::Journal, journal.len() as u64, &mut journal.as_slice())
            .map_err(fault)?;
        for manifest in self.manifests().iter() {
            let manifest = manifest?;
            let path = self.manifests().path(&manifest);
            member::append_file(&mut tar, &Member::Manifest(manifest), &path, partial)?;
            report.manifests += 1;
        }
        for name in super::packs::names(&self.root().join("packs"))? {
            let path = self.root().join(Member::Pack(name).path());
            member::append_file(&mut tar, &Member::Pack(name), &path, partial)?;
            report.packs += 1;
        }
        for blob in self.small_blobs()? {
            member::append_file(&mut tar, &Member::Blob(blob), &self.pool().path(&blob), partial)?;
            report.blobs += 1;
        }
        let encoder = tar.into_inner().map_err(fault)?;
        encoder.finish().map_err(fault)?.sync()?;
        Ok(report)
    }

    /// Lists the blobs that cannot be had again and are there: trust documents and evidence.
    fn small_blobs(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let roots = self.roots()?;
        let mut blobs = roots.blobs;
        for list in roots.states.values().flat_map(|root| &root.evidence) {
            blobs.insert(*list);
            if let Some(evidence) = self.evidence(list)? {
                blobs.extend(evidence.blobs().map(|blob| blob.sha256));
            }
        }
        let mut there = BTreeSet::new();
        for blob in blobs {
            if self.pool().has(&blob)?.is_some() {
                there.insert(blob);
            }
        }
        Ok(there)
    }

    /// Gives unused space of the catalog back to the file system.
    pub fn vacuum(&self) -> Result<super::Vacuumed, StoreError> {
        let _shared = self.lock(Lock::Shared)?;
        self.catalog().vacuum()
    }

    /// Says what [`Store::vacuum`] would give back; changes nothing.
    pub fn vacuum_plan(&self) -> Result<super::Vacuumed, StoreError> {
        self.catalog().vacuum_plan()
    }

    /// Makes the catalog anew from the journal; a journal that is damaged is mended from the catalog's copy first.
    ///
    /// It takes [`Lock::Exclusive`] itself, and works where [`Store::open`] refuses.
    pub fn rebuild(root: &Path) -> Result<RestoreReport, StoreError> {
        let _alone = alone(root)?;
        let path = journal::path(root);
        mend(root, &path, gather(root, Vec::new(), &path)?)
    }

    /// Says what [`Store::rebuild`] would do; changes nothing.
    pub fn rebuild_plan(root: &Path) -> Result<RestoreReport, StoreError> {
        let _alone = alone(root)?;
        Ok(gather(root, Vec::new(), &journal::path(root))?.report())
    }

    /// Brings back what a backup of `site` holds and the store has not, or has damaged; makes the store if there is none.
    ///
    /// It takes [`Lock::Exclusive`] itself, and works where [`Store::open`] refuses. Killed halfway, it is run again.
    pub fn restore(root: &Path, backup: &Path, site: &SiteName) -> Result<RestoreReport, StoreError> {
        // a name that was mistyped makes no store
        file::open(backup)?;
        super::make_directories(root)?;
        let _alone = alone(root)?;
        stage::sweep(&root.join("tmp"))?;
        let stage = Stage::new(&root.join("tmp"))?;
        let staged = unpack(backup, &stage)?;
        // refuse before anything is changed
        let joined = join(root, &staged, backup, site)?;
        let mut report = staged.place(root, Doing::Place)?;
        let mended = mend(root, backup, joined)?;
        report.entries = mended.entries;
        report.regained = mended.regained;
        Ok(report)
    }

    /// Says what [`Store::restore`] would bring back; unpacks the backup into `scratch`, and changes nothing else.
    pub fn restore_plan(
        root: &Path,
        backup: &Path,
        site: &SiteName,
        scratch: &Path,
    ) -> Result<RestoreReport, StoreError> {
        let stage = Stage::new(scratch)?;
        let staged = unpack(backup, &stage)?;
        let joined = join(root, &staged, backup, site)?.report();
        Ok(RestoreReport {
            entries: joined.entries,
            regained: joined.regained,
            ..staged.place(root, Doing::Count)?
        })
    }
}

/// Whether something is done, or only counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Place,
    Count,
}

fn alone(root: &Path) -> Result<super::LockGuard, StoreError> {
    if !root.join("locks").is_dir() {
        return Err(StoreError::NoStore { path: root.into() });
    }
    lock::take(&root.join("locks"), Lock::Exclusive)
}

/// What a backup holds, unpacked and proved.
struct Staged {
    journal: Vec<Line>,
    manifests: Manifests,
    packs: Vec<(Digest, PathBuf)>,
    blobs: Vec<(Digest, PathBuf)>,
}

/// Reads a backup; every member is proved before anything is done with it.
fn unpack(backup: &Path, stage: &Stage) -> Result<Staged, StoreError> {
    let fault = |e: io::Error| {
        if e.raw_os_error().is_some()
            || e.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<StoreError>)
        {
            StoreError::io(backup, e)
        } else {
            // what zstd and tar refuse
            StoreError::NoBackup { path: backup.into(), why: e.to_string() }
        }
    };
    let damaged = |place: String, why: &str| StoreError::damaged(backup, place, why);
    let input = zstd::stream::read::Decoder::new(file::open(backup)?).map_err(fault)?;
    let mut archive = tar::Archive::new(input);
    let dir = stage.dir().join("manifests");
    file::make_dir(&dir)?;
    let (mut text, mut packs, mut blobs) = (None, Vec::new(), Vec::new());
    for (index, entry) in archive.entries().map_err(fault)?.enumerate() {
        let mut entry = entry.map_err(fault)?;
        let place = format!("member {}", index + 1);
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let member = Member::parse(&name).ok_or_else(|| StoreError::NoBackup {
            path: backup.into(),
            why: format!("no backup holds `{}`", name.escape_debug()),
        })?;
        let to = match &member {
            Member::Manifest(name) => dir.join(name.hex()),
            _ => stage.path(),
        };
        let mut out = Output::create(&to)?;
        let measured = copy(&mut entry, &mut out, backup)?;
        out.seal()?;
        out.sync()?;
        match member {
            Member::Journal => text = Some(to),
            Member::Manifest(_) => {}
            Member::Pack(name) | Member::Blob(name) if name != measured.sha256 => {
                return Err(damaged(place, "its bytes are not what its name says"));
            }
            Member::Pack(name) => packs.push((name, to)),
            Member::Blob(name) => blobs.push((name, to)),
        }
    }
    let text =
        text.ok_or_else(|| StoreError::NoBackup { path: backup.into(), why: "it holds no journal".into() })?;
    let mut journal = Vec::new();
    for found in journal::Scan::open(&text)? {
        journal.push(found?.0);
    }
    let manifests = Manifests::at(&dir, stage.dir());
    for manifest in manifests.iter() {
        manifests.prove(&manifest?)?;
    }
    Ok(Staged { journal, manifests, packs, blobs })
}

fn copy(from: &mut dyn Read, to: &mut Output, backup: &Path) -> Result<Measured, StoreError> {
    let mut measurer = chantal_contract::Expect::at_most(u64::MAX).measure();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let n = from.read(&mut buffer).map_err(|e| StoreError::io(backup, e))?;
        let Some(bytes @ [_, ..]) = buffer.get(..n) else { break };
        measurer.update(bytes)?;
        to.put(bytes)?;
    }
    Ok(measurer.finish()?)
}

impl Staged {
    /// Gives what is missing or damaged in the store its place, or counts it.
    fn place(&self, root: &Path, doing: Doing) -> Result<RestoreReport, StoreError> {
        let mut report = RestoreReport::default();
        let manifests = Manifests::new(root);
        for manifest in self.manifests.iter() {
            let manifest = manifest?;
            if manifests.prove(&manifest).is_ok() {
                continue;
            }
            report.manifests += 1;
            if doing == Doing::Place {
                file::rename(&self.manifests.path(&manifest), &manifests.path(&manifest))?;
            }
        }
        if doing == Doing::Place {
            file::sync_dir(&root.join("manifests"))?;
        }
        for (name, staged) in &self.packs {
            let to = root.join(Member::Pack(*name).path());
            if file::exists(&to)? && Digest::of(&file::read(&to)?) == *name {
                continue;
            }
            report.packs += 1;
            if doing == Doing::Place {
                file::rename(staged, &to)?;
            }
        }
        let pool = Pool::new(root);
        if doing == Doing::Count {
            for (name, _) in &self.blobs {
                report.blobs += u64::from(pool.has(name)?.is_none());
            }
            return Ok(report);
        }
        file::sync_dir(&root.join("packs"))?;
        let batch = pool.batch()?;
        for (name, staged) in &self.blobs {
            if batch.has(name)?.is_none() {
                batch.put(&file::read(staged)?)?;
                report.blobs += 1;
            }
        }
        batch.flush()?;
        Ok(report)
    }
}

/// The journal that all copies together hold.
struct Joined {
    chain: Vec<Line>,
    /// Entries of it that the store's own file holds.
    held: u64,
}

impl Joined {
    fn report(&self) -> RestoreReport {
        let entries = self.chain.len() as u64;
        RestoreReport { entries, regained: entries.saturating_sub(self.held), ..RestoreReport::default() }
    }
}

/// Joins a backup with what the store holds; the lines of a store that was only begun give way to the backup's.
fn join(root: &Path, staged: &Staged, backup: &Path, site: &SiteName) -> Result<Joined, StoreError> {
    if let Some(Event::Init { site: found, .. }) = staged.journal.first().map(|line| &line.entry().event)
        && found != site
    {
        return Err(StoreError::OtherSite { path: backup.into(), found: found.clone(), here: site.clone() });
    }
    if begun::is_only(root, staged)? {
        return Ok(Joined { chain: weave(staged.journal.clone(), backup)?, held: 0 });
    }
    gather(root, staged.journal.clone(), backup)
}

/// Gathers every copy of the journal's lines into one chain.
fn gather(root: &Path, others: Vec<Line>, path: &Path) -> Result<Joined, StoreError> {
    let mut lines = others;
    let own = begun::lines(root)?;
    let held = own.iter().flatten().count() as u64;
    let copies = Catalog::copies(root);
    // a catalog of another life than the journal's is replayed and not believed, as when a store is opened
    let foreign = matches!((own.first(), copies.first()), (Some(Some(own)), Some(copy)) if own != copy);
    lines.extend(own.into_iter().flatten());
    if !foreign {
        lines.extend(copies);
    }
    let chain = weave(lines, path)?;
    if chain.is_empty() {
        return Err(StoreError::damaged(path, "the whole", "no copy of the journal holds an entry"));
    }
    Ok(Joined { chain, held })
}

/// Writes the journal that all copies together hold, and lets the catalog be replayed from it.
///
/// The caller holds [`Lock::Exclusive`] since before the copies were gathered: nothing was appended in between.
fn mend(root: &Path, path: &Path, joined: Joined) -> Result<RestoreReport, StoreError> {
    let turn = lock::wait(&journal::lock_path(root))?;
    let mut text = Vec::new();
    for line in &joined.chain {
        writeln!(text, "{}", line.text()).map_err(|e| StoreError::io(path, e))?;
    }
    let own = journal::path(root);
    if !file::exists(&own)? || file::read(&own)? != text {
        let stage = Stage::new(&root.join("tmp"))?;
        file::replace(&stage.path(), &own, &text)?;
    }
    if file::exists(&root.join("catalog.sqlite"))? {
        Catalog::open(root)?.start_over()?;
    }
    drop(turn);
    Store::open(root)?.catalog().forget_aside()?;
    Ok(joined.report())
}
