//! The protocols that this node speaks, put together.

use std::{num::NonZeroUsize, time::Duration};

use hubless_transport::{bans::Bans, identity::Identity, streams};
use hubless_wire::KAD_PROTOCOL;
use libp2p::{
    PeerId, StreamProtocol,
    autonat::v2 as autonat,
    connection_limits, dcutr, identify, kad, mdns, memory_connection_limits, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    upnp,
};

use super::dht::KadRecords;
use crate::config::{ConnectionLimits, NetworkConfig};

/// What identify says of the protocol family.
const FAMILY: &str = "hubless/1";

/// What identify says of this program.
const AGENT: &str = concat!("hubless/", env!("CARGO_PKG_VERSION"));

/// Peers queried at once in one walk through the DHT. Simulated: 3.9 rounds a lookup with ten, 8.6
/// with libp2p's three.
const KAD_PARALLELISM: NonZeroUsize = NonZeroUsize::new(10).expect("10 > 0");

/// The longest walk through the DHT; most end within seconds.
const KAD_QUERY_TIME_MAX: Duration = Duration::from_secs(60);

/// How long one peer may take to respond within a walk.
const KAD_STREAM_TIME_MAX: Duration = Duration::from_secs(10);

/// How often the routing table is refreshed by walks through it.
const KAD_BOOTSTRAP_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Addresses of peers that identify remembers: more than there are connections.
const IDENTIFY_CACHE_LEN: usize = 1024;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    // What may refuse a connection comes first, so that no other behaviour gets its events.
    pub(crate) bans: Bans,
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    pub(crate) streams: streams::Behaviour,
    pub(crate) kad: kad::Behaviour<KadRecords>,
    pub(crate) identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    autonat_client: autonat::client::Behaviour,
    autonat_server: autonat::server::Behaviour,
    relay_client: relay::client::Behaviour,
    relay_server: Toggle<relay::Behaviour>,
    dcutr: dcutr::Behaviour,
    upnp: Toggle<upnp::tokio::Behaviour>,
}

impl Behaviour {
    /// `mdns` is none where it is off or the system does not allow it.
    pub(crate) fn new(
        identity: &Identity,
        config: &NetworkConfig,
        bans: Bans,
        records: KadRecords,
        relay_client: relay::client::Behaviour,
        mdns: Option<mdns::tokio::Behaviour>,
    ) -> Self {
        let local = identity.peer_id();
        Self {
            bans,
            limits: connection_limits::Behaviour::new(limits(&config.limits)),
            memory: memory_connection_limits::Behaviour::with_max_percentage(
                config.limits.memory_share,
            ),
            streams: streams::Behaviour::new(config.limits.inbound),
            kad: kad(local, records),
            identify: identify(identity),
            ping: ping::Behaviour::default(),
            mdns: mdns.into(),
            autonat_client: autonat::client::Behaviour::default(),
            autonat_server: autonat::server::Behaviour::default(),
            relay_client,
            relay_server: config.relay_server.then(|| relay_server(local)).into(),
            dcutr: dcutr::Behaviour::new(local),
            upnp: config.upnp.then(upnp::tokio::Behaviour::default).into(),
        }
    }
}

/// Bounds on what this node begins. What others begin has places: on its way in the transport, and
/// then in [`streams::Behaviour`].
fn limits(limits: &ConnectionLimits) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_outgoing(Some(limits.pending_outbound))
        .with_max_established_outgoing(Some(limits.outbound))
        .with_max_established_per_peer(Some(limits.per_peer))
}

fn kad(local: PeerId, records: KadRecords) -> kad::Behaviour<KadRecords> {
    let mut config = kad::Config::new(StreamProtocol::new(KAD_PROTOCOL));
    config
        .set_parallelism(KAD_PARALLELISM)
        .disjoint_query_paths(true)
        .set_query_timeout(KAD_QUERY_TIME_MAX)
        .set_substreams_timeout(KAD_STREAM_TIME_MAX)
        .set_periodic_bootstrap_interval(Some(KAD_BOOTSTRAP_INTERVAL))
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        // A walk names all nodes near the key that had no value.
        .set_caching(kad::Caching::Enabled {
            max_peers: kad::K_VALUE.get() as u16,
        })
        // The announcer republishes, and values are put by those that hold them.
        .set_provider_publication_interval(None)
        .set_publication_interval(None)
        .set_replication_interval(None);
    let mut kad = kad::Behaviour::with_config(local, records, config);
    // Until something proves that others cannot reach us. In a network of machines that all look
    // private, waiting for a proof of the opposite would mean a DHT without a single server.
    kad.set_mode(Some(kad::Mode::Server));
    kad
}

fn identify(identity: &Identity) -> identify::Behaviour {
    let keypair = identity.keypair();
    let config = identify::Config::new_with_signed_peer_record(FAMILY.to_owned(), keypair)
        .with_agent_version(AGENT.to_owned())
        .with_cache_size(IDENTIFY_CACHE_LEN)
        .with_push_listen_addr_updates(true);
    identify::Behaviour::new(config)
}

/// libp2p's defaults: 128 reservations, 16 circuits, each of 2 minutes and 128 KiB. That is enough
/// to punch holes through; no node downloads through a relay.
fn relay_server(local: PeerId) -> relay::Behaviour {
    relay::Behaviour::new(local, relay::Config::default())
}
