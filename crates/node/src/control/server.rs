//! The node's side of the control socket.

use std::{fs, io, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use tokio::{
    io::AsyncReadExt,
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::frame;
use crate::{core::Core, requests};

/// Requests under way at once. Each may hold some megabytes; people and scripts need a few.
const CONNECTIONS_MAX: usize = 256;

/// Accepts requests until it is stopped.
#[derive(Debug)]
pub(crate) struct Server {
    path: PathBuf,
    cancel: CancellationToken,
    worker: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Binds the socket. The caller holds the store's lock, so a socket that is there is left over
    /// from a node that ended without stopping.
    pub(crate) fn start(path: PathBuf, core: Arc<Core>) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let cancel = CancellationToken::new();
        let worker = tokio::spawn(accept(listener, core, cancel.clone()));
        Ok(Self {
            path,
            cancel,
            worker,
        })
    }

    /// Ends all requests and removes the socket.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        let _ = self.worker.await;
        let _ = fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, core: Arc<Core>, cancel: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = cancel.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let core = core.clone();
                connections.spawn(async move {
                    if let Err(error) = serve(stream, core).await {
                        debug!(%error, "a control connection ended early");
                    }
                    drop(permit);
                });
            }
            Err(error) => warn!(%error, "cannot accept on the control socket"),
        }
    }
    connections.shutdown().await;
}

async fn serve(stream: UnixStream, core: Arc<Core>) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let request = frame::read_request(&mut read).await?;
    let mut replies = requests::spawn(core, request);
    // The caller says no more: whatever arrives now is the end of the connection.
    let gone = async move {
        let _ = read.read_u8().await;
    };
    tokio::pin!(gone);
    loop {
        tokio::select! {
            reply = replies.next() => match reply {
                Some(reply) => frame::write_reply(&mut write, &reply).await?,
                None => return Ok(()),
            },
            () = &mut gone => return Ok(()),
        }
    }
}
