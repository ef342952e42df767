//! Frames: `varint(header length) header payload`. See `proto/exchange.proto`.

use bytes::{Bytes, BytesMut};
use prost::Message;

use crate::{Body, HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX, proto};

/// Why bytes from a peer are not a frame. The peer is to be disconnected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A header longer than [`HEADER_BYTES_MAX`], or a length that is no varint.
    #[error("a header of more than {HEADER_BYTES_MAX} bytes")]
    HeaderTooLong,
    /// A payload longer than [`PAYLOAD_BYTES_MAX`].
    #[error("a payload of {0} bytes, more than {PAYLOAD_BYTES_MAX}")]
    PayloadTooLong(u32),
    /// Not protobuf.
    #[error("a header that is not protobuf")]
    NotProtobuf,
    /// Protobuf that breaks a rule of the protocol; holds the rule.
    #[error("a header that breaks a rule: {0}")]
    Rule(&'static str),
}

/// What stands before a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHead {
    /// Which ask this is, or answers; 0 for `Hello`.
    pub id: u64,
    /// What is said.
    pub body: Body,
    /// Bytes that follow; at most [`PAYLOAD_BYTES_MAX`].
    pub payload: usize,
}

/// A whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which ask this is, or answers; 0 for `Hello`.
    pub id: u64,
    /// What is said.
    pub body: Body,
    /// Raw bytes that belong to it; mostly a chunk's.
    pub payload: Bytes,
}

impl Frame {
    /// A frame without payload.
    pub fn new(id: u64, body: impl Into<Body>) -> Self {
        Self {
            id,
            body: body.into(),
            payload: Bytes::new(),
        }
    }

    /// The same with a payload; at most [`PAYLOAD_BYTES_MAX`] bytes of it may be sent.
    pub fn with_payload(self, payload: Bytes) -> Self {
        Self { payload, ..self }
    }

    /// Appends length and header, not the payload, which the sender writes behind them from where
    /// it lies.
    pub fn encode_head(&self, out: &mut BytesMut) {
        let header = proto::Header {
            id: self.id,
            payload: u32::try_from(self.payload.len()).unwrap_or(u32::MAX),
            body: self.body.clone().into_proto(),
        };
        out.reserve(header.encoded_len().saturating_add(10));
        // Cannot fail: `BytesMut` grows.
        let _ = header.encode_length_delimited(out);
    }
}

impl FrameHead {
    /// Reads a header, without the length in front of it.
    ///
    /// # Errors
    /// If it is not protobuf or breaks a rule or limit.
    pub fn decode(header: &[u8]) -> Result<Self, FrameError> {
        if header.len() > HEADER_BYTES_MAX {
            return Err(FrameError::HeaderTooLong);
        }
        let header = proto::Header::decode(header).map_err(|_| FrameError::NotProtobuf)?;
        let payload = header.payload as usize;
        if payload > PAYLOAD_BYTES_MAX {
            return Err(FrameError::PayloadTooLong(header.payload));
        }
        let body = match header.body {
            Some(body) => Body::try_from(body)?,
            None => Body::UnknownAsk,
        };
        if (header.id == 0) != (body == Body::Hello) {
            return Err(FrameError::Rule("only a hello has id 0"));
        }
        if payload > 0 && !body.may_have_payload() {
            return Err(FrameError::Rule("this message has no payload"));
        }
        Ok(Self {
            id: header.id,
            body,
            payload,
        })
    }
}

/// Reads the length in front of a header from the first bytes of a frame.
///
/// Returns the header's length and how many bytes the length itself took, or `None` if more bytes
/// are needed.
///
/// # Errors
/// [`FrameError::HeaderTooLong`] as soon as that is certain.
pub fn header_len(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let mut value = 0usize;
    // Of each byte, how far its bits are shifted, and how many bytes there are with it.
    for (byte, (shift, taken)) in bytes.iter().zip([(0, 1), (7, 2), (14, 3)]) {
        value |= usize::from(byte & 0x7f).wrapping_shl(shift);
        if value > HEADER_BYTES_MAX {
            return Err(FrameError::HeaderTooLong);
        }
        if byte & 0x80 == 0 {
            return Ok(Some((value, taken)));
        }
    }
    if bytes.len() < 3 {
        Ok(None)
    } else {
        Err(FrameError::HeaderTooLong)
    }
}
