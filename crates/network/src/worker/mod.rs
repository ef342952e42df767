//! The task that owns the swarm: commands and events in, actions on the swarm out.
//!
//! The [`Worker`] only routes. What it knows is kept by the handle that decides on it:
//!
//! ```text
//! dialer        dials for callers, configured peers (contacts) and neighbours
//! dht           what the node does through kad: announcing, walks, records of other nodes
//! peers         connected peers and neighbours
//! reachability  how this node can be reached, and its relays
//! listening     the addresses that it listens on
//! behaviour     the libp2p protocols, put together
//! ```

pub(crate) mod behaviour;
mod contacts;
pub(crate) mod dht;
mod dialer;
mod dials;
mod events;
mod listening;
mod peers;
mod reachability;

use std::time::Duration;

use futures::StreamExt as _;
use hubless_content::VerifiedHead;
use hubless_dht::{AnnounceKey, Priority, RecordBatch};
use hubless_transport::{
    bans::Bans,
    guard::DialPolicy,
    lane::Lanes,
    streams::{Purpose, StreamReply},
};
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast, mpsc, oneshot},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

pub(crate) use self::listening::Listening;
use self::{
    behaviour::Behaviour,
    dht::{Dht, FindValues},
    dialer::Dialer,
    dials::ConnectReply,
    peers::Peers,
    reachability::{OwnReach, public_addresses},
};
use crate::{
    config::NetworkConfig,
    exchange::{Server, Violation},
    info::{NetworkEvent, NetworkStatus, PeerInfo, Provider},
};

/// Interval of periodic work: dials, relays, announcements.
const TICK: Duration = Duration::from_secs(1);

/// How long connections may take to be closed in good order at the end.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// Commands of the handle.
pub(crate) enum Cmd {
    Connect {
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        reply: ConnectReply,
    },
    Disconnect {
        peer: PeerId,
    },
    OpenStream {
        peer: PeerId,
        purpose: Purpose,
        reply: StreamReply,
    },
    Peers {
        reply: oneshot::Sender<Vec<PeerInfo>>,
    },
    Status {
        reply: oneshot::Sender<NetworkStatus>,
    },
    Announce {
        keys: Vec<(AnnounceKey, Priority)>,
    },
    Withdraw {
        keys: Vec<AnnounceKey>,
    },
    SetAnnounced {
        keys: Vec<(AnnounceKey, Priority)>,
    },
    Find {
        key: AnnounceKey,
        found: mpsc::Sender<Provider>,
        permit: OwnedSemaphorePermit,
    },
    FindValues {
        key: AnnounceKey,
        request: FindValues,
    },
    PutValue {
        head: Box<VerifiedHead>,
        nodes: Vec<PeerId>,
        took: oneshot::Sender<usize>,
    },
    Hold {
        head: Box<VerifiedHead>,
    },
    Release {
        key: AnnounceKey,
    },
}

/// What the worker takes over at the start.
pub(crate) struct WorkerArgs {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) listening: Listening,
    pub(crate) bans: Bans,
    pub(crate) policy: DialPolicy,
    pub(crate) server: Server,
    pub(crate) lanes: Lanes,
    pub(crate) cmds: mpsc::Receiver<Cmd>,
    pub(crate) violations: mpsc::Receiver<Violation>,
    pub(crate) batches: mpsc::Sender<RecordBatch>,
    pub(crate) events: broadcast::Sender<NetworkEvent>,
    pub(crate) stop: CancellationToken,
}

/// Owns the swarm until it is stopped or the last handle is dropped.
pub(crate) struct Worker {
    swarm: Swarm<Behaviour>,
    local: PeerId,
    cmds: mpsc::Receiver<Cmd>,
    violations: mpsc::Receiver<Violation>,
    events: broadcast::Sender<NetworkEvent>,
    stop: CancellationToken,
    server: Server,
    lanes: Lanes,
    listening: Listening,
    peers: Peers,
    dialer: Dialer,
    dht: Dht,
    reach: OwnReach,
}

impl Worker {
    pub(crate) fn new(args: WorkerArgs, config: &NetworkConfig) -> Self {
        let mut swarm = args.swarm;
        let local = *swarm.local_peer_id();
        let dht = Dht::new(
            local,
            args.bans,
            args.policy.clone(),
            config.republish_interval,
            &mut swarm.behaviour_mut().kad,
            args.batches,
        );
        let worker = Self {
            swarm,
            local,
            cmds: args.cmds,
            violations: args.violations,
            events: args.events,
            stop: args.stop,
            server: args.server,
            lanes: args.lanes,
            listening: args.listening,
            peers: Peers::default(),
            dialer: Dialer::new(args.policy, config),
            dht,
            reach: OwnReach::default(),
        };
        worker.publish_addresses();
        worker
    }

    /// Runs to the end, which includes closing all connections.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(violation) = self.violations.recv() => self.on_violation(violation),
                cmd = self.cmds.recv() => match cmd {
                    Some(cmd) => self.on_cmd(cmd),
                    None => break,
                },
                _ = tick.tick() => self.on_tick(),
            }
        }
        self.stop.cancel();
        self.close().await;
    }

    async fn close(mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // Fails only for peers that left by themselves.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        if tokio::time::timeout(CLOSE_TIME_MAX, closed).await.is_err() {
            debug!("some connections were cut off");
        }
        self.dht
            .write_all(&mut self.swarm.behaviour_mut().kad)
            .await;
    }

    fn on_cmd(&mut self, cmd: Cmd) {
        let behaviour = self.swarm.behaviour_mut();
        match cmd {
            Cmd::Connect {
                peer,
                addresses,
                reply,
            } => self.dialer.connect(&mut self.swarm, peer, addresses, reply),
            Cmd::Disconnect { peer } => self.disconnect(peer),
            Cmd::OpenStream {
                peer,
                purpose,
                reply,
            } => behaviour.streams.open(peer, purpose, reply),
            // The caller may be gone; ignore the error.
            Cmd::Peers { reply } => {
                let _ = reply.send(self.peer_infos());
            }
            Cmd::Status { reply } => {
                let _ = reply.send(self.status());
            }
            Cmd::Announce { keys } => self.dht.announce(&mut behaviour.kad, keys),
            Cmd::Withdraw { keys } => self.dht.withdraw(&mut behaviour.kad, keys),
            Cmd::SetAnnounced { keys } => self.dht.set_announced(&mut behaviour.kad, keys),
            Cmd::Find { key, found, permit } => {
                self.dht.find(&mut behaviour.kad, key, found, permit);
            }
            Cmd::FindValues { key, request } => {
                self.dht.find_values(&mut behaviour.kad, key, request);
            }
            Cmd::PutValue { head, nodes, took } => {
                self.dht.put_value(&mut behaviour.kad, &head, nodes, took);
            }
            Cmd::Hold { head } => dht::hold(&mut behaviour.kad, &head),
            Cmd::Release { key } => dht::release(&mut behaviour.kad, key),
        }
    }

    fn on_tick(&mut self) {
        self.dialer
            .dial_contacts(&mut self.swarm, self.peers.is_empty());
        self.reach.seek_relays(&mut self.swarm, &self.peers);
        self.dht.tick(&mut self.swarm.behaviour_mut().kad);
    }

    /// The peer is disconnected whatever connection it broke the rule on.
    fn on_violation(&mut self, Violation { peer, rule }: Violation) {
        info!(%peer, rule = &rule as &dyn std::error::Error, "disconnecting a peer");
        if self.swarm.is_connected(&peer) {
            self.peers.broke_rule(peer, rule);
            self.disconnect(peer);
        }
    }

    fn disconnect(&mut self, peer: PeerId) {
        if self.swarm.disconnect_peer_id(peer).is_err() {
            debug!(%peer, "is not connected");
        }
    }

    fn peer_infos(&self) -> Vec<PeerInfo> {
        let mut infos = self.peers.infos();
        for info in &mut infos {
            info.lanes = self.lanes.open_with(&info.peer_id);
        }
        infos
    }

    fn status(&mut self) -> NetworkStatus {
        NetworkStatus {
            addresses: self.listening.addresses(),
            external_addresses: public_addresses(&self.swarm).cloned().collect(),
            reachability: self.reach.now(),
            peers: self.peers.len(),
            dht: self.dht.status(&mut self.swarm.behaviour_mut().kad),
        }
    }

    fn publish_addresses(&self) {
        self.listening.publish(&self.swarm, self.local);
    }

    fn emit(&self, event: NetworkEvent) {
        // Fails only without a subscriber.
        let _ = self.events.send(event);
    }
}
