//! One pull, as its driver, its writer and its readers share it.

use std::{ops::Range, sync::Arc, time::Duration};

use hubless_store::IncomingReader;
use tokio::{sync::watch, time::Instant};

use super::{
    candidates::Listing,
    state::{Grant, Input, Output, Pull},
};

/// A pull's state, and where the bytes of the upstream can be read. Every subscriber sees each
/// change.
pub(crate) struct Shared {
    begun: Instant,
    current: watch::Sender<Current>,
}

struct Current {
    pull: Pull,
    /// What the upstream sent, proven or not; none before it sends.
    body: Option<IncomingReader>,
}

/// Whether a reader may join a pull.
pub(crate) enum Join {
    Joined(Reader),
    /// It would have to wait for what comes before its range.
    Far,
    /// The pull has failed.
    Over,
}

/// A reader of a pull, which counts until it is dropped.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    changes: watch::Receiver<Current>,
}

/// Follows the changes of a pull.
pub(crate) struct Changes(watch::Receiver<Current>);

impl Shared {
    pub(crate) fn new(size: u64, listing: Listing) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            current: watch::Sender::new(Current {
                pull: Pull::new(size, listing),
                body: None,
            }),
        })
    }

    /// Reports what happened.
    pub(crate) fn handle(&self, input: Input) {
        let now = self.now();
        self.current
            .send_modify(|current| current.pull.handle(now, input));
    }

    /// The upstream sends; its bytes can be read from now on, `written` of them at once.
    pub(crate) fn begin_body(&self, body: IncomingReader) {
        let (now, written) = (self.now(), body.written());
        self.current.send_modify(|current| {
            current.body = Some(body);
            current.pull.handle(now, Input::Written(written));
        });
    }

    /// The next thing that the driver has to do.
    pub(crate) fn poll_output(&self) -> Option<Output> {
        let mut output = None;
        self.current.send_if_modified(|current| {
            output = current.pull.poll_output();
            false
        });
        output
    }

    /// When [`Input::Tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadline = self.current.borrow().pull.deadline();
        deadline.map(|deadline| self.begun + deadline)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.current.borrow().pull.has_ended()
    }

    pub(crate) fn is_of_peers_only(&self) -> bool {
        self.current.borrow().pull.is_of_peers_only()
    }

    pub(crate) fn keeps_part(&self) -> bool {
        self.current.borrow().pull.keeps_part()
    }

    pub(crate) fn body(&self) -> Option<IncomingReader> {
        self.current.borrow().body.clone()
    }

    pub(crate) fn changes(&self) -> Changes {
        Changes(self.current.subscribe())
    }

    /// Counts a reader, if it may join: one that would rather read elsewhere than wait long says
    /// where its range begins.
    pub(crate) fn join(self: &Arc<Self>, near: Option<u64>) -> Join {
        let mut is_near = None;
        self.count(|pull| {
            let decide = || near.is_none_or(|offset| pull.is_near(offset));
            is_near = pull.is_joinable().then(decide);
            (is_near == Some(true)).then_some(Input::ReaderJoined)
        });
        match is_near {
            Some(true) => Join::Joined(Reader {
                changes: self.current.subscribe(),
                shared: self.clone(),
            }),
            Some(false) => Join::Far,
            None => Join::Over,
        }
    }

    /// Readers come and go often: the others are woken only if another deadline follows.
    fn count(&self, decide: impl FnOnce(&Pull) -> Option<Input>) {
        let now = self.now();
        self.current.send_if_modified(|current| {
            let Some(input) = decide(&current.pull) else {
                return false;
            };
            let before = current.pull.deadline();
            current.pull.handle(now, input);
            current.pull.deadline() != before
        });
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Reader {
    /// What the reader may have now of a range.
    pub(crate) fn grant(&mut self, range: &Range<u64>) -> Grant {
        self.changes.borrow_and_update().pull.grant(range)
    }

    /// Waits until the pull has changed since the last [`Reader::grant`].
    pub(crate) async fn changed(&mut self) {
        // Fails only without a sender, and `shared` has it.
        let _ = self.changes.changed().await;
    }

    pub(crate) fn body(&self) -> Option<IncomingReader> {
        self.shared.body()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.count(|_| Some(Input::ReaderLeft));
    }
}

impl Changes {
    /// Waits until the pull has changed since the last call; as long as it exists.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
