//! Deterministic bytes, failing stores, simulated swarms, processes, networks in namespaces.
//!
//! For tests only: errors panic, with all available details.

pub mod author;
pub mod dns;
pub mod http;
pub mod model;
pub mod mount;
pub mod net;
pub mod process;
pub mod proxy;
pub mod rot;
pub mod swarm;
