//! The task that owns the swarm: commands and events in, actions on the swarm out.

pub(crate) mod behaviour;
mod contacts;
mod dials;
mod events;
mod listening;
mod peers;
mod reachability;

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::Endpoint,
    kad,
    swarm::{
        ConnectionId, NetworkBehaviour as _,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast, mpsc, oneshot, watch},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

pub(crate) use self::listening::Listening;
use self::{
    behaviour::Behaviour,
    contacts::{Contacts, Kind},
    dials::{ConnectReply, Dials, connect_error},
    peers::Peers,
    reachability::Relays,
};
use crate::{
    config::NetworkConfig,
    dht::{
        announcer::Priority,
        announcing::{Announcing, DhtStatus},
        lookups::{Lookups, Provider},
        records::{AnnounceKey, RecordBatch},
    },
    error::ConnectError,
    exchange::{Answerers, ExchangeError, Violation},
    info::{NetworkEvent, NetworkStatus, PeerInfo, Reachability},
    transport::{
        bans::Bans,
        guard::DialPolicy,
        lane::Lanes,
        reach::{Reach, is_meant_for_us, is_quic, split_peer_id, with_peer_id},
        streams::{Purpose, StreamReply},
    },
};

/// What is done from time to time is looked at this often.
const TICK: Duration = Duration::from_secs(1);

/// How long connections may take to be closed in good order at the end.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// Addresses tried for one peer. Peers name four on average; dialling more than this would make us
/// a tool for knocking at others.
const ADDRESSES_PER_DIAL_MAX: usize = 16;

/// Peers of the local network that are kept connected. A larger one is found through the DHT.
const LAN_PEERS_MAX: usize = 64;

/// What the handle asks for.
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
}

/// What the worker is made of.
pub(crate) struct WorkerArgs {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) listening: Listening,
    pub(crate) bans: Bans,
    pub(crate) policy: DialPolicy,
    pub(crate) answerers: Answerers,
    pub(crate) lanes: Lanes,
    pub(crate) cmds: mpsc::Receiver<Cmd>,
    pub(crate) violations: mpsc::Receiver<Violation>,
    pub(crate) batches: mpsc::Sender<RecordBatch>,
    pub(crate) addresses: watch::Sender<Vec<Multiaddr>>,
    pub(crate) events: broadcast::Sender<NetworkEvent>,
    pub(crate) stop: CancellationToken,
}

/// Owns the swarm until it is told to stop or nobody holds a handle any more.
pub(crate) struct Worker {
    swarm: Swarm<Behaviour>,
    listening: Listening,
    local: PeerId,
    bans: Bans,
    policy: DialPolicy,
    answerers: Answerers,
    lanes: Lanes,
    cmds: mpsc::Receiver<Cmd>,
    violations: mpsc::Receiver<Violation>,
    addresses: watch::Sender<Vec<Multiaddr>>,
    events: broadcast::Sender<NetworkEvent>,
    stop: CancellationToken,
    peers: Peers,
    contacts: Contacts,
    dials: Dials,
    lookups: Lookups,
    announcing: Announcing,
    lan: HashSet<PeerId>,
    reachability: Reachability,
    relays: Relays,
    /// Why peers are being disconnected; bounded by the number of connections.
    broken_rules: HashMap<PeerId, Arc<ExchangeError>>,
}

impl Worker {
    pub(crate) fn new(args: WorkerArgs, config: &NetworkConfig) -> Self {
        let WorkerArgs {
            mut swarm,
            bans,
            answerers,
            lanes,
            cmds,
            violations,
            ..
        } = args;
        let now = Instant::now();
        let mut contacts = Contacts::default();
        contacts.add(&config.bootstrap, Kind::Bootstrap, now);
        contacts.add(&config.static_peers, Kind::Static, now);
        let local = *swarm.local_peer_id();
        let interval = config.republish_interval;
        let announcing = Announcing::new(
            local,
            interval,
            &mut swarm.behaviour_mut().kad,
            args.batches,
        );
        let worker = Self {
            local,
            swarm,
            listening: args.listening,
            bans,
            policy: args.policy,
            answerers,
            lanes,
            cmds,
            violations,
            addresses: args.addresses,
            events: args.events,
            stop: args.stop,
            peers: Peers::default(),
            contacts,
            dials: Dials::default(),
            lookups: Lookups::default(),
            announcing,
            lan: HashSet::new(),
            reachability: Reachability::Unknown,
            relays: Relays::default(),
            broken_rules: HashMap::new(),
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
        self.announcing
            .write_all(&mut self.swarm.behaviour_mut().kad)
            .await;
    }

    fn peer_infos(&self) -> Vec<PeerInfo> {
        let mut infos = self.peers.infos();
        for info in &mut infos {
            info.is_local = self.lan.contains(&info.peer_id);
            info.lanes = self.lanes.open_with(&info.peer_id);
        }
        infos
    }

    fn on_cmd(&mut self, cmd: Cmd) {
        match cmd {
            Cmd::Connect {
                peer,
                addresses,
                reply,
            } => self.connect(peer, addresses, reply),
            Cmd::Disconnect { peer } => self.disconnect(peer),
            Cmd::OpenStream {
                peer,
                purpose,
                reply,
            } => {
                let streams = &mut self.swarm.behaviour_mut().streams;
                streams.open(peer, purpose, reply);
            }
            // Who asked may have left; that is no matter of ours.
            Cmd::Peers { reply } => drop(reply.send(self.peer_infos())),
            Cmd::Status { reply } => drop(reply.send(self.status())),
            Cmd::Announce { keys } => self
                .announcing
                .add(&mut self.swarm.behaviour_mut().kad, keys),
            Cmd::Withdraw { keys } => {
                self.announcing
                    .remove(&mut self.swarm.behaviour_mut().kad, keys);
            }
            Cmd::SetAnnounced { keys } => {
                self.announcing
                    .set(&mut self.swarm.behaviour_mut().kad, keys);
            }
            Cmd::Find { key, found, permit } => {
                let query = self.swarm.behaviour_mut().kad.get_providers(key.into());
                self.lookups.begun(query, found, permit);
            }
        }
    }

    fn on_tick(&mut self) {
        self.dial_contacts();
        self.seek_relays();
        let has_dht = self.routing_peers() > 0;
        self.announcing.tick(
            &mut self.swarm.behaviour_mut().kad,
            has_dht,
            SystemTime::now(),
        );
    }

    /// The peer is disconnected whatever connection it broke the rule on.
    fn on_violation(&mut self, Violation { peer, rule }: Violation) {
        info!(%peer, rule = &rule as &dyn std::error::Error, "disconnecting a peer");
        if self.swarm.is_connected(&peer) {
            self.broken_rules.insert(peer, Arc::new(rule));
            self.disconnect(peer);
        }
    }

    fn disconnect(&mut self, peer: PeerId) {
        if self.swarm.disconnect_peer_id(peer).is_err() {
            debug!(%peer, "is not connected");
        }
    }

    fn connect(&mut self, peer: Option<PeerId>, addresses: Vec<Multiaddr>, reply: ConnectReply) {
        // Who does not wait for the reply any more need not get it.
        if let Some(peer) = peer.filter(|peer| self.swarm.is_connected(peer)) {
            return drop(reply.send(Ok(peer)));
        }
        if self.dials.is_full() {
            return drop(reply.send(Err(ConnectError::Busy)));
        }
        let target = match (&peer, addresses.first()) {
            (Some(peer), _) => peer.to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => return drop(reply.send(Err(ConnectError::Busy))),
        };
        self.policy
            .allow(addresses.iter().take(ADDRESSES_PER_DIAL_MAX));
        let options = dial_options(peer, addresses);
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => self.dials.begun(id, peer, target, reply),
            Err(error) => drop(reply.send(Err(connect_error(target, error)))),
        }
    }

    fn dial_contacts(&mut self) {
        let now = Instant::now();
        while let Some((index, address)) = self.contacts.due(now, self.peers.is_empty()) {
            self.policy.allow([&address]);
            let (bare, peer) = split_peer_id(address.clone());
            let options = dial_options(peer, vec![bare]);
            let id = options.connection_id();
            match self.swarm.dial(options) {
                Ok(()) => self.contacts.dialing(index, id),
                Err(error) => {
                    debug!(%address, %error, "cannot dial");
                    self.contacts.failed(index, now, rand::random());
                }
            }
        }
    }

    /// Where a peer may be found: what our protocols know of it, as far as it can be meant for us.
    fn known_addresses(&mut self, peer: PeerId, key: &kad::RecordKey) -> Vec<Multiaddr> {
        // The behaviours' own answer to "where do I dial this peer?"; the id is not used.
        let (id, role) = (ConnectionId::new_unchecked(0), Endpoint::Dialer);
        let behaviour = self.swarm.behaviour_mut();
        let records = kad::store::RecordStore::providers(behaviour.kad.store_mut(), key);
        let record = records.into_iter().find(|record| record.provider == peer);
        let mut addresses = record.map_or_else(Vec::new, |record| record.addresses);
        let from_kad = behaviour
            .kad
            .handle_pending_outbound_connection(id, Some(peer), &[], role);
        addresses.extend(from_kad.into_iter().flatten());
        let from_identify =
            behaviour
                .identify
                .handle_pending_outbound_connection(id, Some(peer), &[], role);
        addresses.extend(from_identify.into_iter().flatten());
        let nearest = self.policy.nearest();
        let mut kept = Vec::new();
        for address in addresses
            .into_iter()
            .map(|address| split_peer_id(address).0)
        {
            if is_meant_for_us(&address, nearest) && !kept.contains(&address) {
                kept.push(address);
            }
        }
        kept.truncate(ADDRESSES_PER_DIAL_MAX);
        kept
    }

    fn routing_peers(&mut self) -> usize {
        self.swarm
            .behaviour_mut()
            .kad
            .kbuckets()
            .map(|bucket| bucket.num_entries())
            .sum()
    }

    fn status(&mut self) -> NetworkStatus {
        let routing_peers = self.routing_peers();
        let kad = &mut self.swarm.behaviour_mut().kad;
        let is_server = kad.mode() == kad::Mode::Server;
        let records = kad.store_mut().foreign_records();
        NetworkStatus {
            addresses: self.addresses.borrow().clone(),
            external_addresses: self.public_addresses().cloned().collect(),
            reachability: self.reachability,
            peers: self.peers.len(),
            dht: DhtStatus {
                routing_peers,
                is_server,
                records,
                ..self.announcing.status()
            },
        }
    }

    /// Those that reach farthest come first, TCP before QUIC: who takes only some takes the best.
    fn publish_addresses(&self) {
        let mut addresses: Vec<_> = self.swarm.listeners().cloned().collect();
        addresses.sort_by_cached_key(|address| {
            (
                Reverse(Reach::of(address)),
                is_quic(address),
                address.to_string(),
            )
        });
        let local = self.local;
        let addresses = addresses
            .into_iter()
            .map(|address| with_peer_id(address, local));
        self.addresses.send_replace(addresses.collect());
    }

    /// Neighbours on the same machine confirm addresses that are of no use to others.
    fn public_addresses(&self) -> impl Iterator<Item = &Multiaddr> {
        let external = self.swarm.external_addresses();
        external.filter(|address| Reach::of(address) == Some(Reach::Public))
    }

    fn emit(&self, event: NetworkEvent) {
        // Fails only if nobody listens.
        let _ = self.events.send(event);
    }
}

/// Dials even if another dial to the peer is in progress: that one may have worse addresses.
fn dial_options(peer: Option<PeerId>, addresses: Vec<Multiaddr>) -> DialOpts {
    match (peer, addresses.into_iter()) {
        (Some(peer), addresses) => {
            let bare = addresses.map(split_peer_id);
            let meant = bare.filter(|(_, id)| id.is_none_or(|id| id == peer));
            let addresses = meant
                .map(|(bare, _)| bare)
                .take(ADDRESSES_PER_DIAL_MAX)
                .collect();
            DialOpts::peer_id(peer)
                .condition(PeerCondition::Disconnected)
                .addresses(addresses)
                .extend_addresses_through_behaviour()
                .build()
        }
        (None, mut addresses) => {
            let address = addresses.next().unwrap_or_else(Multiaddr::empty);
            DialOpts::unknown_peer_id().address(address).build()
        }
    }
}
