//! The side that gives out passes and is dialled.

use std::{io, sync::Arc};

use futures::AsyncWriteExt as _;
use futures_rustls::LazyConfigAcceptor;
use hubless_sync::lock;
use libp2p::PeerId;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tracing::debug;

use super::{
    ALPN, HANDSHAKE_TIME_MAX, LaneError, Lanes,
    passes::Pass,
    stream::{Lane, Socket},
};
use crate::{
    carrier::Carrier,
    places::Place,
    streams::{Link, Opened},
    tls,
};

impl Lanes {
    /// Gives a pass to a peer that opened a stream to get one.
    pub fn give_pass(&self, peer: PeerId, opened: Opened) {
        let Opened { mut stream, link } = opened;
        let closed = link.closed.clone();
        let Some(pass) = lock(&self.shared.passes).give(peer, link) else {
            debug!(%peer, "refused a lane: passes are given and not used");
            return;
        };
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            let validity = tokio::time::sleep(HANDSHAKE_TIME_MAX);
            let give = async {
                stream.write_all(pass.as_bytes()).await?;
                stream.close().await?;
                std::future::pending::<io::Result<()>>().await
            };
            let used_up = async {
                tokio::select! {
                    () = validity => Ok(()),
                    given = give => given,
                }
            };
            if let Some(Err(error)) = closed.run_until_cancelled(used_up).await {
                debug!(%peer, %error, "could not give a pass");
            }
            lock(&shared.passes).take(pass);
        });
    }

    /// Takes a socket on which TLS begins.
    pub(crate) fn accept(&self, socket: TcpStream) {
        // Without an address the other side has left already.
        let Ok(from) = socket.peer_addr() else { return };
        let Some(place) = self.shared.handshakes.enter(from.ip()) else {
            debug!(%from, "refused a lane: its network has too many handshakes at once");
            return;
        };
        let lanes = self.clone();
        self.shared.tasks.spawn(async move {
            let welcome = lanes.welcome(socket, &place);
            let welcome = place.lost().run_until_cancelled(welcome);
            let welcome = tokio::time::timeout(HANDSHAKE_TIME_MAX, welcome);
            let welcomed = lanes.shared.stop.run_until_cancelled(welcome).await;
            drop(place);
            match welcomed {
                Some(Ok(Some(Ok((peer, lane))))) => (lanes.shared.accept)(peer, lane),
                Some(Ok(Some(Err(error)))) => {
                    debug!(error = &error as &dyn std::error::Error, "no lane");
                }
                Some(Ok(None)) => debug!("others needed the place of a lane's handshake"),
                Some(Err(_)) => debug!("the handshake of a lane took too long"),
                None => {}
            }
        });
    }

    async fn welcome(
        &self,
        socket: TcpStream,
        place: &Place,
    ) -> Result<(PeerId, Opened), LaneError> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), Socket::to_send(socket)).await?;
        // Before anything is sent, and before anything is computed.
        let pass = pass_in(&hello.client_hello()).ok_or(LaneError::NoPass)?;
        let (peer, mut link) = self.redeem(pass).ok_or(LaneError::NoPass)?;
        // With the reserve alone left it stays idle, and may give way.
        place.busy();
        let tls = hello.into_stream(self.shared.tls.server()).await?;
        let proven = tls::peer_of(tls.get_ref().1)?;
        if proven != peer {
            return Err(LaneError::WrongPeer { proven });
        }
        link.carrier = Carrier::Lane;
        let lane = Lane::new(tls.into(), self.shared.open.add(peer));
        let stream = Box::new(lane);
        Ok((peer, Opened { stream, link }))
    }

    fn redeem(&self, pass: Pass) -> Option<(PeerId, Link)> {
        let (peer, link) = lock(&self.shared.passes).take(pass)?;
        let is_welcome = !link.closed.is_cancelled() && !self.shared.bans.is_banned(&peer);
        is_welcome.then_some((peer, link))
    }
}

fn pass_in(hello: &rustls::server::ClientHello<'_>) -> Option<Pass> {
    let is_lane = hello.alpn()?.eq([ALPN]);
    is_lane.then_some(())?;
    Pass::from_name(hello.server_name()?)
}
