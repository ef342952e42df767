//! What all requests of one node share, and the order in which it starts and stops.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hubless_content::{ContentHash, FileHash};
use hubless_network::{
    Identity, Multiaddr, Network, NetworkConfig, NetworkKey, PeerId, peer_of, read_secret,
};
use hubless_store::{Damaged, Digests, Store, StoreOptions};
use hubless_wire::{FileDigests, PeerAddresses};
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::{Failure, FailureKind},
    blocking::Blocking,
    busy::Busy,
    claimed::{Claimed, Made},
    config::{ByteSize, Config},
    counters::Counters,
    damage,
    descriptors::Descriptors,
    digesting::Digesting,
    fetch::{Feeds, Locks},
    home::Home,
    records::StoreRecords,
    serve::{Gains, News, Service, Swarms},
    transfers::Transfers,
    upstream::{Upstream, Withheld},
};

/// How long a peer that sent wrong bytes stays out. Long enough that it costs more to lie than it
/// gains; short enough that a repaired disk is welcome the next day.
const BAN_FOR_WRONG_BYTES: Duration = Duration::from_secs(6 * 3600);

/// Chunks that are read ahead for all readers of files together: 32 MiB. Hundreds of readers that take
/// nothing leave the others what they read without it, only slower.
const READ_AHEAD_CHUNKS: usize = 128;

/// Which of a node's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Of what is given to others.
    Up,
    /// Of what is taken from others.
    Down,
}

/// The shared state of a node.
pub(crate) struct Core {
    pub(crate) home: Home,
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) store: Store,
    pub(crate) blocking: Blocking,
    /// Room for chunks that are read ahead.
    pub(crate) read_ahead: Arc<Semaphore>,
    /// How many file descriptors each part may use.
    pub(crate) descriptors: Descriptors,
    /// Until it is set, the node only works on its store.
    online: OnceCell<Online>,
    /// Chunks that were just verified, for those who asked what we have.
    pub(crate) gains: Gains,
    /// Stored chunks that were found to be wrong just now.
    pub(crate) damage: News<Damaged>,
    pub(crate) swarms: Swarms,
    /// The limits that hold now, up and down: those of the configuration until they are changed.
    limits: Mutex<(Option<u64>, Option<u64>)>,
    /// Models that are fetched as a whole.
    pub(crate) fetches: Locks<ContentHash>,
    pub(crate) digesting: Arc<Digesting>,
    /// What peers say other hubs call files that are not here.
    pub(crate) claimed: Arc<Claimed>,
    /// What goes before work in the background.
    pub(crate) busy: Busy,
    /// What peers must not have.
    pub(crate) withheld: Withheld,
    /// Peers that are asked which file has an alias.
    pub(crate) claims: Locks<PeerId>,
    pub(crate) feeds: Feeds,
    pub(crate) transfers: Transfers,
    /// What is held, pinned or known of it changed.
    changed: watch::Sender<()>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) tasks: TaskTracker,
    pub(crate) cancel: CancellationToken,
}

/// What a node reaches once it joined the network.
struct Online {
    network: Network,
    /// The hub outside, if there is one.
    upstream: Option<Arc<Upstream>>,
}

/// Tells of changes; several between two looks are one.
pub(crate) struct Changes(watch::Receiver<()>);

impl Changes {
    /// Ends when something changed since the last call.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The node is gone, and with it what could change.
            std::future::pending::<()>().await;
        }
    }
}

impl Core {
    /// Opens the store.
    pub(crate) async fn open(home: Home, config: Config) -> Result<Arc<Self>, Failure> {
        let descriptors = Descriptors::claim();
        let (opened, options) = (
            home.clone(),
            StoreOptions {
                quota: config.quota.map(|ByteSize(bytes)| bytes),
                open_files_max: Some(descriptors.files),
            },
        );
        let store = Blocking::run_long(move || Store::open(opened.path(), options)).await??;
        let identity = Identity::load_or_create(&home.identity()).map_err(|error| {
            Failure::new(FailureKind::Other, crate::failure::sentence(&error)).hint(format!(
                "`chmod 600 {}` makes it its owner's alone; without the file a new one is made",
                home.identity().display()
            ))
        })?;
        let withheld = Withheld::new(config.network_key.is_some());
        let (opened, withholding) = (store.clone(), withheld.clone());
        Blocking::run_long(move || withholding.refresh(&opened)).await??;
        let damage = damage::reports(&store);
        let limits = (bytes(config.limit_up), bytes(config.limit_down));
        Ok(Arc::new(Self {
            home,
            config,
            identity,
            store,
            blocking: Blocking::default(),
            read_ahead: Arc::new(Semaphore::new(READ_AHEAD_CHUNKS)),
            descriptors,
            online: OnceCell::new(),
            gains: Gains::default(),
            swarms: Swarms::default(),
            damage,
            limits: Mutex::new(limits),
            fetches: Locks::default(),
            digesting: Arc::default(),
            claimed: Arc::default(),
            busy: Busy::default(),
            withheld,
            claims: Locks::default(),
            feeds: Feeds::default(),
            transfers: Transfers::default(),
            changed: watch::Sender::new(()),
            counters: Arc::default(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        }))
    }

    /// Joins the network, if that is not done. What works on the store alone goes without.
    ///
    /// # Errors
    /// If an address cannot be listened on, or the configuration makes no sense.
    pub(crate) async fn join(&self) -> Result<(), Failure> {
        self.online.get_or_try_init(|| self.go_online()).await?;
        Ok(())
    }

    async fn go_online(&self) -> Result<Online, Failure> {
        let config = &self.config;
        let upstream = config
            .upstream
            .as_ref()
            .map(|url| Upstream::new(url, &config.upstream_hosts))
            .transpose()?;
        let service = Service::new(
            self.store.clone(),
            self.gains.clone(),
            self.swarms.clone(),
            self.counters.clone(),
            self.withheld.clone(),
            self.digesting.clone(),
        );
        let records = Arc::new(StoreRecords::new(self.store.clone()));
        let settings = self.network_config()?;
        let identity = self.identity.clone();
        let network = Network::start(settings, identity, records, Arc::new(service)).await?;
        self.swarms.set_network(Some(network.clone()));
        Ok(Online { network, upstream })
    }

    /// The hub outside, if there is one and this process joined the network.
    pub(crate) fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.online.get()?.upstream.as_ref()
    }

    /// The network.
    ///
    /// # Errors
    /// If this process did not join one.
    pub(crate) fn network(&self) -> Result<&Network, Failure> {
        let online = self.online.get();
        online.map(|online| &online.network).ok_or_else(|| {
            Failure::new(FailureKind::Other, "no node runs on this home directory")
                .hint("start one with `hubless serve`, in another terminal or as a service")
        })
    }

    /// Whether there is a peer to ask, or soon will be.
    pub(crate) async fn has_peers(&self) -> bool {
        let is_named = !(self.config.peers.is_empty() && self.config.bootstrap.is_empty());
        match self.network() {
            Ok(network) => is_named || !network.peers().await.is_empty(),
            Err(_) => false,
        }
    }

    /// Changes a limit; it holds at once.
    pub(crate) fn limit(&self, limit: Limit, rate: Option<u64>) {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        match limit {
            Limit::Up => limits.0 = rate,
            Limit::Down => limits.1 = rate,
        }
        if let Ok(network) = self.network() {
            network.set_limits(limits.0, limits.1);
        }
    }

    /// The limits that hold now, up and down.
    pub(crate) fn limits(&self) -> (Option<u64>, Option<u64>) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called when content came or went, or more is known about it.
    pub(crate) fn note_change(&self) {
        self.changed.send_replace(());
    }

    /// The changes from now on.
    pub(crate) fn changes(&self) -> Changes {
        Changes(self.changed.subscribe())
    }

    fn network_config(&self) -> Result<NetworkConfig, Failure> {
        let config = &self.config;
        let network_key = match &config.network_key {
            Some(path) => Some(load_network_key(path)?),
            None => None,
        };
        let (limit_up, limit_down) = self.limits();
        Ok(NetworkConfig {
            listen: addresses("listen", &config.listen)?,
            bootstrap: peer_addresses("bootstrap", &config.bootstrap)?,
            static_peers: peer_addresses("peers", &config.peers)?,
            mdns: config.mdns,
            upnp: config.upnp,
            relay_server: config.relay,
            network_key,
            limits: self.descriptors.connections(),
            limit_up,
            limit_down,
            ..NetworkConfig::default()
        })
    }

    /// Breaks with a peer that sent wrong bytes.
    pub(crate) async fn reject(&self, peer: PeerId) {
        if let Ok(network) = self.network() {
            self.counters.bans.count();
            network.ban(peer, BAN_FOR_WRONG_BYTES).await;
        }
    }

    /// Takes what a peer claims about files; returns whether one of the claims is certainly wrong.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn claim_digests(
        &self,
        peer: PeerId,
        claims: Vec<(FileHash, FileDigests)>,
    ) -> Result<bool, Failure> {
        let (store, claimed) = (self.store.clone(), self.claimed.clone());
        let make_all = move || {
            let mut wrong = false;
            for (file, digests) in claims {
                wrong |= claimed.make(&store, file, digests, peer)? == Made::Wrong;
            }
            Ok::<_, hubless_store::StoreError>(wrong)
        };
        Ok(self.blocking.run(make_all).await??)
    }

    /// Holds what a peer claimed about a file against its digests, which were computed now. A wrong
    /// claim is a lie: no damage makes one.
    pub(crate) async fn prove_digests(&self, file: FileHash, digests: Digests) {
        if let Some(peer) = self.claimed.prove(file, digests) {
            tracing::warn!(%peer, %file, "a peer claimed a wrong SHA-256 or git id for a file");
            self.counters.rejected.count();
            self.reject(peer).await;
        }
    }

    /// Others that took part in a swarm and are connected now.
    pub(crate) async fn swarm_members(&self, content: ContentHash) -> Vec<PeerAddresses> {
        let own = self.identity.peer_id();
        self.swarms.members(content, own).await
    }

    /// Stops in order: those who use the network, the network, the store.
    pub(crate) async fn stop(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.swarms.set_network(None);
        if let Ok(network) = self.network() {
            network.stop().await;
        }
        let store = self.store.clone();
        match Blocking::run_long(move || store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the store did not close cleanly"),
            Err(error) => tracing::error!(%error, "the store did not close cleanly"),
        }
    }
}

fn bytes(rate: Option<ByteSize>) -> Option<u64> {
    rate.map(|ByteSize(bytes)| bytes)
}

/// Bytes of a network key file; it has three short lines.
const NETWORK_KEY_BYTES_MAX: u64 = 4096;

fn load_network_key(path: &Path) -> Result<NetworkKey, Failure> {
    let wrong = |error: &dyn std::error::Error| {
        let message = format!("cannot use the network key {}: {error}", path.display());
        Failure::new(FailureKind::Usage, message)
            .hint("a key file has three lines: /key/swarm/psk/1.0.0/, /base16/, and 64 digits")
    };
    let key = read_secret(path, NETWORK_KEY_BYTES_MAX).map_err(|error| {
        let message = format!("cannot use the network key {}: {error}", path.display());
        Failure::new(FailureKind::Usage, message)
            .hint("`network_key` is the path of a file that only its owner can read")
    })?;
    String::from_utf8_lossy(&key)
        .parse::<NetworkKey>()
        .map_err(|error| wrong(&error))
}

fn addresses(key: &str, texts: &[String]) -> Result<Vec<Multiaddr>, Failure> {
    let parse = |text: &String| {
        text.parse::<Multiaddr>().map_err(|_| {
            let message = format!("{key}: {text:?} is not a multiaddr");
            Failure::new(FailureKind::Usage, message).hint(match as_multiaddr(text) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "write addresses as /ip4/192.0.2.7/tcp/8420 or /dns4/example.org/tcp/8420"
                    .to_owned(),
            })
        })
    };
    texts.iter().map(parse).collect()
}

/// `HOST:PORT`, as other programs have it, as a multiaddr.
fn as_multiaddr(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        let kind = if address.is_ipv4() { "ip4" } else { "ip6" };
        return Some(format!("/{kind}/{}/tcp/{}", address.ip(), address.port()));
    }
    let (host, port) = text.split_once(':')?;
    let port = port.parse::<u16>().ok()?;
    let is_name = !host.is_empty() && !host.contains('/');
    is_name.then(|| format!("/dns/{host}/tcp/{port}"))
}

/// Addresses that end in a peer id.
pub(crate) fn peer_addresses(key: &str, texts: &[String]) -> Result<Vec<Multiaddr>, Failure> {
    let addresses = addresses(key, texts)?;
    if let Some(address) = addresses.iter().find(|address| peer_of(address).is_none()) {
        let message = format!("{key}: {address} does not end in /p2p/<peer id>");
        return Err(Failure::new(FailureKind::Usage, message)
            .hint("`hubless serve` prints the addresses of a node, and `hubless id` its peer id"));
    }
    Ok(addresses)
}
