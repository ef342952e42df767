use std::net::{Ipv4Addr, Ipv6Addr};

use hubless_content::PublisherId;
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

fn name_at(text: &str) -> Result<Ticket<NameAt>, TicketError> {
    text.parse()
}

#[test]
fn a_name_in_a_ticket() {
    let id = PublisherId::new([9; 32]).to_string();
    let peers = [address("/ip4/81.2.3.4/tcp/4001")];
    for (name, in_ticket) in [
        (format!("{id}/Mini"), format!("{id}/Mini")),
        (
            format!("datasets/{id}/d@refs/pr/1"),
            format!("datasets/{id}/d@refs/pr/1"),
        ),
        (
            format!("spaces/{id}/s@feature/a&b+c%'d#é@2"),
            format!("spaces/{id}/s@feature/a%26b%2Bc%25%27d%23%C3%A9@2"),
        ),
    ] {
        let ticket = Ticket::new(name.parse::<NameAt>().unwrap(), peers.clone()).unwrap();
        let text = format!("hubless:{in_ticket}?peer={}", peers[0]);
        assert_eq!(ticket.to_string(), text);
        assert_eq!(name_at(&text), Ok(ticket.clone()));
        assert_eq!(ticket.name().to_string(), name);
        assert_eq!(name_at(&name).unwrap().name(), ticket.name());
    }
    let ticket = name_at(&format!("hubless:datasets/{}/d@v1", id.to_uppercase())).unwrap();
    assert_eq!(
        ticket.name().repo().to_string(),
        format!("datasets/{id}/d"),
        "one spelling of the id"
    );
    assert_eq!(
        (ticket.name().revision(), ticket.peers()),
        (Some("v1"), &[][..])
    );
}

#[test]
fn a_name_that_other_nodes_do_not_know_is_in_no_ticket() {
    let id = PublisherId::new([9; 32]);
    for (text, error) in [
        ("hubless:acme/m".to_owned(), "the namespace is no id"),
        ("hubless:m".to_owned(), "the namespace is no id"),
        (format!("hubless:{id}/a/b"), "NAMESPACE/NAME"),
        (format!("hubless:{id}/m@"), "no part of a ref is empty"),
        (format!("hubless:{id}/m@a%20b"), "cannot have ' '"),
        (format!("hubless:{id}/m@{}", "a".repeat(600)), "at most 512"),
        (format!("hubless:{id}/m@%"), "broken percent-encoding"),
    ] {
        let found = name_at(&text).unwrap_err().to_string();
        assert!(found.contains(error), "{text}: {found}");
    }
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
