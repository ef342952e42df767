//! Tickets: one line of text with which a model can be fetched from its provider, DHT or not.
//!
//! ```text
//! hubless:<64 hexadecimal digits>?peer=<multiaddr>&peer=<multiaddr>
//! hubless:[datasets/|spaces/]<publisher id>/<name>[@<revision>]?peer=<multiaddr>&peer=<multiaddr>
//! ```
//!
//! The hash is the content hash, and a name is that of a repo of a publisher: both mean the same on
//! every node. Each address ends in `/p2p/<peer id>`, so that the peer that
//! answers there can be checked to be the one that is meant. Characters that would end the value are
//! percent-encoded, everything else stands as it is. Where a ticket is expected, the bare hash or name
//! is one too: it has no addresses.
//!
//! A ticket grants nothing: with the hash or the name, any node can search the DHT just as well.

mod name;
#[cfg(test)]
mod tests;
mod text;

use std::{
    cmp::Reverse,
    fmt,
    str::{FromStr, Utf8Error},
};

use hubless_content::{ContentHash, ParseHashError};
use multiaddr::{Multiaddr, PeerId, Protocol};

pub use self::name::{NameAt, NameAtError};
use self::text::{SCHEME, parse_parameter, percent_decode, percent_encode, strip_scheme};
use crate::reach::Reach;

/// Addresses of one ticket: those of a few providers, each reachable in several ways.
pub const TICKET_PEERS_MAX: usize = 16;

/// Bytes of a ticket's text: what still fits into a chat message and every command line.
pub const TICKET_BYTES_MAX: usize = 4096;

/// What to fetch, a content hash or a name ([`NameAt`]), and where to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket<T = ContentHash> {
    of: T,
    peers: Vec<Multiaddr>,
}

/// Why a text is not a ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// The text is longer than [`TICKET_BYTES_MAX`]; holds its length.
    #[error("a ticket has at most {TICKET_BYTES_MAX} bytes, this has {0}")]
    TooLong(usize),
    /// More than [`TICKET_PEERS_MAX`] addresses.
    #[error("a ticket has at most {TICKET_PEERS_MAX} peer addresses")]
    TooManyPeers,
    /// What stands before the first `?` is not a content hash.
    #[error("the ticket's hash is malformed: {0}")]
    Hash(#[from] ParseHashError),
    /// What stands before the first `?` is not a name.
    #[error("the ticket's name is malformed: {0}")]
    Name(#[from] NameAtError),
    /// A parameter other than `peer`.
    #[error("unknown ticket parameter {0:?}: only \"peer\" is known")]
    UnknownParameter(String),
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("broken percent-encoding in {0:?}")]
    PercentEncoding(String),
    /// Percent-encoded bytes that are not text.
    #[error("a part of the ticket is not valid UTF-8: {0}")]
    NotText(#[from] Utf8Error),
    /// A `peer` that is not a multiaddr.
    #[error("{text:?} is not a multiaddr: {reason}")]
    BadAddress {
        /// The address as given.
        text: String,
        /// What the multiaddr parser found.
        reason: String,
    },
    /// An address without the peer id to expect there.
    #[error("the address {0} does not end in /p2p/<peer id>")]
    NoPeerId(Multiaddr),
}

impl<T: fmt::Display> Ticket<T> {
    /// A ticket for `of` with these addresses, each of which must end in `/p2p/<peer id>`.
    /// Repetitions are dropped.
    pub fn new(of: T, peers: impl IntoIterator<Item = Multiaddr>) -> Result<Self, TicketError> {
        let mut ticket = Self {
            of,
            peers: Vec::new(),
        };
        for peer in peers {
            ticket.push(peer)?;
        }
        ticket.check_length()?;
        Ok(ticket)
    }

    /// A ticket with as many of these addresses as it may have, the first ones first. Unfit ones
    /// are left out.
    pub fn fitting(of: T, peers: impl IntoIterator<Item = Multiaddr>) -> Self {
        let mut ticket = Self {
            of,
            peers: Vec::new(),
        };
        for peer in peers {
            let count = ticket.peers.len();
            if ticket.push(peer).is_err() || ticket.check_length().is_err() {
                ticket.peers.truncate(count);
            }
        }
        ticket
    }

    /// The ticket that a node gives out, with those of its addresses that reach farthest: it shows
    /// its reader no more of the own network than it needs. With `local` all, public ones first.
    pub fn of_node(of: T, addresses: impl IntoIterator<Item = Multiaddr>, local: bool) -> Self {
        let mut addresses: Vec<Multiaddr> = addresses.into_iter().collect();
        addresses.sort_by_key(|address| Reverse(Reach::of(address)));
        let farthest = addresses.first().and_then(Reach::of);
        let named = addresses.into_iter();
        Self::fitting(
            of,
            named.filter(|address| local || Reach::of(address) == farthest),
        )
    }

    /// How far away it works; none without an address of known reach.
    pub fn reach(&self) -> Option<Reach> {
        self.peers.iter().filter_map(Reach::of).max()
    }

    /// Where it was when the ticket was written; may be empty. Each ends in `/p2p/<peer id>`.
    pub fn peers(&self) -> &[Multiaddr] {
        &self.peers
    }

    /// The same with the peer id of each.
    pub fn providers(&self) -> impl Iterator<Item = (PeerId, &Multiaddr)> {
        self.peers
            .iter()
            .filter_map(|address| Some((peer_of(address)?, address)))
    }

    fn push(&mut self, peer: Multiaddr) -> Result<(), TicketError> {
        if self.peers.contains(&peer) {
            return Ok(());
        }
        if peer_of(&peer).is_none() {
            return Err(TicketError::NoPeerId(peer));
        }
        if self.peers.len() == TICKET_PEERS_MAX {
            return Err(TicketError::TooManyPeers);
        }
        self.peers.push(peer);
        Ok(())
    }

    fn check_length(&self) -> Result<(), TicketError> {
        let length = self.to_string().len();
        if length > TICKET_BYTES_MAX {
            Err(TicketError::TooLong(length))
        } else {
            Ok(())
        }
    }
}

/// The peer id at the end of an address; `None` if it ends in something else.
pub fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(id)) => Some(id),
        _ => None,
    }
}

impl Ticket {
    /// What to fetch.
    pub fn hash(&self) -> ContentHash {
        self.of
    }
}

impl Ticket<NameAt> {
    /// What to fetch.
    pub fn name(&self) -> &NameAt {
        &self.of
    }
}

impl From<ContentHash> for Ticket {
    fn from(hash: ContentHash) -> Self {
        Self {
            of: hash,
            peers: Vec::new(),
        }
    }
}

/// The canonical text, with the scheme also if there are no addresses.
impl<T: fmt::Display> fmt::Display for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        percent_encode(&self.of.to_string(), f)?;
        for (position, peer) in self.peers.iter().enumerate() {
            f.write_str(if position == 0 { "?peer=" } else { "&peer=" })?;
            percent_encode(&peer.to_string(), f)?;
        }
        Ok(())
    }
}

/// A ticket, or what it is of alone; spaces around are ignored.
impl<T> FromStr for Ticket<T>
where
    T: FromStr + fmt::Display,
    TicketError: From<T::Err>,
{
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        if text.len() > TICKET_BYTES_MAX {
            return Err(TicketError::TooLong(text.len()));
        }
        let Some(body) = strip_scheme(text) else {
            return Self::new(text.parse::<T>()?, []);
        };
        let (of, query) = match body.split_once('?') {
            Some((of, query)) => (of, Some(query)),
            None => (body, None),
        };
        let of = percent_decode(of)?.parse::<T>()?;
        let parameters = query.into_iter().flat_map(|query| query.split('&'));
        let peers = parameters
            .map(parse_parameter)
            .collect::<Result<Vec<_>, _>>()?;
        Self::new(of, peers)
    }
}
