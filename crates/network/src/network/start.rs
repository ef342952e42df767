//! How a node starts.

use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use hubless_address::{is_quic, split_peer_id};
use hubless_dht::{RecordBatch, RecordDb, Records};
use hubless_memory::Buffers;
use hubless_transport::{
    bans::Bans, guard::DialPolicy, identity::Identity, lane::Lanes, local_socket::LocalSocket,
    security::TransportSetupError, stack,
};
use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError, core::transport::ListenerId, mdns,
    multiaddr::Protocol, relay, swarm,
};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::{Inner, Network};
use crate::{
    config::NetworkConfig,
    error::StartError,
    exchange::{Client, ExchangeService, Server},
    shaping::shaper::{Shaper, Shapers},
    worker::{
        Listening, Worker, WorkerArgs,
        behaviour::Behaviour,
        dht::{KadRecords, LOOKUPS_MAX, VALUE_WALKS_MAX},
    },
};

/// Commands that wait for the event loop.
const CMDS_MAX: usize = 256;

/// Broken rules that wait for the event loop. Further ones wait with their stream's task.
const VIOLATIONS_MAX: usize = 64;

/// Events that a listener may fall behind.
const EVENTS_MAX: usize = 1024;

/// Batches of records that wait for the disk. Further changes are gathered meanwhile.
const BATCHES_MAX: usize = 1;

/// Unused connections are closed after this time.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);

/// How long listeners may take to know their addresses. One without an address, on a machine without
/// network, may get one later.
const LISTEN_TIME_MAX: Duration = Duration::from_secs(1);

/// Listeners on all interfaces report their addresses one by one. When none came for this time, all
/// are known.
const LISTEN_PAUSE: Duration = Duration::from_millis(100);

/// Boxed, because an async function is compiled again in each crate that awaits it, and with this
/// one all of libp2p would be.
pub(super) fn start(
    config: NetworkConfig,
    identity: Identity,
    db: Arc<dyn RecordDb>,
    service: Arc<dyn ExchangeService>,
) -> BoxFuture<'static, Result<Network, StartError>> {
    Box::pin(begin(config, identity, db, service))
}

async fn begin(
    config: NetworkConfig,
    identity: Identity,
    db: Arc<dyn RecordDb>,
    service: Arc<dyn ExchangeService>,
) -> Result<Network, StartError> {
    check_static_peers(&config)?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (bans, policy) = (Bans::default(), DialPolicy::default());
    let shapers = Shapers {
        up: Shaper::new(config.limit_up, config.limit_up_per_peer),
        down: Shaper::new(config.limit_down, None),
    };
    let (violations, violations_in) = mpsc::channel(VIOLATIONS_MAX);
    let server = Server::new(
        config.limits.streams,
        service,
        shapers.clone(),
        violations.clone(),
        tasks.clone(),
    );
    let serve_lane = {
        let server = server.clone();
        move |peer, lane| server.accept(peer, lane)
    };
    let lanes = Lanes::new(
        config.limits.lane_handshakes(),
        &identity,
        serve_lane,
        bans.clone(),
        tasks.clone(),
        stop.clone(),
    )
    .map_err(TransportSetupError::from)?;
    let mut swarm = build_swarm(
        &config,
        &identity,
        bans.clone(),
        Arc::clone(&db),
        policy.clone(),
        lanes.clone(),
        &tasks,
    )?;
    let is_on_all = config.listen.iter().any(is_any_ip);
    // Relays to be reached through are dialled where the owner says they are.
    policy.allow(&config.listen);
    let (addresses, addresses_out) = watch::channel(Vec::new());
    let (listening, listens) = Listening::new(listen(&mut swarm, &config)?, addresses);

    for shaper in [shapers.up.clone(), shapers.down.clone()] {
        let stop = stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled(shaper.run()).await });
    }
    let (cmds, cmds_in) = mpsc::channel(CMDS_MAX);
    let (batches, batches_in) = mpsc::channel(BATCHES_MAX);
    let (events, _) = broadcast::channel(EVENTS_MAX);
    tasks.spawn(write_batches(db, batches_in));

    let args = WorkerArgs {
        swarm,
        listening,
        bans: bans.clone(),
        policy: policy.clone(),
        server,
        lanes: lanes.clone(),
        cmds: cmds_in,
        violations: violations_in,
        batches,
        events: events.clone(),
        stop: stop.clone(),
    };
    tasks.spawn(Worker::new(args, &config).run());

    let client = Client {
        shapers,
        buffers: Buffers::default(),
        violations,
        tasks: tasks.clone(),
    };
    let inner = Inner {
        peer_id: identity.peer_id(),
        cmds,
        bans,
        policy,
        client,
        lanes,
        lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        value_walks: Arc::new(Semaphore::new(VALUE_WALKS_MAX)),
        addresses: addresses_out,
        events,
        tasks,
        stop,
        limit_up_per_peer: config.limit_up_per_peer,
    };
    let network = Network {
        inner: Arc::new(inner),
    };
    if let Err(error) = known(listens, &network, is_on_all).await {
        network.stop().await;
        return Err(error);
    }
    Ok(network)
}

/// Waits until the listeners know their addresses, some time at most.
async fn known(
    listens: oneshot::Receiver<Result<(), StartError>>,
    network: &Network,
    is_on_all: bool,
) -> Result<(), StartError> {
    let mut addresses = network.inner.addresses.clone();
    let known = async {
        // Without a sender the worker has ended, which others report.
        listens.await.unwrap_or(Ok(()))?;
        addresses.mark_unchanged();
        while is_on_all
            && let Ok(Ok(())) = tokio::time::timeout(LISTEN_PAUSE, addresses.changed()).await
        {
        }
        Ok(())
    };
    tokio::time::timeout(LISTEN_TIME_MAX, known)
        .await
        .unwrap_or(Ok(()))
}

fn check_static_peers(config: &NetworkConfig) -> Result<(), StartError> {
    let is_nameless = |address: &&Multiaddr| split_peer_id((*address).clone()).1.is_none();
    match config.static_peers.iter().find(is_nameless) {
        Some(address) => Err(StartError::StaticPeer {
            address: address.clone(),
        }),
        None => Ok(()),
    }
}

fn build_swarm(
    config: &NetworkConfig,
    identity: &Identity,
    bans: Bans,
    db: Arc<dyn RecordDb>,
    policy: DialPolicy,
    lanes: Lanes,
    tasks: &TaskTracker,
) -> Result<Swarm<Behaviour>, StartError> {
    let local = identity.peer_id();
    let (relay_transport, relay_client) = relay::client::new(local);
    let transport = stack::build(
        identity,
        config.network_key,
        relay_transport,
        policy,
        lanes,
        config.limits.pending_inbound,
    )?;
    let records = Records::new(local, db, config.records.clone(), SystemTime::now());
    let mdns = if config.mdns { mdns(local) } else { None };
    let records = KadRecords::new(local, records);
    let behaviour = Behaviour::new(identity, config, bans, records, relay_client, mdns);
    let tasks = tasks.clone();
    let swarm_config = swarm::Config::with_executor(move |task| {
        tasks.spawn(task);
    })
    .with_idle_connection_timeout(IDLE_TIME_MAX);
    Ok(Swarm::new(transport, behaviour, local, swarm_config))
}

/// mDNS, if this system allows it: finding neighbours is not worth failing for.
fn mdns(local: PeerId) -> Option<mdns::tokio::Behaviour> {
    let mdns = mdns::tokio::Behaviour::new(mdns::Config::default(), local);
    mdns.inspect_err(|error| warn!(%error, "cannot search for nodes on the local network"))
        .ok()
}

/// Begins to listen. Each listener has an address when it reports one.
fn listen(
    swarm: &mut Swarm<Behaviour>,
    config: &NetworkConfig,
) -> Result<HashSet<ListenerId>, StartError> {
    // With a network key there is no QUIC.
    let is_usable = |address: &&Multiaddr| config.network_key.is_none() || !is_quic(address);
    let wanted: Vec<&Multiaddr> = config.listen.iter().filter(is_usable).collect();
    for address in &wanted {
        check_port(address)?;
    }
    let mut pending = HashSet::new();
    for address in wanted {
        match listen_on(swarm, address) {
            Ok(listener) => {
                pending.insert(listener);
            }
            // A system without IPv6 is a usual one.
            Err(error) if is_any_ip6(address) && !error.is_address_in_use() => {
                warn!(%address, %error, "not listening on IPv6");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(pending)
}

fn listen_on(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Result<ListenerId, StartError> {
    swarm.listen_on(address.clone()).map_err(|error| {
        let source = match error {
            TransportError::Other(source) => source,
            error @ TransportError::MultiaddrNotSupported(_) => {
                io::Error::new(io::ErrorKind::Unsupported, error)
            }
        };
        StartError::Listen {
            address: address.clone(),
            source,
        }
    })
}

/// libp2p shares TCP ports (`SO_REUSEPORT`), so a second node on one would start without an error
/// and steal half of the first one's connections; and what it reports of UDP ports is wrapped so
/// often that the reason is lost. Binding the port alone, for a moment,
/// shows it.
fn check_port(address: &Multiaddr) -> Result<(), StartError> {
    match LocalSocket::of(address).map(LocalSocket::try_bind) {
        Some(Err(source)) if source.kind() == io::ErrorKind::AddrInUse => Err(StartError::Listen {
            address: address.clone(),
            source,
        }),
        // Other errors will come again.
        _ => Ok(()),
    }
}

fn is_any_ip6(address: &Multiaddr) -> bool {
    address.iter().next() == Some(Protocol::Ip6(Ipv6Addr::UNSPECIFIED))
}

fn is_any_ip(address: &Multiaddr) -> bool {
    is_any_ip6(address) || address.iter().next() == Some(Protocol::Ip4(Ipv4Addr::UNSPECIFIED))
}

/// Writes batches of records in their order, off the event loop.
async fn write_batches(db: Arc<dyn RecordDb>, mut batches: mpsc::Receiver<RecordBatch>) {
    while let Some(batch) = batches.recv().await {
        let db = Arc::clone(&db);
        if let Err(error) = tokio::task::spawn_blocking(move || db.write(batch)).await {
            warn!(%error, "DHT records could not be written");
        }
    }
}
