//! The two ends between a request's caller and its worker.

use bytes::Bytes;
use hubless_transfer::ProgressSink;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api::{Event, Failure, Reply};

/// Replies on the way to the caller. Data pieces are at most a chunk, so this is 4 MiB.
const REPLIES_MAX: usize = 16;

/// What comes back for one request. Dropping it cancels the work.
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

/// Both ends. The work is also to stop when `parent` is cancelled.
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
    /// Sends an event, or drops it when the caller is slow: the next one says more.
    pub(crate) fn event(&self, event: Event) {
        let _ = self.sender.try_send(Reply::Event(event));
    }

    /// Sends the next bytes.
    ///
    /// # Errors
    /// If the caller went away.
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

    /// Passes a reply on.
    pub(crate) async fn forward(&self, reply: Reply) -> Result<(), Failure> {
        self.sender.send(reply).await.map_err(|_| interrupted())
    }

    /// Whether the caller went away, or the node stops.
    /// Where a fetch reports its progress for the caller, until the caller leaves.
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

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Ends when the caller goes away, or the node stops.
    pub(crate) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }
}

/// The caller went away, or the node stops.
pub(crate) use hubless_transfer::interrupted;
