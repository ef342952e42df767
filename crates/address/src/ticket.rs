//! Tickets: one line of text with which a model can be fetched from its provider, DHT or not.
//!
//! ```text
//! hubless:<64 hexadecimal digits>?peer=<multiaddr>&peer=<multiaddr>
//! ```
//!
//! The hash is the content hash; each address ends in `/p2p/<peer id>`, so that the peer that
//! answers there can be checked to be the one that is meant. Characters that would end the value are
//! percent-encoded, everything else stands as it is. Where a ticket is expected, the bare hash is
//! one too: it has no addresses.
//!
//! A ticket grants nothing: with the hash, any node can search the DHT just as well.

use std::{
    cmp::Reverse,
    fmt::{self, Write as _},
    str::{FromStr, Utf8Error},
};

use hubless_content::{ContentHash, ParseHashError};
use multiaddr::{Multiaddr, PeerId, Protocol};

use crate::reach::Reach;

/// Addresses of one ticket: those of a few providers, each reachable in several ways.
pub const TICKET_PEERS_MAX: usize = 16;

/// Bytes of a ticket's text: what still fits into a chat message and every command line.
pub const TICKET_BYTES_MAX: usize = 4096;

const SCHEME: &str = "hubless:";

/// A content hash, and where to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    hash: ContentHash,
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
    /// A parameter other than `peer`.
    #[error("unknown ticket parameter {0:?}: only \"peer\" is known")]
    UnknownParameter(String),
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("broken percent-encoding in {0:?}")]
    PercentEncoding(String),
    /// Percent-encoded bytes that are not text.
    #[error("a peer address is not valid UTF-8: {0}")]
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

impl Ticket {
    /// A ticket for `hash` with these addresses, each of which must end in `/p2p/<peer id>`.
    /// Repetitions are dropped.
    pub fn new(
        hash: ContentHash,
        peers: impl IntoIterator<Item = Multiaddr>,
    ) -> Result<Self, TicketError> {
        let mut ticket = Self {
            hash,
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
    pub fn fitting(hash: ContentHash, peers: impl IntoIterator<Item = Multiaddr>) -> Self {
        let mut ticket = Self {
            hash,
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
    pub fn of_node(
        hash: ContentHash,
        addresses: impl IntoIterator<Item = Multiaddr>,
        local: bool,
    ) -> Self {
        let mut addresses: Vec<Multiaddr> = addresses.into_iter().collect();
        addresses.sort_by_key(|address| Reverse(Reach::of(address)));
        let farthest = addresses.first().and_then(Reach::of);
        let named = addresses.into_iter();
        Self::fitting(
            hash,
            named.filter(|address| local || Reach::of(address) == farthest),
        )
    }

    /// How far away it works; none without an address of known reach.
    pub fn reach(&self) -> Option<Reach> {
        self.peers.iter().filter_map(Reach::of).max()
    }

    /// What to fetch.
    pub fn hash(&self) -> ContentHash {
        self.hash
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

impl From<ContentHash> for Ticket {
    fn from(hash: ContentHash) -> Self {
        Self {
            hash,
            peers: Vec::new(),
        }
    }
}

/// The canonical text, with the scheme also if there are no addresses.
impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.hash)?;
        for (position, peer) in self.peers.iter().enumerate() {
            f.write_str(if position == 0 { "?peer=" } else { "&peer=" })?;
            percent_encode(&peer.to_string(), f)?;
        }
        Ok(())
    }
}

/// A ticket, or a bare content hash; spaces around are ignored.
impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        if text.len() > TICKET_BYTES_MAX {
            return Err(TicketError::TooLong(text.len()));
        }
        let Some(body) = strip_scheme(text) else {
            return Ok(Self::from(text.parse::<ContentHash>()?));
        };
        let (hash, query) = match body.split_once('?') {
            Some((hash, query)) => (hash, Some(query)),
            None => (body, None),
        };
        let hash = hash.parse()?;
        let parameters = query.into_iter().flat_map(|query| query.split('&'));
        let peers = parameters
            .map(parse_parameter)
            .collect::<Result<Vec<_>, _>>()?;
        Self::new(hash, peers)
    }
}

fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, body) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(body)
}

fn parse_parameter(parameter: &str) -> Result<Multiaddr, TicketError> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    if name != "peer" {
        return Err(TicketError::UnknownParameter(name.to_owned()));
    }
    let text = percent_decode(value)?;
    text.parse()
        .map_err(|error: multiaddr::Error| TicketError::BadAddress {
            reason: error.to_string(),
            text,
        })
}

/// Whether a character can stand in the value of a parameter: those of a query in RFC 3986, but
/// `&`, which ends the value, `+`, which some programs take for a space, and quotes, which shells
/// do not like.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/:@!$()*,;=?".contains(&byte)
}

fn percent_encode(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.bytes().try_for_each(|byte| {
        if is_plain(byte) {
            f.write_char(byte.into())
        } else {
            write!(f, "%{byte:02X}")
        }
    })
}

fn percent_decode(text: &str) -> Result<String, TicketError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let Some((digits, tail)) = rest.split_first_chunk::<2>() else {
            return Err(TicketError::PercentEncoding(text.to_owned()));
        };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let (Some(high), Some(low)) = (digit(digits[0]), digit(digits[1])) else {
            return Err(TicketError::PercentEncoding(text.to_owned()));
        };
        bytes.push((high << 4 | low) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|error| error.utf8_error().into())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn parse(text: &str) -> Result<Ticket, TicketError> {
        text.parse()
    }

    fn address(text: &str) -> Multiaddr {
        format!("{text}/p2p/{PEER}").parse().unwrap()
    }

    #[test]
    fn a_ticket_of_a_node_shows_no_more_of_its_network_than_it_needs() {
        let all = [
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/192.168.0.5/tcp/1",
            "/ip4/81.2.3.4/tcp/1",
            "/ip4/172.17.0.1/tcp/1",
        ];
        let all = all.map(address);
        let hash = ContentHash::new([1; 32]);
        let of = |addresses: &[&Multiaddr], local| {
            Ticket::of_node(hash, addresses.iter().copied().cloned(), local)
        };
        let [loopback, lan, public, bridge] = &all;
        let ticket = of(&[loopback, lan, public, bridge], false);
        assert_eq!(ticket.peers(), std::slice::from_ref(public));
        assert_eq!(ticket.reach(), Some(Reach::Public));
        let ticket = of(&[loopback, lan, bridge], false);
        assert_eq!(ticket.peers(), [lan.clone(), bridge.clone()]);
        assert_eq!(ticket.reach(), Some(Reach::Private));
        let ticket = of(&[loopback], false);
        assert_eq!(ticket.peers(), std::slice::from_ref(loopback));
        assert_eq!(ticket.reach(), Some(Reach::Loopback));
        let ticket = of(&[loopback, lan, public, bridge], true);
        let sorted = [public, lan, bridge, loopback].map(Clone::clone);
        assert_eq!(ticket.peers(), sorted);
    }

    #[test]
    fn a_ticket_in_text() {
        let peers = [
            address("/ip4/81.2.3.4/udp/4001/quic-v1"),
            address("/dns/a.example/tcp/1"),
        ];
        let ticket = Ticket::new(HASH.parse().unwrap(), peers.clone()).unwrap();
        let text = format!(
            "hubless:{HASH}?peer=/ip4/81.2.3.4/udp/4001/quic-v1/p2p/{PEER}\
             &peer=/dns/a.example/tcp/1/p2p/{PEER}"
        );
        assert_eq!(ticket.to_string(), text);
        assert_eq!(parse(&text), Ok(ticket.clone()));
        assert_eq!(
            parse(&format!("  HUBLESS{}\n", &text[7..])),
            Ok(ticket.clone())
        );
        assert_eq!(parse(&text.replace('/', "%2f")), Ok(ticket.clone()));
        assert_eq!(ticket.peers(), peers);
        assert!(ticket.providers().all(|(id, _)| id.to_string() == PEER));
    }

    #[test]
    fn a_bare_hash_is_a_ticket() {
        let ticket = parse(HASH).unwrap();
        assert_eq!(
            (ticket.hash().to_string().as_str(), ticket.peers()),
            (HASH, &[][..])
        );
        assert_eq!(ticket.to_string(), format!("hubless:{HASH}"));
        assert_eq!(parse(&ticket.to_string()), Ok(ticket));
    }

    #[test]
    fn a_text_that_is_no_ticket_says_why() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            error("hubless:abc"),
            "the ticket's hash is malformed: a hash has 64 hexadecimal digits, \
             this has 3 characters"
        );
        assert!(error("magnet:?xt=urn:btih:abc").starts_with("the ticket's hash is malformed"));
        assert_eq!(
            error(&format!(
                "hubless:{HASH}?peer=/ip4/1.2.3.4/tcp/1/p2p/{PEER}&name=x"
            )),
            "unknown ticket parameter \"name\": only \"peer\" is known"
        );
        assert!(error(&format!("hubless:{HASH}?")).starts_with("unknown ticket parameter \"\""));
        assert!(error(&format!("hubless:{HASH}?peer")).ends_with("does not end in /p2p/<peer id>"));
        assert!(error(&format!("hubless:{HASH}?peer=1.2.3.4")).contains("is not a multiaddr"));
        assert_eq!(
            error(&format!("hubless:{HASH}?peer=/ip4/1.2.3.4/tcp/1")),
            "the address /ip4/1.2.3.4/tcp/1 does not end in /p2p/<peer id>"
        );
        for broken in ["%", "%4", "%4g", "%+1"] {
            let text = format!("hubless:{HASH}?peer=/dns/{broken}");
            assert!(
                matches!(parse(&text), Err(TicketError::PercentEncoding(_))),
                "{broken}"
            );
        }
        let text = format!("hubless:{HASH}?peer=%ff");
        assert!(matches!(parse(&text), Err(TicketError::NotText(_))));
    }

    #[test]
    fn a_ticket_is_bounded() {
        let hash = ContentHash::new([1; 32]);
        let many: Vec<_> = (1..=20)
            .map(|port| address(&format!("/ip4/1.2.3.4/tcp/{port}")))
            .collect();
        assert_eq!(
            Ticket::new(hash, many.clone()),
            Err(TicketError::TooManyPeers)
        );
        assert_eq!(Ticket::fitting(hash, many.clone()).peers(), &many[..16]);
        let mixed = [
            "/ip4/1.2.3.4/tcp/1".parse().unwrap(),
            many[0].clone(),
            many[0].clone(),
        ];
        assert_eq!(Ticket::fitting(hash, mixed).peers(), &many[..1]);

        let name = |n: usize| address(&format!("/dns/{}{n}/tcp/1", "a".repeat(500)));
        let long: Vec<_> = (0..16).map(name).collect();
        assert!(matches!(
            Ticket::new(hash, long.clone()),
            Err(TicketError::TooLong(_))
        ));
        let fitting = Ticket::fitting(hash, long);
        assert_eq!(
            (fitting.peers().len(), parse(&fitting.to_string())),
            (6, Ok(fitting))
        );
        let text = format!("hubless:{HASH}?peer={}", "a".repeat(TICKET_BYTES_MAX));
        assert!(matches!(parse(&text), Err(TicketError::TooLong(_))));
    }

    fn any_address() -> impl Strategy<Value = Multiaddr> {
        let host = prop_oneof![
            any::<[u8; 4]>().prop_map(|ip| Multiaddr::from(Ipv4Addr::from(ip))),
            any::<[u8; 16]>().prop_map(|ip| Multiaddr::from(Ipv6Addr::from(ip))),
            "[a-z%&+#? =\u{e4}-\u{f6}-]{1,20}"
                .prop_map(|name| Multiaddr::empty().with(Protocol::Dns(name.into()))),
        ];
        (host, any::<u16>(), any::<bool>(), any::<[u8; 32]>()).prop_map(|(host, port, quic, id)| {
            let id = PeerId::from_bytes(&[&[0x12, 0x20][..], &id].concat()).unwrap();
            let host = match quic {
                true => host.with(Protocol::Udp(port)).with(Protocol::QuicV1),
                false => host.with(Protocol::Tcp(port)),
            };
            host.with(Protocol::P2p(id))
        })
    }

    proptest! {
        #[test]
        fn there_and_back(
            hash in any::<[u8; 32]>(),
            peers in proptest::collection::vec(any_address(), 0..TICKET_PEERS_MAX),
        ) {
            let ticket = Ticket::new(ContentHash::new(hash), peers).unwrap();
            let text = ticket.to_string();
            prop_assert!(text.is_ascii() && !text.contains([' ', '#', '"', '\'', '+']));
            prop_assert_eq!(parse(&text), Ok(ticket));
        }

        #[test]
        fn no_text_makes_the_parser_panic(
            text in ".{0,100}",
            tail in "[a-z0-9/%&=?.:]{0,100}",
        ) {
            let _ = parse(&text);
            let _ = parse(&format!("hubless:{text}"));
            let _ = parse(&format!("hubless:{HASH}?peer={text}"));
            if let Ok(ticket) = parse(&format!("hubless:{HASH}?peer=/{tail}/p2p/{PEER}")) {
                prop_assert_eq!(parse(&ticket.to_string()), Ok(ticket));
            }
        }
    }
}
