//! The addresses that this node listens on, and the listeners of the start until each knows one.
//! The event loop runs meanwhile: what happens before the last one does, such as a neighbour that is
//! found, is not lost.

use std::{cmp::Reverse, collections::HashSet, io};

use hubless_address::{Reach, is_quic, with_peer_id};
use libp2p::{Multiaddr, PeerId, Swarm, core::transport::ListenerId};
use tokio::sync::{oneshot, watch};

use super::behaviour::Behaviour;
use crate::error::StartError;

/// Reports once that all listeners of the start have an address, or that one failed before.
pub(crate) struct Listening {
    pending: HashSet<ListenerId>,
    report: Option<oneshot::Sender<Result<(), StartError>>>,
    addresses: watch::Sender<Vec<Multiaddr>>,
}

impl Listening {
    pub(crate) fn new(
        pending: HashSet<ListenerId>,
        addresses: watch::Sender<Vec<Multiaddr>>,
    ) -> (Self, oneshot::Receiver<Result<(), StartError>>) {
        let (report, listens) = oneshot::channel();
        let mut listening = Self {
            pending,
            report: Some(report),
            addresses,
        };
        listening.report_if_all();
        (listening, listens)
    }

    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        self.addresses.borrow().clone()
    }

    /// Publishes where the node listens now. Public addresses first, TCP before QUIC: peers keep
    /// only the first few.
    pub(super) fn publish(&self, swarm: &Swarm<Behaviour>, local: PeerId) {
        let mut addresses: Vec<_> = swarm.listeners().cloned().collect();
        addresses.sort_by_cached_key(|address| {
            (
                Reverse(Reach::of(address)),
                is_quic(address),
                address.to_string(),
            )
        });
        let addresses = addresses
            .into_iter()
            .map(|address| with_peer_id(address, local));
        self.addresses.send_replace(addresses.collect());
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
