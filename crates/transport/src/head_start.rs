//! TCP gets a head start over QUIC.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use hubless_address::Reach;
use libp2p::{
    Multiaddr, Transport,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
};

/// On this machine and local networks: several handshakes over TCP.
const HEAD_START_LOCAL: Duration = Duration::from_millis(50);

/// On the Internet: the five round trips of a connection over TCP (its own, two of multistream, TLS,
/// the muxer) on a path of 100 ms. Where only QUIC gets through, that is what a first dial waits.
const HEAD_START_PUBLIC: Duration = Duration::from_millis(500);

/// Delays the dials of a transport (QUIC), whose handshake would win the race for being shorter.
/// Bulk data would pay for that: on a fast network twice the CPU time per byte, for want of a lane;
/// on a slow one the rate, since the congestion control of the kernel keeps a long path with some
/// loss full and that of QUIC in user space does not (`docs/benchmarks.md`).
pub(super) struct AfterTcp<T> {
    inner: T,
}

impl<T> AfterTcp<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner }
    }
}

impl<T> Transport for AfterTcp<T>
where
    T: Transport + Unpin,
    T::Dial: Send + 'static,
    T::Error: Send,
    T::Output: Send,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, T::Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        let head_start = head_start(&address, options.role);
        let dial = self.inner.dial(address, options)?;
        Ok(match head_start {
            Some(wait) => tokio::time::sleep(wait).then(|()| dial).boxed(),
            None => dial.boxed(),
        })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(context)
    }
}

/// How long a dial waits. Not at all if it is the half of a hole punch that opens the own NAT, by
/// packets that the other half must find sent already.
fn head_start(address: &Multiaddr, role: Endpoint) -> Option<Duration> {
    if role == Endpoint::Listener {
        return None;
    }
    let is_local = Reach::of(address).is_some_and(|reach| reach < Reach::Public);
    Some(if is_local {
        HEAD_START_LOCAL
    } else {
        HEAD_START_PUBLIC
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_leads_by_more_on_longer_ways_and_not_at_all_through_holes() {
        let of = |address: &str, role| head_start(&address.parse().unwrap(), role);
        let (near, far) = (
            "/ip4/192.168.1.2/udp/1/quic-v1",
            "/ip4/8.8.8.8/udp/1/quic-v1",
        );
        assert_eq!(of(near, Endpoint::Dialer), Some(HEAD_START_LOCAL));
        assert_eq!(of(far, Endpoint::Dialer), Some(HEAD_START_PUBLIC));
        assert_eq!(of(far, Endpoint::Listener), None);
    }
}
