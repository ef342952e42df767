//! The store as its callers see it: real files, a real index, and disks that fail.
//!
//! One binary: each more would link the whole store again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod beside;
mod common;
mod conformance;
mod crash;
mod damage;
mod damaged_index;
mod evict;
mod export;
mod import;
mod incoming;
mod model;
mod old_data;
mod proof;
mod publishers;
mod read_only;
mod repos;
mod room;
