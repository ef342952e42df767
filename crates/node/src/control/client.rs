//! The caller's side of the control socket.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use hubless_sync::lock;
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Occupant,
    frame::{self, Reply},
};
use crate::{
    failure::{Failure, FailureKind},
    remedy::Remedy,
    replies::{Replies, ReplySink, replies},
    requests::{Call, Request},
};

/// Limit of the wait for a greeting: a process greets a connection as soon as it is scheduled,
/// unless it is stopped (SIGSTOP) or all its places are taken.
const GREETING_WITHIN: Duration = Duration::from_secs(10);

/// A connection that was greeted and carries no request now.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    pub(crate) occupant: Occupant,
}

/// Connects to the process that has the home directory open; `None` if none listens, or if it is
/// about to end.
///
/// # Errors
/// [`FailureKind::Busy`] if it does not answer.
pub(crate) async fn connect(socket: &Path) -> Result<Option<Connection>, Failure> {
    let Ok(mut stream) = UnixStream::connect(socket).await else {
        return Ok(None);
    };
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
    match timeout(GREETING_WITHIN, frame::read_greeting(&mut stream)).await {
        Ok(Ok(Some(occupant))) => Ok(Some(Connection { stream, occupant })),
        Ok(Ok(None)) => Ok(None),
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(silent(
            pid,
            "speaks another version of the control protocol",
        )),
        Ok(Err(_)) => Ok(None),
        Err(_) => Err(silent(pid, "does not answer")),
    }
}

fn silent(pid: Option<i32>, what: &str) -> Failure {
    let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let message = format!("the process that uses the home directory{pid} {what}");
    Failure::new(FailureKind::Busy, message).remedy(Remedy::EndProcess)
}

/// Sends requests to the process that has the home directory open. While this exists, that process
/// does not end by itself.
#[derive(Debug)]
pub(crate) struct Client {
    socket: PathBuf,
    occupant: Occupant,
    /// The connection between two requests.
    idle: Arc<Mutex<Option<Connection>>>,
}

impl Client {
    pub(crate) fn new(socket: PathBuf, connection: Connection) -> Self {
        Self {
            socket,
            occupant: connection.occupant.clone(),
            idle: Arc::new(Mutex::new(Some(connection))),
        }
    }

    pub(crate) fn occupant(&self) -> &Occupant {
        &self.occupant
    }

    /// Makes a call.
    ///
    /// # Errors
    /// If the process cannot be reached any more.
    pub(crate) async fn call<C: Call>(&self, call: C) -> Result<Replies<C::Answer>, Failure> {
        let connection = self.send(call.into()).await?;
        let (sink, end, replies) = replies(&CancellationToken::new());
        let idle = self.idle.clone();
        tokio::spawn(async move {
            if let Some(answer) = pump(connection, &sink, &idle).await {
                end.send(&sink, answer.and_then(|json| parse(&json))).await;
            }
        });
        Ok(replies)
    }

    /// Sends a request on a connection that carries no other.
    async fn send(&self, request: Request) -> Result<Connection, Failure> {
        let idle = lock(&self.idle).take();
        let mut connection = match idle {
            Some(connection) => connection,
            // The last request was cancelled, or is still running.
            None => connect(&self.socket)
                .await?
                .ok_or_else(|| ended(&self.occupant, io::ErrorKind::NotConnected.into()))?,
        };
        let sent = frame::write_request(&mut connection.stream, &request).await;
        sent.map_err(|error| ended(&self.occupant, error))?;
        Ok(connection)
    }
}

/// The answer of a call, which a node of another version may give in another form.
fn parse<A: DeserializeOwned>(json: &[u8]) -> Result<A, Failure> {
    serde_json::from_slice(json).map_err(|error| {
        let message = format!("the node's answer could not be read: {error}");
        Failure::new(FailureKind::Other, message).remedy(Remedy::RestartNode)
    })
}

/// The failure when the process ended. If it was a command that also worked for this one, the
/// request can be sent again and continues from there; a serving node was stopped or crashed.
fn ended(occupant: &Occupant, error: io::Error) -> Failure {
    if occupant.serves {
        let message = format!("lost the running node: {error}");
        return Failure::new(FailureKind::Other, message).remedy(Remedy::SeeNodeLog);
    }
    let message = format!("{occupant} did the work for this command, and ended before its end");
    Failure::new(FailureKind::HostEnded, message).remedy(Remedy::GoOn)
}

/// Forwards updates until the end, and returns that; `None` if the caller left. Dropping the
/// connection cancels the request.
async fn pump(
    mut connection: Connection,
    sink: &ReplySink,
    idle: &Mutex<Option<Connection>>,
) -> Option<Result<Bytes, Failure>> {
    loop {
        let reply = tokio::select! {
            reply = frame::read_reply(&mut connection.stream) => reply,
            () = sink.cancelled() => return None,
        };
        match reply {
            Ok(Some(Reply::Update(update))) => sink.forward(update).await.ok()?,
            Ok(Some(Reply::End(answer))) => {
                // Before the caller has the answer, so that its next request can use this connection.
                *lock(idle) = Some(connection);
                return Some(answer);
            }
            Ok(None) => {
                let error = io::ErrorKind::UnexpectedEof.into();
                return Some(Err(ended(&connection.occupant, error)));
            }
            Err(error) => return Some(Err(ended(&connection.occupant, error))),
        }
    }
}
