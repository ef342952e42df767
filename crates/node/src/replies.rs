//! The channel between a request's caller and its worker.

use bytes::Bytes;
use hubless_transfer::ProgressSink;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api::{Event, Failure, Reply};

/// Queued replies. Data pieces are at most a chunk, so this is 4 MiB.
const REPLIES_MAX: usize = 16;

/// The replies to one request. Dropping it cancels the work.
#[derive(Debug)]
pub struct Replies {
    receiver: mpsc::Receiver<Reply>,
    _cancel_on_drop: DropGuard,
}

impl Replies {
    /// The next reply; `None` after the last one.
    pub async fn next(&mut self) -> Option<Reply> {
        self.receiver.recv().await
    }
}

/// The worker's end.
#[derive(Debug, Clone)]
pub(crate) struct ReplySink {
    sender: mpsc::Sender<Reply>,
    cancel: CancellationToken,
}

/// Both ends. The work is also cancelled with `parent`.
pub(crate) fn replies(parent: &CancellationToken) -> (ReplySink, Replies) {
    let (sender, receiver) = mpsc::channel(REPLIES_MAX);
    let cancel = parent.child_token();
    let _cancel_on_drop = cancel.clone().drop_guard();
    (
        ReplySink { sender, cancel },
        Replies {
            receiver,
            _cancel_on_drop,
        },
    )
}

impl ReplySink {
    /// Sends an event, or drops it if the caller is slow: a later one has newer figures.
    pub(crate) fn event(&self, event: Event) {
        let _ = self.sender.try_send(Reply::Event(event));
    }

    /// Sends the next bytes.
    ///
    /// # Errors
    /// If the caller left.
    pub(crate) async fn data(&self, bytes: Bytes) -> Result<(), Failure> {
        self.sender
            .send(Reply::Data(bytes))
            .await
            .map_err(|_| interrupted())
    }

    /// Sends the last reply.
    pub(crate) async fn end(&self, result: Result<serde_json::Value, Failure>) {
        let reply = match result {
            Ok(value) => Reply::Done(value),
            Err(failure) => Reply::Failed(failure),
        };
        let _ = self.sender.send(reply).await;
    }

    /// Forwards a reply.
    pub(crate) async fn forward(&self, reply: Reply) -> Result<(), Failure> {
        self.sender.send(reply).await.map_err(|_| interrupted())
    }

    /// The sink for a fetch's progress, until the caller leaves.
    pub(crate) fn of_fetch(&self) -> ProgressSink {
        let sink = self.clone();
        ProgressSink::new(self.cancel.clone(), move |progress| {
            sink.event(Event::Progress {
                state: progress.state,
                bytes_verified: progress.bytes_verified,
                bytes_total: progress.bytes_total,
                sources: progress.sources,
                stall: progress.stall,
            });
        })
    }

    /// Whether the caller left, or the node stops.
    /// Whether the caller went away, or the node stops.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Waits until the caller leaves or the node stops.
    pub(crate) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }
}

/// The failure when the caller left or the node stops.
pub(crate) use hubless_transfer::interrupted;
