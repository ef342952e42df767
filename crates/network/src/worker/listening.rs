//! The listeners of the start, until each knows an address. The event loop runs meanwhile: what
//! happens before the last one does, such as a neighbour that is found, is not lost.

use std::{collections::HashSet, io};

use libp2p::{Multiaddr, core::transport::ListenerId};
use tokio::sync::oneshot;

use crate::error::StartError;

/// Reports once that all listeners of the start have an address, or that one failed before.
pub(crate) struct Listening {
    pending: HashSet<ListenerId>,
    report: Option<oneshot::Sender<Result<(), StartError>>>,
}

impl Listening {
    pub(crate) fn new(
        pending: HashSet<ListenerId>,
    ) -> (Self, oneshot::Receiver<Result<(), StartError>>) {
        let (report, listens) = oneshot::channel();
        let mut listening = Self {
            pending,
            report: Some(report),
        };
        listening.report_if_all();
        (listening, listens)
    }

    pub(super) fn has_address(&mut self, listener: ListenerId) {
        self.pending.remove(&listener);
        self.report_if_all();
    }

    pub(super) fn closed(
        &mut self,
        listener: ListenerId,
        addresses: &[Multiaddr],
        reason: Result<(), io::Error>,
    ) {
        if self.pending.remove(&listener)
            && let Err(source) = reason
        {
            let address = addresses.last().cloned().unwrap_or_else(Multiaddr::empty);
            self.report(Err(StartError::Listen { address, source }));
        }
        self.report_if_all();
    }

    fn report_if_all(&mut self) {
        if self.pending.is_empty() {
            self.report(Ok(()));
        }
    }

    fn report(&mut self, outcome: Result<(), StartError>) {
        if let Some(report) = self.report.take() {
            // The start has given up waiting: what fails now is no reason not to start.
            let _ = report.send(outcome);
        }
    }
}
