//! Syncs large files in the background, while others are still being written.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
};

use super::lock;
use crate::store::{StoreError, file::Output};

/// A thread that syncs what it is handed; started by the first file.
#[derive(Debug, Default)]
pub(super) struct Syncer {
    thread: Mutex<Option<Thread>>,
    shared: Arc<(Mutex<Progress>, Condvar)>,
}

#[derive(Debug)]
struct Thread {
    files: mpsc::Sender<Output>,
    handle: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Progress {
    open: usize,
    failed: Option<StoreError>,
}

impl Syncer {
    /// Hands a whole file over.
    pub(super) fn begin(&self, file: Output) {
        lock(&self.shared.0).open += 1;
        let mut thread = lock(&self.thread);
        let running = thread.get_or_insert_with(|| {
            let (files, queue) = mpsc::channel::<Output>();
            let shared = Arc::clone(&self.shared);
            let handle = std::thread::spawn(move || {
                for file in queue {
                    let synced = file.sync();
                    let mut progress = lock(&shared.0);
                    progress.open -= 1;
                    if let Err(error) = synced {
                        progress.failed.get_or_insert(error);
                    }
                    shared.1.notify_all();
                }
            });
            Thread { files, handle }
        });
        if let Err(mpsc::SendError(file)) = running.files.send(file) {
            let synced = file.sync();
            let mut progress = lock(&self.shared.0);
            progress.open -= 1;
            if let Err(error) = synced {
                progress.failed.get_or_insert(error);
            }
        }
    }

    /// Waits until every file handed over has reached the medium.
    pub(super) fn wait(&self) -> Result<(), StoreError> {
        let mut progress = lock(&self.shared.0);
        while progress.open > 0 {
            progress = self.shared.1.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        match &progress.failed {
            // what could not be synced once will not be trusted by a second try: the kernel may have dropped it
            Some(StoreError::NoSpace { path, source }) => {
                Err(StoreError::NoSpace { path: path.clone(), source: source.kind().into() })
            }
            Some(StoreError::Io { path, source }) => {
                Err(StoreError::Io { path: path.clone(), source: source.kind().into() })
            }
            Some(_) | None => Ok(()),
        }
    }
}
impl Drop for Syncer {
    fn drop(&mut self) {
        if let Some(Thread { files, handle }) = lock(&self.thread).take() {
            drop(files);
            let _ = handle.join();
        }
    }
}
