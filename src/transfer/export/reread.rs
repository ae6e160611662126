//! `--verify-after-write`: reads a written bundle back from its medium, not from memory, and compares.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read},
    path::Path,
};

use chantal_bundle::sums::Sums;
use chantal_contract::Digest;
use rustix::fs::{Advice, fadvise};
use sha2::{Digest as _, Sha256};

use super::direct::{self, Room};
use crate::{
    report::{Event as Report, Reporter},
    transfer::{ExportError, TransferError},
};

/// Bytes that are read at once; a multiple of every block size.
const PIECE: usize = 1 << 20;

/// Reads every file of a bundle that was written to `dir` and synced, and refuses one whose bytes are others.
pub(in crate::transfer) fn compare(
    dir: &Path,
    written: &Sums,
    reporter: &dyn Reporter,
) -> Result<(), TransferError> {
    let size = |path: &Path| path.metadata().map_or(0, |m| m.len());
    let bytes = written.keys().map(|name| size(&dir.join(name))).sum();
    let task = "verify after write";
    reporter.event(Report::Begin { task, items: Some(written.len() as u64), bytes: Some(bytes) });
    for (name, digest) in written {
        let path = dir.join(name);
        let found = read_back(&path, &mut |read| {
            let delta = i64::try_from(read).unwrap_or(i64::MAX);
            reporter.event(Report::Bytes { task, delta });
        })?;
        if found != *digest {
            return Err(TransferError::Export(ExportError::ReadBack { path }));
        }
        reporter.event(Report::Done { task, items: 1 });
    }
    reporter.event(Report::End { task });
    Ok(())
}

fn read_back(path: &Path, passed: &mut dyn FnMut(usize)) -> Result<Digest, TransferError> {
    let io = |e| TransferError::io(path, e);
    let plain = File::open(path).map_err(io)?;
    // Synced pages are clean, so that they can be dropped; where they are not, the next line still reads the medium.
    let _ = fadvise(&plain, 0, None, Advice::DontNeed);
    let mut room = Room::new(PIECE);
    if let Ok(file) = direct::open(OpenOptions::new().read(true), path) {
        match hash(file, room.all(), passed) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {}
            other => return other.map_err(io),
        }
    }
    hash(plain, room.all(), passed).map_err(io)
}

fn hash(mut file: File, room: &mut [u8], passed: &mut dyn FnMut(usize)) -> std::io::Result<Digest> {
    let mut hash = Sha256::new();
    loop {
        match file.read(room) {
            Ok(0) => return Ok(Digest::from_bytes(hash.finalize().into())),
            Ok(n) => {
                hash.update(room.get(..n).unwrap_or_default());
                passed(n);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
