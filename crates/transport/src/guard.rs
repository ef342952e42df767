//! Which addresses this node dials: a peer on the Internet cannot make it dial machines of the local
//! network.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use hubless_address::{Reach, has_name, is_relayed, split_peer_id, way_to_relay};
use hubless_sync::lock;
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
    },
    multiaddr::Protocol,
};

/// Local addresses and names that were allowed; the oldest is forgotten.
const ALLOWED_MAX: usize = 1024;

/// Which addresses may be dialled. Local ones: all, if a peer at that distance was ever connected,
/// so that the node is part of a local network; else those that its owner, or a neighbour found by
/// mDNS, has named. Host names: those that its owner has named, wherever they lead. Names of
/// strangers are not even resolved: they may lead into the own network, and the question alone
/// reports to their owner that this node exists. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct DialPolicy {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    nearest: Reach,
    allowed: VecDeque<Multiaddr>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            nearest: Reach::Public,
            allowed: VecDeque::new(),
        }
    }
}

impl DialPolicy {
    /// A peer at this distance is connected.
    pub fn met(&self, reach: Reach) {
        let mut state = self.state();
        state.nearest = state.nearest.min(reach);
    }

    /// How far away the nearest peer was that was ever connected.
    pub fn nearest(&self) -> Reach {
        self.state().nearest
    }

    /// These addresses may be dialled, wherever they lead.
    pub fn allow<'a>(&self, addresses: impl IntoIterator<Item = &'a Multiaddr>) {
        let mut state = self.state();
        for address in addresses {
            state.allow(split_peer_id(address.clone()).0);
            // The way to a relay is dialled by itself.
            if let Some(relay) = way_to_relay(address) {
                state.allow(relay);
            }
        }
    }

    fn permits(&self, address: &Multiaddr) -> bool {
        let state = self.state();
        let is_near_enough = match Reach::of(address) {
            Some(reach) => reach >= state.nearest,
            // A circuit of a relay that is connected already.
            None => is_relayed(address) && !has_host(address),
        };
        is_near_enough || state.allowed.contains(&split_peer_id(address.clone()).0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn allow(&mut self, bare: Multiaddr) {
        if Reach::of(&bare) == Some(Reach::Public) || self.allowed.contains(&bare) {
            return;
        }
        self.allowed.push_back(bare);
        if self.allowed.len() > ALLOWED_MAX {
            self.allowed.pop_front();
        }
    }
}

fn has_host(address: &Multiaddr) -> bool {
    let is_ip = |part| matches!(part, Protocol::Ip4(_) | Protocol::Ip6(_));
    has_name(address) || address.iter().any(is_ip)
}

type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// A transport that dials what the policy permits.
pub(super) struct Guarded {
    inner: Connections,
    policy: DialPolicy,
}

impl Guarded {
    pub(super) fn new(inner: Connections, policy: DialPolicy) -> Self {
        Self { inner, policy }
    }
}

impl Transport for Guarded {
    type Output = <Connections as Transport>::Output;
    type Error = io::Error;
    type ListenerUpgrade = <Connections as Transport>::ListenerUpgrade;
    type Dial = <Connections as Transport>::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        if !self.policy.permits(&address) {
            let reason = "a stranger named this address: it is of a local network, or a name";
            let error = io::Error::new(io::ErrorKind::PermissionDenied, reason);
            return Err(TransportError::Other(error));
        }
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(policy: &DialPolicy, address: &str) -> bool {
        policy.permits(&address.parse().unwrap())
    }

    #[test]
    fn a_node_of_the_internet_dials_no_local_address_that_a_stranger_named() {
        let policy = DialPolicy::default();
        policy.met(Reach::Public);
        let local = [
            "/ip4/127.0.0.1/tcp/22",
            "/ip4/10.0.0.1/tcp/80",
            "/ip6/fe80::1/udp/1/quic-v1",
        ];
        assert!(local.iter().all(|address| !permits(&policy, address)));
        assert!(permits(&policy, "/ip4/81.2.3.4/tcp/1"));
    }

    #[test]
    fn local_addresses_are_dialled_when_named_by_the_owner_or_among_neighbours() {
        let policy = DialPolicy::default();
        let peer = PeerId::random();
        policy.allow([&format!("/ip4/10.0.0.1/tcp/80/p2p/{peer}").parse().unwrap()]);
        assert!(permits(&policy, "/ip4/10.0.0.1/tcp/80"));
        assert!(permits(
            &policy,
            &format!("/ip4/10.0.0.1/tcp/80/p2p/{peer}")
        ));
        assert!(!permits(&policy, "/ip4/10.0.0.1/tcp/81"));
        policy.met(Reach::Private);
        policy.met(Reach::Public);
        assert!(permits(&policy, "/ip4/10.0.0.2/tcp/80"));
        assert!(!permits(&policy, "/ip4/127.0.0.1/tcp/80"));
    }

    #[test]
    fn names_are_dialled_when_the_owner_named_them_and_never_for_strangers() {
        let (policy, peer) = (DialPolicy::default(), PeerId::random());
        policy.met(Reach::Loopback);
        let relay = format!("/dns4/relay.example.org/tcp/1/p2p/{peer}");
        for name in [
            "/dns4/a.example.org/tcp/22",
            "/dns/localhost/tcp/22",
            "/dnsaddr/example.org",
            "/ip4/81.2.3.4/tcp/1/dns4/localhost/tcp/22",
            &relay,
        ] {
            assert!(!permits(&policy, name), "{name}");
        }
        policy.allow(["/dns4/a.example.org/tcp/22".parse().unwrap()].iter());
        assert!(permits(&policy, "/dns4/a.example.org/tcp/22"));
        assert!(!permits(&policy, "/dns4/a.example.org/tcp/23"));
        policy.allow([format!("{relay}/p2p-circuit").parse().unwrap()].iter());
        assert!(permits(&policy, &relay), "the way to the relay");
    }

    #[test]
    fn what_is_dialled_counts_and_not_what_comes_first() {
        let (policy, peer) = (DialPolicy::default(), PeerId::random());
        policy.met(Reach::Public);
        for hidden in [
            "/ip4/81.2.3.4/tcp/1/ip4/127.0.0.1/tcp/22",
            "/ip6/64:ff9b::10.0.0.1/tcp/22",
            "/ip6/2002:7f00:1::1/tcp/22",
            "/memory/1/ip4/127.0.0.1/tcp/22",
            "/ip4/0.0.0.0/tcp/22",
        ] {
            assert!(!permits(&policy, hidden), "{hidden}");
        }
        assert!(permits(
            &policy,
            &format!("/p2p/{peer}/p2p-circuit/p2p/{peer}")
        ));
    }

    #[test]
    fn the_list_is_bounded() {
        let policy = DialPolicy::default();
        for port in 1..=ALLOWED_MAX + 10 {
            policy.allow([&format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()]);
        }
        assert_eq!(policy.state().allowed.len(), ALLOWED_MAX);
        assert!(!permits(&policy, "/ip4/10.0.0.1/tcp/1"));
    }
}
