//! Frames: `varint(header length) header payload`. See `proto/exchange.proto`.

use bytes::{Bytes, BytesMut};
use prost::Message;

use crate::{
    error::FrameError,
    limits::{HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX},
    message::Body,
    proto,
};

/// A frame without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHead {
    /// Id of the request, also in its responses; 0 for `Hello`.
    pub id: u64,
    /// The message.
    pub body: Body,
    /// Length of the payload that follows; at most [`PAYLOAD_BYTES_MAX`].
    pub payload: usize,
}

/// A whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Id of the request, also in its responses; 0 for `Hello`.
    pub id: u64,
    /// The message.
    pub body: Body,
    /// Raw bytes of the message; mostly a chunk's.
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

    /// Appends length and header. The sender writes the payload after them without copying it here.
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
        // Before anything is read or allocated for the payload.
        if payload > PAYLOAD_BYTES_MAX {
            return Err(FrameError::PayloadTooLong(header.payload));
        }
        let body = match header.body {
            Some(body) => Body::try_from(body)?,
            // A later version may have more requests; the peer is not at fault.
            None => Body::UnknownRequest,
        };
        // Id 0 would make a response ambiguous: `Hello` has no response.
        if (header.id == 0) != (body == Body::Hello) {
            return Err(FrameError::rule("only a hello has id 0"));
        }
        // A payload that no reader expects would be bandwidth and memory at the sender's choice.
        if payload > 0 && !body.may_have_payload() {
            return Err(FrameError::rule("this message has no payload"));
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
    // For each byte: the shift of its bits, and the number of bytes up to it. Three bytes hold more
    // than `HEADER_BYTES_MAX`, so a fourth is never needed.
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
