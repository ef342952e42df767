//! The state shared by all parts of a node that transfer bytes. It imports none of them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use hubless_network::{Network, PeerId};
use hubless_store::Store;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{blocking::Blocking, busy::Busy, counters::Counters, error::TransferError};

/// How long a peer that sent wrong bytes stays banned: long enough that a lie costs more than it
/// gains, short enough that a peer with a repaired disk can return the next day.
const BAN_FOR_WRONG_BYTES: Duration = Duration::from_secs(6 * 3600);

/// The store, the network, the counters and the life of one node.
pub struct Context {
    /// What is held.
    pub store: Store,
    /// The peer id of this node.
    pub own_id: PeerId,
    /// Runs blocking calls; the only way from tasks to the store.
    pub blocking: Blocking,
    /// Set when the node joins the network; before, it works on its store only.
    network: OnceLock<Network>,
    /// Foreground work, to which background work yields.
    pub busy: Busy,
    /// Counters since the start.
    pub counters: Arc<Counters>,
    /// Signals that held, pinned or known content changed.
    changed: watch::Sender<()>,
    /// All tasks of the node.
    pub tasks: TaskTracker,
    /// Cancelled when the node stops.
    pub cancel: CancellationToken,
}

/// Reports changes of the store; several between two calls count as one.
pub struct Changes(watch::Receiver<()>);

impl Changes {
    /// Waits until something has changed since the last call.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The node is gone: nothing can change any more.
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

    /// Sets the network; called once, when it has started.
    pub fn set_network(&self, network: Network) {
        // A caller starts one network for a context, so this cannot fail.
        let _ = self.network.set(network);
    }

    /// The network.
    ///
    /// # Errors
    /// If this process did not join one.
    pub fn network(&self) -> Result<&Network, TransferError> {
        self.network.get().ok_or(TransferError::NoNode)
    }

    /// Signals that content was added or removed, or more is known about it.
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
