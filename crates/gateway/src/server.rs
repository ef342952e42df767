//! The listener and its connections: what bounds them, and how they end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hubless_node::NodeHandle;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{App, GatewayConfig, ops::HttpMetrics, pages::Pages, router};

/// Connections at once, and so requests under way, as HTTP/1 has one on each. Clients download 8
/// files in parallel: enough for a hundred of them. More wait in the kernel.
const CONNECTIONS_MAX: usize = 1024;

/// How long a client may take for the head of a request, and an unused connection stays open.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a request's head. Paths have at most 1 KiB, and tokens some hundred bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Headers of a request.
const HEADERS_MAX: usize = 100;

/// How long requests under way may go on after the gateway was told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// A pause after a connection could not be accepted, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
        let app = App {
            node,
            config,
            pages: Pages::default(),
            http: HttpMetrics::default(),
            stopping: cancel.clone(),
        };
        let router = router(Arc::new(app));
        let worker = spawn_serve(listener, router, cancel.clone());
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
fn spawn_serve(listener: TcpListener, router: Router, cancel: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(serve(listener, router, cancel))
}

async fn serve(listener: TcpListener, router: Router, cancel: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            () = cancel.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, permit)) => {
                let connection = connection(stream, router.clone());
                let connection = graceful.watch(connection);
                connections.spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(STOP_PATIENCE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::debug!("requests under way are cut off");
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await;
    let permit = permit.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Head and body may go out in two writes; waiting for the first one's acknowledgement would
    // cost each request 40 ms.
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: Router) -> Connection {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}
