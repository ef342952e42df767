//! Why bytes from a peer are refused.

use std::borrow::Cow;

use crate::limits::{HEADER_BYTES_MAX, PAYLOAD_BYTES_MAX};

/// Why bytes from a peer are not a frame. The caller disconnects the peer.
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
    /// Protobuf that breaks a rule of the protocol; holds the rule, with its limit if it is one.
    #[error("a header that breaks a rule: {0}")]
    Rule(Cow<'static, str>),
}

impl FrameError {
    /// A rule that names no limit.
    pub(crate) const fn rule(text: &'static str) -> Self {
        Self::Rule(Cow::Borrowed(text))
    }
}
