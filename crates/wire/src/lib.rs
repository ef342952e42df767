//! What peers say to each other: messages, their bytes, versions and limits.
//!
//! # Roles
//! The side that opens a stream *asks* ([`Ask`]), the other *answers* ([`Answer`]). A node is both,
//! on different streams.
//!
//! # Goals
//! The format is a document (`proto/exchange.proto`) and the bytes are a test
//! (`proto/vectors/`). What this crate hands out obeys every rule of the document: hashes have 32
//! bytes, counts are within their limits, and no length from outside was used for an allocation
//! before it was checked.
//!
//! # Not here
//! Sockets and tasks (see `network`), what to ask whom (see `scheduler`), what to answer (see
//! `node`).

#[warn(clippy::arithmetic_side_effects)] // numbers from outside
mod frame;
mod limits;
#[warn(clippy::arithmetic_side_effects)]
mod message;

/// The messages as `prost` generates them from `proto/`.
// `Manifest` is generated too, for the tests that hold the canonical encoding against it.
#[allow(dead_code, missing_docs, unreachable_pub, clippy::all)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/hubless.v1.rs"));
}

pub use frame::{Frame, FrameError, FrameHead, header_len};
pub use limits::*;
pub use message::{Answer, Ask, Body, FileDigests, PeerAddresses, Scope};
