//! The listening side of the control socket.

use std::{fs, io, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{Occupant, frame};
use crate::{
    api::{FailureKind, Reply},
    core::Core,
    requests,
};

/// Connections at once, one for each command. A request may hold some megabytes; people and scripts
/// need a few.
const CONNECTIONS_MAX: usize = 256;

/// How long accepting rests after an error, such as too many open files: the error lasts, and
/// trying at once would only burn a core.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(200);

/// Accepts requests until it is stopped.
#[derive(Debug)]
pub(crate) struct Server {
    path: PathBuf,
    cancel: CancellationToken,
    connections: TaskTracker,
    worker: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Binds the socket. The caller holds the store's lock, so a socket that is there is left over
    /// from a process that ended without stopping.
    pub(crate) fn start(path: PathBuf, core: Arc<Core>, occupant: Occupant) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let cancel = CancellationToken::new();
        let connections = TaskTracker::new();
        // Does not keep new ones out; it lets `wait` end when there is none.
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

    /// Ends when no command of another process is connected.
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
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut failing = false;
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await;
                let place = place.map_err(io::Error::other)?;
                Ok::<_, io::Error>((self.listener.accept().await?.0, place))
            };
            let next = tokio::select! {
                next = next => next,
                () = self.cancel.cancelled() => return,
            };
            match next {
                Ok((stream, place)) => {
                    failing = false;
                    self.begin(stream, place);
                }
                Err(error) => {
                    // Once for a row of them.
                    if !std::mem::replace(&mut failing, true) {
                        warn!(%error, "cannot accept on the control socket");
                    }
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    fn begin(&self, stream: UnixStream, place: OwnedSemaphorePermit) {
        let (core, occupant) = (self.core.clone(), self.occupant.clone());
        let cancel = self.cancel.clone();
        self.connections.spawn(async move {
            let served = tokio::select! {
                served = serve(stream, core, &occupant) => served,
                () = cancel.cancelled() => Ok(()),
            };
            if let Err(error) = served {
                debug!(%error, "a control connection ended early");
            }
            drop(place);
        });
    }
}

/// Serves a connection until its caller closes it, or this process stops.
async fn serve(stream: UnixStream, core: Arc<Core>, occupant: &Occupant) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    frame::write_greeting(&mut write, occupant).await?;
    while let Some(request) = frame::read_request(&mut read).await? {
        let mut replies = requests::spawn(core.clone(), request);
        loop {
            let reply = tokio::select! {
                reply = replies.next() => reply,
                // A caller sends nothing before it has the last reply: this is its end.
                _ = read.read_u8() => return Ok(()),
            };
            let Some(reply) = reply else { return Ok(()) };
            if is_stopped(&reply) && core.cancel.is_cancelled() {
                // The caller did not ask for that: closing lets it send the request elsewhere.
                return Ok(());
            }
            frame::write_reply(&mut write, &reply).await?;
            if matches!(reply, Reply::Done(_) | Reply::Failed(_)) {
                break;
            }
        }
    }
    Ok(())
}

fn is_stopped(reply: &Reply) -> bool {
    matches!(reply, Reply::Failed(failure) if failure.kind == FailureKind::Interrupted)
}
