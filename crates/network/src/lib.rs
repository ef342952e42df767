//! How messages travel: libp2p event loop, DHT, discovery, streams; a cloneable handle.
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
//! Which peer to ask for what (see `scheduler`), what to answer and what to announce (see `node`), where
//! records rest (a [`RecordDb`] that the node brings).
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
mod counter;
mod dht;
mod error;
mod exchange;
mod identity;
mod info;
mod lock;
mod network;
mod node_id;
mod shaping;
mod small_file;
mod ticket;
mod transport;
mod worker;

pub use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

pub use self::{
    config::{ConnectionLimits, NetworkConfig},
    dht::{
        announcer::{Announcer, AnnouncerConfig, Priority},
        announcing::DhtStatus,
        lookups::Provider,
        records::{
            AnnounceKey, MemoryDb, NotAnnounceKey, RecordBatch, RecordDb, Records, RecordsConfig,
            Refused,
        },
    },
    error::{ConnectError, OpenError, StartError},
    exchange::{
        AnswerFrame, AnswerReceiver, AskSender, AskerGone, Exchange, ExchangeEnded, ExchangeError,
        ExchangeService, Incoming, Reply,
    },
    identity::{Identity, IdentityError},
    info::{Counters, Direction, NetworkEvent, NetworkStatus, PeerInfo, Reachability},
    network::Network,
    node_id::NodeId,
    shaping::shaper::Traffic,
    small_file::{open_regular, read_secret},
    ticket::{TICKET_BYTES_MAX, TICKET_PEERS_MAX, Ticket, TicketError, peer_of},
    transport::{
        bans::Banned,
        carrier::Carrier,
        network_key::{NetworkKey, ParseNetworkKeyError},
        places::{Entry, Place, PlaceId, Places, PlacesConfig, Prefix, SharedPlaces},
        reach::Reach,
        security::TransportSetupError,
        tls::TlsSetupError,
    },
};
