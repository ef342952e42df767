//! Real nodes on this machine, talking over real sockets.

// Helpers of tests may panic as tests do; they have no documentation.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod common;
mod crowds;
mod dht;
mod exchange;
mod hostile;
mod lanes;
mod lifecycle;
mod mallory;
mod values;
