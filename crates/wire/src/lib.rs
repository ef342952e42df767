//! The exchange protocol between two peers: messages, their encoding, versions and limits.
//!
//! # Roles
//! The peer that opens a stream sends requests ([`Request`]), the other sends responses ([`Response`]). A
//! node does both, on different streams.
//!
//! # Goals
//! The format is a document (`proto/exchange.proto`) and the bytes are a test
//! (`proto/vectors/`). Every value that this crate returns obeys the rules of the document: hashes
//! have 32 bytes, counts are within their limits, and each length from outside was checked before
//! memory was allocated for it.
//!
//! # Not here
//! Sockets and tasks (see `network`), which chunk to request from which source (see `scheduler`), which
//! response to give (see `node`).

mod error;
#[warn(clippy::arithmetic_side_effects)] // numbers from outside
mod frame;
#[warn(clippy::arithmetic_side_effects)]
mod history;
mod limits;
#[warn(clippy::arithmetic_side_effects)]
mod message;
// `Manifest` is generated too, for the tests that hold the canonical encoding against it.
#[allow(dead_code, missing_docs, unreachable_pub, clippy::all)]
mod proto;

pub use error::FrameError;
pub use frame::{Frame, FrameHead, header_len};
pub use history::HistoryPage;
pub use limits::*;
pub use message::{Body, FileDigests, PeerAddresses, Request, Response, Scope};
