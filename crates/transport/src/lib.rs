//! Connections: which are allowed, how they are encrypted, and the streams and lanes on them.
//!
//! ```text
//! stack       TCP, QUIC and relays put together, with what follows around them
//! guard       which addresses may be dialled          head_start  TCP before QUIC nearby
//! entrance    places for connections under way        door        separates lanes and libp2p
//! security    TLS or Noise for libp2p                 tls         proof of peer ids in TLS
//! streams     exchange streams on libp2p connections  lane        exchange streams without libp2p
//! bans        peers and prefixes that are refused     places      which connection gives way
//! reach       how far an address reaches              carrier     what carries an exchange
//! ```

pub(crate) mod bans;
pub(crate) mod carrier;
mod door;
mod entrance;
pub(crate) mod guard;
mod head_start;
pub(crate) mod lane;
pub(crate) mod local_socket;
pub(crate) mod network_key;
pub(crate) mod places;
pub(crate) mod reach;
pub(crate) mod security;
pub(crate) mod stack;
pub(crate) mod streams;
pub(crate) mod tls;
