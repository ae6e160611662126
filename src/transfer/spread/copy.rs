//! Copies a share of a bundle onto its medium.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::Path,
};

use chantal_bundle::{Manifest, index, manifest, sums::Sums};
use chantal_contract::{Digest, Measured, limits::BUNDLE_MANIFEST_BYTES};

use super::{Share, Whole};
use crate::{
    report::{Event as Report, Reporter},
    transfer::{
        ExportError, TransferError,
        export::{AfterWrite, full, read_back, sync_dir},
        medium,
    },
};

/// Returns which of a bundle's volumes and parity files lie in a directory that has the bundle's name; none where there is no such
/// directory. Each is held against the manifest.
pub(super) fn finished(dir: &Path, whole: &Whole) -> Result<Option<Vec<usize>>, TransferError> {
    if dir.symlink_metadata().is_err() {
        return Ok(None);
    }
    let manifest = medium::read(&dir.join(manifest::FILE), BUNDLE_MANIFEST_BYTES);
    if manifest.map_or(true, |bytes| Digest::of(&bytes) != whole.digest) {
        return Err(TransferError::Export(ExportError::Exists { path: dir.into() }));
    }
    let listed = listed(&whole.manifest);
    let mut held = Vec::new();
    for (at, item) in whole.items.iter().enumerate() {
        let path = dir.join(&item.name);
        if medium::is_file(&path) {
            medium::measure(&path, listed.get(&item.name), &mut |_| Ok(()))?;
            held.push(at);
        }
    }
    Ok(Some(held))
}

/// Returns what a manifest says of the files that it lists by name.
fn listed(manifest: &Manifest) -> BTreeMap<String, Measured> {
    let of = |size, sha256| Measured { sha256, size };
    let review = &manifest.review;
    let small = [
        (index::FILE.into(), of(manifest.index.size, manifest.index.sha256)),
        (manifest::REVIEW_JSON.into(), of(review.json.size, review.json.sha256)),
        (manifest::REVIEW_HTML.into(), of(review.html.size, review.html.sha256)),
    ];
    let volumes = manifest.volumes().map(|(n, file)| (n.file_name(), of(file.size.get(), file.sha256)));
    let parity = manifest.parity.iter().flat_map(chantal_bundle::parity::Parity::files);
    let parity = parity.map(|(n, file)| (n.file_name(), of(file.size, file.sha256)));
    small.into_iter().chain(volumes).chain(parity).collect()
}

/// Copies files of one bundle.
pub(super) struct Copier<'a> {
    from: &'a Path,
    listed: BTreeMap<String, Measured>,
    task: &'a str,
    reporter: &'a dyn Reporter,
}

impl<'a> Copier<'a> {
    pub fn new(from: &'a Path, manifest: &Manifest, (task, reporter): (&'a str, &'a dyn Reporter)) -> Self {
        Self { from, listed: listed(manifest), task, reporter }
    }

    /// Writes these files to a share's medium: beside their place first, and there once all are written, synced, and read back if
    /// that is asked for. What a killed run left beside it is removed.
    pub fn write<'n>(
        &self,
        share: &Share,
        names: impl Iterator<Item = &'n String>,
        after_write: AfterWrite,
    ) -> Result<(), TransferError> {
        let medium = share.path.parent().unwrap_or(Path::new("."));
        let name = share.path.file_name().unwrap_or_default().to_string_lossy();
        let partial = medium.join(format!(".{name}.partial"));
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |e| TransferError::io(&path, e)
        };
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(io(&partial))?;
        }
        fs::create_dir_all(&partial).map_err(io(&partial))?;
        let written = self.fill(&partial, names).and_then(|sums| match after_write {
            AfterWrite::ReadBack => read_back(&partial, &sums, self.reporter),
            AfterWrite::Trust => Ok(()),
        });
        if let Err(fault) = written {
            // What stays is removed by the next run.
            let _ = fs::remove_dir_all(&partial);
            return Err(full(medium, share.bytes, fault));
        }
        fs::rename(&partial, &share.path).map_err(io(&partial))?;
        sync_dir(medium)
    }

    fn fill<'n>(&self, to: &Path, names: impl Iterator<Item = &'n String>) -> Result<Sums, TransferError> {
        let mut sums = Sums::new();
        for name in names {
            let path = to.join(name);
            for dir in path.ancestors().skip(1).take_while(|dir| dir.starts_with(to)) {
                fs::create_dir_all(dir).map_err(|e| TransferError::io(dir, e))?;
            }
            sums.insert(name.clone(), self.copy(name, &path)?);
            self.reporter.event(Report::Done { task: self.task, items: 1 });
        }
        let mut dirs: Vec<&Path> = sums.keys().filter_map(|name| Path::new(name).parent()).collect();
        dirs.dedup();
        for dir in dirs.iter().flat_map(|dir| dir.ancestors()) {
            sync_dir(&to.join(dir))?;
        }
        Ok(sums)
    }

    fn copy(&self, name: &str, to: &Path) -> Result<Digest, TransferError> {
        let io = |e| TransferError::io(to, e);
        let mut out = File::create_new(to).map_err(io)?;
        let digest = medium::measure(&self.from.join(name), self.listed.get(name), &mut |bytes| {
            out.write_all(bytes).map_err(io)?;
            let delta = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            self.reporter.event(Report::Bytes { task: self.task, delta });
            Ok(())
        })?;
        out.sync_all().map_err(io)?;
        Ok(digest)
    }
}
