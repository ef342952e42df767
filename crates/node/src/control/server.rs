//! The listening side of the control socket.

use std::{fs, io, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use hubless_network::{Place, SharedPlaces};
use tokio::{
    io::AsyncReadExt,
    net::{UnixListener, UnixStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{Occupant, frame};
use crate::{
    accept,
    api::{FailureKind, Reply},
    core::Core,
    requests,
};

/// Accepts requests until it is stopped.
#[derive(Debug)]
pub(crate) struct Server {
    path: PathBuf,
    cancel: CancellationToken,
    connections: TaskTracker,
    worker: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Binds the socket. The caller holds the store's lock, so an existing socket was left behind
    /// by a process that was killed.
    pub(crate) fn start(path: PathBuf, core: Arc<Core>, occupant: Occupant) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let cancel = CancellationToken::new();
        let connections = TaskTracker::new();
        // New connections may still come; closing lets `wait` end when there is none.
        connections.close();
        let accepting = Accepting {
            listener,
            core,
            occupant,
            connections: connections.clone(),
            cancel: cancel.clone(),
        };
        Ok(Self {
            path,
            cancel,
            connections,
            worker: tokio::spawn(accepting.run()),
        })
    }

    /// Commands of other processes that are connected now.
    pub(crate) fn connected(&self) -> usize {
        self.connections.len()
    }

    /// Waits until no command of another process is connected.
    pub(crate) async fn idle(&self) {
        self.connections.wait().await;
    }

    /// Ends all requests and removes the socket.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        let _ = self.worker.await;
        self.connections.wait().await;
        let _ = fs::remove_file(&self.path);
    }
}

struct Accepting {
    listener: UnixListener,
    core: Arc<Core>,
    occupant: Occupant,
    connections: TaskTracker,
    cancel: CancellationToken,
}

impl Accepting {
    async fn run(self) {
        let places = SharedPlaces::new(self.core.descriptors.control_places());
        let serve = |stream, place| {
            let (core, occupant) = (self.core.clone(), self.occupant.clone());
            let connected = self.connections.token();
            async move {
                if let Err(error) = serve(stream, &place, core, &occupant).await {
                    debug!(%error, "a control connection ended early");
                }
                drop(connected);
            }
        };
        let mut connections =
            accept::run("control", self.listener, &places, &self.cancel, serve).await;
        connections.shutdown().await;
    }
}

/// Serves a connection until its caller closes it, or this process stops.
async fn serve(
    stream: UnixStream,
    place: &Place,
    core: Arc<Core>,
    occupant: &Occupant,
) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    frame::write_greeting(&mut write, occupant).await?;
    while let Some(request) = frame::read_request(&mut read).await? {
        // The table has no reserve, so there is always a place.
        place.busy();
        let mut replies = requests::spawn(core.clone(), request);
        loop {
            let reply = tokio::select! {
                reply = replies.next() => reply,
                // A caller sends nothing before it has the last reply, so this is its end of the
                // connection.
                _ = read.read_u8() => return Ok(()),
            };
            let Some(reply) = reply else { return Ok(()) };
            if is_stopped(&reply) && core.cx.cancel.is_cancelled() {
                // This process stops, and the caller did not cancel: without a result it sends the
                // request to another process.
                return Ok(());
            }
            frame::write_reply(&mut write, &reply).await?;
            if matches!(reply, Reply::Done(_) | Reply::Failed(_)) {
                break;
            }
        }
        place.idle();
    }
    Ok(())
}

fn is_stopped(reply: &Reply) -> bool {
    matches!(reply, Reply::Failed(failure) if failure.kind == FailureKind::Interrupted)
}
