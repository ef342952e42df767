//! Callers that wait for connections.

use std::{collections::HashMap, sync::Arc};

use hubless_transport::bans::Banned;
use libp2p::{
    PeerId,
    swarm::{ConnectionId, DialError},
};
use tokio::sync::oneshot;

use crate::error::ConnectError;

/// Dials that a caller waits for, in progress at once: as many as may be pending at all.
const DIALS_MAX: usize = 256;

pub(super) type ConnectReply = oneshot::Sender<Result<PeerId, ConnectError>>;

struct Dial {
    peer: Option<PeerId>,
    target: String,
    reply: ConnectReply,
}

/// Dials in progress.
#[derive(Default)]
pub(super) struct Dials {
    dials: HashMap<ConnectionId, Dial>,
}

impl Dials {
    pub(super) fn is_full(&self) -> bool {
        self.dials.len() >= DIALS_MAX
    }

    pub(super) fn begun(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        target: String,
        reply: ConnectReply,
    ) {
        self.dials.insert(
            id,
            Dial {
                peer,
                target,
                reply,
            },
        );
    }

    /// A connection was made: by this dial, or by any other to the same peer.
    pub(super) fn connected(&mut self, peer: PeerId, id: ConnectionId) {
        let served = self
            .dials
            .extract_if(|other, dial| *other == id || dial.peer == Some(peer));
        for (_, dial) in served {
            // The caller may be gone; ignore the error.
            let _ = dial.reply.send(Ok(peer));
        }
    }

    pub(super) fn failed(&mut self, id: ConnectionId, error: DialError) {
        if let Some(dial) = self.dials.remove(&id) {
            // The caller may be gone; ignore the error.
            let _ = dial.reply.send(Err(connect_error(dial.target, error)));
        }
    }
}

pub(super) fn connect_error(target: String, error: DialError) -> ConnectError {
    if let DialError::Denied { cause } = &error
        && let Some(banned) = cause.downcast_ref::<Banned>()
    {
        return ConnectError::Banned(*banned);
    }
    ConnectError::Unreachable {
        target,
        source: Arc::new(error),
    }
}
