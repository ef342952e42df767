//! Addresses of peers: how far they reach, which of them are worth dialling, and the tickets that
//! hold them. Pure.
//!
//! ```
//! use hubless_address::{Multiaddr, Reach, is_meant_for_us};
//!
//! let address: Multiaddr = "/ip4/192.168.0.1/tcp/4001".parse()?;
//! assert_eq!(Reach::of(&address), Some(Reach::Private));
//! // A peer on the Internet that names it means a machine of its own network.
//! assert!(!is_meant_for_us(&address, Reach::Public));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Not here
//! Dialling (see `transport`), and what is requested from a peer.

mod reach;
mod ticket;

pub use multiaddr::{Multiaddr, PeerId, Protocol};

pub use self::{
    reach::{
        Reach, canonical, has_name, is_meant_for_us, is_quic, is_relayed, split_peer_id,
        way_to_relay, with_peer_id,
    },
    ticket::{
        NameAt, NameAtError, TICKET_BYTES_MAX, TICKET_PEERS_MAX, Ticket, TicketError, peer_of,
    },
};
