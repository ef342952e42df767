//! The listener and its connections: what bounds them, and how they end.

mod client;
mod connection;
mod patience;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::Router;
use hubless_node::{NodeHandle, Place, SharedPlaces, accept};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{app::App, config::GatewayConfig, http::metrics::HttpMetrics, router::router};

/// How long requests under way may go on after the gateway began to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// The first second of the year 10,000, since 1970.
const YEAR_10000: u64 = 253_402_300_800;

/// For clients of a machine whose clock has no date that HTTP can write.
const NO_DATE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Content-Length: 63\r\n\r\nThe clock of this machine is before 1970 or after 9999: set it.";

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Others could use it.
    #[error("the gateway at {0} could be used by other machines, and has no token")]
    Open(SocketAddr),
    /// The address cannot be listened on.
    #[error("the gateway cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A running gateway. Stop it before its node; one that is dropped ends without order.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    cancel: CancellationToken,
    worker: JoinHandle<()>,
}

impl Gateway {
    /// Starts to answer for a node.
    ///
    /// # Errors
    /// If the address cannot be listened on, or others could use it without a token.
    pub async fn start(node: NodeHandle, mut config: GatewayConfig) -> Result<Self, StartError> {
        let address = config.address;
        if !address.ip().is_loopback() && config.token.is_none() {
            return Err(StartError::Open(address));
        }
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        config.address = listener.local_addr().map_err(failed)?;
        let cancel = CancellationToken::new();
        let address = config.address;
        let places = SharedPlaces::new(node.http_places());
        let app = App {
            node,
            config: Arc::new(config),
            http: HttpMetrics::default(),
            stopping: cancel.clone(),
        };
        let router = router(Arc::new(app));
        let worker = spawn_serve(listener, places, router, cancel.clone());
        Ok(Self {
            address,
            cancel,
            worker,
        })
    }

    /// What clients set `HF_ENDPOINT` to.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }

    /// Stops: no new requests, and a moment for those under way.
    pub async fn stop(self) {
        self.cancel.cancel();
        if let Err(error) = self.worker.await {
            tracing::error!(%error, "the gateway did not stop cleanly");
        }
    }
}

/// Not async, so that the server is compiled here and not in each crate that starts a gateway.
fn spawn_serve(
    listener: TcpListener,
    places: SharedPlaces,
    router: Router,
    cancel: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(serve(listener, places, router, cancel))
}

/// Whether HTTP can write the date. `hyper` panics if it cannot, whether it has to write it or not.
fn has_date(now: SystemTime) -> bool {
    let since = now.duration_since(UNIX_EPOCH);
    since.is_ok_and(|since| since.as_secs() < YEAR_10000)
}

async fn serve(
    listener: TcpListener,
    places: SharedPlaces,
    router: Router,
    cancel: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let answer = |stream, place: Place| {
        let connection = match has_date(SystemTime::now()) {
            true => Ok(connection::connection(stream, place, router.clone())),
            false => Err(stream),
        };
        let connection = connection.map(|connection| graceful.watch(connection));
        async move {
            let ended = match connection {
                Ok(connection) => connection.await.map_err(|error| error.to_string()),
                Err(mut stream) => {
                    let written = stream.write_all(NO_DATE).await;
                    written.map_err(|error| error.to_string())
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error, "a connection ended");
            }
        }
    };
    let mut connections = accept::run("gateway", listener, &places, &cancel, answer).await;
    if tokio::time::timeout(STOP_PATIENCE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::debug!("requests under way are cut off");
    }
    connections.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_without_a_date_is_answered_without_hyper() {
        assert!(has_date(SystemTime::now()) && has_date(UNIX_EPOCH));
        assert!(!has_date(UNIX_EPOCH - Duration::from_secs(1)));
        assert!(!has_date(UNIX_EPOCH + Duration::from_secs(YEAR_10000)));
        let answer = std::str::from_utf8(NO_DATE).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
    }
}
