//! The side that requests a pass and dials.

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, future::BoxFuture};
use futures_rustls::TlsConnector;
use hubless_sync::lock;
use libp2p::PeerId;
use tokio::net::TcpStream;

use super::{
    HANDSHAKE_TIME_MAX, Lanes,
    passes::Pass,
    stream::{Lane, Socket},
};
use crate::{
    carrier::Carrier,
    streams::Opened,
    tls::{self, TlsError},
};

/// How long no lane is tried with a peer after one has failed; doubled with each more in a row. A
/// peer may have had too much to do.
const RETRY_MIN: Duration = Duration::from_secs(10);

/// The longest such time: what is in the way, such as a proxy that passes on libp2p only, stays for
/// long.
const RETRY_MAX: Duration = Duration::from_secs(600);

/// Peers whose failure is remembered; the oldest is forgotten, which costs one more try.
const FAILURES_MAX: usize = 1024;

/// Why there is no lane.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The stream for the pass, or the lane.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The other end did not prove a peer id.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It has no protocol for passes.
    #[error("the peer does not support lanes")]
    NotSpoken,
    /// It was used, is too old, or was never given.
    #[error("the TLS hello shows no pass that is good")]
    NoPass,
    /// The other end proved another peer id.
    #[error("another peer, {proven}, is at the other end")]
    WrongPeer {
        /// Which one.
        proven: PeerId,
    },
    /// The handshake took too long.
    #[error("not ready within {HANDSHAKE_TIME_MAX:?}")]
    TooSlow,
}

impl Lanes {
    /// Whether a lane is worth trying.
    pub fn may_work(&self, peer: &PeerId) -> bool {
        !lock(&self.shared.failures).has(peer, Instant::now())
    }

    /// A lane works: if the next one does not, it is worth another try soon.
    pub fn worked(&self, peer: &PeerId) {
        lock(&self.shared.failures).of.remove(peer);
    }

    /// Has this and the next opens use streams of libp2p.
    pub fn failed(&self, peer: PeerId) {
        lock(&self.shared.failures).add(peer, Instant::now());
    }

    /// Dials a lane to a peer, with the pass that comes out of a stream opened for one. Boxed,
    /// because an async function is compiled again in each crate that awaits it, and with this one
    /// the handshake of TLS would be.
    pub fn dial(&self, peer: PeerId, for_pass: Opened) -> BoxFuture<'_, Result<Opened, LaneError>> {
        Box::pin(async move {
            let closed = for_pass.link.closed.clone();
            let dialled = tokio::time::timeout(HANDSHAKE_TIME_MAX, self.dial_to(peer, for_pass));
            match closed.run_until_cancelled(dialled).await {
                Some(Ok(outcome)) => outcome,
                Some(Err(_)) => Err(LaneError::TooSlow),
                None => Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
            }
        })
    }

    async fn dial_to(&self, peer: PeerId, for_pass: Opened) -> Result<Opened, LaneError> {
        let Opened {
            mut stream,
            mut link,
        } = for_pass;
        let mut pass = [0; Pass::BYTES];
        stream.read_exact(&mut pass).await?;
        let name = Pass::from_bytes(pass).to_name().ok_or(LaneError::NoPass)?;
        let address = link.dialled.ok_or(io::ErrorKind::NotConnected);
        let socket = TcpStream::connect(address.map_err(io::Error::from)?).await?;
        socket.set_nodelay(true)?;
        let connector = TlsConnector::from(self.shared.tls.client());
        let tls = connector.connect(name, Socket::to_receive(socket)).await?;
        let proven = tls::peer_of(tls.get_ref().1)?;
        if proven != peer {
            return Err(LaneError::WrongPeer { proven });
        }
        link.carrier = Carrier::Lane;
        let lane = Lane::new(tls.into(), self.shared.open.add(peer));
        let stream = Box::new(lane);
        Ok(Opened { stream, link })
    }
}

/// Peers with which no lane could be made, when that failed, and how often in a row. Time is an
/// argument.
#[derive(Debug, Default)]
pub(super) struct Failures {
    of: HashMap<PeerId, (Instant, u32)>,
}

impl Failures {
    fn add(&mut self, peer: PeerId, now: Instant) {
        if self.of.len() >= FAILURES_MAX && !self.of.contains_key(&peer) {
            let oldest = self.of.iter().min_by_key(|(_, (at, _))| *at);
            oldest
                .map(|(peer, _)| *peer)
                .map(|oldest| self.of.remove(&oldest));
        }
        let (at, count) = self.of.entry(peer).or_insert((now, 0));
        *at = now;
        *count = count.saturating_add(1);
    }

    fn has(&self, peer: &PeerId, now: Instant) -> bool {
        self.of.get(peer).is_some_and(|(at, count)| {
            let factor = 1 << count.saturating_sub(1).min(16);
            let wait = RETRY_MIN.saturating_mul(factor).min(RETRY_MAX);
            now.saturating_duration_since(*at) < wait
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_for_ever_longer_and_their_number_is_bounded() {
        let (mut failures, peer, now) = (Failures::default(), PeerId::random(), Instant::now());
        failures.add(peer, now);
        assert!(failures.has(&peer, now) && !failures.has(&PeerId::random(), now));
        assert!(!failures.has(&peer, now + RETRY_MIN));
        failures.add(peer, now);
        assert!(failures.has(&peer, now + RETRY_MIN));
        for _ in 0..100 {
            failures.add(peer, now);
        }
        assert!(failures.has(&peer, now + RETRY_MAX / 2));
        assert!(!failures.has(&peer, now + RETRY_MAX));
        for _ in 0..FAILURES_MAX {
            failures.add(PeerId::random(), now + Duration::from_secs(1));
        }
        assert_eq!(failures.of.len(), FAILURES_MAX);
        assert!(!failures.has(&peer, now));
    }
}
