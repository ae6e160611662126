//! Backup and restore of what cannot be had again: decisions, manifests, records, evidence, trust.
//!
//! A backup is a `.tar.zst` with `journal.jsonl`, `manifests/<hex>`, `packs/<hex>.pack` and `blobs/<hex>` (trust documents
//! and evidence; payloads are fetched or imported again). Every member proves itself: the journal by its chain, all others
//! by their names. The same store makes the same bytes.
//!
//! A restore only adds. It joins the journal's lines of store, catalog and backup into the one chain that they are copies
//! of, and refuses two that part ways. So no sequence and no trust version is ever lowered.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use chantal_contract::{Digest, Measured};

use super::{
    Catalog, Lock, Manifests, Pool, Store, StoreError,
    file::{self, Output},
    journal::{self, Line, weave},
    lock,
    stage::{self, Stage},
};

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

    /// Makes the catalog anew from the journal; a journal that is damaged is mended from the catalog's copy first.
    ///
    /// It takes [`Lock::Exclusive`] itself, and works where [`Store::open`] refuses.
    pub fn rebuild(root: &Path) -> Result<RestoreReport, StoreError> {
        let _alone = alone(root)?;
        mend(root, Vec::new(), &journal::path(root))
    }

    /// Brings back what a backup holds and the store has not, or has damaged; makes the store if there is none.
    ///
    /// It takes [`Lock::Exclusive`] itself, and works where [`Store::open`] refuses. Killed halfway, it is run again.
    pub fn restore(root: &Path, backup: &Path) -> Result<RestoreReport, StoreError> {
        super::make_directories(root)?;
        let _alone = alone(root)?;
        stage::sweep(&root.join("tmp"))?;
        let stage = Stage::new(&root.join("tmp"))?;
        let staged = unpack(backup, &stage)?;
        // refuse before anything is changed
        gather(root, staged.journal.clone(), backup)?;
        let mut report = staged.place(root)?;
        let mended = mend(root, staged.journal, backup)?;
        report.entries = mended.entries;
        report.regained = mended.regained;
        Ok(report)
    }
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
    let fault = |e| StoreError::io(backup, e);
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
        let member =
            Member::parse(&name).ok_or_else(|| damaged(place.clone(), "its name is none of a backup"))?;
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
    let text = text.ok_or_else(|| damaged("the whole".into(), "it holds no journal"))?;
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
    /// Gives what is missing or damaged in the store its place.
    fn place(&self, root: &Path) -> Result<RestoreReport, StoreError> {
        let mut report = RestoreReport::default();
        let manifests = Manifests::new(root);
        for manifest in self.manifests.iter() {
            let manifest = manifest?;
            if manifests.prove(&manifest).is_ok() {
                continue;
            }
            file::rename(&self.manifests.path(&manifest), &manifests.path(&manifest))?;
            report.manifests += 1;
        }
        file::sync_dir(&root.join("manifests"))?;
        for (name, staged) in &self.packs {
            let to = root.join(Member::Pack(*name).path());
            if file::exists(&to)? && Digest::of(&file::read(&to)?) == *name {
                continue;
            }
            file::rename(staged, &to)?;
            report.packs += 1;
        }
        file::sync_dir(&root.join("packs"))?;
        let batch = Pool::new(root).batch()?;
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

/// Gathers every copy of the journal's lines into one chain; also returns how many the store's own file holds in order.
fn gather(root: &Path, others: Vec<Line>, path: &Path) -> Result<(Vec<Line>, u64), StoreError> {
    let own = journal::path(root);
    let mut lines = others;
    let mut held = 0;
    if let Some(mut opened) = file::open_if_there(&own)? {
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes).map_err(|e| StoreError::io(&own, e))?;
        for text in bytes.split(|b| *b == b'\n') {
            if let Some(line) = std::str::from_utf8(text).ok().and_then(|text| Line::parse(text).ok()) {
                lines.push(line);
                held += 1;
            }
        }
    }
    // a catalog that cannot be read has no copy to give
    if file::exists(&root.join("catalog.sqlite"))?
        && let Ok(copies) = Catalog::open(root).and_then(|catalog| catalog.lines_after(0))
    {
        lines.extend(copies);
    }
    Ok((weave(lines, path)?, held))
}

/// Writes the journal that all copies together hold, and lets the catalog be replayed from it.
fn mend(root: &Path, others: Vec<Line>, path: &Path) -> Result<RestoreReport, StoreError> {
    let turn = lock::wait(&journal::lock_path(root))?;
    let (chain, held) = gather(root, others, path)?;
    if chain.is_empty() {
        return Err(StoreError::damaged(path, "the whole", "no copy of the journal holds an entry"));
    }
    let mut text = Vec::new();
    for line in &chain {
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
    Store::open(root)?;
    let entries = chain.len() as u64;
    Ok(RestoreReport { entries, regained: entries.saturating_sub(held), ..RestoreReport::default() })
}
