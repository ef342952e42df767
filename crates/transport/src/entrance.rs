//! Connections that others begin: each has a place until its handshake is over.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use hubless_address::is_quic;
use hubless_sync::lock;
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
    },
};
use tracing::debug;

use crate::places::{Place, PlacesConfig, Prefix, SharedPlaces};

/// How long others may take for the first bytes of their handshake: several round trips over a
/// satellite. How long the whole may take is bounded for both directions alike.
const HELLO_TIME_MAX: Duration = Duration::from_secs(3);

/// The connections that others began and that are not encrypted yet. One that has sent nothing is
/// idle, and gives way to others; one whose first bytes are there is busy. Cheap to clone.
#[derive(Clone)]
pub(super) struct Arrivals {
    places: SharedPlaces,
    /// By the address at the other end.
    pending: Arc<Mutex<HashMap<Multiaddr, Arc<Handshake>>>>,
}

struct Handshake {
    place: Place,
    has_begun: AtomicBool,
}

impl Arrivals {
    pub(super) fn new(total: usize) -> Self {
        Self {
            places: SharedPlaces::new(PlacesConfig::of_handshakes(total)),
            pending: Arc::default(),
        }
    }

    /// The first bytes of a connection are there.
    pub(super) fn spoke(&self, remote: &Multiaddr) {
        if let Some(handshake) = self.pending().get(remote) {
            handshake.has_begun.store(true, Ordering::Relaxed);
            // With the reserve alone left it stays idle, and may give way.
            handshake.place.busy();
        }
    }

    fn enter(&self, remote: &Multiaddr) -> Option<Arrival> {
        let handshake = Arc::new(Handshake {
            place: self.places.enter(Prefix::of_remote(remote))?,
            // A connection of QUIC is noticed by the first bytes of its handshake.
            has_begun: AtomicBool::new(is_quic(remote)),
        });
        self.pending()
            .insert(remote.clone(), Arc::clone(&handshake));
        Some(Arrival {
            arrivals: self.clone(),
            remote: remote.clone(),
            handshake,
        })
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Multiaddr, Arc<Handshake>>> {
        lock(&self.pending)
    }
}

/// One connection that others began, until its handshake is over.
struct Arrival {
    arrivals: Arrivals,
    remote: Multiaddr,
    handshake: Arc<Handshake>,
}

impl Arrival {
    /// Runs the rest of the handshake, as long as the connection has its place.
    async fn run<T>(
        self,
        upgrade: impl Future<Output = Result<T, io::Error>>,
    ) -> Result<T, io::Error> {
        let lost = self.handshake.place.lost();
        tokio::select! {
            outcome = upgrade => outcome,
            () = self.stays_silent() => Err(io::ErrorKind::TimedOut.into()),
            () = lost.cancelled() => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "others needed the place of a connection that was idle",
            )),
        }
    }

    /// Ends when the first bytes have not come in time.
    async fn stays_silent(&self) {
        tokio::time::sleep(HELLO_TIME_MAX).await;
        if self.handshake.has_begun.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut pending = self.arrivals.pending();
        // Over QUIC, one socket may begin several connections.
        if pending
            .get(&self.remote)
            .is_some_and(|handshake| Arc::ptr_eq(handshake, &self.handshake))
        {
            pending.remove(&self.remote);
        }
    }
}

type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// A transport that takes no more connections from others than there are places.
pub(super) struct Entrance {
    inner: Connections,
    arrivals: Arrivals,
}

impl Entrance {
    pub(super) fn new(inner: Connections, arrivals: Arrivals) -> Self {
        Self { inner, arrivals }
    }
}

impl Transport for Entrance {
    type Output = <Connections as Transport>::Output;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, Result<Self::Output, io::Error>>;
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
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        loop {
            let event = std::task::ready!(Pin::new(&mut self.inner).poll(context));
            let TransportEvent::Incoming { send_back_addr, .. } = &event else {
                return Poll::Ready(event.map_upgrade(|upgrade| upgrade.boxed()));
            };
            if let Some(arrival) = self.arrivals.enter(send_back_addr) {
                let run = |upgrade| arrival.run(upgrade).boxed();
                return Poll::Ready(event.map_upgrade(run));
            }
            debug!(from = %send_back_addr, "refused a connection: its network has no places left");
        }
    }
}
