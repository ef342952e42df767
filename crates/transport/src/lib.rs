//! Connections between nodes: which are allowed, how they are encrypted, and the streams and lanes
//! on them.
//!
//! ```text
//! stack       TCP, QUIC and relays put together, with what follows around them
//! guard       which addresses may be dialled          head_start  TCP before QUIC nearby
//! entrance    places for connections under way        door        separates lanes and libp2p
//! security    TLS or Noise for libp2p                 tls         proof of peer ids in TLS
//! streams     exchange streams on libp2p connections  lane        exchange streams without libp2p
//! bans        peers and prefixes that are refused     places      which connection gives way
//! identity    the key pair of a node                  network_key the key of a private network
//! carrier     what carries an exchange                local_socket whether a port is free
//! ```
//!
//! ```
//! use std::time::Instant;
//! use hubless_transport::places::{Entry, Places, PlacesConfig, Prefix};
//!
//! // Four places, of which one address prefix holds one: its next connection takes that place.
//! let mut places = Places::new(PlacesConfig::new(4));
//! let prefix = Prefix::V4([81, 2, 3]);
//! let Entry::Admitted(first) = places.enter(Instant::now(), prefix) else { panic!() };
//! let Entry::AdmittedInsteadOf(_, left) = places.enter(Instant::now(), prefix) else { panic!() };
//! assert_eq!(first, left);
//! ```
//!
//! # Not here
//! The swarm that drives these parts, and what is requested on a stream (see `network`).

#![deny(clippy::self_named_module_files)]

pub mod bans;
pub mod carrier;
mod door;
mod entrance;
pub mod guard;
mod head_start;
pub mod identity;
pub mod lane;
pub mod local_socket;
pub mod network_key;
pub mod places;
pub mod security;
pub mod small_file;
pub mod stack;
pub mod streams;
pub mod tls;
