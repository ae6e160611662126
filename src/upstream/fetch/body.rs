//! The way of a body from the network into a sink: bounded, watched, paced, written on a thread of its own.

use std::io;

use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{Request, Session, Sink, delta, error::FetchError, pace::Stall, shown::Shown};

/// Chunks that may wait to be hashed and written.
const WAITING: usize = 16;

/// What a response says about its body.
pub(super) struct Promise {
    /// Where it comes from.
    pub(super) url: Shown,
    /// How many bytes the file has in all, where that is known.
    pub(super) total: Option<u64>,
}

/// A sink on its thread.
struct Writer<B, S> {
    chunks: mpsc::Sender<B>,
    thread: JoinHandle<(S, io::Result<()>)>,
}

impl<B: AsRef<[u8]> + Send + 'static, S: Sink> Writer<B, S> {
    fn start(mut sink: S) -> Self {
        let (chunks, mut queue) = mpsc::channel::<B>(WAITING);
        let thread = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = queue.blocking_recv() {
                if let Err(error) = sink.write(chunk.as_ref()) {
                    return (sink, Err(error));
                }
            }
            (sink, Ok(()))
        });
        Self { chunks, thread }
    }

    async fn end(self) -> (S, io::Result<()>) {
        drop(self.chunks);
        match self.thread.await {
            Ok(ended) => ended,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Session {
    /// Reads a body into the sink and hands it back with what happened; stops at once where the bound is passed.
    pub(super) async fn read<S: Sink>(
        &self,
        request: &Request,
        promise: &Promise,
        mut response: reqwest::Response,
        sink: S,
        until: Instant,
    ) -> (S, Result<(), FetchError>) {
        let url = || promise.url.clone();
        let download = &self.shared.download;
        let mut received = sink.written();
        let mut stall = Stall::new(download.stall);
        let writer = Writer::start(sink);
        let result = loop {
            let begun = Instant::now();
            let patience = stall.patience().min(until.saturating_duration_since(begun));
            match tokio::time::timeout(patience, response.chunk()).await {
                Err(_) if Instant::now() >= until => {
                    break Err(FetchError::Deadline {
                        url: url(),
                        within: download.deadline,
                        found: received,
                    });
                }
                Err(_) => {
                    break Err(FetchError::Stalled { url: url(), within: download.stall, found: received });
                }
                Ok(Err(error)) => {
                    tracing::debug!("`{}`: {}", promise.url, super::client::causes(&error));
                    break Err(FetchError::Cut { url: url(), expected: promise.total, found: received });
                }
                Ok(Ok(None)) => break Ok(()),
                Ok(Ok(Some(chunk))) => {
                    let len = chunk.len();
                    if received + len as u64 > request.bound {
                        break Err(FetchError::TooLong { url: url(), bound: request.bound });
                    }
                    if !stall.note(len, begun.elapsed()) {
                        break Err(FetchError::Stalled {
                            url: url(),
                            within: download.stall,
                            found: received,
                        });
                    }
                    received += len as u64;
                    self.shared.told(&request.task, delta(len as u64));
                    if writer.chunks.send(chunk).await.is_err() {
                        break Ok(());
                    }
                    self.shared.rate.take(len).await;
                }
            }
        };
        // a connection that is not read to its end is closed now, not when the sink is done
        drop(response);
        let (sink, written) = writer.end().await;
        if let Err(source) = written {
            return (sink, Err(FetchError::Sink { url: url(), source }));
        }
        let result = result.and_then(|()| match promise.total {
            // without a Content-Length a cut looks like an end
            Some(total) if received < total => {
                Err(FetchError::Cut { url: url(), expected: promise.total, found: received })
            }
            Some(total) if received > total => {
                Err(FetchError::Length { url: url(), expected: total, found: received })
            }
            _ => Ok(()),
        });
        (sink, result)
    }
}
