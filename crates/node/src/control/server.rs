//! The listening side of the control socket.

use std::{fs, io, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use hubless_network::{Place, SharedPlaces};
use tokio::{
    io::AsyncReadExt,
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{Occupant, frame};
use crate::{
    accept,
    core::Core,
    failure::{Failure, FailureKind},
    replies::Replies,
    requests::Request,
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
    if core.cx.cancel.is_cancelled() {
        // This process ends. Its caller, not greeted, waits for the next one that opens the home
        // directory; greeted, it would send its request here again and again.
        return Ok(());
    }
    let (mut read, mut write) = stream.into_split();
    frame::write_greeting(&mut write, occupant).await?;
    while let Some(request) = frame::read_request(&mut read).await? {
        // The table has no reserve, so there is always a place.
        place.busy();
        let answer = match Request::parse(&request) {
            Ok(request) => {
                let replies = request.start(core.clone());
                match follow(replies, &mut read, &mut write).await? {
                    Some(answer) => answer,
                    None => return Ok(()),
                }
            }
            Err(failure) => Err(failure),
        };
        let is_stopped =
            matches!(&answer, Err(failure) if failure.kind == FailureKind::Interrupted);
        if is_stopped && core.cx.cancel.is_cancelled() {
            // This process stops, and the caller did not cancel: without an answer it sends the
            // request to another process.
            return Ok(());
        }
        frame::write_end(&mut write, &answer).await?;
        place.idle();
    }
    Ok(())
}

/// Sends the updates of a call until its end, and returns its answer; `None` if the caller left.
async fn follow(
    mut replies: Replies<Vec<u8>>,
    read: &mut OwnedReadHalf,
    write: &mut OwnedWriteHalf,
) -> io::Result<Option<Result<Vec<u8>, Failure>>> {
    loop {
        let update = tokio::select! {
            update = replies.next() => update,
            // A caller sends nothing before it has the answer, so this is its end of the
            // connection.
            _ = read.read_u8() => return Ok(None),
        };
        match update {
            Some(update) => frame::write_update(write, &update).await?,
            None => return Ok(Some(replies.answer().await)),
        }
    }
}
