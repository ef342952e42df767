//! How a service responds.

use std::fmt;

use bytes::Bytes;
use hubless_wire::{Frame, PAYLOAD_BYTES_MAX, Response};
use tokio::sync::mpsc;

/// The requester cancelled, left, or reads too slowly: no more responses are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the requester is gone")]
pub struct RequesterGone;

/// Where the responses to one request go.
#[derive(Clone)]
pub struct Reply {
    id: u64,
    queue: mpsc::Sender<Frame>,
}

impl Reply {
    pub(super) fn new(id: u64, queue: mpsc::Sender<Frame>) -> Self {
        Self { id, queue }
    }

    /// Sends a response and its payload; waits while the requester is slow. A payload longer than a
    /// chunk is a mistake of ours, which the requester sees as `TooLarge`.
    ///
    /// # Errors
    /// If the requester is gone.
    pub async fn send(&self, response: Response, payload: Bytes) -> Result<(), RequesterGone> {
        debug_assert!(
            payload.len() <= PAYLOAD_BYTES_MAX,
            "a payload is at most one chunk"
        );
        let frame = if payload.len() <= PAYLOAD_BYTES_MAX {
            Frame::new(self.id, response).with_payload(payload)
        } else {
            Frame::new(self.id, Response::TooLarge)
        };
        self.queue.send(frame).await.map_err(|_| RequesterGone)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
