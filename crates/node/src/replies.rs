//! The channel between the caller of a call and the task that does its work.

use bytes::Bytes;
use hubless_transfer::ProgressSink;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    event::Event,
    failure::interrupted,
    failure::{Failure, FailureKind},
    remedy::Remedy,
};

/// Queued updates. Data pieces are at most a chunk, so this is 4 MiB.
const UPDATES_MAX: usize = 16;

/// What a call sends before its answer.
#[derive(Debug)]
pub enum Update {
    /// An event of the running work.
    Event(Event),
    /// The next bytes of the requested file.
    Data(Bytes),
}

/// The replies to one call: any number of updates, then one answer or failure. Dropping it cancels
/// the work.
#[derive(Debug)]
pub struct Replies<A> {
    /// `None` marks the end: the answer has been sent.
    updates: mpsc::Receiver<Option<Update>>,
    end: oneshot::Receiver<Result<A, Failure>>,
    _cancel_on_drop: DropGuard,
}

impl<A> Replies<A> {
    /// The next update; `None` once the work has ended.
    pub async fn next(&mut self) -> Option<Update> {
        let update = self.updates.recv().await.flatten();
        if update.is_none() {
            self.updates.close();
        }
        update
    }

    /// Waits for the end of the work. Updates that were not received are dropped.
    ///
    /// # Errors
    /// The failure of the call.
    pub async fn answer(mut self) -> Result<A, Failure> {
        while self.next().await.is_some() {}
        self.end.await.unwrap_or_else(|_| Err(unanswered()))
    }
}

/// The failure of a call whose work ended without an answer.
fn unanswered() -> Failure {
    let message = "the node ended before it had answered";
    Failure::new(FailureKind::Other, message).remedy(Remedy::TryAgain)
}

/// Where the work of a call sends its updates.
#[derive(Debug, Clone)]
pub struct ReplySink {
    updates: mpsc::Sender<Option<Update>>,
    cancel: CancellationToken,
}

/// Where the answer is sent, once.
#[derive(Debug)]
pub(crate) struct End<A>(oneshot::Sender<Result<A, Failure>>);

/// All ends of a channel. The work is also cancelled with `parent`.
pub(crate) fn replies<A>(parent: &CancellationToken) -> (ReplySink, End<A>, Replies<A>) {
    let (sender, updates) = mpsc::channel(UPDATES_MAX);
    let (end, received) = oneshot::channel();
    let cancel = parent.child_token();
    let _cancel_on_drop = cancel.clone().drop_guard();
    let sink = ReplySink {
        updates: sender,
        cancel,
    };
    let replies = Replies {
        updates,
        end: received,
        _cancel_on_drop,
    };
    (sink, End(end), replies)
}

impl<A> End<A> {
    /// Sends the answer or the failure, after all updates of `sink`.
    pub(crate) async fn send(self, sink: &ReplySink, answer: Result<A, Failure>) {
        // A caller that left wants no answer.
        let _ = self.0.send(answer);
        let _ = sink.updates.send(None).await;
    }
}

impl ReplySink {
    /// Sends an event, or drops it if the caller is slow: a later one has newer figures.
    pub(crate) fn event(&self, event: Event) {
        let _ = self.updates.try_send(Some(Update::Event(event)));
    }

    /// Sends the next bytes.
    ///
    /// # Errors
    /// If the caller left.
    pub(crate) async fn data(&self, bytes: Bytes) -> Result<(), Failure> {
        self.forward(Update::Data(bytes)).await
    }

    /// Forwards an update.
    ///
    /// # Errors
    /// If the caller left.
    pub(crate) async fn forward(&self, update: Update) -> Result<(), Failure> {
        let sent = self.updates.send(Some(update)).await;
        sent.map_err(|_| interrupted())
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
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Waits until the caller leaves or the node stops.
    pub(crate) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(update: Option<Update>) -> Bytes {
        match update {
            Some(Update::Data(bytes)) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn all_updates_come_before_the_answer() {
        let (sink, end, mut replies) = replies(&CancellationToken::new());
        sink.data("a".into()).await.unwrap();
        sink.data("b".into()).await.unwrap();
        end.send(&sink, Ok(7)).await;
        assert_eq!(data(replies.next().await), "a");
        assert_eq!(data(replies.next().await), "b");
        assert!(replies.next().await.is_none());
        assert_eq!(replies.answer().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_that_ends_with_its_sink_in_use_elsewhere_is_still_answered() {
        let (sink, end, mut replies) = replies(&CancellationToken::new());
        let _longer = sink.clone();
        end.send(&sink, Ok(7)).await;
        assert!(replies.next().await.is_none());
        assert!(replies.next().await.is_none(), "the end stays the end");
        assert_eq!(replies.answer().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_that_ends_without_an_answer_is_a_failure() {
        let (sink, end, replies) = replies::<()>(&CancellationToken::new());
        drop((sink, end));
        let failure = replies.answer().await.unwrap_err();
        assert_eq!(failure.remedy, Some(Remedy::TryAgain));
    }

    #[tokio::test]
    async fn work_is_cancelled_when_its_caller_leaves() {
        let (sink, _end, replies) = replies::<()>(&CancellationToken::new());
        assert!(!sink.is_cancelled());
        drop(replies);
        assert!(sink.is_cancelled());
        assert!(sink.data("a".into()).await.is_err());
    }
}
