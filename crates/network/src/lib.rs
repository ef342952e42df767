//! How messages travel: the event loop of libp2p, DHT, discovery, exchanges; a cloneable handle.
//!
//! # Roles
//! [`Network`] is the handle. A private worker task owns the swarm; each exchange stream has tasks
//! of its own, so that bulk data never passes through the worker.
//!
//! # Goals
//! A stranger can make nothing grow without bound, cause no panic, and make us dial no machine of
//! our own network. An idle node costs next to nothing.
//!
//! # Not here
//! Which peer to request what from (see `scheduler`), what to respond and what to announce (see
//! `node`), where records rest (a [`RecordDb`] that the node brings). Connections are those of
//! `transport`, and `dht` decides which records are kept and when keys are announced; crates above
//! import what they need of both from here.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use hubless_network::*;
//! # async fn example(service: Arc<dyn ExchangeService>) -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity::load_or_create("identity.key".as_ref())?;
//! let records = Arc::new(MemoryDb::default());
//! let network = Network::start(NetworkConfig::default(), identity, records, service).await?;
//! for address in network.listen_addresses() {
//!     println!("{address}");
//! }
//! network.stop().await;
//! # Ok(())
//! # }
//! ```

#![deny(clippy::self_named_module_files)]

mod config;
mod error;
mod exchange;
mod info;
mod network;
mod node_id;
mod shaping;
mod txt;
mod worker;

pub use hubless_address::{
    Multiaddr, NameAt, NameAtError, PeerId, Protocol, Reach, TICKET_BYTES_MAX, TICKET_PEERS_MAX,
    Ticket, TicketError, peer_of,
};
pub use hubless_dht::{
    AnnounceKey, MemoryDb, NotAnnounceKey, Priority, RecordBatch, RecordDb, RecordsConfig,
    ValuesConfig,
};
pub use hubless_transport::{
    bans::Banned,
    carrier::Carrier,
    identity::{Identity, IdentityError},
    network_key::{NetworkKey, ParseNetworkKeyError},
    places::{Place, PlacesConfig, SharedPlaces},
    security::TransportSetupError,
    small_file::{open_regular, read_secret, write_secret},
    tls::TlsSetupError,
};

pub use self::{
    config::{ConnectionLimits, NetworkConfig},
    error::{ConnectError, OpenError, StartError},
    exchange::{
        Exchange, ExchangeEnded, ExchangeError, ExchangeService, Incoming, Reply, RequestSender,
        RequesterGone, ResponseFrame, ResponseReceiver,
    },
    info::{
        Counters, DhtStatus, Direction, FoundValue, NetworkEvent, NetworkStatus, PeerInfo,
        Provider, Reachability,
    },
    network::{Network, PutOutcome, ValueWalk},
    node_id::NodeId,
    shaping::shaper::Traffic,
    txt::{TxtError, TxtResolver},
};
