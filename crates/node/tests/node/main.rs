//! Nodes in one process that talk over 127.0.0.1.
//!
//! One binary: each more would link libp2p again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod aliases;
mod begun_answers;
mod cold_ids;
mod common;
mod digests;
mod graceful;
mod names;
mod news_beside_lanes;
mod regained;
