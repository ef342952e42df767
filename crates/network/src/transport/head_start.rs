//! TCP gets a head start where throughput is bounded by the CPU.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};

use crate::reach::Reach;

/// Several handshakes over TCP on a local network.
const HEAD_START: Duration = Duration::from_millis(50);

/// Delays the dials of a transport (QUIC) to this machine and local networks: there its handshake
/// would win the race for a round trip, and then bulk data would pay twice the CPU time per byte
/// that TCP costs. On the Internet the link is the bound, and hole punching needs exact timing.
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
        let is_local = Reach::of(&address).is_some_and(|reach| reach < Reach::Public);
        let dial = self.inner.dial(address, options)?;
        if is_local {
            Ok(tokio::time::sleep(HEAD_START).then(|()| dial).boxed())
        } else {
            Ok(dial.boxed())
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(context)
    }
}
