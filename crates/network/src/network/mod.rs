//! The handle of a running node, and how it starts and stops.

mod start;
mod values;

use std::{fmt, sync::Arc, time::Duration};

use hubless_address::{is_meant_for_us, split_peer_id};
use hubless_dht::{AnnounceKey, Priority, RecordDb};
use hubless_transport::{
    bans::{Banned, Bans},
    guard::DialPolicy,
    identity::Identity,
    lane::{LaneError, Lanes},
    local_socket::LocalSocket,
    streams::{Opened, Purpose, StreamError},
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

pub use self::values::{PutOutcome, ValueWalk};
use crate::{
    config::NetworkConfig,
    error::{ConnectError, OpenError, StartError},
    exchange::{Client, Exchange, ExchangeError, ExchangeService},
    info::{Counters, NetworkEvent, NetworkStatus, PeerInfo, Provider},
    worker::{Cmd, dht::PROVIDERS_PER_LOOKUP_MAX},
};

/// How often a stream is opened again that the other side closes without a response.
const OPEN_TRIES: u32 = 3;

/// Wait between such tries.
const OPEN_RETRY_WAIT: Duration = Duration::from_millis(100);

/// A running node of the network. Cheap to clone; the node stops when the last clone is dropped.
#[derive(Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

struct Inner {
    peer_id: PeerId,
    cmds: mpsc::Sender<Cmd>,
    bans: Bans,
    policy: DialPolicy,
    client: Client,
    lanes: Lanes,
    lookups: Arc<Semaphore>,
    value_walks: Arc<Semaphore>,
    addresses: watch::Receiver<Vec<Multiaddr>>,
    events: broadcast::Sender<NetworkEvent>,
    tasks: TaskTracker,
    stop: CancellationToken,
    limit_up_per_peer: Option<u64>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("peer_id", &self.inner.peer_id)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Starts a node; returns when it listens, so that its addresses are known.
    ///
    /// # Errors
    /// If it cannot listen or encrypt.
    pub async fn start(
        config: NetworkConfig,
        identity: Identity,
        records: Arc<dyn RecordDb>,
        service: Arc<dyn ExchangeService>,
    ) -> Result<Self, StartError> {
        start::start(config, identity, records, service).await
    }

    /// The name that others know this node by.
    pub fn peer_id(&self) -> PeerId {
        self.inner.peer_id
    }

    /// Where it listens now. Each address ends in `/p2p/<peer id>`.
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.inner.addresses.borrow().clone()
    }

    /// Connects to a peer, if there is no connection yet: at these addresses, and at those that the
    /// DHT and others have named.
    ///
    /// # Errors
    /// If it is not reached, or banned.
    pub async fn connect(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> Result<(), ConnectError> {
        self.dial(Some(peer), addresses).await.map(|_| ())
    }

    /// Connects to the peer that answers at an address; if it ends in `/p2p/<peer id>`, only to that
    /// peer.
    ///
    /// # Errors
    /// If no peer answers, or another one, or one that is banned.
    pub async fn connect_to(&self, address: Multiaddr) -> Result<PeerId, ConnectError> {
        let peer = split_peer_id(address.clone()).1;
        self.dial(peer, vec![address]).await
    }

    /// Closes all connections with a peer.
    pub async fn disconnect(&self, peer: PeerId) {
        self.send(Cmd::Disconnect { peer }).await;
    }

    /// The connected peers; empty once the node is stopping.
    pub async fn peers(&self) -> Vec<PeerInfo> {
        self.call(|reply| Cmd::Peers { reply })
            .await
            .unwrap_or_default()
    }

    /// Whether the event loop responds; to be waited for with a limit.
    pub async fn responds(&self) -> bool {
        self.call(|reply| Cmd::Status { reply }).await.is_some()
    }

    /// What the node knows about its place in the network; nothing once it is stopping.
    pub async fn status(&self) -> NetworkStatus {
        self.call(|reply| Cmd::Status { reply })
            .await
            .unwrap_or_default()
    }

    /// Announces these keys too, from now on.
    pub async fn announce(&self, keys: Vec<(AnnounceKey, Priority)>) {
        self.send(Cmd::Announce { keys }).await;
    }

    /// Announces these keys no longer. Their records at other nodes expire within 48 hours.
    pub async fn withdraw(&self, keys: Vec<AnnounceKey>) {
        self.send(Cmd::Withdraw { keys }).await;
    }

    /// Announces these keys and no others from now on. To be called once after the start with all
    /// keys, so that those of an earlier run are forgotten that are no longer wanted.
    pub async fn set_announced(&self, keys: Vec<(AnnounceKey, Priority)>) {
        self.send(Cmd::SetAnnounced { keys }).await;
    }

    /// Searches the DHT for providers of a key. They come as they are found, each once, without
    /// this node and banned ones; the channel ends with the walk. Dropping it ends the walk.
    pub async fn find_providers(&self, key: AnnounceKey) -> mpsc::Receiver<Provider> {
        let (found, providers) = mpsc::channel(PROVIDERS_PER_LOOKUP_MAX);
        if let Ok(permit) = Arc::clone(&self.inner.lookups).acquire_owned().await {
            self.send(Cmd::Find { key, found, permit }).await;
        }
        providers
    }

    /// Opens an exchange with a peer, connecting first if need be: on a lane, if this node has
    /// dialled the peer over TCP and nothing is in the way, else on a stream of libp2p. They are
    /// meant to be kept for long; a peer accepts twelve of one node.
    ///
    /// # Errors
    /// If the peer is not reached, is banned, speaks another protocol or has no room.
    pub async fn open(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> Result<Exchange, OpenError> {
        for attempt in 1..=OPEN_TRIES {
            if self.inner.bans.is_banned(&peer) {
                return Err(ConnectError::from(Banned { peer }).into());
            }
            self.connect(peer, addresses.clone()).await?;
            if let Some(exchange) = self.try_lane(peer).await {
                return Ok(exchange);
            }
            match self.try_open(peer).await {
                Err(OpenError::Refused { .. }) if attempt < OPEN_TRIES => {
                    tokio::time::sleep(OPEN_RETRY_WAIT * attempt).await;
                }
                outcome => return outcome,
            }
        }
        Err(OpenError::Refused { peer })
    }

    /// Opens an exchange with a connected peer on a stream of libp2p, beside one that is on a lane:
    /// messages on it need not wait behind the chunks on the lane.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_beside(&self, peer: PeerId) -> Result<Exchange, OpenError> {
        self.try_open(peer).await
    }

    /// The addresses among these that a stranger may make this node dial: all, if this node is part of a
    /// local network, else public ones. To be called before addresses that came from a peer are
    /// given to [`open`](Self::open), which dials whatever it is given.
    pub fn believable(&self, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let nearest = self.inner.policy.nearest();
        addresses
            .into_iter()
            .filter(|address| is_meant_for_us(address, nearest))
            .collect()
    }

    /// Refuses all connections with a peer for at least this time, and closes those that exist.
    pub async fn ban(&self, peer: PeerId, duration: Duration) {
        self.inner.bans.ban(peer, duration);
        self.disconnect(peer).await;
    }

    /// Whether a peer is banned.
    pub fn is_banned(&self, peer: &PeerId) -> bool {
        self.inner.bans.is_banned(peer)
    }

    /// Banned peers, and for how much longer.
    pub fn banned(&self) -> Vec<(PeerId, Duration)> {
        self.inner.bans.banned()
    }

    /// Sets how many payload bytes per second may be given and taken in all; none for no limit.
    pub fn set_limits(&self, up: Option<u64>, down: Option<u64>) {
        let shapers = &self.inner.client.shapers;
        shapers.up.set_limits(up, self.inner.limit_up_per_peer);
        shapers.down.set_limits(down, None);
    }

    /// Waits until bytes that came from elsewhere than peers may be taken: they share the limit of
    /// what is taken in all, in turns with peers. Returns how many of `want` may, at least one.
    pub async fn take_elsewhere(&self, want: usize) -> usize {
        match self.inner.client.shapers.down.request(self.peer_id(), want) {
            Ok(allowed) => allowed,
            // Without a turn the node is stopping.
            Err(turn) => turn.await.unwrap_or(want),
        }
    }

    /// Payload bytes since the start.
    pub fn counters(&self) -> Counters {
        let shapers = &self.inner.client.shapers;
        Counters {
            sent: shapers.up.passed(),
            received: shapers.down.passed(),
        }
    }

    /// What happens from now on. A slow reader misses events.
    pub fn events(&self) -> broadcast::Receiver<NetworkEvent> {
        self.inner.events.subscribe()
    }

    /// Stops the node and waits until all its tasks have ended. Its ports may be taken for a moment
    /// longer: see [`Network::ports_free`].
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Waits, some seconds at most, until the ports of a stopped node are free: connections of QUIC
    /// are drained after their end, for long where the line is slow. For callers that start another
    /// node in the same process; the end of the process frees them as well.
    pub async fn ports_free(&self) {
        for socket in self.listen_addresses().iter().filter_map(LocalSocket::of) {
            socket.wait_until_free().await;
        }
    }

    async fn dial(
        &self,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> Result<PeerId, ConnectError> {
        let connected = self
            .call(|reply| Cmd::Connect {
                peer,
                addresses,
                reply,
            })
            .await;
        connected.unwrap_or(Err(ConnectError::Stopped))
    }

    async fn try_open(&self, peer: PeerId) -> Result<Exchange, OpenError> {
        let refused = OpenError::Refused { peer };
        let opened = match self.open_stream(peer, Purpose::Exchange).await {
            Ok(opened) => opened,
            Err(StreamError::NotConnected) => return Err(refused),
            Err(StreamError::NotSpoken) => return Err(OpenError::NotSpoken { peer }),
            Err(StreamError::Io(source)) => {
                return Err(ExchangeError::Io {
                    peer,
                    source: Arc::new(source),
                }
                .into());
            }
        };
        match self.inner.client.begin(peer, opened).await {
            Ok(Some(exchange)) => Ok(exchange),
            // The other side dropped the stream without a response.
            Ok(None) | Err(ExchangeError::Io { .. }) => Err(refused),
            Err(error) => Err(error.into()),
        }
    }

    /// A failed lane is not an error: the caller falls back to a libp2p stream.
    async fn try_lane(&self, peer: PeerId) -> Option<Exchange> {
        let lanes = &self.inner.lanes;
        if !lanes.may_work(&peer) {
            return None;
        }
        let lane = match self.open_stream(peer, Purpose::Lane).await {
            Ok(for_pass) => lanes.dial(peer, for_pass).await,
            // No outbound TCP connection yet; retry on the next one.
            Err(StreamError::NotConnected) => return None,
            Err(StreamError::NotSpoken) => Err(LaneError::NotSpoken),
            Err(StreamError::Io(error)) => Err(error.into()),
        };
        match lane {
            Ok(lane) => {
                lanes.worked(&peer);
                self.inner.client.begin(peer, lane).await.ok().flatten()
            }
            Err(error) => {
                debug!(%peer, error = &error as &dyn std::error::Error, "no lane");
                lanes.failed(peer);
                None
            }
        }
    }

    async fn open_stream(&self, peer: PeerId, purpose: Purpose) -> Result<Opened, StreamError> {
        let cmd = |reply| Cmd::OpenStream {
            peer,
            purpose,
            reply,
        };
        let opened = self.call(cmd).await;
        opened.unwrap_or(Err(StreamError::NotConnected))
    }

    /// Sends a command and waits for its outcome; `None` once the node is stopping.
    async fn call<T>(&self, cmd: impl FnOnce(oneshot::Sender<T>) -> Cmd) -> Option<T> {
        let (reply, outcome) = oneshot::channel();
        self.send(cmd(reply)).await;
        outcome.await.ok()
    }

    async fn send(&self, cmd: Cmd) {
        if self.inner.cmds.send(cmd).await.is_err() {
            debug!("the node has stopped");
        }
    }
}
