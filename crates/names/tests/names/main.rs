//! Names between nodes: real stores, real connections, and peers that lie.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopting;
mod announcing;
mod common;
mod following;
mod hostile;
mod serving;
