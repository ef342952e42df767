//! What all parts of a node that move bytes share. It imports none of them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use hubless_network::{Network, PeerId};
use hubless_store::Store;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    blocking::Blocking,
    busy::Busy,
    counters::Counters,
    failure::{Failure, FailureKind},
};

/// How long a peer that sent wrong bytes stays banned. Long enough that a lie costs more than it
/// gains; short enough that a repaired disk is welcome the next day.
const BAN_FOR_WRONG_BYTES: Duration = Duration::from_secs(6 * 3600);

/// The store, the network, the counters and the life of one node.
pub struct Context {
    /// What is held.
    pub store: Store,
    /// The peer id of this node.
    pub own_id: PeerId,
    /// The one way from tasks to calls that block.
    pub blocking: Blocking,
    /// Set when the node joins the network; until then it only works on its store.
    network: OnceLock<Network>,
    /// Foreground work, to which background work yields.
    pub busy: Busy,
    /// What is counted since the start.
    pub counters: Arc<Counters>,
    /// What is held, pinned or known changed.
    changed: watch::Sender<()>,
    /// All tasks of the node.
    pub tasks: TaskTracker,
    /// Cancelled when the node stops.
    pub cancel: CancellationToken,
}

/// Reports changes; several between two calls are one.
pub struct Changes(watch::Receiver<()>);

impl Changes {
    /// Ends when something changed since the last call.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The node is gone, and with it what could change.
            std::future::pending::<()>().await;
        }
    }
}

impl Context {
    /// The context of a node that has not joined the network.
    pub fn new(store: Store, own_id: PeerId) -> Arc<Self> {
        Arc::new(Self {
            store,
            own_id,
            blocking: Blocking::default(),
            network: OnceLock::new(),
            busy: Busy::default(),
            counters: Arc::default(),
            changed: watch::Sender::new(()),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        })
    }

    /// To be called once, when the network has started.
    pub fn set_network(&self, network: Network) {
        // The caller starts one network for a context: a second one has no place.
        let _ = self.network.set(network);
    }

    /// The network.
    ///
    /// # Errors
    /// If this process did not join one.
    pub fn network(&self) -> Result<&Network, Failure> {
        self.network.get().ok_or_else(|| {
            Failure::new(FailureKind::Other, "no node runs on this home directory")
                .hint("start one with `hubless serve`, in another terminal or as a service")
        })
    }

    /// To be called when content came or went, or more is known about it.
    pub fn note_change(&self) {
        self.changed.send_replace(());
    }

    /// The changes from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.changed.subscribe())
    }

    /// Bans a peer that sent wrong bytes.
    pub async fn reject(&self, peer: PeerId) {
        if let Ok(network) = self.network() {
            self.counters.bans.count();
            network.ban(peer, BAN_FOR_WRONG_BYTES).await;
        }
    }
}
