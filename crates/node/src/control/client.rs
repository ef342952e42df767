//! The caller's side of the control socket.

use std::{io, path::Path};

use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::frame;
use crate::{
    api::{Failure, FailureKind, Reply, Request},
    replies::{Replies, ReplySink, replies},
};

/// Whether a node answers on this socket.
pub(crate) async fn is_running(socket: &Path) -> bool {
    UnixStream::connect(socket).await.is_ok()
}

/// Sends a request to the running node.
pub(crate) async fn call(socket: &Path, request: &Request) -> Result<Replies, Failure> {
    let mut stream = UnixStream::connect(socket).await.map_err(lost)?;
    frame::write_request(&mut stream, request)
        .await
        .map_err(lost)?;
    let (sink, replies) = replies(&CancellationToken::new());
    tokio::spawn(pump(stream, sink));
    Ok(replies)
}

fn lost(error: io::Error) -> Failure {
    Failure::new(
        FailureKind::Other,
        format!("lost the running node: {error}"),
    )
    .hint("see why it ended where `hubless serve` runs, then run the same command again")
}

/// Passes replies on until the last one. Dropping the stream tells the node that nobody waits.
async fn pump(mut stream: UnixStream, sink: ReplySink) {
    loop {
        let reply = tokio::select! {
            reply = frame::read_reply(&mut stream) => reply,
            () = sink.cancelled() => return,
        };
        let reply = match reply {
            Ok(Some(reply)) => reply,
            Ok(None) => Reply::Failed(lost(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Reply::Failed(lost(error)),
        };
        let last = matches!(reply, Reply::Done(_) | Reply::Failed(_));
        if sink.forward(reply).await.is_err() || last {
            return;
        }
    }
}
