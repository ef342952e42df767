//! The gateway over HTTP, on a real node.
//!
//! One binary: each more would link libp2p again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod guard;
mod names;
mod pages;
mod reading;
