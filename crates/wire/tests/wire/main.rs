//! What crosses the wire: golden vectors and hostile bytes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod decoders;
mod hostile;
mod signed;
mod vectors;
